"""Answers that are lists: which part is asked for, and the links to the others."""

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

from githubapp.sandbox.rest import Call

T = TypeVar("T")

_LARGEST_PAGE = 100


def page(call: Call, items: Sequence[T]) -> tuple[Sequence[T], dict[str, str]]:
    """The part of `items` that is asked for, and the `Link` header to the others.

    Source: https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
    """
    size = min(_LARGEST_PAGE, max(1, _query_number(call, "per_page", 30)))
    number = max(1, _query_number(call, "page", 1))
    last = max(1, -(-len(items) // size))
    places: dict[str, int] = {}
    if number > 1:
        places |= {"prev": min(number - 1, last), "first": 1}
    if number < last:
        places |= {"next": number + 1, "last": last}
    links = ", ".join(f'<{page_url(call, page=str(place))}>; rel="{name}"' for name, place in places.items())
    return items[(number - 1) * size : number * size], {"link": links} if links else {}


def page_url(call: Call, **changed: str) -> str:
    """The address of this call with other query parameters."""
    query = {**call.request.query_params, **changed}
    return f"{call.state.url}{call.request.url.path}?{urlencode(query)}"


def _query_number(call: Call, name: str, default: int) -> int:
    value = call.request.query_params.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else default


def page_size(call: Call) -> int:
    """How many items a page holds, where pages are counted by a cursor."""
    return min(_LARGEST_PAGE, max(1, _query_number(call, "per_page", 30)))
