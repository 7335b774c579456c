"""Reads the folder of a module, from wherever its files come, into a `Module`: strictly, whoever wrote it.

Owns `module.yml`; what a component's template says is read by `modules.component_templates`, and what is laid into the
notebook's image by `modules.clients`. Every fault is a RepositoryFault that names file and line; for an operator's
folder, `modules.catalogue` turns it into theirs.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from binder.errors import RepositoryFault
from binder.names import digest_of, is_inside
from binder.plain_yaml import Node, Text, read_yaml
from modules.clients import read_client
from modules.component_templates import read_component_template, reserved_names
from modules.definition import OF_THE_NOTEBOOK, Component, Image, Mode, Module, Page, Parameter
from modules.filling import HOSTS, hosts_in
from modules.parameter_tables import read_parameters
from modules.parameters import size_of
from modules.tables import COMPONENT, NAME, PLACE, PORT, File, is_short_template, text_of

DEFINITION = "module.yml"
MOST_FILES = 200
MOST_BYTES = 4 * 2**20
LARGEST_FILE_BYTES = 2**20
LARGEST_TEMPLATE_BYTES = 2**15
"""How large `module.yml` and a component's template may be, each."""

MOST_REPLICAS = 20
"""How many containers a module may have in one mode."""

_VERSION = re.compile(r"\A[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}\Z")
_REFERENCE = re.compile(
    r"\A[a-z0-9][a-z0-9.-]{0,100}(?::[0-9]{1,5})?(?:/[a-z0-9._-]{1,100}){1,8}@sha256:[0-9a-f]{64}\Z"
)
_SUITE = re.compile(r"\A[a-z]{3,20}\Z")
_SUFFIX = re.compile(r"\A(?:\.[a-z0-9]{1,10}){1,2}\Z")
_URL_PATH = re.compile(r"\A/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,199}\Z")
_NUMBER = re.compile(r"\A[0-9]{1,2}\Z", re.ASCII)
_KEYS = ("title", "summary", "parameters", "secrets", "images", "components", "modes", "client", "seeds", "pages")
_MODES: tuple[Mode, ...] = ("single-node", "multi-node")


def is_name(text: str) -> bool:
    """Whether a module may have this name."""
    return bool(NAME.match(text))


def is_version(text: str) -> bool:
    """Whether a module may have this version: `15`, or `3.5.1`."""
    return bool(_VERSION.match(text))


def read_module(name: str, version: str, files: Mapping[str, bytes], *, origin: str, folder: str = "") -> Module:
    """Return what the files of a module's folder (path in it → content) define.

    `folder` is what stands before each path where a fault names it, and `origin` says in words where it comes from.

    Raises: RepositoryFault.
    """
    where = folder.rstrip("/") or f"{name}/{version}"
    _check_files(name, version, files, where)
    file = File(f"{where}/{DEFINITION}")
    if DEFINITION not in files:
        raise RepositoryFault(f"{where} has no {DEFINITION}, so it is no module.", file=file.path)
    text = text_of(file, files[DEFINITION])
    return _Reader(name, version, files, where, file).module(read_yaml(file.path, text), origin)


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """Return what stands for files: path → content."""
    return digest_of("files", sorted((path, hashlib.sha256(content).hexdigest()) for path, content in files.items()))


def _check_files(name: str, version: str, files: Mapping[str, bytes], where: str) -> None:
    if not is_name(name):
        raise RepositoryFault(
            f"{where} is the folder of no module: its name must be of small letters, digits and hyphens, a letter "
            "first, 20 at most.",
            file=where,
        )
    if not is_version(version):
        raise RepositoryFault(f"{where} is of no version: that must be as `15` or `3.5.1`.", file=where)
    if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_BYTES:
        most = f"{MOST_FILES} files and {MOST_BYTES // 2**20} MiB"
        raise RepositoryFault(f"{where} holds more than {most}, which is more than a module may.", file=where)
    for path, content in files.items():
        place = f"{where}/{path}"
        if not is_inside(path) or not path.isprintable():
            raise RepositoryFault(f"{where} holds the file {path[:200]!r}, which no module may have.", file=where)
        if len(content) > LARGEST_FILE_BYTES:
            raise RepositoryFault(f"{place} is larger than 1 MiB.", file=place)
        is_template = path == DEFINITION or path.startswith("components/")
        if is_template and len(content) > LARGEST_TEMPLATE_BYTES:
            raise RepositoryFault(f"{place} is larger than {LARGEST_TEMPLATE_BYTES // 2**10} KiB.", file=place)


class _Reader:
    """Reads one module."""

    def __init__(self, name: str, version: str, files: Mapping[str, bytes], where: str, file: File) -> None:
        self._name = name
        self._version = version
        self._files = files
        self._where = where
        self._file = file
        self._parameters: Mapping[str, Parameter] = {}
        self._secrets: tuple[str, ...] = ()
        self._images: dict[str, Image] = {}

    def module(self, root: Node, origin: str) -> Module:
        file = self._file
        top = file.table("The definition", root, _KEYS)
        said = {str(key): value for key, value in top.items()}
        nothing = read_yaml(file.path, "")
        first = next(iter(top), nothing)
        title = file.text("`title`", said.get("title"), 60, near=first)
        summary = file.text("`summary`", said.get("summary"), 400, near=first)
        self._parameters = read_parameters(file, said.get("parameters", nothing), first)
        self._read_secrets(said.get("secrets", nothing), first)
        self._read_images(said.get("images", nothing), first)
        components, memory = self._components(said.get("components", nothing), first)
        replicas = self._modes(said.get("modes", nothing), first, components)
        self._check_hosts(components, replicas)
        everywhere = _in_all_modes(replicas)
        client = read_client(
            file, said.get("client", nothing), self._files, self._name, self._names, everywhere, self._where
        )
        seeds = self._seeds(said.get("seeds", nothing), first, everywhere)
        self._refuse_unknown(components)
        return Module(
            name=self._name,
            version=self._version,
            title=str(title),
            summary=str(summary),
            digest=digest_of("module", self._name, self._version, digest_of_files(self._files)),
            origin=origin,
            parameters=self._parameters,
            secrets=self._secrets,
            images=self._images,
            components=components,
            replicas=replicas,
            client=client,
            pages=self._pages(said.get("pages", nothing), first, components),
            seeds=seeds,
            memory=memory,
            files=dict(self._files),
            folder=self._where,
        )

    @property
    def _names(self) -> frozenset[str]:
        """What all templates of the module may ask for."""
        return frozenset({*self._parameters, *self._secrets, HOSTS})

    def _read_secrets(self, node: Node, near: Node) -> None:
        found: list[str] = []
        for item in self._file.items("`secrets`", node, 10, near=near):
            if (
                not isinstance(item, Text)
                or not PLACE.match(item)
                or item in {*self._parameters, *reserved_names(), *found}
            ):
                raise self._file.fault(
                    f"A secret in {self._file.path} must be a name of its own, of small letters and digits.", item, near
                )
            found.append(str(item))
        self._secrets = tuple(found)

    def _read_images(self, node: Node, near: Node) -> None:
        file = self._file
        for name, said in file.named("`images`", node, COMPONENT, 10, near=near).items():
            if name == OF_THE_NOTEBOOK:
                raise file.fault(
                    f"`{name}` in {file.path} is the session's own image; give this one another name.", name
                )
            given = (
                {"folder": said}
                if isinstance(said, Text)
                else {
                    str(key): value
                    for key, value in file.table(
                        f"The image `{name}`", said, ("folder", "debian", "reference"), near=name
                    ).items()
                }
            )
            self._images[str(name)] = self._image(name, given)

    def _image(self, name: Text, given: Mapping[str, Node]) -> Image:
        file = self._file
        if set(given) == {"reference"}:
            reference = file.text(f"The reference of `{name}`", given["reference"], 500, near=name)
            if not _REFERENCE.match(reference):
                raise file.fault(
                    f"The reference of `{name}` in {file.path} must be an image by its digest: `host/name@sha256:…`.",
                    reference,
                )
            return Image(str(name), reference=str(reference))
        folder = file.text(f"The folder of `{name}`", given.get("folder"), 200, near=name)
        if folder != f"images/{name}" or f"{folder}/Containerfile" not in self._files:
            raise file.fault(
                f"The image `{name}` in {file.path} must be the folder `images/{name}`, with a Containerfile in it.",
                folder,
            )
        suite = file.text(f"`debian` of `{name}`", given["debian"], 20, near=name) if "debian" in given else None
        if suite is not None and not _SUITE.match(suite):
            raise file.fault(f"`debian` of `{name}` in {file.path} must be a release, as `bookworm`.", suite)
        return Image(str(name), folder=str(folder), suite=None if suite is None else str(suite))

    def _components(self, node: Node, near: Node) -> tuple[dict[str, Component], dict[str, int | str]]:
        file = self._file
        components: dict[str, Component] = {}
        memory: dict[str, int | str] = {}
        table = file.named("`components`", node, COMPONENT, 10, near=near)
        for name, inner in table.items():
            said = file.table(f"The component `{name}`", inner, ("image", "memory"), near=name)
            image = file.text(f"The `image` of `{name}`", said.get(Text("image")), 40, near=name)
            if image != OF_THE_NOTEBOOK and image not in self._images:
                known = ", ".join(f"`{one}`" for one in [*self._images, OF_THE_NOTEBOOK])
                raise file.fault(f"`{name}` in {file.path} runs in the image `{image}`; there are {known}.", image)
            path = f"components/{name}.json"
            if path not in self._files:
                raise file.fault(
                    f"`{name}` in {file.path} is a component, and {self._where}/{path} is not there.", name
                )
            place = File(f"{self._where}/{path}")
            text = text_of(place, self._files[path])
            template = read_component_template(place, text, self._names, self._parameters, self._secrets)
            components[str(name)] = Component(str(name), str(image), template)
            memory[str(name)] = self._memory(name, said.get(Text("memory")))
        if not components:
            raise file.fault(f"{file.path} must have `components`: a module without any is a package.", near)
        return components, memory

    def _memory(self, name: Text, node: "Node | None") -> int | str:
        text = self._file.text(f"The `memory` of `{name}`", node, 40, near=name)
        if (parameter := self._parameters.get(text)) and parameter.kind == "size":
            return str(text)
        size = size_of(text)
        if not size or size < 16 * 2**20:
            raise self._file.fault(
                f"The `memory` of `{name}` in {self._file.path} must be a size such as `256 MiB`, 16 MiB at least, or "
                "the name of a parameter of the kind size.",
                text,
            )
        return size

    def _modes(self, node: Node, near: Node, components: Collection[str]) -> dict[Mode, Mapping[str, int | str]]:
        file = self._file
        found: dict[Mode, Mapping[str, int | str]] = {}
        for mode, inner in file.table("`modes`", node, _MODES, near=near).items():
            replicas: dict[str, int | str] = {}
            for component, many in file.table(f"`{mode}`", inner, tuple(components), near=mode).items():
                replicas[str(component)] = self._many(component, many)
            if not replicas:
                raise file.fault(f"`{mode}` in {file.path} has no component.", mode)
            if sum(map(self._most_of, replicas.values())) > MOST_REPLICAS:
                raise file.fault(f"`{mode}` in {file.path} may come to more than {MOST_REPLICAS} containers.", mode)
            found[cast(Mode, str(mode))] = replicas
        if "single-node" not in found:
            raise file.fault(f"{file.path} must say in `modes` what there is in `single-node`.", node, near)
        return found

    def _most_of(self, many: int | str) -> int:
        return many if isinstance(many, int) else self._parameters[many].most or 0

    def _many(self, component: Text, node: Node) -> int | str:
        if isinstance(node, Text):
            if _NUMBER.match(node) and 1 <= int(node) <= MOST_REPLICAS:
                return int(node)
            parameter = self._parameters.get(node)
            if parameter and parameter.kind == "integer":
                least, most = parameter.least or 0, parameter.most or MOST_REPLICAS + 1
                if least >= 1 and most <= MOST_REPLICAS:
                    return str(node)
        raise self._file.fault(
            f"How many there are of `{component}` in {self._file.path} must be a number from 1 to {MOST_REPLICAS}, or "
            "a parameter that is an integer with such bounds.",
            node,
            component,
        )

    def _check_hosts(
        self, components: Mapping[str, Component], replicas: Mapping[Mode, Mapping[str, int | str]]
    ) -> None:
        for mode, there in replicas.items():
            for name in there:
                template: Any = dict(components[name].template)
                if missing := sorted(hosts_in(template) - set(there)):
                    path = f"{self._where}/components/{name}.json"
                    raise RepositoryFault(
                        f"{path} asks for `hosts.{missing[0]}`, which there is not in the mode {mode}.", file=path
                    )

    def _seeds(self, node: Node, near: Node, everywhere: frozenset[str]) -> dict[str, tuple[str, ...]]:
        file = self._file
        found: dict[str, tuple[str, ...]] = {}
        for suffix, inner in file.table("`seeds`", node, near=near).items():
            if suffix != "*" and not _SUFFIX.match(suffix):
                raise file.fault(f"A seed in {file.path} must be a suffix such as `.sql`, or `*`.", suffix)
            items = file.items(f"The seed `{suffix}`", inner, 40, near=suffix)
            command = [item for item in items if isinstance(item, Text) and is_short_template(item)]
            if not command or len(command) < len(items):
                raise file.fault(
                    f"The seed `{suffix}` in {file.path} must be a command: a list of texts.", inner, suffix
                )
            asked: Any = list(command)
            # Whoever sees processes sees their arguments: a secret is in the client's environment, if at all.
            file.template(f"The seed `{suffix}`", asked, {*self._names, "file"} - {*self._secrets}, inner)
            self._check_everywhere(f"The seed `{suffix}`", asked, everywhere, inner)
            found[str(suffix)] = tuple(map(str, command))
        return found

    def _check_everywhere(self, what: str, template: Any, everywhere: frozenset[str], node: Node) -> None:
        """See that a template asks for no host of a component that some mode lacks."""
        if missing := sorted(hosts_in(template) - everywhere):
            raise self._file.fault(
                f"{what} in {self._file.path} asks for `hosts.{missing[0]}`, which not every mode has.", node
            )

    def _pages(self, node: Node, near: Node, components: Mapping[str, Component]) -> tuple[Page, ...]:
        file = self._file
        found: list[Page] = []
        for item in file.items("`pages`", node, 10, near=near):
            said = {
                str(key): value
                for key, value in file.table("A page", item, ("title", "component", "port", "path"), near=near).items()
            }
            title = file.text("The `title` of a page", said.get("title"), 60, near=item)
            component = file.text("The `component` of a page", said.get("component"), 40, near=item)
            port = file.text("The `port` of a page", said.get("port"), 20, near=item)
            if component not in components:
                raise file.fault(f"A page in {file.path} is of `{component}`, which is no component.", component)
            if port not in components[component].template.get("ports", {}) or not PORT.match(port):
                raise file.fault(f"A page in {file.path} is at the port `{port}`, which `{component}` has not.", port)
            path = said.get("path", Text("/"))
            if not isinstance(path, Text) or not _URL_PATH.match(path):
                raise file.fault(f"The `path` of a page in {file.path} must begin with a slash.", path, item)
            found.append(Page(str(title), str(component), str(port), str(path)))
        return tuple(found)

    def _refuse_unknown(self, components: Collection[str]) -> None:
        """Refuse files that nothing reads: what is meant by them would be missed in silence."""
        folders = tuple(f"{image.folder}/" for image in self._images.values() if image.folder)
        known = {DEFINITION, "README.md", *(f"components/{name}.json" for name in components)}
        for path in sorted(self._files):
            if path not in known and not path.startswith((*folders, "client/")):
                place = f"{self._where}/{path}"
                raise RepositoryFault(f"{place} belongs to nothing that {self._file.path} names.", file=place)


def _in_all_modes(replicas: Mapping[Mode, Mapping[str, int | str]]) -> frozenset[str]:
    every: Sequence[frozenset[str]] = [frozenset(there) for there in replicas.values()]
    return every[0].intersection(*every)
