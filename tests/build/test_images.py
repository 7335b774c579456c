"""What is kept of images besides themselves, in files that several services share."""

import os
import threading
from pathlib import Path

import pytest

from binder.paths import Paths
from binder.process import find_account
from binder.settings import read_settings
from build.images import LocalTexts, Record, read_record, write_record
from build.plan import Layer

RECORD = Record(1.5, 2**20, "f", 2, {"six": "1.17.0"}, [["deb", "apt", "2.6"], ["pypi", "six", "1.17.0"]])


@pytest.fixture
def own(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "state", tmp_path / "cache")
    paths.make(find_account(read_settings().build_account))
    return paths


def _layer(key: str) -> Layer:
    return Layer("environment", key)


def _age(paths: Paths, tag: str, seconds: int) -> None:
    at = (paths.locks / tag).stat().st_mtime - seconds
    os.utime(paths.locks / tag, (at, at))


async def test_a_text_is_kept_until_it_is_replaced_or_forgotten(own: Paths) -> None:
    texts, elsewhere = LocalTexts(own), LocalTexts(Paths(own.state / "other", own.cache))
    assert await texts.read("lock-a") is None
    await texts.write("lock-a", "ä\n")
    assert await elsewhere.read("lock-a") == "ä\n"
    await elsewhere.write("lock-a", "b")
    assert await texts.read("lock-a") == "b"
    texts.forget("lock-a")
    texts.forget("lock-a")
    assert await texts.read("lock-a") is None
    assert list(own.locks.iterdir()) == []


async def test_a_text_that_is_read_is_in_use(own: Paths) -> None:
    texts = LocalTexts(own)
    await texts.write("lock-a", "x")
    _age(own, "lock-a", 10_000)
    before = (own.locks / "lock-a").stat().st_mtime
    await texts.read("lock-a")
    assert (own.locks / "lock-a").stat().st_mtime > before + 9000


async def test_the_oldest_comes_first(own: Paths) -> None:
    texts = LocalTexts(own)
    for number, name in enumerate("cab"):
        await texts.write(f"again-{name}", name)
        _age(own, f"again-{name}", 100 - number)
    await texts.write("lock-a", "x")
    assert texts.tags("again-") == ["again-c", "again-a", "again-b"]


async def test_what_is_known_of_a_layer_is_kept(own: Paths) -> None:
    texts = LocalTexts(own)
    assert await read_record(texts, _layer("a")) == Record()
    await write_record(texts, _layer("a"), RECORD)
    assert await read_record(texts, _layer("a")) == RECORD


async def test_what_another_version_knows_is_left_out(own: Paths) -> None:
    texts = LocalTexts(own)
    await texts.write("record-environment-a", '{"seconds": 2.0, "of_tomorrow": 1}')
    assert await read_record(texts, _layer("a")) == Record(2.0)


async def test_environments_are_those_that_were_used_last(own: Paths) -> None:
    texts = LocalTexts(own)
    for number in range(40):
        await write_record(texts, _layer(f"{number:02}"), RECORD)
        _age(own, f"record-environment-{number:02}", 1000 - number)
    await write_record(texts, Layer("base", "b"), RECORD)
    await write_record(texts, _layer("of-no-family"), Record(1.0))
    found = texts.environments()
    assert [one.key for one in found] == [f"{number:02}" for number in range(39, 8, -1)]
    assert {(one.family, one.depth, one.pins["six"]) for one in found} == {("f", 2, "1.17.0")}


async def test_texts_may_come_and_go_while_they_are_listed(own: Paths) -> None:
    """Other services write and collect garbage; nothing that is half written is ever seen."""
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            new, place = own.locks / ".record-environment-a.other", own.locks / "record-environment-a"
            new.write_text('{"fam')
            new.write_text('{"family": "f"}')
            new.replace(place)
            place.unlink()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(500):
            assert all(one.family == "f" for one in LocalTexts(own).environments())
            assert set(LocalTexts(own).tags("record-environment-")) <= {"record-environment-a"}
    finally:
        stop.set()
        thread.join()


async def test_a_write_that_was_broken_off_is_no_text(own: Paths) -> None:
    texts = LocalTexts(own)
    await texts.write("again-a", "x")
    (own.locks / "again-a").unlink()
    (own.locks / f".again-b.{own.instance}").write_text("half")
    assert texts.tags("again-") == []
