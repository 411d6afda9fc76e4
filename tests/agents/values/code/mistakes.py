import re
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict

from graphengine import Agent, Once, tool
from graphengine.agents import Approval, Hooks, guard, mcp, result_of
from tests.agents.run_kits import add, one


def look(text: str) -> str:
    """Return the text."""
    return text


def nothing() -> list[str]:
    return []


async def wait(text: str) -> str:
    return text


def forgetful(text):
    return None


class Audit(Hooks):
    def __repr__(self):
        return "Audit()"


class Keyed(TypedDict):
    city: str


@dataclass(frozen=True, slots=True)
class Frozen:
    city: str


class Model(BaseModel):
    city: str


class Keys(BaseModel):
    key: SecretStr


def agent(**given):
    return Agent("writer", **{"prompt": "x", **given})


def reads(kind, **options):
    return Agent("agent", inputs=kind, **options)


WITH_INPUT = tool(lambda cty: cty, name="t", inputs=["cty"])
