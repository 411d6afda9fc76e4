"""The errors that stores in databases raise alike, besides those of every store."""

from __future__ import annotations

from typing import Final, NamedTuple

from graphengine.errors import RunnerClosed, StoreCorrupt, StoreError

_BRANCH_BEFORE: Final = "restore a backup, or branch the run at a step before this one; other runs are not affected"


class StoreTooOld(StoreError):
    """A development version wrote the database, before the first release: it is neither read nor converted."""

    code = "store_too_old"


class Meaning(NamedTuple):
    """What an error of a database driver means: the kind of error that is raised for it, its message and the repair."""

    error: type[StoreError]
    message: str
    repair: str

    def explained(self, words: object, where: str) -> StoreError:
        """Return the error, with the driver's own words."""
        return self.error(f"{self.message} ({words})", where=where, repair=self.repair)


def closed_error() -> RunnerClosed:
    """Return the error for a store that was closed meanwhile."""
    return RunnerClosed("the store is closed")


def forked_error(where: str) -> RunnerClosed:
    """Return the error for a store that was opened in the process of which this one is a fork."""
    message = "the store was opened in another process, of which this one is a fork"
    return RunnerClosed(message, where=where, repair="create a Runner in this process")


def open_elsewhere(where: str) -> RunnerClosed:
    """Return the error for a store that is open in another event loop, in which its futures are."""
    repair = "give each event loop a store of its own, or close this one first"
    return RunnerClosed("the store is open in another event loop", where=where, repair=repair)


def too_old(what: str, number: int, first: int, where: str, repair: str) -> StoreTooOld:
    """Return the error for a database that a development version wrote."""
    message = f"the {what} has format {number}, of a development version; this version reads formats from {first} on"
    repair = f"{repair}: what was recorded before version 0.1.0 is not converted"
    return StoreTooOld(message, where=where, repair=repair)


def damaged_error(what: str, why: str, repair: str = _BRANCH_BEFORE) -> StoreCorrupt:
    """Return the error for a row that cannot be read."""
    return StoreCorrupt(f"{what} cannot be read: {why}", where=what, repair=repair)
