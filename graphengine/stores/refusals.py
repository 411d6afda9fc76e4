"""The errors that all stores raise with the same texts, one function for each error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.errors import (
    LeaseLost,
    RunCancelled,
    RunExists,
    RunnerClosed,
    StoreError,
    TreeStopped,
    UnknownRun,
    UnknownStep,
)

if TYPE_CHECKING:
    from graphengine.stores.base import EndedRun, RunInfo


def not_open() -> RunnerClosed:
    return RunnerClosed("the store is not open", repair="use it inside `async with Runner(...)`")


def lease_lost(run_id: str, fence: int) -> LeaseLost:
    """Return the error with which a store refuses steps from a process that no longer drives the run."""
    return LeaseLost(
        f"run {run_id!r} is no longer driven from here, because it was released or taken over (claim {fence})",
        where=f"run {run_id}",
        repair="if no other process continues the run, resume it: await runner.resume(run_id, graph)",
    )


def unknown_run(run_id: str) -> UnknownRun:
    message = f"there is no run {run_id!r}"
    return UnknownRun(message, where=f"run {run_id!r}", repair="`graphengine runs` lists the runs of a database")


def unknown_step(run_id: str, seq: int, last: int) -> UnknownStep:
    listed = f"`graphengine show {run_id}` lists the steps of a run in a database"
    return UnknownStep(
        f"run {run_id!r} has no step {seq}; its steps are 1 to {last}",
        where=f"run {run_id}",
        repair=f"choose a step from 1 (the input) to {last}; {listed}",
    )


def step_removed(run_id: str, seq: int) -> UnknownStep:
    """Return the error for a step whose content was removed because the graph keeps only its newest steps.

    Only the number and time of such a step are left.
    """
    return UnknownStep(
        f"step {seq} of run {run_id!r} was removed by the retention of its graph (keep_steps)",
        where=f"run {run_id}",
        repair=f"choose step 1, or one of the later steps that are left: `graphengine show {run_id}` lists them",
    )


def run_exists(run_id: str) -> RunExists:
    message = f"a run {run_id!r} is already recorded"
    return RunExists(
        message,
        where=f"run {run_id}",
        repair="choose another id, or continue that run: await runner.run(graph, state, run_id=…)",
    )


def tree_stopped(run_id: str, by: str) -> TreeStopped:
    """Return the error for a child run that cannot be started, because run `by` above it was stopped."""
    message = f"run {run_id!r} is not started, because run {by!r} above it was stopped together with all its child runs"
    return TreeStopped(by, message, where=f"run {run_id}", repair=f"resume run {by}")


def check_not_cancelled(info: RunInfo) -> None:
    """Raise RunCancelled if the run was cancelled."""
    if info.status == "cancelled":
        raise RunCancelled(info.id, "" if info.summary is None else info.summary.reason)


def not_dense(run_id: str, seq: int, expected: int) -> StoreError:
    """Return the error for a step whose number does not directly follow the run's last step."""
    message = f"step {seq} of run {run_id!r} cannot be recorded: the next step is {expected}"
    return StoreError(message, where=f"run {run_id}", repair="resume the run from its recorded steps")


def reason_to_stay(
    found: tuple[str, str, int, tuple[str, ...]], expected: RunInfo | EndedRun, driver: object, branch: str | None
) -> str:
    """Return the reason why a run must not be removed from a store; "" if it can be removed.

    Args:
        found: The current nonce, status, last step and sorted tags of the run with this id.
        expected: The facts about the run that the caller read before it decided to remove the run.
        driver: The live owner that drives the run; None if no owner does.
        branch: The id of a run that was branched from this one, if there is one.
    """
    if driver is not None:
        return f"driven by {driver}"
    _, status, _, _ = found
    if status in {"running", "waiting"}:
        return f"it is {status}"
    if found != (expected.nonce, expected.status, expected.seq, expected.tags):
        return "changed meanwhile"
    return "" if branch is None else f"needed by branch {branch}"
