"""Locks of the operating system by which the processes of a host find out whether an owner is alive.

An owner (a process that drives runs) holds a lock on its own file for as long as it lives. The system releases the lock
when the process ends, in whatever way. So a free lock proves that the owner is dead. The end of a lease or a lost
connection does not prove this.
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
    """A lock on a file that an owner (a process that drives runs) holds for as long as it lives.

    Args:
        folder: The folder of the lock files, which is created if it is missing.
        owner_id: The id of the owner.
    """

    def __init__(self, folder: Path, owner_id: str) -> None:
        self.folder: Final = folder
        self._path: Final = folder / f"{owner_id}.lock"
        self._lock: FileLock | None = None

    @property
    def file_name(self) -> str:
        """The name of the lock file; "" while the lock is not held."""
        return self._path.name if self._lock else ""

    def acquire(self) -> None:
        """Create the lock file of this owner and lock it. Do nothing if the file system does not support locks.

        Another process can interfere in two ways. In both cases this function tries again:

        - This process creates or finds the folder. The last other owner closes and removes the folder, since it is
          empty. Then this process cannot create its file. The file is created before FileLock is used, because FileLock
          would create a missing folder accessible to other users.
        - This process creates its file. Another process takes the lock to check whether the file's owner is dead. Then
          this process cannot lock the file. A new file avoids waiting for the other process, which may be suspended.

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
                    raise  # a link to a missing folder: trying again would not help
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
        """Release the lock but keep the file, so that other processes can see that the owner has ended."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def release(self) -> None:
        """Release the lock, remove the lock file, and remove the folder of lock files if it is empty."""
        lock, self._lock = self._lock, None
        if lock is not None:
            # Remove it while the lock is held or, if the system forbids that, right after.
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            with suppress(OSError):  # the folder still contains files of other owners
                self.folder.rmdir()


def is_free(path: Path, *, if_missing: bool) -> bool:
    """Return whether no process holds the lock on a lock file, which shows that the file's owner has died.

    The result is False if that cannot be determined.

    Args:
        path: The lock file.
        if_missing: The result if the file does not exist.
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
    """Try to lock an open lock file, and return whether this succeeded. It succeeds if no owner holds the lock.

    Closing the descriptor releases the lock.

    Where the system supports shared locks, a shared lock is taken. It conflicts with the lock that an owner holds. But
    several processes can take it at the same time, for example if they all check whether an owner is dead.
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
    """Create and lock a file by which other processes of the same host and user can detect that this owner has died.

    Return None if such a file cannot be created. The files of dead owners are deleted after a day, because other
    processes may still check them.
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
    """Return whether the lock file of an owner proves that the owner's process has ended.

    Only processes on this host can be checked. For an owner on another host, the function returns False.
    """
    folder = _folder()
    is_one = ID.fullmatch(owner_id) is not None and _is_private(folder)
    return is_one and is_free(folder / f"{owner_id}.lock", if_missing=False)


def _folder() -> Path:
    import tempfile  # noqa: PLC0415 - commands that only read need none

    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir(), f"graphengine-owners-{user}")


def _is_private(folder: Path) -> bool:
    """Return whether only this user can write to the folder of the lock files.

    In a folder that others can write, a lock file proves nothing, because they could have removed or replaced it.
    """
    try:
        found = folder.lstat()
    except OSError:
        return False
    is_own = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return stat.S_ISDIR(found.st_mode) and is_own
