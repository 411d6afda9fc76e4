"""`graphengine doctor --production`: check whether an installation is ready for production.

The result of each check is ok, not, or cannot say.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.cli.documents import Check, Ready
from graphengine.cli.places import read_settings, settings_of
from graphengine.errors import GraphNotFound
from graphengine.records.words import counted
from graphengine.wings import guarded, load, wings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.places import DatabaseOption
    from graphengine.kernel.store import OwnerInfo, RunInfo, Store

_REMOTE: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs")
_LEAST_FREE_BYTES: Final = 1 << 30
_LOG_FACTOR: Final = 4
"""How many times longer than usual the write-ahead log may be. Large steps let the log grow for a moment."""
_FAILED: Final = 1000
_DAY_SECONDS: Final = 86400.0
_SAFE: Final = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write", "local"),
}
"""The settings of a database server with which a recorded step survives a power cut."""


def ready(context: CommandContext) -> Ready:
    """Run the checks of `graphengine doctor --production`, and return their results.

    The results have the order of the page `docs/use/deployment.md`.

    Raises:
        StoreError: The database does not exist, or cannot be read.
    """
    place = context.place
    place.check_exists()
    before = list(durability(place))  # before the store opens the file: to open it again would drop the store's locks
    found = context.read(_load_production)
    checks = [*before, *disk(place), *retention(), *rescue(*found)]
    checks += [*context.read(_ask_wings), versions(found[0]), backups()]
    return Ready(database=str(place.database), ready=all(each.state != "not" for each in checks), checks=checks)


async def _load_production(store: Store) -> tuple[Sequence[OwnerInfo], Sequence[RunInfo], int]:
    """Read from the database what the checks need, such as the live processes and the interrupted runs.

    The result also tells how many of the runs that began in the last day failed.
    """
    from graphengine.records.selection import Wanted, newest

    interrupted = await newest(store, Wanted(_FAILED, "interrupted"))
    failed = await newest(
        store, Wanted(_FAILED, "failed", newer_seconds=_DAY_SECONDS, begun_after=time.time() - _DAY_SECONDS)
    )
    return await store.owners(), interrupted, len(failed)


async def _ask_wings(store: Store) -> Sequence[Check]:
    found: list[Check] = []
    for wing in wings():
        if wing.questions:
            with guarded(wing):
                found += [Check(*each) for each in await load(wing.questions)(store, settings_of(wing.name))]
    return found


def durability(place: DatabaseOption) -> Iterator[Check]:
    """Check that the settings and the disk of the database let recorded steps survive a power cut."""
    if isinstance(place.database, str):
        from graphengine.databases.postgres.doctor import settings

        found = settings(place.database, list(_SAFE))
        unsafe = {name: value for name, value in found.items() if value not in _SAFE[name]}
        what = ", ".join(f"{name} = {value}" for name, value in (unsafe or found).items())
        repair = "set each of these settings to 'on' with ALTER SYSTEM SET, then run SELECT pg_reload_conf()"
        yield Check("durability", "not" if unsafe else "ok", what, repair if unsafe else "")
        return
    path = place.database.resolve()
    with path.open("rb") as file:
        is_logged = file.read(20)[18:20] == b"\x02\x02"
    kind = file_system(path)
    if kind.startswith(_REMOTE):
        what = f"{path} is on a file system of another machine ({kind})"
        yield Check("durability", "not", what, "move the file to a local disk, or use PostgreSQL")
    elif not is_logged:
        repair = "open the file once with `graphengine worker`"
        yield Check("durability", "not", "the file has no write-ahead log", repair)
    else:
        what = "graphengine syncs each step to the disk, unless a program of yours says synchronous='NORMAL'"
        yield Check("durability", "ok", what, "")


def file_system(path: Path) -> str:
    """Return the type of a path's file system, such as `ext4` or `nfs`; "" if it cannot be determined."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    inside = [mount for mount in mounts if path.is_relative_to(mount[1])]
    return max(inside, key=lambda mount: len(mount[1]))[2] if inside else ""


def disk(place: DatabaseOption) -> Iterator[Check]:
    """Check that the disk has room for a backup, and that SQLite's write-ahead log is not too long."""
    from rich.filesize import decimal as size

    if isinstance(place.database, str):
        what = "the database is on a disk of the PostgreSQL server"
        yield Check("disk", "cannot say", what, "watch the disk on the server, because a full disk ends all writes")
        return
    free, used = shutil.disk_usage(place.database.parent).free, place.database.stat().st_size
    needed = max(_LEAST_FREE_BYTES, used)
    what = f"{size(free)} free, {size(used)} in the database"
    repair = f"make {size(needed)} free: a backup needs as much space as the database"
    yield Check("disk", "ok", what, "") if free >= needed else Check("disk", "not", what, repair)
    yield _check_log_size(place.database)


def _check_log_size(path: Path) -> Check:
    """Check that SQLite's write-ahead log is not much longer than usual.

    Processes of this version keep the log short. The log grows while a program reads the file for a long time, or if
    processes of an older version use the file.
    """
    from rich.filesize import decimal as size

    from graphengine.databases.sqlite.checkpoints import longest_log
    from graphengine.databases.sqlite.wal_recovery import bytes_of_log

    found, most = bytes_of_log(path.resolve()), _LOG_FACTOR * longest_log()
    what = f"the write-ahead log has {size(found)}"
    repair = (
        f"at most {size(most)} are usual: end programs that read the file for a long time, such as a backup, and "
        "workers of earlier versions that let the log grow; a worker of this version then shortens it within a minute"
    )
    return Check("log", "not", what, repair) if found > most else Check("log", "ok", what, "")


def retention() -> Iterator[Check]:
    """Check that the project or each graph limits how long runs are kept.

    Without a limit, the database grows for ever.
    """
    from graphengine.cli.project import graphs_to_drive

    project_retention = read_settings("retention")
    try:
        graphs = graphs_to_drive(())[0]
    except GraphNotFound:
        graphs = {}
    without = sorted(
        name for name, each in graphs.items() if project_retention is None and each.graph.retention is None
    )
    repair = "write [tool.graphengine.retention] and below it keep_days = 30, or Graph(…, retention=…)"
    if project_retention is None and not graphs:
        yield Check("retention", "cannot say", "there is no project here", repair)
    elif without:
        yield Check("retention", "not", f"workers keep the runs of {', '.join(without)} for ever", repair)
    else:
        yield Check("retention", "ok", "the project or its graphs say how long runs are kept", "")


def rescue(owners: Sequence[OwnerInfo], interrupted: Sequence[RunInfo], failed: int) -> Iterator[Check]:
    """Check that a worker is alive, and that no run failed in the last day.

    A live worker also continues the runs of processes that died.
    """
    workers = [each for each in owners if each.role is not None]
    if workers:
        yield Check("workers", "ok", f"{counted(len(workers), 'worker')} at work", "")
    else:
        idle = f", so no process continues {counted(len(interrupted), 'interrupted run')}" if interrupted else ""
        repair = "start `graphengine worker` under a supervisor"
        yield Check("workers", "not", f"no worker is alive{idle}", repair)
    repair = "probe GET /health of `graphengine serve`, and `graphengine worker --health PORT`"
    yield Check("health", "cannot say", "whether something restarts a worker that hangs", repair)
    if failed:
        what = (
            f"{counted(failed, 'run')} that began within a day failed"
            if failed < _FAILED
            else f"{failed} or more runs that began within a day failed"
        )
        repair = (
            "list them: graphengine runs status:failed since:1d; after a repair: graphengine bulk retry status:failed"
        )
        yield Check("errors", "not", what, repair)
    else:
        yield Check("errors", "ok", "no run that began since a day ago failed", "")


def versions(owners: Sequence[OwnerInfo]) -> Check:
    """Check that all workers have the same version as this program."""
    from graphengine import __version__

    found = sorted({str(each.role.get("version")) for each in owners if each.role is not None} | {__version__})
    if len(found) > 1:
        repair = "end the workers, install the same version everywhere, and start the workers again"
        return Check("versions", "not", f"workers and this program have the versions {', '.join(found)}", repair)
    return Check("versions", "ok", f"graphengine {__version__} here and in all workers", "")


def backups() -> Check:
    """Return a reminder to test backups, because this program cannot check them."""
    repair = "make a backup (`graphengine backup`, pg_dump), and run `graphengine doctor` and a worker on it elsewhere"
    return Check("backups", "cannot say", "whether a backup was restored lately", repair)
