"""What each provider's links mean: which repository, which row, where git finds it; and what is refused."""

import pytest

from binder.errors import VisitorFault
from binder.names import sha_of_version
from binder.settings import Settings, read_settings
from binder.store.tables import Repository
from proxy.links import Link, link_to, parse_link
from proxy.providers import PROVIDERS, Named, Place, named_of, provider_of

SHA = "f" * 40


def settings(**values: object) -> Settings:
    """Return settings of the public GitHub and GitLab."""
    return read_settings(github_url="https://github.com", gitlab_url="https://gitlab.com", **values)


def place_of(link: Link, **values: object) -> Place:
    """Return where a link's repository is."""
    return PROVIDERS[link.provider].place(link.named, settings(**values))


@pytest.mark.parametrize(
    ("address", "clone_url", "ref"),
    [
        ("gh/ada/x/main", "https://github.com/ada/x.git", "main"),
        ("gh/ada/x/feature%2Fa", "https://github.com/ada/x.git", "feature/a"),
        ("gl/group%2Fsub%2Fproject/main", "https://gitlab.com/group/sub/project.git", "main"),
        ("gl/group%2Fproject.git/feature/a", "https://gitlab.com/group/project.git", "feature/a"),
        ("gl/group%2Fproject", "https://gitlab.com/group/project.git", "HEAD"),
        ("gl/group/project/main", "https://gitlab.com/group/project.git", "main"),
        ("gist/ada/0123456789abcdef", "https://gist.github.com/0123456789abcdef.git", "HEAD"),
        (f"gist/ada/0123456789abcdef/{SHA}", "https://gist.github.com/0123456789abcdef.git", SHA),
        ("git/https%3A%2F%2Fgit.example.org%2Fa%2Fb/main", "https://git.example.org/a/b", "main"),
        ("git/https%3A%2F%2FGIT.example.org%3A443%2Fb.git%2F/v1", "https://git.example.org/b.git", "v1"),
        ("git/https%3A%2F%2Fgit.example.org%3A8443%2F~ada%2Fb", "https://git.example.org:8443/~ada/b", "HEAD"),
        ("zenodo/10.5281/zenodo.3242074", "zenodo:10.5281/zenodo.3242074", "HEAD"),
        ("zenodo/10.5281/zenodo.3242074/", "zenodo:10.5281/zenodo.3242074", "HEAD"),
        ("zenodo/10.5281/Zenodo.1/HEAD", "zenodo:10.5281/zenodo.1", "HEAD"),
        ("zenodo/10.5281%2Fzenodo.1/HEAD", "zenodo:10.5281/zenodo.1", "HEAD"),
        ("zenodo/https%3A%2F%2Fdoi.org%2F10.5281%2Fzenodo.1", "zenodo:10.5281/zenodo.1", "HEAD"),
        ("zenodo/https%3A%2F%2Fzenodo.org%2Frecords%2F12", "zenodo:10.5281/zenodo.12", "HEAD"),
        (f"zenodo/10.5281/zenodo.1/{SHA}", "zenodo:10.5281/zenodo.1", SHA),
        ("figshare/10.6084/m9.figshare.9782777.v3", "figshare:10.6084/m9.figshare.9782777.v3", "HEAD"),
        ("figshare/10.25384/SAGE.12345678", "figshare:10.25384/sage.12345678", "HEAD"),
        ("dataverse/10.7910/DVN/TJCLKP", "dataverse:10.7910/DVN/TJCLKP", "HEAD"),
        ("dataverse/10.18738/T8/QLJAVP/", "dataverse:10.18738/T8/QLJAVP", "HEAD"),
        (f"hydroshare/{'0a' * 16}", f"hydroshare:{'0a' * 16}", "HEAD"),
        (
            f"hydroshare/https%3A%2F%2Fwww.hydroshare.org%2Fresource%2F{'0a' * 16}%2F",
            f"hydroshare:{'0a' * 16}",
            "HEAD",
        ),
        (
            "ckan/https%3A%2F%2Fdata.example.org%2Fen%2Fdataset%2Ftides",
            "ckan:https://data.example.org/en/dataset/tides",
            "HEAD",
        ),
    ],
)
def test_a_link_names_a_repository_and_a_ref(address: str, clone_url: str, ref: str) -> None:
    provider, _, spec = address.partition("/")
    link = parse_link(provider, spec, {})
    assert (place_of(link).clone_url, link.ref) == (clone_url, ref)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("gl/project", "No project"),
        ("gl/a%2F..%2Fb/main", "No project"),
        ("gl/a%2Fb%3Fc/main", "No project"),
        (f"gl/{'a' * 101}%2Fb/main", "longer than 100"),
        ("gist/ada", "names no repository"),
        ("gist/ada/xyz", "No gist has the id 'xyz'"),
        ("git/", "begins with https://"),
        ("git/https://git.example.org/a/main", "begins with https://"),
        ("git/git.example.org%2Fa/main", "begins with https://"),
        ("git/file%3A%2F%2F%2Fetc/main", "begins with https://"),
        ("git/ssh%3A%2F%2Fgit@example.org%2Fa/main", "begins with https://"),
        ("git/ext%3A%3Ash/main", "begins with https://"),
        ("git/https%3A%2F%2Fme%3Asecret%40git.example.org%2Fa/main", "no name or password"),
        ("git/https%3A%2F%2F%40git.example.org%2Fa/main", "no name or password"),
        ("git/https%3A%2F%2F-x.example.org%2Fa/main", "no host's name"),
        ("git/https%3A%2F%2F%5B%3A%3A1%5D%2Fa/main", "no host's name"),
        ("git/https%3A%2F%2F%5B%3A%3A1%2Fa/main", "no address"),
        ("git/https%3A%2F%2Fgit.example.org%3A99999%2Fa/main", "no address"),
        ("git/https%3A%2F%2Fgit.example.org%2Fa%3Fb/main", "ends with its path"),
        ("git/https%3A%2F%2Fgit.example.org%2Fa%23/main", "ends with its path"),
        ("git/https%3A%2F%2Fgit.example.org%2F..%2Fa/main", "no path"),
        ("git/https%3A%2F%2Fgit.example.org%2Fa%0Ab/main", "address|path"),
        ("git/https%3A%2F%2Fgit.example.org/main", "no path"),
        (f"git/https%3A%2F%2Fgit.example.org%2F{'a' * 101}/main", "longer than 100"),
        ("git/https%3A%2F%2Fgit.example.org%2Fa/--upload-pack=x", "No branch"),
        ("zenodo/10.5281/figshare.1", "No record of Zenodo"),
        ("zenodo/10.5281/zenodo.1/main", "no branches or tags"),
        ("zenodo/zenodo.1", "No record of Zenodo"),
        ("zenodo/10.5281/..%2Fzenodo.1", "No record of Zenodo"),
        ("figshare/10.6084/m9.figshare", "No record of Figshare"),
        ("dataverse/10.7910/DVN%2F..%2Fx", "No record of Dataverse"),
        ("dataverse/10.7910/DVN%3Fx=1", "No record of Dataverse"),
        (f"dataverse/10.7910/{'a' * 101}", "longer than 100"),
        ("hydroshare/x", "No resource of HydroShare"),
        ("ckan/https%3A%2F%2Fdata.example.org%2Fx", "no address of a dataset"),
        ("ckan/data.example.org%2Fdataset%2Fx", "begins with https://"),
        ("ckan/https%3A%2F%2Fdata.example.org%2Fdataset%2Fx/main", "no address of a dataset"),
    ],
)
def test_what_is_wrong_is_said(address: str, says: str) -> None:
    provider, _, spec = address.partition("/")
    with pytest.raises(VisitorFault, match=says):
        parse_link(provider, spec, {})


@pytest.mark.parametrize(
    "address",
    [
        "gh/ada/x/main",
        "gl/group%2Fsub%2Fproject/main",
        "gist/ada/0123456789abcdef/main",
        "git/https%3A%2F%2Fgit.example.org%2Fa%2Fb.git/main",
        "git/https%3A%2F%2Fgit.example.org%3A8443%2Fb/main",
        "zenodo/10.5281/zenodo.3242074",
        f"zenodo/10.5281/zenodo.3242074/{SHA}",
        "figshare/10.6084/m9.figshare.9782777.v3",
        "dataverse/10.7910/DVN/TJCLKP",
        f"hydroshare/{'0a' * 16}",
        "ckan/https%3A%2F%2Fdata.example.org%2Fdataset%2Ftides",
    ],
)
def test_a_row_leads_back_to_its_link(address: str) -> None:
    provider, _, spec = address.partition("/")
    link = parse_link(provider, spec, {})
    place = place_of(link)
    row = Repository(host=place.host, owner=place.owner, name=place.name, clone_url=place.clone_url)
    assert link_to(provider_of(row).id, named_of(row), link.ref, {}) == link
    assert link.address == f"/v2/{address}"


def test_no_address_is_taken_for_the_row_of_another_provider() -> None:
    addresses = [("gh", "local/x"), ("gl", "a%2Fb"), ("gist", "ada/0a"), ("local", "ada/x")]
    addresses += [("zenodo", "10.5281/zenodo.1"), ("figshare", "10.5281/zenodo.1"), ("dataverse", "10.5281/zenodo.1")]
    addresses += [("hydroshare", "0a" * 16), ("ckan", "https%3A%2F%2Flocal%2Fdataset%2Fx")]
    hosts = [place_of(parse_link(provider, spec, {})).host for provider, spec in addresses]
    hosts += [
        place_of(parse_link("git", f"{scheme}%3A%2F%2F{host}%2Fada%2Fx", {}), git_hosts=git_hosts).host
        for scheme, host, git_hosts in (
            ("https", "local", ""),
            ("https", "gist.example", ""),
            ("http", "gist.example", "gist.example"),
        )
    ]
    assert len(hosts) == len(set(hosts))


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("https%3A%2F%2Fgithub.com%2Fada%2Fx.git", "gh/ada/x"),
        ("https%3A%2F%2Fgitlab.com%2Fa%2Fb%2Fc", "gl/a%2Fb%2Fc"),
    ],
)
def test_what_another_provider_has_is_one_row_with_it(address: str, same: str) -> None:
    provider, _, spec = same.partition("/")
    assert place_of(parse_link("git", address, {})) == place_of(parse_link(provider, spec, {}))


def test_an_operator_says_of_which_hosts() -> None:
    http = parse_link("git", "http%3A%2F%2Fgit.example%3A8080%2Fa", {})
    with pytest.raises(VisitorFault, match="must begin with https"):
        place_of(http)
    assert place_of(http, git_hosts="other, Git.example:8080").clone_url == "http://git.example:8080/a"
    for hosts in ("none", "git.example", "git.example:80"):
        with pytest.raises(VisitorFault, match=r"opens no repositories of git\.example:8080"):
            place_of(http, git_hosts=hosts)


def test_a_commit_has_a_page() -> None:
    pages = {
        "gh/ada/x": f"https://github.com/ada/x/tree/{SHA}",
        "gl/a%2Fb": f"https://gitlab.com/a/b/-/tree/{SHA}",
        "gist/ada/0a": f"https://gist.github.com/0a/{SHA}",
        "git/https%3A%2F%2Fgit.example%2Fa.git": "https://git.example/a",
        "local/ada/x": "",
        "hydroshare/" + "0a" * 16: "https://www.hydroshare.org/resource/" + "0a" * 16,
        "ckan/https%3A%2F%2Fdata.example%2Fdataset%2Fa": "https://data.example/dataset/a",
    }
    for address, page in pages.items():
        provider, _, spec = address.partition("/")
        place = place_of(parse_link(provider, spec, {}))
        assert PROVIDERS[provider].commit_page(place, SHA) == page


@pytest.mark.parametrize(
    ("address", "version", "page"),
    [
        ("zenodo/10.5281/zenodo.1000", "1001", "https://doi.org/10.5281/zenodo.1001"),
        ("figshare/10.6084/m9.figshare.9", "3", "https://doi.org/10.6084/m9.figshare.9.v3"),
        ("figshare/10.6084/m9.figshare.9.v3", "3", "https://doi.org/10.6084/m9.figshare.9.v3"),
        ("dataverse/10.7910/DVN/TJCLKP", "2.1", "https://doi.org/10.7910/DVN/TJCLKP"),
    ],
)
def test_a_version_has_a_page(address: str, version: str, page: str) -> None:
    provider, _, spec = address.partition("/")
    place = place_of(parse_link(provider, spec, {}))
    assert PROVIDERS[provider].commit_page(place, sha_of_version(version)) == page


def test_names_are_as_people_write_them() -> None:
    assert Named("a", "b").full_name == "a/b"
    assert Named("a/b", "c", "https://git.example:1").full_name == "git.example:1/a/b/c"
    assert Named("", "c", "https://git.example").full_name == "git.example/c"


def test_an_enterprise_server_has_its_own_gists() -> None:
    own = read_settings(github_url="https://git.corp.example")
    link = parse_link("gist", "ada/0a", {})
    assert PROVIDERS["gist"].place(link.named, own).clone_url == "https://git.corp.example/gist/0a.git"
