"""The page of a module says what its definition says, in the words of those who ask for it."""

import yaml

from modules.describing import module_page, pages_of
from modules.reading import read_module
from tests.modules.samples import files_with, postgres
from tests.pages import Page


def test_a_page_says_all_of_a_module() -> None:
    page = module_page([postgres()])
    assert page.startswith("# PostgreSQL\n\nA database of the session's own.\n\n```yaml\n# binder.yml\n")
    for row in (
        "| `database` | `binder` | a text of at most 200 characters that matches `[a-z][a-z0-9_]{0,30}`",
        "| `memory` | `256 MiB` | a size from 128 MiB to 4 GiB, written as `512 MiB`",
        "| `fast` | `true` | `true` or `false` | Whether it may lose data. |",
        "| `locale` | `C` | one of `C`, `C.UTF-8` | How texts are sorted. |",
        "| single-node | `server`, once | `memory` |",
        "| multi-node | `worker`, `workers` times | 64 MiB |",
        "| `DATABASE_URL` | `postgresql://binder:<password>@<host of server>:5432/<database>` |",
        "Packages that come with it: `psycopg[binary]>=3.2`, `postgresql-client` (Debian's).",
        "| `.sql` | `psql --set ON_ERROR_STOP=1 --file FILE` |",
        "| any executable script | it is run, in the repository's folder |",
        "- Statistics, of `server`: in the menu of the notebook.",
        "An example is in `binder-modules/postgres.ipynb`.",
    ):
        assert row in page


def test_the_example_is_what_a_binder_yml_may_say() -> None:
    (block,) = Page("", module_page([postgres()])).blocks()
    asked = yaml.safe_load(block.text)
    assert asked["modules"]["postgres"]["parameters"] == {"database": "binder", "memory": "256 MiB", "workers": 2}


def test_versions_stand_one_below_the_other() -> None:
    page = module_page([postgres("16"), postgres("15")])
    assert "## Version 16 (where none is asked for)\n" in page
    assert "## Version 15\n" in page
    assert "### Parameters" in page
    assert set(pages_of([postgres("16"), postgres("15"), postgres("1", "mailbox")])) == {
        "README.md",
        "postgres.md",
        "mailbox.md",
    }


def test_nothing_breaks_out_of_its_cell() -> None:
    files = files_with(definition=("The name of the database.", '"a | b `c`"'))
    page = module_page([read_module("postgres", "15", files, origin="x")])
    assert "| a \\| b `c` |" in page
