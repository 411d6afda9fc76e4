"""Four consumers, each with a queue of its own, work on many pieces: while one is written the next is researched.

`graphengine run content_queue` runs it on two orders and closes. With `--input stays_open=true` it waits for more, for
as long as you like: `graphengine send RUN research '{"topic": "…", "sources": [{"path": "a.md", "text": "…"}]}'` from
any process, `graphengine worker` goes on with what came, and `graphengine send RUN research '"close"'` lets it finish.

A queue is a topic of the run's messages: kept until taken, each taken once, in the order they came. A consumer takes a
parcel, has its agent work on it and hands it on; the message leaves with the step that made it, so a process that dies
loses none and sends none twice. A parcel that cannot be worked on, be it that no model can be asked, goes on with its
`failure`, and so does the queue. Nothing is published here: what comes out is ready to be (see `content_pipeline`).
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel

from graphengine import END, START, Context, Failure, Graph, Limits, Retry, Runnable, iterations, value
from graphengine.errors import ModelTransient
from graphengine.reducers import append, merge
from nodes.press.agents import TEAM, Team
from nodes.press.stages import Parcel
from nodes.text.samples import sample

MODELS = {
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}
CLOSE: Final = "close"  # the last message of each queue
PIECES = 200  # in one run, with some 15 steps each; more are for another run, so that none grows without end


class Queue(BaseModel):
    """The whole: what is ordered at the start, and what comes out."""

    orders: list[Parcel] = []
    stays_open: bool = False
    parcels: Annotated[list[Parcel], append] = []
    texts: Annotated[list[str], append] = []
    handled: Annotated[dict[str, int], merge] = {}
    is_closed: bool = False


class Bench(BaseModel):
    """What a consumer has before it."""

    parcel: Parcel | None = None
    count: int = 0


def consumer(work: Runnable, field: str, reads: Sequence[str], queues: tuple[str, str], pieces: int) -> Graph[Bench]:
    """A consumer: takes a parcel from its queue, works on it and hands it on, until its queue is closed.

    Args:
        work: What it does.
        field: The parcel's field that the result goes into.
        reads: The parcel's fields that it reads.
        queues: Its own, and the one that it hands on to.
        pieces: The most parcels that it takes.
    """
    own, following = queues

    async def take(ctx: Context) -> Parcel | None:
        return await received(own, ctx)

    def worked_on(result: object, parcel: Parcel) -> Parcel:
        return parcel.model_copy(update={"failure" if isinstance(result, Failure) else field: result})

    def hand_on(parcel: Parcel | None, count: int, ctx: Context) -> int:
        ctx.send(following, CLOSE if parcel is None else parcel)
        return count + (parcel is not None)

    graph = Graph("consumer", Bench, result="count")
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # what passes by itself
    inputs = {name: f"parcel.{name}" for name in reads}
    graph.add_node("take", take, writes="parcel")
    graph.add_node("work", work, inputs=inputs, writes={"parcel": worked_on}, retry=again, fallback=set_aside)
    graph.add_node("hand_on", hand_on, writes="count")
    graph.add_edge(START, "take")
    graph.add_edge("take", "hand_on", when=value("parcel").is_none() | ~value("parcel.failure").is_none())
    graph.add_path("take", "work", "hand_on")
    graph.add_edge("hand_on", END, when=value("parcel").is_none(), label="closed")
    graph.add_edge("hand_on", END, when=iterations("hand_on") >= pieces, label="enough")
    graph.add_path("hand_on", "take")
    return graph


def content_queue(team: Team = TEAM, *, pieces: int = PIECES) -> Graph[Queue]:
    """This team's consumers side by side, with what puts orders in and what collects, for so many pieces."""
    graph = Graph("content_queue", Queue, result="texts", limits=Limits(steps=15 * pieces + 10))
    jobs: dict[str, tuple[Runnable, str, Sequence[str]]] = {
        "research": (team.researcher, "findings", ("topic", "sources")),
        "write": (team.writer, "manuscript", ("topic", "findings", "word_budget", "wishes", "manuscript")),
        "edit": (team.editor, "edited", ("manuscript",)),
        "list": (team.publisher, "listing", ("topic", "edited", "findings", "site")),
    }
    names = [*jobs, "collect"]
    graph.add_node("order", order)
    graph.add_edge(START, "order")
    graph.add_fork("order", names, join=END)
    for (name, job), following in zip(jobs.items(), names[1:], strict=True):
        graph.add_node(name, consumer(*job, (name, following), pieces), writes=f"handled[{name}]")
        graph.add_edge(name, END)
    graph.add_node("collect", collect, writes=("parcels", "texts", "is_closed"))
    graph.add_edge("collect", END, when=value("is_closed").is_true(), label="closed")
    graph.add_edge("collect", END, when=iterations("collect") >= pieces, label="enough")
    graph.add_path("collect", "collect")
    return graph


def set_aside(error: Failure) -> Failure:
    """What stands in for work that failed: why."""
    return error


def order(orders: list[Parcel], stays_open: bool, ctx: Context) -> None:  # noqa: FBT001 - a field
    """Put what is ordered at the start into the first queue."""
    for message in [*orders, *([] if stays_open else [CLOSE])]:
        ctx.send("research", message)


async def collect(ctx: Context) -> dict[str, object]:
    """Take what is ready."""
    parcel = await received("collect", ctx)
    if parcel is None:
        return {"is_closed": True}
    why = parcel.failure.message if parcel.failure else "no text"
    return {"parcels": parcel, "texts": parcel.edited.text if parcel.edited else f"{parcel.topic}: {why}"}


async def received(queue: str, ctx: Context) -> Parcel | None:
    """The next parcel of a queue; None where it is closed."""
    found: Parcel | str = await ctx.receive(queue, Parcel | Literal["close"])
    return None if isinstance(found, str) else found


def example() -> Queue:
    """What it runs on when no input is given: two orders from one set of sources."""
    _, texts = sample("write_ahead_log")
    topics = ["How recovery replays a log after a crash", "What a commit costs"]
    return Queue(orders=[Parcel(topic=topic, sources=texts) for topic in topics])


graph = content_queue()
