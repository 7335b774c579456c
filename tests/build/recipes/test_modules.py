"""What modules add to recipes of each kind, and to images, as pure functions say it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from binder.errors import RepositoryFault
from build.commits.tree import Entry
from build.faults import explain_resolution
from build.plan import asked_key, to_resolve
from build.recipes.modules import client_files, named, own_modules, with_modules
from build.recipes.recipe import Recipe
from modules.binding import Chosen, choose
from modules.catalogue import Catalogue
from modules.reading import MOST_BYTES, MOST_FILES
from tests.build.recipes.test_recipe import of_files
from tests.modules.samples import postgres

_ASKED = "modules:\n  postgres:\n"
_KINDS: Mapping[str, Mapping[str, str]] = {
    "nothing": {"a.ipynb": "{}"},
    "requirements": {"requirements.txt": "numpy\npsycopg==3.1\n"},
    "conda": {"environment.yml": "dependencies: [numpy]\n"},
    "conda with pip": {"environment.yml": "dependencies: [numpy, pip: [six]]\n"},
    "pipenv": {"Pipfile": '[packages]\nnumpy = "*"\n'},
    "r": {"runtime.txt": "r-4.2-2024-05-31\n"},
    "pixi": {
        "pixi.toml": '[workspace]\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n[dependencies]\nnumpy = "*"\n'
    },
    "project": {
        "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n[build-system]\nrequires = ["hatchling"]\n',
    },
}


def chosen(recipe: Recipe) -> tuple[Chosen, ...]:
    return choose(recipe.options.modules, Catalogue().joined([postgres()]), {}, 2**32)


def of(kind: str) -> tuple[Recipe, Recipe]:
    """Return a recipe of a kind without modules, and with one."""
    plain = of_files(_KINDS[kind])
    asking = of_files({**_KINDS[kind], "binder.yml": _ASKED})
    return plain, with_modules(asking, chosen(asking))


@pytest.mark.parametrize("kind", _KINDS)
def test_a_clients_packages_join_those_of_the_author(kind: str) -> None:
    plain, recipe = of(kind)
    assert recipe.python.roots == (*plain.python.roots, ".binder-modules.txt")
    assert recipe.python.asked == {**plain.python.asked, ".binder-modules.txt": "psycopg[binary]>=3.2\n"}
    assert (recipe.system, recipe.system_lines) == (("postgresql-client",), plain.system_lines)
    assert (recipe.conda, recipe.r, recipe.post_build) == (plain.conda, plain.r, plain.post_build)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    assert asked_key("", to_resolve(recipe, when, "t")) != asked_key("", to_resolve(plain, when, "t"))


def test_what_the_author_asks_for_is_named_as_his() -> None:
    _, recipe = of("requirements")
    assert recipe.python.lines["psycopg"] == ("requirements.txt", 2)
    _, recipe = of("nothing")
    assert recipe.python.lines["psycopg"] == ("binder.yml", 2)


def test_a_dockerfile_says_what_its_image_holds() -> None:
    recipe = of_files({"Dockerfile": "FROM x\n", "binder.yml": _ASKED})
    with_them = with_modules(recipe, chosen(recipe))
    assert with_them.modules[0].module.name == "postgres"
    assert (with_them.python, with_them.system) == (recipe.python, recipe.system)


def test_a_fault_of_the_environment_names_the_module() -> None:
    _, recipe = of("nothing")
    said = "error: No solution found\n  cause: Because you require psycopg>=3.2 and there is none, it fails.\n"
    fault = named(explain_resolution(said, recipe.python.asked, recipe.python.lines), recipe.modules)
    assert isinstance(fault, RepositoryFault)
    assert (fault.file, fault.line) == ("binder.yml", 2)
    assert fault.message.endswith("The module postgres needs psycopg[binary]>=3.2.")
    nobodys = named(explain_resolution("error: it broke\n", recipe.python.asked, {}), recipe.modules)
    assert isinstance(nobodys, RepositoryFault)
    assert (nobodys.file, nobodys.line) == ("binder.yml", 2)


def test_an_authors_files_stay() -> None:
    recipe = of("nothing")[1]
    below, at_root = client_files(recipe.modules, ["a.ipynb"])
    assert set(below) == {"binder-modules/postgres.ipynb"}
    assert set(at_root) == {f"opt/binder/modules/binder_modules/{name}.py" for name in ("__init__", "postgres")}
    for there in ("binder-modules", "binder-modules/postgres.ipynb"):
        assert client_files(recipe.modules, [there]) == ({}, at_root)
    assert client_files((), []) == ({}, {})


@pytest.mark.parametrize("folder", ["binder", ".binder"])
def test_modules_in_a_folder_are_no_configuration(folder: str) -> None:
    """Else whoever brings one would have to move all that is in the root."""
    path = f"{folder}/modules/a/1/module.yml"
    recipe = of_files({"requirements.txt": "numpy\n", path: ""})
    assert (recipe.folder, recipe.python.roots) == ("", ("requirements.txt",))
    assert of_files({f"{folder}/requirements.txt": "numpy\n", path: ""}).folder == f"{folder}/"
    files = {name: Entry("100644", 1) for name in (path, f"{folder}/modules/a/2/x", f"{folder}/modules/b/1/x", "a")}
    assert own_modules(files, "a") == {
        f"{folder}/modules/a/1": {"module.yml": path},
        f"{folder}/modules/a/2": {"x": f"{folder}/modules/a/2/x"},
    }


def test_what_all_versions_have_is_written_once() -> None:
    start = "binder/modules/a"
    paths = (f"{start}/1/module.yml", f"{start}/2/module.yml", f"{start}/2/x", f"{start}/all/x", f"{start}/all/y")
    found = own_modules({path: Entry("100644", 1) for path in paths}, "a")
    assert found == {
        f"{start}/1": {"module.yml": f"{start}/1/module.yml", "x": f"{start}/all/x", "y": f"{start}/all/y"},
        f"{start}/2": {"module.yml": f"{start}/2/module.yml", "x": f"{start}/2/x", "y": f"{start}/all/y"},
    }


def test_a_repository_brings_a_few_versions_at_most() -> None:
    files = {f"binder/modules/a/{number}/module.yml": Entry("100644", 1) for number in range(11)}
    with pytest.raises(RepositoryFault, match="binder/modules/a holds more than 10 versions"):
        own_modules(files, "a")


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"x": Entry("120000", 1)}, "has no links"),
        ({"x": Entry("160000", 0)}, "has no links and no submodules"),
        ({"x": Entry("100644", 2**20 + 1)}, "larger than 1 MiB"),
        ({f"x{number}": Entry("100644", MOST_BYTES // 10) for number in range(11)}, "more than a module may"),
        ({f"x{number}": Entry("100644", 1) for number in range(MOST_FILES + 1)}, "more than a module may"),
    ],
)
def test_what_no_module_has_is_refused_before_it_is_read(entries: dict[str, Entry], problem: str) -> None:
    with pytest.raises(RepositoryFault, match=problem):
        own_modules({f"binder/modules/a/1/{path}": entry for path, entry in entries.items()}, "a")
