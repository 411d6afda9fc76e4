"""A graph with values that need care in JSON: `--graph tests/serve/inspector/exact.py`."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, ask, value

LARGE = 2**53 + 1
"""The least whole number that JavaScript rounds."""

LARGER = 10**30 + 1
LATE = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
"""The second 02:30 of that night."""


class Ids(BaseModel):
    """Ids as other systems give them."""

    post: int = LARGE
    held: dict[str, Any] = {"id": LARGE, "text": str(LARGE), "part": 0.5}
    many: list[int] = [LARGE, -LARGER]
    chosen: int = 0


class Person(BaseModel):
    name: str = ""
    phone: str | None = None


class Patch(BaseModel):
    """A change of a person, with what was set, and a time in a zone."""

    person: Person = Person(name="Ada")
    at: datetime = LATE
    agreed: bool = False


async def hear(chosen: int, ctx: Context) -> int:
    """Receive a message, though no answer leads here."""
    await ctx.receive("news")
    return chosen


example = Ids()

graph = Graph("ids", Ids)
graph.add_node("pick", ask("Which id?", int), writes="chosen")
graph.add_edge(START, "pick")
graph.add_node("hear", hear, writes="chosen")
graph.add_edge("pick", END, when=value("chosen") > LARGE, label="larger")
graph.add_edge("pick", "hear", when=value("chosen") == -1)
graph.add_edge("pick", END)
graph.add_edge("hear", END)

patching = Graph("patching", Patch)
patching.add_node("agree", ask("Patch?", bool), writes="agreed")
patching.add_path(START, "agree", END)
