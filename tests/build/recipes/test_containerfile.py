"""What of a Dockerfile may be built: what it comes to, what is refused, and what Buildah makes of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from binder.errors import RepositoryFault
from binder.paths import Paths
from binder.process import Account
from build.recipes.containerfile import Containerfile, check_triggers, in_own_layers, read_containerfile
from build.recipes.image_names import Pulled, pulled_images
from tests.build.debian import Workshop

OWN = "registry.example.org:5000/binder"
BASE = "FROM registry.example.org/base:1\n"


def read(text: str, **ids: str) -> Containerfile:
    return read_containerfile("Dockerfile", text, own=OWN, links={"link", "docs/link"}, ids=ids)


def refusal(text: str) -> RepositoryFault:
    with pytest.raises(RepositoryFault) as caught:
        read(text)
    assert caught.value.file == "Dockerfile"
    return caught.value


def test_a_file_is_written_anew_with_its_images_and_lines() -> None:
    text = """\
# syntax=docker/dockerfile:1
ARG VERSION=3.11
ARG SUITE=bookworm

from --platform=linux/amd64 python:${VERSION}-${SUITE:-x} as Builder
RUN echo a \\
  # a comment in between

    && echo b
copy --from=ghcr.example.org/uv:1 --link --chown="1000:1000" /uv /bin/uv
FROM builder
COPY --from=0 /a /b
COPY --from=builder /a /b
CMD ["a"]
"""
    file = read(text, python="x")
    assert file.text.splitlines() == [
        "ARG VERSION=3.11",
        "ARG SUITE=bookworm",
        "FROM --platform=linux/amd64 python:3.11-bookworm AS builder",
        "RUN echo a     && echo b",
        "COPY --from=ghcr.example.org/uv:1 --chown=1000:1000 /uv /bin/uv",
        "FROM builder",
        "COPY --from=0 /a /b",
        "COPY --from=builder /a /b",
        'CMD ["a"]',
    ]
    assert file.images == {"python:3.11-bookworm": 5, "ghcr.example.org/uv:1": 10}
    assert file.steps == {(1, 1): 5, (1, 2): 6, (1, 3): 10, (2, 1): 11, (2, 2): 12, (2, 3): 13, (2, 4): 14}
    assert file.lines == [2, 3, 5, 6, 10, 11, 12, 13, 14]


def test_the_ids_of_images_that_were_loaded_take_the_place_of_their_names() -> None:
    text = f"{BASE}COPY --from=team/tool /a /b\nRUN --mount=type=bind,from=team/tool,target=/t ls /t\n"
    ids = {"registry.example.org/base:1": "1" * 64, "team/tool": "2" * 64}
    file = read_containerfile("Dockerfile", text, own=OWN, links=(), ids=ids)
    assert file.text.splitlines() == [
        f"FROM {'1' * 64}",
        f"COPY --from={'2' * 64} /a /b",
        f"RUN --mount=type=bind,from={'2' * 64},target=/t ls /t",
    ]


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        ("--mount=type=cache,target=/root/.cache", ""),
        ("--mount=type=cache,id=../../../../etc,target=/c", ""),
        ("--mount=type=secret,id=x", ""),
        ("--mount=type=ssh", ""),
        ("--network=default", ""),
        ("--mount=target=/x", "--mount=type=bind,target=/x "),
        ("--mount=type=bind,source=.,dst=/x", "--mount=type=bind,target=/x "),
        ("--mount=type=bind,src=./docs//a.txt,target=/x,ro", "--mount=type=bind,source=docs/a.txt,target=/x "),
        ("--mount=type=tmpfs,target=/x,size=100", "--mount=type=tmpfs,target=/x "),
        ("--mount=type=cache,target=/c --mount=type=tmpfs,target=/x", "--mount=type=tmpfs,target=/x "),
    ],
)
def test_mounts_that_harm_nobody_are_let_be(flags: str, written: str) -> None:
    assert read(f"{BASE}RUN {flags} true\n").text.splitlines()[1] == f"RUN {written}true"


@pytest.mark.parametrize(
    "image",
    [
        "localhost/binder:content-0123",
        "localhost:5000/binder",
        "LOCALHOST/x",
        "registry.example.org:5000/binder:content-0123",
        "registry.example.org:5000/binder/x",
        "dir:/etc",
        "dir:etc",
        "oci:x",
        "oci:/tmp/x",
        "oci-archive:/etc/passwd",
        "docker-archive:/etc/passwd",
        "docker-daemon:x",
        "containers-storage:localhost/binder:x",
        "containers-storage:x",
        "docker://python",
        "[vfs@/tmp]x",
        "../x",
        "/etc/passwd",
        "@0123",
        "$UNKNOWN",
        "${X}",
        "a\\b",
        "${VALUE#x}",
        "$(id)",
        "x" * 600,
    ],
)
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM {}\n", 1),
        ("ARG X={}\nFROM $X\n", 2),
        (BASE + "COPY --from={} / /\n", 2),
        (BASE + "RUN --mount=from={},target=/x ls\n", 2),
    ],
)
def test_places_of_this_host_and_images_of_ours_are_refused(text: str, line: int, image: str) -> None:
    assert refusal(text.format(image)).line == line


@pytest.mark.parametrize("name", ["scratch", "python", "python:3.11-slim", "registry:2", "team/x@sha256:" + "0" * 64])
def test_images_of_others_are_let_be(name: str) -> None:
    assert read(f"FROM {name}\n").text == f"FROM {name}\n"
    assert set(read(f"FROM {name}\n").images) == {name} - {"scratch"}


@pytest.mark.parametrize(
    "instruction",
    [
        "RUN --mount=type=bind,source=link,target=/x ls",
        "RUN --mount=type=bind,source=docs/../link,target=/x ls",
        "RUN --mount=type=bind,source=docs/link/a,target=/x ls",
        "RUN --mount=type=bind,source=../..,target=/x ls",
        "RUN --mount=source=link,target=/x ls",
        "RUN --mount=type=bind,src=link,target=/x ls",
        "RUN --mount=type=bind,source=$S,target=/x ls",
        "RUN --mount=type=bind,rw,target=/x ls",
        "RUN --mount=type=bind,readonly=false,target=/x ls",
        "RUN --mount=type=bind,from=one,source=link,target=/x ls",
        "RUN --mount=type=secret,id=x,required ls",
        "RUN --mount=type=image,target=/x ls",
        "RUN --mount=type=bind ls",
        "RUN --security=insecure ls",
        "RUN --network=host ls",
        "RUN --network=none ls",
        "RUN --device=/dev/sda ls",
        'RUN --mount="type=bind,source=link,target=/x" --x="a b" ls',
        "RUN --mount=type=bind,source=li\\nk,target=/x ls",
        "RUN -\\\n-mount=type=bind,source=link,target=/x ls",
        "RUN --mo\\\nunt=type=bind,source=link,target=/x ls",
        "RU\\\nN --mount=type=bind,source=link,target=/x ls",
        "RUN --mount=type=tmpfs,target=/y \\\n --mount=type=bind,source=link,target=/x ls",
        "ONBUILD RUN --mount=type=bind,source=link,target=/x ls",
        "ONBUILD FROM x",
        "ONBUILD",
        "ONBUILD # x",
        'COPY --chown="a b" --from=localhost/x / /',
        "COPY --chown=a\\ --from=localhost/x / /",
        "COPY --from=$X / /",
        "COPY --from=7 / /",
        "COPY --from= / /",
        "RUN <<EOF",
        "COPY <<EOF /x",
        "RUN python3 <<-'EOF'",
        "INSTAL x",
        "INCLUDE /etc/passwd",
        "FROM",
        "FROM a AS",
        "FROM a b",
        "FROM a AS ../x",
        "RUN " + "x" * 60_001,
    ],
)
def test_what_is_dangerous_or_unknown_is_refused_with_its_line(instruction: str) -> None:
    fault = refusal(f"FROM registry.example.org/base AS one\n\n{instruction}\n")
    assert fault.line == 3
    assert fault.message.startswith("Dockerfile line 3 ")


@pytest.mark.parametrize("text", ["", "# x\n", "ARG A=1\n", "RUN true\n", "# escape=`\nFROM x\n", "FROM x\n" * 501])
def test_what_is_no_dockerfile_is_refused(text: str) -> None:
    assert refusal(text).message.startswith("Dockerfile ")


@pytest.mark.parametrize(
    "text", ["RUN cat <<< x", "RUN echo $((1 << 2))", "RUN python3 -c 'print(1 << n)'", "RUN echo '# x'", "run\ttrue"]
)
def test_ordinary_commands_are_let_be(text: str) -> None:
    assert read(BASE + text + "\r\n").text.splitlines()[1].split(maxsplit=1)[1] == text.split(maxsplit=1)[1]


def test_what_an_image_does_to_others_is_checked_too() -> None:
    allowed = ["COPY --chown=1000 . /home/jovyan", "RUN  if test -f apt.txt; then true; fi", "USER jovyan"]
    check_triggers("Dockerfile", 3, "x", allowed, own=OWN, links=["link"])
    for trigger in (
        "RUN --mount=type=bind,source=link,target=/x ls",
        "RUN --mount=type=cache,target=/x ls",
        "COPY --from=oci:/etc / /",
        "FROM y",
        "",
        "RUN a\nRUN --mount=type=bind,source=link,target=/x ls",
    ):
        with pytest.raises(RepositoryFault, match="Dockerfile line 3 begins with x, whose ONBUILD"):
            check_triggers("Dockerfile", 3, "x", [trigger], own=OWN, links=["link"])


def test_what_was_loaded_is_read() -> None:
    said = ["--- wanted: a", "noise", "--- pulled: 12 sha256:ab", "--- trigger: RUN x: y", "", "--- wanted: b"]
    assert pulled_images(said) == {"a": Pulled("12", "sha256:ab", ("RUN x: y",))}


def test_the_script_that_loads_names_no_registry() -> None:
    assert "docker://$image" in (Path(__file__).parents[3] / "templates/build/pull.sh").read_text()


_BUILD = """
set -eu
buildah build --isolation oci --runtime runc --network host --layers --pull-never --format docker \\
    --build-arg NB_USER=jovyan --build-arg NB_UID=1000 --ignorefile /dev/null --file "$1" --tag "$3" "$2"
"""


@pytest.mark.slow
async def test_what_is_let_be_reads_nothing_of_this_host(workshop: Workshop) -> None:
    secret = workshop.folder / "secret"
    secret.mkdir(mode=0o755)
    (secret / "key").write_text("key-of-this-host")
    context = workshop.given(a_txt="content of a")
    (context / "link").symlink_to(secret)
    (context / "file").symlink_to(secret / "key")
    base = await workshop.base("bookworm")
    text = f"""{BASE}SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG NB_USER
RUN [[ $NB_USER == jovyan ]] && true
RUN --mount=type=bind,source=a.txt,target=/a.txt grep 'content of a' /a.txt
RUN --mount=type=bind,target=/all ! cat /all/link/key && ! cat /all/file
RUN --mount=type=secret,id=x --mount=type=ssh ! ls /run/secrets
COPY . /copied
RUN ! cat /copied/link/key && ! cat /copied/file
"""
    ids = {"registry.example.org/base:1": await _id_of(workshop, base)}
    file = read_containerfile("Dockerfile", text, own=OWN, links={"link", "file"}, ids=ids)
    await _build(workshop, file.text, context)
    for hostile in ("ADD ../secret/key /x", "COPY link/key /x", "COPY file /x", "ADD file /x"):
        file = read_containerfile("Dockerfile", f"{BASE}{hostile}\n", own=OWN, links={"link", "file"}, ids=ids)
        with pytest.raises(RepositoryFault):
            await _build(workshop, file.text, context)
    assert not any("key-of-this-host" in line for line in workshop.printed)


async def _id_of(workshop: Workshop, image: str) -> str:
    workshop.printed.clear()
    look = "buildah inspect --type image --format '{{.FromImageID}}' \"$1\""
    await workshop.buildah.run_script(look, image, step="look", take=workshop.take)
    return workshop.printed[-1]


async def _build(workshop: Workshop, text: str, context: Path) -> None:
    image = "localhost/binder-test:containerfile"
    workshop.images.append(image)
    file = workshop.folder / "Containerfile"
    file.write_text(text)
    await workshop.buildah.run_script(_BUILD, str(file), str(context), image, step="image", take=workshop.take)


@pytest.fixture
async def workshop(engine_paths: Paths, account: Account, reachable_path: Path) -> AsyncIterator[Workshop]:
    """Builds on Debian."""
    workshop = Workshop(engine_paths, account, reachable_path)
    yield workshop
    await workshop.close()


def test_in_a_namespace_every_stage_begins_with_a_step_of_its_own_and_lines_stay_what_they_are() -> None:
    text = "ARG VERSION=1\nFROM a:${VERSION} AS made\nRUN one\n\nFROM b\nCOPY --from=made /x /x\n"
    file = read_containerfile("Dockerfile", text, own="localhost/binder", links=())
    assert in_own_layers(file, "") == file
    own, other = in_own_layers(file, "one"), in_own_layers(file, "other")
    label = own.text.splitlines()[2]
    assert label.startswith("LABEL org.binder.namespace=")
    assert own.text.splitlines() == [
        *("ARG VERSION=1", f"FROM {next(iter(file.images))} AS made", label, "RUN one"),
        *(own.text.splitlines()[4], label, "COPY --from=made /x /x"),
    ]
    assert own.text != other.text
    assert own.images == file.images
    assert own.steps == {(1, 1): 2, (1, 2): 2, (1, 3): 3, (2, 1): 5, (2, 2): 5, (2, 3): 6}
    assert own.lines == [1, 2, 2, 3, 5, 5, 6]
