import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphengine import ScriptedModel, Settings
from graphengine.models import Message, NotRecorded, RecordedModel, Request, Response, ToolCall, ToolSpec, model_of
from graphengine.models.errors import BadRequest, ModelOverloaded
from tests.kit.session_page import Lines

if TYPE_CHECKING:
    from tests.kit.given import database

FILE = Path(database.parent, "answers.jsonl")
WHOLE = Response(
    "Grüße,\nzweite Zeile",
    model="anthropic:claude-x",
    input_tokens=100,
    cache_read_tokens=60,
    cache_write_tokens=10,
    output_tokens=20,
    reasoning_tokens=5,
    cost_usd=0.25,
    native={"provider": "anthropic", "content": [{"type": "text", "signature": "abc"}]},
)


class Review(BaseModel):
    score: int


class Costly:
    """A model that answers with the number of its call, at a cost."""

    name, made, closed = "costly:1", 0, False

    async def answer(self, request):
        self.made += 1
        return Response(f"answer {self.made}", cost_usd=1.0)

    async def knows_price(self):
        return False

    async def close(self):
        self.closed = True


def recording(*answers):
    return RecordedModel(FILE, ScriptedModel([*answers]))


def replay():
    return RecordedModel(FILE)


def question(text, agent="writer", system="", role="user", **more):
    return Request(agent, system, [Message(role=role, text=text)], **more)


async def asks(model, text, **options):
    """Return an answer's text."""
    return (await model.answer(question(text, **options))).content


async def is_recorded(text, **options):
    try:
        return bool(await asks(replay(), text, **options))
    except NotRecorded:
        return False


def lines():
    """Return the lines of the file."""
    return Lines(FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else ["no file"])


CALL = ToolCall(id="toolu_9", name="add", arguments='{"a": 2}')
TOOLS = [ToolSpec("add", "Adds.", {"type": "object"})]


async def talk(model):
    """Return the answers of a conversation with a call of a tool."""
    first = await model.answer(question("2+3?", tools=TOOLS))
    said = Message(role="assistant", calls=first.calls, native=first.native, tokens=7, agent="writer")
    turns = [Message(role="user", text="2+3?"), said, Message(role="tool", call_id=first.calls[0].id, text="5")]
    second = await model.answer(Request("writer", "", turns, tools=TOOLS))
    return [(each.content, each.calls, each.stop) for each in (first, second)]


async def echo(request):
    await asyncio.sleep(0)
    return request.prompt


async def damaged(more):
    """Return what is said of a file after whose first line this stands, and whether it is as it was."""
    await asks(recording("x"), "whole")
    written = FILE.read_bytes() + more
    FILE.write_bytes(written)
    found = []
    for model in (replay(), recording("x")):
        try:
            await asks(model, "?")
        except Exception as error:
            found.append(str(error))
    assert FILE.read_bytes() == written
    return Lines(dict.fromkeys(found))
