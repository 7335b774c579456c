"""Which configuration files apply: a sample repository for each of them and for each rule of precedence.

What each sample comes to is in `golden/recipes/`: what is said there differs from asking for nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from binder.errors import RepositoryFault
from build.commits.tree import Entry
from build.recipes.recipe import Options, Python, Recipe, paths_to_read, recipe_for
from build.recipes.requirements import text_of
from tests.build.hosts import with_hosts

FILE, SCRIPT, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
AVAILABLE = ("3.11", "3.13")
_HERE = Path(__file__).parents[1]
_SAMPLES = _HERE / "samples" / "recipes"
_GOLDEN = _HERE / "golden" / "recipes"
SAMPLES = sorted(path.name for path in _SAMPLES.iterdir())

NO_PYTHON = Python(None, None, {}, (), (), {}, (), (), reads_tree=False, build_systems={})
NOTHING = Recipe("", None, NO_PYTHON, None, None, (), {}, None, None, None, Options())


def files(*paths: str, **modes: str) -> dict[str, Entry]:
    return {path: Entry(FILE, 100) for path in paths} | {path: Entry(mode, 100) for path, mode in modes.items()}


def read(listing: Mapping[str, Entry], contents: Mapping[str, str]) -> dict[str, str]:
    """Read what is asked for until nothing more is."""
    texts: dict[str, str] = {}
    while missing := paths_to_read(listing, texts):
        assert not texts.keys() & set(missing)
        texts |= {path: contents[path] for path in missing}
    return texts


def recipe(listing: Mapping[str, Entry], contents: Mapping[str, str] | None = None) -> Recipe:
    contents = dict.fromkeys(listing, "") | dict(contents or {})
    return recipe_for(listing, read(listing, contents), AVAILABLE)


def of_files(contents: Mapping[str, str]) -> Recipe:
    return recipe({path: Entry(FILE, len(text.encode())) for path, text in contents.items()}, contents)


def sample(name: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the listing of a sample repository, as git would give it, and its contents."""
    listing, contents = {}, {}
    for path in sorted((_SAMPLES / name).rglob("*")):
        place = path.relative_to(_SAMPLES / name).as_posix()
        if path.is_symlink():
            contents[place] = str(path.readlink())
            listing[place] = Entry(LINK, len(contents[place]))
        elif path.is_file():
            contents[place] = with_hosts(text_of(path.read_bytes()))
            listing[place] = Entry(SCRIPT if path.stat().st_mode & 0o100 else FILE, path.stat().st_size)
    return listing, contents


def told(listing: Mapping[str, Entry], contents: Mapping[str, str]) -> dict[str, Any]:
    """Return what differs from asking for nothing, or the fault."""
    try:
        found = asdict(recipe(listing, contents))
    except RepositoryFault as fault:
        return {"fault": {"message": fault.message, "file": fault.file, "line": fault.line}}
    nothing = asdict(NOTHING)
    of_python = {key: value for key, value in found.pop("python").items() if value != nothing["python"][key]}
    rest = {key: value for key, value in found.items() if value != nothing[key]}
    both = rest | ({"python": of_python} if of_python else {})
    whole: dict[str, Any] = json.loads(json.dumps(both, default=str))
    return whole


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_comes_to_what_its_author_means(name: str) -> None:
    expected = json.loads(with_hosts((_GOLDEN / f"{name}.json").read_text(encoding="utf-8")))
    assert told(*sample(name)) == expected


def test_each_golden_file_has_a_sample() -> None:
    assert sorted(path.stem for path in _GOLDEN.iterdir()) == SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_what_a_notebook_says_leads_to_nothing_being_read(name: str) -> None:
    listing, contents = sample(name)
    try:
        texts = read(listing, contents)
    except RepositoryFault:
        return
    assert "notebook.ipynb" not in texts


def test_a_repository_without_configuration_asks_for_nothing() -> None:
    assert paths_to_read(files("notebook.ipynb"), {}) == ()
    assert recipe(files("notebook.ipynb")) == recipe({}) == NOTHING


@pytest.mark.parametrize(
    "name", ["Dockerfile", "environment.yml", "Pipfile", "requirements.txt", "setup.py", "pixi.toml"]
)
def test_in_a_folder_the_root_counts_for_nothing(name: str) -> None:
    assert recipe(files(name, "binder/README")) == replace(NOTHING, folder="binder/")


def test_a_file_is_no_folder() -> None:
    assert recipe(files("binder", ".binder")).folder == ""
    assert recipe(files("binders/requirements.txt", "x/binder/requirements.txt")) == NOTHING


def test_with_a_containerfile_nothing_else_is_looked_at() -> None:
    listing = files(
        "Dockerfile", "requirements.txt", "apt.txt", "default.nix", "binder.yml", postBuild=FILE, start=LINK
    )
    contents = {"requirements.txt": "-e nowhere", "apt.txt": "Not A Name", "binder.yml": "as_of: commit-date"}
    expected = replace(NOTHING, containerfile="Dockerfile", options=Options("commit-date"))
    assert recipe(listing, contents) == expected


@pytest.mark.parametrize("name", ["Dockerfile", "postBuild", "start"])
@pytest.mark.parametrize("mode", [LINK, SUBMODULE])
def test_what_runs_must_be_a_file(name: str, mode: str) -> None:
    with pytest.raises(RepositoryFault, match=f"{name} must be a file; it is a link or a submodule"):
        recipe({f"binder/{name}": Entry(mode, 10)})


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_must_be_executable_and_the_author_is_told_how(name: str) -> None:
    with pytest.raises(RepositoryFault, match=rf"git update-index --chmod=\+x binder/{name}"):
        recipe(files(f"binder/{name}"))


def test_binder_yml_is_at_the_root_or_in_the_folder() -> None:
    text = {"binder.yml": "as_of: 2024-05-31", "binder/binder.yml": "as_of: 2024-05-31"}
    at_root, below = recipe(files("binder.yml", "binder/x"), text), recipe(files("binder/binder.yml"), text)
    assert at_root.options == below.options != Options()
    with pytest.raises(RepositoryFault, match="Keep one of them"):
        recipe(files("binder.yml", "binder/binder.yml"), text)


def test_inputs_of_post_build_must_be_there() -> None:
    text = {"binder.yml": "post_build:\n  inputs:\n  - data\n"}
    assert recipe(files("binder.yml", "data/x"), text).options.post_build_inputs == ("data/x",)
    with pytest.raises(RepositoryFault, match="names data, which the repository does not have") as caught:
        recipe(files("binder.yml", "data.csv"), text)
    assert (caught.value.file, caught.value.line) == ("binder.yml", 3)


def test_an_old_runtime_of_a_platform_is_no_hindrance_to_conda() -> None:
    contents = {"environment.yml": "dependencies: [python=3.7]\n", "runtime.txt": "python-3.7.1\n"}
    found = of_files(contents)
    assert found.conda
    assert found.python == NO_PYTHON


def test_a_pipfile_without_a_version_leaves_it_to_runtime() -> None:
    found = of_files({"Pipfile": '[packages]\nnumpy = "*"\n', "runtime.txt": "python-3.13"})
    assert (found.python.version, found.python.version_from) == ("3.13", "runtime.txt")


def test_pip_in_a_folder_sees_what_conda_shows_it() -> None:
    # Conda runs pip where the environment's file is.
    environment = "dependencies:\n  - pip:\n    - -r more.txt\n    - ../tides\n    - -e ..[plot]\n"
    contents = {"binder/environment.yml": environment, "binder/more.txt": "numpy", "tides/setup.py": "", "setup.py": ""}
    found = of_files(contents).python
    assert [place.path for place in found.projects] == ["tides", ""]
    assert found.asked["binder/.binder-pip.txt"].split() == ["-r", "more.txt"]
    assert found.asked["binder/more.txt"] == "numpy"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("-r missing.txt", "includes missing.txt, which the repository does not have"),
        ("-r ../x", "outside of the repository"),
        ("-c /etc/passwd", "outside of the repository"),
        ("-r .binder-pins.txt", "kept for Binder's own"),
        ("-e ..", "outside of the repository"),
        ("-e /srv/x", "outside of the repository"),
        ("-e nowhere", "installs nowhere, where there is neither a pyproject.toml nor a setup.py"),
        ("-e .", "installs the repository itself, where there is neither"),
        ("./notebook.ipynb", "neither a folder nor a package"),
        ("./x ; python_version < '3'", "on a condition"),
        ("-f wheels", "looks for packages in a folder"),
    ],
)
def test_places_that_cannot_be_installed_are_named_with_their_line(line: str, problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem) as caught:
        of_files({"requirements.txt": f"numpy\n{line}\n", "notebook.ipynb": "", "x/setup.py": ""})
    assert (caught.value.file, caught.value.line) == ("requirements.txt", 2)


@pytest.mark.parametrize("name", ["x\n-r y", "x;y", "x #y", "x[y]", "${HOME}"])
def test_a_place_with_a_name_that_says_more_is_refused(name: str) -> None:
    pipfile = f"[packages]\nx = {{path = {json.dumps(name)}}}\n"
    with pytest.raises(RepositoryFault, match="has characters in its name that no list of packages can hold"):
        of_files({"Pipfile": pipfile, f"{name}/setup.py": ""})


def test_a_fault_of_an_included_list_names_that_list() -> None:
    with pytest.raises(RepositoryFault, match=r"more/x\.txt line 2") as caught:
        of_files({"requirements.txt": "-r more/x.txt", "more/x.txt": "\n-r requirements.txt"})
    assert (caught.value.file, caught.value.line) == ("more/x.txt", 2)


def test_lists_are_followed_only_so_far() -> None:
    lists = {f"{number}.txt": f"-r {number + 1}.txt\n" for number in range(200)} | {"200.txt": ""}
    with pytest.raises(RepositoryFault, match="includes more lists than anybody could read"):
        of_files({"requirements.txt": "-r 0.txt\n", **lists})


def test_lists_of_one_level_are_read_together() -> None:
    contents = {"requirements.txt": "-r a.txt\n-r b.txt\n-c c.txt\n", "a.txt": "", "b.txt": "", "c.txt": ""}
    listing = files(*contents)
    assert paths_to_read(listing, {"requirements.txt": contents["requirements.txt"]}) == ("a.txt", "b.txt", "c.txt")


def test_a_content_push_does_not_change_what_is_asked_of_a_package() -> None:
    project = '[build-system]\nrequires = []\n[project]\nname = "x"\ndependencies = ["numpy"]\n'
    one = of_files({"pyproject.toml": project, "x.py": "1"})
    other = of_files({"pyproject.toml": project + "[tool.ruff]\n", "x.py": "2", "y.py": ""})
    assert one == other
    assert not one.python.reads_tree


def test_a_needed_part_of_the_repository_is_not_looked_for_in_an_index() -> None:
    tides = '[project]\nname = "Tides"\nrequires-python = ">=3.12"\ndependencies = ["waves[fast]>=1", "scipy"]\n'
    waves = '[project]\nname = "waves"\ndependencies = ["numpy"]\n'
    contents = {"requirements.txt": "./a\n./b\n", "a/pyproject.toml": tides, "b/pyproject.toml": waves}
    found = of_files(contents).python
    assert found.asked[".binder-projects.txt"] == "scipy\nnumpy\n"
    assert found.lines["scipy"] == ("a/pyproject.toml", 4)
    assert (found.version, found.version_from) == ("3.13", "a/pyproject.toml")


def test_a_file_that_is_too_large_is_not_even_asked_for() -> None:
    listing = {"requirements.txt": Entry(FILE, 2**20 + 1), "apt.txt": Entry(FILE, 3)}
    assert paths_to_read(listing, {}) == ("apt.txt",)
    with pytest.raises(RepositoryFault, match=r"requirements\.txt is larger than 1 MiB"):
        paths_to_read(listing, {"apt.txt": ""})


def test_a_lock_may_be_larger_than_a_list() -> None:
    contents = {"pyproject.toml": "[project]\n", "uv.lock": "version = 1\n"}
    listing = {"pyproject.toml": Entry(FILE, 10), "uv.lock": Entry(FILE, 2**24)}
    assert recipe(listing, contents) == NOTHING
    with pytest.raises(RepositoryFault, match=r"uv\.lock is larger than 16 MiB"):
        recipe(listing | {"uv.lock": Entry(FILE, 2**24 + 1)}, contents)


def test_links_are_followed_within_the_repository() -> None:
    listing = {"requirements.txt": Entry(LINK, 9), "more/r.txt": Entry(LINK, 5), "x.txt": Entry(FILE, 5)}
    contents = {"requirements.txt": "more/r.txt", "more/r.txt": "../x.txt", "x.txt": "numpy"}
    assert recipe(listing, contents).python.asked == {"requirements.txt": "numpy"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "requirements.txt", "nowhere", "", "."])
def test_links_that_lead_elsewhere_are_refused(target: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        recipe({"requirements.txt": Entry(LINK, 9)}, {"requirements.txt": target})
    assert caught.value.file == "requirements.txt"


def test_a_large_repository_is_read_at_once() -> None:
    listing = {f"folder{number % 300}/data{number}.csv": Entry(FILE, 10) for number in range(50_000)}
    contents = {"requirements.txt": "-e x\n" * 100, "x/setup.py": "", "binder.yml": "post_build: {inputs: [folder1]}"}
    listing |= {path: Entry(FILE, len(text)) for path, text in contents.items()}
    began = process_time()
    assert recipe(listing, contents).python.reads_tree
    assert process_time() - began < 1


_NAMES = st.sampled_from(
    [
        *(
            "requirements.txt",
            "setup.py",
            "pyproject.toml",
            "Pipfile",
            "Pipfile.lock",
            "runtime.txt",
            "environment.yml",
        ),
        *("apt.txt", "postBuild", "start", "binder.yml", "uv.lock", "poetry.lock", "pylock.toml", "pixi.toml"),
        *(
            "pixi.lock",
            "DESCRIPTION",
            "install.R",
            "Dockerfile",
            "default.nix",
            "x/setup.py",
            "x/pyproject.toml",
            "x.txt",
        ),
        *("binder/requirements.txt", ".binder/environment.yml", "binder/x", "binder.yml"),
    ]
)
_MODES = st.sampled_from([FILE, FILE, FILE, SCRIPT, LINK, SUBMODULE])
_TEXTS = {path: text for name in SAMPLES for path, text in sample(name)[1].items()}
_PIECES = st.sampled_from(
    [
        *(
            '[project]\nname = "x"\n',
            "[build-system]\n",
            'dependencies = ["x[a]", 5]\n',
            "-r x.txt\n",
            "-e x\n",
            "-e .[a]\n",
        ),
        *(
            "dynamic = 5\n",
            "[tool.poetry.dependencies]\n",
            "version = 1\n",
            "[[package]]\n",
            'name = "x"\n',
            "..",
            "/x",
        ),
        *(
            'source = { editable = "x" }\n',
            'source = { git = "http://[" }\n',
            "python-3.11",
            "r-2024-02-31",
            "dependencies:\n",
        ),
        *(
            'source = { directory = "../.." }\n',
            'resolution-markers = ["x"]\n',
            "- pip:\n  - -e .\n",
            '{"default": {"x": ',
        ),
        *(
            '{"path": "."}}}',
            "[packages]\n",
            'x = {path = "x"}\n',
            "numpy",
            " ; ",
            "as_of: ",
            "post_build: {inputs: [x]}",
            "&a",
        ),
    ]
)
_CONTENTS = st.one_of(
    st.text(max_size=60), st.sampled_from(sorted(_TEXTS.values())), st.lists(_PIECES, max_size=8).map("".join)
)


@given(st.dictionaries(st.one_of(_NAMES, st.text(min_size=1)), st.tuples(_MODES, _CONTENTS, st.integers(0, 2**21))))
@example({"pyproject.toml": (FILE, "a" + ".a" * 100 + " = 1", 9)})
@example({"pyproject.toml": (FILE, "a = " + "[" * 5000, 9)})
@example({"Pipfile.lock": (FILE, "[" * 100_000, 9)})
@example({"Pipfile.lock": (FILE, '{"default": {"x": {"version": "==1\\n-r /etc/passwd"}}}', 9)})
@example({"pyproject.toml": (FILE, f"[project]\n[build-system]\n[project.x]\ny = {'9' * 5000}", 9)})
def test_every_repository_is_a_recipe_or_the_authors_fault(listing: dict[str, tuple[str, str, int]]) -> None:
    entries = {path: Entry(mode, size) for path, (mode, _, size) in listing.items()}
    try:
        found = recipe(entries, {path: text for path, (_, text, _) in listing.items()})
    except RepositoryFault:
        return
    assert found.post_build is None or entries[found.post_build].mode == SCRIPT
    assert {*found.python.roots, *found.python.constraints} <= found.python.asked.keys()
    json.dumps(asdict(found), default=str)
    made = [text for path, text in found.python.asked.items() if ".binder-" in path and "-pip." not in path]
    assert not any(line.startswith(("-r", "-c", "-e")) for text in made for line in text.splitlines())
