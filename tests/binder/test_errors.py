"""The tree of errors: whose fault it is, and where to look."""

import re
from typing import get_args

import pytest

from binder import errors
from binder.errors import BinderError, OperatorFault, Party, RepositoryFault, StoreUnavailableError, WorldFault


def test_every_party_has_its_error_and_the_drawing_shows_them() -> None:
    parties = {error.__name__: error.party for error in BinderError.__subclasses__()}
    assert set(parties.values()) == set(get_args(Party))
    assert set(re.findall(r"(?:├──|└──) (\w+)", errors.__doc__ or "")) == set(parties)


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (RepositoryFault("x", file="requirements.txt", line=7, step="environment"), "requirements.txt line 7"),
        (RepositoryFault("x", file="postBuild", step="postBuild"), "postBuild"),
        (RepositoryFault("x", step="environment"), "environment"),
        (RepositoryFault("x"), None),
    ],
)
def test_a_fault_of_the_repository_says_where(fault: RepositoryFault, place: str | None) -> None:
    assert fault.place == place


def test_a_message_can_be_read_by_whoever_catches_it() -> None:
    assert str(OperatorFault("The disk is full.")) == OperatorFault("The disk is full.").message == "The disk is full."


def test_a_store_that_does_not_answer_may_answer_later() -> None:
    assert issubclass(StoreUnavailableError, WorldFault)
