"""The ignore file, by the cases that Docker's own matcher is tested with, and by hostile ones."""

from time import perf_counter

import pytest

from binder.errors import RepositoryFault
from build.recipes.ignore import kept


# Source: https://github.com/moby/patternmatcher/blob/main/patternmatcher_test.go
@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        ("**", "file", True),
        ("**", "file/", True),
        ("**/", "file", True),
        ("**", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("dir/**", "dir", False),
        ("**/dir", "dir", True),
        ("**/dir", "dir/file", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/*", "dir/dir2/dir2/file", True),
        ("**file", "file", True),
        ("**file", "dir/file", True),
        ("**/file", "dir/dir/file", True),
        ("**/file*", "dir/dir/file.txt", True),
        ("**/file*txt", "dir/dir/file.txt", True),
        ("**/file*.txt*", "dir/dir/file.txt", True),
        ("**/**/*.txt", "dir/dir/file.txt", True),
        ("**/**/*.txt2", "dir/dir/file.txt", False),
        ("**/*.txt", "file.txt", True),
        ("**/**/*.txt", "file.txt", True),
        ("a**/*.txt", "a/file.txt", True),
        ("a**/*.txt", "a/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt", "a/file.txt", True),
        ("a[b-d]e", "ae", False),
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "aae", False),
        ("a[^b-d]e", "aze", True),
        (".*", ".foo", True),
        (".*", "foo", False),
        ("abc.def", "abcdef", False),
        ("abc.def", "abc.def", True),
        ("abc?def", "abc.def", True),
        ("abc?def", "abcdef", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a\\b", "ab", True),
        ("**/foo/bar", "foo/bar", True),
        ("**/foo/bar", "dir/dir2/foo/bar", True),
        ("abc/**", "abc", False),
        ("abc/**", "abc/def/ghi", True),
        ("**/.foo", ".foo", True),
        ("**/.foo", "bar.foo", False),
        ("a(b)c/def", "a(b)c/def", True),
        ("a(b)c/def", "a(b)c/xyz", False),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("a[^b]c", "a/c", False),
        ("ü?", "üx", True),
        # How lines become patterns.
        ("/file", "file", True),
        ("/file", "dir/file", False),
        ("dir/", "dir/file", True),
        ("./dir//sub/../x", "dir/x", True),
        ("  file  ", "file", True),
        ("# file", "file", False),
        (" # file", "file", False),
        ("\ufefffile", "file", True),
        ("file\r", "file", True),
        ("*", "a/b/c", True),
        (".", "a", False),
        ("/", "a", False),
        ("../a", "a", False),
        ("fil", "file", False),
        ("ile", "file", False),
    ],
)
def test_patterns_are_dockers(pattern: str, path: str, left_out: bool) -> None:
    assert kept([path.rstrip("/")], pattern) == ([] if left_out else [path.rstrip("/")])


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("", ["a.md", "b.py", "d/c.md", "d/e/f.md"]),
        ("*.md", ["b.py", "d/c.md", "d/e/f.md"]),
        ("**/*.md\n!d/e", ["b.py", "d/e/f.md"]),
        ("*\n!d", ["d/c.md", "d/e/f.md"]),
        ("*\n!d\nd/e", ["d/c.md"]),
        ("d\n!d/e/*.md\n\n# x\n", ["a.md", "b.py", "d/e/f.md"]),
        ("!d\nd", ["a.md", "b.py"]),
        ("d/*\n! d/c.md", ["a.md", "b.py", "d/c.md"]),
    ],
)
def test_the_last_match_wins(text: str, rest: list[str]) -> None:
    assert kept(["a.md", "b.py", "d/c.md", "d/e/f.md"], text) == rest


@pytest.mark.parametrize("pattern", ["[", "[]", "[]a]", "[a", "a[", "[^]", "[b-a]", "[-]", "[a-]", "a\\", "!", "[\\"])
def test_malformed_patterns_are_named(pattern: str) -> None:
    with pytest.raises(RepositoryFault, match="is no pattern") as caught:
        kept(["a"], f"x\n{pattern}\n", file="binder/.dockerignore")
    assert (caught.value.file, caught.value.line) == ("binder/.dockerignore", 2)


def test_too_much_is_refused() -> None:
    for text in ("a\n" * 1001, "x" * 70_000, "\n".join(f"[a{chr(300 + i)}]" for i in range(201))):
        with pytest.raises(RepositoryFault, match="Write fewer"):
            kept(["a"], text)


@pytest.mark.parametrize(
    "text",
    [
        "*a" * 500,
        "**/" * 20_000 + "x",
        "**/a" * 10_000,
        "a**" * 500,
        "\n".join(f"**/*a*a?*a*a[ab]*a*[a-z]*{number}" for number in range(900)),
        "\n".join(f"*{chr(0x4E00 + number)}" * 4 for number in range(900)),
    ],
)
def test_hostile_patterns_cost_no_more_than_others(text: str) -> None:
    paths = [f"{'a' * 100}/{'a' * 150}/{'a' * 200}{number}" for number in range(2000)]
    paths += ["".join(chr(0x4E00 + (number * 7 + i) % 5000) for i in range(60)) for number in range(500)]
    began = perf_counter()
    kept(paths, text)
    assert perf_counter() - began < 5  # all of them take well below a second on a quiet machine


def test_50_000_files_are_matched_in_no_time() -> None:
    paths = [f"data/folder-{i % 300:03}/sub-{i % 7}/file-{i:06}.txt" for i in range(50_000)]
    began = perf_counter()
    assert kept(paths, "*.md\n**/*.pyc\nnode_modules\n!data/keep\n**/__pycache__\n") == paths
    assert perf_counter() - began < 2  # 0.06 s on a quiet machine
