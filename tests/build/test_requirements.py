"""What a requirements.txt says, and on which line."""

import contextlib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from binder.errors import RepositoryFault
from build.requirements import Requirements, read_requirements, text_of


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
    "line",
    [
        "-e .",
        "--editable=.",
        ".",
        ".[dev]",
        "./package",
        "../package",
        "/srv/package",
        "package/",
        "wheels/x-1.0-py3-none-any.whl",
        "x-1.0-py3-none-any.whl",
        "x-1.0.tar.gz",
        "wheels\\x-1.0-py3-none-any.whl",
        "file:///srv/x.whl",
        "file:x.whl",
        "x @ file:///srv/x.whl",
        "x@file:x.whl",
        "x @ ./x",
        "x[extra] @ ./x",
        "git+file:///srv/x",
        "-r other.txt",
        "--requirement=other.txt",
        "-c constraints.txt",
        "-f wheels",
        "-fwheels",
        "--find-links=./wheels",
        "--find-links file:///srv/wheels",
    ],
)
def test_files_of_the_repository_are_refused_with_their_line(line: str) -> None:
    with pytest.raises(RepositoryFault, match="refers to a file of the repository") as caught:
        read(f"numpy\n\n{line}\n")
    assert (caught.value.file, caught.value.line) == ("requirements.txt", 3)


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
    read(line)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_is_read_as_editors_write_it(encoding: str) -> None:
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    text = text_of((mark + "numpy # für später\n").encode(encoding))
    assert text == "numpy # für später\n"


def test_a_file_that_is_not_text_is_read_somehow() -> None:
    assert read(text_of(b"numpy\n\xff\xff\npandas\n")).lines == {"numpy": 1, "pandas": 3}


@given(st.text())
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
    "piece", [" ", "a", "a ", " #", " ;", "a --", "a@", "a.", "a[", "\\", "a\\\n", ".tar.a", "-f", "a-", "numpy\n"]
)
def test_the_largest_file_is_read_at_once(piece: str) -> None:
    text = piece * (2**20 // len(piece)) + "/"
    began = process_time()
    with contextlib.suppress(RepositoryFault):
        read(text)
    assert process_time() - began < 10
