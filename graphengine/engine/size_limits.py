"""How large a step's update and the state behind it are, and what becomes of a node that makes one of them too large.

Sizes are bytes of JSON. What a step adds is known from above while it is decided (`View.weight`: values that were
written as JSON count what they took, texts six bytes a character), so nothing is written anew to learn a size unless
a limit may be reached. The state's size is known from above too: what it was when it was last measured, and what the
steps since then added; only where that reaches the limit is it measured again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from graphengine.engine.stored import encode_snapshot
from graphengine.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.graph.options import Sizes
    from graphengine.state.json_values import JsonValue, Op

_encode: Final = msgspec.json.Encoder().encode

_STEP_BYTES: Final = 1024
"""What a step is taken to add to a state if all that it writes is small."""

MEASURED_STEPS: Final = 1024
"""Steps whose writes are all small are looked at once in so many."""


def bytes_of(record: JsonValue) -> int:
    """The size of a record as JSON."""
    return len(_encode(record))


def begin(snapshot: Snapshot, sizes: Sizes) -> None:
    """Let a run that is driven from here on have these limits."""
    snapshot.sizes = sizes
    snapshot.weight = len(encode_snapshot(snapshot)) if sizes.state_bytes is not None and snapshot.frames else 0
    snapshot.weighed = snapshot.seq


def weigh(snapshot: Snapshot, weight: int, ops: Sequence[Op], where: str) -> int:
    """The size of the state behind a step, from above; 0 where nothing is to be noted.

    Args:
        snapshot: The run before the step.
        weight: What the step adds, from above.
        ops: What it adds.
        where: The node.

    Raises:
        TooLarge: The update, or the state that it would make.
    """
    sizes = snapshot.sizes
    if sizes is None:
        return 0
    limit = sizes.update_bytes
    if limit is not None and weight > limit:
        weight = bytes_of(ops)
        if weight > limit:
            field = _largest(ops)
            message = f"the update takes {weight:,} bytes, {limit:,} are allowed; most of it is for {field!r}"
            repair = "write less: keep large data in files and their names in the state, or raise Sizes(update_bytes=…)"
            raise TooLarge(message, where=where, repair=repair)
    most = sizes.state_bytes
    if most is None:
        return 0
    total = snapshot.weight + weight + (snapshot.seq - snapshot.weighed) * _STEP_BYTES
    if total > most:
        before = len(encode_snapshot(snapshot))
        total = before + bytes_of(ops)
        if total > most:
            message = f"the state would take {total:,} bytes, {most:,} are allowed; it has {before:,} already"
            told = f"{message}, and most of what this step writes is for {_largest(ops)!r}" if ops else message
            repair = "keep less in the state, or resume the run with a higher Sizes(state_bytes=…)"
            raise TooLarge(told, where=where, repair=repair)
    return total


def added(snapshot: Snapshot, weight: int) -> int:
    """The same for what no node is answerable for: a join, recorded work, a message."""
    if snapshot.sizes is None or snapshot.sizes.state_bytes is None:
        return 0
    return snapshot.weight + weight + (snapshot.seq - snapshot.weighed) * _STEP_BYTES


def _largest(ops: Sequence[Op]) -> str:
    """The field that most is written to."""
    totals: dict[str, int] = {}
    for op in ops:
        totals[op[1]] = totals.get(op[1], 0) + bytes_of(op)
    return max(totals, key=totals.__getitem__) if totals else ""
