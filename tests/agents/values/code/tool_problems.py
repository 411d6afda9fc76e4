from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Once, mcp
from graphengine.agents import Approval
from graphengine.agents.tools import Tool


class Order(BaseModel):
    """A customer's order."""

    task: str = ""
    customer: str = ""
    said: str = ""


class Database:
    """A class that JSON Schema does not have."""


def sells(*tools, **resources):
    """Return a graph whose agent has these tools."""
    graph = Graph("shop", Order, result="said", resources={name: lambda: None for name in resources})
    graph.add_node("sell", Agent("clerk", prompt="{task}", tools=tools, by_rules=lambda task: task), writes="said")
    graph.add_path(START, "sell", END)
    return graph


def acts(effect="once", tools=(), **options):
    """Return a graph with a node that has an effect, and is an agent with these tools and options."""
    graph = Graph("shop", Order, result="said")
    clerk = Agent("clerk", prompt="{task}", tools=tools, model="anthropic:claude-sonnet-4-5", **options)
    graph.add_node("sell", clerk, writes="said", effect=effect)
    graph.add_path(START, "sell", END)
    return graph


def brief(graph):
    """Return the first problem without what pydantic says of it."""
    problem = graph.check()[0]
    return f"{problem.code}: {':'.join(problem.message.split(':')[:2])}"


def price(amount: int, api_kye: str) -> str:
    """Price."""


def look(db: Database, item: str) -> str:
    """Look an item up."""


def refund(customer: str, amount: int) -> str:
    """Refund."""


def keyed(customer: str, amount: int, idempotency_key: str) -> str:
    """Refund, and pass the key on."""


def misspelt(customer: str, amount: int, idempotency_kye: str) -> str:
    """Refund, and pass the key on."""


def by_context(customer: str, amount: int, ctx: Context) -> str:
    """Refund, and pass the key of the context on."""


def count(customer: str) -> str:
    """Count."""


def weather(city): ...
def find(customr: str, idempotency_key: str) -> str: ...
def sent(arguments) -> str: ...


SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}}
WITH_SCHEMA = Tool(sent, name="answer", schema=SCHEMA, approve=lambda amount: amount > 1)
REFUND = {"inputs": ["customer"]}


def right(amount, api_kye, db, ctx, more=1): ...
