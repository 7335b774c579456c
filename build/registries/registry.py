"""A repository of a container registry, over HTTP: its manifests, blobs and tags, and layers laid on its images.

Owns what is asked of a registry, and in which order. What the documents hold is `oci`'s; how a request is made sure of
is `registry_http`'s; how a large blob is sent is `blobs`'.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from binder.errors import OperatorFault, WorldFault
from build.registries.blobs import CHUNK_BYTES, Source, Upload, check_digest, has_blob, packed
from build.registries.http import SMALL_BYTES, Answer, Connection
from build.registries.oci import (
    INDEXES,
    MANIFESTS,
    OCI_GZIP_LAYER,
    OCI_MANIFEST,
    ConfigChange,
    Descriptor,
    Unreadable,
    append_layer,
    artifact,
    digest_for_platform,
    digest_of_bytes,
    is_digest,
    read_image,
)

if TYPE_CHECKING:
    from pydantic import SecretStr  # reading it takes longer than all else here

_REFERENCE = re.compile(
    r"\A(?P<host>(?:[a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?)/"
    r"(?P<path>[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*)\Z"
)
_TAG = re.compile(r"\A\w[\w.-]{0,127}\Z", re.ASCII)
_NEXT = re.compile(r'<([^<>]{1,2000})>\s*;\s*rel="?next"?')
_PAGES_AT_MOST = 1000
_TAGS_A_PAGE = 1000


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry has it."""

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True)
class Appended:
    """An image that was made in the registry: its digest, its new layer, and how many bytes of it had to be sent."""

    digest: str
    layer: Descriptor
    sent_bytes: int


class Registry:
    """One repository of a registry: `reference` is `host[:port]/path`, reached over TLS unless `plain_http`.

    `certificates` is a PEM file of authorities that are trusted beside the system's. To be closed.
    Raises: OperatorFault, where the settings cannot be used. All that asks the registry raises WorldFault, where it
    does not answer or not what it should, and OperatorFault, where it does not let us.
    """

    def __init__(
        self,
        reference: str,
        *,
        username: str = "",
        password: "SecretStr | None" = None,
        certificates: Path | None = None,
        plain_http: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        parts = _REFERENCE.match(reference)
        if not parts or len(reference) > 255:
            raise OperatorFault(f"BINDER_REGISTRY: {reference!r} is not like registry.example.org/binder.")
        self.reference = reference
        self._path = parts["path"]
        self._chunk_bytes = chunk_bytes
        self._connection = Connection(
            parts["host"], username=username, password=password, certificates=certificates, plain_http=plain_http
        )

    async def close(self) -> None:
        """Let go of the sockets."""
        await self._connection.close()

    async def manifest(self, reference: str) -> Manifest | None:
        """Return what a tag or a digest names, None where there is nothing."""
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        answer = await self._connection.ask(
            "GET", self._place("manifests", reference), expected=(200, 404), headers=accept
        )
        if answer.status == 404:
            return None
        digest = digest_of_bytes(answer.body)
        check_digest(answer, digest)
        if is_digest(reference) and reference != digest:
            raise WorldFault("The registry has another manifest under this digest.")
        return Manifest(answer.body, answer.headers.get("content-type", "").partition(";")[0].strip(), digest)

    async def digest(self, tag: str) -> str | None:
        """Return the digest that a tag stands for, None where there is no such tag."""
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        answer = await self._connection.ask("HEAD", self._place("manifests", tag), expected=(200, 404), headers=accept)
        if answer.status == 404:
            return None
        digest = answer.headers.get("docker-content-digest", "")
        if is_digest(digest):
            return digest
        manifest = await self.manifest(tag)
        return manifest.digest if manifest else None

    async def image_manifest(self, reference: str) -> Manifest | None:
        """Return the manifest of an image; of one for several platforms, that for linux/amd64."""
        found = await self.manifest(reference)
        if found and found.media_type in INDEXES:
            return await self.manifest(digest_for_platform(found.data))
        return found

    async def put_manifest(self, tag: str, data: bytes, media_type: str = OCI_MANIFEST) -> str:
        """Give a manifest a tag, and return its digest; all that it names must be there."""
        digest = digest_of_bytes(data)
        headers = {"Content-Type": media_type}
        answer = await self._connection.ask(
            "PUT", self._place("manifests", tag), expected=(201,), content=data, headers=headers
        )
        check_digest(answer, digest)
        return digest

    async def delete_manifest(self, digest: str) -> bool:
        """Delete a manifest with all of its tags, and return whether it was there.

        Its blobs go when the registry next collects what nothing names.
        """
        answer = await self._connection.ask("DELETE", self._place("manifests", digest), expected=(202, 200, 404))
        return answer.status != 404

    async def blob(self, digest: str, *, most_bytes: int = SMALL_BYTES) -> bytes:
        """Return a blob, checked against its digest."""
        place = self._place("blobs", digest)
        answer = await self._connection.ask("GET", place, expected=(200,), most_bytes=most_bytes)
        if f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != digest:
            raise WorldFault("The registry has another blob under this digest.")
        return answer.body

    async def has_blob(self, digest: str) -> bool:
        """Whether a blob is there."""
        return await has_blob(self._connection, self._path, digest)

    async def upload_blob(self, source: Source, digest: str, size: int) -> int:
        """See to it that a blob is there, and return how many bytes had to be sent: none, where it was."""
        if await self.has_blob(digest):
            return 0
        await Upload(self._connection, self._path, source, digest, size, chunk_bytes=self._chunk_bytes).send()
        return size

    async def tags(self) -> list[str]:
        """Return all tags of the repository; none, where nothing is there yet."""
        place, found = f"/v2/{self._path}/tags/list?n={_TAGS_A_PAGE}", list[str]()
        for _ in range(_PAGES_AT_MOST):
            answer = await self._connection.ask("GET", place, expected=(200, 404))
            if answer.status == 404:
                return found
            found += _tags_in(answer)
            following = _NEXT.search(answer.headers.get("link", ""))
            if not following:
                return found
            place = _path_of(following[1], place)
        raise WorldFault("The registry's list of tags has no end.")

    async def append(
        self, parent: str, tar: Path, diff_id: str, tar_bytes: int, change: ConfigChange, tag: str
    ) -> Appended | None:
        """Lay one layer, a plain tar of digest `diff_id`, on the image `parent` (a tag or a digest), and name it `tag`.

        None where the parent is not there (any more).
        """
        manifest = await self.image_manifest(parent)
        if manifest is None:
            return None
        config = await self.blob(read_image(manifest.data).config.digest)
        async with packed(tar, tar_bytes) as layer:
            described = Descriptor(OCI_GZIP_LAYER, layer.digest, layer.size)
            composed = append_layer(manifest.data, config, described, diff_id, change)
            sent = await self.upload_blob(layer.source, layer.digest, layer.size)
        await self.upload_blob(composed.config, composed.config_digest, len(composed.config))
        return Appended(await self.put_manifest(tag, composed.manifest), described, sent)

    async def put_artifact(self, tag: str, data: bytes, artifact_type: str) -> str:
        """Keep a small document under a tag, and return the digest of its manifest."""
        manifest, config = artifact(data, artifact_type)
        for blob in (config, data):
            await self.upload_blob(blob, digest_of_bytes(blob), len(blob))
        return await self.put_manifest(tag, manifest)

    async def artifact(self, tag: str, *, most_bytes: int = 2**26) -> bytes | None:
        """Return the document that `put_artifact` keeps under a tag, None where there is none."""
        manifest = await self.manifest(tag)
        if manifest is None:
            return None
        layers = read_image(manifest.data).layers
        if len(layers) != 1:
            raise WorldFault(f"What the registry has as {tag} is no document of ours.")
        return await self.blob(layers[0].digest, most_bytes=most_bytes)

    def _place(self, kind: str, reference: str) -> str:
        if not is_digest(reference) and not _TAG.match(reference):
            raise ValueError(f"neither a tag nor a digest: {reference!r}")
        return f"/v2/{self._path}/{kind}/{quote(reference, safe=':')}"


def _path_of(address: str, place: str) -> str:
    """Return only the path of the next page's address: a list has no reason to go on anywhere else."""
    try:
        parts = urlsplit(urljoin(place, address))
    except ValueError as error:
        raise WorldFault("The registry's list of tags goes on at an address that is none.") from error
    return f"{parts.path}?{parts.query}"


def _tags_in(answer: Answer) -> list[str]:
    try:
        return [str(tag) for tag in json.loads(answer.body)["tags"] or ()]
    except Unreadable as error:
        raise WorldFault("The registry's list of tags cannot be read.") from error
