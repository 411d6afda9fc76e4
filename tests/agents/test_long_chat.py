"""The chat of the documentation runs for ever: its default limits do not end it, and an exchange costs the same."""

import re
from typing import Any

from graphengine import Graph, Runner, ScriptedModel
from graphengine.engine.steps import Step
from graphengine.models import Request
from tests.kit.record import FOLDER

PAGE = FOLDER.parent / "docs" / "use" / "chat.md"
EXCHANGES = 520
"""More steps than the default limit of a graph."""


def documented() -> Graph[Any]:
    """Return the graph of the page, made by the code of the page."""
    found = re.search(
        r"```python\n(import asyncio\n.*?)async def exchange", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    names: dict[str, Any] = {"__name__": "chat"}
    exec(compile(found[1], str(PAGE), "exec"), names)  # noqa: S102 - our own page
    graph: Graph[Any] = names["chat"]
    return graph


def answers(request: Request) -> str:
    """Answer in about fifty words, and so summarise."""
    return f"{len(request.messages)} messages. " + "These are some words of an answer. " * 8


async def test_a_long_chat_costs_the_same_at_every_exchange() -> None:
    """No limit ends it; neither the state nor what an exchange records and sends grows with its length."""
    chat = documented()
    model = ScriptedModel(answers)
    async with Runner(models={"assistant": model}) as runner:
        await (await runner.start_or_send(chat, "long", "said", "Hello")).result()
        for n in range(EXCHANGES):
            await runner.send("long", "said", f"message {n}, with some more words than these")
        result = await runner.resume("long", chat).result()
        steps = [step for step in await runner.history("long") if step.kind != "message"]  # sent before all the others
    assert (result.status, result.state.answer[-8:-1]) == ("waiting", "answer.")
    assert result.visits > 2 * EXCHANGES
    third = len(steps) // 3
    first, last = steps[:third], steps[-third:]
    assert len(result.state.messages) < 250
    assert max(map(size, last)) <= 1.2 * max(map(size, first))
    assert sum(map(size, last)) <= 1.2 * sum(map(size, first))
    sent = [len(request.messages) for request in model.requests]
    assert max(sent[-EXCHANGES // 3 :]) <= max(sent[: EXCHANGES // 3]) + 2


def size(step: Step) -> int:
    """Return about the size of a step's record."""
    return len(repr(step))
