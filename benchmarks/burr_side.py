"""The workloads of `benchmarks.peers` as a user of Burr writes them. Needs the packages of the group `bench`.

No tracker is set, so nothing is written but what the persister stores. A run is an `Application`, built from a graph
that exists. It stops before the action `done`, which is there only because a loop needs an action to leave to.
"""

from __future__ import annotations

import itertools
import uuid
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

from burr.core import ApplicationBuilder, Condition, State, action
from burr.core.action import create_action
from burr.core.graph import GraphBuilder
from burr.core.parallelism import MapActions
from burr.core.persistence import SQLitePersister
from burr.integrations.persisters.b_aiosqlite import AsyncSQLitePersister
from burr.integrations.pydantic import PydanticTypingSystem

from benchmarks.ours import Counter
from benchmarks.peers import STEPS, at_once

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from benchmarks.peers import Databases, Library, Run


async def _increase(state: Counter) -> Counter:
    state.count += 1
    return state


def _increase_plainly(state: Counter) -> Counter:
    state.count += 1
    return state


async def _increase_unvalidated(state: State) -> State:
    return state.update(count=state["count"] + 1)


async def _plan(state: State) -> State:
    return state


async def _one(state: State) -> State:
    return state.update(total=1)


def _done(state: State) -> State:
    return state


_COUNT: Any = {"reads": ["count"], "writes": ["count"]}
_VALIDATED = action.pydantic(**_COUNT)(_increase)
_PLAIN = action.pydantic(**_COUNT)(_increase_plainly)
_UNVALIDATED = action(**_COUNT)(_increase_unvalidated)
_DONE = action(reads=[], writes=[])(_done)


class _Arms(MapActions):  # type: ignore[misc] # Burr is not in every .venv
    """Actions that run in parallel and each add one. The reducer sums up what they have added."""

    reads = ["total"]  # noqa: RUF012 - Burr asks for a property
    writes = ["total"]  # noqa: RUF012

    def __init__(self, arms: int) -> None:
        super().__init__()
        one = action(reads=["total"], writes=["total"])(_one)
        self.arms = [create_action(one, f"arm{number}") for number in range(arms)]

    def is_async(self) -> bool:
        return True

    def actions(self, state: State, context: object, inputs: object) -> Iterator[Any]:  # noqa: ARG002
        yield from self.arms

    def state(self, state: State, inputs: object) -> State:  # noqa: ARG002
        return state

    async def reduce(self, state: State, states: AsyncIterator[State]) -> State:
        return state.update(total=sum([each["total"] async for each in states]))


@asynccontextmanager
async def side(databases: Databases | None) -> AsyncIterator[Mapping[str, Library]]:
    """Yield the workloads of `benchmarks.peers` for Burr, in memory or stored in a database."""
    if databases is None:
        yield {
            "Burr": _workloads(None),
            "Burr, State": {
                "loop": lambda visits: _ran(_loop(_UNVALIDATED, visits), "increase", None, Counter().model_dump())
            },
        }
        return
    durable = ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {databases.synchronous}")
    async with AsyncSQLitePersister.from_values(str(databases.folder / "burr.db")) as persister:
        await persister.initialize()
        plain = SQLitePersister.from_values(str(databases.folder / "burr_plain.db"))
        with closing(plain.connection):
            plain.initialize()
            for setting in durable:
                await persister.connection.execute(setting)
                plain.connection.execute(setting)
            yield {
                "Burr": _workloads(persister),
                "Burr, without async": {"loop": lambda visits: _ran_plainly(_loop(_PLAIN, visits), plain)},
            }


def _workloads(persister: Any) -> Library:  # noqa: ANN401 - Burr's
    def chain(nodes: int) -> Run:
        names = [f"node{number}" for number in range(nodes)]
        actions = dict.fromkeys(names, _VALIDATED)
        graph = GraphBuilder().with_actions(**actions, done=_DONE)
        return _ran(graph.with_transitions(*itertools.pairwise([*names, "done"])).build(), names[0], persister)

    def loop(visits: int) -> Run:
        return _ran(_loop(_VALIDATED, visits), "increase", persister)

    def fork(arms: int) -> Run:
        plan = action(reads=[], writes=[])(_plan)
        graph = GraphBuilder().with_actions(plan=plan, arms=_Arms(arms), done=_DONE)
        built = graph.with_transitions(("plan", "arms"), ("arms", "done")).build()
        return _ran(built, "plan", persister, {"total": 0})

    return {"chain": chain, "loop": loop, "fork": fork, "at once": lambda runs: at_once(loop(STEPS), runs)}


def _loop(increase: Any, visits: int) -> Any:  # noqa: ANN401
    enough = Condition(["count"], lambda state: state["count"] >= visits)
    graph = GraphBuilder().with_actions(increase=increase, done=_DONE)
    return graph.with_transitions(("increase", "done", enough), ("increase", "increase")).build()


def _ran(graph: Any, first: str, persister: Any, state: Mapping[str, Any] | None = None) -> Run:  # noqa: ANN401
    async def run() -> int:
        application = await _builder(graph, first, persister, state).abuild()
        _, _, ended = await application.arun(halt_before=["done"])
        counted: int = ended["count" if "count" in ended else "total"]
        return counted

    return run


def _ran_plainly(graph: Any, persister: SQLitePersister) -> Run:  # noqa: ANN401
    async def run() -> int:
        _, _, ended = _builder(graph, "increase", persister, None).build().run(halt_before=["done"])
        counted: int = ended["count"]
        return counted

    return run


def _builder(graph: Any, first: str, persister: Any, state: Mapping[str, Any] | None) -> Any:  # noqa: ANN401
    """Return a builder of a new application, over the pydantic state or over the fields in `state`."""
    builder: Any = ApplicationBuilder().with_graph(graph).with_entrypoint(first)
    if state is None:
        builder = builder.with_typing(PydanticTypingSystem(Counter)).with_state(Counter())
    else:
        builder = builder.with_state(**state)
    if persister is not None:
        builder = builder.with_identifiers(app_id=uuid.uuid4().hex).with_state_persister(persister)
    return builder
