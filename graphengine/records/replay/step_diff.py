"""Compare a recorded step with the step that today's graph decides for the same event.

Only decisions are compared: the next node, the written values, and whether the run retries, stops or waits. Texts that
explain a decision, such as the condition in words, are reported separately as `reason`. Tracebacks, places and repairs
of errors are ignored. The random part of the pause before a retry is recorded, so that pauses are compared exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace
from pydantic_core import from_json, to_json

from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import opened, why_of
from graphengine.kernel.reader import Node, Outcome, Stopped, outcome_of
from graphengine.records.step_document import facts_record
from graphengine.records.step_queries import marks_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import EdgeSpec, Step

    Ways = Sequence[EdgeSpec]
REASON: Final = "reason"
"""The kind of difference between two steps with the same decision and different explanations."""


class _DecisionPart(NamedTuple):
    """One part of the decision that a step records, such as the edge or what the node waits for.

    A replay compares the decisions of two steps part by part.

    Attributes:
        facts: The names of the data of a step that record this part.
        words: The part in words, for the message about a difference.
        restored: What the user can restore so that today's graph decides as recorded, for the advice how to repair it.
    """

    facts: Sequence[str]
    words: str
    restored: str


COMPARED: Final[Mapping[str, _DecisionPart]] = {
    "choice": _DecisionPart(["choice"], "what it chooses", "the node's choice"),
    "update": _DecisionPart(["writes"], "what it writes", "the reducers and types"),
    "state": _DecisionPart(["items", "fields"], "what it begins with", "the fields' types and defaults"),
    "map": _DecisionPart(["count", "concurrency", "max_open", "settled"], "its items", "each="),
    "subgraph": _DecisionPart(["graph", "inside"], "the graph inside", "the node's graph"),
    "limit": _DecisionPart(["limits", "sub_limits"], "its limits", "the graph's limits"),
    "wait": _DecisionPart(["waits", "wait", "by", "answer"], "what it waits for", "the question"),
    "retry": _DecisionPart(["due_at", "then", "fallback"], "what follows a failure", "the node's retry and fallback"),
    "edge": _DecisionPart(["to", "edge", "fork", "cancelled"], "the outgoing edge", "the outgoing edges"),
    "ending": _DecisionPart([], "how it ends", "the outgoing edges"),
    "outcome": _DecisionPart([], "how it fails", "what decides whether it fails"),
    "marks": _DecisionPart([], "what its conditions remember", "what conditions on the past read"),
    REASON: _DecisionPart([], "same decision, other explanation", ""),
}
"""The parts of a decision that can differ. Parts without facts are compared by code of their own."""
SHOWN_OF_EDGES: Final = ("to", "edge", "fork", "cancelled")
"""The facts that are shown if the edge differs."""
_MISMATCHES: Final = ("invalid_update", "not_recordable")


class StepDifference(NamedTuple):
    """One part in which a recorded step differs from the step that today's graph decides.

    Attributes:
        what: The part of the step that differs, such as `edge`.
        recorded: The recorded value, as JSON.
        today: Today's value, as JSON.
        message: The difference in a sentence.
        repair: How to remove the difference.
    """

    what: str
    recorded: JsonValue
    today: JsonValue
    message: str
    repair: str


def step_differences(
    step: Step, made: Step, keys: Collection[str], ways: tuple[Ways, Ways], *, exact: bool
) -> Iterator[StepDifference]:
    """Compare a recorded step with the step that today's graph decides, and yield the differences.

    Args:
        step: The recorded step.
        made: The step that today's graph decides.
        keys: The keys of the marks that both graphs keep. A mark is a value that a condition on the past remembers,
            such as the best score so far.
        ways: The edges among which the recorded graph chose, and the edges among which today's graph chooses.
        exact: Whether today's graph spec is equal to the recorded spec, so that the marks must be the same.
    """
    if (step.kind, step.frame, step.node) != (made.kind, made.frame, made.node):
        yield _other_kind(step, made)
        return
    if plain(step.update) != plain(made.update):
        yield _one("update", plain(step.update), plain(made.update))
    data, new = _decision_as_json(step), _decision_as_json(made)
    moved = outcome_of(step).way != outcome_of(made).way and _target(step) == _target(made)
    if exact and moved:  # The specs are equal, so an edge at another place of the list is another edge.
        yield _edge_difference(step, made, ways)
    for what, part in COMPARED.items():
        was, now = _pick_keys(data, part.facts), _pick_keys(new, part.facts)
        if was != now:
            yield _edge_difference(step, made, ways) if what == "edge" else _one(what, was, now)
    was, now = _facts_of_end(step), _facts_of_end(made)
    same_edge = _target(step) == _target(made)
    if was != now and same_edge:  # If the edges differ, this difference has been reported with the edge.
        yield _one("outcome" if step.data.error or made.data.error else "ending", was, now)
    yield from _compare_marks(step, made, keys, exact=exact)
    was, now = _texts_of_reasons(step, ways[0]), _texts_of_reasons(made, ways[1])
    if was != now and same_edge:
        yield _one(REASON, was, now)


def plain(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Convert a value to the form that it has after it was written as JSON and read back."""
    return from_json(to_json(value, fallback=opened))


def _one(what: str, was: JsonValue, now: JsonValue, message: str = "") -> StepDifference:
    _, noun, restored = COMPARED[what]
    text = message or f"{noun}: recorded {short(was)}, today {short(now)}"
    repair = (
        f"restore {restored}, or accept that runs diverge here" if restored else "nothing: the decision is the same"
    )
    return StepDifference(what, was, now, text, repair)


_SHOWN: Final = 200


def short(value: JsonValue) -> str:
    """Format a value as JSON of at most 200 characters, for a message."""
    text = value if isinstance(value, str) else to_json(value, fallback=opened).decode()
    return clipped(text, _SHOWN)


def _edge_difference(step: Step, made: Step, ways: tuple[Ways, Ways]) -> StepDifference:
    """Build the difference for a step after which today's graph takes another edge than the recorded one.

    The difference names the reasons for both edges.
    """
    sides = [_pick_keys(_decision_as_json(each), SHOWN_OF_EDGES) for each in (step, made)]
    whys = [why_of(outcome_of(each), known) for each, known in zip((step, made), ways, strict=True)]
    was, now = (side | {"why": why} if why else side for side, why in zip(sides, whys, strict=True))
    message = f"the outgoing edge: recorded {_describe_taken(step, whys[0])}, today {_describe_taken(made, whys[1])}"
    return _one("edge", was, now, message)


def _describe_taken(step: Step, why: str) -> str:
    outcome, error = outcome_of(step), step.data.error
    if not outcome.to:
        return f"none ({'it failed' if error is None else error.message})"
    label = f" [{outcome.edge}]" if outcome.edge else ""
    return f"{', '.join(outcome.to)}{label} because {short(why)}"


def _target(step: Step) -> tuple[Sequence[str], str]:
    return tuple(outcome_of(step).to), outcome_of(step).edge


def _other_kind(step: Step, made: Step) -> StepDifference:
    """Build the difference for a step where today's graph decides a step of another kind, or a step of another node."""
    error, recorded = made.data.error, step.data.error
    was = {"kind": step.kind, **_facts_of_end(step)}
    now = {"kind": made.kind, **_facts_of_end(made)}
    is_mismatch = error is not None and error.kind in _MISMATCHES
    if step.kind in ("node", "item", "joined") and error is not None and is_mismatch and recorded is None:
        message = f"today's types reject what it wrote: {error.message}"
        return _one("update", plain(step.update) or was, now, message)
    what = "retry" if recorded is not None else "outcome"
    because = f" ({error.kind}: {short(error.message)})" if error is not None else ""
    message = f"{COMPARED[what].words}: recorded a step {step.kind!r}, today a step {made.kind!r}{because}"
    return _one(what, was, now, message)


def _facts_of_end(step: Step) -> dict[str, JsonValue]:
    """Return how a step ended or failed its run, in a form that can be compared with another step.

    Texts that only explain the end, such as error messages, are left out.
    """
    found: dict[str, JsonValue] = {}
    if isinstance(step.data, (Outcome, Stopped)):
        stop = step.data.ending
        found |= {"status": step.data.status} if step.data.status else {}
        found |= {"reason": stop.reason, "label": stop.label} if stop is not None else {}
    error = step.data.error
    if error is not None:
        found |= {"path": error.path, "kind": error.kind} | ({"attempt": error.attempt} if error.attempt else {})
    return found


def _texts_of_reasons(step: Step, ways: Ways) -> dict[str, JsonValue]:
    """Return the texts that explain a decision. Differences between them are reported as `reason`."""
    why, stop = why_of(outcome_of(step), ways), step.data.ending if isinstance(step.data, (Outcome, Stopped)) else None
    found: dict[str, JsonValue] = {"why": why} if why else {}
    return found if stop is None else found | {"condition": stop.condition}


def _decision_as_json(step: Step) -> dict[str, Any]:
    """Convert the decision that a step records to JSON, so that it can be compared with another step's decision.

    The words that describe the condition of a fork or the end of an inner graph are left out, because they may change
    without the decision.
    """
    facts = step.data
    if isinstance(facts, Outcome) and facts.fork is not None:
        facts = replace(facts, fork=replace(facts.fork, condition=""))
    record: dict[str, Any] = plain(facts_record(facts))
    if isinstance(facts, Node) and facts.inside is not None:
        record["inside"] = {"reason": facts.inside.reason, "label": facts.inside.label}
    return record


def _pick_keys(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def _compare_marks(step: Step, made: Step, keys: Collection[str], *, exact: bool) -> Iterator[StepDifference]:
    """Compare the values that two steps store for conditions on the past (marks).

    Such a value is, for example, the best score so far. A difference is yielded if the values differ. If the graph has
    changed, only marks that both steps contain are compared.
    """
    was, now = plain(marks_in(step)), plain(marks_in(made))
    wanted = keys if exact else set(keys) & set(was) & set(now)
    was, now = ({key: mark for key, mark in marks.items() if key in wanted} for marks in (was, now))
    if was != now:
        yield _one("marks", was, now)
    elif exact:
        before, after = ([s for s in plain(outcome_of(each).samples) if s[0] in wanted] for each in (step, made))
        if before != after:
            yield _one("marks", before, after)
