"""Which images of modules are made, and under which keys; what a Containerfile of a module may say."""

from collections.abc import Mapping

import pytest

from binder.errors import RepositoryFault
from build.module_images import WantedImage, module_layers, wanted_image
from build.plan import Layer, base_layer
from modules.bound import Bound, BoundComponent
from modules.definition import Image
from modules.reading import read_module
from tests.modules.samples import files_with

_PLACE = "binder/modules/postgres/15/images/server"
_DIGEST = "quay.example/x@sha256:" + "0" * 64


def wanted(
    changes: Mapping[str, str | None] | None = None, namespace: str = "", image: str = "images/server"
) -> WantedImage:
    files = files_with(changes or {}, ("server: images/server", f"server: {image}"))
    module = read_module("postgres", "15", files, origin="the tests", folder="binder/modules/postgres/15")
    found = wanted_image(module, module.images["server"], "bookworm", namespace)
    assert found
    return found


def containerfile(text: str) -> str:
    file = wanted({"images/server/Containerfile": text}).containerfile("registry.example/binder", "the-base:1")
    return file.text


def test_a_key_is_of_the_base_and_of_the_folder_and_of_nothing_else() -> None:
    key = wanted().layer.key
    assert wanted({"client/example.ipynb": '{"cells": [1]}', "README.md": "x"}).layer.key == key
    assert wanted().layer.tag == f"module-{key}"
    others = [
        wanted({"images/server/Containerfile": "FROM base\nUSER 1000\n"}),
        wanted({"images/server/more.txt": ""}),
        wanted({"images/server/apt.txt": ""}),
        wanted(namespace="fork of x"),
        wanted(image="{folder: images/server, debian: trixie}"),
    ]
    assert len({key, *(one.layer.key for one in others)}) == 6
    assert others[-1].base == base_layer("trixie")


def test_packages_are_listed_beside_it() -> None:
    assert wanted().packages == {}
    assert wanted({"images/server/apt.txt": "redis-server # it\n\ncurl\n"}).packages == {"curl": 3, "redis-server": 1}
    with pytest.raises(RepositoryFault, match="is an option of apt") as caught:
        assert wanted({"images/server/apt.txt": "curl\n-o x\n"}).packages
    assert (caught.value.file, caught.value.line) == (f"{_PLACE}/apt.txt", 2)


@pytest.mark.parametrize(
    "begins", ["FROM base", "FROM ${BASE}", "ARG BASE\nFROM ${BASE}", "ARG BASE\nFROM $BASE AS one"]
)
def test_it_begins_with_the_base(begins: str) -> None:
    text = containerfile(f"{begins}\nRUN true\n")
    assert "FROM the-base:1" in text
    assert text.endswith("RUN true\n")


def test_it_may_have_several_stages() -> None:
    text = containerfile("FROM base AS one\nRUN true\nFROM base\nCOPY --from=one /a /b\n")
    assert text.count("FROM the-base:1") == 2
    assert "COPY --from=one /a /b" in text


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("FROM debian:12\n", 1, "begins with `\\$\\{BASE\\}`"),
        ("ARG BASE=debian:12\nFROM ${BASE}\n", 2, "begins with"),
        ("FROM base\nCOPY --from=debian:12 /etc/passwd /\n", 2, "begins with"),
        ("FROM localhost/binder:content-1\n", 1, "an image of this service"),
        ("FROM base\nCOPY --from=registry.example/binder:base-1 / /\n", 2, "an image of this service"),
        ("FROM base\nRUN --mount=type=bind,source=../..,target=/x ls\n", 2, "from above"),
        ("FROM base\nRUN --mount=type=bind,rw,source=x,target=/x ls\n", 2, "to be written to"),
        ("FROM base\nRUN --network=host ls\n", 2, "not to be had here"),
        ("FROM base\nRUN --security=insecure ls\n", 2, "not to be had here"),
        ("FROM base\nONBUILD FROM x\n", 2, "in ONBUILD"),
        ("FROM base\nNOTHING\n", 2, "no instruction"),
        ("RUN ls\n", 1, "before the first FROM"),
        ("", None, "has no FROM"),
    ],
)
def test_it_may_say_nothing_that_a_dockerfile_may_not(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        containerfile(text)
    assert (caught.value.file, caught.value.line) == (f"{_PLACE}/Containerfile", line)


def test_a_release_that_there_is_not_is_refused() -> None:
    with pytest.raises(RepositoryFault, match="begins with Debian buster; there are bookworm, trixie"):
        wanted(image="{folder: images/server, debian: buster}")


def test_an_image_of_a_registry_is_not_made() -> None:
    module = read_module("postgres", "15", files_with(), origin="x")
    assert wanted_image(module, Image("server", reference=_DIGEST), "bookworm") is None


def _bound(*images: str | None) -> list[Bound]:
    components = tuple(BoundComponent(f"c{number}", image, {}, 1, 1) for number, image in enumerate(images))
    return [Bound("a", "1", "A", "single-node", {}, (), components, {})]


def test_images_are_ours_or_known_by_their_digests() -> None:
    ours = f"registry.example/binder:module-{'1' * 32}"
    assert module_layers(_bound(ours, _DIGEST, None), "registry.example/binder") == frozenset(
        {Layer("module", "1" * 32)}
    )
    for other in ("quay.example/x:1", f"other.example/binder:module-{'1' * 32}", "registry.example/binder:content-1"):
        assert module_layers(_bound(ours, other), "registry.example/binder") is None
