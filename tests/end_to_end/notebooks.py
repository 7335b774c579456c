"""Notebooks that repositories of tests hold."""

import json
from collections.abc import Mapping
from typing import Any

Outputs = Mapping[int, str]


def notebook(*sources: str, printed: Outputs | None = None) -> str:
    """A notebook of code cells; `printed` is what some of them have printed when it was committed."""
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": [(printed or {})[number]]}]
            if number in (printed or {})
            else [],
            "source": source.splitlines(keepends=True),
        }
        for number, source in enumerate(sources, 1)
    ]
    metadata = {"kernelspec": {"display_name": "Mine", "language": "python", "name": "my-own-environment"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
