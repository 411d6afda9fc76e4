from pydantic import BaseModel
from typing_extensions import TypedDict

from graphengine import Context, ask
from graphengine.testing import preflight
from tests.kit.runs import alone


class Page(BaseModel):
    title: str = ""
    rating: int = 0
    ok: bool = False


class Doc(BaseModel):
    names: list[str] = ["a", "b"]
    oks: list[bool] = []


def paper(node="check", state=Page, question="Print?", **options):
    return alone(state, ask(question, bool), "ok", name="paper", node=node, **options)


def model(**fields):
    return type("Part", (BaseModel,), {"__annotations__": fields})


def typed(**fields):
    return TypedDict("Part", fields)


def parts(part, title):
    return paper(state=type("State", (Page,), {"__annotations__": {"parts": list[part]}, "parts": []}), title=title)


async def sure(name: str, ctx: Context) -> bool:
    return bool(await ctx.ask(f"{name}?", bool))


def docs(node):
    return alone(Doc, sure, "oks", name="docs", node=node, each={"name": "names"})
