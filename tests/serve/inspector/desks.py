"""Agents that a person has to allow a call, in conversations and in a graph, and runs of them that wait for that."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Limits,
    Message,
    Runner,
    RunWaits,
    ScriptedModel,
    Secret,
    ask,
    tool,
    value,
)
from graphengine.models.scripted import calls
from graphengine.reducers import extend

ORDER = "order A-1042: 1 brass lamp, 124.99 EUR, delivered on 12 November to Ada Byron"
KEY = "x7Jq-3vTn0_5RwLzKc8pYh2MbE4sGd6uAfQ9iWoXtNr"
REFUND = {"number": "A-1042", "amount": 124.99, "reason": "lamp arrived broken"}


def order(number: str) -> str:
    """Look an order up.

    Args:
        number: Its number.
    """
    assert number == "A-1042"
    return ORDER


def refund(number: str, amount: float, reason: str) -> str:
    """Pay an order back.

    Args:
        number: Its number.
        amount: In EUR.
        reason: Why.
    """
    return f"{number}: {amount} for {reason}"


def desk(*answers: Any, approve: Any = True) -> Agent[Any, Any]:
    """Return an agent that looks an order up, and then asks for leave to pay it back."""
    script = answers or ("Hello!", calls(("order", {"number": "A-1042"})), calls(("refund", REFUND)), "Paid back.")
    return Agent(
        "desk",
        tools=[tool(order, effect="read"), tool(refund, approve=approve, effect="idempotent")],
        model=ScriptedModel([*script]),
    )


class Chat(BaseModel):
    said: str = ""
    answer: str = ""
    messages: Annotated[list[Message], extend] = []


def own_chat() -> Graph[Chat]:
    """Return a conversation that is a graph of its own."""

    async def listen(ctx: Context) -> str:
        return await ctx.receive("said", str)

    speaker = desk().but(prompt="{said}", messages="messages")
    graph = Graph("own_chat", Chat, limits=Limits(visits=None))
    graph.add_node("listen", listen, writes="said")
    graph.add_node("reply", speaker, writes="answer")
    graph.add_edge(START, "listen")
    graph.add_edge("listen", END, when=value("said") == "bye", label="said goodbye")
    graph.add_edge("listen", "reply")
    graph.add_edge("reply", "listen")
    return graph


class Payment(BaseModel):
    order: str = "A-1042"
    amount: float = 0
    token: Annotated[str, Secret] = ""
    ok: bool = False


def payment() -> Graph[Payment]:
    """Return a graph that asks the same of all its runs."""
    graph = Graph("payment", Payment, title="Pay {order}", secret_key=KEY)
    graph.add_node("agree", ask("Pay it?", bool), writes="ok")
    graph.add_path(START, "agree", END)
    return graph


async def say(runner: Runner, agent: Agent[Any, Any], name: str, texts: Sequence[str]) -> None:
    """Say these to an agent in a conversation, until it waits."""
    for text in texts:
        with suppress(RunWaits):
            await runner.run(agent, chat=name, question=text)


async def record_desks(path: Path) -> None:
    """Record two conversations that want the same call, one with steps of its own, and two payments."""
    async with Runner(path) as runner:
        await say(runner, desk(), "ada", ["Hello", "My lamp A-1042 arrived broken."])
        await say(runner, desk(), "ben", ["Hello", "Where is my lamp A-1042? Pay it back."])
        chat = own_chat()
        for text in ("Hello", "My lamp A-1042 arrived broken."):
            await (await runner.start_or_send(chat, "own", "said", text)).result()
        for at in range(2):
            await runner.start(payment(), Payment(amount=10 + at, token=f"token {at}"), run_id=f"pay-{at}").result()
