"""Steps of runs stored in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.measure import MICRO, Outcome, Settings, alternate
from benchmarks.ours import ENTRY, Counter, Diary, Visits, counting, counting_noted, writing

if TYPE_CHECKING:
    from benchmarks.measure import Side

OURS, VALIDATED, UNVALIDATED = "graphengine", "LangGraph, pydantic state", "LangGraph, TypedDict, nothing validated"


async def step(settings: Settings) -> Outcome:
    """This program measures a step in memory: the time of a run of 2,000 visits (LangGraph: 150), divided by its steps.

    A visit reads one field of a pydantic state with three fields, writes it back validated, and evaluates one
    condition. graphengine records every step in its in-memory store, and checks that nodes do not change their input.
    LangGraph runs without a checkpointer.
    """
    steps = settings.count(2000, 20)
    graph = counting(steps)

    async def ours() -> float:
        began = time.perf_counter()
        await graph.run(Counter())
        return (time.perf_counter() - began) / steps * MICRO

    sides: dict[str, Side] = {OURS: ours}
    if settings.has("langgraph"):
        sides.update(_langgraph(settings.count(150, 5)))
    found = await alternate(sides, "µs", settings.count(31, 2))

    ratios: dict[str, float] = {}
    if settings.has("langgraph"):
        ratios["LangGraph's step against ours"] = found[VALIDATED].against(found[OURS])
    return Outcome("In-memory step: pydantic state of 3 fields, validated update, one condition", found, ratios)


def _langgraph(steps: int) -> dict[str, Side]:
    from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

    validated, unvalidated = peer.counting(steps), peer.counting_unvalidated(steps)
    state = Counter().model_dump()

    async def with_pydantic() -> float:
        return await peer.run(validated, state, steps) * MICRO

    async def with_typed_dict() -> float:
        return await peer.run(unvalidated, state, steps) * MICRO

    return {VALIDATED: with_pydantic, UNVALIDATED: with_typed_dict}


async def long_list(settings: Settings) -> Outcome:
    """This program measures a step of a run with a long list: the mean time from one visit of a node to the next.

    The node appends to a list of 10,000 items and does not read the list. The step is compared with that of the same
    graph with an empty list, and with the plain step in memory, both measured in the same way.
    """
    steps, items = settings.count(1000, 20), settings.count(10_000, 100)
    long = Diary(entries=[f"entry {at}" for at in range(items)])
    visits = Visits()
    plain, appending = counting_noted(steps, visits.note), writing(steps, ENTRY, visits.note)

    async def plain_step() -> float:
        await plain.run(Counter())
        return visits.seconds_a_step() * MICRO

    async def empty_list() -> float:
        await appending.run(Diary())
        return visits.seconds_a_step() * MICRO

    async def full_list() -> float:
        await appending.run(long)
        return visits.seconds_a_step() * MICRO

    full = f"appending to {items:,} items"
    sides: dict[str, Side] = {"plain step": plain_step, "appending to an empty list": empty_list, full: full_list}
    if settings.has("langgraph"):
        sides[f"LangGraph, {full}"] = _langgraph_list(long, settings.count(100, 5))
    found = await alternate(sides, "µs", settings.count(9, 2))
    against = f"a step {full}, against a plain one"
    ratios = {against: found[full].against(found["plain step"])}
    return Outcome(
        "The same with a list field of 10,000 items that the node appends to and does not read", found, ratios
    )


def _langgraph_list(long: Diary, steps: int) -> Side:
    from benchmarks import langgraph_side as peer  # noqa: PLC0415

    visits = Visits()
    app, state = peer.writing(steps, ENTRY, visits.note), {"entries": long.entries}

    async def append() -> float:
        await peer.run(app, state, steps)
        return visits.seconds_a_step() * MICRO

    return append
