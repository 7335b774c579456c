"""The documentation of a module, drawn from its definition: a page of Markdown for those who ask for it; pure."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from modules.clients import NOTEBOOKS, helper_of
from modules.definition import Module, Parameter
from modules.parameters import allowed_of, said, size_said

_FEW = 3


def module_page(versions: Sequence[Module]) -> str:
    """Return the page of a module: its versions, the highest first, of which the first is the usual one."""
    lines = [f"# {versions[0].title}", "", versions[0].summary, ""]
    for number, module in enumerate(versions):
        if len(versions) > 1:
            usual = " (where none is asked for)" if number == 0 else ""
            lines += [f"## Version {module.version}{usual}", ""]
        lines += _body(module, "#" * (3 if len(versions) > 1 else 2))
    return "\n".join(lines).rstrip() + "\n"


def index_page(modules: Iterable[Module]) -> str:
    """Return the page that lists modules, in their order; versions of one stand side by side."""
    found: dict[str, list[Module]] = {}
    for module in modules:
        found.setdefault(module.name, []).append(module)
    lines = [
        "# Modules",
        "",
        "What a repository can ask for in its `binder.yml`, to have it run beside the notebook: see",
        "[Modules](../authors.md#modules). Drawn from the folders in `modules/` by `make docs`.",
        "",
        "| module | versions | what it is |",
        "|---|---|---|",
    ]
    for name, versions in found.items():
        which = ", ".join(one.version for one in versions)
        lines.append(f"| [`{name}`]({name}.md) | {which} | {_cell(versions[0].summary)} |")
    return "\n".join([*lines, ""])


def _body(module: Module, level: str) -> Iterator[str]:
    yield from _example(module)
    yield from _parameters(module, level)
    yield from _modes(module, level)
    yield from _notebook(module, level)
    yield from _seeds(module, level)
    if module.pages:
        yield from (f"{level} Pages", "")
        yield from (f"- {page.title}, of `{page.component}`: in the menu of the notebook." for page in module.pages)
        yield ""


def _example(module: Module) -> list[str]:
    """Return how it is asked for, with some of what may be said of it."""
    asked = [f'    version: "{module.version}"']
    if suffix := next(iter(module.seeds), None):
        asked.append(f"    seed: data/{'load' if suffix == '*' else f'all{suffix}'}")
    shown = list(module.parameters.values())[:_FEW]
    if shown:
        asked.append("    parameters:")
        asked += [f"      {one.name}: {_yaml(said(one, one.default))}" for one in shown]
    return ["```yaml", "# binder.yml", "modules:", f"  {module.name}:", *asked, "```", ""]


def _yaml(text: str) -> str:
    plain = text.replace(" ", "").replace(".", "").replace("-", "").isalnum()
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parameters(module: Module, level: str) -> Iterator[str]:
    if not module.parameters:
        return
    yield from (f"{level} Parameters", "", "| name | default | allowed | what it is |", "|---|---|---|---|")
    yield from map(_row, module.parameters.values())
    yield ""


def _row(one: Parameter) -> str:
    default = said(one, one.default)
    cells = (f"`{one.name}`", f"`{default}`" if default else "empty", allowed_of(one), one.summary)
    return f"| {' | '.join(map(_cell, cells))} |"


def _modes(module: Module, level: str) -> Iterator[str]:
    yield from (f"{level} What runs", "", "| mode | what runs | memory of each |", "|---|---|---|")
    for mode, replicas in module.replicas.items():
        for component, many in replicas.items():
            memory = module.memory[component]
            most = f"`{memory}`" if isinstance(memory, str) else size_said(memory)
            number = f"`{many}` times" if isinstance(many, str) else "once" if many == 1 else f"{many} times"
            yield f"| {mode} | `{component}`, {number} | {most} |"
    yield ""


def _notebook(module: Module, level: str) -> Iterator[str]:
    client, helper = module.client, helper_of(module.name)
    yield from (f"{level} In the notebook", "")
    if client.environment:
        yield from ("| variable | value |", "|---|---|")
        yield from (f"| `{name}` | `{_cell(_words(value, module))}` |" for name, value in client.environment.items())
        yield ""
    for text in client.helpers.values():
        what = _first_line(text)
        yield from (f"`from binder_modules import {helper}`{f': {what}' if what else ''}", "")
    if client.files:
        yield from (f"An example is in `{NOTEBOOKS}/{module.name}.ipynb`.", "")
    packages = [*(f"`{one}`" for one in client.python), *(f"`{one}` (Debian's)" for one in client.debian)]
    if packages:
        yield from (f"Packages that come with it: {', '.join(packages)}.", "")


def _words(template: str, module: Module) -> str:
    """Return a template with what is put into it in the words of its author: `<password>`."""
    text = template.replace(" | urlencode", "")
    for name in (*module.parameters, *module.secrets, *(f"hosts.{one}" for one in module.components)):
        shown = f"<host of {name.removeprefix('hosts.')}>" if name.startswith("hosts.") else f"<{name}>"
        text = text.replace(f"{{{{ {name} }}}}", shown).replace(f"{{{{{name}}}}}", shown)
    return text


def _first_line(source: bytes) -> str:
    """Return the first sentence of what a helper says of itself."""
    try:
        found = ast.get_docstring(ast.parse(source)) or ""
    except (SyntaxError, ValueError):
        return ""
    return " ".join(found.split("\n\n", maxsplit=1)[0].split())


def _seeds(module: Module, level: str) -> Iterator[str]:
    if not module.seeds:
        return
    yield from (f"{level} Seeds", "", "`seed:` names a file of the repository, which is taken in once, before the")
    yield from ("notebook opens:", "", "| file | how |", "|---|---|")
    for suffix, command in module.seeds.items():
        yield f"| {_suffix(suffix)} | {_how(command)} |"
    yield ""


def _suffix(suffix: str) -> str:
    return "any executable script" if suffix == "*" else f"`{suffix}`"


def _how(command: Sequence[str]) -> str:
    if command[0] == "{{ file }}":
        return "it is run, in the repository's folder"
    return f"`{_cell(' '.join(part.replace('{{ file }}', 'FILE') for part in command))}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def pages_of(modules: Iterable[Module]) -> Mapping[str, str]:
    """Return all pages of a catalogue: name of the file → text."""
    every = list(modules)
    names = dict.fromkeys(module.name for module in every)
    pages = {f"{name}.md": module_page([one for one in every if one.name == name]) for name in names}
    return {"README.md": index_page(every), **pages}
