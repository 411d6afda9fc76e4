"""Child runs: the runs that nodes start with `ctx.start`, and how a node waits for them.

1. The id of the child is derived from the visit of the node and the input of the child. The child is created under this
   id, with the node as its starter. Only then is the start recorded. If the process dies in between, the node starts
   the child again: the id is taken by a run with the same starter, and that run is the child.
2. The step that ends the child posts a message to the run that started it, in one transaction (`told_end`). So the end
   is reported exactly once, whichever process drives the child, and also if no process drives the other run.
3. `ChildRun.result` waits for this message in the same way as for any other message. The message only tells where to
   look. The end of the child is read then, and recorded as a piece of the node's work.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeVar, cast
from weakref import WeakKeyDictionary, ref

import msgspec
from msgspec import Struct
from pydantic_core import from_json

from graphengine.compile.compiler import compiled
from graphengine.engine.claim import Claim, Stop
from graphengine.engine.snapshot import ROOT, Frame, Snapshot
from graphengine.engine.steps import FINAL, OVER, Entered, Message, Started, StarterRecord, WaitRecord
from graphengine.engine.work_keys import CHILD, STARTS, WorkKey
from graphengine.errors import (
    ChildFailed,
    DefinitionError,
    EffectRefused,
    GraphEngineError,
    InputError,
    RunExists,
    RunnerClosed,
    StoreError,
    TooDeep,
    TreeStopped,
    UnknownRun,
    UnknownStep,
)
from graphengine.graph.elsewhere import OF_A_RESULT, missing
from graphengine.graph.options import DEPTH
from graphengine.graph.question import Answers
from graphengine.history.begun import begun_otherwise
from graphengine.history.load import load_snapshot
from graphengine.runner import opening
from graphengine.runner.arguments import as_limits, check_tags, place_in
from graphengine.runner.call_records import Shapes, digest_of_call
from graphengine.runner.extensions import Extension
from graphengine.runner.ids import derive_id, tenants_id
from graphengine.runner.life import Lives
from graphengine.runner.other_forms import StateOf, find_version
from graphengine.runner.recorded_inputs import RecordedInput
from graphengine.runner.recorded_work import journal_of
from graphengine.runner.result import result_of
from graphengine.runner.runner import lives_of
from graphengine.runner.scope import StepResult
from graphengine.runner.starters import told_end, topic_of
from graphengine.state.amounts import Number, Usage  # noqa: TC001 - msgspec reads them
from graphengine.state.encoded import encode, opened
from graphengine.state.ending import Ending  # noqa: TC001 - msgspec reads it
from graphengine.state.json_values import JsonValue  # noqa: TC001 - msgspec reads it
from graphengine.state.recorded_text import to_show
from graphengine.stores.base import status_of
from graphengine.stores.refusals import unknown_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CoroutineType

    from graphengine.graph.definition import GraphDefinition
    from graphengine.runner.life import Life
    from graphengine.runner.result import Result
    from graphengine.runner.runner import Runner
    from graphengine.runner.scope import AttemptFacts
    from graphengine.runner.shared import Shared
    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.schema import Initial
    from graphengine.stores.base import Post, RunInfo

S = TypeVar("S")

_ANY_PAYLOAD: Final = Answers(Any)
_WHERE: Final = "ctx.start"
_ALL: Final = 1_000_000


class _StartRecord(Struct, omit_defaults=True, kw_only=True):
    """What a node records when it starts a child run, so that it finds the same child when it runs again.

    Attributes:
        run_id: The id of the child.
        by: The id of the run that started the child.
        state: The final state that a substitute returned, if a substitute was called instead of starting the child.
    """

    run_id: str
    by: str
    state: dict[str, JsonValue] | None = None


class _EndRecord(Struct, omit_defaults=True, kw_only=True):
    """What a node records about the end of a child run for which it waited.

    Attributes:
        attempt: The attempt of the node that received the end.
        fingerprint: The fingerprint of the child's graph in the version to which the recorded values belong. Records of
            earlier versions of graphengine have no fingerprint, and their values are read as they are.
        version: The number of that version of the graph.
    """

    status: Literal["running", "waiting", "finished", "stopped", "failed", "cancelled"] = "finished"
    attempt: int = 0
    seq: int = 0
    values: dict[str, JsonValue] = {}
    why: str = ""
    ending: Ending | None = None
    usage: Usage = {}
    losses: dict[str, int] = {}
    visits: int = 0
    seconds: Number = 0.0
    fingerprint: str = ""
    version: int = 1

    @property
    def is_from_above(self) -> bool:
        """Whether the child was stopped only because a run above it, such as its parent, was stopped."""
        return self.ending is not None and self.ending.reason == "above"


class _AttemptChild:
    """A child run that an attempt of a node has started or found, with the end of the child once it is known.

    Several tasks of a node can call `child.result()` at the same time. The lock lets only one of them wait for the end,
    and the others use what it has found.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.end: _EndRecord | None = None  # An error is not kept, because its traceback would keep the attempt alive.


class _AttemptChildren:
    """Caches what an attempt of a node has read from the store about its own run and its child runs.

    The data must not keep the attempt alive, as the context of a task would.

    Attributes:
        children: The child runs of the attempt, by their ids.
        started_runs: The runs that the run has started since the attempt could begin; None if they were not read.
        parent: The row of the attempt's own run. Its tenant, user and place never change.
    """

    def __init__(self) -> None:
        self.children: dict[str, _AttemptChild] = {}
        self.started_runs: Sequence[RunInfo] | None = None
        self.parent: RunInfo | None = None
        self.reading: asyncio.Task[RunInfo] | None = None  # set only until it is done

    def child(self, run_id: str) -> _AttemptChild:
        return self.children.setdefault(run_id, _AttemptChild())

    def has_read(self, reading: asyncio.Task[RunInfo]) -> None:
        """Keep the row of the run, which a task has just read for all callers that waited."""
        self.reading = None
        if not reading.cancelled() and reading.exception() is None:
            self.parent = reading.result()


_CHILDREN: Final[WeakKeyDictionary[AttemptFacts, _AttemptChildren]] = WeakKeyDictionary()


def _children_of(attempt: AttemptFacts) -> _AttemptChildren:
    return _CHILDREN.setdefault(attempt, _AttemptChildren())


class ChildRuns(Extension):
    """Starts child runs for `Context.start`, in the Runner of the node's run.

    If a node runs alone, without a Runner, every child must have a substitute.
    """

    def __init__(self) -> None:
        self._shared: ref[Shared[Life[Any]]] | None = None

    def live_in(self, runner: Runner) -> None:
        """Start child runs in this Runner. Called once, when the Runner is created."""
        # A weak reference: the shared objects contain the extensions, and are freed without the garbage collector. Each
        # run that is driven keeps them alive, even if nobody refers to its Runner any more.
        self._shared = ref(lives_of(runner).shared)

    @property
    def children(self) -> ChildRuns:
        """The extension itself, because it is also the object that starts child runs."""
        return self

    async def start(
        self, attempt: AttemptFacts, graph: GraphDefinition[S], state: object, options: Mapping[str, Any]
    ) -> StartedRun[S]:
        """Start a child run, or find the child that this call has already started. Returns the handle of the child.

        `options` contains the arguments of `Context.start` by name.
        """
        plan, journal = compiled(graph), journal_of(attempt)
        attempt.check_not_over(_WHERE)
        given: Any = {} if state is None else state
        initial: Initial | None = None
        # The recorded input is read only when the child is made: a child that has begun is found without it.
        if isinstance(given, RecordedInput):
            shown = given.as_json()
        else:
            initial = plan.state.initial(given, f"{_WHERE}({graph.name})")
            shown = {name: opened(initial.values[name]) for name in initial.given if name not in plan.state.secrets}
        names = [options["run_id"], options["topic"], options["queue"]]
        attempt.refuse_secrets([shown, *names], f"what {_WHERE}({graph.name}) is given")

        def digest_under(shapes: Shapes | None) -> str:
            then = shown
            if shapes is not None and initial is not None:
                then = {**shapes.narrow_given(plan.state.model, plan.state.read_initial(initial), shown)}
            return digest_of_call(_WHERE, (graph.name, options["run_id"], then), {})

        what = digest_under(None)
        shared = None if self._shared is None else self._shared()
        start = _Start(shared, attempt, graph, given, initial, options, shown)
        # Skip children that were recorded before this run branched off, unless their results were recorded too, because
        # they report their end to the other run.
        while True:
            record = msgspec.convert(
                await journal.step_result(STARTS, what, start.make, _WHERE, digest_under), _StartRecord
            )
            _children_of(attempt).child(record.run_id)
            if record.by == attempt.services.run_id or _has_result(attempt, record.run_id):
                return StartedRun(start, record)


class _Start(Generic[S]):
    """One call of `Context.start`: creates the child run, or finds the child that it created before a crash."""

    def __init__(  # noqa: PLR0913 - a call and where it is made
        self,
        shared: Shared[Life[Any]] | None,
        attempt: AttemptFacts,
        graph: GraphDefinition[S],
        given: object,
        initial: Initial | None,
        options: Mapping[str, Any],
        shown: Mapping[str, object],
    ) -> None:
        self._shown = shown
        self.attempt, self.graph, self.plan = attempt, graph, compiled(graph)
        self.topic: str = options["topic"]
        self._shared, self._given, self._initial, self._options = shared, given, initial, options
        self.starter = StarterRecord(
            run_id=attempt.services.run_id,
            node=attempt.path,
            visit=attempt.task.visit,
            topic=self.topic,
            stays=options["stays"],
            nonce=attempt.services.run.snapshot.nonce,
        )

    @property
    def lives(self) -> Lives:
        """Finds the active runs of the Runner that drives the node's run.

        Raises:
            EffectRefused: The node runs alone, without a Runner, so it can neither start a run nor wait for the end of
                a run.
        """
        if self._shared is None:
            text = f"a node that runs alone cannot start or await a run of graph {self.graph.name!r}"
            repair = f'give a function that replaces the run: effects={{"{self.graph.name}": function}}'
            raise EffectRefused(text, where=self.attempt.where, repair=repair)
        return Lives(self._shared)

    @property
    def queue(self) -> str | None:
        """The queue from which a worker takes the child run; None if the child is driven at once.

        It is also None if this process refuses side effects, as a test does. A worker would not refuse them, so the
        child must not be given to one.
        """
        return self._options["queue"] if self.attempt.services.effects == "act" else None

    async def make(self) -> StepResult:
        """Create the child run, or find the child that this call created before a crash.

        If effects are replaced, as in a test, a substitute is called instead of starting a child.

        Returns:
            The record of the start, which is kept with the node.
        """
        services, name, journal = self.attempt.services, self.graph.name, journal_of(self.attempt)
        taken = await journal.effects.take_over(journal.below, f"{_WHERE}({name})", self._shown, None)
        if taken is not None:
            return _as_step_result(msgspec.convert(self.attempt.frame.recorded_results[taken].value, _StartRecord))
        if isinstance(given := self._given, RecordedInput):
            shared, run_id = self._shared, services.run_id
            self._given = given.given if shared is None else await given.fields_for(shared, self.plan, run_id)
            self._initial = self.plan.state.initial(self._given, f"{_WHERE}({name})")
        effects, record = services.effects, _StartRecord(run_id=name, by=services.run_id)
        if effects != "act" and (self._shared is None or self.attempt.given_for(name) is not None):
            replacement = self.attempt.acting("idempotent", name)
            final: Any = self._given if replacement is None else replacement(self._given)
            final = await final if inspect.isawaitable(final) else final
            record.state = _open_values(self.plan.state.initial(final, f"what replaces {name}").values)
        else:
            chosen, parent = self._options["run_id"], await self._parent()
            key = journal.idempotency_key(journal.below)
            # The idempotency keys of the child's work are the same as before this run was removed and started again.
            key_base = _derive_child_id(name, key)
            record.run_id = _derive_child_id(name, f"{key} {self.starter.nonce}") if self.starter.nonce else key_base
            if chosen and not await self._is_taken_over(tenants_id(parent.tenant, chosen), record.run_id, parent):
                record.run_id, key_base = tenants_id(parent.tenant, chosen), ""
            elif self.attempt.frame.arrived <= services.host.resumed_at and (
                found := await self._find_unrecorded(record.run_id)
            ):
                record.run_id = found
            if services.may_be_lost:
                await services.host.check_owned()
            children = _children_of(self.attempt)
            is_known = record.run_id in children.children
            children.child(record.run_id)
            await self._create(record.run_id, parent, "" if key_base == record.run_id else key_base, is_known=is_known)
        return _as_step_result(record)

    async def _parent(self) -> RunInfo:
        """Return the row of the node's own run, which is the parent of the child run to start.

        Many calls of the same attempt at the same time read the row only once.
        """
        cache = _children_of(self.attempt)
        if cache.parent is not None:
            return cache.parent
        if cache.reading is None:
            row = self.lives.shared.store.info(self.attempt.services.run_id)
            cache.reading = asyncio.ensure_future(row)
            cache.reading.add_done_callback(cache.has_read)
        return await asyncio.shield(cache.reading)

    async def _create(self, run_id: str, parent: RunInfo, key_base: str, *, is_known: bool) -> None:
        """Create the row and the first step of the child run, or find the child that this call has created before.

        A child found under the id may come from a call with another input:

        1. A call passes the current time as input, and begins the child.
        2. The process dies before the start is recorded, or the attempt fails.
        3. The node runs again, and passes another time. The child that exists is the child of this call.

        If the same attempt has already received the child from an earlier call, as `is_known` tells, both calls must
        pass the same input.

        Raises:
            InputError: A run with this id exists that this call did not start, or the place of the child in a queue is
                not valid.
        """
        lives, options, here = self.lives, self._options, self.attempt.services.run_id
        priority = options["priority"] if self.attempt.services.effects == "act" else 0
        self._note_place_in_tree(parent)
        limits = as_limits(options["limits"]) if options["limits"] else self.plan.limits.copy()
        self._limit_depth(limits)
        life = lives.of(here)
        above = None if life is None or life.driving is None else life.driving.snapshot.origin
        begin = partial(
            opening.begin,
            initial=self._initial,
            given=self._given,
            facts=Started(
                run_id=run_id,
                graph=self.plan.graph,
                version=self.plan.version,
                fingerprint=self.plan.fingerprint,
                limits=limits,
                starter=self.starter,
                key_base=key_base,
            ),
            tags=check_tags(options["tags"], "tags="),
            place=place_in(self.queue, priority, parent.tenant, parent.user),
            above=above,
        )
        await self._halt_if_closed()
        life = lives.begin(lives.checked(self.plan, is_queued=self.queue is not None), run_id, begin)
        life.note_starter(self.starter)
        life.is_retrieved = True  # this call raises the error
        await life.until("begun")
        if life.seq:
            life.is_retrieved = False
            return
        try:
            life.ended_with()
        except TreeStopped as error:
            lives.shared.driven[here].ask(opening.stopped_with(error.by, Stop()))
            await journal_of(self.attempt).halt()
        except RunnerClosed:  # before the child was recorded
            await journal_of(self.attempt).halt()
        except RunExists as error:
            snapshot = await load_snapshot(lives.shared.store, run_id, None)
            starter = snapshot.starter
            if starter is not None and self.attempt.frame.named:  # a changed graph has renamed the node since it began
                starter = msgspec.structs.replace(starter, node=self.starter.node)
            if starter != self.starter or await self._was_begun_otherwise(run_id, is_known=is_known):
                raise self._refuse_taken_id(run_id, starter) from error
            post = told_end(snapshot, self.starter, snapshot.status)
            if post is None:
                await self.continued(run_id, 0)
            # If the first step of the child was its last step, its end may not have been reported.
            elif not await self._post_end(post) and not await self._has_end_message(run_id, snapshot.seq):
                # 1. A node in a subgraph started the child, and received its end. 2. The subgraph failed, and is
                #    retried, so that its node needs the message again.
                if snapshot.status not in FINAL:
                    await self.continued(run_id, snapshot.seq)  # another attempt resumes a failed child
                    return
                await self._post_end(post._replace(key=f"{post.key} for {self.attempt.services.run.snapshot.seq}"))

    async def _is_taken_over(self, chosen: str, derived: str, parent: RunInfo) -> bool:
        """Return whether the id that the caller chose belongs to a child of the run from which this run branched off.

        If so, the branch starts a child of its own under an id that is derived from the chosen id. The answer stays
        True once the child with the derived id exists, even if the child with the chosen id has been removed since.
        """
        above, store = parent.parent, self.lives.shared.store
        if above is None:
            return False
        found = {info.id: info for info in await store.infos([chosen, derived])}
        there = found.get(chosen)
        while there is not None and derived not in found:
            parent = await store.info(above)
            if (there.starter, there.starter_nonce) == (parent.id, parent.nonce):
                return True
            if parent.parent is None:
                return False
            above = parent.parent
        return derived in found

    async def _find_unrecorded(self, derived: str) -> str:
        """Return the id of a child that this call began before a crash, but whose start was not recorded; "" if none.

        An example in which the child is found only by this search:

        1. A call begins a child, and the process dies, or releases the run, before the start is recorded.
        2. A deployment adds a field with a default to the type of the child's input, so that another id is derived.
        3. The node runs again, and must not begin a second child.

        If an earlier process began a child with the same input for this attempt, that child belongs to this call. An
        attempt reads the candidates once: the runs that its run has started since the attempt could begin.
        """
        store, initial, children = self.lives.shared.store, self._initial, _children_of(self.attempt)
        assert initial is not None  # noqa: S101 - `make` has read it
        if await store.infos([derived]):
            return ""
        if children.started_runs is None:
            since, here = self.attempt.frame.arrived, self.starter.run_id
            children.started_runs = await store.runs(starter=here, begun_after=since, limit=_ALL)
        memos = self.attempt.frame.recorded_results
        started = {cast("Any", memo.value)["run_id"] for key, memo in memos.items() if WorkKey.read(key).name == STARTS}
        for info in children.started_runs:
            if info.graph != self.plan.graph or info.id in started or info.id in children.children:
                continue
            try:
                was = (await load_snapshot(store, info.id, None)).starter
                is_of_visit = was is not None and (was.node, was.visit) == (self.starter.node, self.starter.visit)
                is_alike = is_of_visit and not await begun_otherwise(store, info.id, self.plan, initial)
            # A prune has removed the run since it was listed, so it belonged to a visit that is over.
            except UnknownRun:
                continue
            if is_alike and info.id not in children.children:  # another call can have found the run meanwhile
                children.child(info.id)
                return info.id
        return ""

    def _note_place_in_tree(self, parent: RunInfo) -> None:
        """Record how many runs are above the child run, and which run is at the top of the tree.

        A run is above the child if it started the child, directly or through other runs. When the run at the top is
        stopped, the child is stopped as well, unless the child was started to outlive it (`stays`).
        """
        self.starter.depth = parent.depth + 1
        if not self.starter.stays:
            self.starter.root = parent.root or parent.id
            self.starter.root_nonce = parent.root_nonce if parent.root else parent.nonce

    async def _post_end(self, post: Post) -> bool:
        """Post a message about the child to this run. Return False if the message was posted before."""
        return await self.lives.shared.store.post(*post[:-1], nonce=post.nonce)

    def _refuse_taken_id(self, run_id: str, starter: StarterRecord | None) -> InputError:
        """Build the error for a call that starts a child run under an id which another run has already."""
        text, repair = (
            f"run {run_id} exists already, and this call did not start it",
            "give another run_id, or leave out run_id=",
        )
        if starter is not None and starter.run_id == self.starter.run_id and starter.nonce != self.starter.nonce:
            text = f"run {run_id} exists already; it was started by an earlier run {starter.run_id}, which was removed"
            repair = f"give another run_id, leave out run_id=, or remove run {run_id} too"
        return InputError(text, where=_WHERE, repair=repair)

    async def _was_begun_otherwise(self, run_id: str, *, is_known: bool) -> bool:
        """Return whether the run that already has the id of the child belongs to something else than this call.

        That is so if it is a run of another graph, or if another call of this node started it with another input.
        """
        store, new = self.lives.shared.store, self._initial
        assert new is not None  # noqa: S101 - the child was made with it
        if (await store.info(run_id)).graph != self.plan.graph:
            return True
        return is_known and bool(await begun_otherwise(store, run_id, self.plan, new))

    async def find_missed_end(self, run_id: str) -> int:
        """Return the number of the step with which a child ended, if its message about the end was lost; otherwise 0.

        A child reports its end by a message to the run that started it. The message can be lost when a node is moved:

        1. A node receives the end of its child, and waits for something else.
        2. `Migration(moved=…)` drops the visit and with it the message, but keeps the record that the child was
           started.
        3. The next node would wait for the message for ever.
        """
        found = await self.lives.shared.store.infos([run_id])
        is_over = bool(found) and found[0].status in FINAL
        return found[0].seq if is_over and not await self._has_end_message(run_id, found[0].seq) else 0

    async def _has_end_message(self, run_id: str, seq: int) -> bool:
        """Return whether this run has the message that the child run ended with this step, or has received it earlier.

        Messages about earlier ends of the child do not count, because the waiting node must get the message about this
        end.

        A message that a node has already received counts only if the caller chose its topic. Such a message can be
        received by any node, but only once:

        1. An item of a map starts a child, which ends.
        2. Another item receives the message.
        3. The process dies before it has recorded the start.
        4. The first item starts the child again.
        """
        services, topic = self.attempt.services, self.topic or topic_of(run_id)
        store = self.lives.shared.store
        mail = [each.payload for each in await store.inbox([services.run_id]) if each.kind == "message"]
        messages = [each["payload"] for each in mail if each["topic"] == topic]
        messages += services.run.snapshot.mailbox.get(topic, ())
        if any(_reports_end(each, run_id, seq) for each in messages):
            return True
        if not self.topic:
            return False
        graphs, sub = set[str](), self.attempt.frame.sub
        while sub is not None and sub.up is not None:
            graphs.add(sub.parent)
            sub = sub.up.sub
        if not graphs:
            return True  # The message is no longer in the inbox, so a node has received it.
        for step in reversed(await store.steps(services.run_id)):
            if (
                isinstance(step.data, Message)
                and step.data.topic == topic
                and _reports_end(step.data.payload, run_id, seq)
            ):
                return True
            if isinstance(step.data, Entered) and step.frame in graphs:
                break  # Earlier messages were received by an earlier attempt of a graph.
        return False

    def _limit_depth(self, limits: LimitsRecord) -> None:
        """Check that the child run is not nested too deeply below other runs, and pass the limit on to the child.

        `Limits(depth=…)` of this run says how many runs may be above a run. The limit of the child may be smaller, but
        not larger.

        Raises:
            TooDeep: The limits of this run do not allow a child here.
        """
        most = self.attempt.services.run.snapshot.limits.get("depth", DEPTH)
        if most is None:
            return
        if self.starter.depth > most:
            text = f"run {self.starter.run_id} cannot start a run, which would have {self.starter.depth} runs above it"
            repair = "end the recursion, or start the first run with a larger Limits(depth=…)"
            raise TooDeep(f"{text}; the limit is {most}", where=self.attempt.where, repair=repair)
        own = limits.get("depth", DEPTH)
        if own is None or own > most:
            limits["depth"] = most

    async def _halt_if_closed(self) -> None:
        """End the attempt instead of starting a child run, if the Runner is being closed.

        The node runs again, and starts the child, when the run is resumed.
        """
        if self.lives.shared.closed:
            await journal_of(self.attempt).halt()

    async def continued(self, run_id: str, seq: int) -> None:
        """Continue a child run that no process drives, so that the node which waits for its end does not wait for ever.

        The child is left alone if it waits itself for an answer or a message, or if it has ended after the step `seq`.
        """
        if self.lives.shared.ends.has(run_id, self.starter):
            return
        alive = self.lives.of(run_id)
        is_alive = alive is not None and alive.claim.may("be_wanted")
        if alive is not None and is_alive and (alive.last_seq > seq or alive.claim.state == "opening"):
            return
        info = await self.lives.shared.store.info(run_id)
        if (info.starter, info.starter_nonce) != (self.starter.run_id, self.starter.nonce):
            raise unknown_run(run_id)  # the child was removed, and another run has its id
        if alive is not None and is_alive:
            # 1. The child sleeps here, and is stopped together with this run. 2. This run is resumed at once, before
            #    the life of the child is over.
            if info.status not in OVER:
                return
            self.lives.shared.wake(run_id)
            await alive.until("over")
        ended = info.status in FINAL or (info.status in OVER and info.seq != seq)
        if ended or status_of(info) in ("queued", "running") or (info.status == "waiting" and info.due_at is None):
            return
        await self._halt_if_closed()
        resume = partial(opening.resume, by_starter=True)
        life = self.lives.begin(self.lives.checked(self.plan), run_id, resume, Claim(follows=True))
        life.note_starter(self.starter)
        if info.status in OVER:
            # 1. The child failed, and its starting node is retried, which resumes the child.
            # 2. The node is recorded as waiting for the end of the child, and the process dies.
            # 3. If the resume was not recorded before, nobody would ever resume the child.
            # So if the store refuses the record, the node fails instead of waiting: another attempt resumes the child.
            await life.until("begun")
            error = life.task.exception() if life.is_over and not life.task.cancelled() else None
            if not life.seq and isinstance(error, StoreError):
                life.is_retrieved = True  # this call raises the error
                raise error


class StartedRun(Generic[S]):
    """The handle on a child run that `Context.start` returns; see `graphengine.runner.ChildRun`."""

    def __init__(self, start: _Start[S], record: _StartRecord) -> None:
        self.id = record.run_id
        self._start, self._record = start, record

    def __repr__(self) -> str:
        return f"ChildRun({self.id!r})"

    if not TYPE_CHECKING:  # type checkers know the attributes

        def __getattr__(self, name: str) -> NoReturn:
            hints = dict.fromkeys(OF_A_RESULT, f"(await child.result()).{name}")
            missing(self, name, "Run", "Runner", hints={**hints, "run_id": "child.id"})

    def result(self) -> CoroutineType[Any, Any, Result[S, Any]]:
        """Wait until the child run has ended, and return its result; see `ChildRun.result`."""
        tracked = journal_of(self._start.attempt).track("child.result", self._result())
        return cast("CoroutineType[Any, Any, Result[S, Any]]", tracked)

    async def _result(self) -> Result[S, Any]:
        start, attempt = self._start, self._start.attempt
        attempt.check_not_over("child.result")
        if self._record.state is not None:
            return self._as_result(_EndRecord(values=self._record.state))
        if start.topic:
            text = f"run {self.id} sends its end as a message on the topic {start.topic!r}, so it has no result() here"
            raise DefinitionError(text, where=attempt.where, repair="receive the message, or leave out topic=")
        child = _children_of(attempt).child(self.id)
        async with child.lock:
            if child.end is None:
                try:
                    child.end = await self._await_end()
                except UnknownRun as error:
                    raise ChildFailed(self.id, "removed", "its end was not read before", attempt.where) from error
        if child.end.status != "finished":
            raise ChildFailed(self.id, child.end.status, child.end.why, attempt.where)
        return self._as_result(child.end)

    async def _await_end(self) -> _EndRecord:
        """Wait until the child run has ended, and return its recorded end.

        Raises:
            UnknownRun: The child was removed.
        """
        start, attempt = self._start, self._start.attempt
        journal, where = journal_of(attempt), "child.result"
        journal.check_may_wait(where)
        topic, seq = topic_of(self.id), 0
        digest = digest_of_call("receive", (topic,), {})
        while True:
            recorded = journal.known("receive", digest)
            if recorded is None:
                journal.in_flight.began(topic, where)  # Otherwise a wait beside it could end the attempt in between.
                try:
                    await start.continued(self.id, seq)
                finally:
                    journal.in_flight.ended(topic)
            wait = WaitRecord(kind="receive", topic=topic, question=to_show(f"the end of run {self.id}"))
            wait.keeps_slot = start.queue is None  # Nothing else limits how many children of a map run here.
            wait.together = True
            missed = await start.find_missed_end(self.id) if recorded is None and journal.is_recoded else 0
            report = {"seq": missed} if missed else await journal.wait_for(wait, digest, _ANY_PAYLOAD)
            if not (isinstance(report, dict) and isinstance(report.get("seq"), int)):
                continue  # a message on the same topic from another sender
            look = partial(self._read_end, report["seq"])
            record = await journal.step_result(f"{CHILD}{self.id}", str(report["seq"]), look, where)
            end = msgspec.convert(record, _EndRecord)
            if end.status == "finished":
                return await self._migrate(end, report["seq"])
            goes_on = end.attempt < attempt.task.attempt or (
                recorded is not None and recorded.at < attempt.frame.arrived
            )
            if end.status in OVER and not ((goes_on or end.is_from_above) and end.status != "cancelled"):
                return end
            seq = end.seq

    async def _migrate(self, end: _EndRecord, seq: int) -> _EndRecord:
        """Return the end of a finished child, with its values migrated to the current version of its graph.

        The migrated values are recorded with the node as well, so that they can be read without the old migrations:

        1. The end of the child is recorded.
        2. A deployment changes the version of the graph, and this node runs again. The values as migrated by `migrate=`
           are recorded, under the fingerprint that the values had before.
        3. The node runs again, and uses that record. So the team may remove the migration from `migrate=`.
        4. The next deployment migrates the values of that record.

        Raises:
            GraphChanged: The values do not fit the graph, or belong to a newer version. The run is released unchanged,
                because a process with another version of the graph can continue it.
            SecretKeyWrong: The graph has another key. The run is released too.
        """
        name, journal = f"{CHILD}{self.id}", journal_of(self._start.attempt)
        while end.fingerprint not in ("", self._start.plan.fingerprint):
            under, new = f"{seq} {end.fingerprint}", end
            if journal.known(name, under) is None:
                new = await self._migrate_values(end)
                if new.version == end.version and encode(new.values) == encode(end.values):
                    break  # a record would contain nothing new

            async def make(migrated: _EndRecord = new) -> StepResult:
                return _as_step_result(migrated)

            record = await journal.step_result(name, under, make, "child.result")
            end = msgspec.convert(record, _EndRecord)
        return end

    async def _migrate_values(self, end: _EndRecord) -> _EndRecord:
        """Migrate the values of a finished child to the current version of its graph, without recording them.

        Errors are raised as by `_migrate`.
        """
        plan, shared = self._start.plan, self._start.lives.shared
        state = StateOf(self.id, plan.graph, end.seq, end.values, end.fingerprint, end.version)
        try:
            values = await state.migrate_to(plan, shared.store, shared.extensions)
        except GraphEngineError as error:
            self._start.attempt.services.host.give_up(error)
            raise
        new = {"values": _open_values(values), "fingerprint": plan.fingerprint, "version": plan.version}
        return msgspec.structs.replace(end, **new)

    async def _read_end(self, seq: int) -> StepResult:
        """Read how the child run ended at this step, in the form in which the waiting node records the end.

        If the child no longer has this step, the child has continued. The returned record then has the status
        `running`. An example:

        1. The child fails, and reports its end to this run.
        2. It is resumed, and its old steps are trimmed.
        3. This run looks for the reported step, which no longer exists. The child will report its next end.
        """
        end = _EndRecord(status="running", attempt=self._start.attempt.task.attempt, seq=seq)
        here = self._start.lives.shared.ends.take(self.id, seq, self._start.starter)
        if here is not None:
            end.status, end.ending, end.values = "finished", here.ending, from_json(here.body)
            end.usage, end.losses, end.visits, end.seconds = here.usage, here.losses, here.visits, here.seconds
            await self._note_version(end, here.fingerprint)
            return _as_step_result(end)
        try:
            there = await load_snapshot(self._start.lives.shared.store, self.id, seq)
        except UnknownStep:
            return _as_step_result(end)
        by, starter = there.starter, self._start.starter
        if by is None or (by.run_id, by.nonce) != (starter.run_id, starter.nonce):
            raise unknown_run(self.id)  # the child was removed, and another run has its id
        end.status, end.ending = there.status, there.ending
        if there.status == "finished":
            end.values, end.usage, end.losses = _open_values(there.root.values), there.usage, there.losses
            end.visits, end.seconds = there.steps, there.elapsed_seconds
            await self._note_version(end, there.fingerprint)
        elif there.failure is not None:
            end.why = f"{there.failure.kind}: {there.failure.message}"
        elif there.ending is not None:
            end.why = there.ending.why
        is_loss = end.status in OVER and end.status != "finished" and not end.is_from_above
        return replace(_as_step_result(end), usage={"failed_children": 1} if is_loss else None)

    async def _note_version(self, end: _EndRecord, fingerprint: str) -> None:
        """Record under which version of the child's graph the child ended, so that its values can be migrated."""
        end.fingerprint = fingerprint
        end.version = await find_version(fingerprint, self._start.plan, self._start.lives.shared.store)

    def _as_result(self, end: _EndRecord) -> Result[S, Any]:
        snapshot = Snapshot(run_id=self.id, graph=self._start.graph.name, seq=end.seq, status="finished")
        snapshot.usage, snapshot.losses, snapshot.ending = end.usage, end.losses, end.ending
        snapshot.steps, snapshot.elapsed_seconds = end.visits, end.seconds
        snapshot.frames = {ROOT: Frame(values=dict(end.values))}
        return result_of(self._start.plan, snapshot)


def _as_step_result(facts: _StartRecord | _EndRecord) -> StepResult:
    record = msgspec.to_builtins(facts)
    return StepResult(record, len(encode(record)))


def _derive_child_id(name: str, key: str) -> str:
    return derive_id("child", f"{name[:60]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}")


def _reports_end(message: object, run_id: str, seq: int) -> bool:
    """Return whether a message reports that the child run with this id ended with the step of this number."""
    return isinstance(message, dict) and (message.get("run_id"), message.get("seq")) == (run_id, seq)


def _has_result(attempt: AttemptFacts, run_id: str) -> bool:
    found = attempt.frame.recorded_results.items()
    ends = [memo.value for key, memo in found if WorkKey.read(key).name == f"{CHILD}{run_id}"]
    return any(msgspec.convert(end, _EndRecord).status == "finished" for end in ends)


def _open_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: opened(value) for name, value in values.items()}


__all__ = ["ChildRuns", "StartedRun"]
