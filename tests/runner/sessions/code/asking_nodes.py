import asyncio
from typing import Literal

from pydantic import BaseModel

from graphengine import Context
from tests.kit.runs import alone
from tests.kit.waiting import State, Verdict

calls = []


def one(work, writes="word", **options):
    return alone(State, work, writes, **options)


async def draft() -> str:
    calls.append("draft")
    return "text"


async def work(ctx: Context) -> str:
    calls.append("work")
    text = await ctx.call(draft)
    verdict = await ctx.ask(f"Is {text!r} fine?", Verdict)
    word = await ctx.ask("Which word?", Literal["yes", "no"])
    names = await ctx.ask("Names?", list[str])
    return f"{text} {verdict.score} {word} {names}"


async def gathered(ctx: Context) -> str:
    return " ".join(await asyncio.gather(ctx.ask("one?", str), ctx.ask("two?", str)))


async def grouped(ctx: Context) -> str:
    async with asyncio.TaskGroup() as group:
        one, two = group.create_task(ctx.ask("one?", str)), group.create_task(ctx.ask("two?", str))
    return f"{one.result()} {two.result()}"


async def returns(ctx: Context) -> str:
    try:
        return await ctx.ask("Well?", str)
    except asyncio.CancelledError:
        return "swallowed"


async def raises(ctx: Context) -> str:
    try:
        return await ctx.ask("Well?", str)
    except asyncio.CancelledError:
        raise ValueError from None


async def well(ctx: Context) -> str:
    return await ctx.ask("Well?", str)


def blocks(ctx: Context) -> str:
    return asyncio.run(ctx.ask("Well?", str))


def asking(**options):
    async def asks(ctx: Context) -> str:
        return await ctx.ask("Well?", str, **options)

    return one(asks)


async def by_one_name(item: int, ctx: Context) -> int:
    answer = await ctx.ask(f"{item}?", int, name="ok")
    return answer + await ctx.ask("again?", int, name="ok") if item == 1 else answer


class Items(BaseModel):
    items: list[int] = [1, 2]
    answers: list[int] = []


same = alone(Items, by_one_name, "answers", each={"item": "items"})


async def rests(ctx: Context) -> str:
    await ctx.sleep_until(5.0)
    await ctx.sleep(0)
    return "rested"


def sleeper(days):
    async def rest(ctx: Context) -> str:
        await ctx.sleep(days * 86_400)
        return f"{days} at {(ctx.now() - 1000) / 86_400:g}"

    return rest


nows = []


async def later(ctx: Context) -> str:
    nows.append(ctx.now())
    await ctx.sleep_until(ctx.now() + 60)
    return f"{ctx.now() - nows[0]:g}"


async def tries(ctx: Context) -> str:
    nows.append(ctx.now())
    if len(nows) == 1:
        raise OSError
    return "tried"


async def forgets(kind: str, ctx: Context) -> str:
    made = {"ask": lambda: ctx.ask("Well?"), "sleep": lambda: ctx.sleep(60), "receive": lambda: ctx.receive("topic")}
    found = made.get(kind, lambda: ctx.call(str, 1))()
    if kind == "kept":
        calls.append(found)
        raise TypeError(kind)
    return found.upper() if kind == "used" else "done"  # type: ignore[attr-defined]


class Kinds(BaseModel):
    kind: str = ""


forgotten = alone(Kinds, forgets, "kind")
