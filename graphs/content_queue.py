"""Four consumers, each with a queue of its own, work on many pieces: while one is written the next is researched.

`graphengine run content_queue` runs it on two orders and closes. With `--input stays_open=true` it waits for more:
`graphengine send RUN research '{"topic": "…", "sources": [{"path": "a.md", "text": "…"}]}'` from any process,
`graphengine worker` processes what arrived, and `graphengine send RUN research '"close"'` lets it finish. Without a
model it is a dry run: the researcher quotes the sources, and placeholders stand for all other answers.

A queue is a topic of the run's messages: each message is kept until taken, taken once, and in order. A consumer takes a
piece, has its agent work on it and passes it on; the message is sent with the step that made it, so a process that dies
loses none and sends none twice. A piece that fails travels on with its `failure`, and the queue continues. Each finished
piece is a file in `folder` at once, while the run goes on. If no model can be called, the run fails, and a resume
continues with the same pieces.
"""

import asyncio
from typing import Annotated, Final, Literal

from pydantic import BaseModel

from graphengine import END, START, Context, Failure, Graph, Limits, failed, iterations, value
from graphengine.errors import ModelNotReady, ModelTransient
from graphengine.graph.definition import Node
from graphengine.reducers import append
from nodes.citing import sample
from nodes.press.pieces import Piece
from nodes.press.publishing import page_of, save
from nodes.press.stages import MODELS, stages

CLOSE: Final = "close"  # the last message of each queue
PIECES: Final = 200  # per run, with some 15 steps each; start another run for more, so that no log grows without bound


class Parcel(Piece):
    """A piece on its way; after a failure the later consumers pass it on as it is."""

    failure: Failure | None = None


class Bench(Parcel):
    """The state of a consumer: its current piece."""

    topic: str = ""
    is_closed: bool = False


class Queue(BaseModel):
    """The state: the initial orders, and what was finished: a file for each piece, or why there is none."""

    orders: list[Parcel] = []
    stays_open: bool = False
    folder: str = "pieces"
    parcels: Annotated[list[Parcel], append] = []
    finished: Annotated[list[str], append] = []
    is_closed: bool = False


def consumer(stage: Node, own: str, following: str, pieces: int) -> Graph[Bench]:
    """Return a consumer: it takes pieces from its own queue, works on each and passes it to the following one."""

    async def take(ctx: Context) -> dict[str, object]:
        parcel = await received(own, ctx)
        return {"is_closed": True} if parcel is None else dict(parcel)

    def hand_on(state: Bench, error: Failure | None, ctx: Context) -> None:
        fields = {name: getattr(state, name) for name in Parcel.model_fields}
        ctx.send(following, CLOSE if state.is_closed else Parcel(**fields | ({"failure": error} if error else {})))

    graph = Graph("consumer", Bench, result="is_closed")
    unusable = failed(Exception) & ~failed(ModelNotReady, ModelTransient)  # those fail the run, and can be resumed
    is_closed = value("is_closed").is_true()
    graph.add_node("take", take)
    graph.add_node("work", stage)
    graph.add_node("hand_on", hand_on)
    graph.add_edge(START, "take")
    graph.add_edge("take", "hand_on", when=is_closed | ~value("failure").is_none())
    graph.add_edge("take", "work")
    graph.add_edge("work", "hand_on", when=unusable, label="failed")
    graph.add_edge("work", "hand_on")
    graph.add_edge("hand_on", END, when=is_closed, label="closed")
    graph.add_edge("hand_on", END, when=iterations("hand_on") >= pieces, label="enough")
    graph.add_edge("hand_on", "take")
    return graph


def content_queue(work: dict[str, Node] | None = None, *, pieces: int = PIECES) -> Graph[Queue]:
    """Return the graph of the consumers in parallel, one for each stage, for at most this many pieces."""
    work = work or stages()
    graph = Graph("content_queue", Queue, result="finished", limits=Limits(steps=15 * pieces + 10))
    queues = [*work, "collect"]
    graph.add_node("order", order)
    graph.add_edge(START, "order")
    graph.add_fork("order", queues, join=END)
    for (name, stage), following in zip(work.items(), queues[1:], strict=True):
        graph.add_node(name, consumer(stage, name, following, pieces), inputs={}, writes={})
        graph.add_edge(name, END)
    graph.add_node("collect", collect, writes=("parcels", "finished", "is_closed"))
    graph.add_edge("collect", END, when=value("is_closed").is_true(), label="closed")
    graph.add_edge("collect", END, when=iterations("collect") >= pieces, label="enough")
    graph.add_edge("collect", "collect")
    return graph


def order(orders: list[Parcel], stays_open: bool, ctx: Context) -> None:  # noqa: FBT001 - a field
    """Put the initial orders into the first queue."""
    for message in [*orders, *([] if stays_open else [CLOSE])]:
        ctx.send("research", message)


async def collect(folder: str, ctx: Context) -> dict[str, object]:
    """Take the next piece, write its file, and show where it is."""
    parcel = await received("collect", ctx)
    if parcel is None:
        return {"is_closed": True}
    if parcel.failure:
        line = f"{parcel.topic}: {parcel.failure.message}"
    else:
        title, page = (
            (parcel.post.title, page_of(parcel.post, ctx.now())) if parcel.post else (parcel.topic, parcel.output)
        )
        line = await asyncio.to_thread(save, folder, title, page, ctx.idempotency_key)
    ctx.emit(line, record=True)
    return {"parcels": parcel, "finished": line}


async def received(queue: str, ctx: Context) -> Parcel | None:
    """Return the next piece of a queue; None once it is closed."""
    found: Parcel | str = await ctx.receive(queue, Parcel | Literal["close"])
    return None if isinstance(found, str) else found


def example() -> Queue:
    """Return the input of an example run: two orders with the same sources."""
    _, texts = sample("write_ahead_log")
    topics = ["How recovery replays a log after a crash", "What a commit costs"]
    return Queue(orders=[Parcel(topic=topic, sources=texts) for topic in topics])


__all__ = ["MODELS", "content_queue", "example"]

graph = content_queue()
