"""The errors that every store raises alike."""

from __future__ import annotations

import os

from graphengine.errors import LeaseLost, RunnerClosed, UnknownRun


def not_open() -> RunnerClosed:
    """Return the error for a store that is not open."""
    return RunnerClosed("the store is not open", repair="use it inside `async with Runner(...)`")


def check_process(pid: int, where: str) -> None:
    """Check that this process opened the store.

    Raises:
        RunnerClosed: It is a fork of the one that did.
    """
    if pid != os.getpid():
        message = "the store was opened in another process, of which this one is a fork"
        raise RunnerClosed(message, where=where, repair="create a Runner in this process")


def lease_lost(run_id: str, fence: int) -> LeaseLost:
    """Return the error for a batch from a former driver."""
    return LeaseLost(
        f"run {run_id} is no longer driven from here (fence {fence} is out of date)",
        where=f"run {run_id}",
        repair="another process took the run over or it was released; resume it to continue",
    )


def unknown_run(run_id: str) -> UnknownRun:
    """Return the error for an id that no run of the database has."""
    message = f"there is no run {run_id!r}"
    return UnknownRun(message, where=f"run {run_id!r}", repair="`graphengine runs` lists the runs of a database")
