"""Locks of the operating system by which the processes of one host see whether an owner is alive.

An owner holds a lock on a file of its own for as long as it lives. The system releases it when the process ends,
however it ends. So a free lock is a proof of its death, which a lease or a lost connection is not.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has no such module

if TYPE_CHECKING:
    from filelock import FileLock

ID: Final = re.compile(r"[0-9a-f]{32}")  # a database can contain anything; only such an id is used as a file name
_OPEN_ONLY_FILES: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LOCKS: Final = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class OwnerLock:
    """The lock of an owner, on a file in a folder of such files.

    Args:
        folder: The folder, which is created if it is missing.
        owner_id: The id of the owner.
    """

    def __init__(self, folder: Path, owner_id: str) -> None:
        self.folder: Final = folder
        self._path: Final = folder / f"{owner_id}.lock"
        self._lock: FileLock | None = None

    @property
    def file_name(self) -> str:
        """The name of its file; "" while it is not held."""
        return self._path.name if self._lock else ""

    def acquire(self) -> None:
        """Create and lock the file; do nothing where the file system has no locks.

        Two races are repeated. The first must be lost before the file exists: FileLock would create the folder itself,
        open to other users.

        1. This process creates or finds the folder. 2. The last other owner closes and removes it, since it is empty.
           3. This process creates its file.
        1. This process creates its file. 2. Another one checks whether its owner is dead, and takes the lock to see.
           3. This process cannot lock it. A new file avoids waiting for the other, which can be suspended.

        Raises:
            OSError: The folder cannot be created or written.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - readers do not need it

        path = self._path
        while self._lock is None:
            with suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            try:
                path.touch(mode=0o600, exist_ok=False)
            except FileNotFoundError:
                if self.folder.is_symlink():
                    raise  # it leads nowhere, however often this is repeated
                continue
            lock = FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
            try:
                lock.acquire(blocking=False)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno in _NO_LOCKS:
                    return
                if not isinstance(error, Timeout):
                    raise
            else:
                self._lock = lock

    def let_go(self) -> None:
        """Release the lock, and leave the file: it shows that the owner has ended."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def release(self) -> None:
        """Release and remove the file; remove the folder if it is empty."""
        lock, self._lock = self._lock, None
        if lock is not None:
            # Remove it while the lock is held or, if the system forbids that, right after.
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            with suppress(OSError):  # other owners' files are in it
                self.folder.rmdir()


def is_free(path: Path, *, if_missing: bool) -> bool:
    """Return whether nobody holds the lock of a file; False if that cannot be determined.

    Args:
        path: The file.
        if_missing: What to return if there is no such file.
    """
    try:
        descriptor = os.open(path, _OPEN_ONLY_FILES)
    except FileNotFoundError:
        return if_missing
    except OSError:
        return False
    try:
        return _can_lock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _can_lock(descriptor: int) -> bool:
    """Try to take the lock; return whether no owner holds it. The caller holds it until it closes the descriptor.

    Where there are shared locks, take one: it conflicts with an owner's lock, but processes that check a dead owner at
    the same time do not mistake one another for the owner.
    """
    if fcntl is None:
        from filelock import lock_descriptor  # noqa: PLC0415 - readers do not need it

        return lock_descriptor(descriptor, blocking=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- owners of a database that is no file of this host ------------------------------------------------------------

_KEPT_SECONDS: Final = 86_400.0


def lock_on_host(owner_id: str) -> OwnerLock | None:
    """Take a lock by which other processes of this host and user see the owner's death; None if that is not possible.

    The files of those that died stay for a day, since others may ask for them.
    """
    lock = OwnerLock(_folder(), owner_id)
    try:
        with suppress(FileExistsError):
            lock.folder.mkdir(mode=0o700)
        if not _is_private(lock.folder):
            return None
        long_ago = time.time() - _KEPT_SECONDS
        for each in lock.folder.glob("*.lock"):
            with suppress(FileNotFoundError):  # another process has just removed it
                if each.lstat().st_mtime < long_ago and is_free(each, if_missing=False):
                    each.unlink()
        lock.acquire()
    except OSError:
        return None
    return lock


def is_known_dead(owner_id: str) -> bool:
    """Return whether this host shows that an owner's process is gone. Nothing shows it on other hosts."""
    folder = _folder()
    is_one = ID.fullmatch(owner_id) is not None and _is_private(folder)
    return is_one and is_free(folder / f"{owner_id}.lock", if_missing=False)


def _folder() -> Path:
    import tempfile  # noqa: PLC0415 - commands that only read need none

    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir(), f"graphengine-owners-{user}")


def _is_private(folder: Path) -> bool:
    """Return whether only this user can write to a folder: in one that others can, a file proves nothing."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    is_own = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return stat.S_ISDIR(found.st_mode) and is_own
