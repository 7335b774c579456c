"""The three checkers of workflows and actions: the published schema, GitHub's own language service, and zizmor."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.npm_packages import NpmPackage, installed, tool

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "action" / "action.yml"
_SCRIPT = Path(__file__).with_name("languageservice.mjs")
_SECONDS = 120
_PACKAGES = (
    NpmPackage(
        "@actions/languageservice", "0.3.61", "0c05556530e0bad449203ea984212baff961d309829b255865105e175f882d35"
    ),
    NpmPackage(
        "@actions/workflow-parser", "0.3.61", "fc0c4af6cc1f6c8a6f68e47e2093fc826a922c7244a0ffd2f8030a9303a59877"
    ),
    NpmPackage("@actions/expressions", "0.3.61", "a09137eed52067f4369a5fdff1e2beb3663a1e9388a4709a414ada2dd44c82cd"),
    NpmPackage("cronstrue", "2.61.0", "f6196bd9f78dc57aa2ad669008e73a32dd43e0deec6d66e7136f34151f9309e8"),
    NpmPackage("yaml", "2.9.1", "4ef6c54cf559b8a207b7b518378230805a1c84af239b14960e8c67c7d59de5d3"),
    NpmPackage("vscode-uri", "3.2.0", "12fa4a47728ca404c3a679e351eda6c54030c8ed3dd9bc6762ab0be1bf04014b"),
    NpmPackage(
        "vscode-languageserver-textdocument",
        "1.0.16",
        "3d00e3f62041ffb10b220a14b057116a9812ee41e04cc7eef12a78ca46302599",
    ),
    NpmPackage(
        "vscode-languageserver-types", "3.18.5", "4ee75756cdbe71ac014e9763714b4a3ef4b8de3cf7f96cf69c9cf3babe727a56"
    ),
)


def by_schema(kind: str, files: Sequence[Path]) -> str:
    """Return what the published schema of `actions` or `workflows` finds, empty where that is nothing."""
    return _complaint("check-jsonschema", "--builtin-schema", f"vendor.github-{kind}", *map(str, files))


def by_zizmor(files: Sequence[Path]) -> str:
    """Return what zizmor finds that an attacker could use, empty where that is nothing."""
    return _complaint("zizmor", "--offline", "--no-config", "--no-progress", *map(str, files))


def by_language_service(files: Sequence[Path]) -> str:
    """Return what GitHub's language service finds, also in how our action is used; empty where that is nothing."""
    folder = installed(_PACKAGES, "languageservice")
    argv = [tool("node"), str(_SCRIPT), str(folder), str(MANIFEST), *map(str, files)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(found) == len(files)
    return "\n".join(f"{Path(one['file']).name} {told}" for one in found for told in one["told"])


def _complaint(program: str, *arguments: str) -> str:
    argv = [str(Path(sys.executable).parent / program), *arguments]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    return ended.stdout + ended.stderr if ended.returncode else ""
