"""A desk that asks experts, each an agent of its own; what they say is recorded below its call."""

from typing import Literal

from graphengine import Agent, SyncRunner

expert = Agent("expert", model="anthropic:claude-haiku-4-5", system="You know {field}.", prompt="{question}")


async def ask(field: Literal["billing", "repairs"], question: str) -> str:
    """Ask an expert of a field."""
    return await expert.run(field=field, question=question)


desk = Agent("desk", model="anthropic:claude-haiku-4-5", tools=[ask])
with SyncRunner("runs.db") as runner:
    for shown in runner.stream(desk, question="My lamp is broken, and the bill is wrong.", run_id="lamp"):
        print(shown)
