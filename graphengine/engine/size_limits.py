"""Size limits of updates and of the state, in bytes of JSON.

While a step is decided, an upper bound of the bytes that the step adds is computed (`View.update_bytes`). Values that
were encoded anyway count their bytes, and strings count six bytes for each character, which is the longest escape. So
no value is encoded a second time unless a limit may be exceeded. The state has an upper bound too: its size when it was
last measured, plus the bytes that the steps since then added. The state is measured again only if this bound exceeds
the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from graphengine.engine.phases import Collecting
from graphengine.engine.steps import path_of
from graphengine.engine.stored import encode_snapshot
from graphengine.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.lookup import RunState
    from graphengine.engine.snapshot import Frame
    from graphengine.graph.options import Sizes
    from graphengine.state.json_values import JsonValue, Op

_encode: Final = msgspec.json.Encoder().encode

MEASURED_STEPS: Final = 1024
"""A step whose writes are all small is checked only once in this many steps."""


def bytes_of(record: JsonValue) -> int:
    """Return the size of a value as JSON, in bytes."""
    return len(_encode(record))


def size_of(run: RunState, update_bytes: int, ops: Sequence[Op], where: str) -> int:
    """Check the size limits of a step, and return an upper bound of the size of the state after the step, in bytes.

    The result is 0 if the state has no limit.

    Args:
        run: The run before the step.
        update_bytes: An upper bound of the bytes that the step adds.
        ops: The operations that add them.
        where: The node, for errors.

    Raises:
        TooLarge: The update, or the resulting state, exceeds its limit.
    """
    sizes = run.sizes
    if sizes is None:
        return 0
    limit = sizes.update_bytes
    if limit is not None and update_bytes > limit:
        update_bytes = bytes_of(ops)
        if update_bytes > limit:
            field = _largest(ops)
            message = (
                f"the update has {update_bytes:,} bytes, but {limit:,} are allowed; most of them are for {field!r}"
            )
            repair = "keep large data in files and only their names in the state, or raise Sizes(update_bytes=…)"
            raise TooLarge(message, where=where, repair=repair)
    most = sizes.state_bytes
    if most is None:
        return 0
    total = _bound_size(run, update_bytes)
    if total > most:
        before = len(encode_snapshot(run.snapshot))
        total = before + bytes_of(ops)
        if total > most:
            message = f"the state would have {total:,} bytes, but {most:,} are allowed; it has {before:,} already"
            text = f"{message}, and this step writes most bytes to {_largest(ops)!r}" if ops else message
            repair = "keep less data in the state, or resume the run with a higher Sizes(state_bytes=…)"
            raise TooLarge(text, where=where, repair=repair)
    return total


def weigh_item(run: RunState, item: Frame, ops: Sequence[Op]) -> None:
    """Add the size of what a map item returned to the total of its map, whose results are all written in one step."""
    if run.sizes is not None and run.sizes.update_bytes is not None:
        run.map_bytes[item.parent] = _bytes_returned(run, item) + _bytes_kept(ops)


def check_room(run: RunState, item: Frame) -> None:
    """Refuse to begin another item of a map if the results of its items are already too large for one step.

    The results of all items are written by one step at the end of the map.

    Raises:
        TooLarge: The results exceed the limit. All results are kept, so a resume with a higher limit can use them.
    """
    if is_full(run, item):
        total, limit = run.map_bytes[item.parent], cast("Sizes", run.sizes).update_bytes
        message = f"the items of the map returned {total:,} bytes so far, but one step may write {limit:,} bytes"
        repair = "keep large data in files and only their names in the state, or resume the run with a higher"
        raise TooLarge(
            message,
            where=f"node {path_of(item.id, item.at)}",
            repair=f"{repair} Sizes(update_bytes=…), which keeps the work that is done",
        )


def is_full(run: RunState, item: Frame) -> bool:
    """Return whether the results of a map so far already exceed the size limit of the one step that will write them."""
    limit = None if run.sizes is None else run.sizes.update_bytes
    return limit is not None and _bytes_returned(run, item) > limit


def _bytes_returned(run: RunState, item: Frame) -> int:
    total = run.map_bytes.get(item.parent)
    if total is None:  # The map began in another process.
        phase = run.snapshot.frames[item.parent].phase
        done = phase.done if isinstance(phase, Collecting) else ()
        total = run.map_bytes[item.parent] = sum(_bytes_kept(writes) for writes in done if writes)
    return total


def _bytes_kept(ops: Sequence[Op]) -> int:
    """Return how many bytes of an item's writes certainly remain when the writes of all items are combined."""
    return sum(bytes_of(op[-1]) for op in ops if op[0] in ("item", "append", "extend", "put"))


def sum_bounds(run: RunState, update_bytes: int) -> int:
    """Return an upper bound of the size of the state, in bytes, after a step that must not fail because of its size.

    This is the join of a fork, a recorded call or a message. No node could fail at the limit then, so the limit is not
    checked here.
    """
    return 0 if run.sizes is None or run.sizes.state_bytes is None else _bound_size(run, update_bytes)


def _bound_size(run: RunState, update_bytes: int) -> int:
    if run.size_bytes < 0:
        run.size_bytes, run.measured_at = len(encode_snapshot(run.snapshot)), run.snapshot.seq
    return run.size_bound + update_bytes


def _largest(ops: Sequence[Op]) -> str:
    totals: dict[str, int] = {}
    for op in ops:
        totals[op[1]] = totals.get(op[1], 0) + bytes_of(op)
    return max(totals, key=totals.__getitem__) if totals else ""
