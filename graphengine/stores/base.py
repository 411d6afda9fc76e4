"""The protocol between the runner and whatever keeps runs.

A store keeps, for each run, one row of facts (`RunInfo`) and a dense append-only log of steps. It decides nothing:
what the steps mean is the core's business. `graphengine.testing.conformance` tests any store against this text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue

Status: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a store knows of a run without reading its log.

    Attributes:
        id: The run's id, unique in the store.
        graph: The name of its graph.
        fingerprint: The digest of the graph's outline when the run was started or last resumed.
        status: As of the last step.
        seq: The seq of the last step.
        created_at: Epoch seconds.
        updated_at: Time of the last step, epoch seconds.
        parent: The run it was branched from, or None.
        parent_seq: The last step it shares with the parent; its own steps begin at `parent_seq + 1`. 0 if none.
        driver: Who drives it right now as far as the store knows (owner id), or None.
        held: Whether somebody took the run and has not let it go: its driver is at work, or died.
        due_at: While it waits: when its first timer is due, epoch seconds; None if it waits for no timer.
        tags: The words it is marked with, sorted.
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


@dataclass(slots=True)
class Append:
    """Steps to add to one run, atomically.

    Attributes:
        run_id: The run.
        fence: The number that `create` or `claim` gave; a store refuses any other than the run's present one.
        steps: In order, the first one right behind the run's last.
        status: The run's status after them. Any status but `running` also releases the run.
        consume: Ids of messages of the run's inbox, any number of them, that are delivered with these steps: they
            leave the inbox in the same transaction. Ids that are not in it are ignored.
        snapshot: Called by the store, if and when its policy wants one, during the call of `append`; gives the JSON
            of the run's snapshot after these steps.
        fingerprint: The graph's new fingerprint, where a resume changed it.
        outline: What `create` takes: the outline to keep under the new fingerprint.
        due_at: With the status `waiting`: when the run's first timer is due, epoch seconds; None if there is none.
            With any other status it means nothing, and the run has no `due_at` after it.
    """

    run_id: str
    fence: int
    steps: Sequence[Step]
    status: Status
    consume: Sequence[int] = ()
    snapshot: Callable[[], bytes] | None = None
    fingerprint: str | None = None
    outline: Mapping[str, JsonValue] | None = None
    due_at: float | None = None


class Loaded(NamedTuple):
    """A run as far as it must be read: a snapshot (None: fold from the first step) and the steps behind it."""

    info: RunInfo
    snapshot: bytes | None
    steps: Sequence[Step]


class Message(NamedTuple):
    """One message of a run's inbox."""

    id: int
    run_id: str
    kind: str
    payload: JsonValue


class Store(Protocol):
    """Keeps runs. One instance belongs to one Runner and one event loop.

    Durability: when an awaited write returns, it survives the death of the process. Atomicity: a write happens
    whole or not at all. Order: writes of one run take effect in the order of the calls. Every method raises
    `StoreError` or a subclass when the medium fails, and then nothing of that call was written.
    """

    @property
    def shared(self) -> bool:
        """Whether other processes may use the same runs, so that the inbox must be looked at."""
        ...

    async def open(self) -> None:
        """Make ready: create what is missing, migrate what is old, register this owner and take its lease.

        Idempotent and cheap when open. Raises: StoreNotADatabase, StoreTooNew, StoreReadOnly, StoreLocked.
        """
        ...

    async def close(self) -> None:
        """Finish pending writes, release all runs and the lease, free everything. Idempotent."""
        ...

    async def create(self, info: RunInfo, steps: Sequence[Step], outline: Mapping[str, JsonValue]) -> int:
        """Record a new run with its first steps, driven by this owner; returns its fence.

        For a run with a parent the log before `parent_seq + 1` is the parent's; nothing is copied.
        `outline` describes the graph and is kept once per `info.fingerprint`. A run that is created `waiting` keeps
        `info.due_at`; every run keeps `info.tags`.

        Raises: RunExists; UnknownRun (the parent); UnknownStep (the parent has no such seq).
        """
        ...

    async def claim(self, run_id: str) -> int:
        """Become the run's driver, also over an owner that is dead; returns the new, higher fence.

        Raises: UnknownRun; RunIsDriven (a live owner drives it, this one included).
        """
        ...

    async def release(self, run_id: str, fence: int) -> None:
        """Stop being the driver without writing a step. A stale fence is ignored."""
        ...

    def append(self, batch: Append) -> Awaitable[None] | None:
        """Add steps. None: they are durable already; else durable when the awaitable returns.

        The call itself encodes and queues, so that what the caller changes afterwards does not matter.
        Raises (here or from the awaitable): LeaseLost for a stale fence, StoreError.
        """
        ...

    async def info(self, run_id: str) -> RunInfo:
        """Raises: UnknownRun."""
        ...

    async def seqs(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """The seq of the last step of each of these runs, as `info` has it; ids of no run are left out.

        One look for all of them: a Runner calls it every few seconds for each run that sleeps.
        """
        ...

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """The newest snapshot at or before `upto` (None: the end) and the steps behind it up to there.

        Goes through the parents where the run is a branch. Raises: UnknownRun, UnknownStep, StoreCorrupt.
        """
        ...

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """The steps with `after < seq <= upto`, in order, the parents' included. Raises: UnknownRun, StoreCorrupt."""
        ...

    async def runs(
        self,
        *,
        limit: int = 50,
        status: Status | None = None,
        graph: str | None = None,
        tag: str | None = None,
        before: str | None = None,
    ) -> Sequence[RunInfo]:
        """Runs, newest first by `created_at` then id; `before` is the id of the last one seen, for paging."""
        ...

    async def tag(self, run_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> tuple[str, ...]:
        """Change a run's tags, whatever its status, whoever drives it, from any process; returns them, sorted.

        What is in both is added. Raises: UnknownRun.
        """
        ...

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """The runs that were branched from one of these, not the branches of those; ids of no run are ignored."""
        ...

    async def outline(self, fingerprint: str) -> Mapping[str, JsonValue] | None:
        """The outline recorded under this fingerprint, or None."""
        ...

    async def due(self, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None) -> Sequence[RunInfo]:
        """The runs that somebody should go on with, at most `limit`.

        First those that are `running` and whose owner died: their work was cut off. Then the others, those that have
        been due for longest first.

        With `graphs` only runs of graphs of these names are looked for, and others do not count for `limit`.

        A run is due that is

        - `waiting`, since its `due_at`, once that is `now` or earlier;
        - `waiting`, since the oldest one was posted, while its inbox holds a message of any kind but `stop`;
        - `running` although no live owner drives it, since it was let go or its owner died.

        The store's own clock tells when messages came and runs were let go; when an owner died may be known roughly
        only. A run that is due for two reasons counts from the earlier and is listed once. A run that a live owner
        drives, this one included, is never due. Asking changes nothing and promises nothing: two who ask find the
        same runs, and `claim` decides. It is cheap enough to be asked every second: what it costs does not depend on
        how many runs have ended or how long the logs are.
        """
        ...

    async def post(self, run_id: str, kind: str, payload: JsonValue, key: str) -> bool:
        """Put a message into the run's inbox, whatever its status, whoever drives it. From any process, unfenced.

        Returns whether it is new.

        Keys are remembered for as long as the run is: a key that was ever posted to it, also one whose message was
        consumed since, changes nothing when it comes again.

        Raises: UnknownRun.
        """
        ...

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[Message]:
        """The undelivered messages of these runs, of every kind, oldest first."""
        ...

    async def weigh(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """About how many bytes go with each of these runs: its own steps, snapshots and messages, not its parents'.

        It reads them all. Ids of no run are left out.
        """
        ...

    async def remove(self, runs: Sequence[RunInfo]) -> Mapping[str, str]:
        """Take runs out of the store, each of them in its turn; returns those that stay, each with the reason.

        A run goes if it is, at that moment, as it is told here (its status, `seq` and tags), it is neither `running`
        nor `waiting`, no live owner holds it, and no run that is in the store was branched from it: give branches
        before their parents. From then on nobody finds it, and its id may be taken again. A run that is there no more
        counts as one that stays. The call is atomic.

        What a run held may still take room afterwards, until `sweep`.
        """
        ...

    async def sweep(self) -> None:
        """Free what removed runs still take, also those that others removed, and outlines that no run needs any more.

        It goes in short strides between which others write. When it is cut short, nothing is lost but time: a store
        that is opened goes on with it by itself.
        """
        ...

    async def vacuum(self) -> tuple[int, int]:
        """Give free room back to the disk: how many bytes the store took before, and takes now.

        Others write meanwhile, unless the store says where not.

        Raises: StoreLocked, StoreFull, and then no run has changed.
        """
        ...
