"""What differs between a recorded step and the one that today's graph makes of the same event.

What counts is what was decided: where the run goes, what is written, whether it tries again, stops or waits. Texts that
only explain (`why`, a condition in words) are told apart, as `reason`: another text for the same decision changes
nothing. Tracebacks, places and repairs of errors, and how long a jittered pause is within its bounds, do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from graphengine.engine.steps import Attempt, facts_record, failure_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue

REASON: Final = "reason"
"""What differs where the same was decided for a reason in other words."""

_WHAT: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("choice", ("choice",)),
    ("update", ("writes",)),
    ("state", ("items", "fields")),
    ("map", ("count", "concurrency")),
    ("subgraph", ("graph", "inside")),
    ("limit", ("limits", "sub_limits")),
    ("wait", ("waits", "wait", "by", "answer")),
    ("retry", ("then", "fallback")),
    ("edge", ("to", "edge", "fork", "cancelled")),
)
_REPAIRS: Final = {
    "choice": "let the node choose as it did, or accept that runs part here",
    "update": "let reducers and types record what they recorded, or accept that runs part here",
    "state": "give the fields their old types and defaults, or accept that runs part here",
    "map": "let each= take the items it took, or accept that runs part here",
    "subgraph": "let the node run the graph it ran, or accept that runs part here",
    "limit": "give the graph the limits it had, or accept that runs part here",
    "wait": "ask as it was asked, or accept that runs part here",
    "retry": "give the node the retry and fallback it had, or accept that runs part here",
    "edge": "put the ways out back as they were, or accept that runs part here",
    "stop": "put the ways out back as they were, or accept that runs part here",
    "outcome": "see why it fails or succeeds now, or accept that runs part here",
    "marks": "let conditions of the past read what they read, or accept that runs part here",
    REASON: "nothing: the same was decided",
}
_MISFITS: Final = ("invalid_update", "not_recordable")


class Differing(NamedTuple):
    """One way in which two steps differ: what, each side as JSON, and a sentence with the repair."""

    what: str
    recorded: JsonValue
    today: JsonValue
    told: str
    repair: str


def differing(step: Step, today: Sequence[Step], keys: Collection[str], *, exact: bool) -> Iterator[Differing]:
    """How a recorded step differs from today's.

    Args:
        step: The recorded one.
        today: Today's; twice where chance has a part in it, with the least and the most of it.
        keys: The keys of the marks that both graphs keep.
        exact: Whether the graph is the recorded one as far as its outline tells, so that these marks must be the same.
    """
    made = today[0]
    if (step.kind, step.frame, step.node) != (made.kind, made.frame, made.node):
        yield _other_kind(step, made)
        return
    if plain(step.update) != plain(made.update):
        yield _one("update", plain(step.update), plain(made.update))
    data, new = plain(facts_record(step.data)), plain(facts_record(made.data))
    for what, names in _WHAT:
        was, now = _chosen(data, names), _chosen(new, names)
        if was != now:
            yield _edge(data, new) if what == "edge" else _one(what, was, now)
    was, now = _ending(data), _ending(new)
    same_way = _chosen(data, ("to", "edge")) == _chosen(new, ("to", "edge"))
    if was != now and same_way:  # else it was told with the way
        yield _one("stop" if "kind" not in {*was, *now} else "outcome", was, now)
    yield from _due(step, today)
    yield from _marks(data, new, keys, exact=exact)
    told, telling = _reasons(data), _reasons(new)
    if told != telling and same_way:
        yield _one(REASON, told, telling)


def plain(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """A value as it reads back from JSON."""
    return from_json(to_json(value))


def _one(what: str, was: JsonValue, now: JsonValue) -> Differing:
    return Differing(what, was, now, f"{_NOUNS[what]}: recorded {short(was)}, today {short(now)}", _REPAIRS[what])


_NOUNS: Final = {
    "choice": "what it chooses to run",
    "update": "what it writes",
    "state": "what it begins with",
    "map": "the items it is run for",
    "subgraph": "the graph inside",
    "limit": "its limits",
    "wait": "what it waits for",
    "retry": "what follows a failure",
    "stop": "how it ends",
    "outcome": "how it fails",
    "marks": "what its conditions keep of the past",
    REASON: "the same for another reason",
}
_SHOWN: Final = 200
_SLACK_SECONDS: Final = 1e-5
"""Sums of times in epoch seconds are no more exact."""


def short(value: JsonValue) -> str:
    """A value on a line."""
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _edge(was: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> Differing:
    """Another way out, with what the conditions said."""
    names = ("to", "edge", "fork", "cancelled", "why")
    told = f"the way out: recorded {_way(was)}, today {_way(now)}"
    return Differing("edge", _chosen(was, names), _chosen(now, names), told, _REPAIRS["edge"])


def _way(data: Mapping[str, JsonValue]) -> str:
    if "to" not in data:
        return f"none ({data.get('error', {}).get('message', 'it failed')})"
    label = f" [{data['edge']}]" if data.get("edge") else ""
    return f"{', '.join(data['to'])}{label} since {short(data.get('why', ''))}"


def _other_kind(step: Step, made: Step) -> Differing:
    """Today the same event comes to a step of another kind."""
    error, recorded = failure_of(made), failure_of(step)
    was = {"kind": step.kind, **_ending(facts_record(step.data))}
    now = {"kind": made.kind, **_ending(facts_record(made.data))}
    is_misfit = error is not None and error.kind in _MISFITS
    if step.kind in ("node", "item", "joined") and error is not None and is_misfit and recorded is None:
        told = f"today's types refuse what it wrote: {error.message}"
        return Differing("update", plain(step.update) or was, now, told, _REPAIRS["update"])
    what = "retry" if recorded is not None else "outcome"
    because = f" ({error.kind}: {short(error.message)})" if error is not None else ""
    told = f"{_NOUNS[what]}: recorded a step {step.kind!r}, today a step {made.kind!r}{because}"
    return Differing(what, was, now, told, _REPAIRS[what])


def _ending(data: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a step says of a failure, and of the end of its frame, as far as it was decided."""
    found = {"status": data["status"]} if "status" in data else {}
    stop, error = data.get("stop") or {}, data.get("error") or {}
    found |= {name: stop[name] for name in ("reason", "label") if name in stop}
    return found | {name: error[name] for name in ("path", "kind", "attempt") if name in error}


def _reasons(data: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    stop = data.get("stop") or {}
    return _chosen({**stop, **data}, ("why", "condition"))


def _chosen(data: Mapping[str, JsonValue], names: Sequence[str]) -> dict[str, JsonValue]:
    found = {name: data[name] for name in names if name in data}
    if "fork" in found:  # its condition in words is a reason
        found["fork"] = {name: fact for name, fact in found["fork"].items() if name != "condition"}
    if isinstance(found.get("inside"), dict):
        found["inside"] = {name: found["inside"].get(name) for name in ("reason", "label")}
    return found


def _due(step: Step, today: Sequence[Step]) -> Iterator[Differing]:
    """When the next attempt is due: within the bounds that chance leaves."""
    due = _due_at(step)
    bounds = [at for made in today if (at := _due_at(made)) is not None]
    if due is None or not bounds:
        if due is not None or bounds:
            yield _one("retry", {"due_at": due}, {"due_at": bounds[0] if bounds else None})
        return
    least, most = min(bounds), max(bounds)
    if not least - _SLACK_SECONDS <= due <= most + _SLACK_SECONDS:
        was = f"after {due - step.at:g} s"
        yield _one("retry", was, f"after {least - step.at:g} to {most - step.at:g} s")


def _due_at(step: Step) -> float | None:
    return step.data.due_at if isinstance(step.data, Attempt) else None


def _marks(
    data: Mapping[str, JsonValue], new: Mapping[str, JsonValue], keys: Collection[str], *, exact: bool
) -> Iterator[Differing]:
    """What is kept for plateaus, counts and changes; of a changed graph, what both say in this step."""
    was, now = data.get("marks", {}), new.get("marks", {})
    wanted = keys if exact else set(keys) & set(was) & set(now)
    was, now = ({key: mark for key, mark in marks.items() if key in wanted} for marks in (was, now))
    if was != now:
        yield _one("marks", was, now)
    elif exact:
        before, after = ([s for s in each.get("samples", []) if s[0] in wanted] for each in (data, new))
        if before != after:
            yield _one("marks", before, after)
