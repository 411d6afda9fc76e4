"""The surroundings of a node's code: the driver of its run, objects that all attempts share, and calls in progress.

`Host` is the interface of the object that drives the run. `NodeServices` contains the objects that all attempts of a
run share. `AttemptFacts` is the data of one attempt. `InFlight` knows the calls and waits of an attempt, and ends the
attempt when it only waits.
"""

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
    """The result of a finished piece of work inside a node, such as a call, in the form in which it is recorded.

    Attributes:
        record: The value that is stored, and that is returned when the node asks for the work again.
        size_bytes: The size of the record as JSON.
        usage: The usage of the work, such as tokens and cost.
        by: For a call of a model: the `agent` that called, and the `model` that answered.
    """

    record: JsonValue
    size_bytes: int
    usage: Usage | None = None
    by: ModelCaller | None = None


_SIZES: Final = Sizes()


class Host(Protocol):
    """The interface that a running node has to the object that drives it.

    `Driving` implements the interface for the nodes of a run, and `Alone` for a single node, for example in a test.
    """

    @property
    def audience(self) -> Audience:
        """The watchers of the run's live events, and the calls that show live events."""
        ...

    @property
    def is_halting(self) -> bool:
        """Whether the run will stop or be released as soon as the running nodes have ended."""
        ...

    @property
    def is_released(self) -> bool:
        """Whether this process gives up the run, by a release or because its Runner closes, and still owns the run."""
        ...

    @property
    def wrote_at(self) -> float:
        """When this process last wrote to the store, in epoch seconds of the machine's clock.

        The time matters because a successful write proves that the process still owned the run then.
        """
        ...

    @property
    def resumed_at(self) -> float:
        """When this process resumed the run, by the clock of the log; 0 if the run began here.

        See `Driving.resumed_at`.
        """
        ...

    async def check_owned(self) -> None:
        """Ask the store whether this process still drives the run.

        Raises:
            LeaseLost: Another process has taken the run, or the run was released.
        """
        ...

    async def may_begin(self, *, reads: bool) -> bool:
        """Return whether a node may begin, although another process may have taken the run or may still run the node.

        The runner asks this before a node begins if the last write of this process was long ago, or if a process that
        was cut off may still run the node.

        Args:
            reads: Whether the node has no side effects but only reads. Such a node need not wait for a process that was
                cut off.

        Raises:
            LeaseLost: Another process has taken the run, or the run was released.
        """
        ...

    def cut_until(self, seq: int) -> float:
        """Return until when a process that lost this run may still be acting, in epoch seconds; 0 if no process may.

        A process that was cut off from the database goes on until it notices this. It may still do what it began before
        the step with the number `seq`.
        """
        ...

    async def keep_code(self) -> None:
        """Store the code of the graph before a transaction whose steps refer to the code.

        If several transactions wrote the same code, they would collide at the row of the code.
        """
        ...

    async def read_code(self, code: str) -> Mapping[str, Any] | None:
        """Return the stored code of a graph by its id; None if the store does not have it.

        The code describes the functions and types of the graph, so that later code can be compared with it.
        """
        ...

    def check(self) -> None:
        """Raise the error of an earlier append to the log of this run, if an append has failed.

        After such a failure, the steps in memory may be ahead of the log, so the run must not continue in this process.

        Raises:
            StoreError: A step could not be recorded, and the run ends here.
        """
        ...

    def give_up(self, error: GraphEngineError) -> None:
        """Release the run without recording a step, so that it neither fails nor continues here.

        `Run.result` then raises the error. A node calls this for work that it cannot do in this process, but that a
        process with another version of the graph can do.
        """
        ...

    def has_message(self, topic: str) -> bool:
        """Return whether a message on this topic has arrived that no node has received yet."""
        ...

    def spending(self) -> Sequence[AttemptFacts]:
        """Return the attempts with usage, such as tokens, that is not recorded in a step yet."""
        ...

    def note_cut_off(self, attempt: AttemptFacts) -> bool:
        """Return whether the driver of the run cancelled the attempt, and then remember that the node was interrupted.

        False if the node's own code cancelled its asyncio task, so that the node has failed.
        """
        ...

    def emitted(self, path: str, data: object) -> None:
        """Show data from `ctx.emit` to watchers. May be called from any thread."""
        ...

    async def halted(self) -> None:
        """Wait until no further node may start, because the run is being stopped or released."""
        ...

    @property
    def runs_again(self) -> bool:
        """Whether a node runs again after every wait, instead of being suspended in memory (`Runner(run_again=True)`).

        Programs use this option during development, to find nodes that do something else when they run again.
        """
        ...

    def suspends(self, attempt: AttemptFacts, waits: Mapping[str, WaitRecord]) -> bool:
        """Return whether to suspend an attempt in memory while it waits, instead of ending it.

        The waits are recorded in both cases. The code of a suspended attempt continues where it waits when a wait is
        over. If the attempt is ended, the node runs again from its beginning instead.

        Args:
            attempt: The attempt.
            waits: The waits of the attempt, by name.
        """
        ...

    @property
    def note(self) -> Callable[[Event], Awaitable[None]]:
        """Record an event of a node that is still running, such as the result of a call.

        Returns when the step is durable.
        """
        ...

    @property
    def transactions(self) -> Transactional | None:
        """The store, if its database supports transactions for functions of nodes; otherwise None."""
        ...

    async def note_within(self, events: Sequence[Noted], transaction: Transaction) -> None:
        """Record events as the last statement of a function's database transaction, and commit the transaction.

        Raises:
            TransactionUndone: The database undid the transaction. Nothing was recorded.
            StoreError: The events could not be recorded, and the run ends here.
        """
        ...


class Executors(Protocol):
    """Runs nodes that were declared with `on=`, in other processes or on other machines."""

    def counts_time(self, on: str) -> bool:
        """Return whether the executor itself enforces the timeout of a call, counted from when the call begins."""
        ...

    async def call(self, call: Call, values: dict[str, object], context: Any, seconds: float | None) -> object:  # noqa: ANN401
        ...


class ChildRun(Protocol[S, Out_co]):
    """A handle on a child run that a node started. `Context.start` returns it."""

    @property
    def id(self) -> str:
        """The id of the child run."""
        ...

    def result(self) -> Coroutine[Any, Any, Result[S, Out_co]]:
        """Wait until the child run has ended, and return its result. The result is recorded with the node.

        If the child run failed or was stopped, it continues when the node is attempted again, or when the run of the
        node is resumed.

        Raises:
            ChildFailed: The child failed, was stopped, or was removed before its end was read.
        """
        ...


class Children(Protocol):
    """Starts child runs for `Context.start`, and waits for them."""

    async def start(
        self, attempt: AttemptFacts, graph: GraphDefinition[Any], state: object, options: Mapping[str, Any]
    ) -> ChildRun[Any, Any]:
        """Start a child run, or find the child that this call has already started. Returns the handle of the child.

        `options` contains the arguments of `Context.start` by name.
        """
        ...


class EarlierRuns(Protocol):
    """Finds the earlier runs that a node reads with `ctx.runs`; see `graphengine.runner.other_forms.PastRuns`."""

    async def find(
        self, run_id: str, graph: str, last: int, fields: Collection[str] | None, plan: Plan[Any] | None
    ) -> list[PastRun]: ...

    async def migrate(self, runs: Sequence[PastRun], fields: Collection[str] | None, plan: Plan[Any]) -> list[PastRun]:
        """Migrate runs that were read under an older version of their graph to the current version."""
        ...


class NodeServices(Struct):
    """The objects that the attempts of all nodes of one run share.

    Attributes:
        run: The run.
        run_id: The id of the run, which is needed even after the snapshot is freed.
        host: The driver of the run.
        resources: The resources of nodes, by the id of their compiled graph.
        threads: The thread pool of blocking functions.
        now: Returns the time for the steps of the run, in epoch seconds.
        wall: Returns the time of the machine's clock, by which waits end.
        past: Finds the earlier runs that nodes read; None if nodes cannot read any.
        executors: The executors of nodes with `on=`; None to run such nodes in this process.
        children: Starts child runs for nodes; None if nodes cannot start runs.
        following: The followers of the run, which extensions provide.
        loop: The event loop of the run.
        is_shared: Whether other processes can take the run if this process is suspended.
        guard: Keeps the graph's secrets out of recorded and shown data; None if the graph has no secrets.
        effects: Whether effects outside the run happen, and which functions replace them if not.
        types: Remembers the types with which nodes read answers; None if the types are not kept.
        readers: Weak references to the attempts that read mutable fields. An attempt disappears when none of its code
            is left.
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
        """The limits of the size of recorded data."""
        return self.run.sizes or _SIZES

    @property
    def may_be_lost(self) -> bool:
        """Whether another process may have taken the run, because this process has not written for a long time."""
        # If the clock was set, the difference counts as time that has passed.
        return self.is_shared and abs(self.wall() - self.host.wrote_at) > _RECENT_SECONDS


class Journal(Protocol):
    """The part of `StepJournal`, the recorded work of one attempt, that this module uses.

    `journal_of` returns the full `StepJournal`.
    """

    in_flight: InFlight

    @property
    def time(self) -> float:
        """The time that `ctx.now` returns: when the attempt could begin, or when its last recorded work was done."""
        ...

    def note_output(self, what: OutputKind, record: JsonValue) -> None:
        """Add a sent message, or live data, to the record of each `ctx.call` inside which the calling code runs.

        When the node runs again, these calls are not repeated. So their records must contain what the calls have sent
        and shown.
        """
        ...

    def note_names(self, names: Collection[str]) -> None:
        """Remember the names of waits that are recorded now, so that no later wait gets the same name."""
        ...


class AttemptFacts:
    """The data of one attempt of a node. `graphengine.runner.attempt.Attempt` adds the code that runs it.

    Args:
        task: The task to be done.
        services: The objects that this attempt shares with the other attempts of the run.

    Attributes:
        within: The asyncio task in which the attempt runs.
        state: `ready` to run; `running`; `suspended`, because it waits for something that ends here soon; `ending`,
            because it waits or halts, so that its asyncio task is cancelled; or `over`.
        frame: The place in the run where the node is: the run itself, a subgraph, an arm of a fork or an item of a map.
        plan: The compiled graph to which the node belongs.
        node: The node.
        view: The values of the state that the node can read.
        call: The body that the node runs; None if the node itself chooses between several bodies.
        choice: The name of the body that the node chose.
        began: When the node began, by the clock of the run's log.
        usage: The usage (model calls, tokens and cost) of the attempt that is not recorded with one of its calls.
        outputs: The messages and the live data that will be recorded in the step of the node.
        journal: The recorded work and the waits of the attempt; None until something uses the journal.
        random: The generator of the node's random numbers, once it is used.
        settles: Whether the attempt finds out how effects of earlier code ended, before it runs any code of the node.
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
        """The path of the node in the run, such as `article/review` or `research[3]`."""
        return path_of(self.task.frame, self.task.node)

    @property
    def where(self) -> str:
        return f"node {self.path}"

    @property
    def visit_key(self) -> str:
        """A key that identifies this visit of the node, from which idempotency keys are derived.

        The key is different for each visit of the node, each item of a map and each branch of the run. It stays the
        same if the run is removed and started again with the same id.
        """
        return f"{self.services.run.snapshot.key_base or self.services.run_id}/{place_of(self.frame)}"

    @property
    def must_stop(self) -> bool:
        """Whether the run, or the subgraph with this node, must stop: somebody asked for it, or a limit is reached."""
        return self.services.host.is_halting or limit_over(self.services.run.snapshot, self.frame)

    @property
    def read_of_nodes(self) -> Sequence[str]:
        """The parameters of the node's body whose values were written by nodes, not by the caller of the run."""
        return () if self.call is None else read_of_nodes(self.call, self.frame)

    def is_given(self, text: str) -> bool:
        """Return whether the node read or received exactly this text from a person or from the caller of the run."""
        return is_given(self.frame, text)

    def given_for(self, name: str) -> Callable[..., object] | None:
        """Return the substitute that the caller gave for this function, tool or graph; None if there is none."""
        effects, graph = self.services.effects, self.services.run.plan.graph
        return None if effects == "act" else replacing(effects, graph, without_items(self.path), name)

    def acting(self, effect: Effect | None, name: str, where: str = "") -> Callable[..., object] | None:
        """Return the substitute for a function that acts outside the run; None to call the function itself.

        Substitutes are given with `Runner(effects={…})`, for example by a test that must not send real mail.

        Args:
            effect: The kind of side effect that the function declares.
            name: The name of the function.
            where: A description of the call or the agent, for the error message.

        Raises:
            EffectRefused: Effects are refused here, and there is no substitute for this function.
        """
        kind, found = kind_of(effect), self.given_for(name)
        if self.services.effects == "act" or kind in (None, "read"):
            return None
        if found is not None:
            return found
        raise EffectRefused(
            f"{name} was not called, because it acts outside the run (effect={kind!r}) and effects are refused here",
            where=where or self.where,
            repair=f'give a function that replaces it, effects={{"{name}": function}}, or allow effects: effects="act"',
        )

    def refuse_secrets(self, record: JsonValue, what: str) -> None:
        """Check that a value which is about to be recorded contains no secret of the graph.

        Raises:
            NotRecordable: The value contains a secret.
        """
        if self.services.guard is not None:
            self.services.guard.refuse(record, what, self.where)

    def check_not_over(self, what: str) -> None:
        """Refuse a call of a `ctx` method after the node has ended, for example by a task that the node left running.

        Raises:
            DefinitionError: The node has ended.
            CancelledError: The attempt is ending because it waits, so the calling code must end too.
        """
        if self.state == "suspended":
            # 1. A node waits for a child, and beside it for a timer of its own. 2. The timer comes first. If the node
            #    ran again after the wait, the timer would never come. So the attempt ends, as if it had ended at the
            #    wait.
            if asyncio.current_task() is not self.within:
                self.within.cancel()
            raise asyncio.CancelledError
        if self.state == "ending":
            # 1. A node waits in one arm, and an agent works in another arm. 2. Between two tools nothing is in flight,
            #    so the attempt ends. 3. Before the agent is cancelled, the next tool begins, and would be cut off.
            raise asyncio.CancelledError
        if self.state == "over":
            raise DefinitionError(
                f"{what} was called after its node had ended",
                where=self.where,
                repair="in the node, await everything that it starts before the node returns",
            )

    def add_output(self, what: OutputKind, record: JsonValue) -> None:
        """Add a sent message or live data to the step of the node.

        It is also added to the record of each `ctx.call` inside which the calling code runs.
        """
        self.refuse_secrets(record, f"what is {what}")
        self.outputs = self.outputs or {}
        self.outputs.setdefault(what, []).append(record)
        if self.journal is not None:
            self.journal.note_output(what, record)

    def count(self, usage: Usage) -> None:
        """Add usage, such as tokens or cost, that belongs to the node's step and to no recorded call."""
        self.usage = add_usage(self.usage or {}, usage)


_RECENT_SECONDS: Final = 1.0
"""Much shorter than a lease. Most nodes begin within a millisecond after the step that causes them."""
_TURNS: Final = 4
"""The number of turns of the event loop between a wait and the end of its attempt.

The wait may no longer be needed after a few turns: 1. A node races a recorded call against `ctx.ask`, with
`asyncio.wait`. 2. The call finishes, so only the wait is left. 3. The race wakes, and cancels the loser, which
withdraws its wait. If the attempt ended at 2, a question would be asked whose answer is not needed. From 2 to 3 takes
three turns: one for the task's callback, one for the race, one for the cancellation. The fourth is a reserve.
"""


class InFlight:
    """The calls and waits of one attempt of a node that are in progress, and how a wait ends the attempt.

    A wait without an answer ends the attempt. First, recorded calls in progress finish. Then the node's asyncio task is
    cancelled, as by a timeout, and the runner records the waits. A tool call that contains a wait cannot finish: it is
    cut off with the attempt, and is repeated when the node runs again, with the work that was recorded inside it. If
    the attempt ends for another reason, calls in progress are cancelled.

    If the runner suspends the attempt in memory instead, the waits are recorded in the same way, but the asyncio task
    stays. When a wait is over, the attempt continues where it waits, with the same values that it would get if it ran
    again. While it is suspended, nothing that it does counts: if anything other than the end of a wait lets it
    continue, it ends, and the node runs again.

    Args:
        attempt: The attempt.

    Attributes:
        waits: The waits of the attempt, by name.
        acting: How many effects are being done that a cancellation would end. Effects in threads do not count.
        halts: Whether the attempt must end without waiting, and run again when the run is resumed.
        cut_short: The names of the calls that were in progress when the attempt ended.
    """

    def __init__(self, attempt: AttemptFacts) -> None:
        self._attempt = attempt
        self._busy: dict[str, tuple[str, asyncio.Task[Any] | None]] = {}
        self._held: Counter[str] = Counter()
        self._parked: dict[asyncio.Future[None], str] = {}  # with the key of its wait, "" if it has no wait
        self._idle: asyncio.Future[None] | None = None
        self._moved: list[asyncio.Future[None]] = []  # the callers that wait until nothing else of the attempt can move
        self._turns = 0  # the turns left before the attempt ends, see `_TURNS`; 0 if it is not about to end
        self.waits: dict[str, WaitRecord] = {}
        self.acting = 0
        self.halts = False
        self.cut_short: Sequence[str] = ()

    @contextmanager
    def acts(self, *, is_async: bool) -> Iterator[None]:
        """Count a side effect outside the run as in progress while the code inside the `with` block runs.

        The count tells whether cancelling the attempt would interrupt an effect. Effects in threads are not counted,
        because a cancellation cannot interrupt them.
        """
        self.acting += is_async
        try:
            yield
        finally:
            self.acting -= is_async

    def began(self, place: str, name: str) -> None:
        """Note that the calling asyncio task begins a recorded call, which is identified by the key `place`.

        If another part of the node begins to wait meanwhile, the attempt ends only when this call has finished, unless
        the call contains the wait.
        """
        self._busy[place] = (name, asyncio.current_task())

    def ended(self, place: str) -> None:
        del self._busy[place]
        self._end_soon()
        if not self._busy and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def park(self, around: Sequence[str], key: str = "") -> None:
        """Wait until the attempt is ended by a cancellation, because the calling code needs an answer that is missing.

        The attempt ends when nothing else in it can finish. If it is suspended instead, this method returns when the
        wait is over.

        Args:
            around: The keys of the recorded calls that contain the calling code, and so cannot finish before it.
            key: The key of the wait; "" if the attempt must end in any case.
        """
        if self._attempt.state != "running":  # The node suppressed the cancellation, so it is cancelled again.
            await asyncio.sleep(0)
            raise asyncio.CancelledError
        self._held.update(around)
        parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked[parked] = key
        self._end_soon()
        try:
            await parked  # The attempt ends here, unless it is suspended.
        finally:
            del self._parked[parked]
            self._held.subtract(around)

    async def let_others_move(self, around: Sequence[str]) -> None:
        """Let the other code of the node run, and return when each piece of it has finished or waits for something.

        A node can run several pieces of code at the same time. If a piece waits for something from outside, such as an
        answer, the attempt ends and this call is cancelled.

        Args:
            around: The keys of the recorded calls that contain the caller, and so cannot finish meanwhile.
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
        """Let a suspended attempt continue, because some of its waits are over.

        The other waits stay open. They are treated as if the node had run again and had begun them again.

        Returns:
            False if the attempt cannot continue, because it is already ending.
        """
        attempt, results = self._attempt, self._attempt.frame.recorded_results
        if attempt.within.cancelling() or any(parked.done() for parked in self._parked):
            return False
        attempt.state, attempt.began = "running", attempt.services.now()
        names = [*self.waits]  # A wait that the node withdraws keeps its name, as it does when the node runs again.
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
        """Cancel the calls of the node that are still in progress when its attempt ends, and wait for their ends."""
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
        """Schedule the end of the attempt because it waits, unless a call is in progress that will be recorded."""
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
        """Return whether a recorded call is in progress that can still finish, so that the attempt must not end yet."""
        return any(not self._held[place] for place in self._busy)


CURRENT: Final[ContextVar[Any]] = ContextVar("graphengine_scope", default=None)
"""The `Attempt` whose code is running. In another process, its facts alone. None outside a run."""
