"""Writing a file that a user named, as a shell's `>` would, but whole or not at all.

Every file that a user names is written here, so that none of these can be lost: a device, a pipe, a link, the mode and
the owner of a file.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_FIXED: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)
"""Errors of a file that can be written but not replaced: its folder or its owner is another's, or it is a mount."""
_STREAM: Final = re.compile(r"/dev/stdout|/dev/stderr|/(?:dev|proc/self)/fd/([0-9]+)")
_STREAMS: Final = {"/dev/stdout": "1", "/dev/stderr": "2"}


def write_file(path: str | os.PathLike[str], content: bytes, *, is_private: bool = False) -> None:
    """Write a file, if possible in one step, so that an error does not leave a half written file.

    What `write_file` does depends on what is at the path:

    - A regular file is replaced in one step, so that the old file is still there if writing fails. The new file has the
      mode and the owner of the old one. If the file cannot be replaced, it is overwritten.
    - A link is followed to its target.
    - Devices, pipes and open streams, such as `/dev/stdout` or `/dev/fd/3`, are written into.

    Args:
        path: The file.
        content: The whole content.
        is_private: Whether only the owner can read the file, if the file is new. Otherwise the mode of a new file
            follows the umask.

    Raises:
        OSError: The file cannot be written.
    """
    target = Path(path)
    stream = _STREAM.fullmatch(str(target))
    if stream is not None:  # a file behind it must not be replaced, and what it holds already stays
        sys.stdout.flush()
        with open(os.dup(int(stream[1] or _STREAMS[stream[0]])), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
        return
    try:
        # Open what is there instead of asking about it: the file system checks the permission, and follows links.
        present = os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        _put(target.resolve(), content, 0o600 if is_private else 0o666)
        return
    with open(present, "wb") as file:  # noqa: PTH123 - a descriptor
        found = os.fstat(present)
        if stat.S_ISREG(found.st_mode):
            try:
                _put(target.resolve(), content, 0o600, found)
            except OSError as error:
                if error.errno not in _FIXED:
                    raise
                file.truncate(0)
            else:
                return
        file.write(content)


def _put(target: Path, content: bytes, mode: int, like: os.stat_result | None = None) -> None:
    """Write a new file under a temporary name, and move it to its place, so that no reader sees half of the file."""
    draft = target.with_name(f".graphengine-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            if like is not None and os.name == "posix":
                os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            file.flush()
            os.fsync(descriptor)
        draft.replace(target)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


__all__ = ["write_file"]
