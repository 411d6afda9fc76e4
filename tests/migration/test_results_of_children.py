"""The recorded result of a child run, which its starter gets after a deployment has changed the child's graph."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from pydantic import BaseModel, create_model

from graphengine import END, START, Context, Graph, Runner
from graphengine.errors import GraphChanged
from graphengine.records.account import account_of_step
from tests.kit.facts import said

Migrate: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


class Order(BaseModel):
    """What a parent has got."""

    got: list[str] = []


FORMS: dict[int, dict[str, Any]] = {
    1: {"euros": (int, 0), "note": (str, "")},
    2: {"cents": (int, 0)},
    3: {"cents": (list[int], []), "currency": (str, "")},
}
MIGRATIONS: dict[int, Migrate] = {
    1: lambda old: {"cents": old["euros"] * 100},
    2: lambda old: {"cents": [old["cents"]], "currency": "EUR"},
}


def child(version: int, *, migrations: tuple[int, ...] = (1, 2), inner: bool = False) -> Graph[Any]:
    """Return the graph whose state changes with each version; the node of an inner one starts another child."""
    options = {older: MIGRATIONS[older] for older in migrations if older < version}
    name = "shop" if inner else "price"
    state: Any = create_model("Price", **FORMS[version])
    graph: Graph[Any] = Graph(name, state, version=version, migrate=options or None)

    async def price(ctx: Context) -> Any:
        if inner:
            found = (await (await ctx.start(child(version))).result()).state
            return int(found.euros if version == 1 else found.cents)
        return 7 if version == 1 else 700

    graph.add_node("price", price, writes="euros" if version == 1 else "cents")
    graph.add_path(START, "price", END)
    return graph


def waiting(made: Graph[Any], *, count: int = 1) -> Graph[Any]:
    """Return a graph whose node waits for a person after its children have ended."""

    async def order(ctx: Context) -> list[str]:
        async def one(number: int) -> str:
            started = await ctx.start(made, tags=[str(number)], run_id=f"c{number}" if count > 1 else None)
            return repr((await started.result()).state)

        got = await asyncio.gather(*map(one, range(count)))
        await ctx.ask("Go?", bool)
        return list(got)

    graph: Graph[Any] = Graph("order", Order)
    graph.add_node("order", order, writes="got")
    graph.add_path(START, "order", END)
    return graph


async def begin(runner: Runner, graph: Graph[Any]) -> None:
    """Start a parent, which waits then."""
    assert (await runner.start(graph, run_id="r").result()).status == "waiting"


async def go_on(runner: Runner, graph: Graph[Any]) -> Any:
    """Answer, and return what the parent has got from its children."""
    ended = await (await runner.answer("r", True, graph)).result()  # noqa: FBT003 - an answer
    return ended.state.got


async def test_a_recorded_result_is_migrated_when_the_node_runs_again(runner: Runner) -> None:
    """It was recorded with the parent before the deployment, and the child is not read again."""
    await begin(runner, waiting(child(1)))
    assert await go_on(runner, waiting(child(2))) == ["Price(cents=700)"]


async def test_it_is_migrated_when_the_child_was_removed(runner: Runner) -> None:
    """The record of its end says of which version it is, also if the store has nothing else of that version."""
    await begin(runner, waiting(child(1)))
    found = [info for info in await runner.store.runs(limit=9) if info.id != "r"]
    assert not await runner.store.remove(found)
    await runner.store.sweep()
    assert await go_on(runner, waiting(child(2))) == ["Price(cents=700)"]


async def test_it_is_migrated_when_the_end_was_not_read_before(database: Any) -> None:
    """The child ended under version 1 after its parent's process had gone: its own run is read, once."""
    async with Runner(database) as runner:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def parent(version: int) -> Graph[Any]:
            async def order(ctx: Context) -> str:
                run = await ctx.start(child(version), run_id="c", queue="prices")
                if not started.done():
                    started.set_result(None)
                return repr((await run.result()).state)

            graph: Graph[Any] = Graph("order", create_model("One", got=(str, "")))
            graph.add_node("order", order, writes="got")
            graph.add_path(START, "order", END)
            return graph

        await runner.start(parent(1), run_id="r").result()
        await (await runner.drive("c", child(1))).result()
        ended = await runner.resume("r", parent(2)).result()
    assert ended.state.got == "Price(cents=700)"


async def test_several_results_are_migrated(runner: Runner) -> None:
    """Children that a node awaits at once have each an end of its own."""
    await begin(runner, waiting(child(1), count=3))
    assert await go_on(runner, waiting(child(2), count=3)) == ["Price(cents=700)"] * 3


async def test_the_results_of_items_of_a_map_are_migrated(runner: Runner) -> None:
    """Each item has its own recorded child."""

    def graph(version: int) -> Graph[Any]:
        async def one(ctx: Context, item: int) -> str:
            state = (await (await ctx.start(child(version), tags=[str(item)])).result()).state
            await ctx.ask("Go?", bool)
            return repr(state)

        made: Graph[Any] = Graph("order", create_model("Many", items=(list[int], [1, 2]), got=(list[str], [])))
        made.add_node("one", one, each={"item": "items"}, writes="got")
        made.add_path(START, "one", END)
        return made

    begun = await runner.start(graph(1), run_id="r").result()
    runs = [await runner.answer("r", True, graph(2), wait=wait) for wait in begun.waits]  # noqa: FBT003 - an answer
    assert (await runs[-1].result()).state.got == ["Price(cents=700)"] * 2


async def test_the_result_of_a_child_that_had_a_child_is_migrated(runner: Runner) -> None:
    """Each starter migrates what it gets."""
    await begin(runner, waiting(child(1, inner=True)))
    assert await go_on(runner, waiting(child(2, inner=True))) == ["Price(cents=700)"]


async def test_a_child_that_goes_on_under_the_new_version_is_migrated_once(runner: Runner) -> None:
    """The child itself is migrated when it is resumed, and its end is of the new version then."""

    def asking(version: int) -> Graph[Any]:
        options: Any = {"version": 2, "migrate": {1: MIGRATIONS[1]}} if version > 1 else {}
        made: Graph[Any] = Graph("price", create_model("Price", **FORMS[version]), **options)

        async def wait(ctx: Context) -> None:
            await ctx.ask("Well?", bool)

        if version == 1:
            made.add_node("price", lambda: 7, writes="euros")
        else:
            made.add_node("price", lambda: None)
        made.add_node("wait", wait)
        made.add_path(START, "price", "wait", END)
        return made

    await begin(runner, waiting(asking(1)))
    (found,) = [info.id for info in await runner.runs() if info.id != "r"]
    await (await runner.answer(found, True, asking(2))).result()  # noqa: FBT003 - an answer
    await runner.resume("r", waiting(asking(2))).result()
    assert await go_on(runner, waiting(asking(2))) == ["Price(cents=700)"]


async def test_the_outcome_is_recorded_so_that_the_migration_can_be_removed(runner: Runner) -> None:
    """The next deployment begins from what the last one has made of the result."""

    def twice(made: Graph[Any]) -> Graph[Any]:
        async def order(ctx: Context) -> list[str]:
            state = (await (await ctx.start(made)).result()).state
            await ctx.ask("Go?", bool)
            await ctx.ask("Sure?", bool)
            return [repr(state)]

        graph: Graph[Any] = Graph("order", Order)
        graph.add_node("order", order, writes="got")
        graph.add_path(START, "order", END)
        return graph

    await begin(runner, twice(child(1)))
    await go_on(runner, twice(child(2)))
    assert await go_on(runner, twice(child(3, migrations=(2,)))) == ["Price(cents=[700], currency='EUR')"]
    ends = [
        said(step)["value"] for step in await runner.history("r") if said(step).get("name", "").startswith("child ")
    ]
    assert [(end["values"], end.get("version", 1)) for end in ends] == [
        ({"euros": 7, "note": ""}, 1),
        ({"cents": 700}, 2),
        ({"cents": [700], "currency": "EUR"}, 3),
    ]
    told = [account_of_step(step).text for step in await runner.history("r") if step.kind == "recorded"]
    assert [text.partition(" was ")[2] for text in told if " was " in text] == [
        "migrated to version 2 of its graph",
        "migrated to version 3 of its graph",
    ]


async def test_the_same_form_and_the_form_of_before_need_no_migration(runner: Runner) -> None:
    """A deployment that is taken back finds the record as the code of before has made it."""
    await begin(runner, waiting(child(1)))
    assert await go_on(runner, waiting(child(1))) == ["Price(euros=7, note='')"]


async def test_a_result_that_does_not_fit_lets_the_run_wait_for_another_graph(runner: Runner) -> None:
    """The node does not fail: the error is that of a resume, and the run goes on where the migration is."""
    await begin(runner, waiting(child(2)))
    with pytest.raises(GraphChanged, match="cents"):
        await go_on(runner, waiting(child(3, migrations=())))
    assert (await runner.info("r")).status == "interrupted"
    assert (await runner.resume("r", waiting(child(3))).result()).state.got == ["Price(cents=[700], currency='EUR')"]
