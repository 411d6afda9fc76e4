"""Every door that gives or takes a recorded state: what one version of a graph wrote is read under another version.

A door that hands a state to code of today migrates the state. A state of a newer version is left for a newer process:
the door refuses it, or gives it as it was recorded, and changes nothing. A door that shows a record gives the state as
it was written, with the version of its graph where the door has one, and never refuses.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pytest
from pydantic import create_model

from graphengine import END, START, Context, Graph, Runner, ask, debounced
from graphengine.errors import GraphChanged
from graphengine.kernel.fake_clock import FakeClock
from graphengine.records.export import export_run
from graphengine.serve.callers import Caller, acting
from graphengine.worker import Schedule
from graphengine.worker.schedules import Ticker
from tests.serve.service.client import service_of

HOUR: Final = 3600.0
FIELD: Final = {1: "euros", 2: "cents"}
DEFAULT: Final = {1: 7, 2: 5}
GIVEN: Final = {1: {"euros": 7}, 2: {"cents": 5}}
HOURLY: Final = Schedule("hourly", "0 * * * *", "price", missed="one")


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves."""
    return FakeClock(start=0.0, jumps=False)


def price(version: int, *, asks: bool = False) -> Graph[Any]:
    """Return one version of the graph whose states are read."""
    options: dict[str, Any] = {"version": 2, "migrate": {1: lambda old: {"cents": old["euros"] * 100}}}
    state = create_model("Price", ok=(bool, False), **{FIELD[version]: (int, DEFAULT[version])})  # type: ignore[call-overload]
    graph: Graph[Any] = Graph("price", state, **(options if version > 1 else {}))
    graph.add_node("end", ask("Well?", bool) if asks else lambda: True, writes="ok")
    graph.add_path(START, "end", END)
    return graph


def reader(version: int, read: Callable[[Context, Graph[Any]], Awaitable[list[Any]]]) -> Graph[Any]:
    """Return a graph whose node reads states with today's code, asks, and ends with what it has read."""

    async def node(ctx: Context) -> list[Any]:
        found = await read(ctx, price(version))
        await ctx.ask("Go on?", bool)
        return found

    graph: Graph[Any] = Graph("reader", create_model("Found", got=(list[Any], [])))
    graph.add_node("read", node, writes="got")
    graph.add_path(START, "read", END)
    return graph


async def of_child(ctx: Context, graph: Graph[Any]) -> list[Any]:
    """Return the state of a child run."""
    child = await ctx.start(graph, run_id="child")
    return [getattr((await child.result()).state, FIELD[graph.version])]


async def of_earlier(ctx: Context, graph: Graph[Any]) -> list[Any]:
    """Return the states of the earlier runs of the graph."""
    return [run.state[FIELD[graph.version]] for run in await ctx.runs(graph)]


@dataclass
class Place:
    """A runner, its clock, and how many runs have read."""

    runner: Runner
    clock: FakeClock
    readers: int = 0

    async def finish(self, version: int) -> None:
        """Record a run that has finished."""
        await self.runner.start(price(version), GIVEN[version], run_id="one").result()

    async def wait(self, version: int) -> None:
        """Record a run that waits."""
        await self.runner.start(price(version, asks=True), GIVEN[version], run_id="one").result()
        await self.runner.answer("one", True)  # noqa: FBT003 - an answer
        await self.runner.release("one")

    async def start_child(self, version: int) -> None:
        """Record a run that waits after its child has ended."""
        await self.runner.start(reader(version, of_child), run_id="parent").result()
        await self.runner.answer("parent", True)  # noqa: FBT003 - an answer
        await self.runner.release("parent")

    async def debounce(self, version: int) -> None:
        """Record an input that is to start a run later."""
        await self.runner.start_or_send(debounced(price(version), seconds=60), "key", "start", GIVEN[version])
        await self.drive(version, lambda info: info.status == "waiting")
        await self.runner.release("key")

    async def schedule(self, version: int) -> None:
        """Record the input of a schedule."""
        await self.runner.admin.schedule(HOURLY, price(version), GIVEN[version])
        self.clock.move(HOUR)

    async def drive(self, version: int, is_done: Callable[[Any], bool]) -> None:
        """Let the run that collects inputs go on under a version until it rests, and has read its inbox."""
        async with asyncio.timeout(30):
            while True:
                await self.runner.drive("key", debounced(price(version), seconds=60))
                (info,) = await self.runner.store.infos(["key"])
                if is_done(info) and not await self.runner.store.inbox(["key"]):
                    return
                await asyncio.sleep(0.01)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def sequel(self, version: int) -> object:
        """Start a run that begins with the state."""
        return (await self.runner.start(price(version), {}, after="one").result()).state

    async def result(self, version: int) -> object:
        """Ask for the result of the run."""
        return (await self.runner.get("one", price(version)).result()).values

    async def same_start(self, version: int) -> object:
        """Start the run again, under the same id."""
        return (await self.runner.run(price(version), run_id="one")).values

    async def resume(self, version: int) -> object:
        """Let the run go on to its end."""
        return (await self.runner.resume("one", price(version, asks=True)).result()).state

    async def branch(self, version: int) -> object:
        """Branch a run off."""
        return (await self.runner.branch("one", price(version, asks=True), 1).result()).state

    async def child(self, version: int) -> object:
        """Let the starter of a child go on to its end."""
        return (await self.runner.resume("parent", reader(version, of_child)).result()).state.got

    async def earlier(self, version: int) -> object:
        """Let a node read the earlier runs of the graph."""
        self.readers += 1
        graph, run_id = reader(version, of_earlier), f"reader{self.readers}"
        await self.runner.start(graph, run_id=run_id).result()
        return (await (await self.runner.answer(run_id, True, graph)).result()).state.got  # noqa: FBT003 - an answer

    async def collected(self, version: int) -> object:
        """Let a debounced run be started."""
        self.clock.move(61)
        now = self.clock.now()
        await self.drive(version, lambda info: info.status == "waiting" and (info.due_at or now + 1) > now)
        if trouble := (await self.runner.state_at("key"))["trouble"]:
            await self.runner.release("key")
            raise GraphChanged(str(trouble), where="", repair="")
        (info,) = await self.runner.runs(graph="price")
        return await self.runner.state_at(info.id)

    async def scheduled(self, version: int) -> object:
        """Let a worker start what is due."""
        trouble = await Ticker(self.runner, {"price": price(version)}).tick()
        if isinstance(trouble, GraphChanged):
            raise trouble
        (info,) = await self.runner.runs(graph="price")
        return await self.runner.state_at(info.id)


class Door(NamedTuple):
    """A door: what records a state under a version, and what reads the state under another version.

    Attributes:
        write: Records the state.
        read: Reads the state.
        gives_newer: What an older process gets of a state of a newer version; None if the door refuses it.
    """

    write: Callable[[Place, int], Awaitable[None]]
    read: Callable[[Place, int], Awaitable[object]]
    gives_newer: object = None


AS_RECORDED: Final = {"ok": True, "cents": 5}
DOORS: Final = {
    "start(after=)": Door(Place.finish, Place.sequel),
    "get(id, graph).result()": Door(Place.finish, Place.result, AS_RECORDED),
    "run(graph, run_id=)": Door(Place.finish, Place.same_start, AS_RECORDED),
    "resume": Door(Place.wait, Place.resume),
    "branch": Door(Place.wait, Place.branch),
    "child.result()": Door(Place.start_child, Place.child),
    "ctx.runs(graph)": Door(Place.finish, Place.earlier, []),
    "a debounced input": Door(Place.debounce, Place.collected),
    "the input of a schedule": Door(Place.schedule, Place.scheduled),
}


def plain(state: object) -> Any:
    """Return a state as a dict; a list stays."""
    return state if isinstance(state, list) else {**(state if isinstance(state, dict) else vars(state))}


def value_in(state: object) -> object:
    """Return the cents of a state, or of the only state of a list."""
    made = plain(state)
    return made["cents"] if isinstance(made, dict) else made[0]


@pytest.mark.parametrize("name", DOORS)
async def test_a_state_of_an_older_version_is_read_as_today_s_graph_has_it(
    timed: Runner, clock: FakeClock, name: str
) -> None:
    """Whatever the door, the migration of the graph is applied, once."""
    place, door = Place(timed, clock), DOORS[name]
    await door.write(place, 1)
    assert value_in(await door.read(place, 2)) == 700


@pytest.mark.parametrize("name", DOORS)
async def test_a_state_of_a_newer_version_is_left_for_a_newer_process(
    timed: Runner, clock: FakeClock, name: str
) -> None:
    """An older process is refused, or gets the record as it is; a process of the newer version reads the state then."""
    place, door = Place(timed, clock), DOORS[name]
    await door.write(place, 2)
    before = {info.id: info.status for info in await timed.runs()}
    if door.gives_newer is None:
        with pytest.raises(GraphChanged, match="version 2 of graph 'price', but this process has version 1"):
            await door.read(place, 1)
    else:
        assert plain(await door.read(place, 1)) == door.gives_newer
    assert not {"failed", "stopped"} & {info.status for info in await timed.runs()}
    assert before.keys() <= {info.id for info in await timed.runs()}
    assert value_in(await door.read(place, 2)) == 5


async def as_recorded(runner: Runner, version: int) -> dict[str, tuple[Any, int | None]]:
    """Return the state of the run as each door shows it that gives records, and its version if the door tells it."""
    got: list[tuple[Any, int | None]] = []

    async def read(ctx: Context, graph: Graph[Any]) -> list[Any]:
        got.extend((run.state, run.version) for run in await ctx.runs(graph.name))
        return []

    await runner.start(reader(version, read), run_id="reader").result()
    with acting(Caller("")):
        now: Any = await service_of(runner, price(version)).runner.now("one")
    exported = await export_run(runner.store, "one")
    (spec,) = exported.graph_specs.values()
    return {
        "ctx.runs(name)": got[0],
        "get(id).result()": ((await runner.get("one").result()).values, None),
        "state_at": (dict(await runner.state_at("one")), None),
        "the service": (now.state, now.version),
        "an export": ({op[1]: op[2] for op in exported.steps[0].update}, spec["version"]),
    }


@pytest.mark.parametrize(("written", "read"), [(1, 2), (2, 1)])
async def test_a_door_that_shows_records_gives_them_as_they_were_written(
    timed: Runner, written: int, read: int
) -> None:
    """Nothing is migrated, and nothing is refused, whichever version the process has."""
    await Place(timed, FakeClock()).finish(written)
    for name, (state, version) in (await as_recorded(timed, read)).items():
        assert {**state, "ok": True} == {**GIVEN[written], "ok": True}, name
        assert version in (None, written), name
