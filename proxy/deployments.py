"""What a session is deployed with beside its binder: how its modules run, and their parameters. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from binder.errors import VisitorFault


@dataclass(frozen=True)
class Deployment:
    """What an operator asks for: a mode for all modules, and parameters, `module.name` → how it is written."""

    mode: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it is what the repository asks for."""
        return self.mode is None and not self.parameters


def modules_of(result: Mapping[str, Any], deployment: Deployment) -> Sequence[Mapping[str, Any]]:
    """Return the modules that a build's result keeps, as they are deployed.

    Raises: VisitorFault, where something is asked for that is not allowed.
    """
    kept: Sequence[Mapping[str, Any]] = result.get("modules") or ()
    if deployment.is_plain:
        return kept
    raise VisitorFault("This binder has no modules, so that there is no mode and no parameter of one.")
