"""The small graphs whose runs are kept in `checkpoints/`: one for each feature of a run.

`graphengine replay checkpoints/format_3/fork.json --graph tests/kit/recorded.py` decides a run again. Leave the graphs
here unchanged, with the docstrings of their models, which recorded schemas quote: their runs are history. For a new
kind of step add a graph, and record a run of it with `python -m tests.kit.record`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Context,
    Failure,
    Graph,
    Limits,
    Message,
    Retry,
    ask,
    choose,
    ended_with,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.agents.errors import BadAnswer
from graphengine.reducers import add, append, merge
from tests.kit.runs import Odd


class Part(BaseModel):
    """A part of a text."""

    name: str
    words: int = Field(ge=0)


class Text(BaseModel):
    """A state with a field for each thing that the graphs do."""

    title: str = "Ants"
    draft: str = ""
    score: int | None = None
    scores: Annotated[list[int], append] = []
    cost: Annotated[float, add] = 0.0
    facts: Annotated[dict[str, str], merge] = {}
    notes: Annotated[list[str], append] = []
    parts: list[Part] = [Part(name="legs", words=6), Part(name="eyes", words=0), Part(name="wings", words=4)]
    counted: list[int] = []
    style: Literal["short", "long"] = "short"
    ok: bool | None = None
    odd: Odd | None = None
    errors: Annotated[list[Failure], append] = []


async def write(title: str, scores: list[int]) -> str:
    """Return a draft that gets longer."""
    return f"{title}, " + "and more " * len(scores)


async def review(draft: str) -> int:
    """Score a draft: better at first, then constant."""
    return min(len(draft), 14)


async def find(title: str) -> dict[str, str]:
    """Find a fact."""
    return {"legs": f"{title} have six"}


async def note(title: str) -> str:
    """Write a note."""
    return f"note on {title}"


async def count(part: Part) -> int:
    """Count the words of a part; fail if there are none."""
    if not part.words:
        raise BadAnswer("no words", where="count", repair="write some")
    return part.words


async def shorten(draft: str) -> str:
    """Return the first five characters."""
    return draft[:5]


async def lengthen(draft: str) -> str:
    """Return the draft twice."""
    return draft * 2


async def flaky(ctx: Context) -> str:
    """Fail until the workshop is repaired."""
    if not await ctx.call(mended, key="mended"):
        raise BadAnswer("the draft is empty", where="flaky", repair="try again")
    return "mended"


class Workshop:
    """The outside world: whether something was repaired between a failure and a resume."""

    is_repaired = False


async def mended() -> bool:
    """Return whether it was repaired."""
    return Workshop.is_repaired


async def look_up(word: str) -> str:
    """Look up the meaning of a word."""
    return word.upper()


async def work(ctx: Context, title: str) -> str:
    """Record a piece of work, sleep, and receive a message."""
    found = await ctx.call(look_up, title)
    await ctx.sleep(3600)
    tip = await ctx.receive("tips", str)
    return f"{found} {tip}"


async def fail(title: str) -> str:
    """Fail for good."""
    raise BadAnswer(f"nothing on {title}", where="fail", repair="give another title")


def made_loop() -> Graph[Text]:
    """Write until a review is no longer better, or nine drafts were reviewed."""
    graph = Graph("loop", Text, result="draft")
    graph.add_node("write", write, writes="draft")
    graph.add_node("review", review, writes={"score": ".", "scores": "."})
    graph.add_path(START, "write", "review")
    graph.add_edge("review", END, when=value("score") >= 30, label="approved")
    graph.add_edge("review", END, when=plateau("score"), label="no longer improving")
    graph.add_edge("review", END, when=iterations("review") >= 9, label="out of iterations")
    graph.add_edge("review", "write")
    return graph


def made_fork() -> Graph[Text]:
    """Run two arms in parallel, one of them only for a title."""
    graph = Graph("fork", Text)
    graph.add_node("find", find, writes="facts")
    graph.add_node("note", note, writes="notes")
    graph.add_node("merge", note, writes="notes")
    graph.add_fork(START, ["find", ("note", value("title") != "")], join="merge")
    graph.add_edge("find", "merge")
    graph.add_edge("note", "merge")
    graph.add_edge("merge", END)
    return graph


def made_map() -> Graph[Text]:
    """Count the words of every part; one without words counts as one."""
    graph = Graph("map", Text)
    graph.add_node("count", count, writes="counted", each={"part": "parts"}, concurrency=2, fallback=1)
    graph.add_path(START, "count", END)
    return graph


def made_subgraph() -> Graph[Text]:
    """Run the loop as a node, left by the label it stopped with."""
    graph = Graph("subgraph", Text)
    graph.add_node("article", made_loop(), writes="draft")
    graph.add_node("note", note, writes="notes")
    graph.add_path(START, "article")
    graph.add_edge("article", END, when=ended_with("approved"))
    graph.add_edge("article", "note", when=ended_with("no longer improving"), label="as good as it gets")
    graph.add_edge("article", FAIL, label="neither")
    graph.add_edge("note", END)
    return graph


def made_question() -> Graph[Text]:
    """Ask a person."""
    graph = Graph("question", Text)
    graph.add_node("write", write, writes="draft")
    graph.add_node("approve", ask("Publish {title}?", bool), writes="ok")
    graph.add_path(START, "write", "approve")
    graph.add_edge("approve", END, when=value("ok").is_true(), label="published")
    graph.add_edge("approve", "write")
    return graph


def made_choice() -> Graph[Text]:
    """Edit a draft in one of two ways."""
    graph = Graph("choice", Text)
    graph.add_node("write", write, writes="draft")
    graph.add_node("edit", choose("style", {"short": shorten, "long": lengthen}), writes="draft")
    graph.add_path(START, "write", "edit")
    graph.add_switch("edit", "style", {"short": END, "long": "edit"})
    return graph


def made_failing() -> Graph[Text]:
    """Try twice, then fail, until it is repaired."""
    graph = Graph("failing", Text)
    graph.add_node("flaky", flaky, writes="draft", retry=Retry(attempts=2, initial_seconds=10, jitter=0, afresh=True))
    graph.add_path(START, "flaky", END)
    return graph


def made_surviving() -> Graph[Text]:
    """Survive a failure by an edge."""
    graph = Graph("surviving", Text, collect_errors="errors")
    graph.add_node("fail", fail, writes="draft")
    graph.add_node("note", note, writes="notes")
    graph.add_path(START, "fail", END)
    graph.add_edge("fail", "note", when=failed(BadAnswer), label="without a draft")
    graph.add_edge("note", END)
    return graph


def made_work() -> Graph[Text]:
    """Record work, sleep and receive a message inside one node."""
    graph = Graph("work", Text)
    graph.add_node("work", work, writes="draft")
    graph.add_path(START, "work", END)
    return graph


def made_limited() -> Graph[Text]:
    """Repeat until its limit stops it."""
    graph = Graph("limited", Text, limits=Limits(visits=3))
    graph.add_node("note", note, writes="notes")
    graph.add_edge(START, "note")
    graph.add_edge("note", END, when=value("notes").length() >= 5, label="enough notes")
    graph.add_edge("note", "note")
    return graph


def made_odd() -> Graph[Text]:
    """Ask for an odd number, in a question node and inside a node."""
    graph = Graph("odd", Text)
    graph.add_node("number", ask("Which number?", Odd), writes="odd")
    graph.add_node("again", again, writes="notes")
    graph.add_path(START, "number", "again", END)
    return graph


async def again(ctx: Context) -> str:
    """Ask inside a node."""
    return f"{(await ctx.ask('And another?', Odd)).n}"


def made_careful() -> Graph[Text]:
    """Make a node that is not run again without confirmation."""
    graph = Graph("careful", Text)
    graph.add_node("send", note, writes="notes", effect="once")
    graph.add_path(START, "send", END)
    return graph


def made_stuck() -> Graph[Text]:
    """Make a graph without an outgoing edge while nothing is decided."""
    graph = Graph("stuck", Text)
    graph.add_node("note", note, writes="notes")
    graph.add_edge(START, "note")
    graph.add_edge("note", END, when=value("ok").is_true())
    return graph


class Talk(BaseModel):
    """A state that agents remember in."""

    topic: str = "ants"
    verse: str = ""
    verdict: str = ""
    memories: dict[str, list[Message]] = {}


def made_memory() -> Graph[Talk]:
    """Make a poet and a critic who remember, each under a key, and in arms under a shared one.

    Their stand-ins are async: blocking ones run in threads, and either arm may then end first.
    """

    async def rhyme(topic: str) -> str:
        return f"{topic}!"

    async def judge(verse: str) -> str:
        return verse[:3]

    graph = Graph("memory", Talk)
    poet = Agent("poet", prompt="{topic}", messages="memories[poet]", by_rules=rhyme)
    critic = Agent("critic", prompt="{verse}", messages="memories[critic]", by_rules=judge)
    graph.add_node("write", poet, writes="verse")
    graph.add_node("judge", critic, writes="verdict")
    graph.add_node("once", poet.but(messages="memories[both]"), writes="verse")
    graph.add_node("more", critic.but(messages="memories[both]"), writes="verdict")
    graph.add_node("end")
    graph.add_path(START, "write", "judge")
    graph.add_edge("judge", "write", when=iterations("judge") < 2)
    graph.add_fork("judge", ["once", "more"], join="end")
    graph.add_edge("once", "end")
    graph.add_path("more", "end", END)
    return graph


loop = made_loop()
fork = made_fork()
map_ = made_map()
subgraph = made_subgraph()
question = made_question()
choice = made_choice()
failing = made_failing()
surviving = made_surviving()
work_ = made_work()
limited = made_limited()
odd = made_odd()
careful = made_careful()
stuck = made_stuck()
memory = made_memory()

GRAPHS: dict[str, Graph[Any]] = {
    made.name: made
    for made in (
        *(loop, fork, map_, subgraph, question, choice, failing, surviving, work_, limited),
        *(odd, careful, stuck, memory),
    )
}
"""The graphs by their names in runs."""
