from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, ScriptedModel, mcp, tool
from graphengine.models import calls
from graphengine.testing import run_node
from graphengine.testing.evaluation import Case, evaluate
from tests.kit.runs import alone
from tests.kit.session_page import Lines

if TYPE_CHECKING:
    from tests.kit.given import process, runner

PAID = []


class Desk(BaseModel):
    order: str = "A7"
    said: str = ""


def pay(order: str) -> str:
    """Pay an order."""
    PAID.append(order)
    return f"paid {order}"


def desk(node, **options):
    return alone(Desk, node, "said", name="desk", node="serve", result="said", **options)


def as_node(effect):
    return desk(pay, effect=effect)


def as_call(effect):
    async def serve(order: str, ctx: Context) -> str:
        return await ctx.call(pay, order, effect=effect)

    return desk(serve)


class Bank:
    def settle(self, order: str) -> str:
        """Pay an order."""
        return pay(order)


def as_method():
    """Return a graph that calls a method of a resource."""

    async def serve(order: str, bank: Bank, ctx: Context) -> str:
        return await ctx.call(bank.settle, order, effect="once")

    return desk(serve, resources={"bank": Bank})


def as_tool(effect):
    script = ScriptedModel([calls(("pay", {"order": "A7"})), "Done."])
    return desk(Agent("clerk", model=script, prompt="{order}", tools=[tool(pay, effect=effect)]))


def as_two():
    """Return a graph with an inner one whose node acts, and a node that calls what acts."""

    async def order(order: str, ctx: Context) -> str:
        return await ctx.call(pay, order, effect="once")

    inner = alone(Desk, pay, "said", name="inner", node="pay", effect="once", result="said")
    graph = Graph("outer", Desk, result="said")
    graph.add_node("first", inner, writes="said")
    graph.add_node("second", order, writes="said")
    graph.add_path(START, "first", "second", END)
    return graph


async def with_context(order: str, ctx: Context) -> str:
    return await ctx.call(pay, order)


def saying(text):
    return lambda order: f"{text} {order}"


async def ran(graph, run_id=None, **effects):
    """Return the output of a run in which these stand in; `__` in a name is a slash."""
    await process(effects={name.replace("__", "/"): made for name, made in effects.items()})
    return (await runner.start(graph, run_id=run_id).result()).output


async def both(run, **effects):
    """Return what the inner node and the other one wrote."""
    await ran(as_two(), run, **effects)
    return [op[-1] for step in await runner.history(run) for op in step.update if op[1] == "said" and op[-1]][1:]


def paid(output: str) -> bool:
    return output.startswith(("paid", "Done"))


async def evaluated(made, **options):
    """Return how many cases of an evaluation paid, and what it says."""
    PAID.clear()
    report = await evaluate(made, [Case(name="one", input={"order": "A7"})], [paid], **options)
    why = [trial.failure for trial in report.subject.trials if trial.failure]
    return Lines([f"{report.subject.means['paid']:g} of 1 has paid: {PAID}", *why])


async def instead(order: str) -> str:
    return f"in place of {order}"
