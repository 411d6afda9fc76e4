"""Every error of graphengine: a stable code, where it happened, the values, and what to do about it.

Callers branch on `code`; people read `str(error)`, which is the message followed by the place and the repair.
Errors of a node's work (`NodeError`) end up in the run's log as a `Failure`; the others reach the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class GraphEngineError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: What happened, with the values that matter.
        where: The place: a graph, node, field, file or run.
        repair: What the reader can do next.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, where: str = "", repair: str = "") -> None:
        super().__init__(message)
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
    """One finding of compile.

    Attributes:
        code: Which kind of problem it is.
        where: The place in the graph: a node, a way out, a field.
        message: What is wrong, with the values.
        repair: What to do about it.
        warning: Whether the graph can run all the same.
        file: The file of the declaration that it is about; None where nobody knows.
        line: The line there, from 1.
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
        name = (self.file or "").replace("\\", "/").rpartition("/")[2]  # whatever system it is from
        line = f" ({name}:{self.line})" if name else ""
        return f"{kind} {self.code} at {self.where}{line}: {self.message}{tail}"


class CompileError(GraphEngineError):
    """A graph that cannot run; `problems` lists everything that is wrong with it, warnings included."""

    code = "compile_error"

    def __init__(self, graph: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        errors = sum(not p.warning for p in self.problems)
        listing = "\n".join(f"  {p}" for p in self.problems)
        noun = "problem" if errors == 1 else "problems"
        super().__init__(f"graph {graph!r} has {errors} {noun}:\n{listing}", where=f"graph {graph}")

    def __str__(self) -> str:
        return self.message


class DefinitionError(GraphEngineError):
    """A declaration that makes no sense by itself: a bad path, option or condition."""

    code = "bad_definition"


class InputError(GraphEngineError):
    """The state or update given to a run does not validate, or names a field that does not exist."""

    code = "invalid_input"


class GraphNotFound(GraphEngineError):
    """No graph, or more than one, where one was expected."""

    code = "graph_not_found"


class RunExists(GraphEngineError):
    """A run with this id is already recorded."""

    code = "run_exists"


class UnknownRun(GraphEngineError):
    """No run with this id in this store."""

    code = "unknown_run"


class UnknownStep(GraphEngineError):
    """The run has no step with this seq."""

    code = "unknown_step"


class RunNotResumable(GraphEngineError):
    """Nothing is ready at this point of the run, so there is nothing to go on with."""

    code = "nothing_ready"


class RunIsDriven(GraphEngineError):
    """Another live process drives this run.

    Args:
        run_id: The run.
        owner: Who drives it, as host, process and lease id.
        expires_at: When that lease ends unless it is renewed, in epoch seconds; infinite for a driver in this process.
    """

    code = "run_is_driven"

    def __init__(self, run_id: str, owner: str, expires_at: float) -> None:
        self.run_id, self.owner, self.expires_at = run_id, owner, expires_at
        super().__init__(
            f"run {run_id} is driven by {owner}{_lease(expires_at)}",
            where=f"run {run_id}",
            repair=f"wait until that process is done, stop it, or follow it: graphengine watch {run_id}",
        )


def _lease(expires_at: float) -> str:
    try:
        ends = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # never, or beyond what a calendar has
        return ""
    return f", whose lease ends at {ends} unless it is renewed"


class GraphChanged(GraphEngineError):
    """The graph was changed since the run was recorded, and the run no longer fits it."""

    code = "graph_changed"


class MigrationFailed(GraphChanged):
    """A migration of the graph raised, or gave what is no state of today's graph; the run is as it was."""

    code = "migration_failed"


class SecretKeyWrong(GraphEngineError):
    """A recorded secret cannot be read with the key that the graph was given."""

    code = "secret_key"


class RunnerClosed(GraphEngineError):
    """The Runner was closed, or is used in a process it was not made in."""

    code = "runner_closed"


class StoreError(GraphEngineError):
    """The store cannot do what was asked; nothing that was recorded is lost."""

    code = "store_error"


class StoreMissing(StoreError):
    """There is no database where one was to be read."""

    code = "store_missing"


class StoreNotSupported(StoreError):
    """Runs cannot be kept where they were to be, as at the address of a database server."""

    code = "store_not_supported"


class StoreNotADatabase(StoreError):
    """The file exists but is not a database of graphengine."""

    code = "store_not_a_database"


class StoreAltered(StoreError):
    """The database defines something that graphengine did not: a trigger, a view, another form of a table."""

    code = "store_altered"


class StoreReadOnly(StoreError):
    """The database or its folder cannot be written."""

    code = "store_read_only"


class StoreLocked(StoreError):
    """Another program held the database's lock for longer than the time to wait."""

    code = "store_locked"


class StoreFull(StoreError):
    """The disk or its quota is full."""

    code = "store_full"


class StoreMoved(StoreError):
    """The database's file or its log was moved, deleted or replaced while it was open; nothing is written any more."""

    code = "store_moved"


class StoreCorrupt(StoreError):
    """A stored row cannot be read."""

    code = "store_corrupt"


class StoreTooNew(StoreError):
    """The database was written by a newer version of graphengine."""

    code = "store_too_new"


class LeaseLost(StoreError):
    """Another process took this run over; what this one had not recorded is dropped."""

    code = "lease_lost"


class NodeError(GraphEngineError):
    """A node's work failed for a reason the engine names; recorded as the failure's kind.

    `retryable` is false where running the node again cannot help.
    """

    code = "node_error"
    retryable: ClassVar[bool] = True


class InvalidUpdate(NodeError):
    """What the node returned does not validate against the state."""

    code = "invalid_update"


class NotRecordable(NodeError):
    """A value that the record would give back differently from what the node returned."""

    code = "not_recordable"


class TooLarge(NodeError):
    """What a node writes, records or sends is larger than is allowed, or makes the state so."""

    code = "too_large"
    retryable = False


class MissingInput(NodeError):
    """A parameter that does not allow None would have got None."""

    code = "missing_input"
    retryable = False


class MutatedInput(NodeError):
    """The node changed in place what it was given."""

    code = "mutated_input"
    retryable = False


class NodeTimeout(NodeError, TimeoutError):
    """The node ran longer than its `timeout_seconds`."""

    code = "timeout"


class CrashLoop(NodeError):
    """The process died three times in a row while this node was running."""

    code = "crash_loop"
    retryable = False


class ResourceFailed(NodeError):
    """A resource that the graph declares could not be built."""

    code = "resource_failed"
    retryable = False


class NoChoice(NodeError):
    """`choose` met a value that it has no runnable for."""

    code = "no_choice"
    retryable = False


class NoWayOut(NodeError):
    """No way out of the node holds, and it has no otherwise."""

    code = "no_way_out"
    retryable = False


class ConditionFailed(NodeError):
    """A condition raised while it was evaluated."""

    code = "condition_failed"
    retryable = False


class FailReached(NodeError):
    """A graph inside another one was led to FAIL; its node fails with the label."""

    code = "fail"


class InvalidInputs(NodeError):
    """What a graph inside another one was given does not fit its state."""

    code = "invalid_input"
    retryable = False


class SubgraphLimit(NodeError):
    """A graph inside another one reached a limit of its own."""

    code = "limit"
    retryable = False


class WaitTimeout(NodeError, TimeoutError):
    """A wait ended without an answer or message, and it has no default."""

    code = "wait_timeout"


class NotAwaited(NodeError):
    """The node did not await what it asked its context for, or what it returned."""

    code = "not_awaited"
    retryable = False


class WorkNotRepeatable(NodeError):
    """A person decided that an attempt which a crash ended is not to be run again."""

    code = "not_rerun"
    retryable = False


_COMES_AGAIN: Final = "graphengine_comes_again"


def mark_repeating(error: BaseException) -> None:
    """Note that the same input brings the same error: no retry helps, whatever its class says."""
    setattr(error, _COMES_AGAIN, True)


def is_repeating(error: BaseException) -> bool:
    """Whether an error was marked by `mark_repeating`."""
    return getattr(error, _COMES_AGAIN, False) is True


class ModelError(NodeError):
    """A model's call failed for a reason that its provider named. Trying again helps only where a subclass says so.

    Args:
        message, where, repair: As for every error.
        retry_after_seconds: For how long the provider asks to be left alone; no attempt is made before that.

    Attributes:
        usage: What the failed call used as far as its provider reported it, by the names that steps record; {} for
            nothing, None where that is not known.
    """

    code = "model_error"
    retryable = False
    usage: Mapping[str, float | None] | None = None

    def __init__(
        self, message: str, *, where: str = "", repair: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, where=where, repair=repair)
        self.retry_after_seconds = retry_after_seconds


class ModelTransient(ModelError):
    """A model's call failed in a way that passes: what an agent's node tries again unless it is told otherwise."""

    code = "model_transient"
    retryable = True


class RateLimited(ModelTransient):
    """The provider takes no more calls for a moment."""

    code = "rate_limited"


class ModelOverloaded(ModelTransient):
    """The provider is overloaded, or has an error of its own."""

    code = "model_overloaded"


class ModelUnreachable(ModelTransient):
    """The provider's server cannot be reached, or the connection broke."""

    code = "model_unreachable"


class ModelTimeout(ModelTransient, TimeoutError):
    """The provider did not answer in time."""

    code = "model_timeout"


class AnswerTorn(ModelTransient):
    """The answer came to an end before it was whole, or cannot be read at all."""

    code = "answer_torn"


class ModelNotReady(ModelError):
    """A model cannot be asked until somebody mends a key, an account, a name, an address or a limit.

    What was asked for is not at fault, and another piece of work would meet the same; so patterns that survive the
    failure of a part fail with this one, and a resume goes on where it was.
    """

    code = "model_not_ready"


class QuotaExceeded(ModelNotReady):
    """The account has nothing left to spend."""

    code = "quota_exceeded"


class NotAuthenticated(ModelNotReady):
    """The provider does not accept the API key, or not for this."""

    code = "not_authenticated"


class BadRequest(ModelError):
    """The provider does not accept the request."""

    code = "bad_request"


class UnknownModel(ModelNotReady):
    """The provider has no model of this name."""

    code = "unknown_model"


class NoModelServer(ModelNotReady):
    """Something else than a model's API answers at this address."""

    code = "no_model_server"


class ContextFull(ModelError):
    """The question is larger than the model's context window."""

    code = "context_full"


class AnswerRefused(ModelError):
    """The model, or its provider, refused to answer."""

    code = "answer_refused"


class AnswerCut(ModelError):
    """The answer was cut off at the most tokens that were allowed."""

    code = "answer_cut"


class PriceUnknown(ModelNotReady):
    """A limit on costs is in force, and the price of the model is not known."""

    code = "price_unknown"


class TooManyTurns(ModelError):
    """The model went on calling tools for more turns than are allowed."""

    code = "too_many_turns"


class GuardFailed(ModelError):
    """A guard of the agent's did not let its question, or its answer, pass."""

    code = "guard_failed"


class ModelUnavailable(ModelNotReady):
    """The agent's model cannot be had here: no API key, no SDK, no such provider."""

    code = "model_unavailable"


class BadAnswer(NodeError):
    """A model's answer does not fit the agent's output type or check."""

    code = "bad_answer"
