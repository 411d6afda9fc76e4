"""The JSON of snapshots, which stores keep so that a run can be loaded without reading its whole log.

Only this module knows this JSON. In the JSON, a frame is one flat record: `phase` is a name, and the data of the phase
is next to it. A database file can have been changed, so this module also checks, once, that a snapshot which is read is
well formed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from pydantic_core import from_json

from graphengine.engine.phases import (
    AskedName,
    Collecting,
    Ended,
    Failing,
    Fallback,
    Forked,
    FrameRecord,
    GivenUp,
    Inside,
    Leaving,
    LostItem,
    Ready,
    Waiting,
)
from graphengine.engine.snapshot import READY, Frame, FrameKind, Snapshot
from graphengine.engine.steps import (
    FORMAT,
    OLDEST,
    FailureRecord,
    ForkRecord,
    OriginRecord,
    RunStatus,
    StarterRecord,
    WaitRecord,
)
from graphengine.errors import StoreTooNew
from graphengine.state.amounts import LimitsRecord, Number, Usage
from graphengine.state.ending import Ending
from graphengine.state.json_values import JsonValue

if TYPE_CHECKING:
    from graphengine.engine.phases import Phase
    from graphengine.engine.snapshot import Snapshot

_PhaseName: TypeAlias = Literal[
    "ready", "fallback", "leaving", "forked", "mapping", "inside", "waiting", "failed", "ended"
]


class _Fork(ForkRecord, kw_only=True):
    arms: Sequence[str]


class _Frame(FrameRecord, kw_only=True):
    kind: FrameKind
    parent: str
    values: dict[str, Any]
    at: str
    phase: _PhaseName
    cause: FailureRecord | None = None
    cause_at: int = 0
    failure: FailureRecord | None = None
    fork: _Fork | None = None
    map: Collecting | None = None
    ending: Ending | None = None
    choice: str = ""
    ended: str = ""
    waits: dict[str, WaitRecord] = field(default_factory=dict)


class _Snapshot(Struct, forbid_unknown_fields=True, kw_only=True):
    format: int
    run_id: str
    graph: str
    fingerprint: str
    seq: int
    status: RunStatus
    now: Number
    elapsed_seconds: Number
    steps: int
    usage: Usage
    inherited: Usage
    limits: LimitsRecord
    ending: Ending | None
    failure: FailureRecord | None
    pause: Sequence[str]
    mailbox: dict[str, list[Any]]
    waiting: int
    deaths: int = 0
    failures: list[LostItem] = []
    own_topics: dict[str, bool] = {}
    losses: dict[str, int] = {}
    agents: dict[str, Number | None] = {}
    instructions: Mapping[str, str] = {}
    origin: OriginRecord | None = None
    began_with: str = ""
    nonce: str = ""
    key_base: str = ""
    title: str = ""
    asked: dict[str, AskedName] | UnsetType = UNSET
    shared_process: bool | UnsetType = UNSET
    cut_until: Number | UnsetType = UNSET
    cut_seq: int | UnsetType = UNSET
    code: str | UnsetType = UNSET
    starter: StarterRecord | UnsetType = UNSET
    frames: dict[str, _Frame]


_SAME: Final = ("kind", "parent", "values", "at", *FrameRecord.__struct_fields__)
_OWN: Final = ("format", "frames", "asked", "shared_process", "cut_until", "cut_seq", "code", "starter")
_RUN: Final = tuple(name for name in _Snapshot.__struct_fields__ if name not in _OWN)
RECORDS: Final = (_Snapshot, _Frame)
"""The classes of the records of snapshots.

If a record gets a new field that an older version must not overlook, `FORMAT` has to be raised.
"""
_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(_Snapshot)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Encode the snapshot of a run as JSON, without caches that can be computed again."""
    return _encode(_encode_snapshot(snapshot))


def decode_snapshot(body: bytes | str) -> Snapshot:
    """Decode the snapshot of a run from the JSON that `encode_snapshot` wrote.

    Raises:
        ValueError: The body is not a valid snapshot.
        StoreTooNew: A newer version of graphengine wrote the snapshot.
    """
    try:
        row = _decoder.decode(body)
    except msgspec.ValidationError:
        _check_snapshot_format(from_json(body).get("format"))
        raise
    _check_snapshot_format(row.format)
    return _from_row(row)


def to_record(snapshot: Snapshot) -> dict[str, Any]:
    """Convert the snapshot of a run to JSON values that share no objects with the snapshot."""
    record: dict[str, Any] = from_json(_encode(_encode_snapshot(snapshot)))
    return record


def from_record(record: Mapping[str, JsonValue]) -> Snapshot:
    """Convert the JSON values that `to_record` returned back to the snapshot of a run.

    The snapshot shares the objects of the record.

    Raises:
        ValueError: The record is not a valid snapshot.
        StoreTooNew: A newer version of graphengine wrote the snapshot.
    """
    _check_snapshot_format(record.get("format"))
    return _from_row(msgspec.convert(record, _Snapshot))


def copy_of(snapshot: Snapshot) -> Snapshot:
    return from_record(to_record(snapshot))


def _encode_snapshot(snapshot: Snapshot) -> _Snapshot:
    frames = {frame.id: _frame_row(frame) for frame in snapshot.frames.values()}
    row = _Snapshot(format=FORMAT, frames=frames, **{name: getattr(snapshot, name) for name in _RUN})
    row.pause = list(snapshot.pause)
    row.shared_process = True if snapshot.shared_process else UNSET
    row.cut_until, row.cut_seq = snapshot.cut_until or UNSET, snapshot.cut_seq or UNSET
    row.starter, row.asked, row.code = snapshot.starter or UNSET, snapshot.asked or UNSET, snapshot.code or UNSET
    return row


def _frame_row(frame: Frame) -> _Frame:
    phase = frame.phase
    row = _Frame(kind=frame.kind, parent=frame.parent, values=frame.values, at=frame.at, phase=_NAMES[type(phase)])
    for name in _SAME:
        setattr(row, name, getattr(frame, name))
    row.ending, row.choice = frame.ending, frame.choice
    if frame.fallback is not None:
        row.cause, row.cause_at = frame.fallback.cause, frame.fallback.since
    if frame.failing is not None:
        row.failure = frame.failing.error
    match phase:
        case Leaving():
            row.ended = phase.ended
        case Forked():
            fork = phase.fork
            row.fork = _Fork(fork.join, fork.need, fork.condition, fork.label, arms=phase.arms)
        case Collecting():
            row.map = phase
        case Waiting():
            row.waits = phase.waits
        case Ready() | Fallback() | Inside() | GivenUp() | Ended():
            pass
        case _:
            assert_never(phase)
    return row


def _check_snapshot_format(found: object) -> None:
    message = f"snapshot of format {found!r}; this version reads {OLDEST} to {FORMAT}"
    if isinstance(found, int) and found > FORMAT:
        raise StoreTooNew(message, where="a snapshot", repair="update graphengine")
    if not isinstance(found, int) or found < OLDEST:
        raise ValueError(message)


def _from_row(row: _Snapshot) -> Snapshot:
    frames = {key: _decode_frame(key, facts) for key, facts in row.frames.items()}
    for frame in frames.values():
        if frame.kind == "root":
            continue
        frame.up = frames.get(frame.parent)
        if frame.up is None:
            message = f"the frame {frame.id!r} is below {frame.parent!r}, which is missing"
            raise ValueError(message)
        frame.base = frame.up if frame.kind != "sub" else None
    # Frames are in order of creation, so `sub` of the frame around each frame is set already.
    for frame in frames.values():
        if frame.kind == "sub":
            frame.sub = frame
        elif frame.up is not None:
            frame.sub = frame.up.sub
    snapshot = Snapshot(**{name: getattr(row, name) for name in _RUN}, frames=frames)
    snapshot.shared_process, snapshot.starter = row.shared_process is True, row.starter or None
    snapshot.cut_until, snapshot.cut_seq = row.cut_until or 0.0, row.cut_seq or 0
    snapshot.asked, snapshot.code = row.asked or {}, row.code or ""
    return snapshot


def _decode_frame(key: str, row: _Frame) -> Frame:
    frame = Frame(id=key)
    for name in _SAME:
        setattr(frame, name, getattr(row, name))
    frame.phase = _phase(key, row)
    if row.failure is not None:
        frame.failing = Failing(row.failure, row.ending)
    frame.owned = {name for name, value in frame.values.items() if isinstance(value, (list, dict))}
    return frame


def _phase(key: str, row: _Frame) -> Phase:  # noqa: PLR0911 - one return for each phase
    then = READY if row.cause is None else Fallback(row.cause, row.cause_at)
    match row.phase:
        case "ready":
            return READY
        case "fallback":
            return then if row.cause is not None else READY
        case "leaving":
            return Leaving(row.ended)
        case "forked" if row.fork is not None:
            fork = row.fork
            return Forked(ForkRecord(fork.join, fork.need, fork.condition, fork.label), fork.arms)
        case "mapping" if row.map is not None:
            return row.map
        case "inside":
            return Inside(row.choice)
        case "waiting":
            return Waiting(row.waits, then)
        case "failed":
            return GivenUp()
        case "ended":
            return Ended(row.ending)
        case _:
            message = f"the frame {key!r} is {row.phase}, but the data of that phase is missing"
            raise ValueError(message)


_NAMES: Final[dict[type, _PhaseName]] = {
    Ready: "ready",
    Fallback: "fallback",
    Leaving: "leaving",
    Forked: "forked",
    Collecting: "mapping",
    Inside: "inside",
    Waiting: "waiting",
    GivenUp: "failed",
    Ended: "ended",
}
