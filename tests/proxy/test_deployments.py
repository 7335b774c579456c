"""What a session is deployed with: by the rules of modules, and without changing what was not asked for."""

import pytest

from binder.errors import VisitorFault
from binder.plain_yaml import text_at
from modules.asked import AskedModule
from modules.beginning import new_module
from modules.binding import choose_one
from modules.bound import as_json, from_json
from modules.catalogue import Catalogue
from modules.reading import read_module
from proxy.deployments import Deployment, modules_of

MODULE = read_module("mailbox", "1.0", new_module("mailbox", "1.0"), origin="tests")
CATALOGUE = Catalogue().joined([MODULE])
ASKED = AskedModule("binder.yml", text_at("mailbox", 1), parameters={text_at("memory", 1): text_at("128 MiB", 1)})
RESULT = {"modules": as_json([choose_one(ASKED, CATALOGUE, {}).bound(lambda _, image: f"it:{image.name}")])}


def test_what_is_not_asked_for_stays() -> None:
    assert modules_of(RESULT, Deployment(), Catalogue()) == RESULT["modules"]
    assert modules_of({}, Deployment(), Catalogue()) == ()
    (bound,) = from_json(modules_of(RESULT, Deployment("multi-node", {"mailbox.greeting": "Hi"}), CATALOGUE))
    assert (bound.mode, bound.values) == ("multi-node", {"greeting": "Hi", "memory": 128 * 2**20})
    assert bound.components[0].image == "it:server"
    assert bound.components[0].memory_bytes == 128 * 2**20


@pytest.mark.parametrize(
    ("result", "deployment", "says"),
    [
        ({}, Deployment("multi-node"), "This binder has no modules"),
        (RESULT, Deployment("many-nodes"), "has no mode `many-nodes`"),
        (RESULT, Deployment(None, {"redis.memory": "1"}), "'redis.memory' is no parameter"),
        (RESULT, Deployment(None, {"mailbox.greeting": "x" * 61}), "it must be a text of at most 60 characters"),
        (RESULT, Deployment(None, {"mailbox.memory": "1 B"}), "it must be a size"),
        (RESULT, Deployment(None, {"mailbox": "1"}), "has no parameter ``"),
    ],
)
def test_what_is_not_allowed_is_refused(result: dict[str, object], deployment: Deployment, says: str) -> None:
    with pytest.raises(VisitorFault) as caught:
        modules_of(result, deployment, CATALOGUE)
    assert says in caught.value.message


def test_a_module_that_is_gone_runs_as_it_was_built() -> None:
    with pytest.raises(VisitorFault, match="is not among the modules of this service any more"):
        modules_of(RESULT, Deployment("multi-node"), Catalogue())
