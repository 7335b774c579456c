"""What builds leave to be read: their logs, which grow while they work, and their bills of materials.

In the store, so that each replica shows them. A log is bytes: what stands before an offset never changes.
"""

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as OrmSession

from binder.store import Store
from binder.store.tables import Build, BuildBill, BuildLogPart


class StoredLog:
    """The log of one build. Nobody is hinted at what is added to it: whoever follows it looks each second."""

    def __init__(self, store: Store, build_id: int) -> None:
        self._store = store
        self.build_id = build_id

    async def append(self, data: bytes) -> None:
        """Add to its end.

        Raises: StoreUnavailableError.
        """
        await self._store.write_at_once(lambda session: self._append(session, data), tells=False)

    def _append(self, session: OrmSession, data: bytes) -> None:
        # A worker that lost its lease may still have something to say: one at a time, so that no two parts overlap.
        session.execute(select(Build.id).where(Build.id == self.build_id).with_for_update())
        begin = session.execute(_size_of(self.build_id)).scalar() or 0
        session.add(BuildLogPart(build_id=self.build_id, begin=begin, data=data))

    async def size(self) -> int:
        """Return its size in bytes: 0 where there is nothing of it yet.

        Raises: StoreUnavailableError.
        """
        async with self._store.read() as session:
            return await session.scalar(_size_of(self.build_id)) or 0

    async def read(self, offset: int, most_bytes: int) -> bytes:
        """Return what stands from an offset on, at most so many bytes.

        Raises: StoreUnavailableError.
        """
        begin, of_build = BuildLogPart.begin, BuildLogPart.build_id == self.build_id
        first = select(func.max(begin)).where(of_build, begin <= offset).scalar_subquery()
        parts = select(begin, BuildLogPart.data).where(of_build, begin >= first, begin < offset + most_bytes)
        async with self._store.read() as session:
            rows = (await session.execute(parts.order_by(begin))).all()
        if not rows:
            return b""
        before = offset - rows[0].begin
        return b"".join(row.data for row in rows)[before : before + most_bytes]


def _size_of(build_id: int) -> Select[int]:
    last = BuildLogPart.begin + func.length(BuildLogPart.data)
    return select(last).where(BuildLogPart.build_id == build_id).order_by(BuildLogPart.begin.desc()).limit(1)


async def bill_of(session: AsyncSession, build_id: int) -> bytes | None:
    """Return the software bill of materials of a build's image, CycloneDX as JSON; None where there is none."""
    return await session.scalar(select(BuildBill.data).where(BuildBill.build_id == build_id))


async def has_bill(session: AsyncSession, build_id: int) -> bool:
    """Whether there is a software bill of materials of a build's image."""
    return await session.scalar(select(BuildBill.build_id).where(BuildBill.build_id == build_id)) is not None
