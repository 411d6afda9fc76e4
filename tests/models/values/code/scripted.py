import asyncio
from enum import Enum, IntEnum, StrEnum

from pydantic import BaseModel

from graphengine import ScriptedModel
from graphengine.models import Message, Request, Response, ToolCall, ToolSpec, calls
from graphengine.models.errors import RateLimited


class Kind(str, Enum):  # what many programs have; it formats as its name
    refund = "money back"


class StrKind(StrEnum):
    credit = "a credit"


class Number(IntEnum):
    one = 1


class Review(BaseModel):
    score: int
    by: str | None = None


ONE = ToolCall(id="a", name="add", arguments="{}")
TWO = ToolCall(id="b", name="add", arguments="{}")


def asks(text="?", agent="writer", **more):
    return Request(agent, "", [Message(role="user", text=text)], **more)


def says(answer, request=None):
    """Return how a model answers with this as its script."""
    found = asyncio.run(ScriptedModel([answer]).answer(request or asks()))
    assert (found.cost_usd, found.offline) == (0.0, True)
    called = "".join(f" {call.id}={call.name}({call.arguments})" for call in found.calls)
    return f"{found.stop}: {found.content}{called}"


def left(script, *requests):
    """Return what a model says at the end, after these requests."""
    model = ScriptedModel(script)
    for request in requests:
        asyncio.run(model.answer(request))
    model.done()


async def later(request):
    await asyncio.sleep(0)
    return Review(score=len(request.prompt))


def special(request):
    raise AssertionError("an answer that is left over was asked for")


BEFORE = Message(role="assistant", calls=(ToolCall(id="call_1", name="x"), ToolCall(id="other", name="x")))
LONG = Request(
    "critic",
    "Be brief." + "y" * 1000,
    [Message(role="user", text="old"), Message(role="tool", text="z" * 10_000 + "END")],
    schema={},
    output="Review",
    tools=[ToolSpec("add", "adds", {})],
)
