"""The result of a node that ran alone, and the report of its failure."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from graphengine.errors import NodeError
from graphengine.kernel.inside import Unread, opened, type_name, why_of
from graphengine.kernel.reader import Attempt, outcome_of, show
from graphengine.models.scripted import OffScript, shorten_middle, summarise_request
from graphengine.records.step_queries import falls_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.history.usage import Usage
    from graphengine.kernel.extension import JsonValue, Op, View
    from graphengine.kernel.reader import Decided, EdgeSpec, FailureRecord, Outcome, Step, Wait
    from graphengine.models.base import Request, Response
    from graphengine.testing.stage import Stage

S = TypeVar("S")

_SHOWN: Final = 600  # characters of a prompt, a state or an update in a message
_FIELD_SHOWN: Final = 120  # characters of a field's value


@dataclass(frozen=True, slots=True)
class EdgeTaken:
    """The edge that a run would take, or has taken, out of a node.

    Attributes:
        to: The target of the edge: a node, `END` or `FAIL`. For a fork, the first node of each arm that runs.
        label: The label of the edge; "" if the edge has no label.
        why: The results of the conditions with their values, such as `score 6 >= 7: no; otherwise`.
    """

    to: Sequence[str]
    label: str
    why: str


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A piece of work that was recorded: a call of `ctx.call`, an answer of a model, or a result of a tool.

    Attributes:
        name: The name of the function or the tool that was called; `model` for an answer of a model.
        value: The recorded result, as JSON.
        agent: The agent that asked the model; "" for other work.
        model: The model that answered; "" for other work.
    """

    name: str
    value: JsonValue
    agent: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a model that a node made while it ran alone.

    Attributes:
        request: The request.
        response: The response; None if the call raised an exception.
    """

    request: Request
    response: Response | None


@dataclass(frozen=True, slots=True)
class Done(Generic[S]):
    """The result of a node that ran alone.

    Attributes:
        path: The node's path.
        update: The update by field, in the form in which it is applied to the state: the item that is appended, the
            keys that are merged, or the value that is set. If the items of a map are reduced one by one (`add`, or a
            function of yours), the list of their values. Empty if the node waits.
        state: The state after the node, as the next node would see it. For a node of a nested graph, the state of the
            nested graph. Required fields that were not given are missing.
        result: The value that the function or the agent returned; None for a map or a graph.
        usage: The usage of models.
        work: The work that was recorded while the node ran, in order.
        asked: The requests to models and their responses.
        events: The values that the node emitted with `ctx.emit`.
        sent: The messages that the node sends with `ctx.send`, as (topic, payload).
        published: The values that the node published with `ctx.publish`, as (name, value).
        waits: The open waits. If there are any, the node has not finished.
        choice: The choice that `choose` made; "" if the node has no `choose`.
        edge: The edge that a run would take; None for an item, for a node that waits, and if no edge could be chosen.
        no_edge: Why no edge could be chosen: no condition holds, a condition raised an exception, or a condition reads
            a field that was not given.
    """

    path: str
    update: Mapping[str, Any]
    state: S
    result: Any
    usage: Usage
    work: Sequence[RecordedCall] = ()
    asked: Sequence[Asked] = ()
    events: Sequence[Any] = ()
    sent: Sequence[tuple[str, Any]] = ()
    waits: Sequence[Wait] = ()
    choice: str = ""
    edge: EdgeTaken | None = None
    no_edge: str = ""
    published: Sequence[tuple[str, Any]] = ()

    @property
    def prompts(self) -> Sequence[str]:
        """The last message of each request to a model."""
        return [asked.request.prompt for asked in self.asked]


def ways_in(stage: Stage) -> Sequence[EdgeSpec]:
    return stage.inner.graph_spec.get("ways", ())


def edge_of(stage: Stage, outcome: Outcome) -> tuple[EdgeTaken | None, str]:
    """Return the edge that the node took, or the reason why no edge could be chosen."""
    if outcome.to:
        return EdgeTaken(tuple(outcome.to), outcome.edge, why_of(outcome, ways_in(stage))), ""
    return None, show(outcome.error.message) if outcome.error is not None else ""


def update_of(step: Decided, after: Callable[[str], object], *, mapped: bool) -> dict[str, Any]:
    """Return what a node wrote, by field, as values of the field's type.

    Args:
        step: The step that records the node's result. In a graph with secrets, such a step contains no typed values.
        after: A function that returns the value of a field after the step.
        mapped: Whether the node is a map, so that a field may be written once for every item.
    """
    found: dict[str, Any] = {}
    ops = [[opened(part) for part in op] for op in step.update]
    for op, typed_value in zip(ops, step.typed if step.typed is not None else [None] * len(ops), strict=True):
        typed: Any = _value_of(op, after) if step.typed is None or type(typed_value) is Unread else typed_value
        kind, name = op[0], op[1]
        if kind in ("add", "reduce"):
            found[name] = [*found.get(name, []), op[2]] if mapped else op[2]
        elif kind in ("merge", "put", "grow") and name in found:
            found[name] = {**found[name], **typed}
        else:
            found[name] = typed
    return found


def _value_of(op: Op, after: Callable[[str], object]) -> Any:  # noqa: ANN401 - a field's value
    """Compute the value that one recorded operation wrote to a field, if no typed value was kept for it."""
    if op[0] == "set":
        return after(op[1])
    return {op[2]: op[3]} if op[0] in ("put", "grow") else op[-1]


def written_by_item(writes: Sequence[Op], typed: Callable[[Op], Any] | None) -> dict[str, Any]:
    """Return, by field, what one item of a map would write to the state when all items have finished.

    A test that runs a node for a single item shows these values as the node's update.

    Args:
        writes: The recorded operations of the item, such as `["set", "title", "Tides"]`.
        typed: A function that converts an operation to a value of the field's type; None to return the recorded values.
    """
    found: dict[str, Any] = {}
    for op in writes:
        is_part = op[0] in ("put", "grow")
        written = typed(op) if typed is not None else {op[2]: op[3]} if is_part else op[-1]
        found[op[1]] = {**found[op[1]], **written} if is_part and op[1] in found else written
    return found


def typed_values(stage: Stage, view: View) -> Callable[[Op], Any] | None:
    """Return a function that converts what an item of a map wrote to values of the field's type.

    The result is None in a graph with secrets. The recorded form of the values is shown then.
    """
    fields = stage.inner.state.fields
    return None if stage.plan.secret else lambda op: fields[op[1]].written_by_item(op, view)


# The report of a failure.


def with_notes(error: BaseException, lines: Sequence[str]) -> BaseException:
    for line in lines:
        error.add_note(line)
    return error


def error_of(failure: FailureRecord) -> NodeError:
    """Make an exception from a failure that a run has recorded, to raise it again in a test.

    The code of the failure, such as `timeout`, determines the class of the exception.
    """
    kinds: dict[str, type[NodeError]] = {}
    left: list[type[NodeError]] = [NodeError]
    while left:
        kind = left.pop()
        kinds.setdefault(kind.code, kind)
        left += kind.__subclasses__()
    error_class = kinds.get(failure.kind, NodeError)
    text = show(failure.message) if error_class is not NodeError else f"{failure.kind}: {failure.message}"
    return error_class(text, where=failure.where, repair=failure.repair)


def facts(
    stage: Stage, step: Step, asked: Sequence[Asked], returned: object, *, raised: BaseException | None
) -> list[str]:
    """Describe a node that failed when it ran alone, in lines that are added to its exception as notes.

    The lines show the path of the node, its state, what it returned, its last request to a model, and what a run would
    do next.

    Args:
        stage: The node, with the run that was built for it.
        step: The step that records the failure.
        asked: The requests that the node sent to models.
        returned: The value that the node returned.
        raised: The exception that the node raised; None if the node returned a value that does not fit the state.
    """
    failure, state = step.data.error, stage.inner.state
    lines = [f"  node: {stage.path} of graph {stage.plan.graph}, run alone"]
    field = failure.where.removeprefix("field ") if failure is not None else ""
    if raised is None and not stage.plan.secret:
        lines.append(f"  update: {shorten_middle(repr(returned), _SHOWN)}")
    if field in state.fields:
        lines.append(f"  field: {field}: {type_name(state.fields[field].info.annotation)}")
    lines.append(f"  state: {shorten_middle(_describe_fields(stage), _SHOWN)}")
    if asked and not isinstance(raised, OffScript):  # The text of OffScript already contains the request.
        text = summarise_request(asked[-1].request).replace("\n", "\n    ")
        lines.append(f"  request to the model, call {len(asked)}:\n    {shorten_middle(text, _SHOWN)}")
    lines.append(f"  then, in a run: {_describe_next(stage, step)}")
    return lines


def _describe_fields(stage: Stage) -> str:
    """List the fields of the node's state with their values. Secret fields are hidden and long values shortened."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = _FIELD_SHOWN
    return ", ".join(
        f"{name}={'…' if name in stage.inner.state.secrets else short.repr(value)}"
        for name, value in stage.values.items()
    )


def _describe_next(stage: Stage, step: Step) -> str:
    """Say what a run would do after this failure: retry, use the fallback, follow an edge, or fail."""
    outcome = outcome_of(step)
    if isinstance(outcome, Attempt):
        return "its fallback runs" if outcome.then == "fallback" else "it is retried"
    if falls_back(step):
        return "the fallback's value is used"
    if outcome.to and not outcome.has_failed:
        return f"the edge to {', '.join(outcome.to)} is taken ({why_of(outcome, ways_in(stage))})"
    return "the run fails"


__all__ = ["Asked", "Done", "EdgeTaken", "RecordedCall"]
