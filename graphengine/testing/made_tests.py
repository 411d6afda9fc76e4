"""make_test: a pytest file made from one recorded step of a run.

The test gives the node its recorded input, lets models return their recorded answers, does not repeat recorded work,
and asserts the node's update. It is text to read and change, not a replay: the node's code runs.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from pydantic_core import to_json, to_jsonable_python

from graphengine.engine.field_ops import held
from graphengine.engine.phases import Collecting, Inside, Waiting
from graphengine.engine.redaction import Guard
from graphengine.engine.steps import (
    Node,
    failure_of,
    falls_back,
    ops_of,
    outcome_of,
    own_name,
    usage_of,
    without_items,
)
from graphengine.errors import GraphChanged, GraphEngineError, InputError, NotRecordable, UnknownStep
from graphengine.graph.question import AskBody
from graphengine.history.load import load_visits
from graphengine.history.replay.event_of_step import Mismatch, node_of, walked
from graphengine.models.hiding import hidden
from graphengine.state.encoded import opened
from graphengine.testing.done import written_by_item
from graphengine.testing.literals import Code, call_of, literal, quoted
from graphengine.testing.stage import partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Recorded, Step
    from graphengine.history.visit_tree import Entry
    from graphengine.state.json_values import JsonObject, JsonValue
    from graphengine.stores.base import Store

_NAME: Final = re.compile(r"\W+")


class NoTest(GraphEngineError):
    """A recorded step from which no test of one node can be made."""

    code: ClassVar[str] = "no_test"


async def make_test(store: Store, run_id: str, seq: int, graph: Graph[Any], *, source: str) -> str:
    """Return the text of a pytest file that runs the node of a recorded step alone and asserts its update.

    Nothing of the graph is run, and nothing is written. Secret fields are not in the text.

    Args:
        store: The open store of the run.
        run_id: The run.
        seq: The step: a completed visit of a function, of an agent or of a case that `choose` picked, or one item of a
            map.
        graph: The run's graph, in its present form.
        source: The import of the graph: `graphs.review_loop:graph`.

    Raises:
        UnknownRun; UnknownStep: There is no such run or step.
        GraphChanged: The run is of a graph of another name.
        NoTest: The step is of another kind, or needs what a node alone does not have; the error has the repair.
        CompileError: The graph cannot run.

    Example:
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         run = await runner.start(count).result()
        ...         text = await make_test(runner.store, run.run_id, 2, count, source="graphs.count:count")
        ...         print(text.splitlines()[-1].strip())
        >>> asyncio.run(main())
        assert as_json(done.update) == {"n": 1}
    """
    info = await store.info(run_id)
    plan = graph.compile()
    if info.graph != plan.graph:
        message = f"run {run_id} is of graph {info.graph!r}, not {plan.graph!r}"
        raise GraphChanged(message, where=f"run {run_id}", repair=f"pass the graph named {info.graph!r}")
    if not 1 <= seq <= info.seq:
        raise UnknownStep(
            f"run {run_id} has no step {seq}", where=f"run {run_id}", repair=f"its steps are 1 to {info.seq}"
        )
    steps = await store.steps(run_id, 0, seq)
    step = steps[-1]
    _check_kind(step)
    run = await load_visits(store, run_id, seq - 1)
    snapshot = run.snapshot
    try:
        frame, inner = walked(plan, snapshot, step)
        node = node_of(inner, step)
    except Mismatch as mismatch:
        raise NoTest(str(mismatch), where=f"step {seq}", repair=mismatch.repair) from mismatch
    visit = run.live[step.frame].visit
    made = _Made(run_id, step, frame, inner, node)
    made.collect(run.entries, visit.work if visit is not None else ())
    text = made.text(plan.graph, source)
    if plan.secret:
        _check_secrets(plan, snapshot, step, text)
    return text


def as_json(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a typed value, such as an update of `run_node`, in the form in which a run records it: plain JSON."""
    return to_jsonable_python(value, by_alias=False, round_trip=True)


@dataclass(slots=True)
class _Made:
    """A test in the making.

    Attributes:
        run_id: The run.
        step: The step, of an attempt that ended.
        frame: Its frame, just before the step.
        plan: The plan of the frame's graph.
        node: The node.
        notes: Notes for the reader of the test.
        answers: The recorded answers of models, by agent.
        work: Other recorded work, by key.
    """

    run_id: str
    step: Step
    frame: Frame
    plan: Plan[Any]
    node: NodePlan
    notes: list[str] = field(default_factory=list)
    answers: dict[str, list[Mapping[str, JsonValue]]] = field(default_factory=dict)
    work: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The node's path, without indexes of items."""
        return without_items(self.step.path)

    @property
    def is_item(self) -> bool:
        """Whether it is one item of a map."""
        return self.step.kind == "item"

    def collect(self, entries: Sequence[Entry], work: Sequence[Recorded]) -> None:
        """Collect what the step needs from the steps before it and the work that its visit recorded.

        Raises:
            NoTest: It needs more than a node that runs alone has.
        """
        call = self._call()
        phase = self.frame.phase
        if isinstance(phase, (Collecting, Inside)) or call.graph is not None:
            what = "all items of a map" if isinstance(phase, Collecting) else "a whole graph"
            _refuse(self.step, f"{self.step.path} is {what}", self._inside(entries))
        if isinstance(call.body, AskBody) or isinstance(phase, Waiting):
            repair = f"write it with run_node(graph, {self.name!r}, answers=[…])"
            _refuse(self.step, f"{self.step.path} was answered by a person or a message", repair)
        if "error" in call.extras and (self.frame.error is not None or self.frame.cause is not None):
            repair = "call its function by itself, with a Failure of your own"
            _refuse(self.step, f"the failure that led to {self.step.path} is part of its input", repair)
        self._collect_work(work)
        self._note_extras(call)

    def _call(self) -> Call:
        if self.node.call is not None:
            return self.node.call
        return self.node.chosen(outcome_of(self.step).choice)

    def _inside(self, entries: Sequence[Entry]) -> str:
        steps = [entry.step for entry in entries if isinstance(entry.step.data, Node)]
        below = [step for step in steps if step.frame.startswith(self.step.path)]
        if not below:
            return "choose a step inside it"
        return f"choose a step inside it, as step {below[-1].seq} ({below[-1].path})"

    def _collect_work(self, work: Sequence[Recorded]) -> None:
        """Collect the work that was recorded while the node ran and that still counts."""
        recorded = {facts.key: facts for facts in work}
        for key in self.frame.memos:
            done = recorded.get(key)
            if done is None:
                message = f"{self.step.path} asked, waited or received a message while it ran"
                repair = f"write it with run_node(graph, {self.name!r}, answers=[…], messages={{…}})"
                _refuse(self.step, message, repair)
            if done.by and isinstance(done.value, dict):
                self.answers.setdefault(done.by["agent"], []).append(done.value)
            else:
                self.work[key] = done.value
        if self.work:
            names = ", ".join(dict.fromkeys(own_name(key.rpartition("/")[2].partition("|")[0]) for key in self.work))
            self.notes.append(
                f"Recorded work is not repeated: {names}. If the node now requests different work, it is done, and the "
                "test fails."
            )

    def _scripts(self, depth: int) -> list[list[JsonValue | Code]]:
        """Return the answers for each agent, in the form that a scripted model takes."""
        return [[self._answer(record, depth + 1) for record in given] for given in self.answers.values()]

    def _answer(self, given: JsonObject, depth: int) -> JsonValue | Code:
        """Return a model's answer: a text, a JSON value, or the source of a response."""
        record = hidden(given)
        text, calls, stop = record["text"], record.get("calls", ()), record.get("stop", "end")
        native = record.get("native") if self.node.writer.memory is not None else None
        if not calls and stop == "end" and native is None:
            return _parsed(text)
        parts = [literal(text, depth + 1)]
        if calls:
            listed = ", ".join(
                call_of("ToolCall", [f"{name}={literal(each[name])}" for name in ("id", "name", "arguments")])
                for each in calls
            )
            parts.append(f"calls=({listed},)")
        parts.append(f"stop={quoted(stop)}")
        more = (("why", record.get("why")), ("native", native))
        parts += [f"{name}={literal(value, depth + 1)}" for name, value in more if value]
        return Code(call_of("Response", parts, depth))

    def _note_extras(self, call: Call) -> None:
        own = [name for name in call.extras if name not in ("ctx", "error", "state")]
        if own:
            given = ", ".join(f"{name!r}: …" for name in own)
            self.notes.append(f"The graph's own resources are used; to replace them pass resources={{{given}}}.")
        if "ctx" in call.extras:
            self.notes.append("The context's time, random numbers, visit and run id are those of run_node.")
        secret = sorted(self._fields() & set(self.plan.state.secrets))
        if secret:
            self.notes.append(f"Secret fields are not written here: {', '.join(secret)} has a stand-in.")

    def _fields(self) -> set[str]:
        """Return the fields that the test passes."""
        state, node = self.plan.state, self.node
        call = self._call()
        if state.whole or "state" in call.extras:
            return set(state.fields)
        found = set(call.roots) | node.writer.roots
        if node.selector is not None:
            found |= node.selector.roots
        written = {op[1] for op in self._ops()}
        found |= {name for name in written if state.fields[name].reducer is not None}
        return found & set(state.fields)

    def _ops(self) -> Sequence[Any]:
        return ops_of(self.step)

    def _state(self) -> dict[str, JsonValue]:
        """Return the values of the fields, with stand-ins for secrets."""
        holder = self.frame.up if self.is_item and self.frame.up is not None else self.frame
        fields = self._fields()
        given: dict[str, JsonValue] = {}
        for name in self.plan.state.fields:
            if name not in fields:
                continue
            record = held(holder, name)
            given[name] = f"a stand-in for {name}" if name in self.plan.state.secrets else record
        try:
            back = partial(self.plan.state, given, f"step {self.step.seq}").values
        except InputError as error:
            _refuse(self.step, error.message, "write the test with run_node and values of your own")
        for name, record in given.items():
            if name not in self.plan.state.secrets and opened(back[name]) != record:
                message = f"plain values of {name} do not restore the recorded value"
                _refuse(self.step, message, "write the test with run_node and values of your own")
        return hidden(given)

    def _item(self) -> JsonValue:
        names = [name for name, _, _ in self.node.each.sources] if self.node.each is not None else []
        values = {name: self.frame.values[name] for name in names}
        found: JsonValue = hidden(values if len(names) > 1 else values[names[0]])
        return found

    def _update(self) -> dict[str, JsonValue]:
        found = written_by_item(self._ops()) if self.is_item else _written(self.step)
        return hidden({name: value for name, value in found.items() if name not in self.plan.state.secrets})

    def text(self, graph: str, source: str) -> str:
        """Return the whole file."""
        module, _, variable = source.partition(":")
        arguments = [variable, quoted(self.name)]
        if state := self._state():
            arguments.append(f"state={literal(state, 3)}")
        if self.is_item:
            arguments.append(f"item={literal(self._item(), 3)}")
        arguments += self._models()
        if self.work:
            arguments.append(f"recorded={literal(hidden(self.work), 3)}")
        body = "\n".join(self._asserts())
        run = call_of("run_node", arguments, 2)
        if "\n" in run or len(run) > _SHORT:
            run = f"\n        {run}\n    "
        title = _NAME.sub("_", self.name).strip("_").lower()
        return _FILE.format(
            docstring=self._docstring(graph),
            imports="\n".join([*self._imports(), "", f"from {module} import {variable}"]),
            title=f"{title}_at_step_{self.step.seq}",
            run=run,
            asserts=body,
        )

    def _docstring(self, graph: str) -> str:
        begin = f"Test of node {self.name} of graph {graph}, from step {self.step.seq} of run {self.run_id}."
        lines = [begin, "", "Generated by graphengine: the node runs alone, and must write the recorded update again."]
        text = "\n".join([*lines, *self.notes, ""])
        return text.replace("\\", "\\\\").replace('"""', "'''")

    def _models(self) -> list[str]:
        """Return the arguments for models: recorded answers, and `offline` if rules answered."""
        usage = usage_of(self.step)
        offline = "offline_calls" in usage and usage["offline_calls"] > 0
        depth = 3 if len(self.answers) == 1 and not offline else 4
        scripts = [f"ScriptedModel({literal(given, depth)})" for given in self._scripts(depth)]
        if offline and not self.answers:
            return ['model="offline"']
        if len(self.answers) == 1 and not offline:
            return [f"model={scripts[0]}"]
        named = dict(zip(self.answers, map(Code, scripts), strict=True))
        if offline:
            named = {"*": Code('"offline"'), **named}
        return [f"models={literal(named, 3)}"] if named else []

    def _imports(self) -> Iterator[str]:
        used = "".join(str(answer) for given in self._scripts(0) for answer in given if isinstance(answer, Code))
        wanted = [name for name in ("Response", "ToolCall") if f"{name}(" in used]
        if self.answers:
            yield f"from graphengine.models import {', '.join(sorted([*wanted, 'ScriptedModel']))}"
        yield "from graphengine.testing import as_json, run_node"

    def _asserts(self) -> Iterator[str]:
        """Yield the assertions, as source."""
        left_out = sorted({op[1] for op in self._ops()} & set(self.plan.state.secrets))
        update = "done.update"
        if left_out:
            update = f"{{name: value for name, value in done.update.items() if name not in {literal(left_out)}}}"
        if self.work:
            yield "    assert [piece.name for piece in done.work if not piece.agent] == []  # no new work was done"
        choice = outcome_of(self.step).choice
        if choice:
            yield f"    assert done.choice == {quoted(choice)}"
        yield f"    assert as_json({update}) == {literal(self._update(), 1)}"


_SHORT: Final = 90
_FILE: Final = '''"""{docstring}"""

import asyncio

{imports}


def test_{title}() -> None:
    """The node writes the recorded update again."""
    done = asyncio.run({run})
{asserts}
'''


def _check_kind(step: Step) -> None:
    """Check that a step ends a node without a failure.

    Raises:
        NoTest: It does not.
    """
    if falls_back(step):
        _refuse(step, f"{step.path} failed there, and its fallback was used", "call the fallback by itself")
    if step.kind in ("failed", "attempt") or (step.kind in ("node", "item") and outcome_of(step).has_failed):
        failure = failure_of(step)
        error = failure.message if failure is not None else ""
        repair = "write it with `with pytest.raises(…): await run_node(…)`"
        _refuse(step, f"{step.path or 'the run'} failed there: {error}", repair)
    if step.kind not in ("node", "item"):
        what = _WHAT.get(step.kind, f"of kind {step.kind!r}")
        where = f" of {step.path}" if step.path else ""
        _refuse(step, f"it is {what}{where}", "choose a step that ends a node: `graphengine show` lists them")


_WHAT: Final = {
    "joined": "the join of a fork",
    "mapped": "the beginning of a map",
    "entered": "the beginning of a graph",
    "recorded": "a piece of work",
    "waiting": "the beginning of a wait",
    "answered": "the end of a wait",
}


def _refuse(step: Step, reason: str, repair: str) -> NoReturn:
    raise NoTest(f"no test can be made of step {step.seq}: {reason}", where=f"step {step.seq}", repair=repair)


def _check_secrets(plan: Plan[Any], snapshot: Snapshot, step: Step, text: str) -> None:
    """Check that the text contains no clear text of a secret.

    Raises:
        NoTest: It contains one.
    """
    try:
        Guard(plan, snapshot).refuse(text, "the test", f"step {step.seq}")
    except NotRecordable:
        message = f"the input, the answers or the update of {step.path} contain the clear text of a secret field"
        _refuse(step, message, "keep secrets out of other fields, or write the test with run_node")


def _written(step: Step) -> dict[str, Any]:
    """Return a step's update, by field, as in `Done.update`."""
    found: dict[str, Any] = {}
    for op in step.update:
        kind, name = op[0], op[1]
        if kind in ("put", "grow"):
            found[name] = {**found.get(name, {}), op[2]: op[3]}
        elif kind == "merge":
            found[name] = {**found.get(name, {}), **op[2]}
        elif kind == "extend":
            found[name] = [*found.get(name, []), *op[2]]
        else:
            found[name] = op[2]
    return found


def _parsed(text: str) -> JsonValue:
    """Return the JSON value that a scripted model turns into exactly this text; the text itself if there is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    same = isinstance(value, (dict, list)) and to_json(value).decode() == text
    return value if same else text


__all__ = ["NoTest", "as_json", "make_test"]
