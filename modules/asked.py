"""What a binder.yml asks for under `modules`, as it stands there: nothing is held against a module yet; pure.

modules:
  postgres:                  # or `postgres: "15"`, or a table
    version: "15"
    mode: single-node
    seed: data/shop.sql
    parameters: {database: shop, memory: 512 MiB}
  redis:

or, where all is as usual, `modules: [postgres, redis]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from binder.errors import RepositoryFault
from binder.plain_yaml import Node, Text, is_nothing, line_of
from modules.reading import is_name

KEY = "modules"
MOST = 8
"""How many modules one binder may have."""

_KEYS = ("version", "mode", "seed", "parameters")
_LONGEST = 1000


@dataclass(frozen=True)
class AskedModule:
    """A module that is asked for in a file; each text knows its line. None: as usual."""

    file: str
    name: Text
    version: Text | None = None
    mode: Text | None = None
    seed: Text | None = None
    parameters: Mapping[Text, Text] = field(default_factory=dict, hash=False)

    def fault(self, message: str, at: Text | None = None) -> RepositoryFault:
        """Return a fault at one of the texts, or where the module is asked for."""
        return RepositoryFault(message, file=self.file, line=(at if at is not None else self.name).line)


def read_modules(path: str, key: Text, value: Node) -> tuple[AskedModule, ...]:
    """Read the key `modules` of a binder.yml.

    Raises: RepositoryFault, with the line.
    """
    if isinstance(value, list):
        texts = [item for item in value if isinstance(item, Text)]
        if len(texts) < len(value):
            raise _fault(path, value, key, f"`{KEY}` in {path} must be a list of names, or a table.")
        twice = [item for number, item in enumerate(texts) if item in texts[:number]]
        if twice:
            raise _fault(path, twice[0], key, f"`{KEY}` in {path} names `{twice[0][:60]}` twice.")
        value = {item: item for item in texts}
        asked = [AskedModule(path, _name(path, name)) for name in value]
    elif isinstance(value, dict):
        asked = [_asked(path, _name(path, name), inner) for name, inner in value.items()]
    elif is_nothing(value):
        return ()
    else:
        raise _fault(path, value, key, f"`{KEY}` in {path} must be a list of names, or a table.")
    if len(asked) > MOST:
        raise _fault(path, asked[MOST].name, key, f"`{KEY}` in {path} asks for more than {MOST} modules.")
    return tuple(asked)


def _name(path: str, name: Text) -> Text:
    if not is_name(name):
        raise _fault(path, name, name, f"`{KEY}` in {path} asks for `{name[:60]}`, which is no name of a module.")
    return name


def _asked(path: str, name: Text, value: Node) -> AskedModule:
    if is_nothing(value):
        return AskedModule(path, name)
    if isinstance(value, Text):
        return AskedModule(path, name, version=value)
    if not isinstance(value, dict):
        raise _fault(path, value, name, f"`{name}` in {path} must be empty, a version, or a table.")
    texts: dict[str, Text] = {}
    parameters: dict[Text, Text] = {}
    for key, inner in value.items():
        if key not in _KEYS:
            known = ", ".join(f"`{one}`" for one in _KEYS)
            raise _fault(path, key, name, f"`{name}` in {path} does not know `{key[:60]}`. It may say {known}.")
        if key == "parameters":
            parameters = _parameters(path, name, key, inner)
        elif not is_nothing(inner):
            texts[str(key)] = _text(path, key, inner)
    return AskedModule(path, name, texts.get("version"), texts.get("mode"), texts.get("seed"), parameters)


def _parameters(path: str, name: Text, key: Text, value: Node) -> dict[Text, Text]:
    if is_nothing(value):
        return {}
    if not isinstance(value, dict):
        raise _fault(path, value, key, f"`parameters` of `{name}` in {path} must be a table.")
    return {inner: _text(path, inner, said) for inner, said in value.items()}


def _text(path: str, key: Text, value: Node) -> Text:
    if not isinstance(value, Text) or len(value) > _LONGEST:
        raise _fault(path, value, key, f"`{key[:60]}` in {path} must be one text or number.")
    return value


def _fault(path: str, node: Node, key: Text, message: str) -> RepositoryFault:
    return RepositoryFault(message, file=path, line=line_of(node) or key.line)
