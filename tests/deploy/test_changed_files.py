"""What a visitor changed: found and zipped, from the real Jupyter, and from servers that say anything."""

import io
import os
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import RepositoryFault, WorldFault
from binder.names import new_session_id
from deploy.changed_files import Bounds, Entry, Found, chosen, entries_of, find_changed, zip_of
from deploy.jupyter import Client, compute
from deploy.podman import PodmanEngine
from deploy.probe import proof_of, server_of
from tests.deploy.conftest import new_spec
from tests.proxy.upstreams import notebook_files

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def said(name: object, **values: object) -> dict[str, object]:
    """Return what a server says of a file that changed."""
    return {"name": name, "type": "file", "size": 3, "last_modified": "2026-03-01T12:01:00Z", **values}


def file(name: str, *, size: int = 3, changed_at: datetime | None = LATER) -> Entry:
    """Return a file at the root."""
    return Entry("", name, is_folder=False, size=size, changed_at=changed_at)


class TestWhatIsFound:
    def test_a_listing_is_read_without_what_is_hidden(self) -> None:
        listing = {"content": [said("a.ipynb"), said(".hidden"), said("data", type="directory", size=None)]}
        assert entries_of(listing, "") == [file("a.ipynb"), Entry("", "data", is_folder=True, size=0, changed_at=LATER)]
        assert entries_of(listing, "x/y")[0].path == "x/y/a.ipynb"

    @pytest.mark.parametrize(
        "listing",
        [
            None,
            5,
            {},
            {"content": None},
            {"content": [5]},
            {"content": [{"name": "a"}]},
            {"content": [said(5)]},
            {"content": [said([])]},
            {"content": [said("a", last_modified="now")]},
            {"content": [said("a", size=float("inf"))]},
            {"content": [said("a", size=[1])]},
        ],
    )
    def test_what_is_no_listing(self, listing: Any) -> None:
        with pytest.raises(RepositoryFault, match="does not say"):
            entries_of(listing, "")

    def test_only_what_changed_since_is_chosen(self) -> None:
        entries = [file("old", changed_at=NOW), file("new"), file("unknown", changed_at=None)]
        assert chosen(entries, NOW, Bounds()) == Found(("new",))

    def test_what_does_not_fit_is_left_out_and_listed(self) -> None:
        entries = [file("a", size=6), file("b", size=5), file("c", size=4), file("d", size=0)]
        found = chosen(entries, NOW, Bounds(content_bytes=10, files=2))
        assert found.files == ("a", "c")
        assert [line.partition(":")[0] for line in found.left_out] == ["b", "d"]

    @given(name=st.text(max_size=300))
    def test_no_name_leads_out_of_the_zip(self, name: str) -> None:
        found = chosen(entries_of({"content": [said(name)]}, ""), NOW, Bounds())
        for path in found.files:
            assert path not in {"", ".", ".."}
            assert not {"/", "\\", "\0", "\n"} & set(path)
        assert all("\n" not in line for line in found.left_out)

    @pytest.mark.parametrize(
        "name", ["a/../../b", "/etc/passwd", "a\\b", "C:x", "a\nb", "a\0", "\ud800", "x" * 300, ""]
    )
    def test_odd_names_are_listed(self, name: str) -> None:
        found = chosen(entries_of({"content": [said(name)]}, ""), NOW, Bounds())
        assert (found.files, len(found.left_out)) == ((), 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A visitor's folder: two files changed, one did not."""
    for name in ("a.ipynb", "data/deep/b ü%.csv", "old.txt", ".cache/c"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is {name}.\n")
        os.utime(path, (LATER.timestamp(), LATER.timestamp()))
    os.utime(tmp_path / "old.txt", (NOW.timestamp() - 1, NOW.timestamp() - 1))
    return tmp_path


@pytest.fixture
async def client(home: Path) -> AsyncIterator[Client]:
    """A client of a server of that folder."""
    async with (
        notebook_files(home, "T0KEN") as target,
        Client(server_of(new_session_id(), target, "T0KEN")) as client,
    ):
        yield client


async def unzipped(client: Client, found: Found, bounds: Bounds) -> dict[str, str]:
    """Return what a zip holds: name → text."""
    data = b"".join([piece async for piece in zip_of(client, found, bounds)])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


class TestTheZip:
    async def test_it_holds_what_changed(self, client: Client) -> None:
        found = await find_changed(client, NOW, Bounds())
        assert await unzipped(client, found, Bounds()) == {
            "changes/a.ipynb": "This is a.ipynb.\n",
            "changes/data/deep/b ü%.csv": "This is data/deep/b ü%.csv.\n",
        }

    async def test_folders_are_looked_at_up_to_a_bound(self, client: Client) -> None:
        found = await find_changed(client, NOW, Bounds(folders=2))
        assert found == Found(("a.ipynb",), ("data/deep/: There was too much to look at.",))
        assert (await find_changed(client, NOW, Bounds(entries=1))).left_out
        with pytest.raises(WorldFault):
            await find_changed(client, NOW, Bounds(search_seconds=0))

    async def test_a_server_that_gives_more_than_it_said_is_cut_short(self, client: Client, home: Path) -> None:
        (home / "a.ipynb").write_bytes(b"x" * 2**20)
        held = await unzipped(client, Found(("a.ipynb", "old.txt")), Bounds(content_bytes=2**19))
        assert len(held["changes/a.ipynb"]) <= 2**19
        assert [line.partition(":")[0] for line in held["left-out.txt"].splitlines()] == ["a.ipynb", "old.txt"]

    async def test_what_takes_too_long_is_left_out(self, client: Client) -> None:
        held = await unzipped(client, Found(("a.ipynb",)), Bounds(copy_seconds=0))
        assert list(held) == ["left-out.txt"]

    async def test_a_file_that_has_gone_does_not_end_the_rest(self, client: Client) -> None:
        held = await unzipped(client, Found(("gone", "a.ipynb"), ("b/: why",)), Bounds())
        assert held["changes/a.ipynb"] == "This is a.ipynb.\n"
        assert held["left-out.txt"] == "b/: why\ngone: The notebook server answers with 404.\n"


@pytest.mark.slow
async def test_the_real_jupyter_gives_what_was_saved(engine: PodmanEngine, jupyter_image: str) -> None:
    spec = new_spec(jupyter_image)
    target = await engine.start(spec)
    async with proof_of(engine, spec, target, timeout_seconds=60):
        pass
    since, server = datetime.now(UTC), server_of(spec.id, target, spec.token)
    async with Client(server) as client:
        assert await find_changed(client, since, Bounds()) == Found(())
        notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        await client.call("PUT", "api/contents/mine.ipynb", {"type": "notebook", "content": notebook})
        write = "import pathlib; p = pathlib.Path('out put'); p.mkdir(); (p / 'ü.bin').write_text('x' * 3_000_000)"
        assert await compute(server, write, timeout_seconds=60) == "3000000"
        found = await find_changed(client, since, Bounds())
        assert found == Found(("mine.ipynb", "out put/ü.bin"))
        held = await unzipped(client, found, Bounds())
    assert held["changes/out put/ü.bin"] == "x" * 3_000_000
    assert '"nbformat": 4' in held["changes/mine.ipynb"]
