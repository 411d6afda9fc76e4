"""The SQL of a store, read from files next to its modules."""

from __future__ import annotations

import pkgutil
import re
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def text_of(module: str, name: str) -> str:
    """Return the text of a file of the installed package.

    Args:
        module: The `__name__` of a module in the file's folder or above it.
        name: The path from there.
    """
    data = pkgutil.get_data(module, name)
    if data is None:
        message = f"{name} is missing from the installed package"
        raise FileNotFoundError(message)
    return data.decode()


def named(module: str, name: str) -> dict[str, str]:
    """Return the statements of a file by name; a line `-- name: …` begins each."""
    _, *parts = _NAME.split(text_of(module, name))
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
