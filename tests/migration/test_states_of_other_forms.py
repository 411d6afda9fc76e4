"""Recorded states that somebody reads after a deployment: by `ctx.runs`, as the result of a run, or as they are."""

import logging
from typing import Any

import pytest
from msgspec import UNSET
from pydantic import create_model

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.records.json_document import RunNow
from graphengine.runner.result import RecordedState
from graphengine.serve.callers import Caller, acting
from tests.serve.service.client import service_of

EUROS: dict[str, Any] = {"euros": (int, 0), "note": (str, "")}
CENTS: dict[str, Any] = {"cents": (int, 0)}
LIST: dict[str, Any] = {"cents": (list[int], [])}
OPTIONS: dict[int, Any] = {
    1: {},
    2: {"version": 2, "migrate": {1: lambda old: {"ok": old["ok"], "cents": old["euros"] * 100}}},
    3: {"version": 3, "migrate": {2: lambda old: {"ok": old["ok"], "cents": [old["cents"]]}}},
}


def price(version: int, *, asks: bool = False, **options: Any) -> Graph[Any]:
    """Return the graph of the runs that are read; the third version can migrate the second one alone."""
    fields: dict[str, Any] = {1: EUROS, 2: CENTS, 3: LIST}[version]
    graph: Graph[Any] = Graph("price", create_model("Price", ok=(bool, False), **fields), **OPTIONS[version], **options)
    graph.add_node("ask", ask("Well?", bool) if asks else lambda: True, writes="ok")
    graph.add_path(START, "ask", END)
    return graph


def reader(made: Graph[Any] | str, fields: tuple[str, ...] | None = None) -> Graph[Any]:
    """Return a graph whose node reads earlier runs, and asks twice."""

    async def read(ctx: Context) -> list[Any]:
        found = await ctx.runs(made, fields=fields)
        await ctx.ask("Go?", bool)
        await ctx.ask("Sure?", bool)
        return [[run.run_id, run.version, run.state] for run in found]

    graph: Graph[Any] = Graph("reader", create_model("Found", got=(list[Any], [])))
    graph.add_node("read", read, writes="got")
    graph.add_path(START, "read", END)
    return graph


async def answers(runner: Runner, *graphs: Graph[Any]) -> Any:
    """Answer with each of these graphs, and return what the last one has read."""
    ended = [await (await runner.answer("r", True, graph)).result() for graph in graphs]  # noqa: FBT003 - an answer
    return [tuple(each) for each in ended[-1].state.got]


async def remove(runner: Runner, run_id: str) -> None:
    """Remove a run that has ended, with what the store keeps for it alone."""
    assert not await runner.store.remove([info for info in await runner.store.runs(limit=9) if info.id == run_id])
    await runner.store.sweep()


async def test_runs_of_an_older_version_are_migrated_for_a_node(runner: Runner) -> None:
    """The name of a graph gives them as they were recorded, with their version."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    for made, expected in (
        (price(2), ("one", 2, {"ok": True, "cents": 700})),
        ("price", ("one", 1, {"ok": True, "euros": 7, "note": ""})),
    ):
        await runner.start(reader(made), run_id="r").result()
        assert await answers(runner, reader(made), reader(made)) == [expected]
        await remove(runner, "r")


@pytest.mark.parametrize("fields", [None, ("cents",)])
async def test_runs_that_a_node_has_read_are_migrated_once_for_each_deployment(
    runner: Runner, fields: tuple[str, ...] | None
) -> None:
    """What they became is recorded: the third version no longer knows how to migrate the first one."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    await runner.start(reader(price(1), None if fields is None else ("euros",)), run_id="r").result()
    if fields is None:
        await remove(runner, "one")
        assert await answers(runner, reader(price(2)), reader(price(3))) == [("one", 3, {"ok": True, "cents": [700]})]
    else:  # other fields are another question
        assert await answers(runner, reader(price(2), fields), reader(price(2), fields)) == [("one", 2, {"cents": 700})]


async def test_some_fields_of_a_run_are_migrated_from_its_whole_state(runner: Runner) -> None:
    """A migration needs all fields, and the node was given one of them."""
    await runner.start(price(2), {"cents": 7}, run_id="one").result()
    await runner.start(reader(price(2), ("cents",)), run_id="r").result()
    both = reader(price(3), ("cents",))
    assert await answers(runner, both, both) == [("one", 3, {"cents": [7]})]


async def test_a_run_that_cannot_be_migrated_is_left_out_with_a_warning(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """It is of a newer version, or no migration leads to the graph, or only a part of it is left."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    await runner.start(price(2), {"cents": 7}, run_id="two").result()
    await runner.start(price(3), {"cents": [7]}, run_id="three").result()
    with caplog.at_level(logging.WARNING):
        await runner.start(reader(price(2)), run_id="r").result()
        found = await answers(runner, reader(price(2)), reader(price(2)))
    assert {each[0] for each in found} == {"one", "two"}
    assert any("run three is left out of ctx.runs" in line for line in caplog.messages)


async def test_the_result_of_a_finished_run_is_migrated_in_memory(runner: Runner) -> None:
    """Whether its handle is asked, or it is run again; nothing is recorded of that."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    steps = await runner.history("one")
    for result in (
        await runner.get("one", price(2)).result(),
        await runner.run(price(2), run_id="one"),
        await runner.resume("one", price(2)).result(),
        await (await runner.drive("one", price(2))).result(),
    ):
        assert (result.state.cents, result.losses) == (700, {})
    assert await runner.history("one") == steps


async def test_its_output_is_of_the_migrated_state(runner: Runner) -> None:
    """`result=` of the graph names fields of today."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    assert (await runner.get("one", price(2, result="cents")).result()).output == 700


async def test_a_result_that_cannot_be_migrated_is_the_record_with_a_loss(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """The state has what was recorded, and no default in its place; the reason is in the log."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    await runner.start(price(3), {"cents": [7]}, run_id="three").result()
    with caplog.at_level(logging.WARNING):
        for run_id, graph in (("one", price(3)), ("three", price(2))):
            for result in (await runner.get(run_id, graph).result(), await runner.run(graph, run_id=run_id)):
                assert isinstance(result.state, RecordedState)
                assert result.losses == {"unmigrated": 1}
    assert (await runner.get("one", price(3)).result()).values == {"ok": True, "euros": 7, "note": ""}
    assert any("contains no migration from version 1 to 2" in line for line in caplog.messages)


async def test_the_result_of_a_run_that_waits_is_migrated_too(runner: Runner) -> None:
    """Its state so far is looked at with the graph of today; the run itself is migrated when it goes on."""
    await runner.start(price(1, asks=True), {"euros": 7}, run_id="one").result()
    seen = await runner.get("one", price(2, asks=True)).result()
    assert (seen.status, seen.state.cents) == ("waiting", 700)
    assert (await runner.state_at("one"))["euros"] == 7


async def test_without_a_graph_a_run_is_read_as_it_was_recorded(runner: Runner) -> None:
    """Lists, and the record of a run, have the fingerprint under which it was recorded."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    await runner.get("one", price(2)).result()
    result = await runner.get("one").result()
    assert (result.values["euros"], result.losses) == (7, {})
    (info,) = await runner.runs()
    assert info.fingerprint == (await runner.info("one")).fingerprint


async def test_the_service_shows_the_record_and_the_output_if_it_can_be_read(runner: Runner) -> None:
    """A run is never refused: the state is shown as it was recorded, and an output that cannot be read is left out."""
    await runner.start(price(1), {"euros": 7}, run_id="one").result()
    for version, output in ((2, 700), (3, UNSET)):
        with acting(Caller("")):
            shown = await service_of(runner, price(version, result="cents")).runner.now("one")
        assert isinstance(shown, RunNow)
        assert (shown.state["euros"], shown.output) == (7, output)
