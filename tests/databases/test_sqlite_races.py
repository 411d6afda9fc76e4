"""Files that other processes create, lock and remove while a database is opened, read and checked."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine.databases.sqlite.files import file_state
from graphengine.databases.sqlite.owners import Lease, LeaseOptions, lock_files, lock_shows_death, owner_of
from tests.databases.support import OpenStore


@pytest.fixture
def options(path: Path) -> LeaseOptions:
    """Return the options of a lease on a database."""
    return LeaseOptions(path, 30.0, 10.0)


def is_locked(lease: Lease, options: LeaseOptions) -> bool:
    """Return whether other processes see the owner as alive."""
    return not lock_shows_death(owner_of(f"{lease.id}.lock"), options.folder)


def removed_before(path: Path) -> None:
    """Answer as if the folder existed; it was removed since."""
    raise FileExistsError(17, os.strerror(17), str(path))


def removed_after(path: Path) -> None:
    """Remove the folder as soon as it was made."""
    path.rmdir()


@pytest.mark.parametrize("happens", [removed_before, removed_after])
def test_the_folder_of_owners_may_vanish_while_an_owner_enters_it(
    options: LeaseOptions, happens: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last owner that closes removes it; the next one makes it again, for this user only."""
    made: list[Path] = []
    mkdir = os.mkdir

    def raced(path: Path, mode: int = 0o777) -> None:
        made.append(Path(path))
        if len(made) > 1 or happens is removed_after:
            mkdir(path, mode)
        if len(made) == 1:
            happens(Path(path))

    monkeypatch.setattr(os, "mkdir", raced)
    lease = Lease(options, lambda _: None)
    lease.acquire_lock()
    assert is_locked(lease, options)
    assert stat.S_IMODE(options.folder.stat().st_mode) == 0o700
    lease.release_lock()
    assert not options.folder.exists()


def test_a_link_to_nowhere_is_no_folder_of_owners(options: LeaseOptions) -> None:
    """It is refused, and not tried for ever."""
    options.folder.symlink_to(options.folder.with_name("nowhere"))
    with pytest.raises(FileNotFoundError):
        Lease(options, lambda _: None).acquire_lock()


def test_an_owner_is_not_kept_out_by_a_check_of_its_lock(
    options: LeaseOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that finds the new file before it is locked takes a shared lock, and can be suspended with it."""
    checking: list[int] = []
    opening = os.open

    def raced(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor = opening(path, flags, mode, dir_fd=dir_fd)
        if str(path).endswith(".lock") and flags & os.O_CREAT and not checking:
            checking.append(opening(path, os.O_RDONLY))
            fcntl.flock(checking[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
        return descriptor

    monkeypatch.setattr(os, "open", raced)
    lease = Lease(options, lambda _: None)
    lease.acquire_lock()
    os.close(checking[0])
    assert is_locked(lease, options)
    lease.release_lock()
    assert not options.folder.exists()


async def test_a_log_may_vanish_while_it_is_looked_at(
    path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last process that closes removes it; a look at it is one system call, after which it may be gone."""
    await (await open_store()).close()
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"\0" * 32)
    looking = os.stat

    def raced(file: str | Path, **options: bool) -> os.stat_result:
        found = looking(file, **options)
        if Path(file) == log:
            log.unlink()
        return found

    monkeypatch.setattr(os, "stat", raced)
    file_state(path)


def test_the_folder_of_owners_may_vanish_while_it_is_listed(
    options: LeaseOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is gone has no locks, even if it was there a moment ago."""
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    assert lock_files(options.folder) == set()
