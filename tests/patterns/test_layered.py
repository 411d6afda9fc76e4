"""Layers of agents."""

from collections.abc import Sequence

import pytest

from graphengine import Graph, RunFailed
from graphengine.patterns import Layers, layered
from tests.patterns.scripted import away, named, play

CONCLUDE = named("conclude", "{task}\n{below}")


def tower(sizes: Sequence[int]) -> Graph[Layers]:
    """Return layers of these sizes; agents are named by layer and place."""
    layers = [
        {f"a{place}": named(f"l{layer}a{place}", "{task}\n{below}") for place in range(size)}
        for layer, size in enumerate(sizes, 1)
    ]
    return layered(layers, CONCLUDE)


def scripts(sizes: Sequence[int]) -> dict[str, list[object]]:
    """Each agent answers with its own name, once."""
    names = [f"l{layer}a{place}" for layer, size in enumerate(sizes, 1) for place in range(size)]
    return {name: [f"word of {name}"] for name in [*names, "conclude"]}


async def test_a_layer_reads_only_the_outputs_of_the_layer_below() -> None:
    """It reads nothing of lower layers, and nothing of its own."""
    played = await play(tower((2, 2, 1)), {"task": "rain"}, scripts((2, 2, 1)))
    (lowest,), (middle,), (last,) = played.asked("l1a1"), played.asked("l2a1"), played.asked("conclude")
    assert "word of" not in lowest
    assert "word of l1a0" in middle
    assert "word of l1a1" in middle
    assert "word of l2" not in middle
    assert "word of l3a0" in last
    assert "word of l2" not in last


async def test_an_agent_that_fails_is_left_out() -> None:
    """The next layer works on the others' outputs, and the failure is kept."""
    played = await play(tower((2, 1)), {"task": "rain"}, {**scripts((2, 1)), "l1a0": away})
    assert "word of l1a1" in played.asked("l2a0")[0]
    assert [failure.path for failure in played.state.errors] == ["a0_1"]


@pytest.mark.parametrize("silent", [1, 2])
async def test_a_layer_without_output_fails_the_run(silent: int) -> None:
    """This holds for every layer; the layers above it are not called."""
    answers = {**scripts((1, 1)), f"l{silent}a0": away}
    with pytest.raises(RunFailed, match="a layer said nothing"):
        await play(tower((1, 1)), {"task": "rain"}, answers)


async def test_layers_can_be_nested() -> None:
    """The inner ones get the task, and nothing of the outputs around them."""
    inner = layered([{"deep": named("deep", "{task}\n{below}")}], named("inner", "{below}"))
    graph = layered([{"first": named("first")}, {"team": inner}], CONCLUDE)
    answers = {name: [f"word of {name}"] for name in ("deep", "inner", "first", "conclude")}
    played = await play(graph, {"task": "rain"}, answers)
    (deep,) = played.asked("deep")
    assert "rain" in deep
    assert "word of first" not in deep
    assert "word of inner" in played.asked("conclude")[0]
