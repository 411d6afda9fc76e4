from typing import TYPE_CHECKING

from pydantic import BaseModel

from graphengine import Agent, Context, ScriptedModel, tool
from graphengine.models import calls
from tests.kit.facts import said
from tests.kit.runs import alone
from tests.kit.session_page import Lines

if TYPE_CHECKING:
    from tests.kit.given import runner

PAID = []


class Desk(BaseModel):
    order: str = "A7"
    said: str = ""


def pay(order: str) -> str:
    """Pay an order."""
    PAID.append(order)
    return f"paid {order}"


async def nested(order: str, ctx: Context) -> str:
    return await ctx.call(pay, order) + await ctx.call(pay, order)


async def in_calls(order: str, ctx: Context) -> str:
    """Make calls, equal ones, an effect, and one inside another."""
    said = [await ctx.call(pay, order), await ctx.call(pay, order), await ctx.call(pay, order, key="mine")]
    said.append(await ctx.call(pay, order, effect="once"))
    said.append(await ctx.call(nested, order, ctx, key="outer"))
    said.append(await ctx.call(nested, order, ctx, key="outer once", effect="once"))
    return str(len(said))


async def plus(ctx: Context, more: int) -> str:
    """Call in a tool."""
    return await ctx.call(pay, f"B{more}") + ctx.idempotency_key


def clerk(*turns):
    tools = [plus, tool(pay, effect="once"), tool(pay, name="pay_again", effect="idempotent")]
    return Agent("clerk", model=ScriptedModel([*turns, "Done."]), prompt="{order}", tools=tools)


async def in_agents(order: str, ctx: Context) -> str:
    """Ask an agent, directly and in a call."""
    turn = calls(("plus", {"more": 1}), ("pay", {"order": order}), ("pay_again", {"order": order}))
    said = await clerk(turn).run(order=order)
    return said + await ctx.call(clerk(calls(("plus", {"more": 2}))).run, order=order, key="agent")


child = alone(Desk, pay, "said", name="child", node="pay")


async def in_children(order: str, ctx: Context) -> str:
    return (await ctx.start(child, {"order": order})).id


def desk(node, **options):
    return alone(Desk, node, "said", name="desk", node="serve", result="said", **options)


async def logged(node, **options):
    """Return the keys in the log of a run, sorted: parallel calls end in any order."""
    result = await runner.start(desk(node, **options), run_id="r").result()
    steps = [(step.kind, said(step)) for step in await runner.history("r")]
    keys = sorted(f"{kind} {data.get('key', '')} {data.get('idempotency_key', '')}".strip() for kind, data in steps)
    return Lines([*keys, f"{result.status}: {result.output}, {sorted(PAID)}"])
