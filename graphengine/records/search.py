"""Parse a search for runs as a user types it: words, and filters such as `status:failed`.

The command line, `Runner.runs` and the inspector parse searches with `wanted_of`.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from graphengine.errors import InputError
from graphengine.records.selection import STATUSES, FieldComparison, Wanted, likeness

if TYPE_CHECKING:
    from collections.abc import Mapping

FILTERS: Final[Mapping[str, str]] = {
    "id": "the id of a run",
    "status": "one of " + ", ".join(STATUSES),
    "graph": "the name of a graph",
    "tag": "a tag",
    "tenant": "a tenant",
    "user": "a user",
    "child-of": "the id of the run whose nodes started them",
    "since": "how long ago they began at most, e.g. 7d",
    "after": "the day or time since which they began, e.g. 2026-01-31",
    "before": "the day or time before which they began",
    "version": "the label of a deploy, or how the fingerprint of a graph begins",
    "error": "a part of what they failed with, or all of it after a =; numbers and quoted names count as equal",
    "agent": "the name of an agent that called a model in them",
    "lost": "yes for runs that finished without a part of their result, or no",
    "input.FIELD=": "a value of the input, of a field that the graph declares with search=; also != < <= > >=",
    "output.FIELD=": "a value of the result, likewise",
    "state.FIELD=": "a value of the last recorded state: the newest runs are read",
    "cost>": "what models cost at least, US dollars, e.g. cost>0.5",
}
"""The filters, and what follows each."""
AGES: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
"""The seconds of the units of an age."""
_AGE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_PART: Final = re.compile(
    r'(?<!\S)((?:input|output|state)(?:[.\[][^\s=<>!"]*)?)(!=|<=|>=|=|<|>)(?:"([^"]*)"|(\S*))|'
    r'(?:(id|status|graph|tag|tenant|user|child-of|since|after|before|version|error|agent|lost):|(cost)>)(?:"([^"]*)"|(\S*))|(\S+)'
)


def seconds_of(age: str) -> float | None:
    """Convert an age such as 30d, 12h, 45m, 90s or 2w to seconds; None if the text is no age.

    Example:
        >>> seconds_of("1.5h")
        5400.0
    """
    found = _AGE.fullmatch(age)
    return None if found is None else float(found[1]) * AGES[found[2]]


def wanted_of(search: str, wanted: Wanted) -> Wanted:
    """Parse a search, and add its criteria to the criteria in `wanted`.

    A filter and its value are one word. A value with blanks needs quotes: `graph:"my graph"`. All other words are
    searched in the texts of runs, as `Store.runs` describes for `text`.

    Raises:
        InputError: A filter has an invalid value or is given twice.

    Example:
        >>> found = wanted_of("status:failed timeout papers", Wanted(20))
        >>> found.status, found.text
        ('failed', 'timeout papers')
    """
    for name in ("graph", "tag", "tenant"):
        if not isinstance(value := getattr(wanted, name), str | None):
            raise InputError(f"{name}={value!r}: {name} must be a text", where="search", repair=f"give {FILTERS[name]}")
    parts = [*_PART.finditer(search)]
    fields = tuple(_checked(each[1], each[2], each[3], each[4]) for each in parts if each[1])
    words: list[str] = []
    given: dict[str, str] = {}
    for name, cost, quoted, plain, word in (each.groups("")[4:] for each in parts if not each[1]):
        if word:
            _check_word(word)
            words.append(word)
            continue
        kind, value = name or f"{cost}>", quoted or plain
        if given.setdefault(kind, value) != value:
            raise _given_twice(kind, given[kind], value)
        if not value:
            text = f"the search {search!r} has no value for the filter {kind!r}"
            raise InputError(text, where="search", repair=f"give {FILTERS[kind]}")
    now = time.time()
    since = now - _check_number("since", seconds_of(given["since"]), given) if "since" in given else None
    after = _check_number("after", _time(given["after"]), given) if "after" in given else None
    cost_above = _check_number("cost>", _dollars(given["cost>"]), given) if "cost>" in given else None
    status = given.get("status")
    if status is not None and status not in STATUSES:
        raise _wrong("status", status)
    made = {
        "status": status,
        "run_id": given.get("id"),
        "graph": given.get("graph"),
        "tag": given.get("tag"),
        "tenant": given.get("tenant"),
        "user": given.get("user"),
        "starter": given.get("child-of"),
        "text": " ".join(words) or None,
        "begun_after": max((each for each in (since, after) if each is not None), default=None),
        "begun_before": _check_number("before", _time(given["before"]), given) if "before" in given else None,
        "cost_above": cost_above,
        "version": given.get("version"),
        "error": likeness(given["error"]) if "error" in given else None,
        "agent": given.get("agent"),
        "has_losses": _flag(given["lost"], given) if "lost" in given else None,
        "fields": fields or None,
    }
    for name, value in made.items():
        old = getattr(wanted, name)
        if value is not None and old not in (None, (), value):
            raise _given_twice(name, old, value)
    return replace(wanted, **{name: value for name, value in made.items() if value is not None})  # type: ignore[arg-type]  # each of its kind


def _given_twice(name: str, first: object, second: object) -> InputError:
    text = f"{name} is given twice, as {first!r} and as {second!r}"
    return InputError(text, where="search", repair="remove one of the two")


def _checked(name: str, sign: str, quoted: str | None, plain: str | None) -> FieldComparison:
    """Parse a comparison of a field that a user typed into a search, such as `input.country=CH`, and check it.

    Raises:
        InputError: The left side is no path of a field, or the right side is missing.
    """
    found = FieldComparison(name, sign, quoted or plain or "")
    source, _, path = name.partition(".")
    if not found.value and quoted is None:
        text = f"the search '{found}' has no value to compare {name!r} with"
        raise InputError(text, where="search", repair=f"write a value, as in {name}{sign}7")
    is_field = name.isprintable() and (name == "output" or bool(path) or name.startswith("output["))
    if found.is_scan and is_field:
        from graphengine.kernel.inside import is_path  # noqa: PLC0415 - most searches compare no state

        is_field = is_path(path)
    if not is_field:
        repair = f"write the path of a field, as in {source.partition('[')[0]}.country{sign}{found.value}"
        raise InputError(f"{name!r} in the search does not name a field of a run", where="search", repair=repair)
    return found


def _flag(value: str, given: Mapping[str, str]) -> bool:
    if value not in ("yes", "no"):
        raise _wrong("lost", given["lost"])
    return value == "yes"


def _check_word(word: str) -> None:
    """Check that a word of a search is not a misspelt filter, such as `stauts:failed`.

    Raises:
        InputError: The word before the colon resembles the name of a filter.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - a list without a search needs it not

    name, mark, value = word.replace(">", ":", 1).partition(":")
    near = get_close_matches(name, [each.rstrip(">") for each in FILTERS], n=1, cutoff=0.75) if mark and value else []
    if near:
        kept = next(each for each in FILTERS if each.rstrip(">") == near[0])
        repair = f"did you mean {kept if kept.endswith('>') else kept + ':'}{value}?"
        raise InputError(f"the search has no filter {word!r}", where="search", repair=repair)


def _check_number(name: str, value: float | None, given: Mapping[str, str]) -> float:
    if value is None:
        raise _wrong(name, given[name])
    return value


def _wrong(name: str, value: str) -> InputError:
    from graphengine.kernel.extension import did_you_mean  # noqa: PLC0415 - listing runs must not load pydantic

    repair = did_you_mean(value, STATUSES) if name == "status" else f"give {FILTERS[name]}"
    return InputError(
        f"the filter {name.rstrip('>')!r} of the search cannot have the value {value!r}", where="search", repair=repair
    )


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _dollars(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
