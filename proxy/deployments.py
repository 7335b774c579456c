"""What a session is deployed with beside its binder: how its modules run, and their parameters. Pure.

A module is chosen and bound anew, with what its build keeps of it and what is asked for here: by the same rules as what
a repository asks for, and as strictly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from binder.errors import RepositoryFault, VisitorFault
from binder.plain_yaml import Text, text_at
from modules.asked import AskedModule
from modules.binding import choose_one
from modules.bound import Bound, as_json, from_json
from modules.catalogue import Catalogue
from modules.definition import Image, Module
from modules.parameters import said

_HERE = "the deployment"
"""What stands for the file in what the rules of modules have to say."""


@dataclass(frozen=True)
class Deployment:
    """What an operator asks for: a mode for all modules, and parameters, `module.name` → how it is written."""

    mode: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it is what the repository asks for."""
        return self.mode is None and not self.parameters


def modules_of(result: Mapping[str, Any], deployment: Deployment, catalogue: Catalogue) -> Sequence[Mapping[str, Any]]:
    """Return the modules that a build's result keeps, as they are deployed.

    Raises: VisitorFault, with what is allowed.
    """
    kept: Sequence[Mapping[str, Any]] = result.get("modules") or ()
    if deployment.is_plain:
        return kept
    bound = from_json(kept)
    if not bound:
        raise VisitorFault("This binder has no modules, so that there is no mode and no parameter of one.")
    names = {one.name for one in bound}
    for name in deployment.parameters:
        if name.partition(".")[0] not in names:
            raise VisitorFault(
                f"{name[:100]!r} is no parameter: this binder has the modules {', '.join(sorted(names))}."
            )
    return as_json([_bound(one, deployment, catalogue) for one in bound])


def _bound(kept: Bound, deployment: Deployment, catalogue: Catalogue) -> Bound:
    asked = {
        name.partition(".")[2]: text
        for name, text in deployment.parameters.items()
        if name.partition(".")[0] == kept.name
    }
    if not asked and deployment.mode in {None, kept.mode}:
        return kept
    module = catalogue.find(kept.name, kept.version)
    if module is None:
        raise VisitorFault(
            f"{kept.title} {kept.version} is not among the modules of this service any more, or its repository brings "
            "it: it runs as the binder says, and in no other way."
        )
    known = {
        name: said(module.parameters[name], value) for name, value in kept.values.items() if name in module.parameters
    }
    wanted = AskedModule(
        _HERE,
        _text(kept.name),
        version=_text(kept.version),
        mode=_text(deployment.mode or kept.mode),
        parameters={_text(name): _text(text) for name, text in {**known, **asked}.items()},
    )
    try:
        chosen = choose_one(wanted, catalogue, {})
    except RepositoryFault as error:
        raise VisitorFault(error.message) from error
    return replace(chosen.bound(lambda module, image: _image_of(kept, module, image)), seed=kept.seed)


def _image_of(kept: Bound, module: Module, image: Image) -> str:
    """Return the image that the build has for an image of a module.

    Raises: VisitorFault, where it has none, since the mode that it was built for needs none.
    """
    if image.reference:
        return image.reference
    for component in kept.components:
        if component.image and module.components[component.name].image == image.name:
            return component.image
    raise VisitorFault(
        f"{module.title} has no image {image.name} in this build, which is for the mode {kept.mode}. Ask for the other "
        "mode in binder.yml."
    )


def _text(text: str) -> Text:
    return text_at(text, 1)
