"""The protocol between the runner and a store of runs.

A store keeps, for each run, one row of facts (`RunInfo`) and a log to which steps are appended without gaps. The engine
reads the steps; the store does not interpret them. `graphengine.kernel.testing` tests any store against it.
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
"""A run's status. Stores never record the last two: a Runner shows them for a `running` run that no process drives."""

StopMark: TypeAlias = Literal["", "stop", "cancel"]
"""How a tree of runs is being stopped: not at all, until it is resumed (`stop`), or for ever (`cancel`)."""

LeaseDoubt: TypeAlias = Literal["late", "renewed"]
"""Why an owner may have lost its runs: its lease could not be renewed, or was renewed, but perhaps too late."""

Code: TypeAlias = Mapping[str, Any]
"""The recorded description of the code of a graph's nodes, such as digests of its functions."""

Sort: TypeAlias = Literal["begun", "cost", "took", "status"]

PAGE_LIMIT: Final = 50
MIN_ROWS: Final = 256  # the fewest steps between two snapshots of a run
DEFAULT_QUEUE: Final = "default"
LARGEST_PRIORITY: Final = 1_000_000
"""The largest priority of a run in its queue; the smallest is the negative of this number."""


class Summary(Struct, frozen=True, gc=False):
    """A summary of a run, which a list of runs shows without reading the run's log.

    The store updates the summary with each change of the run's status.

    Attributes:
        reason: What the run waits for, or why it ended: the label of the edge to the end, the reason of a stop, or the
            failure. One line of text; "" while the run is running.
        kind: What kind of thing the run waits for first (`ask`, `receive`, `sleep`, `pause`, `crash`), or how it ended
            (`end`, `failed`, `limit`, `asked`); "" while the run is running. `answered` in a list that also reads
            posted messages, if every question of the run has an answer that no worker has picked up yet.
        waits: How many things the run waits for. A list that also reads posted messages does not count answered
            questions.
        cost_usd: The cost of the run's model calls in US dollars, without the steps that a branch shares with its
            parent; None if the price of any call is unknown.
        tokens: The tokens of all model calls in the run's own steps.
        visits: How many node visits are completed.
        seconds: For how many seconds processes have driven the run.
        losses: How often something was lost during the run, such as a result, by the names in
            `graphengine.state.amounts.LOSSES`.
        agents: The cost of the recorded model responses in US dollars, by the name of the agent that asked; None if the
            price of one response is unknown, 0 if all calls of the agent failed. Only the first 64 agents are listed.
        fields: The input and result fields that the graph declares with `search=`, as texts by field name.
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
        """Return whether these searchable fields can belong to a run, so that a search for other fields is refused."""
        return are_fields(fields)

    @staticmethod
    def value_is(value: JsonValue, sign: str, typed: str, *, is_decimal: bool = False) -> bool:
        """Return whether a value passes a comparison that a user typed into a search, such as `>= 9.5`.

        Args:
            value: The value as it is recorded.
            sign: The comparison: `=`, `!=`, `<`, `<=`, `>` or `>=`.
            typed: The text with which the user compares the value.
            is_decimal: Whether the value is a `Decimal`, which is recorded as a text.
        """
        return compares(whole_text(value, is_decimal=is_decimal), sign, typed, is_whole=True)

    @staticmethod
    def texts_meant(typed: str) -> list[str]:
        """Return the texts that a search must look for when a user types a value.

        One value can be stored in several forms. For example, `7.0` also finds the number 7.
        """
        return texts_meant(typed)

    def field_is(self, name: str, sign: str, typed: str) -> bool:
        """Return whether a searchable field passes a comparison that a user typed. False if the run has no such field.

        Example:
            >>> Summary(fields={"input.amount": "12"}).field_is("input.amount", "<", "9.5")
            False
        """
        return name in self.fields and compares(self.fields[name], sign, typed)


class _KeptSummary(Summary, frozen=True, gc=False, omit_defaults=True):
    """A summary without the fields that have their default values, so that the stored JSON is short."""


def summary_text(summary: Summary) -> str:
    """Encode a summary as the JSON text that stores keep."""
    return msgspec.json.encode(_KeptSummary(*msgspec.structs.astuple(summary))).decode()


class RunInfo(Struct, frozen=True, gc=False):
    """The facts about a run, such as its status and its graph, which a store returns without reading the run's log.

    Attributes:
        id: The run's id, unique in the store.
        graph: The name of its graph.
        fingerprint: The digest of the graph's spec when the run was started or last resumed.
        status: The status after the last step. A Runner shows a running run as `queued` if no process has driven the
            run yet, and as `interrupted` if no process drives the run any more.
        seq: The number of the last step.
        created_at: Epoch seconds.
        updated_at: The time of the last step, epoch seconds.
        parent: The id of the run from which this run was branched, or None.
        parent_seq: The last step that a branch shares with its parent; the branch's own steps begin at `parent_seq +
            1`. 0 if the run is not a branch.
        driver: The id of the live process (owner) that drives the run, as far as the store knows, or None.
        held: Whether a process has claimed the run and has not released it. True also if that process has died.
        due_at: When the first timer of a waiting run ends, epoch seconds; None if the run waits for no timer.
        tags: The run's tags, sorted.
        queue: The queue from which workers take it.
        priority: Workers take runs with a higher priority first.
        tenant: The customer for whom the run works; the tenants of a queue take turns. None for no tenant.
        queued: Whether no process has driven it yet.
        summary: What the run waits for or why it ended, and its costs; None before the first change of the status.
        title: The title that the graph gives the run, else the first line of the first text in its input.
        user: The user who started the run; None if no user did. A child run has the user of the run that started it.
        starter: The id of the run whose node started this child run; None if no node did.
        root: The id of the run at the top of the tree of child runs. A stop of that run also stops this run. None if
            this run is the top of its tree.
        depth: How many levels of child runs are above this run; 0 for a run that no node started.
        began_with: The fingerprint of the graph with which the run was started or branched.
        deploy: The label of the deploy whose code started the run; "" for none.
        stop_asked: Whether the run and all its child runs are being stopped, and whether the stop is final. Until the
            run is resumed, no run in its tree starts a child run or is taken from a queue.
        ended_at: When the run ended, epoch seconds; None while the run has not ended.
        code: The id of the recorded code of the graph's nodes when the run was started or last resumed; "" if unknown.
        nonce: A random text that is drawn when the run starts. A later run that gets the id of a removed run has
            another nonce. "" for runs of earlier versions.
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
        """The run's id and nonce, separated by a space. A later run with the same id has another identity."""
        return f"{self.id} {self.nonce}" if self.nonce else self.id

    @property
    def cursor(self) -> str:
        """The cursor after the run's last step, from which a watcher continues to read; see `cursor_at`."""
        return self.cursor_at(self.seq)

    def cursor_at(self, seq: int) -> str:
        """Return the cursor after a step, from which a watcher continues to read the run's steps.

        The cursor contains the nonce of the run, a random value that distinguishes runs with the same id. If the run is
        removed and a later run gets its id, the later run therefore refuses the cursor.
        """
        return cursor_of(seq, self.nonce)

    def seq_in(self, cursor: int | str) -> int:
        """Return the number of the step to which a cursor points. A plain step number is accepted as a cursor.

        Raises:
            RunReplaced: The cursor belongs to an earlier run, which had the same id and was removed.
            InputError: The text is not a cursor.
        """
        if isinstance(cursor, int):
            return cursor
        seq, _, nonce = cursor.partition(".")
        if not (seq.isascii() and seq.isdecimal() and len(seq) < len(str(1 << 32))):
            text = (
                f"{cursor!r} is not a cursor: a cursor is the number of a step, or a text that a run or event gave you"
            )
            repair = "give the number of a step, such as 7, or the cursor of an event: event.cursor"
            raise InputError(text, where=f"run {self.id}", repair=repair)
        self.check_nonce(nonce, f"the cursor {cursor!r}")
        return int(seq)

    def check_nonce(self, nonce: str, what: str) -> None:
        """Check that a cursor, link or message belongs to this run, and not to an earlier run with the same id.

        Args:
            nonce: The nonce of the run to which the object belongs. An unknown nonce, "", is accepted.
            what: The name of the object in the error message.

        Raises:
            RunReplaced: The object belongs to an earlier run with this id.
        """
        if nonce not in ("", self.nonce):
            text = f"{what} belongs to an earlier run {self.id!r}, which was removed, or to another run"
            raise RunReplaced(
                text, where=f"run {self.id}", repair="read from the beginning: another run has this id now"
            )


class EndedRun(Struct, frozen=True, gc=False):
    """An ended run as a prune sees it, which removes old runs from a store.

    The attributes are the facts by which the prune decides whether to remove the run.

    Attributes:
        size: The approximate bytes of the run's own steps, snapshots and messages. Data of the run's parents, and data
            that several runs share, are not counted.
        branched: Whether other runs were branched from this run.
        starter_nonce: The nonce of the run that started this child run.
        nonce: The nonce of the run. A later run with the same id has another nonce and is not removed.
        driver: The same as in `RunInfo`. The attributes that are not listed here have the same meaning as there, too.
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
    """Return the cursor that points to a step in a run's log: the step's number, followed by the run's nonce.

    A caller passes the cursor to continue reading the log after that step.

    Example:
        >>> cursor_of(7, "k3x9ab"), cursor_of(7, "")
        ('7.k3x9ab', '7')
    """
    return f"{seq}.{nonce}" if nonce else str(seq)


def status_of(info: RunInfo) -> Status:
    """Return a run's status as users see it: a running run that no process drives is `queued` or `interrupted`."""
    if info.status == "running" and info.driver is None:
        return "queued" if info.queued else "interrupted"
    return info.status


class Post(NamedTuple):
    """A message to put into the inbox of a run.

    Attributes:
        run_id: The id of the run that receives the message.
        kind: `answer`, `message` or `stop`, as in `InboxMessage`.
        payload: The content of the message.
        key: A unique key. A message whose key was posted to the run before is ignored.
        nonce: The nonce of the run that should receive the message; None for any run with the id.
    """

    run_id: str
    kind: str
    payload: JsonValue
    key: str
    nonce: str | None = None


class StopOver(NamedTuple):
    """A stop or cancellation that applies to a run, because the run itself or a run above it in its tree was stopped.

    Attributes:
        run_id: The run that was stopped.
        mark: `stop`, or `cancel` for a final stop.
    """

    run_id: str
    mark: StopMark


class Append(Struct):
    """Steps to add to one run, with all other changes that belong to the same atomic write.

    Attributes:
        run_id: The id of the run.
        fence: The number that `create` or `claim` returned. The store refuses the steps if it is no longer the run's
            current fence.
        steps: The steps in order; the first one directly follows the run's last step.
        status: The run's status after these steps. Any status except `running` also releases the run.
        consume: The ids of the messages in the run's inbox that these steps deliver. They leave the inbox in the same
            transaction. Unknown ids are ignored.
        snapshot: Returns the JSON of the run's snapshot after these steps. The store calls the function during `append`
            if a new snapshot is due.
        fingerprint: The graph's new fingerprint, if a resume changed it.
        graph_spec: The graph spec to keep under the new fingerprint, as for `create`.
        code: The id of the recorded code of the graph's nodes, if a resume changed it.
        code_body: The code to keep under this id, as for `create`.
        due_at: When the first timer of a run that becomes `waiting` ends, epoch seconds; None if there is no timer. Any
            other status removes the time.
        summary: The run's new summary; None leaves the summary unchanged.
        posts: Messages to other runs, posted in the same transaction. Messages to unknown runs are ignored.
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
    """A database transaction that contains the writes of a function and the step with the function's result.

    So the writes and the step are either both committed or both undone.

    Attributes:
        threads: The threads in which `call` runs.
    """

    @property
    def threads(self) -> Executor:
        """The threads in which `call` runs. Each thread serves one transaction at a time."""
        ...

    def call(self, function: Callable[[Any], object], kind: type[object]) -> object:
        """Begin the transaction, call a function with a connection or session of this class, and return its result.

        Call this method in one of `threads`, since it blocks. Errors of the function are passed on.

        Raises:
            TransactionRefused: The function ended the transaction itself, or the store cannot provide this class.
            TransactionUndone: The database undid the transaction, or the connection is lost.
            StoreError: The database cannot be reached.
        """
        ...

    async def commit(self, batch: Append) -> None:
        """Append the steps to the log of the run as the last statement of the transaction, and commit.

        Afterwards the function's writes and the steps are durable.

        Raises:
            TransactionUndone: The transaction was undone. Nothing of it was written, and nothing will be.
            TransactionRefused: The function had ended the transaction itself.
            LeaseLost: Another process has claimed the run, as in `RunStore.append`.
            StoreError: The connection failed, so that the store does not know whether the transaction was committed.
        """
        ...

    def cancel(self) -> None:
        """Cancel the database statement that the function is waiting for."""
        ...


class Transactional(Protocol):
    """A store that lets functions of a graph write to its database.

    A function writes in the transaction that also records the function's result, so that both are committed or neither
    is.
    """

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Return a context manager that opens a transaction, in which a function of a graph is called.

        If the transaction was not committed when the block is left, it is undone.
        """
        ...


def transactional(store: object) -> Transactional | None:
    """Return the store if functions can share a transaction with their run; None if the store does not support this."""
    return cast("Transactional", store) if hasattr(store, "transaction") else None


class Loaded(NamedTuple):
    """What `load` returns: everything that a process must read to continue a run.

    Attributes:
        info: The facts about the run.
        snapshot: The JSON of a snapshot of the run; None if the run must be rebuilt from its first step.
        steps: The steps after the snapshot.
    """

    info: RunInfo
    snapshot: bytes | None
    steps: Sequence[Step]


class InboxMessage(NamedTuple):
    """A message that was posted to a run and is not delivered yet.

    Attributes:
        id: The number of the message in the store, in the order of arrival.
        run_id: The id of the run that receives the message.
        kind: `answer`, `message` or `stop`.
        payload: The content as JSON values; its shape depends on the kind.
    """

    id: int
    run_id: str
    kind: str
    payload: Any


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    """What a worker passes to `QueueStore.take`: which runs it wants to take from the queues.

    Attributes:
        now: The current time, epoch seconds.
        limit: The largest number of runs to take.
        graphs: The names of the graphs whose runs are taken; None for all graphs.
        queues: The names of the queues; None for all queues.
        aside: The ids of runs that must not be taken.
        kept: The ids of runs that the worker still has in memory, so that the store need not load them.
        refused: The ids in `aside` that the worker could not resume. If their process died, they do not count as driven
            in the limits of their queue.
        paused_tenants: Tenants whose runs are not taken.
        taken_before: How many runs this worker has taken. The queue that comes first changes with this number, so that
            queues take turns although a busy worker takes only one run at a time.
    """

    now: float
    limit: int
    graphs: Sequence[str] | None = None
    queues: Sequence[str] | None = None
    aside: Collection[str] = ()
    kept: Collection[str] = ()
    refused: Collection[str] = ()
    paused_tenants: Collection[str] = ()
    taken_before: int = 0


class ClaimedRun(NamedTuple):
    """A run that a worker gets from `QueueStore.take`.

    Attributes:
        info: The facts about the run before it was claimed.
        fence: The number to pass with each append; None for the run of a dead owner, which the worker must still claim.
            Whether the owner's process died decides how the worker resumes the run.
        loaded: What `load` returns for the run; None if the worker must still load it.
        inbox: The undelivered messages of the run.
    """

    info: RunInfo
    fence: int | None
    loaded: Loaded | None = None
    inbox: Sequence[InboxMessage] = ()


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The limits of a queue, which hold for all workers together.

    They say how many runs of the queue may be driven at the same time, and how many may begin in a period.

    Attributes:
        concurrency: How many runs may be driven at the same time.
        rate: How many runs may begin in any period of how many seconds, as (count, seconds).
        tenant_concurrency: The same as `concurrency` for the runs of each tenant.
        tenant_rate: The same as `rate` for the runs of each tenant.
        paused: If True, workers take no runs of the queue, not even runs whose process died.
    """

    concurrency: int | None = None
    rate: tuple[int, float] | None = None
    tenant_concurrency: int | None = None
    tenant_rate: tuple[int, float] | None = None
    paused: bool = False


class QueueCount(NamedTuple):
    """The numbers of runs of one queue: runs that wait for a process to begin them, and runs that are driven now."""

    queue: str
    queued: int
    driven: int


@dataclass(frozen=True, slots=True)
class OwnerInfo:
    """A live process that can drive runs, such as a worker.

    Attributes:
        id: The id of the owner, as in `RunInfo.driver`.
        host: The name of the host.
        pid: The process id on that host.
        role: The queues and graphs from which a worker takes runs, as a JSON object; None if the process is not a
            worker.
        runs: The ids of the runs that the process drives, at most a hundred.
        driven: How many runs the process drives.
    """

    id: str
    host: str
    pid: int
    role: Mapping[str, Any] | None
    runs: Sequence[str]
    driven: int


class StoredSchedule(NamedTuple):
    """A schedule, which starts runs at set times, in the form in which a store keeps it.

    Attributes:
        name: The name of the schedule.
        body: The settings of the schedule, as JSON values. The store does not read them.
        next_at: When the schedule starts its next run, epoch seconds.
    """

    name: str
    body: Mapping[str, Any]
    next_at: float


class Count(NamedTuple):
    """The number of runs of one graph that have one status.

    Attributes:
        graph: The name of the graph.
        status: The status.
        since: The beginning of the period in which the runs began, epoch seconds; 0 if runs are not counted by period.
        runs: The number of runs.
    """

    graph: str
    status: Status
    since: float
    runs: int


class Page(TypedDict, total=False):
    """The keyword arguments of `Store.runs`, for stores whose methods accept these arguments as `**page`."""

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
    """Refuse unknown keyword arguments of `Store.runs`, since an argument with a typo would otherwise select all runs.

    Raises:
        TypeError: An argument is unknown.
    """
    for name in page.keys() - Page.__annotations__.keys():
        message = f"runs() got an unexpected keyword argument {name!r}"
        raise TypeError(message)


class RunStore(Protocol):
    """What a store must offer to one run: the log of steps, the claim of a driver, and the inbox of messages.

    An instance of a store belongs to one event loop.

    - Durability: when an awaited write returns, the write survives the death of the process.
    - Atomicity: a write happens completely or not at all.
    - Order: writes to one run take effect in the order of the calls.
    - Failure: if the medium fails, every method raises `StoreError` or a subclass, and nothing of that call was
      written.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes can use the same runs. If so, a run that waits must poll its inbox."""
        ...

    async def open(self) -> None:
        """Open the store: create missing files, migrate old formats, and register this process and its lease.

        Opening an open store again is cheap and has no effect.

        Raises: StoreNotADatabase, StoreTooNew, StoreReadOnly, StoreLocked.
        """
        ...

    async def close(self) -> None:
        """Finish pending writes, release all runs and the lease, and free all resources.

        Nothing happens if the store is closed.
        """
        ...

    async def create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None = None
    ) -> int:
        """Record a new run with its first steps, and return the fence: the number to pass with each later append.

        This owner drives the new run, except if `info.queued` is True: then no process drives the run, the fence is 0,
        and workers can take the run from `info.created_at` on.

        - A branch (`info.parent`) shares the steps up to `parent_seq` with its parent; the steps are not copied. Only
          the keys of messages that begin with "message " and that the parent had consumed by then are copied, so that
          posting such a message to the branch again has no effect.
        - `graph_spec` is stored once per `info.fingerprint`, and `code_body` once per `info.code`.
        - A run that begins as `waiting` keeps `info.due_at`. All runs keep `info.tags`, `queue`, `priority`, `tenant`,
          `summary` and the fields of `stores.summaries.begun_as`. An empty `began_with` becomes `fingerprint`.
        - A child run is refused if `stop_over` returns a stop for the run that starts it. The check is part of the same
          transaction.

        Raises:
            RunExists: The id is taken.
            UnknownRun: The parent does not exist.
            UnknownStep: The parent has no step `parent_seq`.
            TreeStopped: The run that starts the child run, or a run above that one, was stopped.
        """
        ...

    async def mark_stop(self, run_id: str, mark: StopMark) -> None:
        """Mark that a run and all its child runs are being stopped, or remove this mark. A final mark is never removed.

        Any process may call `mark_stop`. When it returns, no new run can be created below the marked run, and `started`
        lists all child runs that were created before. An unknown run is ignored.
        """
        ...

    async def stop_over(self, run_id: str) -> StopOver | None:
        """Return the stop that applies to this run, because this run or a run above it was stopped.

        Return None if there is no such stop.

        The runs above are the run that started this child run, the starter of that run, and so on. If several of them
        were stopped, a final stop is preferred.

        The search upwards ends at a run without a `root`. Such a run was started by no node, or it continues when
        others stop. A run above is recognised by its id and nonce, so that a later run with the same id is not taken
        for it.
        """
        ...

    async def started(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the child runs that nodes of these runs started, whatever their status.

        `started` leaves out child runs that continue when others stop, because they do not belong to the tree of runs.
        If the id of a run was used by an earlier run, the child runs of the earlier run are included only while no run
        has the id.
        """
        ...

    async def claim(self, run_id: str) -> int:
        """Become the driver of a run, the process that executes its nodes.

        The former driver must be dead or have released the run.

        Return the new fence, the number to pass with each append. It is higher than all fences before, so that a former
        driver cannot write any more.

        Raises:
            UnknownRun: There is no such run.
            RunIsDriven: A live owner drives the run. This owner also counts.
        """
        ...

    async def former_lease(self, run_id: str) -> float | None:
        """Return for how many more seconds the process that drove a run before may still act on the run.

        The returned time lasts until the lease of the former owner ends, and is 0 afterwards. `former_lease` returns
        None if no other owner has the run, or if the death of the owner is proved. The end of a lease or a broken
        connection is no proof, because the process may only be suspended or cut off from the database.

        Raises: UnknownRun.
        """
        ...

    def on_doubt(self, doubted: Callable[[LeaseDoubt], Coroutine[Any, Any, None]]) -> None:
        """Register a function that is called on the event loop when this process may have lost its runs to others.

        The registered function is called with `late` shortly before the lease ends, if the lease could not be renewed.
        Running work must then stop before the end of the lease. The function is called with `renewed` if the lease was
        renewed so late that other owners may have claimed runs in the meantime.
        """
        ...

    async def release(self, run_id: str, fence: int) -> None:
        """Stop driving a run without adding a step. Nothing happens if another process has claimed the run since."""
        ...

    def append(self, batch: Append) -> Awaitable[None] | None:
        """Add steps to a run.

        Return None if the steps are already durable, else an awaitable that returns when they are. The steps are
        encoded during the call, so that the caller can change them afterwards.

        Raises, from the call or the awaitable: LeaseLost if this owner no longer drives the run with this fence,
        StoreError.
        """
        ...

    async def info(self, run_id: str) -> RunInfo:
        """Return the facts about a run.

        Raises: UnknownRun.
        """
        ...

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the facts about several runs, in any order. Unknown ids are left out."""
        ...

    async def moved(self, seqs: Mapping[str, int]) -> Sequence[str]:
        """Return the ids of the runs that have changed: their last step is not the given one, or they do not exist.

        A Runner calls `moved` for all its sleeping runs at once, to find out which of them other processes have
        continued. A single query answers for all of them.
        """
        ...

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Return the newest snapshot of a run at or before step `upto`, and the steps after this snapshot.

        The steps end at `upto`; None means the last step. The snapshot and steps of a branch can come from its parents.

        Raises: UnknownRun, UnknownStep, StoreCorrupt.
        """
        ...

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return the steps of a run with the numbers `after + 1` to `upto`, in order.

        For a branch, they include the steps shared with its parents.

        Raises: UnknownRun, StoreCorrupt.
        """
        ...

    async def graph_spec(self, fingerprint: str) -> GraphSpec | None:
        """Return the graph spec that is recorded under a fingerprint, or None."""
        ...

    async def code(self, code: str) -> Code | None:
        """Return the recorded code of a graph's nodes by its id, or None.

        The store keeps the recorded code as long as a run has its id in `RunInfo.code`, or had it there before a resume
        changed the code.
        """
        ...

    async def post(  # noqa: PLR0913 - what a message is
        self, run_id: str, kind: str, payload: JsonValue, key: str, alone: str = "", nonce: str | None = None
    ) -> bool:
        """Put a message into a run's inbox. Return whether the message is new.

        Any process may post to any run, whatever the run's status and driver.

        Args:
            run_id: The id of the run.
            kind: The kind of message; see `InboxMessage`.
            payload: The content of the message.
            key: A unique key. Keys are kept as long as the run, so that posting a key again has no effect, even after
                the first message was consumed.
            alone: A prefix of keys that ends with an ASCII character. If any key with this prefix was posted to the run
                before, the message is ignored.
            nonce: The nonce of the run that should get the message. A later run with the same id counts as unknown.

        Raises: UnknownRun.
        """
        ...

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return the undelivered messages of these runs, of every kind, oldest first."""
        ...

    async def message_keys(self, run_id: str, newest: int | None = None) -> Mapping[str, int]:
        """Return the keys of all messages that were ever posted to a run, oldest first.

        `message_keys` returns each key with the id of its message, or with 0 if the message was delivered. An unknown
        run has no keys. `newest` limits the result to this many keys of the newest messages.
        """
        ...

    async def notifications(self, after: int) -> int:
        """Wait until the store has received more than `after` announcements that runs may need attention.

        Return how many announcements the store has received in all. Pass 0 in the first call, and then the number that
        the previous call returned. With -1, a store that can receive announcements returns at once.

        Other processes announce three kinds of events: messages to runs that wait or are driven here, released runs,
        and dead owners. An announcement is only a hint to look at the runs earlier than at the next poll, because
        announcements can be lost or be of no interest. A store that receives no announcements never returns from
        `notifications`.
        """
        ...


class QueueStore(Protocol):
    """What a store must offer to workers: queues with limits, schedules, and the list of processes that take runs."""

    async def take(self, pick: ClaimQuery) -> Sequence[ClaimedRun]:
        """Claim due runs that no process drives, and return them.

        If several workers call `take`, each run goes to one of them. The queues take turns. Within a queue, the runs
        are ordered as follows:

        1. Runs with a higher `priority` come first.
        2. Among runs with the same priority, those that were driven before come first, beginning with the run that has
           been due for the longest time.
        3. New runs come last. Their tenants take turns.

        The limits of a queue apply to all workers together.

        Before all others, `take` returns due runs whose driver has died. These are not claimed: the worker claims them
        itself. The limits of queues do not hold them back. They still count as driven runs in these limits, except for
        runs of other graphs and runs in `refused`.

        The cost does not depend on the number of queued or ended runs. With limits for tenants it grows with the number
        of tenants that have queued runs.
        """
        ...

    async def limit_queue(self, queue: str, limits: QueueLimits | None) -> None:
        """Set the limits of a queue, or remove them with None."""
        ...

    async def queue_limits(self) -> Mapping[str, QueueLimits]:
        """Return the limits of all queues that have limits, by the name of the queue."""
        ...

    async def queue_counts(self) -> Sequence[QueueCount]:
        """Return how many runs of each queue are queued or driven, by the name of the queue.

        Empty queues are left out.
        """
        ...

    async def keep_schedule(self, schedule: StoredSchedule) -> None:
        """Add a schedule, or replace the schedule with the same name."""
        ...

    async def drop_schedule(self, name: str) -> bool:
        """Remove a schedule. Return whether the schedule existed."""
        ...

    async def schedules(self) -> Sequence[StoredSchedule]:
        """Return all schedules, sorted by name."""
        ...

    async def move_schedule(self, name: str, seen: float, next_at: float) -> None:
        """Set the time at which a schedule starts its next run, unless another process has changed this time.

        `seen` is the time that the caller has read. If the stored time differs from it, nothing is changed.
        """
        ...

    async def set_role(self, role: Mapping[str, JsonValue]) -> None:
        """Record that this process is a worker, and from which queues and graphs it takes runs."""
        ...

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return the live processes that can drive runs, in any order."""
        ...


class Store(RunStore, QueueStore, Protocol):
    """The full interface of a store: what runs and workers need, lists of runs, and their removal.

    One instance belongs to one Runner.
    """

    async def change_token(self) -> str:
        """Return a text that changes whenever a process writes to the store, so that a caller can skip useless reads.

        A caller compares the text with the one of an earlier call. If the text is the same, nothing has been written,
        and the caller need not read the store again.

        The text can also change without a write. It does not change when a process dies or a lease ends, because
        nothing is written then. `change_token` is cheap enough for fifty calls a second.
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
        """Return the number of runs for each graph and status, in any order. Numbers of 0 are left out.

        With `every_seconds`, `counts` also counts runs by the time when they began: `since` is the beginning of the
        period, a multiple of `every_seconds`. `tag`, `text` and `tenant` select runs as in the method `runs`. A run
        whose process died counts as `running`.
        """
        ...

    async def ids(self, prefix: str, *, limit: int = 50) -> Sequence[str]:
        """Return the ids of runs that begin with a prefix, sorted, at most `limit`.

        The cost does not depend on the number of runs.
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
            limit: The largest number of runs on the page.
            status: Only runs with this status.
            graph: Only runs of this graph.
            tag: Only runs with this tag.
            before: The id of the last run on the previous page.
            text: Only runs that match every word of this text, in any order and case. A word matches if a word of the
                run begins with it: of its id, graph, tags or first input, or of what the run waits for or why it ended.
                See `stores.words`.
            begun_after: Only runs that began at this time or later, epoch seconds.
            begun_before: Only runs that began before this time.
            tenant: Only runs of this tenant.
            user: Only runs that this user started.
            starter: Only child runs that nodes of this run started, as in `started`.
            fields: Only runs whose `summary.fields` contain, for each of these names, one of the listed values.
            sort: How runs are sorted: by start time (`begun`), cost, duration (`took`) or status. Greatest first, and
                equal runs newest first. Unknown costs, and the durations of runs that have not ended, count as less
                than 0. Every sort except `begun`, and `ascending`, read all runs that match.
            ascending: Reverse the order.

        Raises:
            UnknownRun: The run `before` does not exist.
        """
        ...

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Add and remove tags of a run, and return all its tags, sorted.

        Any process may call `tag`, whatever the status of the run and whichever process drives it. A tag in both `add`
        and `remove` is added.

        Raises: UnknownRun.
        """
        ...

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the runs that were branched directly from these runs. Unknown ids are ignored."""
        ...

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """Return the runs that are ready to be resumed, at most `limit`.

        The first runs in the result are those that were `running` when their owner died, because their work was
        interrupted. The other runs follow, beginning with the run that has been due for the longest time. With
        `graphs`, only runs of these graphs are returned and count towards `limit`.

        A run is due if it is

        - `waiting`, and its `due_at` is `now` or earlier: due since `due_at`;
        - `waiting`, with a message other than `stop` in its inbox: due since the oldest of these messages was posted;
        - `running` without a live driver: due since the run was released or its owner died.

        A run that is due for two reasons is returned once, with the earlier time. Messages and releases are timed by
        the store's own clock; the time of an owner's death can be approximate. A run with a live driver, this owner
        included, is never due.

        `due` does not reserve the runs: two callers can find the same runs, and only `claim` decides which process
        drives a run. `due` must be cheap enough to be repeated every second, so its cost must not depend on the number
        of ended runs or the length of logs.
        """
        ...

    async def ended(
        self, status: Status, *, graph: str | None = None, after: EndedRun | None = None, limit: int = PAGE_LIMIT
    ) -> Sequence[EndedRun]:
        """Return the ended runs with a status, with the facts that a prune needs, newest first by `created_at` then id.

        Args:
            status: A status of ended runs: any except `running` and `waiting`.
            graph: Only runs of this graph.
            after: The last run of the previous page. The run may have been removed since.
            limit: The largest number of runs on the page.
        """
        ...

    async def remove(self, runs: Sequence[RunInfo | EndedRun]) -> Mapping[str, str]:
        """Remove ended runs from the store, in the given order.

        Return the ids of the runs that are kept, with the reasons. A run is removed only if

        - its nonce, status, `seq` and tags are still those passed here,
        - it is neither `running` nor `waiting`, and no live owner drives it,
        - no run in the store was branched from it: pass branches before their parents.

        A run that was removed cannot be found any more, and its id can be used again. A run that no longer exists is
        returned like a run that is kept. `remove` is atomic. The data of removed runs can take up space until `sweep`.
        """
        ...

    async def trim(self, run_id: str, keep: int, limit: int) -> int:
        """Replace the content of a run's old steps by placeholders, and return how many steps were replaced.

        `trim` chooses the newest snapshot that is older than the last `keep` steps, and replaces all steps between the
        first step of the run and this snapshot. The steps keep their numbers and times (`engine.steps.removed`), so
        that the log has no gaps. The snapshot becomes part of the last replaced step.

        One call of `trim` replaces at most `limit` steps, the newest first, and is atomic. A process can therefore
        drive the run meanwhile, and the remaining steps can always be read. Repeat the call until it returns 0.

        `trim` replaces nothing in a run that has branches, because the branches read its steps. It also replaces
        nothing in a branch that was imported together with the steps of its parents.

        Raises: UnknownRun.
        """
        ...

    async def sweep(self) -> None:
        """Free the space of removed runs and of graph specs and codes that no run needs.

        `sweep` also cleans up after other processes. It splits the work into short transactions, so that others can
        write in between. The next process that opens the store continues an interrupted `sweep`.
        """
        ...

    async def vacuum(self) -> tuple[int, int]:
        """Return free space to the disk. Return the size of the store in bytes before and after.

        Other processes can write meanwhile, unless the store documents an exception.

        Raises: StoreLocked, StoreFull; then no run has changed.
        """
        ...
