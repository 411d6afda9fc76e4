"""Every program by name, in the order of the report."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from benchmarks import (
    agents,
    alone,
    bare,
    big,
    chats,
    drawing,
    durable,
    everyday,
    held,
    inspecting,
    large,
    memory,
    pacing,
    passed,
    peers,
    research,
    searching,
    served,
    short,
    startup,
    stored,
    streaming,
    traced,
    values,
    watching,
    wide,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from benchmarks.measure import Outcome, Settings

PROGRAMS: Final[Mapping[str, Callable[[Settings], Coroutine[None, None, Outcome]]]] = {
    "step": memory.step,
    "short": short.short,
    "shapes": short.shapes,
    "peers": peers.peers,
    "durable_peers": peers.durable_peers,
    "bare": bare.bare,
    "list": memory.long_list,
    "full": durable.full,
    "normal": durable.normal,
    "size": stored.size,
    "resume": stored.resume,
    "branch": stored.branch,
    "many": durable.many,
    "map": wide.mapped,
    "commits": wide.commits,
    "fork": wide.fork,
    "subgraph": wide.subgraph,
    "children": wide.children,
    "values": values.values,
    "passed": passed.passed,
    "fresh": passed.fresh,
    "large": large.large,
    "working": held.working,
    "waiting": held.waiting,
    "big": big.big,
    "long": everyday.long_run,
    "sleepers": everyday.sleepers,
    "growth": everyday.growth,
    "sources": everyday.sources,
    "chats": chats.chats,
    "call": agents.call,
    "calls": agents.calls_at_once,
    "slow_calls": agents.slow_calls_at_once,
    "streaming": streaming.streaming,
    "traced": traced.traced,
    "pacing": pacing.pacing,
    "research": research.time_saved,
    "cost": research.cost_saved,
    "alone": alone.alone,
    "startup": startup.startup,
    "wings": startup.wings,
    "drawing": drawing.drawing,
    "inspector": inspecting.inspecting,
    "search": searching.searching,
    "watched": watching.watching,
    "served": served.served,
}


def outcome_of(name: str, settings: Settings) -> Outcome:
    """Run a program to its end. The process should run nothing else meanwhile."""
    return asyncio.run(PROGRAMS[name](settings))
