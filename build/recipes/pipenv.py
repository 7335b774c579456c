"""What a Pipfile or its lock asks for, as the lines of a requirements.txt.

With a lock only the lock counts, without one only the Pipfile; packages for development are always installed.

Source: https://pipenv.pypa.io/en/latest/pipfile.html
"""

import re
from collections.abc import Mapping

from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.asked import INDEX, PYPI, Asked, Project, joined, made_list, place_problem
from build.recipes.reading import LARGEST_LOCK_BYTES, Reading, lines_naming, path_within, rows, table, word, words
from build.recipes.requirements import requirement_of

_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_SYSTEMS = ("git", "hg", "svn", "bzr")
# Keys that pipenv takes for conditions, each after the name of a marker.
_CONDITIONS = (
    "os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release",
    "platform_system", "platform_version", "python_version", "python_full_version", "implementation_name",
    "implementation_version",
)  # fmt: skip


def pipenv(reading: Reading, folder: str) -> Asked:
    """Return what is asked for by the Pipfile.lock of a folder, or else by its Pipfile.

    Raises: NotReadYet; RepositoryFault, with the line.
    """
    lock, pipfile = f"{folder}Pipfile.lock", f"{folder}Pipfile"
    reading.require(lock, pipfile)
    if lock in reading.files:
        data = reading.json(lock, LARGEST_LOCK_BYTES)
        sources, sections = table(data.get("_meta")).get("sources"), ("default", "develop")
        return _asked(reading, lock, sources, [table(data.get(section)) for section in sections])
    written = reading.toml(pipfile)
    sections = ("packages", "dev-packages")
    return _asked(reading, pipfile, written.get("source"), [table(written.get(section)) for section in sections])


def pipenv_python(reading: Reading, folder: str) -> tuple[str, str, int | None] | None:
    """Return the version of Python that is asked for, x.y, with its file and line; None if none is.

    Raises: NotReadYet; RepositoryFault, with the line.
    """
    lock, pipfile = f"{folder}Pipfile.lock", f"{folder}Pipfile"
    reading.require(lock, pipfile)
    places = []
    if lock in reading.files:
        places.append((lock, table(table(reading.json(lock, LARGEST_LOCK_BYTES).get("_meta")).get("requires"))))
    if pipfile in reading.files:
        places.append((pipfile, table(reading.toml(pipfile).get("requires"))))
    for path, requires in places:
        for key in ("python_full_version", "python_version"):
            if version := _VERSION.match(word(requires.get(key)) or ""):
                return (
                    version[0],
                    path,
                    lines_naming(reading.text(path, LARGEST_LOCK_BYTES)).get(canonicalize_name(key)),
                )
    return None


def _asked(reading: Reading, path: str, sources: object, sections: list[Mapping[str, object]]) -> Asked:
    lines = lines_naming(reading.text(path, LARGEST_LOCK_BYTES))
    asked: dict[str, None] = {}
    places: list[Project] = []
    for section in sections:
        for name, wanted in section.items():
            entry = table(wanted) or {"version": wanted}
            line = lines.get(canonicalize_name(name))
            if place := _place(reading, path, entry, line):
                places.append(place)
            else:
                asked[requirement_of(_requirement(name, entry), path, line)] = None
    options = _index_options(path, sources)
    named = {name: (path, line) for name, line in lines.items()}
    found = made_list("pipenv", [*options, *asked], named)
    return joined(found, Asked(index_options=options, places=tuple(places)))


def _place(reading: Reading, path: str, entry: Mapping[str, object], line: int | None) -> Project | None:
    """Return the part of the repository that an entry installs, or None if it is none."""
    said = word(entry.get("path")) or word(entry.get("file"))
    if said is None or "://" in said:
        return None
    place = path_within(path.rpartition("/")[0], said)
    problem = "installs what is outside of the repository" if place is None else place_problem(reading, place)
    if place is None or problem:
        raise RepositoryFault(f"{path}: `{said[:80]}` {problem}.", file=path, line=line)
    extras = tuple(sorted({canonicalize_name(extra) for extra in words(entry.get("extras"))}))
    return Project(place, entry.get("editable") is True, extras)


def _requirement(name: str, entry: Mapping[str, object]) -> str:
    extras = words(entry.get("extras"))
    named = f"{name}[{','.join(extras)}]" if extras else name
    url = _address(entry)
    version = word(entry.get("version")) or "*"
    exactly = "==" if version[:1].isdigit() else ""
    said = f"{named} @ {url}" if url else named if version == "*" else f"{named}{exactly}{version}"
    conditions = [f"({marker})" for marker in [word(entry.get("markers"))] if marker]
    conditions += [f"{key} {condition}" for key in _CONDITIONS if (condition := word(entry.get(key)))]
    return f"{said} ; {' and '.join(conditions)}" if conditions else said


def _address(entry: Mapping[str, object]) -> str | None:
    for system in _SYSTEMS:
        if url := word(entry.get(system)):
            ref, folder = word(entry.get("ref")), word(entry.get("subdirectory"))
            url = url if url.startswith(f"{system}+") else f"{system}+{url}"
            return url + (f"@{ref}" if ref else "") + (f"#subdirectory={folder}" if folder else "")
    return word(entry.get("file")) or word(entry.get("path"))


def _index_options(path: str, sources: object) -> tuple[str, ...]:
    """Return the options for the indexes; none where there is only PyPI, for which the host has its own."""
    urls = [url for source in rows(sources) if (url := word(source.get("url")))]
    for url in urls:
        if not INDEX.match(url):
            raise RepositoryFault(f"{path} has a source that is no address: {url[:80]!r}.", file=path)
    if all(PYPI.match(url) for url in urls):
        return ()
    first, *others = urls
    main = () if PYPI.match(first) else (f"--index-url {first}",)
    return (*main, *(f"--extra-index-url {url}" for url in others))
