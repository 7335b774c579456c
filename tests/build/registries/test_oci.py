"""Images written down without any tool: what is kept of the parent, what changes, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binder.errors import WorldFault
from binder.paths import Paths
from binder.process import Account
from build.buildah import Buildah
from build.registries.oci import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_GZIP_LAYER,
    OCI_LAYER,
    OCI_MANIFEST,
    Composed,
    ConfigChange,
    Descriptor,
    append_layer,
    artifact,
    blob_path,
    digest_for_platform,
    digest_of_bytes,
    is_digest,
    layout_files,
    read_image,
)
from tests.build.registry_servers import tar_of

CHANGE = ConfigChange(created=1_700_000_000, created_by="binder: the files of the commit")
BELOW = digest_of_bytes(b"the layer below, as a plain tar")
LAYER = Descriptor(OCI_GZIP_LAYER, digest_of_bytes(b"packed"), 6)
DIFF_ID = digest_of_bytes(b"plain")


def config_of(**settings: object) -> bytes:
    """Return the configuration of an image of one layer."""
    tree = {
        "architecture": "amd64",
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [BELOW]},
        "history": [{"created_by": "base"}],
        "os.features": ["kept as it is"],
    }
    return json.dumps(tree).encode()


def manifest_of(config: bytes, /, **changes: object) -> bytes:
    """Return the manifest of an image of one layer."""
    tree = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of_bytes(config), "size": len(config)},
        "layers": [{"mediaType": OCI_GZIP_LAYER, "digest": digest_of_bytes(b"below, packed"), "size": 13}],
        "annotations": {"org.opencontainers.image.base.name": "of the parent's parent"},
    }
    return json.dumps(tree | changes).encode()


def appended(change: ConfigChange, **settings: object) -> tuple[Composed, dict[str, Any], dict[str, Any]]:
    """Return an image with one layer more: itself, its manifest, its configuration."""
    config = config_of(**settings)
    composed = append_layer(manifest_of(config), config, LAYER, DIFF_ID, change)
    return composed, json.loads(composed.manifest), json.loads(composed.config)


def test_a_layer_more() -> None:
    composed, manifest, config = appended(CHANGE, User="1000")
    assert [layer["digest"] for layer in manifest["layers"]] == [digest_of_bytes(b"below, packed"), LAYER.digest]
    assert manifest["layers"][-1] == LAYER.as_json()
    assert manifest["config"] == Descriptor(OCI_CONFIG, composed.config_digest, len(composed.config)).as_json()
    assert config["rootfs"] == {"type": "layers", "diff_ids": [BELOW, DIFF_ID]}
    assert config["history"] == [
        {"created_by": "base"},
        {"created": "2023-11-14T22:13:20Z", "created_by": "binder: the files of the commit"},
    ]
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert config["config"] == {"User": "1000"}
    assert config["os.features"] == ["kept as it is"]
    assert "annotations" not in manifest
    assert composed.manifest_digest == digest_of_bytes(composed.manifest)
    assert composed.config_digest == digest_of_bytes(composed.config)


def test_what_changes_wins_over_what_was() -> None:
    change = replace(
        CHANGE,
        cmd=("jupyter-lab",),
        entrypoint=(),
        exposed_ports=("8888/tcp",),
        labels={"a": "new", "b": "2"},
        env={"PATH": "/opt/bin", "X": "a=b"},
    )
    _, _, config = appended(
        change,
        Entrypoint=["sh"],
        Cmd=["old"],
        ExposedPorts={"1/udp": {}},
        Labels={"a": "old", "c": "3"},
        Env=["PATH=/bin", "HOME=/h"],
    )
    assert config["config"] == {
        "Entrypoint": [],
        "Cmd": ["jupyter-lab"],
        "ExposedPorts": {"1/udp": {}, "8888/tcp": {}},
        "Labels": {"a": "new", "b": "2", "c": "3"},
        "Env": ["PATH=/opt/bin", "HOME=/h", "X=a=b"],
    }


def test_a_parent_that_says_nothing_about_itself() -> None:
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [BELOW]}, "config": None, "history": None}).encode()
    composed = append_layer(manifest_of(config), config, LAYER, DIFF_ID, replace(CHANGE, env={"A": "b"}))
    assert json.loads(composed.config)["config"] == {"Env": ["A=b"]}


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_the_same_inputs_give_the_same_bytes(labels: dict[str, str]) -> None:
    one, _, _ = appended(replace(CHANGE, labels=labels))
    other, _, _ = appended(replace(CHANGE, labels=dict(reversed(labels.items()))))
    assert one == other
    assert b" " not in one.manifest


def test_dockers_media_types_become_those_of_oci() -> None:
    config = config_of()
    docker = "application/vnd.docker"
    manifest = manifest_of(
        config,
        mediaType=DOCKER_MANIFEST,
        config={"mediaType": f"{docker}.container.image.v1+json", "digest": digest_of_bytes(config), "size": 1},
        layers=[{"mediaType": f"{docker}.image.rootfs.diff.tar.gzip", "digest": BELOW, "size": 2}],
    )
    composed = append_layer(manifest, config, LAYER, DIFF_ID, CHANGE)
    assert read_image(composed.manifest).layers == (Descriptor(OCI_GZIP_LAYER, BELOW, 2), LAYER)
    assert json.loads(composed.manifest)["config"]["mediaType"] == OCI_CONFIG


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        manifest_of(config_of(), mediaType="application/vnd.oci.image.index.v1+json"),
        manifest_of(config_of(), schemaVersion=1),
        manifest_of(config_of(), layers=[{"mediaType": "x", "digest": "sha256:../../etc", "size": 1}]),
        manifest_of(config_of(), layers=[{"mediaType": "x", "digest": BELOW, "size": -1}]),
        manifest_of(config_of(), layers=[{"mediaType": "x", "digest": BELOW, "size": 1}] * 2),
        manifest_of(config_of(User="another")),
    ],
)
def test_what_cannot_be_built_on_is_refused(manifest: bytes) -> None:
    with pytest.raises(WorldFault):
        append_layer(manifest, config_of(), LAYER, DIFF_ID, CHANGE)


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"null",
        b'{"rootfs": {}}',
        b'{"rootfs": {"diff_ids": ["sha256:1"]}}',
        b'{"rootfs": {"diff_ids": ["%s"]}, "config": 1}' % BELOW.encode(),
        b'{"rootfs": {"diff_ids": ["%s"]}, "config": {"Env": [1]}}' % BELOW.encode(),
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused(config: bytes) -> None:
    with pytest.raises(WorldFault):
        append_layer(manifest_of(config), config, LAYER, DIFF_ID, replace(CHANGE, env={"A": "b"}))


def test_a_layout_holds_all_but_what_a_store_has() -> None:
    composed, files = layout_files(config_of(User="1000"), DIFF_ID, 5, CHANGE)
    assert set(files) == {
        "oci-layout",
        "index.json",
        blob_path(composed.manifest_digest),
        blob_path(composed.config_digest),
    }
    assert blob_path(DIFF_ID) == f"blobs/sha256/{DIFF_ID.removeprefix('sha256:')}"
    assert files[blob_path(composed.config_digest)] == composed.config
    (named,) = json.loads(files["index.json"])["manifests"]
    assert named == Descriptor(OCI_MANIFEST, composed.manifest_digest, len(composed.manifest)).as_json()
    layers = read_image(composed.manifest).layers
    assert layers == (Descriptor(OCI_LAYER, BELOW, 1), Descriptor(OCI_LAYER, DIFF_ID, 5))


def test_an_index_has_one_manifest_for_us() -> None:
    others = [
        {"mediaType": OCI_MANIFEST, "digest": BELOW, "size": 1, "platform": {"os": "linux", "architecture": "arm64"}}
    ]
    ours = {
        "mediaType": OCI_MANIFEST,
        "digest": DIFF_ID,
        "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    assert digest_for_platform(json.dumps({"manifests": [*others, ours]}).encode()) == DIFF_ID
    for index in (json.dumps({"manifests": others}).encode(), b"{}", b"x"):
        with pytest.raises(WorldFault):
            digest_for_platform(index)


def test_a_document_is_kept_as_an_artifact() -> None:
    manifest, config = artifact(b"lock", "application/vnd.binder.lock.v1+json")
    tree = json.loads(manifest)
    assert config == b"{}"
    assert tree["config"]["digest"] == digest_of_bytes(config)
    assert tree["artifactType"] == tree["layers"][0]["mediaType"] == "application/vnd.binder.lock.v1+json"
    assert read_image(manifest).layers[0].digest == digest_of_bytes(b"lock")


def test_a_digest_is_one_of_sha256_in_lower_case() -> None:
    assert is_digest(BELOW)
    for text in ("", BELOW + "\n", BELOW.upper(), "sha256:" + "g" * 64, "sha512:" + "0" * 128):
        assert not is_digest(text)


@pytest.mark.slow
async def test_a_store_takes_a_layout_and_reads_one_layer(
    engine_paths: Paths, account: Account, reachable_path: Path
) -> None:
    """The parent's layers are in the store, and nowhere in the layout."""
    buildah = Buildah(engine_paths, account, timeout_seconds=60)
    lines: list[str] = []

    async def take(line: str) -> None:
        lines.append(line)

    parent, image = (f"localhost/binder-test:{kind}-{engine_paths.instance}" for kind in ("parent", "content"))
    make = """
        set -eu
        container=$(buildah from scratch)
        buildah copy --quiet "$container" "$2" /below >/dev/null
        buildah commit --quiet --rm "$container" "$1" >/dev/null
        buildah inspect --type image --format '{{.Config}}' "$1"
    """
    (reachable_path / "below").write_text("below\n")
    await buildah.run_script(make, parent, str(reachable_path / "below"), step="make", take=take)
    plain = tar_of(notebook=b"of the commit")
    _, files = layout_files(lines.pop().encode(), digest_of_bytes(plain), len(plain), CHANGE)
    for path, data in {**files, blob_path(digest_of_bytes(plain)): plain}.items():
        (reachable_path / "binder-test" / path).parent.mkdir(parents=True, exist_ok=True)
        (reachable_path / "binder-test" / path).write_bytes(data)
    look = """
        set -eu
        cd "$1"
        id=$(buildah pull --quiet oci:binder-test)
        trap 'buildah rmi --force "$id" "$3" >/dev/null' EXIT
        buildah tag "$id" "$2"
        container=$(buildah from --pull-never "$2")
        folder=$(buildah mount "$container")
        cat "$folder/below" "$folder/home/jovyan/notebook"
        buildah rm "$container" >/dev/null
    """
    await buildah.run_script(look, str(reachable_path), image, parent, step="look", take=take)
    assert lines == ["below", "of the commit"]
    assert not {parent, image} & set(await buildah.images())
