"""Exceptions that do not inherit from Exception: if code of a graph raises one, only its node or run fails."""

import sys

import pytest

from graphengine import Agent, Runner, tool
from graphengine.models.scripted import ScriptedModel, calls
from tests.runner.test_exits import failure_of, one


@pytest.mark.parametrize("seconds", [None, 60.0])
@pytest.mark.parametrize("is_async", [True, False])
async def test_an_exit_in_a_tool_fails_its_node(*, is_async: bool, seconds: float | None) -> None:
    """It can run in the run's loop or in a thread, called from an async node or from a blocking one."""

    async def leaves_async(x: int) -> int:
        """Leave."""
        sys.exit(x)

    def leaves(x: int) -> int:
        """Leave."""
        sys.exit(x)

    model = ScriptedModel(lambda _: calls(("leave", {"x": 3})))
    made = tool(leaves_async if is_async else leaves, name="leave", timeout_seconds=seconds)
    agent = Agent("writer", prompt="go", model=model, tools=[made])

    async def through(text: str) -> str:
        return await agent.run()

    for node in (agent, through):
        async with Runner() as runner:
            assert (await failure_of(runner, one(node, writes="text")))[1] == "SystemExit"
