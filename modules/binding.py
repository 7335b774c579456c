"""Holds what a binder.yml asks for against the modules that there are; pure.

First they are *chosen*: which module it is, its mode, its parameters' values, its seed. That is known as soon as the
commit was read. Once it is known which images its components run in, the chosen module is *bound*.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from modules.asked import AskedModule
from modules.bound import Bound, BoundComponent, BoundSeed
from modules.catalogue import Catalogue
from modules.definition import OF_THE_NOTEBOOK, Image, Mode, Module, Value
from modules.parameters import ParameterError, size_said, value_of

ANY_SCRIPT = "*"
_DEFAULT_MODE: Mode = "single-node"
_EXECUTABLE, _FILE = "100755", "100644"

ImageOf = Callable[[Module, Image], str]
"""Returns the reference of an image of a module."""


@dataclass(frozen=True)
class Chosen:
    """A module with what is asked of it, before its images are known; `file` and `line` are where it is asked for."""

    module: Module
    mode: Mode
    values: Mapping[str, Value] = field(hash=False)
    seed: BoundSeed | None = None
    file: str = ""
    line: int | None = None

    @property
    def images(self) -> tuple[Image, ...]:
        """The images that the components of its mode run in, besides the session's own."""
        wanted = [self.module.components[name].image for name in self.module.replicas[self.mode]]
        return tuple(self.module.images[name] for name in dict.fromkeys(wanted) if name != OF_THE_NOTEBOOK)

    @property
    def memory_bytes(self) -> int:
        """What all of its components may use together."""
        replicas = self.module.replicas[self.mode]
        return sum(self._number(self.module.memory[name]) * self._number(many) for name, many in replicas.items())

    def bound(self, image_of: ImageOf) -> Bound:
        """Return the module as a build keeps it."""
        module, replicas = self.module, self.module.replicas[self.mode]
        return Bound(
            name=module.name,
            version=module.version,
            title=module.title,
            mode=self.mode,
            values=dict(self.values),
            secrets=module.secrets,
            components=tuple(self._component(name, many, image_of) for name, many in replicas.items()),
            environment=dict(module.client.environment),
            pages=tuple(page for page in module.pages if page.component in replicas),
            seed=self.seed,
        )

    def _component(self, name: str, many: int | str, image_of: ImageOf) -> BoundComponent:
        component = self.module.components[name]
        own = component.image == OF_THE_NOTEBOOK
        image = None if own else image_of(self.module, self.module.images[component.image])
        memory = self._number(self.module.memory[name])
        return BoundComponent(name, image, dict(component.template), self._number(many), memory)

    def _number(self, said: int | str) -> int:
        return int(self.values[said]) if isinstance(said, str) else said


def choose(
    asked: Sequence[AskedModule], catalogue: Catalogue, modes_of: Mapping[str, str], most_bytes: int
) -> tuple[Chosen, ...]:
    """Return the modules that a binder.yml asks for.

    `modes_of` maps the paths of a commit's files to git's modes; `most_bytes` is the memory that all modules of one
    session may use together.

    Raises: RepositoryFault, with the line, and what is allowed.
    """
    chosen = tuple(choose_one(one, catalogue, modes_of) for one in asked)
    together = sum(one.memory_bytes for one in chosen)
    if together > most_bytes:
        largest = max(zip(chosen, asked, strict=True), key=lambda pair: pair[0].memory_bytes)[1]
        at = next((text for name, text in largest.parameters.items() if name == "memory"), None)
        allowed = f"{size_said(most_bytes)} are allowed here" if most_bytes else "no modules are allowed here"
        raise largest.fault(
            f"The modules in {largest.file} ask for {size_said(together)} of memory together; {allowed}.", at
        )
    return chosen


def choose_one(asked: AskedModule, catalogue: Catalogue, modes_of: Mapping[str, str]) -> Chosen:
    """Return one module that is asked for.

    Raises: RepositoryFault, with the line, and what is allowed.
    """
    module = _module(asked, catalogue)
    values = {name: parameter.default for name, parameter in module.parameters.items()}
    for name, text in asked.parameters.items():
        parameter = module.parameters.get(name)
        if parameter is None:
            raise asked.fault(
                f"{module.title} has no parameter `{name[:60]}`{_meant(name, module.parameters)}. "
                f"It has {_listed(module.parameters)}.",
                name,
            )
        try:
            values[str(name)] = value_of(parameter, text)
        except ParameterError as error:
            raise asked.fault(f"{module.title} in {asked.file}: {error}", text) from error
    seed = _seed(asked, module, modes_of)
    return Chosen(module, _mode(asked, module), values, seed, asked.file, asked.name.line)


def _module(asked: AskedModule, catalogue: Catalogue) -> Module:
    versions = catalogue.versions(asked.name)
    if not versions:
        raise asked.fault(
            f"{asked.file} asks for the module `{asked.name}`, which there is not"
            f"{_meant(asked.name, catalogue.names)}. There are {_listed(catalogue.names)}."
        )
    module = catalogue.find(asked.name, asked.version)
    if module is None:
        raise asked.fault(
            f"{asked.file} asks for version `{(asked.version or '')[:60]}` of the module `{asked.name}`. "
            f"There are {_listed(versions)}.",
            asked.version,
        )
    return module


def _mode(asked: AskedModule, module: Module) -> Mode:
    found = next((mode for mode in module.replicas if mode == (asked.mode or _DEFAULT_MODE)), None)
    if found is None:
        raise asked.fault(
            f"{module.title} has no mode `{(asked.mode or '')[:60]}`. It has {_listed(module.replicas)}.", asked.mode
        )
    return found


def _seed(asked: AskedModule, module: Module, modes_of: Mapping[str, str]) -> BoundSeed | None:
    """Return the command that takes in a file of the repository: that of the longest suffix that its name has."""
    path = asked.seed
    if path is None:
        return None
    suffix, is_script = _suffix_of(path, module), modes_of.get(path) == _EXECUTABLE
    if path not in modes_of:
        raise asked.fault(f"The seed of {module.title}, {path[:200]}, is no file that the image has.", path)
    if modes_of[path] not in {_FILE, _EXECUTABLE}:
        raise asked.fault(
            f"The seed of {module.title}, {path[:200]}, must be a file; it is a link or a submodule.", path
        )
    if suffix is None and not (is_script and ANY_SCRIPT in module.seeds):
        raise asked.fault(f"{module.title} takes in {_taken_in(module)}; {path[:200]} is no such file.", path)
    # From the folder itself, so that no name of a file is taken for an option.
    return BoundSeed(module.seeds[suffix or ANY_SCRIPT], f"./{path}")


def _suffix_of(path: str, module: Module) -> str | None:
    found = [suffix for suffix in module.seeds if suffix != ANY_SCRIPT and path.endswith(suffix)]
    return max(found, key=len, default=None)


def _taken_in(module: Module) -> str:
    files = [f"files that end with `{suffix}`" for suffix in module.seeds if suffix != ANY_SCRIPT]
    scripts = ["executable scripts"] if ANY_SCRIPT in module.seeds else []
    return " and ".join([*files, *scripts]) or "no seed"


def _meant(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    close = get_close_matches(name[:60], list(known), n=1)
    return f" (is `{close[0]}` meant?)" if close else ""


def _listed(words: Sequence[str] | Mapping[str, object] | Mapping[Mode, object]) -> str:
    return ", ".join(f"`{word}`" for word in words) or "none"
