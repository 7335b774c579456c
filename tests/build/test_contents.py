"""What lies on an environment: the files of a commit, and what is run on them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from binder.errors import BinderError, RepositoryFault
from binder.names import new_token
from build.pipeline import Built
from tests.build.conftest import Build
from tests.build.machines import said_by_buildah
from tests.build.package_index import write_wheel
from tests.builds import Builder
from tests.repositories import Files, Link, LocalRepository, Script

pytestmark = pytest.mark.slow

MakeRepository = Callable[[Files], LocalRepository]

_READS = """#!/bin/bash
set -e
ls -A >listed
cat data/in.txt >made
date +%s%N >at
"""


def key_of(built: Built, kind: str) -> str:
    """Return the key of a layer."""
    return next(one.layer.key for one in built.layers if one.layer.kind == kind)


async def test_a_post_build_runs_as_the_user_in_the_repository(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    script = (
        "#!/bin/bash\nset -e\nid -u >who\npwd >where\nexport LEAKED=1\npip config list >/dev/null\npython -V >python\n"
    )
    built = await build(make_repository({"binder/postBuild": Script(script), "data.txt": new_token()}))
    lines = await builder.inside(built.image, 'cat who where python; echo "${LEAKED:-no}"; find . ! -user 1000')
    assert lines[:2] == ["1000", "/home/jovyan"]
    assert lines[2].startswith("Python 3.")
    assert lines[3:] == ["no"]


async def test_a_post_build_that_says_what_it_reads_runs_for_that_alone(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    files: Files = {
        "postBuild": Script(_READS),
        "binder.yml": "post_build: {inputs: [data]}\n",
        "data/in.txt": new_token(),
        "secret.txt": "no input",
        "a.ipynb": "{}",
    }
    repository = make_repository(files)
    first = await build(repository)
    assert [one.layer.kind for one in first.layers if not one.reused] == ["prepared", "content"]
    assert first.why.startswith("What postBuild reads has changed")
    looked = "cat at made; echo; cat listed; echo; ls -A | grep -v '^[.]'"
    at, made, *rest = await builder.inside(first.image, looked)
    assert made == files["data/in.txt"]
    assert {"data", "postBuild", "listed"} <= set(rest[: rest.index("")])
    assert not {"secret.txt", "a.ipynb", "binder.yml"} & set(rest[: rest.index("")]), "it saw no other file"
    assert set(rest[rest.index("") :]) == {
        "",
        "a.ipynb",
        "at",
        "binder.yml",
        "data",
        "listed",
        "made",
        "postBuild",
        "secret.txt",
    }
    repository.commit({"a.ipynb": new_token(), "secret.txt": None})
    second = await build(repository)
    assert key_of(second, "prepared") == key_of(first, "prepared")
    assert [one.layer.kind for one in second.layers if not one.reused] == ["content"]
    assert await builder.inside(second.image, "cat at; ls secret.txt 2>/dev/null; true") == [at], "it did not run again"
    repository.commit({"data/in.txt": new_token()})
    third = await build(repository)
    assert key_of(third, "prepared") != key_of(first, "prepared")
    assert key_of(third, "environment") == key_of(first, "environment")
    after, remade = (await builder.inside(third.image, "cat at made; echo"))[:2]
    assert (after != at, remade != made) == (True, True)
    await builder.forget(f"localhost/binder:prepared-{key_of(built, 'prepared')}" for built in (first, third))


_INSTALLS = """#!/bin/bash
echo "--- inventory ---"
echo '["pypi", "forged", "1"]'
pip install --quiet --no-deps --no-index wheels/tides-1.0-py3-none-any.whl
pip install --quiet --no-deps --no-index --prefix ~/.local wheels/moons-1.0-py3-none-any.whl
while :; do echo '["still", "here"]'; sleep 0.01; done &
exit 0
"""


@pytest.mark.parametrize("more", [{}, {"binder.yml": "post_build: {inputs: [wheels]}\n"}])
async def test_what_a_post_build_installs_is_listed(
    jupyter_image: str, builder: Builder, build: Build, make_repository: MakeRepository, tmp_path: Path, more: Files
) -> None:
    script = Script(f"{_INSTALLS}# {new_token()}\n")
    files: dict[str, str | bytes | None] = {"postBuild": script, "a.txt": new_token(), **more}
    for name in ("tides", "moons"):
        write_wheel(tmp_path, name, {f"{name}.py": ""})
        wheel = f"{name}-1.0-py3-none-any.whl"
        files[f"wheels/{wheel}"] = (tmp_path / wheel).read_bytes()
    repository = make_repository(files)
    log = repository.folder / "log"
    built = await build(repository, log=log)
    held = set(map(tuple, built.packages or ()))
    assert {("os", "debian", "bookworm"), ("pypi", "tides", "1.0"), ("pypi", "moons", "1.0")} <= held
    assert {"jupyterlab", "libc6"} <= {name for _, name, _ in held}
    assert "forged" not in {name for _, name, _ in held}
    assert '\n["still", "here"]\n' in log.read_text(), "what it says is in the log, whatever it says"
    assert (await build(repository)).packages == built.packages
    other = await build(make_repository({"a.txt": new_token()}))
    assert held - set(map(tuple, other.packages or ())) == {("pypi", "tides", "1.0"), ("pypi", "moons", "1.0")}
    prepared = [f"localhost/binder:{one.layer.tag}" for one in built.layers if one.layer.kind == "prepared"]
    await builder.forget([built.image])
    await builder.forget(prepared)


async def test_what_starts_is_the_authors_own(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    start = Script('#!/bin/bash\nexport FROM_START=yes\nexec "$@"\n')
    built = await build(make_repository({"binder/start": start, "a.txt": new_token()}))
    config = json.loads(await said_by_buildah(builder, "inspect", "--type", "image", built.image))["OCIv1"]["config"]
    assert config["Entrypoint"] == ["/home/jovyan/binder/start"]
    assert config["Cmd"] == ["jupyter-lab", "--ip=0.0.0.0"]
    assert await builder.inside(built.image, "binder/start sh -c 'echo \"$FROM_START\"'") == ["yes"]
    run = await build(make_repository({"start": start, "postBuild": Script("#!/bin/sh\ntrue\n"), "a.txt": new_token()}))
    config = json.loads(await said_by_buildah(builder, "inspect", "--type", "image", run.image))["OCIv1"]["config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/home/jovyan/start"], ["jupyter-lab", "--ip=0.0.0.0"])


async def test_files_that_are_to_be_ignored_are_left_out(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    files = {
        ".dockerignore": "*.csv\n!small.csv\nraw/\n",
        "large.csv": "x",
        "small.csv": "x",
        "raw/a.txt": "x",
        "a.txt": new_token(),
    }
    built = await build(make_repository(files))
    listed = "find . -mindepth 1 ! -name '.b*' ! -name .profile | sort"
    assert await builder.inside(built.image, listed) == ["./.dockerignore", "./a.txt", "./small.csv"]


@pytest.mark.timeout(400)
async def test_debians_packages_lie_below_the_environment(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository({"apt.txt": "tree # to look around\n", "a.txt": new_token()})
    built = await build(repository)
    kinds = [one.layer.kind for one in built.layers]
    assert kinds == ["base", "system", "environment", "content"]
    assert (await builder.inside(built.image, "tree --version; python -c 'import jupyterlab'"))[0].startswith("tree v")
    assert "tree" in {name for kind, name, _ in map(tuple, built.packages or ()) if kind == "deb"}
    plain = await build(make_repository({"a.txt": new_token()}))
    assert key_of(plain, "environment") != key_of(built, "environment")
    assert key_of(plain, "base") == key_of(built, "base")


async def _fault(builder: Builder, repository: LocalRepository, log: Path | None = None) -> BinderError:
    with pytest.raises(BinderError) as caught:
        await builder.build(repository.source, repository.git("rev-parse", "HEAD"), log=log)
    return caught.value


async def test_a_package_that_does_not_exist_is_named_with_its_line(
    builder: Builder, make_repository: MakeRepository
) -> None:
    repository = make_repository({"requirements.txt": "# ours\nsix\nno-such-package-of-anybody\n"})
    fault = await _fault(builder, repository)
    assert isinstance(fault, RepositoryFault)
    assert (fault.place, fault.step) == ("requirements.txt line 3", "environment")
    assert "no-such-package-of-anybody" in fault.message


@pytest.mark.parametrize("more", [{}, {"binder.yml": "post_build: {inputs: [a.txt]}\n"}])
async def test_a_post_build_that_fails_is_named_with_its_status(
    builder: Builder, jupyter_image: str, make_repository: MakeRepository, tmp_path: Path, more: Files
) -> None:
    script = Script("#!/bin/sh\necho what went wrong\nexit 3\n")
    fault = await _fault(builder, make_repository({"postBuild": script, "a.txt": "", **more}), log=tmp_path / "log")
    assert isinstance(fault, RepositoryFault)
    assert (fault.place, fault.step) == ("postBuild", "postBuild")
    assert "status 3" in fault.message
    assert "\nwhat went wrong\n" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("files", "file"),
    [
        ({"binder/a": "x", ".binder/a": "x"}, ".binder"),
        ({"Project.toml": "name = 'X'\n"}, "Project.toml"),
        ({"environment.yml": "- a\n"}, "environment.yml"),
        ({"postBuild": "#!/bin/sh\n"}, "postBuild"),
        ({"start": "#!/bin/sh\n"}, "start"),
        ({"apt.txt": "no_package!\n"}, "apt.txt"),
        ({"requirements.txt": "-e ./nowhere\n"}, "requirements.txt"),
        ({"requirements.txt": Link("/etc/passwd")}, "requirements.txt"),
        ({"pyproject.toml": "[project\n"}, "pyproject.toml"),
        ({"binder.yml": "post_build: {inputs: [nowhere]}\n"}, "binder.yml"),
        ({"binder.lock": "{}\n"}, "binder.lock"),
    ],
)
async def test_what_cannot_be_built_is_named(
    builder: Builder, make_repository: MakeRepository, files: Files, file: str
) -> None:
    fault = await _fault(builder, make_repository(files))
    assert isinstance(fault, RepositoryFault)
    assert fault.file == file


async def test_links_that_lead_out_of_a_repository_lead_nowhere(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository, reachable_path: Path
) -> None:
    secret = reachable_path / "secret"
    secret.write_text("of the host")
    secret.chmod(0o644)
    links: Files = {
        "file": Link(str(secret)),
        "folder": Link(str(reachable_path)),
        "up": Link("../../../../../../etc/passwd"),
        ".local": Link("/etc"),
        "itself": Link("itself"),
    }
    script = (
        "for name in file folder up .local itself; do readlink $name; done; cat file folder/secret 2>/dev/null; true"
    )
    for more in ({}, {"postBuild": Script("#!/bin/sh\ntrue\n")}):
        built = await build(make_repository({**links, **more}))
        assert await builder.inside(built.image, script) == [str(link) for link in links.values()]


async def test_a_commit_may_be_of_any_time(
    builder: Builder, jupyter_image: str, build: Build, make_repository: MakeRepository
) -> None:
    repository = make_repository({"a.txt": "of another time"})
    tree = repository.git("rev-parse", "HEAD^{tree}").encode()
    for time in (0, 2**62):
        who = b"Ada <ada@example.org> %d +0000" % time
        sha = repository.commit_object(b"tree %b\nauthor %b\ncommitter %b\n\nx\n" % (tree, who, who))
        built = await build(repository, sha)
        assert await builder.inside(built.image, "cat a.txt") == ["of another time"]
