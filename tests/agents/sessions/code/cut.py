from dataclasses import replace

from pydantic import BaseModel

from graphengine import Agent, Settings, Window, tool
from graphengine.agents import guard
from graphengine.models.parts import Cited
from tests.agents.run_kits import ADD, add, one, paid

WRITER = Agent("writer", prompt="{task}")
KEEPS = WRITER.but(on_cut="keep")
GOES_ON = WRITER.but(on_cut="continue")
MOST = Settings(max_tokens=8192)


def cut(text, *wanted, stop="cut", **figures):
    return replace(paid(text, *wanted), stop=stop, **figures)


def latest(answers):
    return f"{answers[0]}…"


def none(answers):
    raise ValueError("none can be kept")


def ends(answer):
    if not answer.endswith("."):
        raise ValueError("it has no end")


def clean(text):
    if "secret" in text:
        raise ValueError("no secrets")
    return text


def messages(result):
    return [(each.role, each.text) for each in result.messages]
