"""Reject addresses passed as the path of a database: they would create a file whose name can contain a password."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from graphengine.errors import StoreNotSupported

if TYPE_CHECKING:
    from os import PathLike

# A `Path` drops one of the two slashes. A single letter before the colon is a Windows drive.
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/(/?)")


def refuse_address(given: str | PathLike[str]) -> None:
    """Check that the name of a database is a path.

    Args:
        given: The name that the caller passed.

    Raises:
        StoreNotSupported: It is an address, `scheme://…`. The message leaves out the rest, which can hold a password.

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
