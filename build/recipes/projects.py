"""What a project of the repository needs that is itself installed, as far as its pyproject.toml tells without a build.

Where only a build can tell (setup.py, dynamic metadata), resolving reads the repository's files, and they are inputs.

Source: https://packaging.python.org/en/latest/specifications/pyproject-toml/
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.asked import Asked, Project, joined, made_list
from build.recipes.reading import Reading, lines_naming, table, word, words
from build.recipes.requirements import package_named, requirement_of
from build.recipes.runtime import Requires

MANIFEST = "pyproject.toml"


@dataclass(frozen=True)
class Manifest:
    """A pyproject.toml: all that it says, and the lines that name a package, by normalised name."""

    path: str
    data: Mapping[str, object]
    lines: Mapping[str, int]

    @property
    def project(self) -> Mapping[str, object]:
        """What it says of the project."""
        return table(self.data.get("project"))

    @property
    def name(self) -> str | None:
        """The project's normalised name."""
        name = word(self.project.get("name"))
        return canonicalize_name(name) if name else None

    @property
    def is_package(self) -> bool:
        """Whether the project is one that pip installs."""
        return "project" in self.data and "build-system" in self.data

    @property
    def requires(self) -> tuple[Requires, ...]:
        """The Pythons that the project allows."""
        python = word(self.project.get("requires-python"))
        return (Requires(python, self.path, self.lines.get("requires-python")),) if python else ()

    @property
    def dependencies(self) -> tuple[str, ...] | None:
        """What the project needs, or None where only a build can tell.

        Raises: RepositoryFault.
        """
        dynamic = {"dependencies", "optional-dependencies"} & set(self._strings(self.project.get("dynamic")))
        return None if dynamic or "project" not in self.data else self.listed(self.project.get("dependencies"))

    @property
    def extras(self) -> Mapping[str, tuple[str, ...]]:
        """What each extra needs, by its normalised name.

        Raises: RepositoryFault.
        """
        extras = table(self.project.get("optional-dependencies"))
        return {canonicalize_name(extra): self.listed(listed) for extra, listed in extras.items()}

    @property
    def named(self) -> Mapping[str, tuple[str, int]]:
        """The file and line of each package that it names."""
        return {name: (self.path, line) for name, line in self.lines.items()}

    def listed(self, listed: object) -> tuple[str, ...]:
        """Return the packages that a list of it asks for.

        Raises: RepositoryFault, with the line.
        """
        return tuple(self.requirement(said) for said in self._strings(listed))

    def requirement(self, said: str) -> str:
        """Return a package that it asks for.

        Raises: RepositoryFault, with the line.
        """
        return requirement_of(said, self.path, self.lines.get(package_named(said) or ""))

    def _strings(self, listed: object) -> tuple[str, ...]:
        found = words(listed)
        if listed is not None and (not isinstance(listed, list) or len(found) != len(listed)):
            raise RepositoryFault(f"{self.path} has something else where a list of names should be.", file=self.path)
        return found


def manifest_of(reading: Reading, path: str) -> Manifest:
    """Read a pyproject.toml.

    Raises: NotReadYet; RepositoryFault, with the line.
    """
    return Manifest(path, reading.toml(path), lines_naming(reading.text(path)))


def needs_of(manifest: Manifest, dependencies: Iterable[str], extras: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what a project needs, each once; its extras may name others of its own."""
    needs, its_extras = dict.fromkeys(dependencies), manifest.extras if extras else {}
    todo, done = sorted(set(extras)), set[str]()
    while todo:
        extra = todo.pop(0)
        done.add(extra)
        for line in its_extras.get(extra, ()):
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == manifest.name:
                todo += sorted({canonicalize_name(own) for own in requirement.extras} - {*done, *todo})
            else:
                needs[line] = None
    return tuple(needs)


def group_of(manifest: Manifest, name: str) -> tuple[str, ...]:
    """Return what a dependency group asks for, with the groups that it includes.

    Raises: RepositoryFault.
    Source: https://packaging.python.org/en/latest/specifications/dependency-groups/
    """
    groups = {canonicalize_name(key): listed for key, listed in table(manifest.data.get("dependency-groups")).items()}
    found: dict[str, None] = {}
    todo, done = [canonicalize_name(name)], set[str]()
    while todo:
        one = todo.pop(0)
        done.add(one)
        listed = groups.get(one, [])
        for item in listed if isinstance(listed, list) else []:
            if isinstance(item, str):
                found[manifest.requirement(item)] = None
            elif included := word(table(item).get("include-group")):
                todo += {canonicalize_name(included)} - {*done, *todo}
    return tuple(found)


def installed(reading: Reading, places: Sequence[Project]) -> Asked:
    """Return what the parts of the repository need that are themselves installed, and these parts.

    Raises: NotReadYet; RepositoryFault.
    """
    paths = [f"{place.path}/{MANIFEST}".lstrip("/") for place in places]
    reading.require(*paths)
    manifests = [manifest_of(reading, path) if path in reading.files else None for path in paths]
    own = {manifest.name for manifest in manifests if manifest}
    lines: dict[str, None] = {}
    named: dict[str, tuple[str, int]] = {}
    reads_tree = False
    for place, manifest in zip(places, manifests, strict=True):
        dependencies = manifest.dependencies if manifest else None
        if manifest is None or dependencies is None:
            reads_tree = True
            lines[_as_requirement(place)] = None
            continue
        needs = needs_of(manifest, dependencies, place.extras)
        lines |= dict.fromkeys(line for line in needs if package_named(line) not in own)
        named = {**manifest.named, **named}
    requires = tuple(one for manifest in manifests if manifest for one in manifest.requires)
    return joined(
        made_list("projects", lines, named), Asked(places=tuple(places), requires=requires, reads_tree=reads_tree)
    )


def _as_requirement(place: Project) -> str:
    extras = f"[{','.join(place.extras)}]" if place.extras else ""
    return f"./{place.path}{extras}"  # of a dot alone, uv makes a dot alone, which is no path
