"""Refuse an address where the path of a database is wanted: as a path it becomes a file named like a password."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from graphengine.errors import StoreNotSupported

if TYPE_CHECKING:
    from os import PathLike

# A path object has lost one of the slashes. One letter alone is a drive of Windows.
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/(/?)")


def refuse_address(given: str | PathLike[str]) -> None:
    """Check that a database is named by a path.

    Args:
        given: What the caller named it by.

    Raises:
        StoreNotSupported: It is an address, `scheme://…`. What follows the scheme may hold a password and is left out.

    Example:
        >>> refuse_address("runs.db")
        >>> refuse_address("postgresql://me:secret@db.example/runs")
        Traceback (most recent call last):
        ...
        graphengine.errors.StoreNotSupported: runs cannot be kept at postgresql://…: a database is a file
          at: postgresql://…
          repair: give the path of a file, such as runs.db
    """
    found = _ADDRESS.match(os.fsdecode(given))
    if found is None or (isinstance(given, str) and not found[2]):
        return
    shown = f"{found[1]}://…"
    message = f"runs cannot be kept at {shown}: a database is a file"
    raise StoreNotSupported(message, where=shown, repair="give the path of a file, such as runs.db")
