"""What is drawn from the code, of the documentation and of the chart: `python -m tests.documents` writes it anew."""

import ast
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from binder.lifecycle import BuildState, DeliveryState, SessionState, mermaid
from binder.service.rights import CONTROLLER_RIGHTS
from binder.settings import Settings
from modules.catalogue import built_in
from modules.describing import pages_of
from tests.cli_document import cli_page
from tests.monitoring_document import MONITORING, dashboard, metrics_page
from tests.templates_document import templates_page

ROOT = Path(__file__).resolve().parents[1]
_BEGIN, _END = "<!-- life cycles: begin -->", "<!-- life cycles: end -->"
_CHART = ROOT / "deploy" / "chart"
_SAID_BY_CHART = re.compile(
    r"\A(?:state_dir|cache_dir|url|sessions_host|listen|http_listen|certificates|database_url|engine|.*namespace|build_account|"
    r"builder_image|registry(?:_.*)?|github_(?:app_id|private_key_file|webhook_secrets|client_.*)|drain_seconds|metrics_token|api_token|templates|"
    r"session_priority_class)\Z"
)
_HOMES = {
    "state_dir": "`/var/lib/binder` for root, `~/.local/state/binder` for others",
    "conda_channel_alias": "where Conda's own tools look",
    "cache_dir": "`/var/cache/binder` for root, `~/.cache/binder` for others",
}


def documented_settings() -> dict[str, str]:
    """Return the text that stands below each setting in its source: name → text."""
    tree = ast.parse((ROOT / "binder" / "settings.py").read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    found: dict[str, str] = {}
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            match following:
                case ast.Expr(ast.Constant(str(text))):
                    found[node.target.id] = " ".join(text.split())
                case _:
                    pass
    return found


def settings_page() -> str:
    """Return `docs/settings.md`."""
    texts = documented_settings()
    lines = [
        "# Settings",
        "",
        "Each is read once, at the start, from the environment. Faults are reported all together, with their names.",
        "Drawn from `binder/settings.py` by `make docs`.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        default = "none" if field.default in {None, "", ()} else f"`{field.default}`"
        lines += [f"## BINDER_{name.upper()}", "", texts[name], "", f"Default: {_HOMES.get(name, default)}.", ""]
    return "\n".join(lines)


def life_cycles() -> str:
    """Return the diagrams of `docs/architecture.md`, with the marks around them."""
    drawn = [
        f"### A delivery\n\n```mermaid\n{mermaid(DeliveryState)}```\n",
        f"### A build\n\n```mermaid\n{mermaid(BuildState)}```\n",
        f"### A session\n\n```mermaid\n{mermaid(SessionState)}```\n",
    ]
    return "\n".join([_BEGIN, "", *drawn, _END])


def architecture_page(current: str) -> str:
    """Return `docs/architecture.md` with its diagrams drawn anew."""
    return re.sub(f"{_BEGIN}.*{_END}", lambda _: life_cycles(), current, flags=re.DOTALL)


def chart_schema(current: str) -> str:
    """Return the schema of the chart's values with that of `settings` drawn anew."""
    schema = json.loads(current)
    texts, known = documented_settings(), Settings.model_json_schema()["properties"]
    schema["properties"]["settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"description": texts[name], **_value_schema(field)}
            for name, field in known.items()
            if not _SAID_BY_CHART.match(name)
        },
    }
    return json.dumps(schema, indent=2) + "\n"


def _value_schema(field: Mapping[str, object]) -> dict[str, object]:
    if field.get("type") == "array" and field.get("items") == {"type": "string"}:
        return {"type": ["array", "string"], "items": {"type": "string"}}
    if field.get("type") in {"array", "object"}:
        return {"type": "string"}
    return {name: value for name, value in field.items() if name not in {"title", "default"}}


def chart_rights() -> str:
    """Return what the chart allows the controller's account."""
    return json.dumps(CONTROLLER_RIGHTS, indent=2) + "\n"


def module_pages() -> Mapping[str, str]:
    """Return the pages of `docs/modules/`: name of the file → text."""
    return pages_of(built_in().all())


def main() -> None:
    """Write what is drawn."""
    (_CHART / "files" / "rights.json").write_text(chart_rights(), encoding="utf-8")
    schema = _CHART / "values.schema.json"
    schema.write_text(chart_schema(schema.read_text(encoding="utf-8")), encoding="utf-8")
    pages = {
        "settings.md": settings_page(),
        "cli.md": cli_page(),
        "templates.md": templates_page(),
        "metrics.md": metrics_page(),
    }
    for name, text in pages.items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
    (MONITORING / "dashboard.json").write_text(dashboard(), encoding="utf-8")
    folder = ROOT / "docs" / "modules"
    folder.mkdir(exist_ok=True)
    for old in set(folder.glob("*.md")) - {folder / name for name in module_pages()}:
        old.unlink()
    for name, text in module_pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    page = ROOT / "docs" / "architecture.md"
    page.write_text(architecture_page(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
