"""The protocol between the runner and a store of runs.

A store keeps, for each run, one row of facts (`RunInfo`) and a dense append-only log of steps. It does not interpret
the steps; that is the engine's part. `graphengine.kernel.testing` tests any store against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypedDict, cast

import msgspec
from msgspec import Struct

from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import Step
from graphengine.errors import InputError, RunReplaced
from graphengine.state.searched import are_fields, compares, texts_meant, whole_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Coroutine
    from concurrent.futures import Executor
    from contextlib import AbstractAsyncContextManager

    from graphengine.state.json_values import JsonValue

Status: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed", "cancelled", "queued", "interrupted"]
"""A run's status. Stores record all but the last two, which are how a Runner shows a `running` run without a driver."""

StopMark: TypeAlias = Literal["", "stop", "cancel"]
"""Which stop of a tree of runs is under way: none, one that a resume takes back, or a final one."""
LeaseDoubt: TypeAlias = Literal["late", "renewed"]
"""Why an owner may no longer drive its runs: its lease could not be renewed, or was, but perhaps too late."""
Code: TypeAlias = Mapping[str, Any]
"""What is recorded about the code of a graph's nodes, such as digests of its functions."""
Sort: TypeAlias = Literal["begun", "cost", "took", "status"]

PAGE_LIMIT: Final = 50
MIN_ROWS: Final = 256  # steps between two snapshots of a run, at least
DEFAULT_QUEUE: Final = "default"
LARGEST_PRIORITY: Final = 1_000_000
"""What a queue sorts by is at most this, or minus this."""


class Summary(Struct, frozen=True, gc=False):
    """What a list shows of a run, as of the last change of its status.

    Attributes:
        reason: What it waits for, or why it ended: the label of the edge to the end, or how the run stopped or failed,
            on one line; "" while it runs.
        kind: The kind of its first wait (`ask`, `receive`, `sleep`, `pause`, `crash`), or of its end (`end`, `failed`,
            `limit`, `asked`); "" while it runs. In lists that read what is posted: `answered` if all its waits are
            answered, and nothing has taken that up.
        waits: How many things it waits for; in such lists, without those that are answered.
        cost_usd: What models cost so far in its own steps, US dollars, without what a branch shares with its parent;
            None if the price of any call is not known.
        tokens: The tokens of all calls of models in its own steps.
        visits: Completed node visits.
        seconds: Driven time.
        losses: What was lost on the way, by the names of `graphengine.state.amounts.LOSSES`.
        agents: What recorded answers cost in its own steps, US dollars, by the name of the agent that asked; None if
            the price of one is not known, 0 if all its calls failed. The first 64 agents count.
        fields: The fields of its input and result that its graph declares with `search=`, as texts by name.
    """

    reason: str = ""
    kind: str = ""
    waits: int = 0
    cost_usd: float | None = 0.0
    tokens: int = 0
    visits: int = 0
    seconds: float = 0.0
    losses: dict[str, int] = {}
    agents: dict[str, float | None] = {}
    fields: dict[str, str] = {}

    @staticmethod
    def can_have(fields: Mapping[str, str]) -> bool:
        """Return whether a run can have these fields."""
        return are_fields(fields)

    @staticmethod
    def value_is(value: JsonValue, sign: str, typed: str, *, is_decimal: bool = False) -> bool:
        """Return whether a value compares so with what somebody types, as if it were a field.

        Args:
            value: The value as it is recorded.
            sign: How the value is compared: `=`, `!=`, `<`, `<=`, `>` or `>=`.
            typed: The text that somebody types.
            is_decimal: Whether the value is a `Decimal`, which is recorded as a text.
        """
        return compares(whole_text(value, is_decimal=is_decimal), sign, typed, is_whole=True)

    @staticmethod
    def texts_meant(typed: str) -> list[str]:
        """Return the texts of the values that are equal to what somebody types: `7.0` also means the number 7."""
        return texts_meant(typed)

    def field_is(self, name: str, sign: str, typed: str) -> bool:
        """Return whether a field compares so with what somebody types; False if the field is not known.

        Example:
            >>> Summary(fields={"input.amount": "12"}).field_is("input.amount", "<", "9.5")
            False
        """
        return name in self.fields and compares(self.fields[name], sign, typed)


class _KeptSummary(Summary, frozen=True, gc=False, omit_defaults=True):
    """A summary as stores keep it: most of its fields have their defaults in most runs."""


def summary_text(summary: Summary) -> str:
    """Return a summary as stores keep it: JSON."""
    return msgspec.json.encode(_KeptSummary(*msgspec.structs.astuple(summary))).decode()


class RunInfo(Struct, frozen=True, gc=False):
    """The facts about a run that a store has without reading its log.

    Attributes:
        id: The run's id, unique in the store.
        graph: The name of its graph.
        fingerprint: The digest of the graph's spec when the run was started or last resumed.
        status: As of the last step. From a Runner, a running run that no process has driven yet is `queued`, and one
            that no process drives any more `interrupted`.
        seq: The seq of the last step.
        created_at: Epoch seconds.
        updated_at: Time of the last step, epoch seconds.
        parent: The run it was branched from, or None.
        parent_seq: The last step that it shares with the parent; its own steps begin at `parent_seq + 1`. 0 if none.
        driver: The id of the live owner that drives it, as far as the store knows, or None.
        held: Whether an owner claimed the run and has not released it: its driver is at work, or died.
        due_at: While it waits: when its first timer is due, epoch seconds; None if it waits for no timer.
        tags: Its tags, sorted.
        queue: The queue from which workers take it.
        priority: The higher, the sooner it is taken from its queue.
        tenant: For whom it runs: the tenants of a queue take turns. None for no tenant.
        queued: Whether no process has driven it yet.
        summary: Why it ended or what it waits for, and its costs; None before the first change of its status.
        title: What its graph calls it, else the first line of the first text of its input.
        user: Who started it; None if no user did. A child run has the user of the run that started it.
        starter: The run whose node started it; None if no node did.
        root: The run at the top of its tree of child runs, with which it is stopped; None if that is itself.
        depth: How many runs are above it, each started by a node of the one before.
        began_with: The fingerprint of the graph with which it began or branched off.
        deploy: The label of the deploy that began it; "" for none.
        stop_asked: Whether a stop of the run and of all below it is under way, and whether that is final: until the run
            is resumed, no run in its tree starts another one or is taken from a queue.
        ended_at: When it ended, epoch seconds; None while it has not.
        code: The id of the code of its graph's nodes when it was started or last resumed; "" if that is not known.
        nonce: Drawn at its start, since another run can have its id later. "" for runs of earlier versions.
        starter_nonce: The nonce of the run that started it.
        root_nonce: The nonce of the run at the top of its tree.
    """

    id: str
    graph: str
    fingerprint: str
    status: Status
    seq: int
    created_at: float
    updated_at: float
    parent: str | None = None
    parent_seq: int = 0
    driver: str | None = None
    held: bool = False
    due_at: float | None = None
    tags: tuple[str, ...] = ()
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    tenant: str | None = None
    queued: bool = False
    summary: Summary | None = None
    title: str = ""
    user: str | None = None
    starter: str | None = None
    root: str | None = None
    depth: int = 0
    began_with: str = ""
    deploy: str = ""
    stop_asked: StopMark = ""
    ended_at: float | None = None
    code: str = ""
    nonce: str = ""
    starter_nonce: str = ""
    root_nonce: str = ""

    @property
    def identity(self) -> str:
        """The id and the nonce of the run, with a blank between them: a later run with the id has another identity."""
        return f"{self.id} {self.nonce}" if self.nonce else self.id

    @property
    def cursor(self) -> str:
        """What a watcher that has seen its last step goes on from: no later run with its id takes it for its own."""
        return self.cursor_at(self.seq)

    def cursor_at(self, seq: int) -> str:
        """Return what a watcher that has seen the steps up to this seq goes on from."""
        return cursor_of(seq, self.nonce)

    def seq_in(self, cursor: int | str) -> int:
        """Return the seq in a cursor; a seq alone counts for this run.

        Raises:
            RunReplaced: The cursor is of another run, which had this run's id before.
            InputError: It is no cursor.
        """
        if isinstance(cursor, int):
            return cursor
        seq, _, nonce = cursor.partition(".")
        if not (seq.isascii() and seq.isdecimal() and len(seq) < len(str(1 << 32))):
            repair = "give the seq of a step, or the cursor of a run or an event"
            raise InputError(f"{cursor!r} is not a cursor", where=f"run {self.id}", repair=repair)
        self.check_nonce(nonce, f"the cursor {cursor}")
        return int(seq)

    def check_nonce(self, nonce: str, what: str) -> None:
        """Check that something was given out by this run, and not by an earlier run with its id.

        Args:
            nonce: The nonce of the run that gave it out; "" if that is not known, so that it counts for this run.
            what: What it is, for the error.

        Raises:
            RunReplaced: An earlier run with this id gave it out.
        """
        if nonce not in ("", self.nonce):
            text = f"{what} is of an earlier run {self.id}, which was removed since"
            raise RunReplaced(
                text, where=f"run {self.id}", repair="read from the beginning: another run has this id now"
            )


class EndedRun(Struct, frozen=True, gc=False):
    """What a prune needs of a run that has ended.

    Attributes:
        size: The approximate bytes of its own steps, snapshots and messages. The data of its parents, and the data that
            a store keeps once for several runs, are not counted.
        branched: Whether it has branches.
        starter_nonce: The nonce of the run that started it.
        nonce: The nonce of the run. A later run with the same id has another nonce, and is not removed.
        driver: The same as in `RunInfo`, as are all attributes that are not named here.
    """

    id: str
    graph: str
    status: Status
    seq: int
    created_at: float
    updated_at: float
    parent: str | None
    parent_seq: int
    starter: str | None
    depth: int
    size: int
    branched: bool
    tags: tuple[str, ...] = ()
    driver: str | None = None
    starter_nonce: str = ""
    nonce: str = ""


def cursor_of(seq: int, nonce: str) -> str:
    """Return a place in a run's log that no other run with its id has later.

    >>> cursor_of(7, "k3x9ab"), cursor_of(7, "")
    ('7.k3x9ab', '7')
    """
    return f"{seq}.{nonce}" if nonce else str(seq)


def status_of(info: RunInfo) -> Status:
    """Return a run's status as shown: a running one without a driver is queued, if it never had one, or interrupted."""
    if info.status == "running" and info.driver is None:
        return "queued" if info.queued else "interrupted"
    return info.status


class Post(NamedTuple):
    """A message for the inbox of a run, as `RunStore.post` takes it.

    Attributes:
        run_id: The run.
        kind: As `InboxMessage` has it.
        payload: What it says.
        key: A key that is posted again has no effect.
        nonce: The nonce of the run; None for whatever run has the id.
    """

    run_id: str
    kind: str
    payload: JsonValue
    key: str
    nonce: str | None = None


class StopOver(NamedTuple):
    """A stop that holds for a run: the run that is marked, itself or one above it in its tree, and the mark."""

    run_id: str
    mark: StopMark


class Append(Struct):
    """Steps to add to one run, atomically.

    Attributes:
        run_id: The run.
        fence: The number that `create` or `claim` returned; the store rejects any other than the run's current one.
        steps: In order; the first one directly follows the run's last step.
        status: The run's status after them. Any status but `running` also releases the run.
        consume: Ids of messages in the run's inbox, any number of them, that are delivered with these steps: they
            leave the inbox in the same transaction. Ids that are not in it are ignored.
        snapshot: Called by the store during `append`, if its policy asks for a snapshot; returns the JSON of the run's
            snapshot after these steps.
        fingerprint: The graph's new fingerprint, if a resume changed it.
        graph_spec: The graph spec to keep under the new fingerprint, as for `create`.
        code: The id of the code of the nodes, if a resume changed it.
        code_body: The code to keep under this id, as for `create`.
        due_at: With the status `waiting`: when the run's first timer is due, epoch seconds; None if there is none.
            With any other status it is ignored, and the run has no `due_at` afterwards.
        summary: The run's new summary; None: unchanged.
        posts: Messages to other runs, posted in the same transaction; without effect if such a run does not exist.
    """

    run_id: str
    fence: int
    steps: Sequence[Step]
    status: Status
    consume: Sequence[int] = ()
    snapshot: Callable[[], bytes] | None = None
    fingerprint: str | None = None
    graph_spec: GraphSpec | None = None
    code: str | None = None
    code_body: Code | None = None
    due_at: float | None = None
    summary: Summary | None = None
    posts: Sequence[Post] = ()


class Transaction(Protocol):
    """A transaction of the store's database in which a function works, and which ends with the record of its result.

    Attributes:
        threads: The threads for `call`.
    """

    @property
    def threads(self) -> Executor:
        """The threads for `call`: never more transactions than threads."""
        ...

    def call(self, function: Callable[[Any], object], kind: type[object]) -> object:
        """Begin, call a function with a connection or session of this class, and return its result; in a thread.

        Raises:
            TransactionRefused: It ended the transaction, or cannot be handed this class.
            TransactionUndone: The database undid the transaction, or the connection is lost.
            StoreError: The database cannot be reached. Also raises what the function raises.
        """
        ...

    async def commit(self, batch: Append) -> None:
        """Append to the run, as the last statement, and commit. If this returns, both are durable.

        Raises:
            TransactionUndone: It was undone: nothing of it is there, and nothing can come.
            TransactionRefused: The function had ended the transaction.
            LeaseLost: As `RunStore.append`. StoreError: It is not known whether it was committed.
        """
        ...

    def cancel(self) -> None:
        """Cancel the statement that the function waits for."""
        ...


class Transactional(Protocol):
    """A store in whose database functions can work beside their run."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Return a block with a transaction, which is undone at its end if it was not committed."""
        ...


def transactional(store: object) -> Transactional | None:
    """Return a store as one in whose database functions can work; None if it has no transactions for them."""
    return cast("Transactional", store) if hasattr(store, "transaction") else None


class Loaded(NamedTuple):
    """The parts of a run that must be read.

    Attributes:
        info: Its row.
        snapshot: The record of a snapshot; None to fold from the first step.
        steps: The steps after it.
    """

    info: RunInfo
    snapshot: bytes | None
    steps: Sequence[Step]


class InboxMessage(NamedTuple):
    """One message in a run's inbox.

    Attributes:
        id: Its number, in the order of arrival.
        run_id: The run.
        kind: `answer`, `message` or `stop`.
        payload: What it says, in JSON values; its shape depends on the kind.
    """

    id: int
    run_id: str
    kind: str
    payload: Any


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    """What a worker takes from the queues.

    Attributes:
        now: The time, epoch seconds.
        limit: At most how many runs.
        graphs: Only runs of these graphs; None for all.
        queues: Only runs of these queues; None for all.
        aside: Not these runs.
        kept: Runs that the caller need not have loaded.
        refused: Those in `aside` that could not be resumed. If their process died, they take no place in their queue.
        paused_tenants: No runs of these tenants.
    """

    now: float
    limit: int
    graphs: Sequence[str] | None = None
    queues: Sequence[str] | None = None
    aside: Collection[str] = ()
    kept: Collection[str] = ()
    refused: Collection[str] = ()
    paused_tenants: Collection[str] = ()


class ClaimedRun(NamedTuple):
    """A run that a worker takes.

    Attributes:
        info: The run as it was found.
        fence: Its fence; None for the run of a dead owner, which is still to be claimed: whether its process died
            decides how it is resumed.
        loaded: What `load` returns; None if that is still to be read.
        inbox: What `inbox` returns.
    """

    info: RunInfo
    fence: int | None
    loaded: Loaded | None = None
    inbox: Sequence[InboxMessage] = ()


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much of a queue is driven at the same time, and begins in a time, over all workers.

    Attributes:
        concurrency: How many of its runs may be driven at the same time.
        rate: How many of its runs may begin in any span of how many seconds, as (count, seconds).
        tenant_concurrency: The same as `concurrency` for the runs of each tenant.
        tenant_rate: The same as `rate` for the runs of each tenant.
        paused: Whether workers take none of its runs, not even those whose process died.
    """

    concurrency: int | None = None
    rate: tuple[int, float] | None = None
    tenant_concurrency: int | None = None
    tenant_rate: tuple[int, float] | None = None
    paused: bool = False


class QueueCount(NamedTuple):
    """How many runs of a queue have never been driven, and how many are driven now."""

    queue: str
    queued: int
    driven: int


@dataclass(frozen=True, slots=True)
class OwnerInfo:
    """A process that is alive and can drive runs.

    Attributes:
        id: Its owner, as `RunInfo.driver` has it.
        host: Its host.
        pid: Its number there.
        role: What it takes as a worker: a JSON object; None if it is not a worker.
        runs: The runs that it drives, at most a hundred.
        driven: How many runs it drives.
    """

    id: str
    host: str
    pid: int
    role: Mapping[str, Any] | None
    runs: Sequence[str]
    driven: int


class StoredSchedule(NamedTuple):
    """A schedule: its name, its facts as JSON, and its next time, epoch seconds."""

    name: str
    body: Mapping[str, Any]
    next_at: float


class Count(NamedTuple):
    """How many runs of a graph have a status, of those that began in the interval from `since`, epoch seconds."""

    graph: str
    status: Status
    since: float
    runs: int


class Page(TypedDict, total=False):
    """The words of `Store.runs`, for stores."""

    limit: int
    status: Status | None
    graph: str | None
    tag: str | None
    before: str | None
    text: str | None
    begun_after: float | None
    begun_before: float | None
    tenant: str | None
    user: str | None
    starter: str | None
    fields: Mapping[str, Sequence[str]] | None
    sort: Sort | None
    ascending: bool


def check_page(page: Page) -> None:
    """Check the words of a page, which Python does not: a misspelt one would select all runs.

    Raises:
        TypeError: There is no such word.
    """
    for name in page.keys() - Page.__annotations__.keys():
        message = f"runs() got an unexpected keyword argument {name!r}"
        raise TypeError(message)


class RunStore(Protocol):
    """What a run needs of a store: its log, its driver, its inbox. One instance belongs to one event loop.

    - Durability: when an awaited write returns, the write survives the death of the process.
    - Atomicity: a write happens completely or not at all.
    - Order: writes to one run take effect in the order of the calls.
    - Failure: if the medium fails, every method raises `StoreError` or a subclass, and nothing of that call was
      written.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes can use the same runs, so that the inbox must be polled."""
        ...

    async def open(self) -> None:
        """Open the store: create missing files, migrate old formats, register this owner and take its lease.

        Idempotent, and cheap when already open. Raises: StoreNotADatabase, StoreTooNew, StoreReadOnly, StoreLocked.
        """
        ...

    async def close(self) -> None:
        """Finish pending writes, release all runs and the lease, and free all resources. Idempotent."""
        ...

    async def create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None = None
    ) -> int:
        """Record a new run with its first steps, driven by this owner. Return its fence.

        For a run with a parent the log before `parent_seq + 1` is the parent's; nothing is copied but the keys of
        messages that begin with "message " and had been consumed by then: posted to the branch, they have no effect.
        `graph_spec` describes the graph and is kept once per `info.fingerprint`. `code_body` is kept in the same way
        per `info.code`; None keeps nothing for it. A run created as `waiting` keeps `info.due_at`; every run keeps
        `info.tags`, `queue`, `priority`, `tenant`, `summary`, and what `stores.summaries.begun_as` has; `began_with` is
        `fingerprint` if it is "".

        With `info.queued` it has no driver, and the fence is 0: it is due since `info.created_at`.

        In the same transaction, a run with a starter is refused if `stop_over` of that starter returns a stop.

        Raises: RunExists; UnknownRun (the parent); UnknownStep (the parent has no such seq); TreeStopped.
        """
        ...

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Set or remove the mark of a run, `stop_asked`. Any process may call it; a final mark stays.

        Once it returns, no run is created below a marked one in its tree; all that were before are in `started`.
        Without effect if there is no such run.
        """
        ...

    async def stop_over(self, run_id: str) -> StopOver | None:
        """Return a stop that holds for this run, a final one first: a mark of itself, or of a run above it in its tree.

        The tree ends with a run that has no `root`: one that no node started, or one that stays when others stop. A
        later run with the id of one above it, and another nonce, does not belong to it.
        """
        ...

    async def started(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the runs that nodes of these runs started and that belong to their trees, whatever their status.

        They have the nonce of such a run as `starter_nonce`: those that an earlier run with its id started are not
        among them, unless there is no run with the id.
        """
        ...

    async def claim(self, run_id: str) -> int:
        """Become the run's driver, also in place of a dead owner. Return the new, higher fence.

        Raises: UnknownRun; RunIsDriven (a live owner drives it, this one included).
        """
        ...

    async def former_lease(self, run_id: str) -> float | None:
        """Return for how many seconds another owner, which has the run and is not known to be dead, may still act.

        That is until its lease ends, 0 if it has ended. None if no other owner has the run, or its death is proved: a
        lease that ended, or a connection that broke, is no proof, since its process may be suspended or cut off.

        Raises: UnknownRun.
        """
        ...

    def on_doubt(self, doubted: Callable[[LeaseDoubt], Coroutine[Any, Any, None]]) -> None:
        """Call a function, on the event loop, each time when this owner may no longer drive its runs.

        It gets `late` a little before the lease ends, if that could not be renewed: what acts must end until then. It
        gets `renewed` when the lease was renewed, and another owner may have claimed runs before.
        """
        ...

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver without writing a step. A stale fence is ignored."""
        ...

    def append(self, batch: Append) -> Awaitable[None] | None:
        """Add steps. Return None if they are durable already, else an awaitable that returns when they are.

        The call itself encodes and queues the steps, so that later changes by the caller have no effect.
        Raises (here or from the awaitable): LeaseLost for a stale fence, StoreError.
        """
        ...

    async def info(self, run_id: str) -> RunInfo:
        """Return the facts about a run. Raises: UnknownRun."""
        ...

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the facts about each of these runs in any order, as `info` does; unknown ids are left out."""
        ...

    async def moved(self, seqs: Mapping[str, int]) -> Sequence[str]:
        """Return those of these runs whose last step has another seq, and those that are not recorded.

        One query for all of them: a Runner asks it for all its sleeping runs, after other writes.
        """
        ...

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Return the newest snapshot at or before `upto` (None: the end) and the steps after it up to `upto`.

        For a branch, read the parents too. Raises: UnknownRun, UnknownStep, StoreCorrupt.
        """
        ...

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return the steps with `after < seq <= upto` in order, the parents' included.

        Raises: UnknownRun, StoreCorrupt.
        """
        ...

    async def graph_spec(self, fingerprint: str) -> GraphSpec | None:
        """Return the graph spec recorded under this fingerprint, or None."""
        ...

    async def code(self, code: str) -> Code | None:
        """Return what is recorded about the code of a graph's nodes under this id, or None.

        It is kept for as long as a run has the id in `RunInfo.code`, or had it before it was resumed under other code.
        """
        ...

    async def post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str = "", nonce: str | None = None
    ) -> bool:
        """Put a message into the run's inbox. Return whether it is new.

        Any process may call it, without a fence, whatever the run's status and driver. Keys are kept as long as the
        run: posting a key again has no effect, even if its message was consumed. With `alone`, which ends with a
        character of ASCII, it has no effect either if a key was posted that begins with this. With `nonce`, a run of
        another nonce counts as unknown.

        Raises: UnknownRun.
        """
        ...

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return the undelivered messages of these runs, of every kind, oldest first."""
        ...

    async def message_keys(self, run_id: str, newest: int | None = None) -> Mapping[str, int]:
        """Return the keys under which messages were ever posted to a run, oldest first; of these, the newest so many.

        Each has the id of its message while that is undelivered, 0 afterwards. None for a run that is not known.
        """
        ...

    async def notifications(self, after: int) -> int:
        """Return once more than `after` announcements were received since the store was opened; return how many.

        Other processes announce what can need attention here: a message to a run that waits or is driven here, a run
        that was released, an owner that died. It is a hint to poll earlier: announcements can be lost or mean nothing,
        and a store that receives none never returns. Begin with 0; one that counts them returns at once for -1.
        """
        ...


class QueueStore(Protocol):
    """What workers need of a store: queues with their limits, schedules, and who takes from them."""

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Become the driver of due runs that no process drives, and return them; of several callers one gets a run.

        In each queue, the higher `priority` comes first, then runs that have been driven before, longest due first,
        then queued runs, whose tenants take turns. Queues take turns. The limits of the queues hold over all owners.
        Runs of dead owners that are due come first, and are returned without being claimed; limits do not hold them
        back, and count them as driven, unless they are of other graphs or `refused`.

        Its cost does not depend on how many runs are queued or have ended; with limits for tenants it depends on
        the number of tenants that have queued runs.
        """
        ...

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set the limits of a queue, or remove them."""
        ...

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits by queue."""
        ...

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs each queue has that are queued or driven, by name; only numbers above 0."""
        ...

    async def keep_schedule(self, schedule: StoredSchedule) -> None:
        """Add a schedule, or replace the one of its name."""
        ...

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule. Return whether there was one."""
        ...

    async def schedules(self) -> Sequence[StoredSchedule]:
        """Return all schedules by name."""
        ...

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the next time of a schedule, if it still is the one that was seen."""
        ...

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this owner is a worker, and what it takes."""
        ...

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return the owners that are alive, in any order."""
        ...


class Store(RunStore, QueueStore, Protocol):
    """A store of runs: what runs and workers need, lists of runs, and their removal. It belongs to one Runner."""

    async def change_token(self) -> str:
        """Return a text that differs from the last one if a process, this one included, has written since then.

        It can also differ without a write. It is cheap enough to be called fifty times a second. What no process
        writes does not change it: the death of a driver, and a lease that ends.
        """
        ...

    async def counts(
        self,
        *,
        tag: str | None = None,
        text: str | None = None,
        every_seconds: float | None = None,
        tenant: str | None = None,
    ) -> Sequence[Count]:
        """Return how many runs there are by graph and status, in any order; only numbers above 0.

        With `every_seconds` also by when they began: `since` is then a multiple of it, otherwise 0. `tag`, `text` and
        `tenant` select runs as for `runs`. A run whose driver died counts as `running`.
        """
        ...

    async def ids(self, prefix: str, *, limit: int = 50) -> Sequence[str]:
        """Return the ids of runs that begin with this text, sorted, at most `limit`.

        Its cost does not depend on the number of runs.
        """
        ...

    async def runs(  # noqa: PLR0913 - each selects runs
        self,
        *,
        limit: int = PAGE_LIMIT,
        status: Status | None = None,
        graph: str | None = None,
        tag: str | None = None,
        before: str | None = None,
        text: str | None = None,
        begun_after: float | None = None,
        begun_before: float | None = None,
        tenant: str | None = None,
        user: str | None = None,
        starter: str | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
        sort: Sort | None = None,
        ascending: bool = False,
    ) -> Sequence[RunInfo]:
        """Return a page of the list of runs, newest first by `created_at` then id.

        Args:
            limit: At most how many.
            status: Only those with this status.
            graph: Only those of this graph.
            tag: Only those with this tag.
            before: The id of the last one seen, for paging.
            text: Only those that are found by each of its words, in any order and case; see `stores.words`. They are
                found by the beginnings of the words of their ids, graphs, tags and first inputs, and of what they wait
                for or why they ended.
            begun_after: Only those that began at this time or later, epoch seconds.
            begun_before: Only those that began before this time.
            tenant: Only those that run for this tenant.
            user: Only those that this user started.
            starter: Only those that nodes of this run started, as for `started`.
            fields: Only those whose `summary.fields` have, for each of these names, one of these values.
            sort: By what they are sorted, the greatest first and equal ones newest first: what their own steps cost,
                the seconds from begin to end, the name of the status. Costs that are not known, and runs that have not
                ended, count as less than 0. Any but `begun`, and `ascending`, read every run that matches.
            ascending: Return the same order from its other end.

        Raises:
            UnknownRun: There is no run `before`.
        """
        ...

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags and return them, sorted. Any process may call it, whatever the run's status and driver.

        A tag in both `add` and `remove` is added. Raises: UnknownRun.
        """
        ...

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the direct branches of these runs, not the branches of those; unknown ids are ignored."""
        ...

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """Return the runs that are due to be resumed, at most `limit`.

        First come those that are `running` and whose owner died, since their work was interrupted; then the others,
        those that have been due for longest first.

        With `graphs`, only runs of graphs with these names are returned, and others do not count towards `limit`.

        A run is due if it is

        - `waiting`, from its `due_at` on, once that is `now` or earlier;
        - `waiting` with a message of any kind but `stop` in its inbox, from the time the oldest was posted;
        - `running` without a live driver, from the time it was released or its owner died.

        The times of messages and releases are those of the store's own clock; the time of an owner's death can be
        approximate. A run that is due for two reasons counts from the earlier time and is returned once. A run that a
        live owner drives, this one included, is never due. The call changes nothing and reserves nothing: two callers
        find the same runs, and `claim` decides. It is cheap enough to be called every second: its cost does not
        depend on the number of ended runs or the length of the logs.
        """
        ...

    async def ended(
        self, status: Status, *, graph: str | None = None, after: EndedRun | None = None, limit: int = PAGE_LIMIT
    ) -> Sequence[EndedRun]:
        """Return what a prune needs of runs with a status that ends them, newest first by `created_at` then id.

        Args:
            status: Neither `running` nor `waiting`.
            graph: Only runs of this graph.
            after: The last one seen, for paging; it can be removed.
            limit: At most how many.
        """
        ...

    async def remove(self, runs: Sequence[RunInfo | EndedRun]) -> Mapping[str, str]:
        """Remove runs from the store, in the given order. Return those that are kept, each with the reason.

        A run is removed if at that moment its nonce, status, `seq` and tags are those passed here, it is neither
        `running` nor `waiting`, no live owner holds it, and no run in the store is a branch of it: pass branches before
        their parents. From then on it cannot be found, and its id can be used again. A run that no longer exists counts
        as kept. The call is atomic.

        The data of a removed run can take up space until `sweep`.
        """
        ...

    async def trim(self, run_id: str, keep: int, limit: int) -> int:
        """Remove what old steps of a run recorded, and return of how many; 0: nothing more is to be removed.

        The steps between the first of the run's own and its newest snapshot before its last `keep` steps become
        `engine.steps.removed`: numbers and times stay, the log is dense as before, and the last of them has that
        snapshot. At most `limit` steps go in one call, which is atomic, the newest first: so each step that is left
        follows those before it, or the snapshot. A run may be driven meanwhile.

        Nothing is removed from a run that has branches, since they read its steps, and from one that was imported with
        the steps of the runs it branched from. Raises: UnknownRun.
        """
        ...

    async def sweep(self) -> None:
        """Free the space of removed runs, also of those that other processes removed, and of unused specs and codes.

        It works in short transactions, so that others can write in between. An interrupted sweep loses nothing: the
        next store that is opened continues it.
        """
        ...

    async def vacuum(self) -> tuple[int, int]:
        """Return free space to the disk. Return how many bytes the store took before, and takes now.

        Others can write meanwhile, unless the store documents an exception.

        Raises: StoreLocked, StoreFull; no run has changed then.
        """
        ...
