import asyncio
import functools
import threading
from collections.abc import Awaitable
from typing import Any

from graphengine import Context
from tests.kit.runs import alone
from tests.kit.working import Page, State

calls = []


def one(work, writes="text", **options):
    return alone(State, work, writes, **options)


def plus(n: int) -> int:
    calls.append(f"plus in {'a thread' if threading.current_thread() is not threading.main_thread() else 'the loop'}")
    return n + 1


async def times(n: int, *, by: int) -> int:
    return n * by


def later() -> Awaitable[int]:
    return times(3, by=1)


async def any_function(ctx: Context) -> str:
    first = f"{await ctx.call(plus, 1)} {await ctx.call(times, 2, by=3)}"
    return f"{first} {await ctx.call('x'.upper)} {await ctx.call(later)}"


async def pages(url: str) -> list[Page]:
    calls.append(url)
    return [Page(url=url, words=["a"])]


async def pair() -> tuple[int, Page | None]:
    return 1, None


async def models(ctx: Context) -> str:
    found = f"{await ctx.call(pages, 'u')} {await ctx.call(pair)} {(await ctx.call(Page, url='v')).url}"
    await ctx.ask(f"{found}?", str)
    return found


def calling(function, *given, **options):
    """Return a graph whose node calls a function and returns the text of what it returned."""

    async def work(ctx: Context) -> str:
        return str(await ctx.call(function, *given, **options))

    return one(work)


def giving(value):
    return calling(lambda: value)


class Client:
    def __init__(self, name: str) -> None:
        self.name = name

    async def fetch(self, url: str) -> str:
        return f"{self.name}:{url}"


def both(first, second, *given, keys=(None, None)):
    """Return a graph whose node makes two calls, the second one first once it was answered."""
    seen = []

    async def work(ctx: Context) -> str:
        seen.append("again")
        order = [0, 1] if len(seen) == 1 else [1, 0]
        found = {n: await ctx.call((first, second)[n], *given, key=keys[n]) for n in order}
        await ctx.ask("Well?", str)
        return f"{found[0]} {found[1]}"

    return one(work)


a, b = Client("a"), Client("b")
closures = [(lambda name: lambda: name)(name) for name in "ab"]
partials = [functools.partial(each.fetch, "u") for each in (a, b)]


async def fetch(name: str, *, url: str) -> str:
    return f"{name}:{url}"


sets = [frozenset("bac"), frozenset("cab")]


async def count(what: dict[str, frozenset[str]]) -> int:
    calls.append("count")
    return len(what["names"])


async def of_a_set(ctx: Context) -> str:
    found = await ctx.call(count, {"names": sets.pop()})
    await ctx.ask("Well?", str)
    return str(found)


def waiting(kind):
    async def inner(ctx: Context) -> None:
        await {
            "ask": lambda: ctx.ask("Well?", str),
            "receive": lambda: ctx.receive("t"),
            "sleep": lambda: ctx.sleep(5),
        }[kind]()

    async def work(ctx: Context) -> str:
        return await ctx.call(inner, ctx, key="k")

    return one(work)


async def circle(ctx: Context) -> str:
    await ctx.call(plus, 1)
    first, second = ValueError("first"), ValueError("second")
    second.__cause__ = first
    raise first from second


def blocks(ctx: Context) -> str:
    _ = ctx.call(plus, 1)
    return "x"


def returning(annotation):
    def make() -> Any:
        calls.append("made")

    make.__annotations__["return"] = annotation
    return calling(make)


async def shaky() -> str:
    calls.append("shaky")
    if calls.count("shaky") < 2:
        raise OSError
    return "shaky"


async def in_a_group(ctx: Context) -> str:
    first = await ctx.call(plus, 1)
    async with asyncio.TaskGroup() as group:
        second = group.create_task(ctx.call(shaky))
    return f"{first} {second.result()}"


async def fails() -> str:
    raise ValueError


async def instead(ctx: Context) -> str:
    return f"{await ctx.call(plus, 1)} {await ctx.ask('Well?', str)}"
