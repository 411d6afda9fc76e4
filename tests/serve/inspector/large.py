"""A graph whose run has a large value in every place that the page shows, and the sizes of its runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, ask
from graphengine.stores.base import Store


class Archive(BaseModel):
    """What is archived: a text, and records."""

    text: str = ""
    rows: list[dict[str, Any]] = []
    again: str = ""
    answer: str = ""
    agreed: bool = False


def text_of(characters: int) -> str:
    """Return a text of some length, of which no part is like another."""
    lines = (f"Line {number}: customer {number * 7919 % 100_003} paid." for number in range(characters // 25))
    return "\n".join(lines)[:characters]


def records_of(number: int) -> Sequence[Mapping[str, Any]]:
    """Return some records."""
    return [{"id": index, "name": f"customer {index}"} for index in range(number)]


SIZES: Mapping[str, Mapping[str, Any]] = {
    "1 kB": {"text": text_of(1_000)},
    "1 MB": {"text": text_of(1_000_000)},
    "10 MB": {"text": text_of(10_000_000)},
    "10 records": {"rows": records_of(10)},
    "100,000 records": {"rows": records_of(100_000)},
}


def archive() -> Graph[Archive]:
    """Return a graph that changes both fields, asks a model about the text, and asks a person about both."""

    async def change(ctx: Context, text: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Record a call with a large value, publish a value, and write to both fields."""

        def shout() -> str:
            return text.upper()

        loud = await ctx.call(shout)
        await ctx.publish("loud", loud[:500_000])
        ctx.emit({"rows": rows[:5_000]}, record=True)
        return {"rows": [{**each, "paid": True} for each in rows], "again": loud}

    graph = Graph("archive", Archive)
    writer = Agent("writer", system="Be brief.", prompt="Sum up {text}", model=ScriptedModel(answered))
    graph.add_node("change", change, writes=("rows", "again"))
    graph.add_node("write", writer, writes="answer")
    question = ask("May {text} be published?", bool, facts=("rows",), proposed="again", was="text")
    graph.add_node("agree", question, writes="agreed")
    graph.add_path(START, "change", "write", "agree", END)
    return graph


def answered(request: Any) -> str:
    """Answer with the beginning of what was asked."""
    return str(request.messages[-1].text)[:500_000]


async def write_run(store: Store, run_id: str, size: str) -> None:
    """Record a run that waits for an answer, and `RUN_ID-done`, a branch that got one."""
    graph = archive()
    async with Runner(store) as runner:
        await runner.start(graph, Archive(**SIZES[size]), run_id=run_id).result()
        await runner.branch(run_id, graph, 6, run_id=f"{run_id}-done").result()
        await runner.answer(f"{run_id}-done", value=True)
        await (await runner.drive(f"{run_id}-done", graph)).result()


__all__ = ["SIZES", "archive", "write_run"]
