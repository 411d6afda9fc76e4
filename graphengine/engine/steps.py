"""Steps: the rows of a run's log, and their JSON.

A step says what happened (`kind`, `frame`, `node`, `visit`, `attempt`, times), what it does to the state
(`update`, a list of operations on fields) and everything else that was decided then (`data`). Folding the steps
of a run in order of `seq` gives its snapshot; nothing else is needed. The JSON leaves out what is empty.

Operations: `["set", field, value]`, `["append", field, item]`, `["extend", field, items]`,
`["merge", field, mapping]`, `["add", field, number]`, `["put", field, key, value]` (one key of a dict),
`["grow", field, key, items]` (behind the list under one key of a dict) and `["reduce", field, raw, value]` (any other
reducer: the raw update is kept for people, the fold sets the value).
`["drop", field]` stands only in what a migration did to a state.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from pydantic_core import from_json, to_json

from graphengine.engine.shapes import check_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.state.json_values import JsonValue, Op

FORMAT: Final = 1
"""The version of the log's format, written with every run."""

Kind: TypeAlias = Literal[
    "started",
    "node",
    "attempt",
    "failed",
    "left",
    "joined",
    "mapped",
    "item",
    "entered",
    "begun",
    "recorded",
    "waiting",
    "answered",
    "refused",
    "message",
    "resumed",
    "stopped",
    "branched",
]
EMPTY: Final[Mapping[str, JsonValue]] = {}


class Step(NamedTuple):
    """One row of the log.

    Attributes:
        seq: 1, 2, 3, … without gaps, within a run and the parents it branched from.
        kind: `started`; `node` (a completed visit); `attempt` (a failed attempt that is tried again or falls
            back); `failed` (a visit that failed for good); `left` (a way out chosen later, on resume);
            `joined` (the arms of a fork became one again, or failed); `mapped` (the items of a map were taken);
            `item` (one of them is done); `entered` (a subgraph began); `begun` (an attempt that must not be repeated
            unasked); `recorded` (a piece of a node's work); `waiting`; `answered` (a wait is over); `refused` (an
            answer did not fit); `message` (kept until it is received); `resumed`; `stopped`; `branched`.
        at: When it was decided, epoch seconds.
        frame: The id of the frame it belongs to, see `graphengine.engine.snapshot.Frame`; the run's own is "".
        node: The node's name, "" for rows of the run itself.
        visit: Which visit of the node in its frame, from 1.
        attempt: Which attempt of the visit, from 1.
        began: When the attempt's work began, epoch seconds; 0 for rows without work.
        update: Operations on the frame's state.
        data: What else was decided: `to`, `edge`, `why`, `marks`, `usage`, `error`, `status`, `stop`, …
        typed: Beside each operation the typed value that it sets or adds, for the process that decided; never
            recorded.
        weight: How large the state is behind it at most, in bytes, for the process that decided; 0 where it was not
            worth looking.
    """

    seq: int
    kind: Kind
    at: float
    frame: str = ""
    node: str = ""
    visit: int = 0
    attempt: int = 0
    began: float = 0.0
    update: Sequence[Op] = ()
    data: Mapping[str, JsonValue] = EMPTY
    typed: Sequence[object] | None = None
    weight: int = 0

    @property
    def path(self) -> str:
        """The node's place in the tree of frames, as `article/review`."""
        return path_of(self.frame, self.node)


def path_of(frame: str, node: str) -> str:
    """A node's place in the tree of frames. Arms of forks are not part of it: their nodes are the graph's own."""
    if not frame:
        return node
    parts = [part.split("~", 1)[0] for part in frame.split("/")]
    if not frame.endswith("]"):  # an item's frame is named by the node and its place
        parts.append(node)
    return "/".join(part for part in parts if part)


def without_items(path: str) -> str:
    """A path without the places of items: `research[3]` is `research`."""
    return _ITEM.sub("", path)


_ITEM: Final = re.compile(r"\[[^\]]*\]")
_PLAIN: Final = ("frame", "node", "visit", "attempt", "began", "update", "data")


def encode_step(step: Step) -> bytes:
    """The step as JSON bytes; `seq` is not among them, since a store keys its rows by it."""
    row: dict[str, JsonValue] = {"kind": step.kind, "at": step.at}
    for name in _PLAIN:
        value = getattr(step, name)
        if value:
            row[name] = value
    return to_json(row)


def read_json(body: bytes | str) -> JsonValue:
    """What was recorded as JSON, without infinite dates and limits: earlier versions took them, and they mean none.

    Raises:
        ValueError: It is no JSON.
    """
    found = from_json(body)
    odd = ("Infinity", "NaN") if isinstance(body, str) else (b"Infinity", b"NaN")  # a text may have such words too
    return _without_odd_numbers(found) if any(word in body for word in odd) else found  # type: ignore[operator]


def _without_odd_numbers(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {k: _without_odd_numbers(v) for k, v in value.items() if not isinstance(v, float) or isfinite(v)}
    if isinstance(value, list):
        return [_without_odd_numbers(item) for item in value]
    return value


def decode_step(seq: int, body: bytes | str) -> Step:
    """The step that `encode_step` wrote under this seq.

    Raises:
        ValueError: The body is not such JSON, or has facts of other types.
    """
    row = read_json(body)
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        message = f"step {seq} is no record of a step"
        raise ValueError(message)
    check_step(row)
    return Step(
        seq,
        row["kind"],
        row["at"],
        row.get("frame", ""),
        row.get("node", ""),
        row.get("visit", 0),
        row.get("attempt", 0),
        row.get("began", 0.0),
        row.get("update", ()),
        row.get("data", EMPTY),
    )
