import asyncio
from typing import Annotated, Any

from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, Retry, tool
from graphengine.models import calls
from graphengine.records.account import account_of_step
from graphengine.reducers import append, extend
from tests.kit.runs import alone

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


class Item(BaseModel):
    name: str
    price: int = 1


class Shop(BaseModel):
    task: str = "shop"
    names: list[str] = ["a", "b"]
    cart: Annotated[list[Item], append] = []
    last: str = ""
    note: str = ""
    notes: list[str] = []


class Scale(Shop):
    weight: float = 0


class Vault(Shop):
    token: SecretStr = SecretStr("")


async def pick(name: str) -> Item:
    """Put something in the cart."""
    return Item(name=name)


first_may_return = asyncio.Event()


async def slow(name: str) -> Item:
    """Pick; the first call returns last."""
    if name == "first":
        await first_may_return.wait()
    else:
        first_may_return.set()
    return Item(name=name)


def total(ctx) -> str:
    """Name what is in the cart."""
    return (
        ", ".join(
            f"{field}: {[getattr(each, 'name', each) for each in values]}" for field, values in ctx.written.items()
        )
        or "nothing"
    )


def breaks(name: str) -> Item:
    """Fail."""
    raise ValueError(name)


def lies(name: str) -> Item:
    """Return something else."""
    return {"price": "much"}  # type: ignore[return-value]


def misses(name: str) -> Item:
    """Find nothing."""
    return None  # type: ignore[return-value]


def weigh(name: str) -> float:
    """Return what JSON has no form for."""
    return float("nan")


def part(name: str) -> dict[str, Any]:
    """Return one of the two."""
    return {"last": name}


PICK = tool(pick, writes={"cart": ".", "last": "name"})


def shop(*tools, state=Shop, **options):
    return alone(state, Agent("clerk", prompt="{task}", tools=tools), "note", **options)


def shops(tool):
    """Return a graph that shops for each name."""
    agent = Agent("clerk", prompt="{thing}", tools=[tool])
    graph = Graph("shops", Shop)
    graph.add_node("shop", agent, writes="notes", each={"thing": "names"}, concurrency=1)
    graph.add_path(START, "shop", END)
    return graph


def wanted(*names, tool="pick"):
    return calls(*((tool, {"name": name}) for name in names))


def recorded(steps):
    return [step.data.value["writes"] for step in steps if step.kind == "recorded" and "writes" in step.data.value]


class Cart(BaseModel):
    question: str
    cart: Annotated[list[str], extend] = []


class Plain(BaseModel):
    question: str
    cart: list[str] = []


def add(item: str) -> list[str]:
    """Add an item."""
    return [item]


def put(item: str, cart: list[str]) -> list[str]:
    """Put it into the cart."""
    return [*cart, item]
