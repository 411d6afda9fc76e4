"""Who wrote a field: a node, or a person or the caller of the run.

An agent's model gets what a person or the caller gave as it was typed, and what nodes wrote between tags. So each frame
knows which of its fields a node wrote since they were last given, `Frame.written`, and the record says what the
updates do not show: the fields of a node's update that are an answer or a message as it came (`Node.given`), and the
inputs of a run, a graph or a map that nodes wrote (`written` of the steps that begin them).

Nothing here reads a graph but what decides a step: what was written is a fact of the record from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from graphengine.state.encoded import opened

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from graphengine.engine.plan import Call
    from graphengine.engine.snapshot import Frame
    from graphengine.state.json_values import Op
    from graphengine.state.selector import Reading

_DEPTH: Final = 4
"""How deep a message or an answer is searched for what a node wrote of it."""


def is_written(frame: Frame, name: str) -> bool:
    """Return whether a node wrote a field that a frame reads."""
    here = frame
    while here.base is not None and name not in here.values:
        here = here.base
    return name in here.written


def note_written(frame: Frame, ops: Sequence[Op], given: Collection[str] = ()) -> None:
    """Note who wrote what an update says: a node, but of the fields in `given` a person or the caller.

    What is given in place of a value takes its mark away; what is added to a value leaves it as it was.
    """
    written = frame.written
    for op in ops:
        name = op[1]
        if name not in given:
            written[name] = True
        elif op[0] == "set":
            written.pop(name, None)
        elif frame.base is not None and is_written(frame.base, name):
            written[name] = True


def note_joined(frame: Frame, ops: Sequence[Op], arms: Iterable[Frame]) -> None:
    """Note who wrote what the arms of a fork join into a frame."""
    by_nodes = {name for arm in arms for name in arm.written}
    note_written(frame, ops, {op[1] for op in ops} - by_nodes)


def note_changed(frame: Frame, ops: Sequence[Op]) -> None:
    """Note who wrote what a changed graph makes of the fields, before it is applied.

    A field that was there keeps its mark. A new one that no given field has the value of can have been made of others.
    """
    given = [record for name, record in frame.values.items() if name not in frame.written]
    may_be_made = bool(frame.written)
    for op in ops:
        if op[0] == "drop":
            frame.written.pop(op[1], None)
        elif may_be_made and op[1] not in frame.values and op[-1] not in given:
            frame.written[op[1]] = True


def written_by_nodes(readings: Iterable[tuple[str, Iterable[str]]], frame: Frame) -> tuple[str, ...]:
    """Return the names of those of these values, each with the fields it is read from, that nodes wrote."""
    return tuple(name for name, roots in readings if any(is_written(frame, root) for root in roots))


def read_of_nodes(call: Call, frame: Frame) -> tuple[str, ...]:
    """Return the parameters of a call that it reads from fields of a frame that nodes wrote."""
    return written_by_nodes(_readings_of(call), frame)


def _readings_of(call: Call) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the parameters of a call that are read from the state, each with the fields that it is read from."""
    for name, field in call.fields:
        yield name, (field,)
    for argument in call.arguments:
        yield argument.name, argument.reading.roots


def readings_of_map(sources: Iterable[tuple[str, Reading, str]]) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the names of a map's items, each with the fields that they are read from."""
    for name, reading, _ in sources:
        yield name, reading.roots


def given_in(frame: Frame, ops: Sequence[Op], more: Iterable[Any]) -> tuple[str, ...]:
    """Return the fields of a node's update that are answers or messages from outside, as they came, or parts of them.

    Args:
        frame: Its frame, with the answers and messages that its code got.
        ops: The update.
        more: Other such values.
    """
    found = [*received(frame), *more]
    if not found:
        return ()
    own = dict.fromkeys(op[1] for op in ops)
    for op in ops:
        value = opened(op[-1]) if any(not isinstance(each, str) for each in found) else op[-1]
        has_words = isinstance(value, (str, dict, list)) and bool(value)
        if op[0] == "reduce" or not has_words or not any(_contains_record(each, value, _DEPTH) for each in found):
            own.pop(op[1], None)
    return tuple(own)


def received(frame: Frame) -> Iterator[Any]:
    """Yield the answers and messages from outside that the code of a frame's node got."""
    for memo in frame.recorded_results.values():
        if memo.given:
            yield opened(memo.value)


def is_given(frame: Frame, text: str) -> bool:
    """Return whether a text is what a person or the caller gave, whole: of a field that no node wrote, or received."""
    here: Frame | None = frame
    while here is not None:
        for name, record in here.values.items():
            if isinstance(record, str) and record == text and not is_written(frame, name):
                return True
        here = here.base
    return any(_contains_record(each, text, _DEPTH) for each in received(frame))


def of_graph(frame: Frame) -> Iterator[str]:
    """Yield the texts in the fields of a graph that no node in it wrote, and that a person or the caller gave."""
    for name, record in frame.values.items():
        if isinstance(record, str) and name not in frame.written:
            yield record


def _contains_record(whole: Any, value: object, depth: int) -> bool:  # noqa: ANN401 - records
    """Return whether a record is another one, or a part of it."""
    if whole == value:
        return True
    if not depth:
        return False
    if isinstance(whole, Mapping):
        return any(_contains_record(part, value, depth - 1) for part in whole.values())
    return isinstance(whole, list) and any(_contains_record(part, value, depth - 1) for part in whole)


__all__ = [
    "given_in",
    "is_given",
    "is_written",
    "note_changed",
    "note_joined",
    "note_written",
    "of_graph",
    "read_of_nodes",
    "readings_of_map",
    "received",
    "written_by_nodes",
]
