"""What a model was asked in a recorded call, read from the run alone, without the graph's code.

A turn's record has the answer. The question and the instructions are in the record of the first turn only if they
cannot be made again: from the prompt in the graph spec and the state that the node read.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_jsonable_python

from graphengine.agents.prompts import fill, with_note
from graphengine.agents.records import response_of, result_message
from graphengine.kernel import AttemptEnded, GraphEngineError, Recorded, graph_spec_of, load_snapshot
from graphengine.kernel.definitions import holes, parse
from graphengine.models.base import Message
from graphengine.models.hiding import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel import Frame, JsonObject, RunInfo, Snapshot, Step, Store
    from graphengine.kernel.definitions import GraphSpec, NodeSpec

_UNREADABLE: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError, GraphEngineError)
"""What a record that no graph wrote can raise."""

_SAME: Final = (str, int, float, bool, type(None))
"""Types whose values a prompt shows as it shows their records."""

_NOT_MADE: Final = {"text": "This call was not made.", "error": True}
"""What stands for the reason that a model got for a call that has no record: a cap, an unknown tool, a refusal."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked in one turn, without the remembered messages of earlier calls; secrets are struck.

    Attributes:
        agent: The agent that asked.
        model: The model.
        system: The instructions, "" for none.
        messages: The question, and what followed: answers, results of tools, and why an answer was sent back.
        new: The first of them that the turn before did not have.
        answer: The answer to them; None if the call failed.
    """

    agent: str
    model: str
    system: str
    messages: Sequence[Message]
    new: int
    answer: Message | None


async def asked_in(store: Store, info: RunInfo, step: Step) -> Sequence[Asked]:
    """Return what models were asked in a step: in the turn that it records, or in the calls that failed in it."""
    facts = step.data
    failed = facts.lost if isinstance(facts, AttemptEnded) else {}
    if not failed and not (isinstance(facts, Recorded) and facts.by is not None):
        return []
    try:
        spec = await graph_spec_of(store, info.fingerprint)
        snapshot = await load_snapshot(store, info.id, step.seq - bool(failed))
    except GraphEngineError:  # the steps before were removed
        return []
    if not failed:
        turn = turn_of(step, snapshot, spec)
        return [turn] if turn is not None else []
    frame = snapshot.frames.get(step.frame)
    records = {key: memo.value for key, memo in frame.recorded_results.items()} if frame is not None else {}
    made = [_asked(frame, spec, key, record, records) for key, record in failed.items() if frame is not None]
    return [each for each in made if each is not None]


def turn_of(step: Step, snapshot: Snapshot, spec: GraphSpec | None) -> Asked | None:
    """Return what a turn of a model was asked; None if a step records no turn, or one that cannot be read.

    Args:
        step: The step.
        snapshot: The run as of this step, or of a later one of its attempt.
        spec: The run's graph; None if it is not known, which leaves out questions that only it has.
    """
    facts, frame = step.data, snapshot.frames.get(step.frame)
    if not isinstance(facts, Recorded) or facts.by is None or frame is None:
        return None
    records = {key: memo.value for key, memo in frame.recorded_results.items()}
    return _asked(frame, spec, facts.key, facts.value, records, facts.by)


def _asked(  # noqa: PLR0913 - a record, and what is around it
    frame: Frame,
    spec: GraphSpec | None,
    key: str,
    found: Any,  # noqa: ANN401 - as recorded
    records: Mapping[str, Any],
    by: Mapping[str, Any] | None = None,
) -> Asked | None:
    """Return what was asked in a turn with this record; if `by` is None, in a call that failed."""
    around, _, place = key.rpartition("/")
    name, _, number = place.partition("|")
    if name != "turn":
        return None
    records = {**records, key: found}
    with suppress(*_UNREADABLE):
        who = found if by is None else by
        system, question = _texts(records[f"{around}/turn|1|1"], frame, spec)
        messages = [] if question is None else [Message(role="user", text=question)]
        new = 0
        for turn in range(1, int(number.partition("|")[0]) + 1):
            record: Any = records[f"{around}/turn|{turn}|1"]
            messages += _before(record, records.get(f"{around}/summary|{turn}|1"))
            answer = None if record is found and by is None else _answer(record)
            if answer is None or record is found:
                shown, last = [hidden(each) for each in messages], None if answer is None else hidden(answer)
                return Asked(who["agent"], who["model"], hidden(system), shown, new, last)
            messages.append(answer)
            new = len(messages)
            for index, call in enumerate(answer.calls):
                result: Any = records.get(f"{around}/tool {call.name}|{turn}.{index}|1")
                messages.append(result_message(call, _NOT_MADE if result is None else result))
    return None


def _answer(record: JsonObject) -> Message:
    response = response_of(record)
    return Message(role="assistant", text=str(response.content), calls=response.calls)


def _before(record: JsonObject, summary: Any) -> Iterator[Message]:  # noqa: ANN401 - as recorded
    """Yield what was added before a turn: on the answer before it, messages to the agent, and a summary."""
    yield from (Message(role="user", text=record[name]) for name in ("feedback", "goes_on") if name in record)
    yield from (Message(role="user", text=text) for text in record.get("steered", ()))
    if summary is not None:
        yield Message(role="summary", text=summary["text"], covers=summary.get("covers", 0))


def _texts(first: JsonObject, frame: Frame, spec: GraphSpec | None) -> tuple[str, str | None]:
    """Return the instructions, and the question; None if it is not known."""
    system, question = first.get("system"), first.get("question")
    node = _node_of(spec, frame)
    details = node.get("details", {}) if node is not None else {}
    if (system is None or question is None) and node is not None and list(details) == [""] and frame.cause is None:
        made = refilled(details[""].get("system", ""), details[""].get("prompt", ""), _read_by(node, frame))
        system, question = made[0] if system is None else system, made[1] if question is None else question
    return system or "", question


def _node_of(spec: GraphSpec | None, frame: Frame) -> NodeSpec | None:
    """Return the node that a frame is at, in the graph or in one inside of it."""
    around = frame.sub.up if frame.sub is not None else None
    if around is not None:
        outer = _node_of(spec, around)
        spec = outer.get("graphs", {}).get(around.choice) if outer is not None else None
    return next((node for node in (spec or {}).get("nodes", ()) if node["name"] == frame.at), None)


def _read_by(node: NodeSpec, frame: Frame) -> dict[str, Any]:
    """Return what a node reads where a frame is, by its own names, and the whole state by that of its fields."""
    values: dict[str, Any] = {}
    state: Frame | None = frame
    while state is not None:
        values = dict(state.values) | values
        state = state.base
    return with_names(node, values)


def with_names(node: NodeSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state's values, and those that a node reads by other names."""
    named = [text.partition("=") for text in node.get("reads", ())]
    paths = {name: parse(path) for name, _, path in named if path}
    return {**values, **{name: path.walk(values.get(path.root)) for name, path in paths.items()}}


def refilled(system: str, prompt: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the instructions and the question that templates give with recorded values.

    Raises:
        DefinitionError: A value cannot be shown.
    """
    has_data = bool(holes(prompt)) if prompt else True
    return with_note(fill(system, values), is_data=bool(holes(system)), has_data=has_data), fill(prompt, values, [])


def differing(templates: tuple[str, str], values: Mapping[str, object], system: str, question: str) -> dict[str, str]:
    """Return of a call's instructions and question what the templates and the recorded state do not give again."""
    shown = [name for text in templates for hole in holes(text) for name in (hole, parse(hole).root)]
    read = {name: values[name] for name in shown if name in values}
    if templates[1] and all(type(value) in _SAME for value in read.values()):
        return {}
    made: tuple[str | None, str | None] = None, None
    with suppress(*_UNREADABLE):
        made = refilled(*templates, to_jsonable_python(read))
    found = {"system": system, "question": question}
    return {name: text for (name, text), again in zip(found.items(), made, strict=True) if text != again}


__all__ = ["Asked", "asked_in", "differing", "refilled", "turn_of", "with_names"]
