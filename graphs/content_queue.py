"""Four consumers, each with a queue of its own, work on many pieces: while one is written the next is researched.

`graphengine run content_queue` runs it on two orders and closes. With `--input stays_open=true` it waits for more,
indefinitely: `graphengine send RUN research '{"topic": "…", "sources": [{"path": "a.md", "text": "…"}]}'` from any
process, `graphengine worker` processes what arrived, and `graphengine send RUN research '"close"'` lets it finish.

A queue is a topic of the run's messages: each message is kept until taken, taken once, and in order. A consumer takes a
parcel, has its agent work on it and passes it on; the message is sent with the step that made it, so a process that
dies loses none and sends none twice. A parcel that fails, even because no model can be called, travels on with its
`failure`, and the queue continues. Nothing is published here: the results are ready for that (see `content_pipeline`).
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel

from graphengine import END, START, Context, Failure, Graph, Limits, Retry, Runnable, iterations, value
from graphengine.errors import ModelTransient
from graphengine.reducers import append, merge
from nodes.citing import sample
from nodes.press.agents import TEAM, Team
from nodes.press.stages import Parcel

MODELS = {
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}
CLOSE: Final = "close"  # the last message of each queue
PIECES = 200  # per run, with some 15 steps each; start another run for more, so that no log grows without bound


class Queue(BaseModel):
    """The state: the initial orders, and the results."""

    orders: list[Parcel] = []
    stays_open: bool = False
    parcels: Annotated[list[Parcel], append] = []
    texts: Annotated[list[str], append] = []
    handled: Annotated[dict[str, int], merge] = {}
    is_closed: bool = False


class Bench(BaseModel):
    """A consumer's current parcel."""

    parcel: Parcel | None = None
    count: int = 0


def consumer(work: Runnable, field: str, reads: Sequence[str], queues: tuple[str, str], pieces: int) -> Graph[Bench]:
    """Return a consumer: it takes a parcel from its queue, works on it and passes it on, until its queue is closed.

    Args:
        work: The work.
        field: The parcel's field for the result.
        reads: The parcel's fields that `work` reads.
        queues: Its own queue, and the next one.
        pieces: The maximum number of parcels.
    """
    own, following = queues

    async def take(ctx: Context) -> Parcel | None:
        return await received(own, ctx)

    def updated(result: object, parcel: Parcel) -> Parcel:
        return parcel.model_copy(update={"failure" if isinstance(result, Failure) else field: result})

    def hand_on(parcel: Parcel | None, count: int, ctx: Context) -> int:
        ctx.send(following, CLOSE if parcel is None else parcel)
        return count + (parcel is not None)

    graph = Graph("consumer", Bench, result="count")
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    inputs = {name: f"parcel.{name}" for name in reads}
    graph.add_node("take", take, writes="parcel")
    graph.add_node("work", work, inputs=inputs, writes={"parcel": updated}, retry=again, fallback=set_aside)
    graph.add_node("hand_on", hand_on, writes="count")
    graph.add_edge(START, "take")
    graph.add_edge("take", "hand_on", when=value("parcel").is_none() | ~value("parcel.failure").is_none())
    graph.add_path("take", "work", "hand_on")
    graph.add_edge("hand_on", END, when=value("parcel").is_none(), label="closed")
    graph.add_edge("hand_on", END, when=iterations("hand_on") >= pieces, label="enough")
    graph.add_path("hand_on", "take")
    return graph


def content_queue(team: Team = TEAM, *, pieces: int = PIECES) -> Graph[Queue]:
    """Return the graph of this team's consumers in parallel, for at most this many pieces."""
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
    """Return the failure as the result of work that failed."""
    return error


def order(orders: list[Parcel], stays_open: bool, ctx: Context) -> None:  # noqa: FBT001 - a field
    """Put the initial orders into the first queue."""
    for message in [*orders, *([] if stays_open else [CLOSE])]:
        ctx.send("research", message)


async def collect(ctx: Context) -> dict[str, object]:
    """Take the next finished parcel."""
    parcel = await received("collect", ctx)
    if parcel is None:
        return {"is_closed": True}
    why = parcel.failure.message if parcel.failure else "no text"
    return {"parcels": parcel, "texts": parcel.edited.text if parcel.edited else f"{parcel.topic}: {why}"}


async def received(queue: str, ctx: Context) -> Parcel | None:
    """Return the next parcel of a queue; None once it is closed."""
    found: Parcel | str = await ctx.receive(queue, Parcel | Literal["close"])
    return None if isinstance(found, str) else found


def example() -> Queue:
    """Return the input of an example run: two orders with the same sources."""
    _, texts = sample("write_ahead_log")
    topics = ["How recovery replays a log after a crash", "What a commit costs"]
    return Queue(orders=[Parcel(topic=topic, sources=texts) for topic in topics])


graph = content_queue()
