"""Turn recorded names and values into words for people: fields, nodes, paths of the state, and shortened values.

The story of a run uses these functions. Its readers have never seen the graph, so its text must not look like code or
JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.kernel.extension import clipped
from graphengine.records.words import SECRET, SET_FIELDS, counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.extension import JsonValue

T = TypeVar("T")

WHOLE: Final = 60_000
"""The maximum number of characters of a text. The rest of a longer text is left out."""
_ROOM: Final = 4 * WHOLE
"""The maximum number of characters of all texts in a value together."""
_ITEM: Final = 20
"""How many of these characters a field or an item uses up in addition to its text."""
_MOST: Final = 100
"""The maximum number of shown items of a list or object. The number of the other items is shown."""
_ITEMS: Final = 5
_DEEP: Final = 3
"""How deep a value is shown field by field; below that, it is shown in brief."""
BRIEF: Final = 160
"""The maximum number of characters of a shortened value."""
_INDEX: Final = re.compile(r"\[(-?\d+|[^\]]*)\]")
_SIGNS: Final = re.compile(r"^#{1,6} |^> |\*\*|`", re.MULTILINE)
"""Signs of Markdown, which a shortened text leaves out."""


def says_something(value: JsonValue) -> bool:
    """Return whether a value is worth showing: not None, "", [] or {}. False and 0 are shown."""
    return value not in ("", None, [], {})


def as_words(name: str) -> str:
    """Convert an identifier to words.

    >>> as_words("final_score"), as_words("_has_ended"), as_words("deskChat")
    ('final score', 'has ended', 'deskChat')
    """
    return " ".join(re.split(r"[_\s]+", name.strip("_"))) or name.replace("_", " ")


def heading(name: str) -> str:
    """Convert an identifier to a heading.

    >>> heading("final_score")
    'Final score'
    """
    words = as_words(name)
    return words[:1].upper() + words[1:]


def node_words(path: str, visit: int = 0) -> str:
    """Convert the path of a node to words, with the number of the visit if the node was visited more than once.

    >>> node_words("article/write_up", 2), node_words("pieces[1]/write")
    ('article: write up 2', 'pieces, item 2: write')
    """
    parts = (_INDEX.sub(_word_item, as_words(part)) for part in path.split("/"))
    return ": ".join(parts) + (f" {visit}" if visit > 1 else "")


def _word_item(found: re.Match[str]) -> str:
    return f", item {int(found[1]) + 1}" if found[1].isdecimal() else f" ({found[1]})"


def path_words(path: str) -> str:
    """Convert the path of a value in the state to words.

    >>> path_words("reviews[-1].score"), path_words("final_score"), path_words("views[editor]")
    ('score of the last review', 'final score', 'editor of views')
    """
    words = ""
    for part in re.findall(r"\[[^\]]*\]|[^.\[\]]+", path):
        if part in ("[-1]", "[0]"):
            one = words[:-1] if words.endswith("s") and not words.endswith("ss") else words
            words = f"{'last' if part == '[-1]' else 'first'} {one}"
            continue
        name = f"item {int(part[1:-1]) + 1}" if part[1:-1].isdecimal() else as_words(part.strip("[]"))
        article = "the " if words[:4] in ("last", "firs") else ""
        words = f"{name} of {article}{words}" if words else name
    return words


def in_brief(value: JsonValue, limit: int = BRIEF) -> str:
    """Summarize a value in a few words for people. Long lists are shown as a number of items.

    >>> in_brief({"score": 8.0, "notes": [], "ok": None}), in_brief([{"a": 1}] * 9), in_brief('{"n": 1}')
    ('score: 8.0', '9 items', 'n: 1')
    """
    return one_line(_brief(value, 0), limit)


def _brief(value: JsonValue, deep: int) -> str:
    inner = json_in(value) if isinstance(value, str) else value
    if isinstance(inner, Mapping):
        if SECRET in inner:
            return "secret"
        members = [
            (as_words(name), each) for name, each in inner.items() if name != SET_FIELDS and says_something(each)
        ]
        if deep > 1:
            return counted(len(members), "field")
        words = (", " if deep else "; ").join(_member(name, each, deep + 1) for name, each in members)
        return (f"({words})" if deep else words) or "empty"
    if isinstance(inner, list):
        return ", ".join(_brief(each, deep + 1) for each in inner) if _is_short(inner) else counted(len(inner), "item")
    if isinstance(inner, str):
        return _SIGNS.sub("", inner[:WHOLE])
    return {True: "yes", False: "no", None: "none"}[inner] if isinstance(inner, bool) or inner is None else str(inner)


def _is_short(values: Sequence[JsonValue]) -> bool:
    return 0 < len(values) <= _ITEMS and not any(isinstance(each, (Mapping, list)) for each in values)


def _member(name: str, value: JsonValue, deep: int) -> str:
    """Describe one field of an object in a few words, with the name of the field.

    A long list, or a list of objects, is shown as a number of items.
    """
    if isinstance(value, list) and not _is_short(value):
        return f"{len(value)} {name}"
    words = _brief(value, deep)
    return f"{name} {words}" if words.startswith("(") else f"{name}: {words}"


def json_in(text: str) -> Any:  # noqa: ANN401 - JSON
    """Parse a text that is a JSON object or list. Any other text is returned unchanged."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text[:WHOLE])
        except (ValueError, RecursionError):
            return text
    return text


def cut_value(value: JsonValue) -> JsonValue:
    """Shorten a value to what the story of a run shows of it.

    Secrets are replaced by the word `secret`. Empty fields and internal keys of records are left out. Long texts, lists
    and objects are cut. If all texts of the value together are too long, the later ones are left out.

    >>> cut_value({"token": {"$secret": "x"}, "note": "", "shares": '{"a": 1}', "__fields_set__": ["token"]})
    {'token': 'secret', 'shares': {'a': 1}}
    >>> cut_value([*range(200)])[-1]
    'and 100 more, which are left out'
    """
    return _Cutter().cut(value, 0)


def cut_fields(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Cut several named values as `cut_value` does, with one limit for all texts together. Empty values are kept."""
    cutter = _Cutter()
    return {name: cutter.cut(each, 0) for name, each in values.items()}


@dataclass(slots=True)
class _Cutter:
    """Cuts the values that a story shows, so that all their texts together do not exceed a limit.

    Attributes:
        room: How many more characters may be shown.
    """

    room: int = _ROOM

    def cut(self, value: JsonValue, deep: int) -> JsonValue:
        """Cut a value so that only the beginning of long texts, lists and objects is left.

        `deep` says how deeply the value lies inside the value that is shown: 0 means that it is that value itself.
        """
        inner = json_in(value) if isinstance(value, str) else value
        if isinstance(inner, Mapping) and SECRET in inner:
            return "secret"
        if isinstance(inner, (Mapping, list)) and deep >= _DEEP:
            inner = in_brief(inner)
        if isinstance(inner, str):
            text = clipped(inner, max(1, min(WHOLE, self.room)))
            self.room -= len(text)
            return text
        if isinstance(inner, Mapping):
            fields = [(name, each) for name, each in inner.items() if name != SET_FIELDS and says_something(each)]
            shown = {clipped(name, BRIEF): self.cut(each, deep + 1) for name, each in self._first(fields)}
            return shown | ({f"and {more} more": "left out"} if (more := len(fields) - len(shown)) else {})
        if isinstance(inner, list):
            items = [self.cut(each, deep + 1) for each in self._first(inner)]
            return [*items, f"and {more} more, which are left out"] if (more := len(inner) - len(items)) else items
        return inner

    def _first(self, items: Sequence[T]) -> Iterator[T]:
        for each in items[:_MOST]:
            if self.room <= 0:
                return
            self.room -= _ITEM
            yield each


__all__ = [
    "BRIEF",
    "WHOLE",
    "as_words",
    "cut_fields",
    "cut_value",
    "heading",
    "in_brief",
    "json_in",
    "node_words",
    "path_words",
    "says_something",
]
