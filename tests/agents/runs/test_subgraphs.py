"""Graphs as nodes: the resources, events and usage inside; `sessions` has inputs, branches and changes."""

from graphengine import (
    Agent,
    Runner,
    ScriptedModel,
)
from tests.kit.runs import alone
from tests.runner.test_subgraphs import Article, around


async def test_usage_inside_counts_for_the_run(runner: Runner) -> None:
    """Models are replaced by the agent's name at any depth."""
    writer = Agent("writer", model=ScriptedModel(["no"]), prompt="{topic}")
    inner = alone(Article, writer, "draft", name="inner", node="write", result="draft")
    async with Runner(models={"writer": ScriptedModel(["x", "y"])}) as own:
        result = await own.start(around(inner)).result()
    assert (result.state.text, result.usage.calls) == ("x", 1)
