from graphengine import Context, Retry, value
from tests.kit.runs import alone, repeated
from tests.kit.working import Page, State

keys, drawn, broken = [], [], [True]


def one(work, **options):
    return alone(State, work, "text", **options)


async def keyed(ctx: Context) -> str:
    keys.append(ctx.idempotency_key)
    if ctx.attempt < 3 and ctx.visit == 1 and broken:
        raise ValueError
    return await ctx.ask("Well?", str)


twice = repeated(State, keyed, "log", value("log").length() >= 2, retry=Retry(attempts=2))


async def draws(ctx: Context) -> str:
    drawn.append(ctx.random.random())
    return await ctx.ask("Well?", str)


async def past(text: str, ctx: Context) -> str:
    found = " ".join(run.run_id for run in await ctx.runs("past", last=2))
    if text == "ask":
        await ctx.ask(f"after {found}?", str)
    return f"{text} after {found}"


def wide(**options):
    async def work(ctx: Context) -> str:
        return str([run.state for run in await ctx.runs("wide", **options)])

    return one(work, name="wide")


remembers = one(past, name="past")


async def astray(ctx: Context) -> str:
    return str(await ctx.runs(remembers, fields=("texd",)))


async def named(ctx: Context) -> str:
    return f"{len(await ctx.runs(remembers))} {len(await ctx.runs('unknown'))}"


async def slow() -> str:
    clocks[0].move(7)
    return "x"


async def takes_time(ctx: Context) -> str:
    return await ctx.call(slow)


clocks = []
