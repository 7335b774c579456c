"""`zenodo/DOI`, `figshare/DOI`, `dataverse/DOI`, `hydroshare/ID` and `ckan/URL`: records of archives.

A record has versions, and no branches: a link names none, or one by what stands for it in a sha's place. How a record
is looked up and fetched is `build.commits.records`'.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from binder.errors import VisitorFault
from binder.names import is_sha, version_of_sha
from binder.settings import Settings
from proxy.providers.git import check_host, repository_at
from proxy.providers.interface import LONGEST_NAME, Named, Place, shown

_DOI_ADDRESSES = (
    "https://doi.org/",
    "https://dx.doi.org/",
    "http://doi.org/",
    "http://dx.doi.org/",
    "doi.org/",
    "doi:",
)
_DOI = re.compile(r"10\.[0-9]{4,9}/[A-Za-z0-9._;()/:+-]+", re.ASCII)
_ZENODO_PAGE = re.compile(r"\Ahttps?://zenodo\.org/records?/([0-9]+)\Z", re.ASCII)
_HYDROSHARE = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class Doi:
    """An archive whose records are known by their DOIs. `form` is what these look like, `detects` as a provider's."""

    id: str
    title: str
    placeholder: str
    form: str
    detects: str
    has_refs = False
    pattern = r"10\.\d+\/(.)+"

    @property
    def on_it(self) -> str:
        """Where a record is, in a sentence."""
        return f"on {self.title}"

    @property
    def label(self) -> str:
        """What a form asks for."""
        return f"{self.title} DOI"

    def split(self, spec: str) -> tuple[Named, str]:
        """Return the record of a DOI, and what stands for its version, where the link names one."""
        text, version = _split(spec)
        text = _ZENODO_PAGE.sub(r"10.5281/zenodo.\1", text)
        for address in _DOI_ADDRESSES:
            text = text.removeprefix(address)
        owner, _, name = text.partition("/")
        if not _DOI.fullmatch(text) or not re.fullmatch(self.form, name, re.ASCII) or ".." in name:
            raise VisitorFault(
                f"No record of {self.title} has the DOI {shown(text)}. A link looks like "
                f"/v2/{self.id}/{self.placeholder}: a record has no branches or tags."
            )
        if max(len(owner), len(name)) > LONGEST_NAME:
            raise VisitorFault(f"The DOI is longer than {LONGEST_NAME} characters.")
        return Named(owner, name.lower() if self.id != "dataverse" else name), version

    def spec_of(self, named: Named) -> str:
        """Return the DOI."""
        return quote(f"{named.owner}/{named.name}")

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the record's place."""
        return Place(f"{self.id}:doi.org", named.owner, named.name, f"{self.id}:{named.owner}/{named.name}")

    def has(self, host: str) -> bool:
        """Whether a row is a record of this archive's."""
        return host.startswith(f"{self.id}:")

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return the DOI."""
        return Named(owner, name)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return where the DOI leads: Zenodo has one for each version, and Figshare may have."""
        version, doi = version_of_sha(sha), f"{place.owner}/{place.name}"
        if self.id == "zenodo" and version:
            doi = f"{doi.rpartition('.')[0]}.{version}"
        elif self.id == "figshare" and version:
            doi = f"{re.sub(r'[.]v[0-9]+$', '', doi)}.v{version}"
        return f"https://doi.org/{quote(doi)}"


ZENODO = Doi(
    "zenodo",
    "Zenodo",
    "10.5281/zenodo.3242074",
    r"(?i:zenodo)\.[0-9]{1,18}",
    r"^https?://(?:dx\.)?doi\.org/(?<repo>10\.\d+/zenodo\.\d+)/?$",
)
FIGSHARE = Doi(
    "figshare",
    "Figshare",
    "10.6084/m9.figshare.9782777.v1",
    r".*[0-9]{1,18}(\.v[0-9]{1,9})?",
    r"^https?://(?:dx\.)?doi\.org/(?<repo>10\.6084/m9\.figshare\.\d+(?:\.v\d+)?)/?$",
)
DATAVERSE = Doi("dataverse", "Dataverse", "10.7910/DVN/TJCLKP", r".+", "")


class HydroShare:
    """HydroShare, whose resources have ids."""

    id = "hydroshare"
    title = "HydroShare"
    on_it = "on HydroShare"
    label = "HydroShare resource id or URL"
    placeholder = "8f7c2f0341ef4180b0dbe97f59130756"
    pattern = ".+"
    detects = r"^https?://(?:www\.)?hydroshare\.org/resource/(?<repo>[0-9a-f]{32})/?$"
    has_refs = False

    def split(self, spec: str) -> tuple[Named, str]:
        """Return the resource that an id, or the address of its page, names."""
        text, version = _split(spec)
        found = text.rpartition("/resource/")[2] if "hydroshare.org/" in text else text
        if not _HYDROSHARE.fullmatch(found):
            raise VisitorFault(
                f"No resource of HydroShare has the id {shown(text)}. A link looks like /v2/hydroshare/"
                f"{self.placeholder}: a resource has no branches or tags."
            )
        return Named("", found), version

    def spec_of(self, named: Named) -> str:
        """Return the id."""
        return named.name

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the resource's place."""
        return Place("hydroshare:hydroshare.org", "", named.name, f"hydroshare:{named.name}")

    def has(self, host: str) -> bool:
        """Whether a row is a resource of HydroShare's."""
        return host.startswith("hydroshare:")

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return the id."""
        return Named("", name)

    def commit_page(self, place: Place, sha: str) -> str:
        """Return the resource's page."""
        return f"https://www.hydroshare.org/resource/{place.name}"


class Ckan:
    """Any CKAN, by the address of a dataset's page."""

    id = "ckan"
    title = "CKAN"
    on_it = "there"
    label = "CKAN dataset URL"
    placeholder = "https://data.example.org/dataset/NAME"
    pattern = "[^/]+.*"
    detects = ""
    has_refs = False

    def split(self, spec: str) -> tuple[Named, str]:
        """Return the dataset at an address."""
        text, version = _split(spec)
        named = repository_at(text)
        if named.owner.rpartition("/")[2] != "dataset":
            raise VisitorFault(
                f"{shown(text)} is no address of a dataset. A link looks like /v2/ckan/URL, where URL is "
                "percent-encoded: https%3A%2F%2Fdata.example.org%2Fdataset%2FNAME."
            )
        return named, version

    def spec_of(self, named: Named) -> str:
        """Return the percent-encoded address."""
        return quote(_address(named), safe="")

    def place(self, named: Named, settings: Settings) -> Place:
        """Return the dataset's place.

        Raises: VisitorFault, where this service does not go there.
        """
        check_host(named.origin, settings)
        return Place(f"ckan:{named.origin}", named.owner, named.name, f"ckan:{_address(named)}", is_exact=True)

    def has(self, host: str) -> bool:
        """Whether a row is a dataset of a CKAN's."""
        return host.startswith("ckan:")

    def named_as(self, host: str, owner: str, name: str) -> Named:
        """Return the dataset at the row's origin."""
        return Named(owner, name, host.removeprefix("ckan:"))

    def commit_page(self, place: Place, sha: str) -> str:
        """Return the dataset's page."""
        return place.clone_url.removeprefix("ckan:")


def _address(named: Named) -> str:
    return f"{named.origin}/{named.owner}/{named.name}"


def _split(spec: str) -> tuple[str, str]:
    """Return what names a record, and what stands for its version: what is behind the last slash, if it does."""
    before, _, last = spec.strip("/").rpartition("/")
    if before and (last == "HEAD" or is_sha(last)):
        return unquote(before).strip("/"), "" if last == "HEAD" else last
    return unquote(spec).strip("/"), ""
