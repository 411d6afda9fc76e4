import asyncio
import datetime
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, Retry, RunFailed, ScriptedModel, choose
from graphengine.agents.asked import asked_in, turn_of
from graphengine.engine.steps import Recorded
from graphengine.history.load import load_snapshot
from graphengine.models import Response, ToolCall
from graphengine.models.errors import ContextFull, ModelTimeout
from tests.agents.run_kits import Stuck
from tests.kit.runs import alone
from tests.kit.session_page import Lines

if TYPE_CHECKING:
    from tests.kit.given import process, runner

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"


class Colour(Enum):
    RED = "red"


class Desk(BaseModel):
    text: str = "the moon"
    due: datetime.date = datetime.date(2026, 11, 23)
    colour: Colour = Colour.RED
    parts: list[str] = ["a", "b"]
    notes: list[str] = []
    score: int = 0
    kind: str = "bad"
    answer: str = ""
    answers: list[str] = []
    password: SecretStr = SecretStr("open sesame")


def find(word: str) -> str:
    """Find a word."""
    if word == "none":
        raise LookupError(word)
    return f"{word} is found"


CALLS = Response("", (ToolCall(id="c1", name="find", arguments='{"word": "moon"}'),))
FAILS = Response("Let me see.", (ToolCall(id="c2", name="find", arguments='{"word": "none"}'),))


def check(answer):
    if "tides" not in answer:
        raise ValueError("no tides")


def of(work, writes="answer", **options):
    return alone(Desk, work, writes, node="ask", secret_key=KEY, **options)


def writer(prompt, **options):
    return of(Agent("writer", prompt=prompt, **options))


FINDER = Agent("writer", system="Be brief.", prompt="On {topic}", tools=[find])
TEMPLATE = writer("On {text}, {notes}: {score}", system="Be brief on {text}.")


async def by_code(text):
    return await FINDER.run(topic=text)


async def with_password(password: SecretStr):
    return await FINDER.run(topic=password.get_secret_value())


def fails(text):
    raise ValueError(text)


def inside():
    graph = Graph("outer", Desk, secret_key=KEY)
    graph.add_node("inner", TEMPLATE, inputs={"text": "parts[0]"}, writes={"answer": "answer"})
    graph.add_path(START, "inner", END)
    return graph


def plain(messages):
    return [(each.role, each.text, each.calls, each.call_id, each.is_error) for each in messages]


async def turns(run_id="r"):
    """Return what models were asked in a run, and what is new in each question, read from its store alone."""
    store = runner.store
    for step in await store.steps(run_id):
        if isinstance(step.data, Recorded) and step.data.by is not None:
            snapshot = await load_snapshot(store, run_id, step.seq)
            yield turn_of(step, snapshot)


async def asked(graph, *answers, given=None):
    """Return what is read, and what differs from the requests that the model got."""
    script = ScriptedModel(answers)
    await process(models=script)
    await runner.start(graph, given or {}, run_id="r").result()
    found = [turn async for turn in turns()]
    lines = []
    for turn, request in zip(found, script.requests, strict=True):
        same = turn.system == request.system and plain(turn.messages) == plain(request.messages)
        new = " | ".join(f"{each.role}: {each.text}" for each in turn.messages[turn.new :])
        system = f"{turn.system.splitlines()[0]} " if turn.system else ""
        lines.append(f"{system}{len(turn.messages)} messages, {new} -> {turn.answer.text!r}")
        lines += [] if same else ["  but it was asked otherwise"]
    return Lines(" ".join(line.split()) for line in lines)


async def lost(graph, *answers, **options):
    """Return what is read of the calls that failed in each step of a run, from its store alone."""
    await process(*answers, **options)
    run = runner.start(graph)
    with suppress(RunFailed):
        await run.result()
    info = await runner.store.info(run.id)
    lines = []
    for step in await runner.store.steps(run.id):
        found = [each for each in await asked_in(runner.store, info, step) if each.answer is None]
        for each in found:
            new = " | ".join(f"{one.role}: {one.text}" for one in each.messages[each.new :])
            lines.append(f"{step.kind}: {each.agent} asked {each.model}: {len(each.messages)} messages, {new}")
    return Lines(" ".join(line.split()) for line in lines)


async def two(text):
    async with asyncio.TaskGroup() as group:
        for word in "ab":
            group.create_task(FINDER.run(topic=word))


async def handled(text):
    try:
        return await FINDER.run(topic=text)
    except ContextFull:
        return "too long"
