from typing import Annotated, Any

from pydantic import BaseModel, field_validator

from graphengine import END, START, Context, Graph, ask, value
from graphengine.reducers import append
from tests.kit.runs import alone, repeated


class State(BaseModel):
    n: int = 0
    seen: Annotated[list[int], append] = []
    said: Annotated[list[str], append] = []


async def more(n: int) -> int:
    return n + 1


count = Graph("count", State, carry_over=("seen",))
count.add_node("more", more, writes="n")
count.add_node("note", lambda n: n, writes="seen", thread=False)
count.add_path(START, "more", "note")
count.add_edge("note", END, when=value("n") >= 3, label="enough")
count.add_edge("note", "more")

asks = alone(State, ask("Which?", int), "n", name="asks", node="number")
mine, other = alone(State, more, "n", name="mine"), alone(State, more, "n", name="other")

strict = []


class Checked(BaseModel):
    names: list[str] = []
    numbers: dict[str, Any] = {}

    @field_validator("names")
    @classmethod
    def known(cls, names: list[str]) -> list[str]:
        if strict and "bob" in names:
            raise ValueError("bob has left")
        return names


checked = alone(Checked, lambda names: {"count": len(names)}, "numbers", name="checked")


async def spoil(seen: list[int]) -> int:
    seen.append(1)
    return 5


def failing(error):
    def fail() -> int:
        raise error

    return fail


async def assign(state: State) -> int:
    state.n = 9
    return 5


async def chat(ctx: Context) -> str:
    return await ctx.receive("said", str)


talk = repeated(State, chat, "said", lambda said: said[-1] == "bye", name="talk", node="hear")
