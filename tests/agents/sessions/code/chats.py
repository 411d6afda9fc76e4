import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine import Agent, Message, ScriptedModel, Window, tool
from graphengine.agents import Approval
from graphengine.agents.chats import turn_of
from graphengine.models import Response, calls
from graphengine.models.errors import AnswerRefused, BadRequest, ContextFull, ModelUnavailable

if TYPE_CHECKING:
    from tests.kit.given import runner

ASSISTANT = Agent("assistant")
DATED = Agent("dated", prompt="On {day}: {what}", output=int)
DAY = datetime.date(2026, 1, 1)


@dataclass
class Day:
    day: datetime.date


TYPED = Agent("typed", prompt="On {day}", inputs=Day)
ECHO = Agent("echo", prompt="{word}", by_rules=lambda word: word.upper())
PAID = []


def pay(name: str) -> str:
    PAID.append(name)
    return f"paid {name}"


def fall() -> str:
    raise RuntimeError("it fell")


async def turns(run_id: str) -> list[str]:
    """Return what became of each message of a conversation."""
    steps = [turn_of(step) for step in await runner.history(run_id)]
    return [f"{each.outcome} {each.code}" for each in steps if each is not None and each.outcome]


FALLS = Agent("falls", tools=[tool(fall, on_error="raise")])
CAREFUL = Agent("careful", tools=[tool(pay, approve=True)])
ASKING = Agent("asking", tools=[tool(pay, approve=Approval(refused_by_message=True))])
SHORT = Agent(
    "short", model=ScriptedModel(["Yes."] * 9), window=Window(40, keep=2, model=ScriptedModel(["In short."] * 9))
)
SHORTER = SHORT.but(model=None, window=Window(40, keep=1))
long = " ".join(["word"] * 40)
