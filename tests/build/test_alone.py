"""One at a time, in one process and in several."""

import asyncio
import sys
from pathlib import Path

import pytest

from build.alone import Alone

_WORK = """
import asyncio, sys
from pathlib import Path
from build.alone import Alone

async def work():
    alone, log = Alone(Path(sys.argv[1])), Path(sys.argv[2])
    for _ in range(20):
        async with alone.at("thing"):
            with log.open("a") as file:
                file.write("begin ")
                file.flush()
                await asyncio.sleep(0.002)
                file.write("end\\n")

asyncio.run(work())
"""


_HOLD = """
import asyncio, sys
from pathlib import Path
from build.alone import Alone

async def hold():
    async with Alone(Path(sys.argv[1])).at("thing"):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


async def _overlaps(alone: Alone, names: list[str]) -> bool:
    inside = most = 0

    async def work(name: str) -> None:
        nonlocal inside, most
        async with alone.at(name):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*map(work, names))
    return most > 1


async def test_nobody_is_at_a_thing_where_somebody_is(tmp_path: Path) -> None:
    assert not await _overlaps(Alone(tmp_path), ["a"] * 5)
    assert await _overlaps(Alone(tmp_path), ["a", "b"])
    assert list(tmp_path.iterdir()) == []


async def _python(code: str, *arguments: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments, stdout=asyncio.subprocess.PIPE)


async def test_other_processes_are_kept_out(tmp_path: Path) -> None:
    folder, log = tmp_path / "making", tmp_path / "log"
    folder.mkdir()
    workers = [await _python(_WORK, folder, log) for _ in range(2)]
    async with asyncio.timeout(60):
        assert [await worker.wait() for worker in workers] == [0, 0]
    assert log.read_text() == "begin end\n" * 40
    assert list(folder.iterdir()) == []


async def test_who_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    holder = await _python(_HOLD, tmp_path)
    assert holder.stdout
    await holder.stdout.readline()
    waiting = asyncio.create_task(_overlaps(Alone(tmp_path), ["thing"]))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    holder.kill()
    await holder.wait()
    assert not await asyncio.wait_for(waiting, 5)


async def test_who_is_stopped_while_waiting_leaves_the_thing_to_others(tmp_path: Path) -> None:
    alone, elsewhere = Alone(tmp_path), Alone(tmp_path)

    async def wait_at(place: Alone) -> None:
        async with place.at("x"):
            pytest.fail("it was not free")

    async with alone.at("x"):
        waiting = [asyncio.create_task(wait_at(place)) for place in (alone, elsewhere)]
        await asyncio.sleep(0.1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert all(task.cancelled() for task in waiting)
    async with asyncio.timeout(5):
        async with elsewhere.at("x"):
            pass


async def test_a_failure_inside_leaves_the_thing_to_others(tmp_path: Path) -> None:
    alone = Alone(tmp_path)
    with pytest.raises(ZeroDivisionError):
        async with alone.at("x"):
            raise ZeroDivisionError
    assert not await _overlaps(alone, ["x", "x"])
    assert list(tmp_path.iterdir()) == []
