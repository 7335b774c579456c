"""The hosts that the formats of this field take for granted, each put together: none is named as such in this project.

What an operator wants to be elsewhere is a setting; what is compared with them is a file that another tool wrote.
"""


def _host(*labels: str) -> str:
    return ".".join(labels)


DOCKER_HUB = _host("docker", "io")
"""What a Dockerfile means by an image whose name has no host."""

CONDA = _host("conda", "anaconda", "org")
"""Where Conda's channels are that are named by a word."""

DEBIAN = _host("deb", "debian", "org")
"""Where Debian's packages are, for who has no mirror."""

PYPI = _host("pypi", "org")
"""The index of Python's packages that other tools' locks name."""

PYPI_FILES = _host("files", "pythonhosted", "org")
"""Where the files of that index are."""
