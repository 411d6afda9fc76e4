"""Word the notes of a node in a picture: its kind, its items, its written fields, and its handling of failures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from graphengine.agents import errors as of_agents
from graphengine.models import errors as of_models
from graphengine.render.parts import Line
from graphengine.render.text import one_line, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import NodeSpec
    from graphengine.render.parts import Detail

TITLE_COLUMNS = 26
NOTE_COLUMNS = 28
HEAD_COLUMNS = 44
TITLE_LINES: Final[Mapping[Detail, int]] = {"brief": 3, "full": 7}
"""The maximum number of lines of a title. A title of 85 characters is shown completely, if no word is very long.

The number is high, because the file does not show the rest of a cut title anywhere else.
"""
NOTE_LINES = 3
HEAD_LINES = 4
SHOWN_FIELDS = 3

_KINDS: Final = {"ask": "question"}
_ANY_FAILURE: Final = re.compile(r"\bfailed with Exception\b(?! or)(?: and not \(failed with ((?:\w+ or )*\w+)\))?")
_UNITS: Final = ((86_400, "day", "days"), (3_600, "hour", "hours"), (60, "minute", "minutes"), (1, "second", "seconds"))


def lines_of(title: str, notes: Sequence[str], detail: Detail = "full") -> tuple[Line, ...]:
    """Return the text of a box: its title, and its notes below the title."""
    strong = [Line(text, "strong") for text in wrap(title, TITLE_COLUMNS, TITLE_LINES[detail])]
    return (*strong, *(Line(text, "small") for note in notes for text in wrap(note, NOTE_COLUMNS, NOTE_LINES)))


def head_of(title: str, notes: Sequence[str], detail: Detail = "full") -> tuple[Line, ...]:
    """Return the title and the notes of a frame. Several notes share a line, because a frame is wide."""
    strong = [Line(text, "strong") for text in wrap(title, TITLE_COLUMNS, TITLE_LINES[detail])]
    joined = "; ".join(one_line(note) for note in notes)
    return (*strong, *(Line(text, "small") for text in wrap(joined, HEAD_COLUMNS, HEAD_LINES)))


def title_of(name: str, facts: NodeSpec) -> str:
    """Return the title of a node in a picture: its declared title if that is visible, otherwise its name."""
    title = str(facts.get("title") or "")
    return title if one_line(title) else name


def notes_of(name: str, facts: NodeSpec, fields: frozenset[str]) -> list[str]:
    """Return the lines of small text below the title of a node in a picture, such as the fields that the node writes.

    Args:
        name: The name of the node.
        facts: The description of the node in the graph's JSON description.
        fields: All fields of its graph's state.
    """
    kind = str(facts.get("kind", "unknown node"))
    kind = _KINDS.get(kind, kind)
    notes = [f"{name} · {kind}" if title_of(name, facts) != name else kind]
    question, seconds, on = facts.get("question"), facts.get("timeout_seconds"), facts.get("on")
    if question:
        notes.append(f"asks: {question}")
    if seconds:
        notes.append(f"waits {duration(seconds)} at most")
    choices = [str(choice) for choice in facts.get("choices", ())]
    if choices:
        notes.append(f"one of {listed(choices)}" + (f" by {on}" if on else ""))
    each = facts.get("each") or {}
    if each:
        notes.append("for each " + " and ".join(f"{item} of {source}" for item, source in each.items()))
    writes = [str(written) for written in facts.get("writes", ())]
    if len(writes) > 1 and frozenset(writes) == fields:
        notes.append("may write every field")
    elif writes:
        notes.append(f"writes {listed(writes)}")
    if facts.get("effect") == "once":
        notes.append("is never repeated without knowing")
    elif facts.get("effect") == "transaction":
        notes.append("commits its rows together with its record")
    safety = _safety(facts)
    return [*notes, safety] if safety else notes


def duration(seconds: float) -> str:
    """Write a number of seconds in the largest unit in which it is a whole number.

    >>> duration(86_400), duration(5_400), duration(0.5)
    ('1 day', '90 minutes', '0.5 seconds')
    """
    size, one, several = next((unit for unit in _UNITS if seconds >= unit[0] and not seconds % unit[0]), _UNITS[-1])
    count = seconds / size
    return f"{count:g} {one if count == 1 else several}"


def listed(names: Sequence[str]) -> str:
    """Write the first few of some names, and how many more there are."""
    more = len(names) - SHOWN_FIELDS
    shown = ", ".join(names[:SHOWN_FIELDS])
    return f"{shown} and {more} more" if more > 0 else shown


def short(condition: str) -> str:
    """Shorten the tests of failures in a condition's text, because a picture has little room.

    >>> short("failed with Exception and not (failed with ValueError) and score > 1")
    'any failure except ValueError and score > 1'
    >>> short("failed with Exception and not (failed with ModelNotReady or ModelTransient)")
    "any failure except the model's (2 kinds)"
    """
    return _ANY_FAILURE.sub(_any_failure, condition)


def _any_failure(found: re.Match[str]) -> str:
    kinds = found[1].split(" or ") if found[1] else []
    if len(kinds) > 1 and all(_is_of_models(kind) for kind in kinds):
        return f"any failure except the model's ({len(kinds)} kinds)"
    return "any failure" + (f" except {' or '.join(kinds)}" if kinds else "")


def _is_of_models(kind: str) -> bool:
    found = getattr(of_models, kind, None) or getattr(of_agents, kind, None)
    return isinstance(found, type) and issubclass(found, of_models.ModelError)


def times_in_words(count: int) -> str:
    """Return `never`, `once`, `twice`, or `3 times`."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _safety(facts: NodeSpec) -> str:
    attempts = facts.get("attempts", 1)
    tries = f"{attempts} attempts" if attempts > 1 else ""
    fallback = ("then a fallback" if tries else "a fallback if it fails") if facts.get("fallback") else ""
    return ", ".join(part for part in (tries, fallback) if part)
