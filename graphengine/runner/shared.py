"""The objects that the runs of one Runner share: the store, the clock, resources, threads, and polls for messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import msgspec

from graphengine.engine.claim import Release
from graphengine.engine.steps import OriginRecord, given_over
from graphengine.errors import StoreError
from graphengine.runner.answers import KnownTypes
from graphengine.runner.cached_snapshots import CachedSnapshots
from graphengine.runner.clock import Alarms
from graphengine.runner.extensions import Extension
from graphengine.runner.followers import NOBODY, Following
from graphengine.runner.held_loops import LoopWatch
from graphengine.runner.other_forms import PastRuns
from graphengine.runner.starters import EndsHere, child_of, is_end, told_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus
    from graphengine.graph.effect import Effects
    from graphengine.graph.options import Sizes
    from graphengine.runner.attempt import Attempt
    from graphengine.runner.clock import Clock
    from graphengine.runner.driving import Driving
    from graphengine.runner.extensions import OpenRun
    from graphengine.runner.followers import Follower
    from graphengine.runner.resources import Resources
    from graphengine.runner.scope import Children, Executors
    from graphengine.stores.base import InboxMessage, LeaseDoubt, Post, Store

log = logging.getLogger("graphengine.runner")

INBOX_SECONDS: Final = 0.5
"""How often to poll the inboxes of driven runs for messages of other processes.

This process delivers its own messages at once. Half a second is short for a person who stops a run, and a query costs
the store little. A store that is notified of such messages ends the pause early.
"""
LOOK_SECONDS: Final = 2.0
"""How often to check whether other processes moved a sleeping run.

If anything was written to the store, a single query for all sleeping runs looks for new steps. The time may be longer
than the poll of the inbox, because a sleeping run has nothing to do, and its own time wakes it anyway.
"""

_LATE: Final = (
    "the lease of run %s ends, and could not be renewed: what acts in it is cancelled, since others may take it\n"
    "  repair: find out why the store cannot be reached; a worker continues the run"
)
_SOON_SECONDS: Final = 0.01
_AN_END_SECONDS: Final = 0.005
"""How long the end of a child run waits for other ends, for each run that was started.

This is much longer than the starting run needs to run again.
"""


class ActiveChildren:
    """Counts the child runs of one run that are active in this process, to deliver several of their ends together.

    Attributes:
        started: How many child runs have become active since none was active.
        until: When the parent run gets the reported ends, by the event loop's time; None if no end was reported.
    """

    __slots__ = ("_left", "started", "until")

    def __init__(self) -> None:
        self._left: Counter[str] = Counter()  # the number of active child runs, by the topic to which their end is sent
        self.started = 0
        self.until: float | None = None

    def began(self, topic: str) -> None:
        self._left[topic] += 1
        self.started += 1

    def ended(self, topic: str) -> bool:
        """Note that a child run is no longer active here.

        Returns:
            Whether other child runs of the same parent run are still active here.
        """
        self._left[topic] -= 1
        if not self._left[topic]:
            del self._left[topic]
        return bool(self._left)

    def __contains__(self, topic: str | None) -> bool:
        return topic in self._left


class Hears(Protocol):
    """A run in this process to which messages can be delivered; see `graphengine.runner.life.Life`."""

    id: str
    seq: int
    driving: Driving | None

    def deliver(self, messages: Sequence[InboxMessage]) -> None: ...


L = TypeVar("L", bound=Hears)


def _size_bound_in(driven: Mapping[str, Hears], run_id: str) -> int:
    """Return an upper bound of the size of a run's state, in bytes, if this process drives the run; otherwise -1.

    This is a function and not a method of `Shared`, because the cache of snapshots keeps a reference to it. A bound
    method would also refer back to `Shared`, and only the garbage collector would free the memory of a closed Runner.
    """
    life = driven.get(run_id)
    return -1 if life is None or life.driving is None else life.driving.session.size_bound


class Shared(Generic[L]):
    """The objects that the runs of one Runner share. `L` is the class of a run that is active here, `runner.life.Life`.

    Attributes:
        lives: The runs that are active here: opened, driven or asleep.
        driven: The runs that are driven now, by run id.
        asleep: The alarms of sleeping runs, by run id. An alarm is a future; `wake` completes it, and the run
            continues.
        suspended: The alarms of driven runs whose nodes are suspended in memory while they wait for child runs, by run
            id.
        active_children: The child runs that are active here and will report their end, by the id of their parent run.
            The parent run sleeps here while it waits for these children.
        opening: How many runs are being resumed.
        leaving: The asyncio tasks of nodes that were cancelled but have not ended yet.
        kept: The snapshots of waiting runs.
        types: The Python types of the answers to questions that nodes have asked.
        executors: The executors of nodes with `on=`; None to run such nodes in this process.
        children: Starts child runs for nodes; None if nodes cannot start runs.
        effects: Whether effects outside the runs happen, and which functions replace them if not.
        newest_plan: The compiled graph of the run that was opened here last.
        plans: The compiled graphs of all runs that were opened here, by fingerprint; None as long as there is only one.
        runs_again: Whether a node runs again after each of its waits, also where it could stay suspended.
        checking: The extensions that check graphs which are about to be run.
        follows: The extensions that may follow a run.
        closing: The extensions for which the Runner may have to wait when it closes.
        closed: Whether the Runner is closed, so that no run continues.
    """

    __slots__ = (
        "__weakref__",
        "_alarms",
        "_ends",
        "_fewer",
        "_inbox_task",
        "_looked_at",
        "_loop_watch",
        "_models",
        "_one_at_a_time",
        "_origins",
        "_seen",
        "_sleepers_task",
        "_soon",
        "_telling",
        "active_children",
        "asleep",
        "checking",
        "checks",
        "children",
        "clock",
        "closed",
        "closing",
        "driven",
        "effects",
        "executors",
        "extensions",
        "follows",
        "kept",
        "leaving",
        "lives",
        "newest_plan",
        "opening",
        "past",
        "plans",
        "resources",
        "runs_again",
        "sizes",
        "store",
        "suspended",
        "threads",
        "types",
    )

    def __init__(  # noqa: PLR0913 - what a whole program's runs share
        self,
        store: Store,
        clock: Clock,
        resources: Resources,
        threads: Executor,
        extensions: Sequence[Extension],
        *,
        checks: bool,
        sizes: Sizes,
        effects: Effects = "act",
        runs_again: bool = False,
        origin: OriginRecord | None = None,
    ) -> None:
        self.effects: Effects = effects
        self.runs_again = runs_again
        self.store, self.clock, self.sizes, self.checks = store, clock, sizes, checks
        self.resources, self.threads, self.extensions = resources, threads, extensions
        self.executors: Executors | None = None
        self.children: Children | None = None
        self._models: dict[str, str] = {}
        self._origins = {"": origin or OriginRecord()}
        self.checking: list[Extension] = []
        self.follows: list[Extension] = []
        self.closing: list[Extension] = []
        self._telling: list[Extension] = []
        for each in extensions:
            self._register_extension(each)
        self.lives: set[L] = set()
        self.driven: dict[str, L] = {}
        self.asleep: dict[str, asyncio.Future[None]] = {}
        self.suspended: dict[str, asyncio.Future[None]] = {}
        self.active_children: dict[str, ActiveChildren] = {}
        self.opening = 0
        self._fewer: asyncio.Event | None = None
        self._one_at_a_time: asyncio.Lock | None = None
        self._ends: EndsHere | None = None
        self.leaving: set[asyncio.Task[Any]] = set()
        self.kept, self.types = CachedSnapshots(store, partial(_size_bound_in, self.driven)), KnownTypes()
        self.newest_plan: Plan[Any] | None = None
        self.plans: WeakValueDictionary[str, Plan[Any]] | None = None  # created when there are several plans
        self.past = PastRuns(store, extensions)
        self.closed = False
        self._alarms: Alarms | None = None
        self._soon: dict[str, asyncio.TimerHandle] = {}  # the timers of the runs that are woken soon
        self._seen: dict[str, int] = {}  # the last seq of each sleeping run when it fell asleep
        self._looked_at = ""  # the store's change token when the sleeping runs were last looked at
        if store.shared:
            store.on_doubt(self._end_doubted)
        self._loop_watch: LoopWatch | None = None
        self._inbox_task: asyncio.Task[None] | None = None
        self._sleepers_task: asyncio.Task[None] | None = None

    def _register_extension(self, each: Extension) -> None:
        """Find out which services an extension provides to runs, and at which moments it must be called.

        A method that the class of the extension does not override is never called. The class is examined each time,
        because a decorator or a test can set a method on it later. If several extensions have executors, the executors
        of the first extension count.
        """
        kind, plain = type(each), Extension
        if kind.executors is not plain.executors and self.executors is None:
            self.executors = each.executors
        if kind.children is not plain.children and self.children is None:
            self.children = each.children
        if kind.models is not plain.models:
            self._models.update(each.models)
        if kind.checked is not plain.checked:
            self.checking.append(each)
        if kind.opened is not plain.opened:
            self.follows.append(each)
        if kind.told is not plain.told:
            self._telling.append(each)
        if kind.closed is not plain.closed or kind.is_used is not plain.is_used:
            self.closing.append(each)

    @property
    def one_at_a_time(self) -> asyncio.Lock:
        """A lock for runs that must be driven alone in this process, because they may have crashed it before."""
        self._one_at_a_time = self._one_at_a_time or asyncio.Lock()
        return self._one_at_a_time

    @property
    def ends(self) -> EndsHere:
        """The ends of child runs that finished in this process a moment ago, for their parent runs."""
        if self._ends is None:
            self._ends = EndsHere()
        return self._ends

    def keep_plan(self, plan: Plan[Any]) -> None:
        """Remember the compiled graph of a run that is opened here.

        A handle that was made without a graph, by the id of the run alone, can then use it.
        """
        newest = self.newest_plan
        if plan is newest:
            return
        if newest is not None:
            if self.plans is None:
                self.plans = WeakValueDictionary({newest.fingerprint: newest})
            self.plans[plan.fingerprint] = plan
        self.newest_plan = plan

    def plan_by(self, fingerprint: str) -> Plan[Any] | None:
        """Return the compiled graph with this fingerprint; None if no run of such a graph was opened here.

        The row of a run in the store contains the fingerprint of its graph.

        If there are several such graphs, return the newest.
        """
        newest = self.newest_plan
        if newest is not None and newest.fingerprint == fingerprint:
            return newest
        return None if self.plans is None else self.plans.get(fingerprint)

    def origin(self, plan: Plan[Any], user: str | None, before: OriginRecord | None = None) -> OriginRecord:
        """Return the record of who started or resumed a run: the program, the user, and the models that were given.

        Args:
            plan: The compiled graph of the run.
            user: The user who starts, resumes or branches off the run, if any.
            before: The record of the last start or resume of the run, whose models still apply.
        """
        models = {} if before is None else before.models
        result = "" if plan.result is None or plan.result.path is None else plan.result.text
        here = self._origins.get(result)
        if here is None:
            here = self._origins[result] = msgspec.structs.replace(self._origins[""], result=result)
        if not (user or models or self._models):
            return here
        return msgspec.structs.replace(here, user=user or "", models=given_over(models, self._models, plan.graph))

    def posts(self, snapshot: Snapshot, status: RunStatus) -> list[Post]:
        """Return the messages to other runs that must be posted together with the new status of a run.

        For example, a child run reports its end to its parent run. Extensions can add messages of their own.
        """
        if snapshot.starter is None and not self._telling:
            return []
        posts = [each.told(snapshot, status) for each in self._telling]
        if snapshot.starter is not None:
            posts.append(told_end(snapshot, snapshot.starter, status))
        return [post for post in posts if post is not None]

    async def following(self, run: OpenRun) -> Following:
        """Ask the extensions for followers of a run that is about to be driven or stopped, and return the followers."""
        found: list[Follower] = []
        for each in self.follows:
            follower = await each.opened(run)
            if follower is not None:
                found.append(follower)
        return Following(found) if found else NOBODY

    def note_driven(self, life: L, driving: Driving) -> Driving:
        """Remember that this process drives a run now, and begin to watch for code that blocks the event loop."""
        self.driven[life.id] = life
        if self._loop_watch is None:
            self._loop_watch = LoopWatch(self.driven)
            self._loop_watch.begin()
        return driving

    def unwatch(self) -> None:
        """Stop watching for code that blocks the event loop, because no run is driven here any more."""
        if self._loop_watch is not None:
            self._loop_watch.end()

    def has(self, run_id: str) -> bool:
        return run_id in self.driven or run_id in self.asleep

    async def idle(self) -> None:
        """Wait until this process neither drives nor resumes any run.

        A run that may crash the process is driven only after this wait, so that a crash interrupts no other run.
        """
        while self.opening or self.driven:
            self._fewer = self._fewer or asyncio.Event()
            self._fewer.clear()
            await self._fewer.wait()

    def note_fewer(self) -> None:
        """Let callers of `idle` check again, because one run fewer may be driven or opened here."""
        if self._fewer is not None:
            self._fewer.set()

    def wake(self, run_id: str) -> None:
        """Wake a run that sleeps in this process, or whose nodes are suspended, so that it reads its inbox."""
        for alarm in (self.asleep.get(run_id), self.suspended.get(run_id)):
            if alarm is not None and not alarm.done():
                alarm.set_result(None)

    def has_come_to_rest(self, reports_to: tuple[str, str]) -> None:
        """Note that a child run is no longer active here, and wake its parent run, so that it can read the child's end.

        The parent run wakes at once, or a moment later if the ends of several children are delivered together.

        Args:
            reports_to: The id of the parent run, and the topic to which the child's end is sent.
        """
        parent, topic = reports_to
        if not self.active_children[parent].ended(topic):
            del self.active_children[parent]
        if not (child_of(topic) and self.gathers(parent)):
            self.wake(parent)

    def gathers(self, run_id: str) -> bool:
        """Return whether ends of child runs are held back for a moment, so that the parent run gets several at once.

        If the parent run sleeps here, its wake-up is scheduled.

        A node that gets the end of a child runs again from its beginning, which takes about 20 µs for each child that
        it has started, and many ends often come together. So the node gets the ends when no child is active here any
        more, and at the latest five milliseconds for each child after the first end.

        An end that comes meanwhile is not lost. An example with the child runs A, B and C:

        1. The alarm of the parent run is set up, and its inbox is read: A has ended, B and C are active.
        2. B ends while the inbox is read, so the timer is set.
        3. The timer is already set. C ends, so that no child is active, and the alarm goes off.

        If C ends before 3, no child is active at 3, and the parent run is woken at once. An end is in the inbox before
        it is noted here, and a run that is woken reads its whole inbox.
        """
        children = self.active_children.get(run_id)
        if children is None:
            return False
        loop = asyncio.get_running_loop()
        children.until = children.until or loop.time() + _AN_END_SECONDS * children.started
        if (run_id in self.asleep or run_id in self.suspended) and run_id not in self._soon:
            self._soon[run_id] = loop.call_at(children.until, self.wake, run_id)
        return loop.time() < children.until

    def gets_ends(self, run_id: str) -> None:
        """Stop holding back the ends of child runs, because their parent run is about to receive all of them.

        The timer that would have woken the parent run later is stopped.
        """
        children, timer = self.active_children.get(run_id), self._soon.pop(run_id, None)
        if children is not None:
            children.until = None
        if timer is not None:
            timer.cancel()

    async def until(self, due: float, alarm: asyncio.Future[None], run_id: str, seq: int) -> None:
        """Wait until a time, or until the alarm of a sleeping run is set off, whichever comes first.

        Args:
            due: The time, in epoch seconds.
            alarm: The alarm. A message to the run sets it off, and so does a step that another process records after
                `seq`.
            run_id: The id of the sleeping run.
            seq: The number of the last step that the run had when it fell asleep.
        """
        if self.store.shared:
            # `seq` is not the last recorded seq now: another process may have stopped the run meanwhile, and the change
            # token was read then.
            self._seen[run_id], self._looked_at = seq, ""
            if self._sleepers_task is None:
                self._sleepers_task = asyncio.create_task(self._poll_sleepers(), name="graphengine sleepers")
        alarms = self._alarms = self._alarms or Alarms(self.clock)
        alarms.set(alarm, due)
        try:
            await alarm
        finally:
            self._seen.pop(run_id, None)
            alarms.drop(alarm)

    async def _end_doubted(self, doubt: LeaseDoubt) -> None:
        """Stop acting for runs whose leases this process may have lost, before other processes take these runs.

        If the leases could not be renewed in time, actions outside the runs are cancelled, because another process may
        do the same soon. Model calls continue: their responses can be recorded if the store is back in time, and asking
        a model twice repeats no effect. Otherwise the runs that another process has taken end here.
        """
        lives = tuple(self.driven.values())
        if doubt != "late":
            await asyncio.gather(*(life.driving.confirm() for life in lives if life.driving is not None))
            return
        acting: list[Attempt] = []
        for life in lives:
            if life.driving is not None and (jobs := life.driving.acting):
                log.warning(_LATE, life.id)
                life.driving.ask(Release(now=True))
                acting += jobs
        while any(job.acts for job in acting):  # noqa: ASYNC110 - the runs end later: the store cannot be reached
            await asyncio.sleep(_SOON_SECONDS)

    async def hear(self, life: L) -> None:
        """Begin to deliver the messages to a run that this process drives from now on.

        If other processes can send messages, the inboxes of all driven runs are polled. Otherwise the inbox is read
        once, because later messages come from this process.
        """
        if not self.store.shared:
            if life.seq:  # Nobody could send a message before the run was recorded.
                life.deliver(await self.store.inbox([life.id]))
        elif self._inbox_task is None:
            self._inbox_task = asyncio.create_task(self._poll_inbox(), name="graphengine inbox")

    def close(self) -> list[asyncio.Task[Any]]:
        """Stop polling the store and waiting for alarms, because the Runner closes.

        Returns:
            The asyncio tasks for whose end the Runner should wait.
        """
        waiter = None if self._alarms is None else self._alarms.close()
        polling = [task for task in (self._inbox_task, self._sleepers_task, waiter) if task is not None]
        for task in polling:
            task.cancel()
        return [*polling, *self.leaving]

    async def _poll_sleepers(self) -> None:
        """Watch the store for steps that other processes record for runs that sleep here, and wake these runs.

        Ends when no run sleeps here.
        """
        try:
            while self._seen:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    token = await self.store.change_token()
                    if token == self._looked_at:
                        continue
                    # Set before the query: 1. The query begins. 2. A run falls asleep, and clears `_looked_at`. 3. The
                    # query ends and has not looked at that run, so the next query must.
                    self._looked_at, asleep = token, self._seen.copy()
                    for run_id in await self.store.moved(asleep):
                        # 1. A run sleeps at seq 5, and the query begins. 2. The run wakes, moves, and sleeps at seq 7.
                        #    3. The query finds that the seq is 7 and not 5. No other process moved the run: `_seen` is
                        #    7 now.
                        if self._seen.get(run_id) == asleep[run_id]:
                            self.wake(run_id)
                except StoreError:  # The next poll may succeed, and the run's own time wakes it anyway.
                    self._looked_at = ""
        finally:
            self._sleepers_task = None

    async def _poll_inbox(self) -> None:
        seen = 0
        try:
            with contextlib.suppress(StoreError, TimeoutError):
                # Messages that were announced until now are there when the inbox is read.
                async with asyncio.timeout(0):
                    seen = await self.store.notifications(-1)
            while self.driven:
                held: set[str] = set()
                # The next poll may succeed. A lasting fault makes the appends fail.
                with contextlib.suppress(StoreError):
                    arrived = await self.store.inbox(list(self.driven))
                    held = {each.run_id for each in arrived if is_end(each) and self.gathers(each.run_id)}
                    for message in arrived:
                        life = self.driven.get(message.run_id)
                        if life is not None and not (message.run_id in held and is_end(message)):
                            life.deliver([message])
                    for run_id in {each.run_id for each in arrived if is_end(each)} - held:
                        self.gets_ends(run_id)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(INBOX_SECONDS):
                        if held:  # otherwise each end would cause all earlier ends to be read again
                            await asyncio.sleep(INBOX_SECONDS)
                        seen = await self.store.notifications(seen)
        finally:
            self._inbox_task = None
