"""Replay: a recorded run over today's graph, without calling a node. Does today's graph decide as it was decided then?

Each recorded step gives back the event that it came from (`graphengine.history.replay.event_of_step`); `decide` decides
it anew with today's plan; the two steps are compared (`graphengine.history.replay.step_diff`), and what today's node
would be asked for and given with what it was (`graphengine.history.replay.node_diff`). Then the fold goes on with the
recorded step, so that later differences are found too. Conditions, reducers, validators and selectors are called;
nodes, agents and resources never.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from graphengine.engine.events import NodeEntered, NodeFailed, Settled
from graphengine.engine.fold import evolve
from graphengine.engine.lookup import StaleEvent
from graphengine.engine.machine import decide
from graphengine.engine.redaction import encrypted_today, hidden
from graphengine.engine.snapshot import Snapshot, sub_id
from graphengine.engine.steps import Attempt, Continued, Outcome, Started, fingerprint_of, marks_in, outcome_of
from graphengine.errors import GraphChanged, GraphEngineError, StoreCorrupt
from graphengine.history.export import Exported
from graphengine.history.replay.event_of_step import EXCEPTION, RAW, Again, Apart, again, node_of, walked
from graphengine.history.replay.node_diff import OF_ATTEMPTS, asked
from graphengine.history.replay.step_diff import REASON, Differing, differing, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step
    from graphengine.graph.graph import Graph
    from graphengine.state.json_values import JsonValue

_LIMITS: Final = "limits of the run: whether the caller or the graph gave them is not recorded"
_OLDER: Final = "recorded under version {} of the graph, from which a migration leads on"
_UNSURE: Final = (EXCEPTION, RAW)


@dataclass(frozen=True, slots=True)
class Difference:
    """One step that today's graph decides otherwise, or that it could not have come to.

    Attributes:
        seq: The step.
        path: The place of its node, as `article/review`; "" for a step of the run itself.
        what: `edge`, `update`, `inputs`, `work`, `ready`, `state`, `limit`, `retry`, `choice`, `wait`, `map`,
            `subgraph`, `stop`, `outcome`, `marks`; `reason` where the same was decided for a reason in other words.
        recorded: What was recorded, as JSON.
        today: What it is today, as JSON.
        message: The difference in a sentence.
        repair: What to do about it.
    """

    seq: int
    path: str
    what: str
    recorded: JsonValue
    today: JsonValue
    message: str
    repair: str

    def __str__(self) -> str:
        place = f" ({self.path})" if self.path else ""
        return f"step {self.seq}{place}, {self.what}: {self.message}\n  repair: {self.repair}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found.

    Attributes:
        run_id: The run.
        graph: The name of its graph.
        steps: How many steps were looked at.
        differences: What today's graph decides otherwise, in order of seq.
        reasons: Steps that lead the same way for a reason in other words; they are no differences.
        unchecked: What could not be decided anew, and in how many steps, since no log keeps it.
    """

    run_id: str
    graph: str
    steps: int
    differences: Sequence[Difference]
    reasons: Sequence[Difference]
    unchecked: Mapping[str, int]

    @property
    def same(self) -> bool:
        """Whether today's graph decides every step as it was decided."""
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The first difference."""
        return self.differences[0] if self.differences else None

    def __str__(self) -> str:
        if self.first is None:
            lines = [f"run {self.run_id} of {self.graph}: {self.steps} steps, decided today as they were"]
        else:
            count = len(self.differences)
            more = f"; {count} differences in all" if count > 1 else ""
            lines = [f"run {self.run_id} of {self.graph}: today's graph decides otherwise{more}", str(self.first)]
        lines += [f"  not checked: {what} ({count} steps)" for what, count in self.unchecked.items()]
        return "\n".join(lines)


def replay(graph: Graph[Any], run: Exported | Sequence[Step]) -> Replayed:
    """Decide every step of a recorded run anew with today's graph, and tell where it decides otherwise.

    Args:
        graph: The graph, changed or not since the run was recorded.
        run: A run as `graphengine.history.export.read_file` reads it, or all its steps, those it shares with its
        parents
            included (`Runner.history`). Steps alone do not tell where nodes read from then, so that changed inputs are
            found only where they are missing today.

    Returns:
        What differs; nothing is written and no node is called.

    Raises:
        CompileError: The graph has problems.
        GraphChanged: The run is of a graph of another name.
        SecretKeyWrong: The run has secrets, and the graph was given another key.
        StoreCorrupt: The steps do not fold.
    """
    plan: Plan[Any] = graph.compile()
    steps, outlines = (run.steps, run.outlines) if isinstance(run, Exported) else (run, {})
    marked = frozenset(key for step in steps for key in marks_in(step))
    replayer = _Replayer(plan, outlines, marked, marked & frozenset(_keys(plan)))
    for recorded in steps:
        step = encrypted_today(plan, replayer.snapshot, recorded) if plan.secret else recorded
        if isinstance(step.data, Started) and step.data.graph != plan.graph:
            told = f"the run is of graph {step.data.graph!r}, not {plan.graph!r}"
            raise GraphChanged(told, where="step 1", repair=f"give the graph named {step.data.graph!r}")
        replayer.look(step)
        replayer.fold(step)
    snapshot, found = replayer.snapshot, replayer.found
    reasons = [one for one in found if one.what == REASON]
    return Replayed(
        snapshot.run_id,
        snapshot.graph,
        snapshot.seq,
        [one for one in found if one.what != REASON],
        reasons,
        dict(replayer.unchecked),
    )


@dataclass(slots=True)
class _Replayer:
    """The fold of a recorded run, with what was found on the way.

    Attributes:
        marked: The keys of all marks that the run has; what today's conditions need beside them is kept here alone.
        keys: Those of them that today's graph keeps too.
        today: What today's graph made of the step that is looked at; None where it made nothing.
        looked: The attempts whose beginning was looked at already, by frame.
        version: The version of the graph that the step looked at was recorded under.
    """

    plan: Plan[Any]
    outlines: Mapping[str, Mapping[str, JsonValue]]
    marked: frozenset[str]
    keys: frozenset[str]
    snapshot: Snapshot = field(default_factory=Snapshot)
    found: list[Difference] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)
    today: Step | None = None
    looked: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    version: int = 0

    def look(self, step: Step) -> None:
        """Decide a step anew and note what differs."""
        self.today = None
        self.version = self._version_at(step)
        if self.plan.migrate and self.version < self.plan.version:
            self.unchecked[_OLDER.format(self.version)] += 1
            return
        try:
            differences = list(self._asked(step)) or list(self._decided(step))
        except Apart as apart:
            differences = [Differing(apart.what, step.kind, None, apart.told, apart.repair)]
        except Exception as error:  # noqa: BLE001 - selectors and questions are the user's, and a file may say anything
            told = f"today's graph cannot be asked for this step: {type(error).__name__}: {error}"
            repair = "mend the function that raised, or look at what the step says"
            differences = [Differing("state", step.kind, None, told, repair)]
        for one in differences:
            said = hidden(self.plan, self.snapshot, step, [*one]) if self.plan.secret else one
            self.found.append(Difference(step.seq, step.path, *said))

    def _version_at(self, step: Step) -> int:
        """The version of the graph from this step on."""
        if isinstance(step.data, Started) and step.data.version:
            return step.data.version
        fingerprint = fingerprint_of(step)
        if not fingerprint:
            return self.version
        known = self.outlines.get(fingerprint, {}).get("version", self.version)
        return self.plan.version if fingerprint == self.plan.fingerprint else int(known)

    def fold(self, step: Step) -> None:
        """Go on with the recorded step, and with what today's graph keeps of the past beside it.

        Raises:
            StoreCorrupt: It does not follow.
        """
        try:
            evolve(self.snapshot, self._with_typed(self._with_marks(step)))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            told = f"step {step.seq} does not fold: {type(error).__name__}: {error}"
            raise StoreCorrupt(told, where=f"step {step.seq}", repair="take a whole copy of the run") from error
        self.snapshot.touched.clear()
        self._add_fields(step)

    def _asked(self, step: Step) -> Iterator[Differing]:
        """Whether today's node could be asked for this, looked at once an attempt."""
        if step.kind not in OF_ATTEMPTS or not step.node:
            return
        frame, plan = walked(self.plan, self.snapshot, step)
        node_of(plan, step)
        attempt = (step.node, step.visit, step.attempt)
        again_of = self.looked.get(step.frame) == attempt and step.kind not in ("recorded", "waiting", "begun")
        self.looked[step.frame] = attempt
        if not again_of:
            yield from asked(plan, frame, step, self._outline_of(frame, step.node))

    def _outline_of(self, frame: Frame, node: str) -> Mapping[str, JsonValue] | None:
        """What was recorded of a node."""
        outline = self._graph_of(frame)
        if outline is None:
            return None
        # where nothing stands nothing is read; older outlines do not tell it at all
        told: dict[str, JsonValue] = {"reads": []} if outline.get("format", 1) > 1 else {}
        return next(({**told, **each} for each in outline.get("nodes", ()) if each.get("name") == node), None)

    def _graph_of(self, frame: Frame) -> Mapping[str, JsonValue] | None:
        """The recorded outline of the graph that a frame walks."""
        sub = frame.sub
        if sub is None or sub.up is None:
            return self.outlines.get(self.snapshot.fingerprint)
        around = self._outline_of(sub.up, sub.up.at)
        graphs = around.get("graphs", {}) if around is not None else {}
        found: Mapping[str, JsonValue] | None = graphs.get(sub.up.choice)
        return found

    def _decided(self, step: Step) -> Iterator[Differing]:
        """What today's graph makes of the step's event."""
        made = self._again(step)
        self.unchecked.update(made.unsure)
        if isinstance(step.data, Started) and plain(step.data.limits) != plain(self.plan.limits.given()):
            self.unchecked[_LIMITS] += 1
        if made.event is None:
            return
        known = step.data.fingerprint if isinstance(step.data, Started) else self.snapshot.fingerprint
        exact = known == self.plan.fingerprint
        try:
            today = [decide(self.plan, self.snapshot, event) for event in _chances(made.event, step)]
        except StaleEvent:
            told = f"a step {step.kind!r} of {step.path or 'the run'} could not come there"
            yield Differing("ready", step.kind, None, told, "look at the log: it was recorded by other rules")
            return
        except Exception as error:  # noqa: BLE001 - a changed graph, or user code, may break in any way
            told = error.message if isinstance(error, GraphEngineError) else f"{type(error).__name__}: {error}"
            said = f"today's graph cannot decide this step: {told}"
            yield Differing(
                "state", step.kind, None, said, "put back what the run needs, or accept that runs part here"
            )
            return
        self.today = today[0]
        first = step.kind in ("started", "entered") and today[0].kind == step.kind
        shared = {op[1] for op in step.update} & {op[1] for op in today[0].update} if first else None
        found = list(differing(_shared(step, shared), [_shared(one, shared) for one in today], self.keys, exact=exact))
        unsure = set(made.unsure) & set(_UNSURE)
        yield from (one for one in found if not (EXCEPTION in unsure or (unsure and one.what == "update")))

    def _again(self, step: Step) -> Again:
        """The event of a step.

        Raises:
            Apart: There is none today.
        """
        try:
            return again(self.plan, self.snapshot, step)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            told = f"what the step says does not fit where the run stood: {type(error).__name__}: {error}"
            raise Apart("ready", told, "look at the log: it was recorded by other rules") from error

    def _with_marks(self, step: Step) -> Step:
        """The step with the marks that conditions of a changed graph need, and a recorded run knows nothing of."""
        today = self.today
        if today is None or today.kind != step.kind:
            return step
        now = {key: mark for key, mark in marks_in(today).items() if key not in self.marked}
        if not now:
            return step
        facts = step.data
        if isinstance(facts, Outcome):
            others = [sample for sample in outcome_of(today).samples if sample[0] in now]
            kept = replace(facts, marks={**now, **facts.marks}, samples=[*facts.samples, *others])
            return replace(step, data=kept)
        if isinstance(facts, Continued):
            return replace(step, data=replace(facts, marks={**now, **facts.marks}))
        return step

    def _with_typed(self, step: Step) -> Step:
        """The step with the typed values that today's types gave, so that they are not built again at every read."""
        today = self.today
        if today is None or not today.typed or today.kind != step.kind or len(today.update) != len(step.update):
            return step
        return replace(step, typed=today.typed) if plain(today.update) == plain(step.update) else step

    def _add_fields(self, step: Step) -> None:
        """Fields of today's state that the recorded run began without have what they begin with today."""
        today = self.today
        if today is None or today.kind not in ("started", "entered") or today.kind != step.kind:
            return
        frame = self.snapshot.frames[step.frame]
        if step.kind == "entered":
            frame = self.snapshot.frames[sub_id(frame)]
        for op in today.update:
            frame.values.setdefault(op[1], op[2])


def _keys(plan: Plan[Any]) -> Iterator[str]:
    for groups in (plan.samples, plan.epochs):
        for group in groups.values():
            yield from (tracker.key for tracker in group)
    for inner in plan.graphs:
        yield from _keys(inner)


def _shared(step: Step, fields: set[str] | None) -> Step:
    """The first step of a run, or of a graph inside it, with the fields that then and today begin with."""
    if fields is None:
        return step
    facts = step.data
    if isinstance(facts, Started):
        facts = replace(facts, version=0, fingerprint="", limits={})
    return replace(step, data=facts, update=[op for op in step.update if op[1] in fields])


def _chances(event: Event, step: Step) -> Sequence[Event]:
    """The event with the least and the most of chance, where the step tells when another attempt is due."""
    if not isinstance(step.data, Attempt) or step.data.due_at is None:
        return [event]
    if isinstance(event, (NodeFailed, NodeEntered, Settled)):
        return [event._replace(chance=0.0), event._replace(chance=1.0)]
    return [event]
