"""The grammar of links, and that no query leads outside of a session."""

import contextlib
import re
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binder.errors import VisitorFault
from proxy.links import Link, landing_of, legacy_address, link_of_request, parse_link, session_address
from proxy.providers import PROVIDERS, Named

SESSION = "sabcdefghijklmn2"
KINDS = st.sampled_from(("labpath", "filepath", "urlpath"))
# What attacks are made of, beside arbitrary text.
HOSTILE = st.lists(
    st.sampled_from(
        [
            *("/", "\\", ".", "..", "//", "?", "#", ";", " ", "\t", "\0", "\r\n", ":", "%", "&", "=", "@", "é"),
            *("%2e", "%2E", "%252e", "%2f", "%5c", "%0d%0a", "%00"),
            *("http:", "javascript:", "evil.example", "lab", "tree", "a.ipynb"),
        ]
    ),
    max_size=12,
).map("".join)

PROVIDER_IDS = st.sampled_from(sorted(PROVIDERS))
_PIECES = st.sampled_from(
    [
        *("ada", "x", "main", "a.b", "https:", "http:", "git.example", "127.0.0.1", "@", "[::1]", ":8080", "0123ab"),
        *(
            "/",
            "//",
            "%2F",
            "%2f",
            "%",
            "%25",
            "%252F",
            "%00",
            "%0A",
            "%ff",
            "..",
            ".",
            "?",
            "#",
            "é",
            "\\",
            " ",
            ".git",
        ),
        *("https%3A%2F%2F", "refs", "HEAD", "%23", "%3F", "f" * 40),
        *("10.5281", "/zenodo.1", "DVN", "/dataset/", "doi:", ".v2", "0a" * 16),
    ]
)
SPECS = st.one_of(st.lists(_PIECES, max_size=12).map("".join), st.text(max_size=60))


def place_in_a_browser(address: str) -> str:
    """Return the path that a browser asks for.

    Source: https://url.spec.whatwg.org/#concept-basic-url-parser: backslashes are slashes, and %2e is a dot, in
    segments of special URLs; tabs and line ends are taken away.
    """
    address = re.sub(r"[\t\r\n]", "", address)
    head = re.split(r"[?#]", address, maxsplit=1)[0].replace("\\", "/")
    head = re.sub(r"%2e", ".", head, flags=re.IGNORECASE)
    return urlsplit(urljoin("http://binder.example/v2/gh/a/b", head)).path


class TestParsing:
    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            ("ada/notebooks", Link("gh", Named("ada", "notebooks"))),
            ("ada/notebooks/", Link("gh", Named("ada", "notebooks"))),
            ("ada/notebooks/main", Link("gh", Named("ada", "notebooks"), "main")),
            ("ada/notebooks/feature/a/b", Link("gh", Named("ada", "notebooks"), "feature/a/b")),
            ("ada/a.b_c-d/v1.0", Link("gh", Named("ada", "a.b_c-d"), "v1.0")),
        ],
    )
    def test_a_repository_and_its_ref(self, spec: str, expected: Link) -> None:
        assert parse_link("gh", spec, {}) == expected

    def test_a_local_repository_has_the_same_form(self) -> None:
        assert parse_link("local", "me/thing/main", {}) == Link("local", Named("me", "thing"), "main")

    @pytest.mark.parametrize(
        ("query", "landing"),
        [
            ({}, ""),
            ({"labpath": "a b/c.ipynb"}, "doc/tree/a%20b/c.ipynb"),
            ({"filepath": "c.ipynb"}, "tree/c.ipynb"),
            ({"urlpath": "lab"}, "lab"),
            ({"urlpath": "/lab/tree/a.ipynb"}, "lab/tree/a.ipynb"),
            ({"urlpath": "proxy/8080/"}, "proxy/8080/"),
            ({"urlpath": "lab/tree/a%20b.ipynb"}, "lab/tree/a%20b.ipynb"),
            (
                {"urlpath": "git-pull?repo=https%3A%2F%2Fexample.org%2Fx&urlpath=lab"},
                "git-pull?repo=https%3A%2F%2Fexample.org%2Fx&urlpath=lab",
            ),
            ({"urlpath": "voila/render/a.ipynb?theme=dark#two"}, "voila/render/a.ipynb?theme=dark#two"),
            ({"urlpath": "?x=1"}, "?x=1"),
            ({"labpath": "100%.ipynb"}, "doc/tree/100%25.ipynb"),
            ({"labpath": "a?b#c.ipynb"}, "doc/tree/a%3Fb%23c.ipynb"),
            ({"labpath": "", "urlpath": "rstudio"}, "rstudio"),
            ({"labpath": "a", "filepath": "b", "urlpath": "c"}, "doc/tree/a"),
            ({"filepath": "b", "urlpath": "c"}, "tree/b"),
        ],
    )
    def test_where_it_lands(self, query: dict[str, str], landing: str) -> None:
        assert parse_link("gh", "ada/notebooks", query).landing == landing

    @pytest.mark.parametrize(
        ("provider", "spec", "says"),
        [
            ("zenodo", "10.5281/zenodo", "No record of Zenodo"),
            ("nope", "x", "no provider 'nope'.*Supported are gh"),
            ("gh", "", "names no repository"),
            ("gh", "ada", "names no repository"),
            ("gh", "ada/..", "can be called"),
            ("gh", "-ada/x", "can be called"),
            ("gh", "ada/x/--upload-pack=evil", "can be called"),
            ("gh", "ada/x/a..b", "can be called"),
            ("gh", "ada/x/a b", "can be called"),
        ],
    )
    def test_what_is_wrong_is_said(self, provider: str, spec: str, says: str) -> None:
        with pytest.raises(VisitorFault, match=says):
            parse_link(provider, spec, {})

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("urlpath", "//evil.example/"),
            ("urlpath", "https://evil.example/"),
            ("urlpath", "javascript:alert(1)"),
            ("urlpath", "../../v2/gh/a/b"),
            ("urlpath", "%2e%2e/x"),
            ("urlpath", "lab/%2e%2e%5cx"),
            ("urlpath", "\\\\evil.example"),
            ("urlpath", "lab\r\nSet-Cookie: a=b"),
            ("urlpath", "lab%0d%0aSet-Cookie:a=b"),
            ("labpath", "../secret"),
            ("labpath", "a\\..\\b"),
            ("filepath", "a\0b"),
            ("filepath", "a" * 2001),
        ],
    )
    def test_hostile_landings_are_refused(self, kind: str, value: str) -> None:
        with pytest.raises(VisitorFault):
            parse_link("gh", "ada/notebooks", {kind: value})


class TestProperties:
    @given(kind=KINDS, value=st.one_of(HOSTILE, st.text(max_size=40)))
    @example(kind="urlpath", value="///evil.example")
    @example(kind="urlpath", value="%252e%252e/x")
    def test_no_landing_leads_outside(self, kind: str, value: str) -> None:
        try:
            address = session_address(SESSION, landing_of(kind, value))  # type: ignore[arg-type]
        except VisitorFault:
            return
        assert address.isascii()
        assert address.isprintable()
        assert " " not in address
        assert not set(address) & set('\\"<>^`{|}')
        place = place_in_a_browser(address)
        assert place.startswith(f"/s/{SESSION}/")
        assert "//" not in place
        # What Jupyter decodes stays below, too.
        assert ".." not in unquote(place).split("/")

    @given(provider=PROVIDER_IDS, spec=SPECS, query=st.dictionaries(KINDS, HOSTILE))
    @example(provider="git", spec="https%3A%2F%2Fgit.example%2Fa%2Fb.git/x%2Fy", query={})
    @example(provider="gl", spec="a%2Fb%2Fc/main", query={"urlpath": "lab"})
    @example(provider="gh", spec="a/b/%25", query={})
    def test_any_link_leads_back_to_itself_or_is_the_visitors_fault(
        self, provider: str, spec: str, query: dict[str, str]
    ) -> None:
        try:
            link = parse_link(provider, spec, query)
        except VisitorFault:
            return
        assert link.address.isascii()
        address = urlsplit(link.address)
        again = link_of_request(address.path.encode(), dict(parse_qsl(address.query)))
        assert (again, again.address) == (link, link.address)
        assert place_in_a_browser(session_address(SESSION, link.landing)).startswith(f"/s/{SESSION}/")

    @given(path=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode(errors="replace"))))
    @example(path=b"/v2")
    @example(path=b"/v2%2Fgh/ada/x")
    @example(path=b"/v2/git/http%3A%2F%2F%5B::1/x")
    def test_any_path_of_a_request_parses_or_is_the_visitors_fault(self, path: bytes) -> None:
        with contextlib.suppress(VisitorFault):
            link_of_request(path, {})

    @given(
        ref=st.from_regex(r"\A[a-z0-9]{1,5}(/[a-z0-9+#é]{1,5}){0,3}\Z"),
        path=st.lists(
            st.text(st.characters(exclude_categories=["C"], exclude_characters="\\/"), min_size=1), max_size=3
        ),
        kind=KINDS,
    )
    def test_an_address_leads_back_to_its_link(self, ref: str, path: list[str], kind: str) -> None:
        try:
            link = parse_link("gh", quote(f"ada/x/{ref}"), {kind: "/".join(path)})
        except VisitorFault:
            return
        parts = urlsplit(link.address)
        assert link_of_request(parts.path.encode(), dict(parse_qsl(parts.query))) == link


class TestLegacy:
    @pytest.mark.parametrize(
        ("path", "address"),
        [
            ("", "/v2/gh/ada/x/master"),
            ("/", "/v2/gh/ada/x/master"),
            ("notebooks/a.ipynb", "/v2/gh/ada/x/master?urlpath=notebooks%2Fa.ipynb"),
        ],
    )
    def test_it_becomes_todays_link(self, path: str, address: str) -> None:
        assert legacy_address("ada", "x", path) == address

    def test_it_cannot_lead_elsewhere(self) -> None:
        with pytest.raises(VisitorFault):
            legacy_address("ada", "x", "http://evil.example")
