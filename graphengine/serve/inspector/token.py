"""The token of a local page, kept in a file, so that open tabs and saved links work after a restart."""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_LOG: Final = logging.getLogger("graphengine")
_TOKEN: Final = re.compile(r"[\w-]{43}")


def kept_token(path: Path | None) -> str:
    """Return the token that opens the local inspector page, from a file that keeps it over restarts of the server.

    Saved links to the page therefore still work after a restart.

    If the file does not exist, a new token is written that only the owner can read. The file is ignored if others can
    read or write it or if it belongs to somebody else, because its token may then be known. In this case, or if the
    file cannot be written, the returned token is valid for this process only, and the reason is logged.

    Args:
        path: The file; None for a new token that is not kept.
    """
    new_token = secrets.token_urlsafe(32)
    if path is None:
        return new_token
    try:
        return _read_token_file(path) or _write_token_file(path, new_token)
    except (OSError, ValueError) as error:
        _LOG.warning("the token of %s is not used, so links end with this process: %s", path, str(error))
        return new_token


def _read_token_file(path: Path) -> str:
    """Read the token of the inspector page from the file that keeps it; "" if the file does not exist.

    Raises:
        OSError: The file cannot be read.
        ValueError: Others can read or write the file, or it does not contain a token.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return ""
    with open(descriptor, encoding="ascii") as file:  # noqa: PTH123 - a descriptor
        found, text = os.fstat(descriptor), file.read(100).strip()
    if os.name == "posix" and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077):
        message = "other users of this machine can read or write the file; remove the file, or run `chmod 600` on it"
        raise ValueError(message)
    if _TOKEN.fullmatch(text) is None:
        message = "the file contains no token; remove the file"
        raise ValueError(message)
    return text


def _write_token_file(path: Path, token: str) -> str:
    """Write a token to a new file, and return the token that the file contains afterwards.

    That can be the token of another process, because two processes, A and B, can start at the same time:

    1. Both find no file, and each writes its token to a temporary file.
    2. A links its temporary file to the final name. B's link fails because the file exists, and B reads A's token.

    If B replaced the file instead, the file would not contain the token with which A serves.
    """
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(f"{token}\n")
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return _read_token_file(path)


__all__ = ["kept_token"]
