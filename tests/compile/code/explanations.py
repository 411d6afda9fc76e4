import enum
from typing import Any

from pydantic import BaseModel

from graphengine import value
from graphengine.engine.snapshot import Frame
from graphengine.graph.condition_spec import sentence
from graphengine.state.schema import StateType
from graphengine.state.view import View


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Review(BaseModel):
    score: int | None = None


class State(BaseModel):
    score: int | None = 6
    tags: list[str] = ["a", "b"]
    views: dict[str, int] = {"ann": 3}
    review: Review | None = None
    mood: Mood = Mood.GOOD
    text: Any = "7"


def view(**changes):
    state = State(**changes)
    return View(StateType.of(State), Frame(typed={name: getattr(state, name) for name in State.model_fields}))


def why(condition, **changes):
    held, found = condition.evaluate(view(**changes))
    return f"{'holds' if held else 'does not hold'}: {sentence(condition.spec, found, held=held)}"


ORDERINGS = [value("score") >= 0, value("score") <= 0, value("score") > 0, value("score") == 0, value("score") != 0]
