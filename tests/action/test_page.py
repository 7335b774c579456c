"""The page of the action: its workflows pass all checkers, and it names what the action takes and gives."""

import re
from pathlib import Path

import yaml

from tests.action.checkers import MANIFEST, ROOT, by_language_service, by_schema, by_zizmor

PAGE = (ROOT / "docs" / "action.md").read_text(encoding="utf-8")
WORKFLOWS = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if ".github/workflows/" in block]


def _written(folder: Path, texts: list[str]) -> list[Path]:
    place = folder / ".github" / "workflows"
    place.mkdir(parents=True)
    files = [place / f"workflow-{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return files


def test_the_checkers_find_nothing_in_its_workflows(tmp_path: Path) -> None:
    files = _written(tmp_path, WORKFLOWS)
    assert len(files) == 2
    assert by_schema("workflows", files) == ""
    assert by_zizmor(files) == ""
    assert by_language_service(files) == ""


def test_an_input_that_there_is_not_is_found(tmp_path: Path) -> None:
    text = WORKFLOWS[0].replace("service:", "server:")
    assert text != WORKFLOWS[0]
    told = by_language_service(_written(tmp_path, [text]))
    assert "server" in told
    assert "service" in told


def test_the_tables_are_what_the_manifest_says() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    for kind in ("inputs", "outputs"):
        table = PAGE.partition(f"## {kind.capitalize()}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(manifest[kind])
