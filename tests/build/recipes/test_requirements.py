"""What a requirements.txt says, and on which line."""

import contextlib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.recipes.requirements import Reference, Requirements, read_requirements, requirement_of, text_of


def read(text: str) -> Requirements:
    return read_requirements("requirements.txt", text)


def test_each_package_is_found_on_its_line() -> None:
    text = """\
# what the notebooks need
numpy==1.26.4
pandas[excel]>=2 ; python_version >= "3.9"  # tables

Scikit_Learn~=1.4
matplotlib
zope.interface (>=6)
torch @ https://wheels.example.org/torch-2.0-py3-none-any.whl
numpy
"""
    assert read(text).lines == {
        "numpy": 2,
        "pandas": 3,
        "scikit-learn": 5,
        "matplotlib": 6,
        "zope-interface": 7,
        "torch": 8,
    }


def test_a_line_that_goes_on_counts_where_it_begins() -> None:
    text = "numpy \\\n    ==1.26 \\\n    --hash=sha256:00\npandas\nscipy \\"
    assert read(text).lines == {"numpy": 1, "pandas": 4, "scipy": 5}


def test_a_comment_does_not_go_on() -> None:
    assert read("# see C:\\\nnumpy\npandas \\\n# about pandas \\\nscipy\n").lines == {
        "numpy": 2,
        "pandas": 3,
        "scipy": 5,
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_editors_end_them_and_only_so(end: str) -> None:
    # To Python, a form feed ends a line too; to editors and to GitHub's pages it does not.
    assert read(end.join(["# one\x0ctwo\x85three\u2028four", "numpy", "pandas"])).lines == {"numpy": 2, "pandas": 3}


def test_options_for_indexes_are_kept_as_they_are() -> None:
    text = "-i https://one.example.org/simple\n--extra-index-url=https://two.example.org/simple # ours\n--pre\nnumpy\n"
    found = read(text)
    assert found.index_options == (
        "-i https://one.example.org/simple",
        "--extra-index-url=https://two.example.org/simple",
        "--pre",
    )
    assert found.lines == {"numpy": 4}


@pytest.mark.parametrize(
    ("line", "path", "editable", "extras"),
    [
        ("-e .", ".", True, ()),
        ("-e.", ".", True, ()),
        ("--editable=.", ".", True, ()),
        ("--editable .[b,A_c]", ".", True, ("a-c", "b")),
        (".", ".", False, ()),
        (".[dev]", ".", False, ("dev",)),
        ("./package", "./package", False, ()),
        ("../package", "../package", False, ()),
        ("package/", "package/", False, ()),
        ("wheels/x-1.0-py3-none-any.whl", "wheels/x-1.0-py3-none-any.whl", False, ()),
        ("x-1.0-py3-none-any.whl --hash=sha256:00", "x-1.0-py3-none-any.whl", False, ()),
        ("x-1.0.tar.gz", "x-1.0.tar.gz", False, ()),
        ("file:x.whl", "x.whl", False, ()),
        ("file:./my%20x", "./my x", False, ()),
        ("file:///home/jovyan/x", "./x", False, ()),
        ("-e file:///home/jovyan#egg=x[a]", ".", True, ("a",)),
        ("file://${PWD}/x", "./x", False, ()),
        ("-e ${REPO_DIR}", ".", True, ()),
        ("x@file:x.whl", "x.whl", False, ()),
        ("x @ ./x", "./x", False, ()),
        ("x[extra] @ ./x", "./x", False, ("extra",)),
        ('-e "./x y"', "./x y", True, ()),
    ],
)
def test_places_of_the_repository_are_found_and_left_out(
    line: str, path: str, editable: bool, extras: tuple[str, ...]
) -> None:
    found = read(f"numpy\n{line}\npandas")
    assert found.references == (Reference("place", path, 2, editable, extras),)
    assert found.text == "numpy\n\npandas"


@pytest.mark.parametrize(
    "line",
    [
        "/srv/package",
        "-e /srv",
        "file:///srv/x.whl",
        "x @ file:///srv/x.whl",
        "git+file:///srv/x",
        "file:///home/jovyan2",
    ],
)
def test_places_outside_of_the_repository_are_refused_with_their_line(line: str) -> None:
    with pytest.raises(RepositoryFault, match="outside of the repository") as caught:
        read(f"numpy\n\n{line}\n")
    assert (caught.value.file, caught.value.line) == ("requirements.txt", 3)


@pytest.mark.parametrize("line", ["-f wheels", "-fwheels", "--find-links=./wheels", "--find-links file:///srv/wheels"])
def test_a_folder_to_look_in_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(RepositoryFault, match="looks for packages in a folder"):
        read(line)


def test_a_place_on_a_condition_is_refused() -> None:
    with pytest.raises(RepositoryFault, match="on a condition"):
        read('-e ./x ; python_version > "3"')


@pytest.mark.parametrize(
    "line", ["-r other.txt", "-rother.txt", "--requirement=other.txt", "-c other.txt", "--constraint other.txt # why"]
)
def test_lists_that_are_included_are_found_and_kept(line: str) -> None:
    found = read(f"{line}\nnumpy\n")
    assert found.references == (Reference("list", "other.txt", 1),)
    assert found.text == f"{line}\nnumpy\n"


def test_a_list_on_the_network_is_no_file_of_the_repository() -> None:
    assert read("-c https://example.org/constraints.txt\n").references == ()


def test_an_editable_package_of_the_network_is_made_an_ordinary_one() -> None:
    found = read("-e git+https://git.example.org/x.git@v1#egg=x\n--editable x @ git+ssh://git.example.org/x\nnumpy")
    assert found.text == "git+https://git.example.org/x.git@v1#egg=x\nx @ git+ssh://git.example.org/x\nnumpy"
    assert found.references == ()


def test_lines_keep_their_numbers_when_some_are_left_out() -> None:
    found = read("numpy\n-e \\\n .\npandas \\\n ==1\n")
    assert found.text == "numpy\n\n\npandas \\\n ==1\n"
    assert found.references == (Reference("place", ".", 2, editable=True),)


@pytest.mark.parametrize(
    "said", ["numpy", "Pandas[excel]>=2; python_version > '3'", "x @ git+https://git.example.org/x"]
)
def test_a_requirement_is_written_in_one_form(said: str) -> None:
    assert requirement_of(said, "Pipfile") == requirement_of(requirement_of(f" {said}\n", "Pipfile"), "Pipfile")


@pytest.mark.parametrize(
    "said",
    [
        *("", "-r x", "../x", "x\n-r /etc/passwd", "x @ file:///etc/passwd", "x @ ./x", "x @ git+file:///srv/x", "x\0"),
        *("x ; " + "(" * 20_000, "x ; " + "(" * 4000 + "a" + ")" * 4000, "x" * 20_000, "x==", "--pre"),
    ],
)
def test_what_is_no_requirement_is_refused(said: str) -> None:
    with pytest.raises(RepositoryFault) as caught:
        requirement_of(said, "Pipfile", 3)
    assert (caught.value.file, caught.value.line) == ("Pipfile", 3)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "line",
    [
        "git+https://git.example.org/ada/package.git",
        "git+https://git.example.org/ada/package.git@v1#egg=package",
        "git+ssh://git@git.example.org/ada/package.git",
        "https://wheels.example.org/x-1.0-py3-none-any.whl",
        "https://ada@wheels.example.org/x-1.0-py3-none-any.whl",
        "x @ https://wheels.example.org/x-1.0-py3-none-any.whl",
        "x[a,b] @ git+https://git.example.org/x",
        'x ; sys_platform == "linux/arm"',
        'x --global-option="-I/usr/include"',
        "--find-links https://wheels.example.org/",
        "--no-binary :all:",
        "x==1.0 # ./not/a/path",
    ],
)
def test_what_is_on_the_network_is_not_taken_for_a_file(line: str) -> None:
    found = read(line)
    assert (found.references, found.text) == ((), line)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_is_read_as_editors_write_it(encoding: str) -> None:
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    text = text_of((mark + "numpy # für später\n").encode(encoding))
    assert text == "numpy # für später\n"


def test_a_file_that_is_not_text_is_read_somehow() -> None:
    assert read(text_of(b"numpy\n\xff\xff\npandas\n")).lines == {"numpy": 1, "pandas": 3}


@given(
    st.text()
    | st.lists(st.sampled_from(["-e", " ", ".", "file:", "//", "[a]", "#", "@", "x", "\n", ";", "\\"])).map("".join)
)
def test_nothing_that_is_written_there_breaks_us(text: str) -> None:
    last = text.count("\n") + text.count("\r") + 1
    assert all(1 <= line <= last for line in _lines_named(text))


def _lines_named(text: str) -> list[int]:
    try:
        return list(read(text).lines.values())
    except RepositoryFault as fault:
        return [fault.line or 0]


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda name: not name.lower().endswith((".whl", ".zip", ".tgz")) and ".tar." not in name.lower()
)
others = st.sampled_from(["", "   ", "# a comment", "--pre", "  # -e .", "# ends with \\"])
ends = st.sampled_from(["", "==1.0", ">=1,<2 # why", '; python_version > "3"', "[a,b]", " \\\n  ==1"])


@given(st.lists(st.tuples(names, ends) | others, max_size=10))
def test_names_are_found_on_their_lines_whatever_is_between(parts: list[tuple[str, str] | str]) -> None:
    expected: dict[str, int] = {}
    number = 1
    for part in parts:
        if isinstance(part, tuple):
            expected.setdefault(canonicalize_name(part[0]), number)
        number += "".join(part).count("\n") + 1
    assert read("\n".join("".join(part) for part in parts)).lines == expected


@pytest.mark.parametrize(
    "piece",
    [
        " ",
        "a",
        "a ",
        " #",
        " ;",
        "a --",
        "a@",
        "a.",
        "a[",
        "\\",
        "a\\\n",
        ".tar.a",
        "-f",
        "a-",
        "numpy\n",
        "-e .\n",
        "-e\\\n",
        "]",
    ],
)
def test_the_largest_file_is_read_at_once(piece: str) -> None:
    text = piece * (2**20 // len(piece)) + "/"
    began = process_time()
    with contextlib.suppress(RepositoryFault):
        read(text)
    assert process_time() - began < 10
