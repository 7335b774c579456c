"""Samples that other tools wrote name the hosts of their world; here they are kept with other names in their place."""

from binder.hosts import CONDA, PYPI, PYPI_FILES

_NAMES = {"PYPI-FILES.example": PYPI_FILES, "CONDA.example": CONDA, "PYPI.example": PYPI}


def with_hosts(text: str) -> str:
    """Return a sample as the tool wrote it."""
    for name, host in _NAMES.items():
        text = text.replace(name, host)
    return text
