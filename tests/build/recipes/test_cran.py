"""What the DESCRIPTION of an R package asks for, with the lines that ask."""

import pytest

from binder.errors import RepositoryFault
from build.recipes.cran import Need, needs_of, preferred_packages

TEXT = """\
Package: mine
Title: A package
Depends: R (>= 3.5), methods
Imports:
    dplyr (>= 1.1.0),
    Rcpp,

    data.table
LinkingTo: Rcpp
Suggests: testthat
"""


def test_what_is_needed_is_read_with_its_lines() -> None:
    needs = needs_of("DESCRIPTION", TEXT)
    assert [(need.name, need.relation, need.version) for need in needs] == [
        ("dplyr", ">=", "1.1.0"),
        ("Rcpp", "", ""),
        ("data.table", "", ""),
    ]
    assert [need.line for need in needs] == [5, 9, 8]


def test_debian_is_preferred_unless_a_day_is_asked_for() -> None:
    needs = needs_of("DESCRIPTION", TEXT)
    assert preferred_packages(needs, dated=False) == ("r-cran-data.table", "r-cran-dplyr", "r-cran-rcpp")
    assert preferred_packages(needs, dated=True) == ()


def test_a_package_may_need_nothing() -> None:
    assert needs_of("DESCRIPTION", "Package: x\nDepends: R\n") == ()
    assert Need("Rcpp", "", "", 1).debian_name == "r-cran-rcpp"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Title: x\n", None),
        ("Package:\n", None),
        ("Package: x\nwhat is this\n", 2),
        (" begins with a blank: x\n", 1),
        ("Package: x\nImports: a,\n  b; system('x')\n", 3),
        ("Package: x\nImports: a (>= 1.0\n", 2),
        ("Package: x\nImports: a (>= $(id))\n", 2),
        ('Package: x\nImports: a"b\n', 2),
    ],
)
def test_what_is_no_description_is_refused(text: str, line: int | None) -> None:
    with pytest.raises(RepositoryFault) as caught:
        needs_of("DESCRIPTION", text)
    assert (caught.value.file, caught.value.line) == ("DESCRIPTION", line)
