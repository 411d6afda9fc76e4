import asyncio

import pytest
from pydantic import BaseModel, Field

from graphengine import Agent, Node, RunFailed, choose
from graphengine.patterns import FanOut, fan_out_fan_in, pipeline
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

GATHER = clerk("gather", "{outcomes}")


class Source(BaseModel):
    name: str
    pages: int = 1


class Reading(FanOut):
    sources: list[Source] = Field(default_factory=list)


def fragile(item: str) -> str:
    """Fail on one item."""
    if item == "bad":
        raise ValueError("cannot read bad")
    return f"read {item}"


async def test_every_item_is_worked_on_and_gathered_in_order() -> None:
    """The order does not depend on the speed of the items."""
    graph = fan_out_fan_in(clerk("read", "{task} {item}"), GATHER)
    script = {"read": lambda request: request.prompt[-8:-7], "gather": ["all"]}
    played = await play(graph, {"task": "t", "items": ["a", "b", "c"]}, script)
    assert ([each.text for each in played.state.outcomes], played.output) == (["a", "b", "c"], "all")
    assert played.calls.total() == 4


async def test_one_item_that_fails_leaves_the_rest() -> None:
    """One item that fails leaves the rest, and `gather` reads the failure."""
    played = await play(fan_out_fan_in(fragile, GATHER), {"items": ["a", "bad", "c"]}, {"gather": ["all"]})
    first, second, third = played.state.outcomes
    assert (first.text, second.text, third.text) == ("read a", "", "read c")
    assert second.failure is not None
    assert (second.failure.path, second.failure.kind) == ("work[1]", "ValueError")
    assert "cannot read bad" in played.requests[0].prompt


@pytest.mark.parametrize(("items", "need"), [(["bad", "bad"], 1), (["a", "bad"], 2)])
async def test_too_few_successes_fail_before_anything_is_gathered(items: list[str], need: int) -> None:
    """The run fails with that label."""
    with pytest.raises(RunFailed, match="too few succeeded"):
        await play(fan_out_fan_in(fragile, GATHER, need=need), {"items": items}, {})


@pytest.mark.parametrize("need", [0, 1, 2])
async def test_without_items_it_ends_empty(need: int) -> None:
    """Nothing had to be done, so nothing failed, and no agent is asked what nothing means."""
    played = await play(fan_out_fan_in(fragile, GATHER, need=need), {"items": []}, {})
    assert (played.output, played.label) == ("", "no items")


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_so_many_are_worked_on_at_a_time_as_allowed(concurrency: int) -> None:
    """Exactly that many run in parallel: each waits for the others."""
    running: list[int] = []
    now = 0

    async def work(item: str) -> str:
        nonlocal now
        now += 1
        running.append(now)
        for _ in range(20):
            await asyncio.sleep(0)
        now -= 1
        return item

    graph = fan_out_fan_in(work, lambda: "", concurrency=concurrency)
    await play(graph, {"items": list("abcdef")}, {})
    assert max(running) == concurrency


async def test_the_items_can_be_made_of_the_task() -> None:
    """The split costs one more call."""
    split = Agent("split", prompt="{task}", output=list[str])
    graph = fan_out_fan_in(clerk("read", "{item}"), GATHER, split=split)
    script = {"split": [["a", "b"]], "read": ["x", "y"], "gather": ["all"]}
    played = await play(graph, {"task": "t"}, script)
    assert (played.state.items, played.calls.total()) == (["a", "b"], 4)


async def test_items_of_the_callers_type() -> None:
    """They are in a field of the caller's state."""
    graph = fan_out_fan_in(clerk("read", "{item.name} {item.pages}"), GATHER, over="sources", state=Reading)
    given = {"sources": [Source(name="tides", pages=7)]}
    played = await play(graph, given, {"read": ["x"], "gather": ["all"]})
    assert played.requests[0].prompt == "<item_name>tides</item_name> 7"


async def test_different_work_in_parallel() -> None:
    """A choice by item gives each worker its part."""
    parts = choose("item", {"facts": clerk("facts"), "counter": clerk("counter")})
    script = {"facts": ["for"], "counter": ["against"], "gather": ["both"]}
    played = await play(fan_out_fan_in(parts, GATHER), {"task": "t", "items": ["facts", "counter"]}, script)
    assert [each.text for each in played.state.outcomes] == ["for", "against"]


async def test_a_graph_is_work_and_a_fan_out_is_a_stage() -> None:
    """Here a pipeline for each item, in a pipeline."""
    each = Node(pipeline({"read": clerk("read"), "sum": clerk("sum", "{text}")}), inputs={"task": "item"})
    fan = fan_out_fan_in(each, GATHER, split=lambda task: task.split())
    graph = pipeline({"fan": fan, "close": clerk("close", "{text}")})
    script = {"read": ["r1", "r2"], "sum": ["s1", "s2"], "gather": ["all"], "close": ["end"]}
    played = await play(graph, {"task": "a b"}, script)
    assert (played.output, played.calls.total()) == ("end", 6)
