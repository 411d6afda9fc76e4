"""What the code of a node has around it: the driver of its run, what its attempts share, and its recorded work."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from weakref import ref  # noqa: TC003 - msgspec reads it

from msgspec import Struct, field
from msgspec.structs import replace

from graphengine.engine.frame_tree import add_usage, place_of
from graphengine.engine.phases import ASKED
from graphengine.engine.provenance import is_given, read_of_nodes
from graphengine.engine.ready import limit_over
from graphengine.engine.steps import path_of, replacing, without_items
from graphengine.errors import DefinitionError, EffectRefused
from graphengine.graph.definition import Out_co, S
from graphengine.graph.effect import kind_of
from graphengine.graph.options import Sizes
from graphengine.runner.followers import NOBODY, Following

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from random import Random

    from graphengine.engine.events import Event, Noted
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.engine.redaction import Redactor
    from graphengine.engine.snapshot import Frame, Task
    from graphengine.engine.steps import ModelCaller, OutputKind, Outputs, WaitRecord
    from graphengine.errors import GraphEngineError
    from graphengine.graph.definition import GraphDefinition
    from graphengine.graph.effect import Effect, Effects
    from graphengine.runner.answers import KnownTypes
    from graphengine.runner.followers import Audience
    from graphengine.runner.result import PastRun, Result
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue
    from graphengine.state.view import View
    from graphengine.stores.base import Transaction, Transactional


@dataclass(frozen=True, slots=True)
class StepResult:
    """A finished piece of work: its record, and facts about it.

    Attributes:
        record: The value that is stored, and returned when the piece is replayed.
        size_bytes: The record's size as JSON.
        usage: What it used.
        by: The `agent` that called, and the `model` that answered.
    """

    record: JsonValue
    size_bytes: int
    usage: Usage | None = None
    by: ModelCaller | None = None


_SIZES: Final = Sizes()


class Host(Protocol):
    """The driver of the run, as nodes use it."""

    @property
    def audience(self) -> Audience:
        """The watchers of live events, and the calls that show some."""
        ...

    @property
    def is_halting(self) -> bool:
        """Whether the run will stop, or be released, at the next safe point."""
        ...

    @property
    def is_released(self) -> bool:
        """Whether the run is released, or its Runner closes, while this process still owns the run."""
        ...

    @property
    def wrote_at(self) -> float:
        """When the run was last shown to be driven by this process, by the machine's clock."""
        ...

    @property
    def resumed_at(self) -> float:
        """When this process resumed the run; see `Driving.resumed_at`."""
        ...

    async def check_owned(self) -> None:
        """Ask the store whether this process still drives the run.

        Raises:
            LeaseLost: Another process has taken the run, or it was released.
        """
        ...

    async def may_begin(self, *, reads: bool) -> bool:
        """Return whether a node may begin, if the last write was long ago or another process was cut off from the run.

        Args:
            reads: Whether it only reads: then it waits for no other process.

        Raises:
            LeaseLost: As `check_owned`.
        """
        ...

    def cut_until(self, seq: int) -> float:
        """Return until when a process that was cut off may do what it began at a seq, epoch seconds; 0 for none."""
        ...

    async def keep_code(self) -> None:
        """Keep the code of the graph in the store, before a transaction whose steps name it.

        Serializable transactions of several runs would collide at the row of the code if each of them wrote it.
        """
        ...

    async def read_code(self, code: str) -> Mapping[str, Any] | None:
        """Return what the store has of the code with an id, as `engine.plan.Code.body`; None if it has nothing."""
        ...

    def check(self) -> None:
        """Refuse to continue after an append that failed.

        Raises:
            StoreError: A step could not be recorded, and the run ends.
        """
        ...

    def give_up(self, error: GraphEngineError) -> None:
        """Let go of the run without a step, so that it neither fails nor continues here; its result raises the error.

        For what a node cannot do in this process, but in a process that has another form of a graph.
        """
        ...

    def has_message(self, topic: str) -> bool:
        """Return whether a message of a topic arrived that nothing has received."""
        ...

    def spending(self) -> Sequence[AttemptFacts]:
        """Return the attempts that used what no step has yet."""
        ...

    def note_cut_off(self, attempt: AttemptFacts) -> bool:
        """Return whether the driver cancelled an attempt, not code of the graph; if so, note it, and what it spent."""
        ...

    def emitted(self, path: str, data: object) -> None:
        """Show data that a node emits, from any thread."""
        ...

    async def halted(self) -> None:
        """Return when the run will stop, or be released, at the next safe point."""
        ...

    @property
    def runs_again(self) -> bool:
        """Whether each wait lets its node run again, and what it then does otherwise is logged."""
        ...

    def suspends(self, attempt: AttemptFacts, waits: Mapping[str, WaitRecord]) -> bool:
        """Return whether an attempt stays suspended while it waits; if so, record that it waits."""
        ...

    @property
    def note(self) -> Callable[[Event], Awaitable[None]]:
        """Record an event of a node that is still running, and return when it is durable."""
        ...

    @property
    def transactions(self) -> Transactional | None:
        """The store, if functions can work in transactions of its database."""
        ...

    async def note_within(self, events: Sequence[Noted], transaction: Transaction) -> None:
        """Record events as the last statement of a transaction, and commit it.

        Raises:
            TransactionUndone: It was undone; nothing was recorded.
            StoreError: It could not be recorded, and the run ends here.
        """
        ...


class Executors(Protocol):
    """Runs the nodes with `on=`, in other processes or on other machines."""

    def counts_time(self, on: str) -> bool:
        """Return whether an executor counts the time of its calls itself, from when they begin."""
        ...

    async def call(self, call: Call, values: dict[str, object], context: Any, seconds: float | None) -> object:  # noqa: ANN401
        """Call a node's function on its executor, and return its result."""
        ...


class ChildRun(Protocol[S, Out_co]):
    """A run that a node started: what `Context.start` returns."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    def result(self) -> Coroutine[Any, Any, Result[S, Out_co]]:
        """Wait until it has ended, and return its result, which is recorded.

        Another attempt of the node, and a resume of its run, lets a child that failed or was stopped continue.

        Raises:
            ChildFailed: It failed, was stopped, or was removed before its end was read.
        """
        ...


class Children(Protocol):
    """Starts the runs of `Context.start`, and waits for them."""

    async def start(
        self, attempt: AttemptFacts, graph: GraphDefinition[Any], state: object, options: Mapping[str, Any]
    ) -> ChildRun[Any, Any]:
        """Start a run once, and return a handle on it; the options are those of `Context.start`."""
        ...


class EarlierRuns(Protocol):
    """The earlier runs that a node can read with `ctx.runs`; see `graphengine.runner.other_forms.PastRuns`."""

    async def find(
        self, run_id: str, graph: str, last: int, fields: Collection[str] | None, plan: Plan[Any] | None
    ) -> list[PastRun]:
        """Return the newest finished runs of a graph."""
        ...

    async def migrate(self, runs: Sequence[PastRun], fields: Collection[str] | None, plan: Plan[Any]) -> list[PastRun]:
        """Return runs that the node was given under another form of their graph, as today's graph has them."""
        ...


class NodeServices(Struct):
    """What the attempts of a run share.

    Attributes:
        run: The run.
        run_id: Its id, also once its snapshot is freed.
        host: The driver of the run.
        resources: The resources of nodes, by the id of their plan.
        threads: The thread pool of blocking functions.
        now: The clock of the run's log.
        wall: The machine's clock, by which waits end.
        past: The earlier runs that nodes can read; None if there are none.
        executors: Where nodes with `on=` run; None to run them in place.
        children: What starts runs from nodes; None if nothing does.
        following: Who follows the run.
        loop: The event loop of the run.
        is_shared: Whether other processes can take the run if this one is suspended.
        guard: Keeps the graph's secrets out of what is recorded and shown; None if it has none.
        effects: Whether effects outside the run happen.
        types: Keeps the types by which nodes read answers; None if nobody gives any.
        readers: The attempts that had mutable fields, while anything of them is left.
    """

    run: RunState
    run_id: str
    host: Host
    resources: Mapping[int, Mapping[str, object]]
    threads: Executor
    now: Callable[[], float]
    wall: Callable[[], float]
    past: EarlierRuns | None
    executors: Executors | None = None
    children: Children | None = None
    following: Following = NOBODY
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    is_shared: bool = False
    guard: Redactor | None = None
    effects: Effects = "act"
    types: KnownTypes | None = None
    readers: set[ref[AttemptFacts]] = field(default_factory=set)

    @property
    def sizes(self) -> Sizes:
        """The limits of what is recorded."""
        return self.run.sizes or _SIZES

    @property
    def may_be_lost(self) -> bool:
        """Whether another process may have taken the run, because this one has not written for long."""
        # A clock that was set counts as time that has passed.
        return self.is_shared and abs(self.wall() - self.host.wrote_at) > _RECENT_SECONDS


class Journal(Protocol):
    """The recorded work of an attempt, as far as this module uses it; see `StepJournal`, which `journal_of` returns."""

    in_flight: InFlight

    @property
    def time(self) -> float:
        """The time in the log: when the attempt could begin, or the last piece of recorded work was done."""
        ...

    def note_output(self, what: OutputKind, record: JsonValue) -> None:
        """Add a message or live data to the recorded calls that the calling code runs inside."""
        ...

    def note_names(self, names: Collection[str]) -> None:
        """Note the names of waits that are recorded now."""
        ...


class AttemptFacts:
    """What an attempt is about and what it has; `graphengine.runner.attempt.Attempt` runs it.

    Args:
        task: What is to be done.
        services: What it shares with the other attempts of the run.

    Attributes:
        within: The asyncio task in which it runs.
        state: `ready` to run; `running`; `suspended`, since it waits for what ends here soon; `ending`, since it waits
            or halts, so that its asyncio task is cancelled; or `over`.
        frame: The frame that is at the node.
        plan: The graph that the frame walks.
        node: The node.
        view: What the node can read.
        call: What it runs; None if the node chooses.
        choice: What it chose.
        began: When the node began, by the clock of the run's log.
        usage: What it used that is not recorded as a piece of work.
        outputs: Messages and kept live data for the node's step.
        journal: Its recorded work and waits; None as long as nothing asked for it.
        random: The generator of the node's random numbers, once there is one.
        settles: Whether it finds out how effects of the earlier code ended, before it runs any code of the node.
    """

    __slots__ = (
        "__weakref__",
        "began",
        "call",
        "choice",
        "frame",
        "journal",
        "node",
        "outputs",
        "plan",
        "random",
        "services",
        "settles",
        "state",
        "task",
        "usage",
        "view",
        "within",
    )

    def __init__(self, task: Task, services: NodeServices) -> None:
        self.task, self.services = task, services
        self.state: Literal["ready", "running", "suspended", "ending", "over"] = "ready"
        self.within: asyncio.Task[Any]
        self.frame: Frame
        self.plan: Plan[Any]
        self.node: NodePlan
        self.view: View
        self.call: Call | None = None
        self.choice, self.began, self.settles = "", 0.0, False
        self.usage: Usage | None = None
        self.outputs: Outputs | None = None
        self.journal: Journal | None = None
        self.random: Random | None = None

    @property
    def path(self) -> str:
        """The node's path in the run."""
        return path_of(self.task.frame, self.task.node)

    @property
    def where(self) -> str:
        """Where an error is."""
        return f"node {self.path}"

    @property
    def visit_key(self) -> str:
        """A key that differs in each visit, item and branch; the same if the run is removed and started again."""
        return f"{self.services.run.snapshot.key_base or self.services.run_id}/{place_of(self.frame)}"

    @property
    def must_stop(self) -> bool:
        """Whether the run must stop, or it, or a subgraph around the node, has reached a limit."""
        return self.services.host.is_halting or limit_over(self.services.run.snapshot, self.frame)

    @property
    def read_of_nodes(self) -> Sequence[str]:
        """The parameters of what it runs that are read from fields which nodes wrote."""
        return () if self.call is None else read_of_nodes(self.call, self.frame)

    def is_given(self, text: str) -> bool:
        """Return whether a text is what a person or the caller gave the node, whole: it read it, or received it."""
        return is_given(self.frame, text)

    def given_for(self, name: str) -> Callable[..., object] | None:
        """Return what is to be called here in place of what has this name; None if nothing is."""
        effects, graph = self.services.effects, self.services.run.plan.graph
        return None if effects == "act" else replacing(effects, graph, without_items(self.path), name)

    def acting(self, effect: Effect | None, name: str, where: str = "") -> Callable[..., object] | None:
        """Return what is called in place of a function that acts outside the run; None if nothing is.

        Args:
            effect: What the function does outside the run.
            name: Its name.
            where: The call or the agent, for the error.

        Raises:
            EffectRefused: Effects do not happen here, and nothing replaces this one.
        """
        kind, found = kind_of(effect), self.given_for(name)
        if self.services.effects == "act" or kind in (None, "read"):
            return None
        if found is not None:
            return found
        raise EffectRefused(
            f"{name} was not called: it acts outside the run (effect={kind!r}), and effects are refused here",
            where=where or self.where,
            repair=f'give what replaces it, effects={{"{name}": function}}, or let effects happen: effects="act"',
        )

    def refuse_secrets(self, record: JsonValue, what: str) -> None:
        """Check that a record which is kept outside the run's steps contains no secret. Raises: NotRecordable."""
        if self.services.guard is not None:
            self.services.guard.refuse(record, what, self.where)

    def check_not_over(self, what: str) -> None:
        """Check that the attempt has not ended, and is not suspended.

        Raises:
            DefinitionError: It has ended.
        """
        if self.state == "suspended":
            # 1. A node waits for a child beside a timer of its own. 2. The timer comes first. Run again after the wait,
            # it would never come: so the attempt ends, as if it had ended at the wait.
            if asyncio.current_task() is not self.within:
                self.within.cancel()
            raise asyncio.CancelledError
        if self.state == "ending":
            # 1. A node waits in one arm, and an agent works in another arm. 2. Between two tools nothing is in flight,
            # so the attempt ends. 3. Before the agent is cancelled, the next tool begins, and would be cut off.
            raise asyncio.CancelledError
        if self.state == "over":
            raise DefinitionError(
                f"{what} was called after its node had ended",
                where=self.where,
                repair="await everything that the node starts before it returns",
            )

    def add_output(self, what: OutputKind, record: JsonValue) -> None:
        """Add a message or live data for the node's step, and for the recorded calls that the caller runs inside."""
        self.refuse_secrets(record, f"what is {what}")
        self.outputs = self.outputs or {}
        self.outputs.setdefault(what, []).append(record)
        if self.journal is not None:
            self.journal.note_output(what, record)

    def count(self, usage: Usage) -> None:
        """Count what was used and is not recorded as a piece of work."""
        self.usage = add_usage(self.usage or {}, usage)


_RECENT_SECONDS: Final = 1.0
"""Much shorter than a lease; most nodes begin within a millisecond of the step that causes them."""
_TURNS: Final = 4
"""Turns of the event loop between a wait and the end of its attempt, because the wait may be obsolete by then:

1. A node races a recorded call against `ctx.ask`, with `asyncio.wait`. 2. The call finishes, so nothing but the wait
is left. 3. The race wakes, and cancels the loser, which withdraws its wait. Ending the attempt at 2 would ask a
question whose answer is not needed. From 2 to 3 takes three turns: one for the task's callback, one for the race, one
for the cancellation; the fourth is to spare."""


class InFlight:
    """The recorded work of one attempt that is in flight, and how a wait ends the attempt.

    A wait without an answer ends the attempt. First, recorded calls in flight finish. Then the node's asyncio task is
    cancelled, as by a timeout, and the runner records the waits. A tool's call that waits inside cannot finish: it is
    cut off with the attempt, and repeated when the node runs again, with the work recorded inside it. Work that is in
    flight when an attempt ends for another reason is cancelled.

    If the host suspends the attempt instead, the same is recorded, and the asyncio task stays. Once a wait is over, the
    attempt goes on where it waits, with what it would be given if it ran again. While it is suspended, nothing that it
    does counts: if anything else lets it go on, it ends, and runs again.

    Args:
        attempt: The attempt.

    Attributes:
        waits: Its waits, by name.
        acting: How many effects are being done that a cancellation ends: not those in threads.
        halts: Whether it must end without waiting for anything, to run again when the run is resumed.
        cut_short: The names of the calls that were in flight when it ended.
    """

    def __init__(self, attempt: AttemptFacts) -> None:
        self._attempt = attempt
        self._busy: dict[str, tuple[str, asyncio.Task[Any] | None]] = {}
        self._held: Counter[str] = Counter()
        self._parked: dict[asyncio.Future[None], str] = {}  # with the key of its wait, "" for none
        self._idle: asyncio.Future[None] | None = None
        self._moved: list[asyncio.Future[None]] = []  # of what waits until nothing else of the attempt can move
        self._turns = 0  # left before it ends, see `_TURNS`; 0 if it is not about to
        self.waits: dict[str, WaitRecord] = {}
        self.acting = 0
        self.halts = False
        self.cut_short: Sequence[str] = ()

    @contextmanager
    def acts(self, *, is_async: bool) -> Iterator[None]:
        """Count an effect during a block."""
        self.acting += is_async
        try:
            yield
        finally:
            self.acting -= is_async

    def began(self, place: str, name: str) -> None:
        """Note that the calling asyncio task begins work with this key."""
        self._busy[place] = (name, asyncio.current_task())

    def ended(self, place: str) -> None:
        """Note that work is no longer in flight."""
        del self._busy[place]
        self._end_soon()
        if not self._busy and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def park(self, around: Sequence[str], key: str = "") -> None:
        """Wait for the end of the attempt, and allow it to end. Returns only if a wait is over for which it stayed.

        Args:
            around: The keys of the work inside which this waits, which cannot finish.
            key: The key of the wait; "" if it must end in any case.
        """
        if self._attempt.state != "running":  # the node suppressed the cancellation: cancel it again
            await asyncio.sleep(0)
            raise asyncio.CancelledError
        self._held.update(around)
        parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked[parked] = key
        self._end_soon()
        try:
            await parked  # the attempt ends here, unless it is suspended
        finally:
            del self._parked[parked]
            self._held.subtract(around)

    async def let_others_move(self, around: Sequence[str]) -> None:
        """Return when nothing else of the attempt can move; if it waits for anything, the attempt ends before.

        Args:
            around: The keys of the work inside which this waits, which cannot finish meanwhile.
        """
        moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.update(around)
        self._moved.append(moved)
        self._end_soon()
        try:
            await moved
        finally:
            self._moved.remove(moved)
            self._held.subtract(around)

    def go_on(self) -> bool:
        """Let a suspended attempt go on whose waits are over, some or all; return False if it is ending.

        The others are then as they would be if the node had run again, and asked for them again.
        """
        attempt, results = self._attempt, self._attempt.frame.recorded_results
        if attempt.within.cancelling() or any(parked.done() for parked in self._parked):
            return False
        attempt.state, attempt.began = "running", attempt.services.now()
        names = [*self.waits]  # a wait that the node gives up keeps its name, as when the node runs again
        for name in [name for name, wait in self.waits.items() if wait.key in results]:
            del self.waits[name]
        for name, wait in self.waits.items():
            asked = results.get(f"{ASKED}{wait.key}")
            self.waits[name] = wait if asked is None else replace(wait, asked_at=asked.at, id=asked.id or "")
        for parked, key in self._parked.items():
            if key in results:
                parked.set_result(None)
        if attempt.journal is not None:
            attempt.journal.note_names(names)
        self._end_soon()
        return True

    async def end(self) -> None:
        """Cancel what is in flight after the attempt, and return when it has ended."""
        for parked in tuple(self._parked):
            parked.cancel()
        self.cut_short = sorted({name for name, _ in self._busy.values()})
        for task in {task for _, task in self._busy.values()}:
            if task is not None:
                task.cancel()
        while self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def _end_soon(self) -> None:
        """End the attempt in a few turns, unless work that will be recorded is in flight then."""
        if not self._turns and (self.waits or self.halts or self._moved) and not self._is_busy():
            self._turns = _TURNS + 1
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        attempt = self._attempt
        self._turns -= 1
        if self._turns:
            asyncio.get_running_loop().call_soon(self._end)
        elif attempt.state == "running" and not self._is_busy() and self._moved and not (self.waits or self.halts):
            for moved in [each for each in self._moved if not each.done()][:1]:
                moved.set_result(None)
        elif attempt.state == "running" and not self._is_busy() and (self.waits or self.halts):
            if not self.halts and attempt.services.host.suspends(attempt, self.waits):
                attempt.state, attempt.usage = "suspended", None
                return
            attempt.state = "ending"
            attempt.within.cancel()

    def _is_busy(self) -> bool:
        """Return whether any work in flight can finish before the attempt ends."""
        return any(not self._held[place] for place in self._busy)


CURRENT: Final[ContextVar[Any]] = ContextVar("graphengine_scope", default=None)
"""The `Attempt` whose code runs; in another process its facts alone; None outside a run."""
