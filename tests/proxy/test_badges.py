"""What a visitor may type to get a link and a badge."""

import pytest

from binder.errors import VisitorFault
from proxy.badges import badge_texts, link_of_form

GITHUB = "https://github.example"


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("ada/notebooks", "/v2/gh/ada/notebooks/HEAD"),
        (" https://github.com/ada/notebooks/ ", "/v2/gh/ada/notebooks/HEAD"),
        ("https://github.example/ada/notebooks.git", "/v2/gh/ada/notebooks/HEAD"),
        ("git@github.com:ada/notebooks.git", "/v2/gh/ada/notebooks/HEAD"),
        ("https://github.com/ada/notebooks/tree/feature/x", "/v2/gh/ada/notebooks/feature/x"),
        (
            "https://github.com/ada/notebooks/blob/main/a/b.ipynb",
            "/v2/gh/ada/notebooks/main?labpath=a%2Fb.ipynb",
        ),
        ("https://github.com/ada/notebooks/pulls", "/v2/gh/ada/notebooks/HEAD"),
    ],
)
def test_a_repository_is_found_in_what_was_typed(repository: str, address: str) -> None:
    assert link_of_form({"repository": repository}, GITHUB).address == address


def test_what_the_form_says_counts_more() -> None:
    form = {"repository": "https://github.com/a/b/blob/main/x.ipynb", "ref": "dev", "path": "lab", "kind": "urlpath"}
    assert link_of_form(form, GITHUB).address == "/v2/gh/a/b/dev?urlpath=lab"


def test_a_kind_that_there_is_not_is_the_first_one() -> None:
    assert link_of_form({"repository": "a/b", "path": "x", "kind": "evil"}, GITHUB).asked == ("labpath", "x")


@pytest.mark.parametrize("repository", ["", "ada", "https://gitlab.com/a", "a b/c", "javascript:alert(1)"])
def test_what_names_no_repository_is_refused(repository: str) -> None:
    with pytest.raises(VisitorFault):
        link_of_form({"repository": repository}, GITHUB)


def test_texts_cannot_be_broken_out_of() -> None:
    form = {"repository": "a/b", "path": 'x") <b> [y](z).ipynb'}
    texts = badge_texts(link_of_form(form, GITHUB), "https://binder.example")
    for text in (texts.link, texts.markdown.removeprefix("[![Binder]("), texts.rst):
        assert not set(text) & set('"<>[')
    assert texts.html.count('"') == 6


@pytest.mark.parametrize(
    ("provider", "repository", "address"),
    [
        ("gl", "group/sub/project", "/v2/gl/group%2Fsub%2Fproject/main"),
        ("gl", "https://gitlab.com/group/project/", "/v2/gl/group%2Fproject/main"),
        ("gist", "https://gist.github.com/ada/0123ab", "/v2/gist/ada/0123ab/main"),
        ("git", "https://git.example/a/b.git", "/v2/git/https%3A%2F%2Fgit.example%2Fa%2Fb.git/main"),
    ],
)
def test_a_repository_elsewhere_is_given_by_name_or_address(provider: str, repository: str, address: str) -> None:
    form = {"provider": provider, "repository": repository, "ref": "main"}
    assert link_of_form(form, "https://github.com").address == address


@pytest.mark.parametrize(
    ("provider", "repository", "address"),
    [
        ("zenodo", "10.5281/zenodo.1", "/v2/zenodo/10.5281/zenodo.1?labpath=a.ipynb"),
        ("zenodo", " https://doi.org/10.5281/zenodo.1 ", "/v2/zenodo/10.5281/zenodo.1?labpath=a.ipynb"),
        ("dataverse", "doi:10.7910/DVN/TJCLKP", "/v2/dataverse/10.7910/DVN/TJCLKP?labpath=a.ipynb"),
        (
            "ckan",
            "https://data.example/dataset/a/",
            "/v2/ckan/https%3A%2F%2Fdata.example%2Fdataset%2Fa?labpath=a.ipynb",
        ),
    ],
)
def test_a_record_is_given_by_its_doi_or_address(provider: str, repository: str, address: str) -> None:
    """The link is the one of mybinder.org: nothing stands behind the DOI."""
    form = {"provider": provider, "repository": repository, "path": "a.ipynb"}
    link = link_of_form(form, "https://github.com")
    assert link.address == address
    assert f"](https://binder.example{address})" in badge_texts(link, "https://binder.example").markdown
    with pytest.raises(VisitorFault, match="no branches, tags or commits"):
        link_of_form(form | {"ref": "main"}, "https://github.com")


@pytest.mark.parametrize(
    ("provider", "repository"), [("gl", "x"), ("git", "git.example"), ("nope", "a/b"), ("gist", "")]
)
def test_what_is_none_elsewhere_is_the_visitors_fault(provider: str, repository: str) -> None:
    with pytest.raises(VisitorFault):
        link_of_form({"provider": provider, "repository": repository}, "https://github.com")
