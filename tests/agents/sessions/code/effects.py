import asyncio
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphengine import END, Agent, EffectUnknown, NotDone, Once, ScriptedModel, failed, tool
from graphengine.models import calls
from tests.kit.runs import SOON, alone

if TYPE_CHECKING:
    from tests.kit.given import process, runner

DONE = []
TROUBLES = []
BEGUN = asyncio.Event()


class Desk(BaseModel):
    order: str = "A7"
    answer: str = ""


async def refund(order: str, amount: int, idempotency_key: str) -> str:
    """Refund an order."""
    DONE.append((order, amount, idempotency_key))
    BEGUN.set()
    if TROUBLES:
        await TROUBLES.pop(0)()
    return f"refunded {amount}"


async def hang():
    await asyncio.Event().wait()


async def broken():
    raise ConnectionError("the line broke")


async def refused():
    raise NotDone("the till is empty")


def find(order, idempotency_key):
    """Return the refund of a key."""
    for known, amount, key in DONE:
        if (known, key) == (order, idempotency_key):
            return f"found {amount}"
    raise NotDone("no such refund")


def cannot_tell(idempotency_key):
    raise EffectUnknown("the bank is closed")


WANTED = calls(("refund", {"order": "A7", "amount": 5}))


def clerk(effect="once", *turns, check=None, **options):
    """Return an agent that refunds, and answers."""
    script = ScriptedModel([*(turns or [WANTED, "done"])])
    return Agent("desk", model=script, prompt="{order}", tools=[tool(refund, effect=effect, **options)], check=check)


def desk(*effect, retry=None, **options):
    return alone(Desk, clerk(*effect, **options), "answer", name="desk", node="serve", result="answer", retry=retry)


def by_hand(graph):
    """Return a graph in which a person refunds if nobody knows how the tool's call ended."""
    graph.add_node("other", lambda: "by hand", writes="answer")
    graph.add_edge("serve", "other", when=failed(EffectUnknown))
    graph.add_edge("other", END)
    return graph


async def cut_off(graph, run=None):
    """End the process while a refund is in flight."""
    TROUBLES.append(hang)
    BEGUN.clear()
    run = run or runner.start(graph, run_id="r")
    await asyncio.wait_for(BEGUN.wait(), SOON)
    await process()


FAILURES = [OSError("once")]


def fails_once(answer):
    if FAILURES:
        raise FAILURES.pop()
