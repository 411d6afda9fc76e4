from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import Context
from graphengine.reducers import append
from tests.kit.runs import row


class News(BaseModel):
    title: str
    score: int = Field(ge=0)


class State(BaseModel):
    text: str = ""
    n: int = 0
    log: Annotated[list[str], append] = []
    news: News | None = None


async def hear(ctx: Context) -> str:
    return await ctx.receive("topic", str)


async def hear_three(ctx: Context) -> str:
    return " ".join([await ctx.receive("topic", str) for _ in range(3)])


async def read(ctx: Context) -> News:
    return await ctx.receive("news", News)


async def speak(ctx: Context) -> int:
    for word in ("one", "two", "three"):
        ctx.send("topic", word)
    return 3


async def speak_badly(ctx: Context) -> int:
    ctx.send("topic", object())


one, three = row(State, ("hear", hear, "text")), row(State, ("hear", hear_three, "text"))
news = row(State, ("read", read, "news"))
