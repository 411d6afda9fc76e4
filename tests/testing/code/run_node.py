from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, Retry, ended_with
from graphengine.models import calls
from graphengine.reducers import Replace, add, append, extend, merge
from graphengine.testing import NO_ANSWER, EdgeCoverage, FakeClock, run_node


class Review(BaseModel):
    score: int = Field(ge=1, le=10)


class Article(BaseModel):
    task: str
    source: str
    draft: str = ""
    approved: bool = False
    total: Annotated[int, add] = 0
    notes: Annotated[dict[str, str], merge] = {}
    scores: Annotated[list[int], extend] = []
    reviews: Annotated[list[Review], append] = []


def of(runnable, writes="draft", state=Article, **options):
    """Return a graph of one node `work`."""
    graph = Graph("article", state, resources=options.pop("resources", {}))
    graph.add_node("work", runnable, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


def write(task):
    return f"on {task}"


def raising(error):
    """Return a node that raises this error."""

    def work():
        raise error

    return work


def giving(result):
    """Return a node that returns this value."""
    return lambda: result


async def ran(graph, state=None, path="work", **options):
    """Return what a node did that ran alone."""
    done = await run_node(graph, path, state, **options)
    lines = [f"{done.path}: {done.update}"]
    fields = type(done.state).model_fields
    after = {
        name: value
        for name, value in vars(done.state).items()
        if value not in (done.update.get(name), fields[name].default)
    }
    lines += [f"state: {after}"] if after else []
    lines += [f"result: {done.result!r}"] if done.result not in (None, *done.update.values()) else []
    lines += [f"choice: {done.choice}"] if done.choice else []
    lines += [f"waits: {wait.name}: {wait.question}" for wait in done.waits]
    for each in done.work:
        text = each.value["text"] if isinstance(each.value, dict) else each.value
        lines.append(
            " ".join(["call:", *each.agent.split(), each.name.rsplit(".", 1)[-1], repr(text), each.model]).rstrip()
        )
    lines += [f"asked: {prompt}" for prompt in done.prompts]
    lines += [f"events: {done.events}"] if done.events else []
    lines += [f"sent: {done.sent}"] if done.sent else []
    lines += [f"published: {done.published}"] if done.published else []
    if done.usage.calls:
        lines.append(f"usage: {done.usage.calls} calls, {done.usage.offline_calls} of them offline")
    lines += [f"edge: {', '.join(done.edge.to)} [{done.edge.label}] {done.edge.why}"] if done.edge else []
    return "\n".join([*lines, *([f"no edge: {done.no_edge}"] if done.no_edge else [])])


class Part(BaseModel):
    n: int = Field(ge=0)


class Parts(BaseModel):
    numbers: list[int] = []
    plain: list[Part] = []
    added: Annotated[list[Part], append] = []
    by_number: dict[int, Part] = {}
    lists: dict[str, list[Part]] = {}
    merged: Annotated[dict[str, Part], merge] = {}
    total: Annotated[int, add] = 0
    mine: Annotated[int, lambda old, new: old + new] = 0


def made(writes, result):
    """Return a graph of a map whose items write this."""
    return of(giving(result), writes, Parts, each={"number": "numbers"})


def mapped(concurrency=4):
    """One note for each word; words above 8 fail."""

    def note(word: int, draft: str) -> str:
        if word > 8:
            raise ValueError(word)
        return f"{draft}{word}"

    return of(note, "notes[{word}]", each={"word": "scores"}, concurrency=concurrency)


class Draft(BaseModel):
    topic: str
    text: str = ""


def drafting():
    """A graph with an end of its own."""
    inner = Graph("drafting", Draft, result="text")
    inner.add_node("compose", lambda topic: f"draft of {topic}", writes="text", retry=Retry(attempts=2))
    inner.add_path(START, "compose")
    inner.add_edge("compose", END, label="composed")
    return inner


def nested():
    """A nested graph whose end decides the outgoing edge."""
    graph = of(drafting(), inputs={"topic": "task"})
    graph.edges.pop()
    graph.add_edge("work", END, when=ended_with("composed"), label="done")
    graph.add_edge("work", END)
    return graph


def nested_each():
    """The same for each of the scores."""
    return of(drafting(), "notes[{item}]", inputs={"topic": "task"}, each={"item": "scores"})
