from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, RunFailed
from graphengine.reducers import add, extend


class Review(BaseModel):
    score: int
    issues: list[str] = []


class Secret(Review):
    more: str = ""


class Part(BaseModel):
    n: int = 0
    task: str = ""


class State(BaseModel):
    task: str = "t"
    n: int = 0
    review: Review | None = None
    names: Annotated[list[str], extend] = []
    total: Annotated[int, add] = 0
    kept: Any = None


def once(runnable, state=None, **options):
    """Return what a run of one node changes."""
    graph = Graph("once", State)
    graph.add_node("a", runnable, **options)
    graph.add_path(START, "a", END)
    before = state or State()
    after = graph.run_sync(before, run_id="r").state
    return {name: value for name, value in after if value != getattr(before, name)}


def check(score: int, doubled: int) -> int:
    return score + doubled


def look(state: State, ctx: Context, extra: int = 3) -> int:
    return state.n + ctx.visit + extra


def made(kind):
    return once(kind, writes={"kept": lambda result: f"{result!r}"})


async def fetch() -> int:
    return 5


async def forgets():
    return fetch()


async def forgets_inside():
    return {"n": fetch(), "task": "x"}


async def forgets_both():
    return [fetch(), fetch()]


def attempts(runnable, **options):
    """Return how many attempts a node made before its run failed, and why it did."""
    try:
        once(runnable, retry=Retry(attempts=3, initial_seconds=0), **options)
    except RunFailed as error:
        return f"{error.result.error.attempt}: {error.message}\n  repair: {error.repair}"


def fails() -> int:
    raise ValueError
