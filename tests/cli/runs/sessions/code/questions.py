from typing import Literal

from graphengine import Context, ask, choose
from graphengine.records.account import account_of_step
from tests.kit.runs import Odd, alone
from tests.kit.waiting import State, Verdict


def asking(kind, field, **options):
    return alone(State, ask("Publish {title}?", kind, **options), field, name="g", node="q")


flag, verdict, word = asking(bool, "ok"), asking(Verdict, "verdict"), asking(str, "word")


async def draw(ctx: Context) -> int:
    return await ctx.ask("How many?", int)


def say(title: str) -> str:
    return title


def replaced(work):
    return alone(State, work, "word", name="g", node="q")


both = replaced(choose("title", {"Ants": ask("Well?", str), "Bees": say}))
said, lacks = replaced(choose("title", {"Ants": say, "Bees": say})), replaced(choose("title", {"Bees": say}))
inside = alone(State, draw, "n")
choice, names, odd = asking(Literal["yes", "no"], "word"), asking(list[str], "names"), asking(Odd, "odd")
