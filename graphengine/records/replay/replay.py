"""Replay a recorded run: decide each of its steps again with today's graph, without calling a node.

Each recorded step is handled in four parts:

1. `graphengine.history.event_of_step` reconstructs the event from which the step was decided.
2. `graphengine.records.replay.node_diff` compares the recorded node and its input with today's node.
3. `decide` decides the event again with today's plan, and `graphengine.records.replay.step_diff` compares the result
   with the recorded step.
4. The recorded step, and not today's step, is applied to the snapshot, so that later differences are found too.

A replay calls conditions, reducers, validators and selectors. It never calls nodes, agents or resources.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from graphengine.errors import GraphChanged, GraphEngineError, StoreCorrupt
from graphengine.kernel.extension import compiled
from graphengine.kernel.inside import (
    Mismatch,
    Redactor,
    Session,
    StaleEvent,
    node_at,
    source_event,
    ways_of,
    written_state,
)
from graphengine.kernel.reader import Continued, Outcome, Snapshot, Started, outcome_of
from graphengine.kernel.store import evolve
from graphengine.records.export import Exported
from graphengine.records.replay.node_diff import OF_ATTEMPTS, node_differences
from graphengine.records.replay.otherwise import Otherwise
from graphengine.records.replay.step_diff import REASON, StepDifference, plain, step_differences
from graphengine.records.step_queries import fingerprint_of, marks_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.extension import GraphDefinition, Op, Plan, StateType
    from graphengine.kernel.reader import Decided, Frame, GraphSpec, NodeSpec, Step

_LIMITS: Final = "limits of the run: whether the caller or the graph gave them is not recorded"
_OLDER: Final = "recorded under version {} of the graph, which a migration replaced since"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay: which steps of a recorded run today's graph decides differently.

    Attributes:
        run_id: The id of the run.
        graph: The name of the run's graph.
        steps: How many steps were replayed.
        differences: The steps that today's graph decides differently, in the order of the steps.
        reasons: Steps with the same decision but another explanation. They do not count as differences.
        unchecked: What could not be checked, because no log contains it, with the number of steps concerned.
        skipped: How many steps were not checked at all, because a migration has replaced their graph.
    """

    run_id: str
    graph: str
    steps: int
    differences: Sequence[Otherwise]
    reasons: Sequence[Otherwise]
    unchecked: Mapping[str, int]
    skipped: int = 0

    @property
    def same(self) -> bool:
        """Whether today's graph makes the same decision at every step."""
        return not self.differences

    @property
    def is_skipped(self) -> bool:
        """Whether no step was checked."""
        return self.skipped == self.steps

    @property
    def first(self) -> Otherwise | None:
        """The first difference; None if there is no difference."""
        return self.differences[0] if self.differences else None

    def __str__(self) -> str:
        if self.is_skipped:
            lines = [f"run {self.run_id} of {self.graph}: none of its {self.steps} steps was checked"]
        elif self.first is None:
            lines = [f"run {self.run_id} of {self.graph}: {self.steps} steps, decided the same today"]
        else:
            count = len(self.differences)
            more = f"; {count} differences in all" if count > 1 else ""
            lines = [f"run {self.run_id} of {self.graph}: today's graph decides differently{more}", str(self.first)]
        lines += [f"  not checked: {what} ({count} steps)" for what, count in self.unchecked.items()]
        return "\n".join(lines)


def replay(graph: GraphDefinition[Any], run: Exported | Sequence[Step]) -> Replayed:
    """Decide every step of a recorded run again with today's graph, and report the steps that differ.

    Use it to find out whether a change of the graph affects runs that are already recorded. Nothing is written and no
    node is called.

    Args:
        graph: Today's graph. It may have changed since the run was recorded.
        run: A run as `graphengine.records.export.read_file` returns it, or all steps of a run, including the steps that
            it shares with its parents (`Runner.history`). Steps alone do not record from where nodes read their
            parameters. Then a changed input is only found if it is missing today.

    Returns:
        The differences.

    Raises:
        CompileError: The graph has problems.
        GraphChanged: The run belongs to a graph with another name.
        SecretKeyWrong: The run contains secrets, and the graph has another key.
        StoreCorrupt: The steps do not follow each other.
    """
    plan: Plan[Any] = compiled(graph)
    steps, graph_specs = (run.steps, run.graph_specs) if isinstance(run, Exported) else (run, {})
    marked = frozenset(key for step in steps for key in marks_in(step))
    replayer = _Replayer(plan, graph_specs, marked, marked & frozenset(_keys(plan)))
    for recorded in steps:
        step = _encrypt_step_today(plan, replayer.snapshot, recorded) if plan.secret else recorded
        if isinstance(step.data, Started) and step.data.graph != plan.graph:
            message = f"the run belongs to graph {step.data.graph!r}, not to {plan.graph!r}"
            raise GraphChanged(message, where="step 1", repair=f"pass the graph named {step.data.graph!r}")
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
        replayer.skipped,
    )


@dataclass(slots=True)
class _Replayer:
    """The state of a replay: the snapshot after the steps replayed so far, and the differences found so far.

    A *mark* is a value that a step stores for a condition on the past. For example, a condition that looks for a new
    best score stores the best score so far.

    Attributes:
        marked: The keys of all marks in the recorded run. Marks that only today's conditions need are added to the
            snapshot of the replay.
        keys: The keys of the recorded marks that today's graph still needs.
        today: Today's decision for the present step; None if the step could not be decided.
        skipped: How many steps were not checked at all.
        version: The version of the graph under which the present step was recorded.
        session: Decides events with today's graph. The steps that it decides are compared but not applied.
    """

    plan: Plan[Any]
    graph_specs: Mapping[str, GraphSpec]
    marked: frozenset[str]
    keys: frozenset[str]
    snapshot: Snapshot = field(default_factory=Snapshot)
    found: list[Otherwise] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)
    today: Decided | None = None
    skipped: int = 0
    version: int = 0
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(self.plan, self.snapshot)

    def look(self, step: Step) -> None:
        """Decide a recorded step again with today's graph, and note each part of the decision that differs."""
        self.today = None
        self.version = self._version_at(step)
        if self.plan.migrate and self.version < self.plan.version:
            self.unchecked[_OLDER.format(self.version)] += 1
            self.skipped += 1
            return
        try:
            differences = list(self._node(step)) or list(self._compare_decision(step))
        except Mismatch as mismatch:
            differences = [StepDifference(mismatch.what, step.kind, None, mismatch.message, mismatch.repair)]
        except Exception as error:  # noqa: BLE001 - selectors and questions are the user's, and a file can contain anything
            reason = error.message if isinstance(error, GraphEngineError) else f"{type(error).__name__}: {error}"
            message = f"today's graph cannot decide this step: {reason}"
            repair = "restore what the run needs, fix the function that raised, or accept that runs diverge here"
            differences = [StepDifference("state", step.kind, None, message, repair)]
        for one in differences:
            redactor = Redactor(self.plan, self.snapshot)
            parts = StepDifference._make(redactor.hide_in_step(step, [*one])) if self.plan.secret else one
            self.found.append(Otherwise(step.seq, step.path, *parts))

    def _version_at(self, step: Step) -> int:
        """Return the version of the graph under which a step of the run was recorded."""
        if isinstance(step.data, Started) and step.data.version:
            return step.data.version
        fingerprint = fingerprint_of(step)
        if not fingerprint:
            return self.version
        if fingerprint == self.plan.fingerprint:
            return self.plan.version
        graph_spec = self.graph_specs.get(fingerprint)
        return self.version if graph_spec is None else graph_spec.get("version", self.version)

    def fold(self, step: Step) -> None:
        """Apply a recorded step to the snapshot of the replay, so that the next step can be decided again.

        Today's graph may have conditions that remember values, such as the best score so far (marks). Values that only
        these conditions need are added to the step before.

        Raises:
            StoreCorrupt: The step does not follow the previous step.
        """
        try:
            evolve(self.snapshot, self._with_marks(step))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            message = f"step {step.seq} does not follow from the steps before it: {type(error).__name__}: {error}"
            raise StoreCorrupt(message, where=f"step {step.seq}", repair="use a complete copy of the run") from error
        self._add_fields(step)

    def _node(self, step: Step) -> Iterator[StepDifference]:
        if step.kind not in OF_ATTEMPTS or not step.node:
            return
        frame, plan, _ = node_at(self.plan, self.snapshot, step)
        yield from node_differences(plan, frame, step, self._graph_spec_of(frame, step.node))

    def _graph_spec_of(self, frame: Frame, node: str) -> NodeSpec | None:
        """Return what the recorded graph spec contains about a node; None if the spec is not known."""
        graph_spec = self._graph_of(frame)
        if graph_spec is None:
            return None
        found = next((each for each in graph_spec.get("nodes", ()) if each["name"] == node), None)
        return found if found is None or "reads" in found else {**found, "reads": []}

    def _graph_of(self, frame: Frame) -> GraphSpec | None:
        """Return the recorded spec of the graph to which a position of the run (a frame) belongs.

        This is the run's own graph or a graph inside a node. The result is None if the spec is not known.
        """
        sub = frame.sub
        if sub is None or sub.up is None:
            return self.graph_specs.get(self.snapshot.fingerprint)
        around = self._graph_spec_of(sub.up, sub.up.at)
        graphs: Mapping[str, GraphSpec] = around.get("graphs", {}) if around is not None else {}
        return graphs.get(sub.up.choice)

    def _compare_decision(self, step: Step) -> Iterator[StepDifference]:
        """Decide again with today's graph what a recorded step decided, and yield each part that differs."""
        made = source_event(self.plan, self.snapshot, step)
        self.unchecked.update(made.unsure)
        if isinstance(step.data, Started) and plain(step.data.limits) != plain(self.plan.limits):
            self.unchecked[_LIMITS] += 1
        if made.event is None:
            return
        known = step.data.fingerprint if isinstance(step.data, Started) else self.snapshot.fingerprint
        exact = known == self.plan.fingerprint
        try:
            today = self.session.decide(made.event)
        except StaleEvent:
            message = f"a step {step.kind!r} of {step.path or 'the run'} is not possible there"
            yield StepDifference("ready", step.kind, None, message, "check the log: it was recorded by other rules")
            return
        self.today = today
        first = step.kind in ("started", "entered") and today.kind == step.kind
        shared = {op[1] for op in step.update} & {op[1] for op in today.update} if first else None
        ways = ways_of(self.graph_specs.get(known), step), ways_of(self.plan.graph_spec, today)
        if exact:
            ways = ways[1], ways[1]
        found = step_differences(_keep_shared(step, shared), _keep_shared(today, shared), self.keys, ways, exact=exact)
        yield from (one for one in found if one.what != "update" or made.knows_update)

    def _with_marks(self, step: Step) -> Step:
        """Add to a recorded step the values that only conditions of today's graph remember (marks).

        Such a value is, for example, the best score so far. When later steps are decided, today's conditions compare
        with these values.
        """
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

    def _add_fields(self, step: Step) -> None:
        """Add to the snapshot the fields that only today's graph has, with their default values.

        Later decisions of today's graph may read these fields.
        """
        today = self.today
        if today is None or today.kind not in ("started", "entered") or today.kind != step.kind:
            return
        frame = self.snapshot.frames[step.frame]
        if step.kind == "entered":
            frame = self.snapshot.frames[frame.sub_id]
        for op in today.update:
            frame.values.setdefault(op[1], op[2])


def _keys(plan: Plan[Any]) -> Iterator[str]:
    for groups in (plan.samples, plan.epochs):
        for group in groups.values():
            yield from (tracker.key for tracker in group)
    for inner in plan.graphs:
        yield from _keys(inner)


def _keep_shared(step: Step, fields: set[str] | None) -> Step:
    """Remove fields that only one version of the graph has from a step that begins a run or an inner graph.

    Then new and removed fields are not reported as differences. `fields` are the names of the fields to keep. It is
    None for any other step, which is returned unchanged.
    """
    if fields is None:
        return step
    facts = step.data
    if isinstance(facts, Started):
        facts = replace(facts, version=0, fingerprint="", limits={})
    return replace(step, data=facts, update=[op for op in step.update if op[1] in fields])


def _encrypt_step_today(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Step:
    """Encrypt the secrets in a recorded step again with the key of today's graph.

    Then equal secrets are equal texts, so that the recorded step can be compared with today's.

    Raises:
        SecretKeyWrong: The secrets were encrypted with another key than the key of today's graph.
    """
    state = written_state(plan, snapshot, step)
    if state is None or not any(op[1] in state.secrets for op in step.update):
        return step
    return replace(step, update=[_encrypt_op(state, op) for op in step.update])


def _encrypt_op(state: StateType[Any], op: Op) -> Op:
    """Return an operation on a field with its secret value encrypted again; return any other operation unchanged.

    Only operations that set a field contain a secret.
    """
    cipher = state.fields[op[1]].cipher if op[1] in state.secrets else None
    if cipher is None or op[0] != "set":
        return op
    return ("set", op[1], cipher.seal(op[1], cipher.unseal(op[1], op[2])))
