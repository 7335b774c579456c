"""Our images get what the service needs, locked, and nothing else."""

import pytest

from binder.errors import OperatorFault
from build.own_requirements import locked_lines, needed_packages

_REQUIRES = {
    "web": ["core>=1", 'speed; extra == "fast"', 'old; python_version < "3.11"', "Web-Tools"],
    "web-tools": ["core", "web[fast]"],
}
_LOCK = """# made by a tool
core==1 \\
    --hash=sha256:1
linter==2 \\
    --hash=sha256:2
speed==3 ; os_name == 'posix' \\
    --hash=sha256:3
"""


def test_what_packages_need_is_followed_through_extras_and_circles() -> None:
    def requires_of(name: str) -> list[str]:
        return _REQUIRES.get(name, [])

    assert needed_packages(["web>=1"], requires_of) == {"web", "core", "web-tools", "speed"}
    assert needed_packages(["core"], requires_of) == {"core"}


def test_what_the_image_s_python_does_not_need_is_left_out_whatever_runs_here() -> None:
    assert needed_packages(["a"], lambda _: ['b; python_version >= "3.12"', 'c; sys_platform == "win32"']) == {"a"}


def test_locked_lines_keep_their_hashes_and_leave_out_the_rest() -> None:
    text = locked_lines(_LOCK, {"core", "speed"})
    assert text == "core==1 \\\n    --hash=sha256:1\nspeed==3 ; os_name == 'posix' \\\n    --hash=sha256:3\n"


def test_a_package_that_is_not_locked_is_named() -> None:
    with pytest.raises(OperatorFault, match="does not hold other"):
        locked_lines(_LOCK, {"core", "other"})
