import asyncio

from pydantic import BaseModel

from graphengine import END, START, ChildFailed, Context, Graph, Retry
from graphengine.records.export import export_run
from graphengine.testing import replay
from tests.kit.runs import alone, row


class Word(BaseModel):
    word: str = ""
    length: int = 0


class Words(BaseModel):
    words: list[str] = []
    lengths: list[int] = []
    told: str = ""


broken = set()


async def measure(ctx: Context, word: str) -> int:
    if word in broken:
        raise ValueError(word)
    return await ctx.ask("how long?", int) if word == "?" else len(word)


async def all_of(ctx: Context, words: list[str]) -> list[int]:
    runs = [await ctx.start(child, {"word": word}) for word in words]
    return [result.state.length for result in await asyncio.gather(*(run.result() for run in runs))]


def parents(function=all_of, writes="lengths", **options):
    return alone(Words, function, writes, name="parents", node="node", **options)


child, parent = alone(Word, measure, "length", name="measures", node="measure"), parents()
again = parents(retry=Retry(attempts=2, initial_seconds=0, on=(ChildFailed,)))


async def once(ctx: Context, words: list[str]) -> list[int]:
    if ctx.attempt == 2:
        broken.clear()
    return await all_of(ctx, words)


afresh = parents(once, retry=Retry(attempts=2, initial_seconds=1, jitter=0, afresh=True, on=(ChildFailed,)))


async def nested(ctx: Context, words: list[str]) -> list[int]:
    left = await ctx.start(child, {"word": "?"}, run_id="left", on_stop="leave")
    below = await ctx.start(parent, {"words": words}, run_id="below")
    one, more = await asyncio.gather(left.result(), below.result())
    return [one.state.length, *more.state.lengths]


grandparent = alone(Words, nested, "lengths", name="grandparents")


async def begin(ctx: Context, words: list[str]) -> list[int]:
    for word in words:
        await ctx.start(child, {"word": word}, topic="reports")
    return []


async def hear(ctx: Context, words: list[str]) -> str:
    told = [await ctx.receive("reports") for _ in words]
    return str(sorted((each["status"], each["state"] and each["state"]["length"], each["error"]) for each in told))


background = row(Words, ("begin", begin, "lengths"), ("hear", hear, "told"))

empty = Graph("empty", Word)
empty.add_edge(START, END)


async def of_empty(ctx: Context) -> list[int]:
    return [(await (await ctx.start(empty, {"length": 3})).result()).state.length]


async def fails_at_first(ctx: Context, words: list[str]) -> list[int]:
    run = await ctx.start(child, {"word": words[ctx.attempt - 1]}, run_id="kid")
    if ctx.attempt == 1:
        raise OSError
    return [(await run.result()).state.length]


async def same_id(ctx: Context, words: list[str]) -> list[int]:
    runs = [await ctx.start(child, {"word": word}, run_id="kid") for word in words]
    results = await asyncio.gather(*(run.result() for run in [*runs, runs[0]]))
    return [result.state.length for result in [*results, await runs[0].result()]]


def starting(**options):
    async def starts(ctx: Context) -> list[int]:
        await (await ctx.start(child, **options)).result()

    return parents(starts)
