"""Situations of public reports on agents that no other test has; docs/project/reported.md lists all of them."""

import asyncio
from contextvars import ContextVar

from graphengine import Agent, ScriptedModel
from graphengine.models import Request, Response
from graphengine.models.scripted import calls

CALLER: ContextVar[str] = ContextVar("CALLER", default="nobody")


def in_a_thread() -> str:
    """Return the caller."""
    return CALLER.get()


async def on_the_loop() -> str:
    """Return the caller."""
    return CALLER.get()


def turn(request: Request) -> object:
    """Call both tools, and answer with what they returned."""
    results = [message.text for message in request.messages if message.role == "tool"]
    return Response(" ".join(results)) if results else calls(("in_a_thread", {}), ("on_the_loop", {}))


async def test_tools_see_the_context_variables_of_their_own_caller() -> None:
    """Twenty callers share an agent and its tools."""
    agent = Agent("a", model=ScriptedModel(turn), prompt="Go.", tools=[in_a_thread, on_the_loop])

    async def call(name: str) -> str:
        CALLER.set(name)
        return await agent.run()

    names = [f"caller-{number}" for number in range(20)]
    assert await asyncio.gather(*map(call, names)) == [f"{name} {name}" for name in names]


def test_a_closed_loop_that_is_the_current_one_hinders_no_agent() -> None:
    """As a library leaves it that ends its own loop."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()
    try:
        assert Agent("a", model=ScriptedModel(["hi"]), prompt="Go.").run_sync() == "hi"
    finally:
        asyncio.set_event_loop(None)
