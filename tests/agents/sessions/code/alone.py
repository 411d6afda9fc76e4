from typing import Literal, NotRequired

from pydantic import BaseModel
from typing_extensions import TypedDict

from graphengine import Agent, Limits, Message, tool
from graphengine.models import calls
from graphengine.models.errors import ModelUnavailable
from tests.agents.run_kits import Work
from tests.kit.runs import alone


class Forecast(BaseModel):
    city: str
    rain: bool


class Plan(BaseModel):
    kind: Literal["plan"] = "plan"
    steps: list[str]


class Question(BaseModel):
    kind: Literal["question"] = "question"
    text: str


class Named(TypedDict):
    name: str
    title: NotRequired[str]


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"Rain in {city}."


ASSISTANT = Agent("assistant", tools=[weather])
CAREFUL = Agent("careful", tools=[tool(weather, approve=True)])
FORECASTER = Agent("forecaster", prompt="Will it rain in {city}? {style}", output=Forecast)
PLANNER = Agent("planner", prompt="{task}", output=Plan | Question)
WANTED = calls(("weather", {"city": "Bern"}))


def check(answer, limit, least=1):
    assert least <= limit, answer


CRITIC = Agent("critic", system="In {style.name}.", prompt="Ask: {question}", check=check, messages="before")
ECHO = Agent("echo", by_rules=lambda word: word)
LOUD = Agent("loud", prompt="Say {word}.", by_rules=lambda word, mark="!": word.upper() + mark)


async def look_up(topic):
    return f"About {topic}."


async def both(topic):
    return ["What is", topic]


def price(db: dict[str, int], item: str) -> int:
    """Return the price of an item."""
    return db[item]


def has_price(answer: str, db: dict[str, int]) -> None:
    assert str(db["pump"]) in answer


SHOP = Agent("shop", prompt="{question}", tools=[price], check=has_price)
CHAT = Agent("chat", prompt="{question}", messages="messages")
LABELLER = Agent("labeller", prompt="Sort {tags}.", by_rules=lambda tags: tags[-1])
