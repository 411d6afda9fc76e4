import asyncio
import dataclasses
import math

from graphengine.models.prices import Price, Prices, Spent

MILLION = 1_000_000
HAIKU = Prices("anthropic", "claude-haiku-4-5")
BOTH = Spent(3 * MILLION, cache_read_tokens=MILLION, cache_write_tokens=MILLION, output_tokens=MILLION)
SEARCHES = Spent(MILLION, output_tokens=MILLION // 10, web_searches=1000)
TOKENS = Spent(MILLION, output_tokens=MILLION // 10)


def cost(prices, model=None, **amounts):
    found = asyncio.run(prices.cost(Spent(**amounts), *[model] if model else []))
    return "unknown" if found is None else f"${found:g}"


def batch(prices, spent):
    found = asyncio.run(prices.cost(dataclasses.replace(spent, is_batch=True)))
    return "unknown" if found is None else f"${found:g}"


def share(provider, model):
    """Return which part of the price a batch costs."""
    return asyncio.run(_share(Prices(provider, model)))


async def _share(prices):
    return await prices.cost(dataclasses.replace(TOKENS, is_batch=True)) / await prices.cost(TOKENS)


def known(provider, model, **more):
    return asyncio.run(Prices(provider, model, **more).known())
