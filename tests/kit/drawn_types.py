"""Random types with a value each, and random conditions on it: what depends on the order of hashes shows here.

As a program it prints, for each number, the fingerprint of a graph, the record of the value that its node wrote, and
why its edges were taken; it fails if a value is another one after a wait.
"""

import asyncio
import dataclasses
import datetime as dt
import enum
import random
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Optional
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, create_model
from typing_extensions import TypedDict

from graphengine import END, START, Graph, Runner, ask, value
from graphengine.graph.conditions import Condition
from graphengine.state.same import is_same
from graphengine.stores.memory import InMemoryStore

MANY: Final = 150
WORDS: Final = ("a", "b", "zz", "w", "12:00[Europe/Berlin]", "{x}")
ZONED: Final = "2026-10-25T02:30:00+01:00[Europe/Berlin]"


class Way(enum.Enum):
    """Words, of which one looks like a time."""

    ONE = "one"
    LATE = ZONED


class Prices(TypedDict, extra_items=int):  # type: ignore[call-arg]
    """Any keys beside its own."""

    currency: str


class Anything(TypedDict):
    """Any keys, as pydantic allows them."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    a: str


class Below(Anything):
    """The same, inherited."""

    b: int


class Tagged(BaseModel):
    """A model with sets as defaults."""

    tags: frozenset[str] = frozenset(WORDS)
    many: Annotated[set[str], Field(max_length=9)] = {"x", "y", "z"}
    at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Held:
    """A dataclass with a set."""

    tags: frozenset[str] = frozenset(WORDS)


Drawn = tuple[Any, Any]
LATE: Final = dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
PLAIN: Final[Sequence[Drawn]] = (
    *((int, 10**30), (float, -0.0), (str, WORDS[4]), (bool, True), (Decimal, Decimal("0.10")), (Way, Way.LATE)),
    *((complex, -(1j)), (complex, complex(-0.0, 0.0)), (complex, -0j), (dt.datetime, LATE), (dt.time, LATE.timetz())),
    *((Literal["2026-10-25T02:30:00+01:00[Europe/Berlin]", 1], ZONED), (Held, Held()), (Tagged, Tagged())),
    *((Prices, {"currency": "EUR", "tea": 3}), (Below, {"a": "x", "b": 1, "more": [2]})),
    (Tagged, Tagged(tags=frozenset({"u", "v", "w"}), at=LATE)),
    (dict[str, Any], {"b": 1, "a": {"c": None}}),
)


def drawn(pick: random.Random, depth: int = 2) -> Drawn:
    """Return a type, and a value of it."""
    if depth == 0 or pick.random() < 0.3:
        return pick.choice(PLAIN)
    words = frozenset(pick.sample(WORDS, 4))
    kind, held = drawn(pick, depth - 1)
    ways: Sequence[Callable[[], Drawn]] = (
        lambda: (list[kind], [held, held]),  # type: ignore[valid-type]
        lambda: (dict[str, kind], {"k": held, "a": held}),  # type: ignore[valid-type]
        lambda: (tuple[kind, frozenset[str]], (held, words)),  # type: ignore[valid-type]
        lambda: (frozenset[str], words),
        lambda: (set[str], set(words)),
        lambda: (frozenset[frozenset[str]], frozenset({words, frozenset({"q", "r"}), frozenset()})),
        lambda: (set[tuple[str, int]], {(word, 1) for word in words}),
        lambda: (Optional[kind], held),  # noqa: UP045 - a type that is not known here
        lambda: (create_model("Made", x=(kind, held), tags=(set[str], set(words))), {"x": held, "tags": words}),
    )
    return pick.choice(ways)()


def condition(pick: random.Random, held: Any) -> Condition:
    """Return a condition on the value."""
    words = set(pick.sample(WORDS, 4))
    of, given = value(lambda v: v), Tagged(tags=frozenset(words))
    ways: Sequence[Callable[[], Condition]] = (
        lambda: of.is_in(words),
        lambda: of.is_in({frozenset(words), frozenset({frozenset(words), frozenset({"1"})}), "x"}),
        lambda: of == frozenset(words),
        lambda: of != [frozenset(words), {"a": words}],
        lambda: of == given,
        lambda: of == Held(frozenset(words)),
        lambda: of.contains("a") & ~of.is_in([words, (words,)]),
        lambda: of == object(),
        lambda: of == held,
        lambda: of.is_true() | condition(pick, held),
    )
    return pick.choice(ways)()


async def told(number: int) -> str:
    """Return what is printed of one graph."""
    pick = random.Random(number)  # noqa: S311 - for tests
    kind, held = drawn(pick)
    state = create_model("State", v=(Optional[kind], None), ok=(bool, False))  # noqa: UP045 - as above
    graph = Graph("drawn", state)
    graph.add_node("write", lambda: held, writes="v", thread=False)
    graph.add_node("gate", ask("go?", bool), writes="ok")
    seen: list[object] = []

    def look(v: object) -> None:
        seen.append(v)

    graph.add_node("look", look, thread=False)
    graph.add_edge(START, "write")
    graph.add_edge("write", "gate", when=condition(pick, held), label="yes")
    graph.add_edge("write", "gate")
    graph.add_switch("gate", lambda v: frozenset({"a", "b"}), {frozenset({"b", "a"}): "look"}, otherwise="look")
    graph.add_edge("look", END)
    store = InMemoryStore()
    async with Runner(store) as runner:
        before = (await runner.start(graph, run_id="r").result()).state
    async with Runner(store) as runner:
        await (await runner.answer("r", value=True, graph=graph)).result()
        record, steps = await runner.state_at("r"), await runner.history("r")
    if not is_same(seen[0], vars(before)["v"]) or (type(seen[0]) is dict and seen[0] != held):
        message = f"{number}: {kind} {held!r} was read as {seen[0]!r}"
        raise AssertionError(message)
    why = [getattr(step.data, "why", "") for step in steps]
    return f"{graph.compile().fingerprint} {record} {why}"


async def main() -> None:
    """Print all."""
    for number in range(MANY):
        sys.stdout.write(f"{await told(number)}\n")


if __name__ == "__main__":
    asyncio.run(main())
