"""Reads a component's template, `components/<component>.json`: what its container runs, and how it is seen to be ready.

It stays a template: values are put in when a session starts. All that can be known before is checked here.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from binder.errors import RepositoryFault
from modules.definition import Parameter
from modules.filling import HOSTS, TemplateError, check_places, names_in
from modules.tables import PORT, VARIABLE, File, is_short_template, words_of
from templates import Json

KEYS = ("command", "environment", "ports", "health", "seconds", "cpus", "folders")
MOST_SECONDS = 600
MOST_CPUS = 16

_OF_A_CONTAINER = ("index", "memory_bytes")
_NO_PLACES = ("/proc", "/sys", "/dev", "/etc", "/usr", "/bin", "/lib", "/sbin", "/run/secrets", "/opt/binder")
_FOLDER = re.compile(r"\A(?:/[A-Za-z0-9._-]{1,60}){1,8}\Z")
_WHOLE = re.compile(r"\A\{\{ ?([a-z][a-z0-9_]*) ?\}\}\Z")
_LOWEST_PORT = 1024


def reserved_names() -> frozenset[str]:
    """Return the names that templates are given here, so that no parameter or secret may have them."""
    return frozenset({HOSTS, "file", *_OF_A_CONTAINER})


def read_component_template(
    file: File, text: str, names: Collection[str], parameters: Mapping[str, Parameter], secrets: Collection[str]
) -> Mapping[str, Any]:
    """Return a component's template; `names` are those of the values that all templates of the module are given.

    Those of `secrets` are given to its environment alone: whoever sees processes sees their arguments.

    Raises: RepositoryFault, with the line where there is one.
    """
    return _Reader(file, text, frozenset({*names, *_OF_A_CONTAINER}), parameters, secrets).template()


class _Reader:
    """Reads one template."""

    def __init__(
        self,
        file: File,
        text: str,
        names: frozenset[str],
        parameters: Mapping[str, Parameter],
        secrets: Collection[str],
    ) -> None:
        self._file = file
        self._text = text
        self._names = names
        self._parameters = parameters
        self._secrets = secrets

    def template(self) -> Mapping[str, Any]:
        root = self._parsed()
        if not isinstance(root, dict):
            raise self._fault("", f"{self._file.path} must be a table of JSON.")
        for key in root:
            if key not in KEYS:
                known = ", ".join(f"`{one}`" for one in KEYS)
                raise self._fault(key, f"{self._file.path} does not know `{key[:60]}`. It may say {known}.")
        self._texts("command", root.get("command", []))
        self._texts("health", root.get("health", []))
        if not root.get("health"):
            raise self._fault("health", f"{self._file.path} must have `health`: the command that tells it is ready.")
        self._check_environment(root.get("environment", {}))
        self._check_ports(root.get("ports", {}))
        self._check_number("seconds", root.get("seconds", 60), 1, MOST_SECONDS)
        self._check_number("cpus", root.get("cpus", 1), 0.1, MOST_CPUS)
        self._check_folders(root.get("folders", []))
        self._check_places(root)
        return root

    def _parsed(self) -> Any:
        try:
            return json.loads(self._text, object_pairs_hook=_once, parse_constant=_refused)
        except RecursionError:
            raise self._fault("", f"{self._file.path} is nested too deeply.") from None
        except json.JSONDecodeError as error:
            raise RepositoryFault(
                f"{self._file.path} is not JSON: {error.msg}.", file=self._file.path, line=error.lineno
            ) from error
        except ValueError as error:
            raise self._fault("", f"{self._file.path} is not JSON: {str(error)[:200]}.") from error

    def _texts(self, key: str, value: Any) -> None:
        if not isinstance(value, list) or len(value) > 100 or not all(map(_is_text, value)):
            raise self._fault(key, f"`{key}` in {self._file.path} must be a command: a list of texts.")
        for name in sorted(names_in(value).intersection(self._secrets)):
            raise self._fault(
                f'"{key}"',
                f"`{key}` in {self._file.path} asks for the secret `{name}`, which everybody who sees processes would "
                "see: give it in `environment`.",
            )

    def _check_environment(self, value: Any) -> None:
        if not isinstance(value, dict) or len(value) > 100:
            raise self._fault("environment", f"`environment` in {self._file.path} must be a table of variables.")
        for name, inner in value.items():
            if not VARIABLE.match(name):
                raise self._fault(name, f"`{name[:60]}` in {self._file.path} is no {words_of(VARIABLE)}.")
            if not _is_text(inner) and (isinstance(inner, bool) or not isinstance(inner, int)):
                raise self._fault(name, f"`{name}` in {self._file.path} must be a text or a whole number.")

    def _check_ports(self, value: Any) -> None:
        if not isinstance(value, dict) or len(value) > 20:
            raise self._fault("ports", f"`ports` in {self._file.path} must be a table of ports.")
        for name, inner in value.items():
            if not PORT.match(name):
                raise self._fault(name, f"`{name[:60]}` in {self._file.path} is no {words_of(PORT)}.")
            self._check_number(name, inner, _LOWEST_PORT, 65535)
            if isinstance(inner, float):
                raise self._fault(name, f"`{name}` in {self._file.path} must be a whole number.")

    def _check_number(self, key: str, value: Any, least: float, most: float) -> None:
        """See that a number is within its bounds; so must be the parameter that it may be instead."""
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return
        place = _WHOLE.match(value) if isinstance(value, str) else None
        parameter = self._parameters.get(place[1]) if place else None
        bounds = (parameter.least, parameter.most) if parameter and parameter.kind == "integer" else (None, None)
        if any(bound is None or not least <= bound <= most for bound in bounds):
            raise self._fault(
                key,
                f"`{key}` in {self._file.path} must be a number from {least:g} to {most:g}, or `{{{{ name }}}}` of a "
                "parameter that is an integer with such bounds.",
            )

    def _check_folders(self, value: Any) -> None:
        if not isinstance(value, list) or len(value) > 10:
            raise self._fault("folders", f"`folders` in {self._file.path} must be a list of folders.")
        for folder in value:
            parts = folder.split("/") if isinstance(folder, str) else [""]
            is_kept = isinstance(folder, str) and any(f"{folder}/".startswith(f"{kept}/") for kept in _NO_PLACES)
            if not isinstance(folder, str) or not _FOLDER.match(folder) or {".", ".."} & set(parts) or is_kept:
                raise self._fault(
                    "folders",
                    f"{str(folder)[:80]!r} in {self._file.path} must be a folder of the container's own, as "
                    "`/var/lib/postgresql`.",
                )
        if len(set(value)) < len(value):
            raise self._fault("folders", f"`folders` in {self._file.path} names a folder twice.")

    def _check_places(self, root: Json) -> None:
        try:
            check_places(root)
        except TemplateError as error:
            raise self._fault(_quoted(str(error)), f"{self._file.path}: {error}") from error
        for name in sorted(names_in(root) - self._names):
            known = ", ".join(f"`{one}`" for one in sorted(self._names))
            raise self._fault(f"{{{{ {name}", f"{self._file.path} asks for `{name}`; here there are {known}.")

    def _fault(self, about: str, message: str) -> RepositoryFault:
        """Return a fault, at the first line that holds `about`."""
        lines = self._text.split("\n")
        found = (number for number, line in enumerate(lines, start=1) if about and about in line)
        return RepositoryFault(message, file=self._file.path, line=next(found, None))


def _quoted(message: str) -> str:
    return message.split("`")[1][:40]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and is_short_template(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"it has the key {next(key for key in keys if keys.count(key) > 1)[:60]!r} twice")
    return found


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number")
