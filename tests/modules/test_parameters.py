"""Values of parameters: what is allowed comes through as it is, all else is refused with what is allowed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.definition import Parameter, Value
from modules.parameters import LONGEST_TEXT, ParameterError, allowed_of, said, size_of, size_said, value_of

_TEXT = Parameter("name", "text", "x", "A name.", least=1, most=31, pattern="[a-z][a-z0-9_]*")
_NUMBER = Parameter("workers", "integer", 2, "How many.", least=1, most=8)
_SIZE = Parameter("memory", "size", 2**28, "How much.", least=2**27, most=2**32)
_FLAG = Parameter("fast", "flag", True, "Whether.")
_CHOICE = Parameter("locale", "choice", "C", "Which.", choices=("C", "C.UTF-8"))
_FREE = Parameter("greeting", "text", "", "What is said.")


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (_TEXT, "shop_1", "shop_1"),
        (_NUMBER, "8", 8),
        (_SIZE, "512 MiB", 2**29),
        (_SIZE, "0.5G", 2**29),
        (_SIZE, "1024MB", 2**30),
        (_FLAG, "false", False),
        (_CHOICE, "C.UTF-8", "C.UTF-8"),
        (_FREE, "", ""),
        (_FREE, "It's {{ me }}; $(rm) \"", "It's {{ me }}; $(rm) \""),
    ],
)
def test_what_is_allowed_is_taken(parameter: Parameter, text: str, value: Value) -> None:
    assert value_of(parameter, text) == value
    assert type(value_of(parameter, text)) is type(value)


@pytest.mark.parametrize(
    ("parameter", "text", "allowed"),
    [
        (_TEXT, "Shop", "a text of 1 to 31 characters that matches `[a-z][a-z0-9_]*`"),
        (_TEXT, "", "a text of 1 to 31 characters"),
        (_TEXT, "a" * 32, "a text of 1 to 31 characters"),
        (_NUMBER, "0", "a whole number from 1 to 8"),
        (_NUMBER, "1.5", "a whole number from 1 to 8"),
        (_NUMBER, "0x2", "a whole number"),
        (_NUMBER, "٣", "a whole number"),
        (_NUMBER, "9" * 5000, "a whole number"),
        (_SIZE, "64 MiB", "a size from 128 MiB to 4 GiB, written as `512 MiB`"),
        (_SIZE, "512", "a size"),
        (_FLAG, "yes", "`true` or `false`"),
        (_CHOICE, "de", "one of `C`, `C.UTF-8`"),
        (_FREE, "a\nb", "a text of at most 200 characters"),
        (_FREE, "a\0b", "a text of at most 200 characters"),
        (_FREE, "a" * 201, "a text of at most 200 characters"),
        (_FREE, "\ud800", "a text"),
    ],
)
def test_all_else_is_refused_with_what_is_allowed(parameter: Parameter, text: str, allowed: str) -> None:
    with pytest.raises(ParameterError) as caught:
        value_of(parameter, text)
    assert allowed in str(caught.value)
    assert f"`{parameter.name}`" in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text(), st.sampled_from([_TEXT, _NUMBER, _SIZE, _FLAG, _CHOICE, _FREE]))
def test_no_text_is_anything_but_taken_or_refused(text: str, parameter: Parameter) -> None:
    try:
        value = value_of(parameter, text)
    except ParameterError:
        return
    assert isinstance(value, str | int)
    if isinstance(value, str):
        assert value == text
        assert value.isprintable()
        assert len(value) <= LONGEST_TEXT
    else:
        assert value_of(parameter, said(parameter, value)) == value


@given(st.integers(1, 999_999).map(lambda number: number * 2**20))
def test_a_size_is_said_as_it_is_read(size: int) -> None:
    assert size_of(size_said(size)) == size


def test_bounds_are_said_as_far_as_they_are_known() -> None:
    assert allowed_of(replace(_NUMBER, most=None)) == "a whole number, 1 at least"
    assert allowed_of(replace(_NUMBER, least=None)) == "a whole number, 8 at most"
    assert allowed_of(replace(_NUMBER, least=None, most=None)) == "a whole number"
