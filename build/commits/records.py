"""Records of archives for research data: which version a link means, and of which files it is made.

A record's address is `KIND:ID` (`zenodo:10.5281/zenodo.3242074`) where git has a URL. A version stands in the place of
a commit's sha (`binder.names.sha_of_version`): it never changes, and the same version has the same files. Taking the
files into git is `build.commits.git`'s, fetching them `build.commits.downloads`'.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from binder.errors import RepositoryFault, WorldFault
from binder.names import sha_of_version, version_of_sha
from build.commits.downloads import Connection, Downloads, NothingThereError
from build.commits.tree import readable, shown, too_many_files

_MOST_PAGES = 100
_OF_A_PAGE = 1000

Ask = Callable[[str], Awaitable[Any]]
"""Returns the JSON at an address."""


@dataclass(frozen=True)
class Archives:
    """Where the archives' interfaces are."""

    zenodo: str = "https://zenodo.org"
    figshare: str = "https://api.figshare.com/v2"
    hydroshare: str = "https://www.hydroshare.org"
    doi: str = "https://doi.org"


@dataclass(frozen=True)
class RecordFile:
    """A file of a record: its path, where it is, and its bytes and MD5 where these are said."""

    path: str
    url: str
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Record:
    """One version of a record, its files, and when it was published (seconds of the epoch)."""

    version: str
    time: int
    files: tuple[RecordFile, ...]


Look = Callable[[Ask, Archives, str, str | None], Awaitable[Record]]
"""Finds a record by the id in its address: the version that is asked for, or the newest."""


def is_record(url: str) -> bool:
    """Whether an address is that of a record."""
    return url.partition(":")[0] in _LOOKS


class Records:
    """Asks the archives."""

    def __init__(self, downloads: Downloads, archives: Archives) -> None:
        self._downloads = downloads
        self._archives = archives

    async def newest(self, url: str) -> str | None:
        """Return what stands for the newest version of a record in a sha's place, None where there is no such record.

        Raises: RepositoryFault, where it is not open to everybody; WorldFault.
        """
        try:
            return sha_of_version((await self._find(url, None)).version)
        except NothingThereError:
            return None

    async def version(self, url: str, sha: str) -> Record:
        """Return the version of a record that stands in the place of a sha.

        Raises: BinderError, as `newest`.
        """
        version = version_of_sha(sha)
        try:
            record = await self._find(url, version) if version else None
        except NothingThereError:
            record = None
        if record is None or record.version != version:
            raise RepositoryFault(f"{url.partition(':')[2]} no longer has this version.", step="fetch")
        return record

    async def content(self, record: Record, most_bytes: int) -> AsyncGenerator[bytes]:
        """Give the files of a record, each in pieces behind their length in four bytes, and an empty one at its end.

        Raises: RepositoryFault, where they are too many bytes; WorldFault, where they are not what the record says.
        """
        _check_bytes(sum(file.size or 0 for file in record.files), most_bytes)
        async with self._downloads.connected() as connection:
            for file in record.files:
                digest, size = hashlib.md5(usedforsecurity=False), 0
                async with _opened(connection, file) as pieces:
                    async for piece in pieces:
                        digest.update(piece)
                        size += len(piece)
                        _check_bytes(size, most_bytes)
                        yield len(piece).to_bytes(4, "big") + piece
                if (file.md5 and digest.hexdigest() != file.md5) or file.size not in {None, size}:
                    raise WorldFault(f"{shown(file.path)} did not arrive as the record describes it. Please try again.")
                most_bytes -= size
                yield bytes(4)

    async def _find(self, url: str, version: str | None) -> Record:
        kind, _, identifier = url.partition(":")
        try:
            async with self._downloads.connected() as connection:
                record = await _LOOKS[kind](connection.json, self._archives, identifier, version)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WorldFault(f"What {kind} says of {identifier} is not what its interface promises.") from error
        if not record.files:
            raise RepositoryFault(f"{identifier} has no files that everybody may read.", step="fetch")
        return record


@asynccontextmanager
async def _opened(connection: Connection, file: RecordFile) -> AsyncGenerator[AsyncIterator[bytes]]:
    try:
        async with connection.open(file.url) as pieces:
            yield pieces
    except NothingThereError as error:
        raise RepositoryFault(f"The record lists {shown(file.path)}, which is not there.", step="fetch") from error


def _check_bytes(size: int, most_bytes: int) -> None:
    """Refuse a record that is larger than a build may be.

    Raises: RepositoryFault.
    """
    if size > most_bytes:
        raise RepositoryFault(
            f"The record is larger than the {readable(most_bytes)} that a repository may have here. Large data is "
            "better fetched in a notebook.",
            step="fetch",
        )


def fault_of_record(output: str) -> RepositoryFault | None:
    """Return what `record.py` found wrong with a record, by what it printed; None where it said no such thing."""
    found = re.search(r"^fault: (.*)$", output, re.MULTILINE)
    return RepositoryFault(found[1][:1000], step="fetch") if found else None


async def _zenodo(ask: Ask, archives: Archives, doi: str, version: str | None) -> Record:
    """Find a record of Zenodo's; the DOI of all versions leads to the newest.

    Source: https://developers.zenodo.org/#records
    """
    number = doi.rpartition(".")[2]
    said = await ask(f"{archives.zenodo}/api/records/{version or number}")
    if number not in {str(said["id"]), str(said.get("conceptrecid"))}:
        raise NothingThereError(f"{doi} has no version {version}.")
    access = said["metadata"].get("access_right", "open")
    if access != "open":
        raise _closed(doi, access)
    files = tuple(
        RecordFile(one["key"], one["links"]["self"], int(one["size"]), _md5(one.get("checksum")))
        for one in said.get("files") or ()
    )
    return Record(str(said["id"]), _time(said["created"]), files)


async def _figshare(ask: Ask, archives: Archives, doi: str, version: str | None) -> Record:
    """Find an article of Figshare's. What an article itself lists of its files is only the first ten.

    Source: https://docs.figshare.com/#public_article
    """
    found = re.search(r"(\d+)(?:\.v(\d+))?\Z", doi, re.ASCII)
    if not found:
        raise NothingThereError(f"{doi} is no article's.")
    if found[2] and version not in {None, found[2]}:
        raise NothingThereError(f"{doi} has no version {version}.")
    article = f"{archives.figshare}/articles/{found[1]}"
    version = version or found[2] or str((await ask(article))["version"])
    said = await ask(f"{article}/versions/{version}")
    if said.get("is_embargoed") or said.get("is_confidential"):
        raise _closed(doi, "embargoed" if said.get("is_embargoed") else "confidential")
    files: list[RecordFile] = []
    for page in range(1, _MOST_PAGES + 1):
        listed = await ask(f"{article}/versions/{version}/files?page={page}&page_size={_OF_A_PAGE}")
        files += (
            RecordFile(one["name"], one["download_url"], int(one["size"]), one.get("computed_md5") or None)
            for one in listed
            if not one["is_link_only"]
        )
        if len(listed) < _OF_A_PAGE:
            break
    else:
        raise too_many_files()
    return Record(str(said["version"]), _time(said["published_date"]), tuple(files))


async def _dataverse(ask: Ask, archives: Archives, doi: str, version: str | None) -> Record:
    """Find a dataset of the Dataverse to which its DOI leads; of a table, the file that was uploaded.

    Source: https://guides.dataverse.org/en/latest/api/native-api.html#get-version-of-a-dataset and
    https://www.doi.org/doi-handbook/HTML/rest-api.html
    """
    handle = await ask(f"{archives.doi}/api/handles/{quote(doi)}")
    parts = urlsplit(next(one["data"]["value"] for one in handle["values"] if one["type"] == "URL"))
    origin = f"{parts.scheme}://{parts.netloc}"
    wanted = f"{origin}/api/datasets/:persistentId/versions/{version or ':latest-published'}"
    said = (await ask(f"{wanted}?persistentId=doi:{quote(doi)}"))["data"]
    if any(one.get("restricted") for one in said["files"]):
        raise _closed(doi, "restricted in part")
    files = tuple(_file_of_dataverse(origin, one) for one in said["files"])
    number = f"{said['versionNumber']}.{said['versionMinorNumber']}"
    return Record(number, _time(said.get("releaseTime") or said["createTime"]), files)


def _file_of_dataverse(origin: str, said: Mapping[str, Any]) -> RecordFile:
    data = said["dataFile"]
    original = data.get("originalFileName")
    path = "/".join(filter(None, (said.get("directoryLabel"), original or said["label"])))
    url = f"{origin}/api/access/datafile/{int(data['id'])}"
    if original:  # its MD5 is that of the table that was made of it
        return RecordFile(path, f"{url}?format=original", data.get("originalFileSize"))
    return RecordFile(path, url, data.get("filesize"), data.get("md5"))


async def _hydroshare(ask: Ask, archives: Archives, identifier: str, version: str | None) -> Record:
    """Find a resource of HydroShare's, whose version is when it was last changed: earlier ones are not kept there.

    Source: https://www.hydroshare.org/hsapi/ (`/resource/{id}/sysmeta/` and `/resource/{id}/files/`)
    """
    resource = f"{archives.hydroshare}/hsapi/resource/{identifier}"
    said = await ask(f"{resource}/sysmeta/")
    if not said["public"]:
        raise _closed(identifier, "private")
    changed = _time(said["date_last_updated"])
    files: list[RecordFile] = []
    for page in range(1, _MOST_PAGES + 1):
        listed = await ask(f"{resource}/files/?page={page}")
        for one in listed["results"]:
            path = unquote(urlsplit(one["url"]).path).partition("/data/contents/")[2]
            files.append(RecordFile(path, f"{archives.hydroshare}{urlsplit(one['url']).path}", one.get("size")))
        if not listed.get("next"):
            break
    else:
        raise too_many_files()
    return Record(str(changed), changed, tuple(files))


async def _ckan(ask: Ask, archives: Archives, address: str, version: str | None) -> Record:
    """Find a dataset of a CKAN, whose version is when it was last changed: earlier ones are not kept there.

    Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_show
    """
    site, _, name = address.rpartition("/dataset/")
    said = (await ask(f"{site}/api/3/action/package_show?id={quote(name, safe='')}"))["result"]
    if said.get("private") or said.get("state", "active") != "active":
        raise _closed(address, "private")
    changed = _time(said["metadata_modified"])
    files = tuple(
        RecordFile(unquote(urlsplit(one["url"]).path).rpartition("/")[2] or one["id"], one["url"])
        for one in said["resources"]
    )
    return Record(str(changed), changed, files)


_LOOKS: Final[Mapping[str, Look]] = {
    "zenodo": _zenodo,
    "figshare": _figshare,
    "dataverse": _dataverse,
    "hydroshare": _hydroshare,
    "ckan": _ckan,
}


def _closed(identifier: str, access: str) -> RepositoryFault:
    return RepositoryFault(
        f"The files of {identifier} are {shown(str(access))}: only what everybody may read can be opened.", step="fetch"
    )


def _md5(checksum: str | None) -> str | None:
    kind, _, value = (checksum or "").partition(":")
    return value if kind == "md5" else None


def _time(text: str) -> int:
    """Return seconds of the epoch; a time without a zone is UTC's."""
    at = datetime.fromisoformat(text)
    return max(0, int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))
