"""Who wrote a field: a node of the run, or a person or the caller of the run.

The prompt of an agent contains text that a person or the caller gave exactly as it was typed, and text that nodes wrote
between tags. So each frame knows which of its fields were written by a node since they were last given
(`Frame.written`). The log records two facts that the updates alone do not show: which fields of a node's update are an
unchanged answer or message (`Node.given`), and which inputs of a run, a graph or a map were written by nodes (`written`
of the steps that begin them).

Only the functions that decide a step read a graph. From then on, who wrote a field is a fact of the record.
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
"""How deep a message or an answer is searched for a value that a node wrote."""


def is_written(frame: Frame, name: str) -> bool:
    """Return whether a node of the run wrote the present value of a field, rather than a person or the caller.

    In an agent's prompt, values that nodes wrote are put between tags, because they are less trusted than values from
    people.
    """
    here = frame
    while here.base is not None and name not in here.values:
        here = here.base
    return name in here.written


def note_written(frame: Frame, ops: Sequence[Op], given: Collection[str] = ()) -> None:
    """Remember which fields of an update were written by a node, for `is_written`.

    The fields in `given` come from a person or the caller. If such a value replaces the field's value, the whole field
    counts as given. If it is added to a list or mapping, the field counts as it did before.
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
    """Record, when a fork joins, which of the joined fields were written by nodes in its arms."""
    by_nodes = {name for arm in arms for name in arm.written}
    note_written(frame, ops, {op[1] for op in ops} - by_nodes)


def note_changed(frame: Frame, ops: Sequence[Op]) -> None:
    """Mark which fields count as written by nodes, after a change of the graph has set fields of the state.

    A field that existed before the change counts as it did before. A new field counts as given by a person only if its
    value equals the value of a given field; otherwise the value may have been computed from fields that nodes wrote.
    """
    given_values = [record for name, record in frame.values.items() if name not in frame.written]
    may_be_made = bool(frame.written)
    for op in ops:
        if op[0] == "drop":
            frame.written.pop(op[1], None)
        elif may_be_made and op[1] not in frame.values and op[-1] not in given_values:
            frame.written[op[1]] = True


def written_by_nodes(readings: Iterable[tuple[str, Iterable[str]]], frame: Frame) -> tuple[str, ...]:
    """Return which of these values depend on a node: the names of the values read from a field that a node wrote.

    Args:
        readings: For each value, a pair of its name and the fields from which it is read.
        frame: The position of the run at which the fields are read.
    """
    return tuple(name for name, roots in readings if any(is_written(frame, root) for root in roots))


def read_of_nodes(call: Call, frame: Frame) -> tuple[str, ...]:
    """Return the parameters of a node whose values come from other nodes, rather than from a person or the caller."""
    return written_by_nodes(_readings_of(call), frame)


def _readings_of(call: Call) -> Iterator[tuple[str, Iterable[str]]]:
    for name, field in call.fields:
        yield name, (field,)
    for argument in call.arguments:
        yield argument.name, argument.reading.roots


def readings_of_map(sources: Iterable[tuple[str, Reading, str]]) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the name of each value that the items of a map receive, with the fields from which it is read."""
    for name, reading, _ in sources:
        yield name, reading.roots


def given_in(frame: Frame, ops: Sequence[Op], more: Iterable[Any]) -> tuple[str, ...]:
    """Return the fields whose new values a node only passed on from an answer or message from outside.

    The value is the whole answer or message, or an unchanged part of it. Such a field still counts as given by a person
    or the caller.

    Args:
        frame: The frame of the node, with the answers and messages that the node received.
        ops: The update of the node.
        more: Other values that were given from outside.
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
    """Yield the answers and messages from outside the run that a node has received in its current visit."""
    for memo in frame.recorded_results.values():
        if memo.given:
            yield opened(memo.value)


def is_given(frame: Frame, text: str) -> bool:
    """Return whether a text is exactly what a person or the caller wrote, so that a prompt can show it without tags.

    The text is the value of a field that no node wrote, or an answer or message that the node received, or a part of
    one.
    """
    here: Frame | None = frame
    while here is not None:
        for name, record in here.values.items():
            if isinstance(record, str) and record == text and not is_written(frame, name):
                return True
        here = here.base
    return any(_contains_record(each, text, _DEPTH) for each in received(frame))


def of_graph(frame: Frame) -> Iterator[str]:
    """Yield the texts in a graph's state that come from a person or the caller and were not written by its nodes."""
    for name, record in frame.values.items():
        if isinstance(record, str) and name not in frame.written:
            yield record


def _contains_record(whole: Any, value: object, depth: int) -> bool:  # noqa: ANN401 - records
    """Return whether a JSON value equals another JSON value, or contains it within `depth` levels of nesting."""
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
