from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from pydantic import BaseModel, field_validator, model_validator

from graphengine import Agent, Graph, Message, ScriptedModel
from graphengine.models import calls
from graphengine.models.errors import ModelUnavailable
from tests.kit.facts import said
from tests.kit.session_page import Lines

if TYPE_CHECKING:
    from tests.kit.given import model, runner


class Keyed(TypedDict):
    city: str
    style: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Frozen:
    city: str
    style: str = "Briefly."


class Model(BaseModel):
    city: str
    style: str = "Briefly."

    @field_validator("city")
    @classmethod
    def _stripped(cls, city: str) -> str:
        return city.strip()

    @model_validator(mode="after")
    def _plain(self) -> "Model":
        if self.city == self.style:
            raise ValueError("the city is no style")
        return self


@dataclass
class Tide:
    place: str = "Brest"


class Numbered(BaseModel):
    city: int = 3
    style: str = ""
    said: str = ""


def forecaster(kind, *answers):
    """Return an agent that reads this type."""
    return Agent("forecaster", inputs=kind, prompt="Rain in {city}? {style}", model=model(*answers))


async def in_a_run(agent, given):
    return (await runner.start(Graph.of(agent), given).result()).output


async def everywhere(kind, given):
    """Return what an agent says alone, by a Runner, in its own graph and in a conversation."""
    agent = Agent("forecaster", inputs=kind, prompt="Rain in {city}? {style}", model=ScriptedModel(["Yes."] * 6))
    ways = {
        "alone": agent.run,
        "with its conversation": agent.answer,
        "by a Runner": lambda given: runner.run(agent, given),
        "in its graph": lambda given: in_a_run(agent, given),
        "in a conversation": lambda given: runner.run(agent, given, chat="ada"),
        "streamed": lambda given: anext(agent.stream(given)),
    }
    found = {}
    for way, run in ways.items():
        try:
            said = await run(given)
            said = getattr(said, "value", getattr(said, "text", said))
        except Exception as error:
            said = f"{type(error).__name__}: {error.message}"
        found.setdefault(said, []).append(way)
    return Lines(f"{'in all ways' if len(found) == 1 else ', '.join(used)}: {said}" for said, used in found.items())


def look(db: str) -> str:
    return f"rain in {db}"
