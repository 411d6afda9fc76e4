from typing import TYPE_CHECKING, Any

from graphengine import Agent, Context, tool
from graphengine.agents import Approval, Edit
from graphengine.models import calls
from tests.agents.run_kits import one

if TYPE_CHECKING:
    from tests.kit.given import model

PAID, RULED, KEYS = [], [], []
LIMIT = [100]
ADA = ("pay", {"to": "Ada", "amount": 50})
BOB = ("pay", {"to": "Bob", "amount": 500})


def pay(to: str, amount: int, note: str = "") -> str:
    """Pay someone."""
    PAID.append((to, amount))
    return f"paid {amount} to {to}"


def bank(*wanted, **options):
    """Return a graph whose agent may pay, and wants to."""
    agent = Agent("writer", prompt="{task}", tools=[tool(pay, **options)], model=model(calls(*wanted), "done"))
    return one(agent)


def large(amount, ctx):
    RULED.append(f"{ctx.node}: {amount}")
    return amount > LIMIT[0]


def even(ctx: Context, amount: int) -> str:
    """Pay an even amount."""
    KEYS.append(ctx.idempotency_key)
    return f"paid {amount}"


async def by_code(task):
    return await WRONG.run(task=task)


FOUR = calls(("even", {"amount": 4}))
EVEN = Agent("writer", prompt="{task}", tools=[tool(even, approve=True)])
WRONG = Agent("writer", prompt="{task}", tools=[tool(pay, approve=lambda amuont: amuont > 3)])
