from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphengine import Agent, Retry, ScriptedModel
from graphengine.agents import Hooks, guard
from graphengine.agents.errors import GuardFailed
from graphengine.models import Response, Router, calls
from graphengine.models.errors import AnswerTorn
from graphengine.records import event_document
from tests.agents.run_kits import add
from tests.kit.session_page import Lines, shown

if TYPE_CHECKING:
    from tests.kit.given import after, model, runner


class Poem(BaseModel):
    title: str
    lines: list[str]


POEM = '{"title": "Tide", "lines": ["in", "out"]}'
SUMS = calls(("add", {"first": 2, "second": 3}), text="let me add")
POET = Agent("poet", prompt="{task}", output=Poem, tools=[add])
PLAIN = Agent("poet", prompt="{task}")
AGAIN = Retry(attempts=2, initial_seconds=0.001, jitter=0)


class Torn:
    """A model that is torn in the middle of an answer."""

    name = "torn"

    async def answer(self, request):
        request.emit_text("half an ")
        raise AnswerTorn("the connection was lost")


class Once:
    """A model that fails once."""

    name = "once"
    models = [ScriptedModel(["whole"]), Torn()]

    async def answer(self, request):
        return await self.models.pop().answer(request)


class Masks(Hooks):
    """Hooks that show upper case, ask twice in the first turn, and change answers, arguments and results."""

    seen = []

    async def around_model(self, request, call):
        def loud(text):
            self.seen.append(text)
            request.emit_text(text.upper())

        if len(request.messages) == 1:
            await call(request)
        response = await call(replace(request, on_text=loud))
        return replace(response, content=f"{response.content}!")

    async def around_tool(self, call, make):
        outcome = await make(call.model_copy(update={"arguments": '{"first": 20, "second": 30}'}))
        return replace(outcome, text=f"about {outcome.text}")


class Again(Hooks):
    async def around_model(self, request, call):
        await call(request)
        return await call(request)


class Refuses(Hooks):
    async def around_model(self, request, call):
        await call(request)
        raise GuardFailed("not this", where="here")


def tell():
    return "secret words"


def discreet(text):
    if "secret" in text:
        raise ValueError("a secret")
    return text


def teller(*guards):
    """Return an agent with a tool whose results these guards see."""
    return Agent("poet", prompt="go", tools=[tell], guards=[*guards], model=model(calls(("tell", {})), "done"))


async def watched(graph):
    """Return what a watcher of a run sees, and what the run did."""
    run = runner.start(graph, run_id="r")
    seen = await shown(run.events())
    return Lines([*seen, *await after(run)])


async def documents(graph):
    """Return the events of a run as JSON documents, without the text that grows."""
    run = runner.start(graph, run_id="r")
    found = [event async for event in run.events() if hasattr(event, "turn")]
    whole = [event_document(event, await runner.info("r")) for event in found]
    kept = {each["event"]: {key: each[key] for key in each if key not in ("text", "value", "why")} for each in whole}
    return Lines(str(each) for each in kept.values())
