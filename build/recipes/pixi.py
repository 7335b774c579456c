"""What a pixi.toml asks for in its environment `default`: a pure reading of the file.

Source: https://pixi.sh/latest/reference/pixi_manifest/
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from binder.plain_yaml import text_at
from build.commits.tree import Entry
from build.recipes.conda_files import SUBDIR, CondaRequest, check_channel, fault_in, name_of_spec
from build.recipes.reading import Reading, rows, table, word, words

_OURS = ("unix", "linux", SUBDIR)
_OF_PACKAGES = ("build-dependencies", "host-dependencies", "dependencies")
_FROM_ELSEWHERE = ("path", "git", "url")
_VALUE = re.compile(r"[\w.*+!<>=~,| ()^$:/-]+")
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_KEY = re.compile(r"""[ \t]*["']?([\w.-]+)["']?[ \t]*=""")

Table = Mapping[str, object]


def pixi_request(path: str, text: str) -> CondaRequest:
    """Return what the environment `default` of a pixi.toml asks for.

    Raises: RepositoryFault, with the line.
    """
    manifest = Reading({path: Entry("100644", len(text))}, {path: text}).toml(path)
    workspace = table(manifest.get("workspace") or manifest.get("project"))
    lines = _lines_of_keys(text)
    if not workspace:
        raise fault_in(path, None, "has no table [workspace], which says where packages come from")
    _check_platforms(path, workspace, lines.get("platforms"))
    parts = list(_parts(path, manifest))
    specs: dict[str, str] = {}
    pip: dict[str, str] = {}
    for part in parts:
        for name, asked in _packages(part):
            specs[name.lower()] = _spec(path, lines.get(name.lower()), name, asked)
        for name, asked in table(part.get("pypi-dependencies")).items():
            pip[name] = _requirement(path, lines.get(name.lower()), name, asked)
    channels = list(_channels(path, workspace, parts))
    for channel in channels:
        check_channel(path, text_at(channel, lines.get("channels", 1)))
    options = _index_options(path, [workspace, *parts])
    return CondaRequest(
        path=path,
        channels=tuple(channels),
        specs=tuple(specs.values()),
        pip=(*options, *pip.values()),
        lines={name: lines[name] for name in specs if name in lines},
        pip_lines=(*(lines.get("pypi-options", 1) for _ in options), *(lines.get(name.lower(), 1) for name in pip)),
        priority="strict",
        variables=_variables(parts),
    )


def _lines_of_keys(text: str) -> dict[str, int]:
    """Return for each key, in lower case, the first line that sets it."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if key := _KEY.match(line):
            found.setdefault(key[1].lower(), number)
    return found


def _check_platforms(path: str, workspace: Table, line: int | None) -> None:
    listed = workspace.get("platforms")
    names = {*words(listed), *(word(row.get("platform")) or word(row.get("subdir")) for row in rows(listed))}
    if names and SUBDIR not in names:
        what = f"does not list {SUBDIR} among its platforms. Run `pixi workspace platform add {SUBDIR}`"
        raise fault_in(path, line, what)


def _parts(path: str, manifest: Table) -> Iterator[Table]:
    """Give the tables that make up the environment `default`, those of its features and of our platform included."""
    default = table(manifest.get("environments")).get("default")
    chosen = table(default)
    features = words(default) or words(chosen.get("features"))
    sources = [] if chosen.get("no-default-feature") is True else [manifest]
    for name in features:
        feature = table(table(manifest.get("feature")).get(name))
        if not feature:
            raise fault_in(
                path, None, f"has no table [feature.{name[:60]}], which its environment `default` is made of"
            )
        sources.append(feature)
    for source in sources:
        targets = table(source.get("target"))
        yield from (source, *(table(targets.get(name)) for name in _OURS))


def _packages(part: Table) -> Iterator[tuple[str, object]]:
    for kind in reversed(_OF_PACKAGES):
        yield from table(part.get(kind)).items()


def _channels(path: str, workspace: Table, parts: Iterable[Table]) -> Iterable[str]:
    """Return the channels, those of features first; one of a higher priority comes before others."""
    found: dict[str, int] = {}
    for holder in [*(part for part in parts if "workspace" not in part and "project" not in part), workspace]:
        listed = holder.get("channels")
        for item in listed if isinstance(listed, list) else []:
            row = table(item)
            channel = word(item) or word(row.get("channel"))
            priority = row.get("priority", 0)
            if channel is None or not isinstance(priority, int):
                raise fault_in(path, None, "has a channel without a name")
            found.setdefault(channel.strip(), priority)
    if not found:
        raise fault_in(path, None, 'names no channels. Add `channels = ["conda-forge"]` to its table [workspace]')
    return sorted(found, key=lambda channel: -found[channel])


def _spec(path: str, line: int | None, name: str, asked: object) -> str:
    """Return a package as Conda writes it."""
    row = table(asked)
    version = word(asked) or word(row.get("version")) or "*"
    for key in _FROM_ELSEWHERE:
        if key in row:
            raise fault_in(path, line, f"asks for {name[:60]} from a {key}. Only packages of channels can be had here")
    values = {"version": version, "build": word(row.get("build")), "build_number": word(row.get("build-number"))}
    given = {key: value for key, value in values.items() if value and value != "*"}
    channel = word(row.get("channel"))
    if not _NAME.fullmatch(name) or not all(map(_VALUE.fullmatch, [*given.values(), channel or name])):
        raise fault_in(path, line, f"asks for {name[:60]!r} in a way that is not read here")
    inside = ", ".join(f'{key}="{value}"' for key, value in given.items())
    text = f"{channel}::{name}" if channel else name
    spec = f"{text}[{inside}]" if set(given) - {"version"} else f"{text} {given.get('version', '')}".strip()
    name_of_spec(path, text_at(spec, line or 1))
    return spec


def _requirement(path: str, line: int | None, name: str, asked: object) -> str:
    """Return a package of PyPI's as pip writes it, on one line."""
    row = table(asked)
    extras = words(row.get("extras"))
    full = f"{name}[{','.join(extras)}]" if extras else name
    if place := word(row.get("path")):
        local = place if place.startswith((".", "/")) else f"./{place}"
        requirement = f"{'-e ' if row.get('editable') is True else ''}{local}{full[len(name) :]}"
    elif address := word(row.get("git")):
        revision = next((at for key in ("rev", "tag", "branch") if (at := word(row.get(key)))), None)
        subfolder = word(row.get("subdirectory"))
        requirement = f"{full} @ git+{address.removeprefix('git+')}{f'@{revision}' if revision else ''}"
        requirement += f"#subdirectory={subfolder}" if subfolder else ""
    elif address := word(row.get("url")):
        requirement = f"{full} @ {address}"
    elif "index" in row:
        raise fault_in(path, line, f"asks for {name[:60]} from an index of its own. Name the index in [pypi-options]")
    else:
        version = (word(asked) or word(row.get("version")) or "*").strip()
        requirement = full + ("" if version == "*" else version if version[:1] in "<>=!~" else f"=={version}")
    return _one_line(path, line, requirement)


def _index_options(path: str, parts: Iterable[Table]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for options in (table(part.get("pypi-options")) for part in parts):
        if index := word(options.get("index-url")):
            found[f"--index-url {index}"] = None
        found |= {f"--extra-index-url {index}": None for index in words(options.get("extra-index-urls"))}
    return tuple(_one_line(path, None, option) for option in found)


def _one_line(path: str, line: int | None, text: str) -> str:
    if not text.isprintable():
        raise fault_in(path, line, "asks pip for something that does not go on one line")
    return text


def _variables(parts: Iterable[Table]) -> tuple[tuple[str, str], ...]:
    found = {
        name: value
        for part in parts
        for name, value in table(table(part.get("activation")).get("env")).items()
        if isinstance(value, str) and "$" not in value and name.isidentifier() and value.isprintable()
    }
    return tuple(found.items())
