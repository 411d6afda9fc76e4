"""The ways out of an outline's nodes, one entry for each arrow of a picture.

A way is tried after those declared before it, and those for failures apart from the others, so each carries its place
in its group. A switch is one way with several arrows; its cases that lead to one target share theirs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.state.json_values import JsonValue


@dataclass(frozen=True, slots=True)
class Way:
    """One arrow's worth of a way out.

    Attributes:
        order: Its place among the ways of its group (success or failure) of its node, from 0.
        several: Whether its group has more than one way.
        label: What the user called it, "" if nothing.
        condition: When it is taken, in words; "" if it is the only one.
        recorded: The labels a step may name it by.
        failure: Whether it is tried after a failure.
        fork: What is said of the fork whose arm it is; "" for no arm.
    """

    source: str
    target: str
    label: str
    condition: str
    recorded: frozenset[str]
    failure: bool
    order: int = 0
    several: bool = False
    fork: str = ""


def ways_of(outline: Mapping[str, JsonValue]) -> list[Way]:
    """All ways of an outline in declared order."""
    tried: Counter[tuple[str, bool]] = Counter()
    found: list[Way] = []
    for facts in outline.get("ways", ()):
        arrows = _switch(facts) if "cases" in facts else _fork(facts) if "arms" in facts else [_edge(facts)]
        found += [replace(way, order=tried[way.source, way.failure]) for way in arrows]
        tried.update({(way.source, way.failure) for way in arrows})
    return [_in_words(replace(way, several=tried[way.source, way.failure] > 1)) for way in found]


def joins_of(outline: Mapping[str, JsonValue]) -> dict[str, str]:
    """What is said of each node that joins the arms of forks."""
    said: dict[str, list[str]] = {}
    for facts in outline.get("ways", ()):
        if "arms" in facts:
            arms, need = len(facts["arms"]), facts.get("need")
            count = f"{need} of {arms} arms" if need else f"{arms} arm" + "s" * (arms != 1)
            said.setdefault(str(facts["join"]), []).append(count)
    return {join: f"joins {' and '.join(counts)}" for join, counts in said.items()}


def closing_ways(ways: Sequence[Way], start: str) -> set[int]:
    """The places of those ways that close a loop: depth first from the start, they lead back to where one came from."""
    out: dict[str, list[int]] = {}
    for place, way in enumerate(ways):
        out.setdefault(way.source, []).append(place)
    closing: set[int] = set()
    seen: set[str] = set()
    for root in dict.fromkeys([start, *out]):
        trail = {root: iter(out.get(root, ()))} if root not in seen else {}
        seen.add(root)
        while trail:
            here = next(reversed(trail))
            for index in trail[here]:
                target = ways[index].target
                if target in trail:
                    closing.add(index)
                elif target not in seen:
                    seen.add(target)
                    trail[target] = iter(out.get(target, ()))
                    break
            else:
                del trail[here]
    return closing


def _edge(facts: Mapping[str, JsonValue]) -> Way:
    label = str(facts.get("label") or "")
    condition = one_line(str(facts.get("when") or ""))
    failure = bool(facts.get("failure"))
    return Way(str(facts["from"]), str(facts["to"]), label, condition, frozenset((label,)), failure)


def _switch(facts: Mapping[str, JsonValue]) -> list[Way]:
    source, on = str(facts["from"]), one_line(str(facts["on"]))
    values: dict[str, list[str]] = {}
    for value, target in facts["cases"].items():
        values.setdefault(str(target), []).append(str(value))
    arrows = {
        target: Way(source, target, "", f"{on} is {one_line(_any_of(cases))}", frozenset(cases), failure=False)
        for target, cases in values.items()
    }
    otherwise = facts.get("otherwise")
    if otherwise is not None:
        target = str(otherwise)
        same = arrows.get(target)
        condition = f"{same.condition}, or otherwise" if same else f"{on} is anything else"
        recorded = same.recorded | {""} if same else frozenset(("",))
        arrows[target] = Way(source, target, "", condition, recorded, failure=False)
    return list(arrows.values())


def _fork(facts: Mapping[str, JsonValue]) -> list[Way]:
    """A way for each arm, and one to the join where no arm may have to be run."""
    source, join, label = str(facts["from"]), str(facts["join"]), str(facts.get("label") or "")
    need = f", {facts['need']} of {len(facts['arms'])} needed" if facts.get("need") else ""
    words = [f"side by side until {join}{need}"]
    if facts.get("when"):
        words.append(one_line(str(facts["when"])))
    fork = "; ".join(words)
    recorded = frozenset((label,))
    arrows: list[Way] = []
    for arm in facts["arms"]:
        when = f"if {one_line(str(arm['when']))}" if "when" in arm else ""
        arrows.append(Way(source, str(arm["to"]), label, when, recorded, failure=False, fork=fork))
    if all("when" in arm for arm in facts["arms"]):
        arrows.append(Way(source, join, label, "if no arm is run", recorded, failure=False, fork=fork))
    return arrows


def _any_of(cases: Sequence[str]) -> str:
    *others, last = cases
    return f"{', '.join(others)} or {last}" if others else last


def _in_words(way: Way) -> Way:
    """Name the way without a condition where there are others."""
    if way.condition or way.label or way.fork or not way.several:
        return way
    return replace(way, condition="otherwise")
