"""Check the shape of what was recorded, where it is read: a right checksum does not show who wrote it.

A database may come from anywhere. What its steps and outlines mean is for the fold to say; here every fact has the type
that the code counts on, so that a wrong one is reported as damage where it is and fails nowhere else.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Check: TypeAlias = "Callable[[Any], bool]"

_LATEST: Final = 253_402_300_799.0
"""The last second of the year 9999, epoch seconds: no step is made later."""
_PAIR: Final = 2


def _text(value: Any) -> bool:  # noqa: ANN401 - any JSON, as all that follow
    return isinstance(value, str)


def _text_or_none(value: Any) -> bool:  # noqa: ANN401
    return value is None or isinstance(value, str)


def _object(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict)


def _list(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (list, tuple))


def _count(value: Any) -> bool:  # noqa: ANN401
    return type(value) is int and value >= 0


def _number_or_none(value: Any) -> bool:  # noqa: ANN401
    return value is None or (type(value) in (int, float) and value == value)  # noqa: PLR0124 - no NaN


def _time(value: Any) -> bool:  # noqa: ANN401
    return type(value) in (int, float) and -_LATEST <= value <= _LATEST


def _due(value: Any) -> bool:  # noqa: ANN401 - it may be later than any calendar: `ctx.sleep_until(1e15)`
    return value is None or type(value) is int or (type(value) is float and isfinite(value))


def _op(value: Any) -> bool:  # noqa: ANN401
    """Its kind and its field, and a value unless it drops the field."""
    if type(value) is not list or len(value) < _PAIR or type(value[0]) is not str or type(value[1]) is not str:
        return False
    return len(value) > _PAIR or value[0] == "drop"


def _pair(value: Any) -> bool:  # noqa: ANN401
    return _list(value) and len(value) == _PAIR and _text(value[0])


def _each(check: Check) -> Check:
    return lambda value: _list(value) and all(map(check, value))


def _values(check: Check) -> Check:
    return lambda value: _object(value) and all(map(check, value.values()))


def _facts(needed: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    """An object with these facts, and perhaps those; of others nothing is said."""

    def check(value: Any) -> bool:  # noqa: ANN401
        if not isinstance(value, dict) or not needed.keys() <= value.keys():
            return False
        return all(
            (found := needed.get(name) or optional.get(name)) is None or found(fact) for name, fact in value.items()
        )

    return check


_texts: Final = _each(_text)
_FAILURE: Final = _facts(
    {}, {"message": _text, "kind": _text, "where": _text_or_none, "repair": _text_or_none, "traceback": _text_or_none}
)
_WAIT: Final = _facts(
    {"kind": _text},
    {"question": _text, "topic": _text, "key": _text, "id": _text, "due": _due},
)
_DATA: Final[Mapping[str, Check]] = {
    **dict.fromkeys(("after", "choice", "edge", "fingerprint", "graph", "key", "message", "name", "parent"), _text),
    **dict.fromkeys(("by", "run_id", "status", "then", "topic", "wait", "why"), _text),
    **dict.fromkeys(("asks", "cancelled", "changes", "names", "pause", "pauses", "unawaited", "unused"), _texts),
    **dict.fromkeys(("marks", "marks_of", "said", "sub_limits"), _object),
    **dict.fromkeys(("stop", "inside"), _values(_text)),
    **dict.fromkeys(("sent", "samples"), _each(_pair)),
    **dict.fromkeys(("limits", "usage"), _values(_number_or_none)),
    **dict.fromkeys(("count", "version"), _count),
    **dict.fromkeys(("fields", "moved"), _values(_text)),
    "concurrency": lambda value: _count(value) and value > 0,
    "due_at": _due,
    "emitted": _list,
    "error": _FAILURE,
    "fork": _facts({"join": _text}, {}),
    "items": _values(_list),
    "refit": _values(_each(_op)),
    "renamed": _values(_values(_text)),
    "to": lambda value: _text(value) or _texts(value),  # a text in databases of the first format
    "waits": _values(_WAIT),
    "writes": _each(_op),
}
_WORK: Final[Mapping[str, Check]] = {**_DATA, "by": _values(_text)}
"""Of a step `recorded`: which agent asked which model."""
_PLAIN: Final[Mapping[str, type]] = {
    **{name: str for name, check in _DATA.items() if check is _text},
    **{name: dict for name, check in _DATA.items() if check is _object},
    "kind": str,
    "frame": str,
    "node": str,
    "data": dict,
}
"""What needs no function to be checked: loading checks every step."""
_STEP: Final[Mapping[str, Check]] = {
    "kind": _text,
    "at": _time,
    "frame": _text,
    "node": _text,
    "visit": _count,
    "attempt": _count,
    "began": _time,
    "update": _each(_op),
    "data": _object,
}
_OUTLINE: Final = _facts(
    {},
    {
        "graph": _text,
        "version": _count,
        "state": _object,
        "reducers": _object,
        "nodes": _each(
            _facts(
                {"name": _text},
                {
                    **dict.fromkeys(("kind", "title", "on", "question", "answer", "on_resume"), _text),
                    **dict.fromkeys(("writes", "reads", "choices"), _texts),
                    **dict.fromkeys(("each", "sources", "kinds"), _values(_text)),
                    "agents": _values(_object),
                    "graphs": _values(_object),
                },
            )
        ),
        "ways": _each(
            _facts(
                {"from": _text},
                {
                    **dict.fromkeys(("to", "when", "label", "on", "join"), _text),
                    "cases": _values(_text),
                    "otherwise": _text_or_none,
                    "arms": _each(_facts({"to": _text}, {"when": _text})),
                },
            )
        ),
    },
)


def check_step(row: Mapping[str, Any]) -> None:
    """Check the facts of a step as it was decoded from JSON.

    Raises:
        ValueError: One is of another type, or missing.
    """
    if "at" not in row:
        message = "it has no time"
        raise ValueError(message)
    for name, value in row.items():
        if type(value) is _PLAIN.get(name):
            continue
        check = _STEP.get(name)
        if check is not None and not check(value):
            raise ValueError(_wrong(name, value))
    of_data = _WORK if row["kind"] == "recorded" else _DATA
    for name, value in row.get("data", {}).items():
        if type(value) is _PLAIN.get(name) and name != "by":
            continue
        check = of_data.get(name)
        if check is not None and not check(value):
            raise ValueError(_wrong(f"data.{name}", value))


def check_outline(outline: Mapping[str, Any]) -> None:
    """Check the facts of an outline, and of those of the graphs in it.

    Raises:
        ValueError: One is of another type, or missing.
    """
    unread = [outline]
    while unread:
        found = unread.pop()
        if not _OUTLINE(found):
            message = "a node or an edge of it has facts of another type"
            raise ValueError(message)
        unread += [each for node in found.get("nodes", ()) for each in node.get("graphs", {}).values()]


def _wrong(name: str, value: object) -> str:
    return f"its {name} is {str(value)[:40]!r}"
