"""The pictures of the documentation can be drawn, and those that are there were."""

import pytest
from playwright.async_api import Browser

from tests.pages import pages
from tests.pictures import FOLDER, MOST_BYTES, PICTURES, SIZE, draw
from tests.stage import Stage


def _size_of(webp: bytes) -> tuple[int, int]:
    """Return width and height, of a picture in the extended format. Source: RFC 9649, 2.7."""
    assert (webp[:4], webp[8:16]) == (b"RIFF", b"WEBPVP8X")
    return int.from_bytes(webp[24:27], "little") + 1, int.from_bytes(webp[27:30], "little") + 1


def test_each_is_small_and_shown_on_a_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.webp" for name in PICTURES}
    text = "".join(page.text for page in pages())
    for path in FOLDER.iterdir():
        picture = path.read_bytes()
        assert len(picture) <= MOST_BYTES, path.name
        assert _size_of(picture) == (SIZE["width"], SIZE["height"])
        assert f"pictures/{path.name})" in text


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="package")
@pytest.mark.parametrize("name", PICTURES)
async def test_each_is_of_a_real_run(name: str, stage: Stage, browser: Browser) -> None:
    picture = await draw(stage, browser, name)
    assert _size_of(picture) == (SIZE["width"], SIZE["height"])
    assert len(picture) <= MOST_BYTES
