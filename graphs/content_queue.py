"""Four consumers, each with a queue of its own, work on many pieces: while one is written the next is researched.

`graphengine run content_queue` runs it on two orders and closes. With `--input stays_open=true` it waits for more:
`graphengine send RUN research '{"task": "…", "sources": [{"path": "a.md", "text": "…"}]}'` from any process,
`graphengine worker` processes what arrived, and `graphengine send RUN research '"close"'` lets it finish. Each of these
takes `--model`, which no run records. Each finished piece is shown at once, and with `--input folder=pieces` it is a
file there. Without a model it is a dry run: placeholders answer.

A queue is a topic of the run's messages: each message is kept until taken, taken once, and in order. A message is sent
with the step that made it, so a process that dies loses none and sends none twice. A piece that fails travels on with
its `failure`, and the queue continues; if no model can be called, it stays where it is, and a resume continues with it.
"""

import asyncio
from typing import Annotated, Final, Literal

from pydantic import BaseModel

from graphengine import END, START, Context, Failure, Graph, Limits, Node, iterations, value
from graphengine.reducers import append
from nodes.press import agents as press
from nodes.press.publishing import page_of, save
from nodes.tasks import UNUSABLE, sample

MODELS = press.MODELS
CLOSE: Final = "close"  # the last message of each queue
PIECES: Final = 200  # per run, with some 15 steps each; start another run for more, so that no log grows without bound


class Parcel(press.Piece):
    """A piece on its way; after a failure the later consumers pass it on as it is."""

    failure: Failure | None = None


class Bench(Parcel):
    """The state of a consumer: its current piece."""

    task: str = ""
    is_closed: bool = False


class Queue(BaseModel):
    """The state: the initial orders, and the texts of what was finished, or why there is none."""

    orders: list[Parcel] = []
    stays_open: bool = False
    folder: str = ""
    parcels: Annotated[list[Parcel], append] = []
    texts: Annotated[list[str], append] = []
    is_closed: bool = False


def consumer(stage: Node, own: str, following: str, pieces: int) -> Graph[Bench]:
    """Return a consumer: it takes pieces from its own queue, works on each and passes it to the following one."""

    async def take(ctx: Context) -> dict[str, object]:
        parcel = await received(own, ctx)
        return {"is_closed": True} if parcel is None else dict(parcel)

    def hand_on(state: Bench, error: Failure | None, ctx: Context) -> None:
        parcel = Parcel(**{name: getattr(state, name) for name in Parcel.model_fields})
        nothing = None if parcel.findings else Failure(path=own, kind="nothing_found", message="nothing was found")
        parcel.failure = parcel.failure or error or nothing
        ctx.send(following, CLOSE if state.is_closed else parcel)

    graph = Graph("consumer", Bench, result="is_closed")
    is_closed = value("is_closed").is_true()
    graph.add_node("take", take)
    graph.add_node("work", stage)
    graph.add_node("hand_on", hand_on)
    graph.add_edge(START, "take")
    graph.add_edge("take", "hand_on", when=is_closed | ~value("failure").is_none())
    graph.add_path("take", "work", "hand_on")
    graph.add_edge("work", "hand_on", when=UNUSABLE, label="failed")
    graph.add_edge("hand_on", END, when=is_closed, label="closed")
    graph.add_edge("hand_on", END, when=iterations("hand_on") >= pieces, label="enough")
    graph.add_path("hand_on", "take")
    return graph


def content_queue(*, pieces: int = PIECES) -> Graph[Queue]:
    """Return the graph of a consumer for each stage, in parallel, for at most this many pieces."""
    work = press.stages()
    queues = [*work, "collect"]
    graph = Graph("content_queue", Queue, result="texts", limits=Limits(visits=15 * pieces + 10))
    graph.add_node("order", order)
    graph.add_edge(START, "order")
    graph.add_fork("order", queues, join=END)
    for (name, stage), following in zip(work.items(), queues[1:], strict=True):
        graph.add_node(name, consumer(stage, name, following, pieces), inputs={}, writes={})
        graph.add_edge(name, END)
    graph.add_node("collect", collect, writes=("parcels", "texts", "is_closed"))
    graph.add_edge("collect", END, when=value("is_closed").is_true(), label="closed")
    graph.add_edge("collect", END, when=iterations("collect") >= pieces, label="enough")
    graph.add_path("collect", "collect")
    return graph


def order(orders: list[Parcel], stays_open: bool, ctx: Context) -> None:  # noqa: FBT001 - a field
    """Put the initial orders into the first queue."""
    for message in [*orders, *([] if stays_open else [CLOSE])]:
        ctx.send("research", message)


async def collect(folder: str, ctx: Context) -> dict[str, object]:
    """Take the next finished piece and show it, while the run goes on."""
    parcel = await received("collect", ctx)
    if parcel is None:
        return {"is_closed": True}
    text = parcel.output if parcel.failure is None else f"{parcel.task}: {parcel.failure.message}"
    shown = text
    if folder and parcel.output:
        page = page_of(parcel.post, ctx.now()) if parcel.post else parcel.output
        shown = await asyncio.to_thread(save, folder, parcel.task, page, ctx.idempotency_key)
    ctx.emit(shown, record=True)
    return {"parcels": parcel, "texts": text}


async def received(queue: str, ctx: Context) -> Parcel | None:
    """Return the next piece of a queue; None once it is closed."""
    found: Parcel | str = await ctx.receive(queue, Parcel | Literal["close"])
    return None if isinstance(found, str) else found


def example() -> Queue:
    """Return the input of an example run: two orders with the same sources."""
    tasks = ["How recovery replays a log after a crash", "What a commit costs"]
    return Queue(orders=[Parcel(**sample(task=task)) for task in tasks])


graph = content_queue()
