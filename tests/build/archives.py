"""A stand-in for the archives of research data: Zenodo, Figshare, a Dataverse, HydroShare, a CKAN, and doi.org.

Each answers what its interface is described to answer, with no more than a client may rely on:

- Zenodo: https://developers.zenodo.org/#records; the id of all versions leads to the newest by a redirection
- Figshare: https://docs.figshare.com/#public_article, where the article itself lists at most ten files
- Dataverse: https://guides.dataverse.org/en/latest/api/native-api.html#get-version-of-a-dataset and
  https://guides.dataverse.org/en/latest/api/dataaccess.html#basic-file-access
- HydroShare: https://www.hydroshare.org/hsapi/ (sysmeta and files, in pages)
- CKAN: https://docs.ckan.org/en/latest/api/
- doi.org: https://www.doi.org/doi-handbook/HTML/rest-api.html
"""

import contextlib
import hashlib
import io
import json
import ssl
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

from build.commits.downloads import Downloads
from build.commits.records import Archives, Records
from tests.served import serving

PUBLISHED = "2019-06-12T10:20:30.123456+00:00"
PUBLISHED_SECONDS = 1_560_334_830


@dataclass
class ArchiveServer:
    """What is published, and what was asked for. `answers` maps a path, query included, to what is answered.

    An answer is JSON, bytes, a status to fail with, or a path to be redirected to (a text).
    """

    origin: str = ""
    answers: dict[str, object] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.origin).netloc

    @property
    def archives(self) -> Archives:
        """Where all of them are."""
        return Archives(self.origin, f"{self.origin}/v2", self.origin, self.origin)

    @property
    def records(self) -> Records:
        """Whoever asks them."""
        return Records(Downloads(None, {self.host}), self.archives)

    def zenodo(self, number: int, files: Mapping[str, bytes], *, concept: int, access: str = "open") -> str:
        """Publish a version of a record, and return its address; the DOI of all versions leads to it from now on."""
        listed = [
            {
                "id": f"file-{name}",
                "key": name,
                "size": len(content),
                "checksum": f"md5:{_md5(content)}",
                "links": {"self": f"{self.origin}/api/records/{number}/files/{quote(name, safe='')}/content"},
            }
            for name, content in files.items()
        ]
        self.answers[f"/api/records/{number}"] = {
            "id": number,
            "conceptrecid": str(concept),
            "doi": f"10.5281/zenodo.{number}",
            "created": PUBLISHED,
            "metadata": {"access_right": access, "publication_date": PUBLISHED[:10]},
            **({"files": listed} if access == "open" else {}),
        }
        self.answers[f"/api/records/{concept}"] = f"/api/records/{number}"
        for name, content in files.items():
            self.answers[f"/api/records/{number}/files/{name}/content"] = content
        return f"zenodo:10.5281/zenodo.{number}"

    def figshare(self, number: int, version: int, files: Mapping[str, bytes]) -> str:
        """Publish a version of an article, with a file that is only a link, and return its address."""
        listed: list[dict[str, object]] = [
            {
                "id": at,
                "name": name,
                "size": len(content),
                "is_link_only": False,
                "download_url": f"{self.origin}/files/{number}/{at}",
                "computed_md5": _md5(content),
            }
            for at, (name, content) in enumerate(files.items())
        ]
        for at, (name, content) in enumerate(files.items()):
            self.answers |= {f"/files/{number}/{at}": f"/stored/{name}", f"/stored/{name}": content}
        link = {"id": 99, "name": "elsewhere", "size": 0, "is_link_only": True, "download_url": "https://example.org"}
        all_files = [*listed, link]
        article = {
            "id": number,
            "version": version,
            "is_embargoed": False,
            "is_confidential": False,
            "published_date": PUBLISHED,
            "files": all_files[:10],
        }
        place = f"/v2/articles/{number}"
        self.answers |= {place: article, f"{place}/versions/{version}": article}
        for page in range(1, len(all_files) // 1000 + 2):
            part = all_files[(page - 1) * 1000 : page * 1000]
            self.answers[f"{place}/versions/{version}/files?page={page}&page_size=1000"] = part
        return f"figshare:10.6084/m9.figshare.{number}"

    def dataverse(self, doi: str, version: str, files: Sequence[Mapping[str, object]]) -> str:
        """Publish a version of a dataset with such entries for its files, and return its address."""
        major, _, minor = version.partition(".")
        said = {
            "versionNumber": int(major),
            "versionMinorNumber": int(minor),
            "releaseTime": "2019-06-12T10:20:30Z",
            "files": files,
        }
        for name in (version, ":latest-published"):
            place = f"/api/datasets/:persistentId/versions/{name}?persistentId=doi:{doi}"
            self.answers[place] = {"status": "OK", "data": said}
        values = [
            {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": {"index": 300}}},
            {
                "index": 1,
                "type": "URL",
                "data": {"format": "string", "value": f"{self.origin}/citation?persistentId=doi:{doi}"},
            },
        ]
        self.answers[f"/api/handles/{doi}"] = {"responseCode": 1, "handle": doi, "values": values}
        return f"dataverse:{doi}"

    def hydroshare(self, identifier: str, pages: Sequence[Mapping[str, bytes]], *, public: bool = True) -> str:
        """Share a resource, whose files are listed in such pages, and return its address."""
        place = f"/hsapi/resource/{identifier}"
        self.answers[f"{place}/sysmeta/"] = {
            "resource_id": identifier,
            "public": public,
            "date_last_updated": "2019-06-12T10:20:30.123456",
        }
        for number, files in enumerate(pages, 1):
            contents = f"/resource/{identifier}/data/contents/"
            self.answers |= {contents + name: content for name, content in files.items()}
            self.answers[f"{place}/files/?page={number}"] = {
                "next": f"{self.origin}{place}/files/?page={number + 1}" if number < len(pages) else None,
                "results": [
                    {"url": f"http://www.hydroshare.org{contents}{quote(name)}", "size": len(content)}
                    for name, content in files.items()
                ],
            }
        return f"hydroshare:{identifier}"

    def ckan(self, name: str, files: Mapping[str, bytes]) -> str:
        """Publish a dataset, and return its address."""
        self.answers |= {f"/download/{file}": content for file, content in files.items()}
        self.answers[f"/api/3/action/package_show?id={name}"] = {
            "success": True,
            "result": {
                "name": name,
                "private": False,
                "state": "active",
                "metadata_modified": "2019-06-12T10:20:30.123456",
                "resources": [
                    {"id": f"id-{file}", "url": f"{self.origin}/download/{file}", "size": None, "hash": ""}
                    for file in files
                ],
            },
        }
        return f"ckan:{self.origin}/dataset/{name}"


def zipped(files: Mapping[str, bytes], modes: Mapping[str, int] | None = None) -> bytes:
    """Return a zip archive; `modes` are those of Unix, where the archive is to say them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, 0) << 16
            archive.writestr(info, content)
    return out.getvalue()


@contextmanager
def archive_server(tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> Iterator[ArchiveServer]:
    """Give a server on which nothing is published yet, over TLS where a context is given; gone after the block."""
    server = ArchiveServer()

    class Handler(_Handler):
        served = server

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    server.origin = f"{'https' if tls else 'http'}://{name}:{http.server_address[1]}"
    with serving(http):
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: ArchiveServer

    def handle(self) -> None:
        """Answer until the client has enough, which it may have at any time."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            super().handle()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        asked = unquote(path) + (f"?{query}" if query else "")
        self.served.requests.append(asked)
        self.served.hosts.add(self.headers["Host"])
        answer = self.served.answers.get(asked, 404)
        if isinstance(answer, int):
            self._answer(answer, b'{"message": "no"}')
        elif isinstance(answer, str):
            self._answer(302, b"", {"Location": answer})
        else:
            self._answer(200, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: the requests are kept."""


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
