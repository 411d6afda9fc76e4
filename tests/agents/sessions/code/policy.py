import asyncio

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, tool
from graphengine.agents import guard
from graphengine.models import calls
from graphengine.models.errors import ModelNotReady, ModelTransient
from tests.kit.runs import alone

KEYS, PAID, MADE = [], [], []


def pay(ctx: Context, amount: int) -> str:
    """Pay."""
    KEYS.append(ctx.idempotency_key)
    if len(KEYS) < 3:
        raise LookupError("the bank is closed")
    return f"paid {amount}"


async def give_up():
    raise asyncio.CancelledError


def fails(*errors):
    """Return a tool in which several things fail at once."""

    def fail():
        raise ExceptionGroup("both", [ValueError("x"), ExceptionGroup("inner", errors)])

    return fail


def writer(*tools, **options):
    return Agent("writer", prompt="{task}", tools=tools, **options)


class Customer(BaseModel):
    name: str
    level: int = 1


class Desk(BaseModel):
    task: str = "refund"
    customer: Customer = Customer(name="Ada")
    orders: list[int] = [1, 2]
    said: list[str] = []
    draft: str = ""


def look_up(order: int, who: str, shop: str, level: int = 0) -> str:
    """Look an order up."""
    return f"{order} of {who} at {shop}, level {level}"


def enter(item: str, ledger: list, ctx: Context) -> str:
    """Enter an item."""
    ledger.append(item)
    return f"{ctx.path}: {ledger}"


async def quit_async():
    raise asyncio.CancelledError("enough")


def quit_sync():
    raise asyncio.CancelledError


def price(order: int) -> str:
    """Find the price."""
    return f"{order} costs {order * 10}"


PRICED = Agent("clerk", prompt="{task}", tools=[tool(price, inputs=["order"])])


def desk(agent, writes="draft", **options):
    return alone(Desk, agent, writes, name="desk", node="look", **options)


def reading(**inputs):
    """Return a graph whose agent has a tool with these inputs."""
    agent = Agent("clerk", prompt="{task}", tools=[tool(look_up, inputs=inputs)])
    return desk(agent, inputs={"task": "task"}, resources={"shop": str})


async def look(n: int) -> str:
    """Look."""
    MADE.append(f"look {n}")
    return "seen"


async def write(n: int) -> str:
    """Write."""
    MADE.append(f"write {n}")
    return "written"


FIRST = calls(("write", {"n": 1}), ("write", {"n": 2}), ("look", {"n": 3}))
SECOND = calls(("look", {"n": 4}), ("write", {"n": 5}), ("look", {"n": 6}))


def transfer(amount: int) -> str:
    """Pay."""
    PAID.append(amount)
    return "paid"


def modest(arguments):
    if "1000" in arguments:
        raise ValueError("at most 999 can be paid")
    return arguments.replace("13", "12")


SUMS = calls(("transfer", {"amount": 13}), ("transfer", {"amount": 1000}))


def cashier(then):
    return Agent("cashier", prompt="Pay.", tools=[transfer], guards=[guard(modest, on="arguments", then=then)])
