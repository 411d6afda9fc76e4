"""Every error of graphengine: a stable code, the place, the values, and the repair.

Programs branch on `code`. People read `str(error)`, which is the message followed by the place and the repair.
Errors in a node's work (`NodeError`) are recorded in the run's log as a `Failure`. The others are raised to the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


DISTRIBUTION: Final = "durable-graphengine"
"""The name to install by. The package index has another project under the name of the module, graphengine."""


def install_command(extra: str) -> str:
    """Return the command that installs what an extra lists.

    >>> install_command("render")
    'pip install "durable-graphengine[render]"'
    """
    return f'pip install "{DISTRIBUTION}[{extra}]"'


class RunText(str):
    """A text in a log message that may quote the contents of a run, such as the error message of a node.

    The log of a service is read by its operator, who may not be allowed to read the runs, and nobody can erase contents
    of a run from the log. Therefore the commands do not write these texts to the log. See "What is logged" in
    docs/use/deployment.md.
    """

    __slots__ = ()


class GraphEngineDeprecationWarning(FutureWarning):
    """Warn that something public will be removed; the message says when, and what to use instead.

    `GraphEngineDeprecationWarning` is a `FutureWarning`, because Python shows a `FutureWarning` wherever it is raised.
    A `DeprecationWarning` would be hidden outside of the module `__main__`. Graphs are seldom defined in `__main__`,
    because commands, workers and services import them.
    """


class GraphEngineError(Exception):
    """The base class of all errors that graphengine raises on purpose.

    Args:
        message: What happened, with the relevant values.
        where: The place where it happened: a graph, node, field, file or run.
        repair: What the user can do about it.
        code: The kind of the error, such as `error`, if the kind has no class of its own.

    Attributes:
        of_set_up: Whether something that a program needs is missing or wrong, such as a key. In this case, the message
            says what to do, and the traceback contains no lines of graphengine's own code.
    """

    code: str = "error"
    of_set_up: bool = False

    def __init__(self, message: str, *, where: str = "", repair: str = "", code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.message = message
        self.where = where
        self.repair = repair

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  at: {self.where}")
        if self.repair:
            lines.append(f"  repair: {self.repair}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a graph that was found when the graph was compiled or checked.

    Attributes:
        code: The kind of the problem.
        where: The place in the graph, such as a node, an edge of a node, or a field of the state.
        message: What is wrong, with the values that are concerned.
        repair: How to solve the problem.
        warning: Whether the graph can run in spite of the problem.
        file: The file that contains the declaration with the problem; None if the file is not known.
        line: The line in this file, counted from 1.
    """

    code: str
    where: str
    message: str
    repair: str = ""
    warning: bool = False
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        tail = f"\n      repair: {self.repair}" if self.repair else ""
        name = (self.file or "").replace("\\", "/").rpartition("/")[2]  # a path of any operating system
        line = f" ({name}:{self.line})" if name else ""
        return f"{kind} {self.code} at {self.where}{line}: {self.message}{tail}"


class CompileError(GraphEngineError):
    """A graph has problems because of which it cannot run. `problems` lists all of them, including warnings."""

    code = "compile_error"
    of_set_up = True

    def __init__(self, graph: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        errors = sum(not p.warning for p in self.problems)
        listing = "\n".join(f"  {p}" for p in self.problems)
        noun = "problem" if errors == 1 else "problems"
        super().__init__(f"graph {graph!r} has {errors} {noun}:\n{listing}", where=f"graph {graph}")

    def __str__(self) -> str:
        return self.message


class DefinitionError(GraphEngineError):
    """A declaration is invalid by itself: a bad path, option or condition."""

    code = "bad_definition"
    of_set_up = True


class InputError(GraphEngineError):
    """The state or update passed to a run does not validate, or names a field that does not exist."""

    code = "invalid_input"


class AsksNothing(InputError):
    """The run to answer has no open question: it is over, is running, or waits for something else."""

    code = "asks_nothing"


class AnsweredAlready(InputError):
    """The question has an answer that the run has not taken yet, or another answer was faster."""

    code = "answered_already"


class AmbiguousWait(InputError):
    """The run has asked questions of this name more than once: only an id says which one an answer is for."""

    code = "ambiguous_wait"


class QuestionWithdrawn(InputError):
    """The question is no longer open, and was not answered: the run asks something else, or went on without it."""

    code = "question_withdrawn"


class RunReplaced(GraphEngineError):
    """A question, a cursor or an id was given out by an earlier run, which was removed. Another run has its id now."""

    code = "run_replaced"


class QuestionChanged(InputError):
    """The graph was changed since the question was asked: the answer to the old one was not recorded."""

    code = "question_changed"


class GraphNotFound(GraphEngineError):
    """There is no graph, or more than one, where exactly one was expected."""

    code = "graph_not_found"


class RunExists(GraphEngineError):
    """A run with this id is already recorded."""

    code = "run_exists"


class TreeStopped(GraphEngineError):
    """The run of a node stops before it starts a child run, because this run or one of its parents was stopped.

    Attributes:
        by: The run that was stopped.
    """

    code = "tree_stopped"

    def __init__(self, by: str, message: str, *, where: str = "", repair: str = "") -> None:
        self.by = by
        super().__init__(message, where=where, repair=repair)


class UnknownRun(GraphEngineError):
    """The store has no run with this id."""

    code = "unknown_run"


class UnknownStep(GraphEngineError):
    """The run has no step with this seq."""

    code = "unknown_step"


class NotPublished(GraphEngineError):
    """A run is over, and did not publish the value that was waited for."""

    code = "not_published"


class NotPublishedYet(NotPublished, TimeoutError):
    """A run that is not over has not published a value within the time limit."""

    code = "not_published_yet"


class UnknownAttribute(DefinitionError, AttributeError):
    """The attribute has another name here."""

    code = "unknown_attribute"


class RequestRefused(GraphEngineError):
    """A run refused a request: its node did so, or receives messages of another type."""

    code = "request_refused"


class RunNotResumable(GraphEngineError):
    """Nothing is ready at this point of the run, so there is nothing to resume."""

    code = "nothing_ready"


class RunCancelled(GraphEngineError):
    """The run was cancelled, which stopped it for good: no resume, answer or message continues it."""

    code = "run_cancelled"

    def __init__(self, run_id: str, why: str) -> None:
        reason = f": {why}" if why not in ("", "asked") else ""
        repair = "start another run, or branch this one, which begins another run at one of its steps"
        super().__init__(f"run {run_id!r} was cancelled{reason}", where=f"run {run_id}", repair=repair)


class RunIsDriven(GraphEngineError):
    """The run cannot be driven here, because another live process drives it.

    Args:
        run_id: The id of the run.
        owner: The process that drives the run: its host, its process id and the id of its lease.
        expires_at: When the lease of this process ends unless it is renewed, in epoch seconds; infinite if the run is
            driven in the current process.
    """

    code = "run_is_driven"

    def __init__(self, run_id: str, owner: str, expires_at: float) -> None:
        self.run_id, self.owner, self.expires_at = run_id, owner, expires_at
        super().__init__(
            f"run {run_id!r} is driven by {owner}{_lease(expires_at)}",
            where=f"run {run_id}",
            repair=_repair(run_id, expires_at),
        )


def _repair(run_id: str, expires_at: float) -> str:
    if expires_at == math.inf:
        return f"use the handle of the run, runner.get({run_id!r}), or wait until no process drives the run"
    return f"wait until that process is done, or stop it; `graphengine watch {run_id}` shows what the run does"


def _lease(expires_at: float) -> str:
    try:
        ends = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # infinite, or beyond the years of a calendar
        return ""
    return f", whose lease ends at {ends} unless it is renewed"


class GraphChanged(GraphEngineError):
    """The graph was changed since the run was recorded, and the run no longer fits it."""

    code = "graph_changed"


class MigrationFailed(GraphChanged):
    """A migration of the graph raised, or returned an invalid state for today's graph. The run is unchanged."""

    code = "migration_failed"


class SecretKeyWrong(GraphEngineError):
    """A recorded secret cannot be read with the graph's key."""

    code = "secret_key"
    of_set_up = True


class RunnerClosed(GraphEngineError):
    """The Runner was closed, or is used in another process than the one that created it."""

    code = "runner_closed"


class OutOfOrder(GraphEngineError):
    """A fault of graphengine: a run met what cannot happen to it then. A resume continues from what is recorded."""

    code = "out_of_order"


class WatcherTooSlow(GraphEngineError):
    """A watcher of a run did not read its events, and too many waited. The run is not affected."""

    code = "watcher_too_slow"


class StoreError(GraphEngineError):
    """The store cannot complete the operation. Nothing that was recorded is lost."""

    code = "store_error"


class StoreMissing(StoreError):
    """There is no database to read at this path."""

    code = "store_missing"


class StoreNotSupported(StoreError):
    """Runs cannot be stored at this place, for example at the address of a database server."""

    code = "store_not_supported"
    of_set_up = True


class StoreUnreachable(StoreError):
    """The database server cannot be reached, or the connection to it was lost for longer than the store waits."""

    code = "store_unreachable"


class StoreForbidden(StoreError):
    """The database server refuses this user: a wrong password, or a right that is missing."""

    code = "store_forbidden"


class StoreNotADatabase(StoreError):
    """The file exists but is not a database of graphengine."""

    code = "store_not_a_database"


class StoreAltered(StoreError):
    """The database defines something that graphengine did not create: a trigger, a view, a different table."""

    code = "store_altered"


class StoreReadOnly(StoreError):
    """The database or its folder cannot be written."""

    code = "store_read_only"


class StoreLocked(StoreError):
    """Another program held the database's lock for longer than the busy timeout."""

    code = "store_locked"


class StoreFull(StoreError):
    """The disk or its quota is full."""

    code = "store_full"


class StoreMoved(StoreError):
    """The database's file or its log was moved, deleted or replaced while open. Nothing more is written."""

    code = "store_moved"


class StoreCorrupt(StoreError):
    """A stored row cannot be read."""

    code = "store_corrupt"


class StoreTooNew(StoreError):
    """The database, or a run in it, was written by a newer version of graphengine."""

    code = "store_too_new"


UNREADABLE: Final = (StoreCorrupt, StoreTooNew)
"""What reading a run raises if it cannot be read here: what is done with several runs goes on with the others."""


class LeaseLost(StoreError):
    """Another process took this run over. Work that this process had not yet recorded is dropped."""

    code = "lease_lost"


class NodeError(GraphEngineError):
    """The work of a node failed for a reason that the engine knows.

    The attribute `code` of a `NodeError` is recorded as the kind of the failure (`Failure.kind`).

    Attributes:
        retryable: Whether running the node again can help.
    """

    code = "node_error"
    retryable: ClassVar[bool] = True


class Transient(NodeError):
    """What the node called failed for a reason that may pass. Nodes retry it by default."""

    code = "transient"


class InvalidUpdate(NodeError):
    """The node's result does not validate against the state."""

    code = "invalid_update"


class RecordUnreadable(InvalidUpdate):
    """A value that was recorded cannot be read as the type that its field has now."""

    code = "record_unreadable"


class NotRecordable(NodeError):
    """A value would read back from the record different from what the node returned."""

    code = "not_recordable"


class TooLarge(NodeError):
    """A node writes, records or sends more than the allowed size, or makes the state larger than that."""

    code = "too_large"
    retryable = False


class MissingInput(NodeError):
    """A parameter that does not allow None would have received None."""

    code = "missing_input"
    retryable = False


class MutatedInput(NodeError):
    """The node changed its input in place."""

    code = "mutated_input"
    retryable = False


class NodeTimeout(NodeError, TimeoutError):
    """The node ran longer than its `timeout_seconds`."""

    code = "timeout"


class WorkerDied(NodeError):
    """The process in which a node ran on an executor died: it was killed, or ran out of memory."""

    code = "worker_died"


class NotPicklable(NodeError):
    """A node's function, argument or result cannot be moved between processes."""

    code = "not_picklable"
    retryable = False


class CrashLoop(NodeError):
    """The process died three times in a row while this node was running."""

    code = "crash_loop"
    retryable = False


class ResourceFailed(NodeError):
    """A resource that the graph declares could not be built."""

    code = "resource_failed"
    retryable = False


class NoChoice(NodeError):
    """`choose` read a value that it has no runnable for."""

    code = "no_choice"
    retryable = False


class NoEdge(NodeError):
    """No condition of the node's outgoing edges holds, and it has no `otherwise` edge."""

    code = "no_way_out"
    retryable = False


class RuleBroken(NodeError):
    """A node would begin, or the graph end, against a rule of `Graph.require`. It does not begin."""

    code = "rule_broken"
    retryable = False


class ConditionFailed(NodeError):
    """A condition raised while it was evaluated."""

    code = "condition_failed"
    retryable = False


class FailReached(NodeError):
    """A subgraph reached FAIL. Its node fails with the label of the edge."""

    code = "fail"


class InvalidInputs(NodeError):
    """The inputs of a subgraph do not fit its state."""

    code = "invalid_input"
    retryable = False


class SubgraphLimit(NodeError):
    """A subgraph reached one of its own limits."""

    code = "limit"
    retryable = False


class WaitTimeout(NodeError, TimeoutError):
    """A wait ended without an answer or message, and it has no default."""

    code = "wait_timeout"


class ChildFailed(NodeError):
    """A child run that the node started has no result, because it failed, was stopped or cancelled, or was removed.

    Attributes:
        run_id: The id of the child run.
        status: What happened to the child run: `failed`, `stopped`, `cancelled` or `removed`.
    """

    code = "child_failed"

    def __init__(self, run_id: str, status: str, why: str, where: str) -> None:
        self.run_id, self.status = run_id, status
        repair = (
            f"fix the cause and resume this run, which resumes {run_id!r} too; or write retry=Retry(on=(ChildFailed,))"
        )
        if status in ("removed", "cancelled"):
            repair = "branch this run at a step before the start of the child, so that another child is started"
        super().__init__(f"child run {run_id!r} {_CHILD_ENDS[status]}: {why}", where=where, repair=repair)


_CHILD_ENDS: Final = {
    "failed": "failed",
    "stopped": "was stopped",
    "cancelled": "was cancelled",
    "removed": "was removed",
}


class TooDeep(NodeError):
    """A node would start a run below more runs than `Limits(depth=)` allows."""

    code = "too_deep"
    retryable = False


class NotDelivered(NodeError):
    """A webhook refused a notification or redirected it, or is not configured any more."""

    code = "not_delivered"
    retryable = False


class NotAwaited(NodeError):
    """The node did not await a call on its context, or an awaitable that it returned."""

    code = "not_awaited"
    retryable = False


class NotDone(NodeError):
    """The side effect did not happen, so it may be tried again.

    `NotDone` is raised by the side effect itself, or by its function `reconcile=` when that function finds out that the
    side effect did not happen.
    """

    code = "not_done"

    def __init__(
        self, message: str = "the effect did not happen", *, where: str = "", repair: str = "", code: str | None = None
    ) -> None:
        super().__init__(message, where=where, repair=repair, code=code)


class ExecutorUnreachable(NotDone):
    """An executor could not begin a node: what runs it does not answer, or has no machine for it. It did not begin."""

    code = "executor_unreachable"


class EffectUnknown(NodeError):
    """A side effect that must not be repeated has begun, and nobody knows how it ended; see `graphengine.Once`."""

    code = "effect_unknown"
    retryable = False

    def __init__(
        self,
        message: str = "it is not known how the effect ended",
        *,
        where: str = "",
        repair: str = "",
        code: str | None = None,
    ) -> None:
        super().__init__(message, where=where, repair=repair, code=code)


class EffectRefused(NodeError):
    """An effect outside the run was about to begin where effects are refused: in an evaluation, or in a test."""

    code = "effect_refused"
    retryable = False


class TransactionRefused(NodeError):
    """A function with `effect="transaction"` cannot be done here: the store has none, or it ended its transaction."""

    code = "transaction_refused"
    retryable = False


class TransactionUndone(NodeError):
    """The database undid a function's transaction again and again: nothing was done, and it can be tried again."""

    code = "transaction_undone"


_REPEATING: Final = "graphengine_repeating"
_REPAIR: Final = "__graphengine_repair__"


def mark_repeating(error: BaseException) -> None:
    """Mark an error that the same input always raises: no retry helps, whatever its class declares."""
    setattr(error, _REPEATING, True)


def mark_repair(error: BaseException, repair: str) -> None:
    """Keep the repair of an exception that is raised by a user's function, and whose type has none."""
    setattr(error, _REPAIR, repair)


def find_repair(error: BaseException) -> str:
    """Return the repair that `mark_repair` kept; "" if there is none."""
    return str(vars(error).get(_REPAIR, ""))


def is_repeating(error: BaseException) -> bool:
    """Return whether an error was marked by `mark_repeating`."""
    return vars(error).get(_REPEATING) is True
