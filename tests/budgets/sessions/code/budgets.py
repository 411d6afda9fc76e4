import asyncio
from typing import TYPE_CHECKING, Any

from graphengine import Agent, Limits, RunFailed
from graphengine.budgets import Budget, Budgets
from graphengine.budgets.ledger import Ledger
from graphengine.models import Response
from tests.agents.run_kits import one
from tests.kit.session_page import Lines

if TYPE_CHECKING:
    from tests.kit.given import process, runner

HOUR = 3600


class Quarter:
    """A model that costs a quarter of a dollar, and ten tokens."""

    name, made, cost_usd = "quarter", 0, 0.25

    async def answer(self, request):
        self.made += 1
        await asyncio.sleep(0)
        return Response("ok", input_tokens=8, output_tokens=2, cost_usd=self.cost_usd)

    async def knows_price(self):
        return self.cost_usd is not None

    async def price_of(self, input_tokens, output_tokens):
        return self.cost_usd


class Unpriced(Quarter):
    cost_usd = None


MODEL = Quarter()
WRITER = Agent("writer", prompt="{task}")
WRITING = one(WRITER)


async def budget(*budgets, models=MODEL):
    """Let these budgets hold for the runs from here on."""
    await process(models=models, extensions=[Budgets(*budgets)])


def why(error):
    cause = error.__cause__
    return f"{type(cause).__name__}: {cause.message} → {cause.repair}"


async def ran(graph=WRITING, **options):
    """Return how a run ended."""
    try:
        result = await runner.start(graph, **options).result()
    except RunFailed as error:
        return why(error)
    return f"{result.status}: {result.waits[0].question}" if result.waits else result.status


async def of_tenant(tenant, **options):
    """Return how a run of a tenant ended, driven here."""
    queued = runner.start(WRITING, queue="default", tenant=tenant, **options)
    await queued.result()
    try:
        return (await (await runner.drive(queued.id, WRITING)).result()).status
    except RunFailed as error:
        return why(error)


async def accounts():
    """Return what is spent in each account, and what is in flight."""
    kept = sorted(await Ledger(runner.store).accounts(), key=lambda each: (each.budget, each.key))
    return Lines(
        f"{each.budget} of {each.key!r}: {dict(each.spent)}, in flight: {each.calls_in_flight}" for each in kept
    )


async def by_code(ctx):
    return str(await ctx.call(Agent("writer", prompt="hi").run))
