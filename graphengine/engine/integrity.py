"""Whether a snapshot that was read from a database has the shape that everything else takes for granted.

The fold trusts its steps, since deciding made them. A file may have been changed since: then a run is damaged, which is
told here and once, instead of failing anywhere with whatever error that gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from graphengine.engine.snapshot import ROOT, FrameKind, Phase, RunStatus, children

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Frame, Snapshot

_NUMBER: Final = (int, float)
_RUN: Final[dict[str, Any]] = {
    "run_id": str,
    "graph": str,
    "fingerprint": str,
    "seq": int,
    "now": _NUMBER,
    "elapsed_seconds": _NUMBER,
    "steps": int,
    "waiting": int,
    "company": bool,
    "pause": (list, tuple),
}
_FRAME: Final[dict[str, Any]] = {
    "parent": str,
    "until": str,
    "at": str,
    "visit": int,
    "attempt": int,
    "tries": int,
    "crashes": int,
    "steps": int,
    "due": _NUMBER,
    "since": _NUMBER,
    "arrived": _NUMBER,
    "entered": _NUMBER,
    "choice": str,
    "ended": str,
    "lasting": bool,
    "begun": bool,
    "values": dict,
    "counts": dict,
    "marks": dict,
    "waits": dict,
    "memos": dict,
    "journal": list,
    "samples": list,
    "names": (list, tuple),
}
_AMOUNTS: Final = ("usage", "inherited", "limits", "spent")
_STOP: Final = ("reason", "label", "condition", "explanation")
_WAIT: Final = ("kind", "id", "question")


def check_sound(snapshot: Snapshot) -> None:
    """See that a snapshot has the shape that deciding and showing rely on.

    Raises:
        ValueError: It has not.
    """
    if ROOT not in snapshot.frames:
        message = "nothing is recorded of how it began"
        raise ValueError(message)
    _typed(snapshot, _RUN)
    _amounts(snapshot)
    _ended(snapshot.stop, snapshot.failure)
    _see(snapshot.status in get_args(RunStatus), "status")
    _see(all(isinstance(path, str) for path in snapshot.pause), "pause")
    kept: Any = snapshot.mailbox
    _see(isinstance(kept, Mapping) and all(isinstance(messages, list) for messages in kept.values()), "mailbox")
    for frame in snapshot.frames.values():
        _frame(snapshot, frame)


def _frame(snapshot: Snapshot, frame: Frame) -> None:
    _typed(frame, _FRAME)
    _amounts(frame)
    _see(frame.kind in get_args(FrameKind) and frame.phase in get_args(Phase), "kind or phase")
    _see((frame.kind == "root") == (frame.id == ROOT), "kind")
    _see(all(type(count) is int for count in frame.counts.values()), "counts")
    _see(all(isinstance(name, str) for name in (*frame.values, *frame.names)), "values or names")
    _ended(frame.stop, frame.failure)
    for failure in (frame.error, frame.cause):
        _ended(None, failure)
    for wait in frame.waits.values():
        _see(isinstance(wait, Mapping), "waits")
        _see(all(isinstance(wait.get(name), str) for name in _WAIT), "waits")
        _see(isinstance(wait.get("due", 0.0), _NUMBER) and isinstance(wait.get("topic", ""), str), "waits")
        _see(isinstance(wait.get("key", ""), str) and isinstance(wait.get("choice", ""), str), "waits")
    _see(all(isinstance(memo, Mapping) for memo in frame.memos.values()), "memos")
    _see(all(key in snapshot.frames or frame.phase in ("mapping", "inside") for key in children(frame)), "arms")


def _ended(stop: Any, failure: Any) -> None:  # noqa: ANN401 - what should be records
    if stop is not None:
        _see(isinstance(stop, Mapping) and sorted(stop) == sorted(_STOP), "stop")
        _see(all(isinstance(text, str) for text in stop.values()), "stop")
    if failure is not None:
        _see(isinstance(failure, Mapping), "failure")
        _see(all(isinstance(failure.get(name), str) for name in ("path", "kind", "message")), "failure")
        _see(all(isinstance(failure.get(name, ""), str) for name in ("where", "repair", "traceback")), "failure")
        _see(type(failure.get("attempt", 1)) is int, "failure")


def _amounts(of: Any) -> None:  # noqa: ANN401 - a snapshot or a frame
    for name in _AMOUNTS:
        amounts = getattr(of, name, {})
        fine = isinstance(amounts, Mapping) and all(a is None or isinstance(a, _NUMBER) for a in amounts.values())
        _see(fine and all(isinstance(key, str) for key in amounts), name)


def _typed(of: Any, kinds: Mapping[str, Any]) -> None:  # noqa: ANN401 - a snapshot or a frame
    for name, kind in kinds.items():
        _see(isinstance(getattr(of, name), kind), name)


def _see(fine: bool, what: str) -> None:  # noqa: FBT001 - what is asked of it
    if not fine:
        message = f"{what} is of no form that a run leaves"
        raise ValueError(message)
