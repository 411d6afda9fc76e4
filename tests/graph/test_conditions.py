"""Conditions hold or do not, explain themselves, and refuse to be misused."""

import enum
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import value
from graphengine.engine.snapshot import Frame
from graphengine.graph.conditions import Condition
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


def view(**changes: Any) -> View:
    """Return a view of a state with these changes."""
    state = State(**changes)
    return View(StateType.of(State), Frame(typed={name: getattr(state, name) for name in State.model_fields}))


@pytest.mark.parametrize(
    ("condition", "held", "why"),
    [
        (value("score") >= 7, False, "score 6 >= 7: no"),
        (value("score") < 7, True, "score 6 < 7: yes"),
        (value("views[ann]") == 3, True, "views[ann] 3 == 3: yes"),
        (value("views[bob]") == 3, False, "views[bob] None == 3: no"),
        (value("tags[-1]") == "b", True, "tags[-1] 'b' == 'b': yes"),
        (value("tags[5]").is_none(), True, "tags[5] None is none: yes"),
        (value("tags").length() == 2, True, "length of tags 2 == 2: yes"),
        (value("tags").contains("a"), True, "tags ['a', 'b'] contains 'a': yes"),
        (value("score").is_in([1, 6]), True, "score 6 is in (1, 6): yes"),
        (value("tags").is_true(), True, "tags ['a', 'b'] is true: yes"),
        (value("review.score") >= 1, False, "review.score None >= 1: no"),
        (~(value("review.score") >= 1), True, "not (review.score None >= 1: no): yes"),
        (value("review.score") != 1, False, "review.score None != 1: no"),
        (value("mood") == Mood.GOOD, True, "mood 'good' == 'good': yes"),
        (value("mood") == "good", True, "mood 'good' == 'good': yes"),
        (value("mood").is_in(["good", "fine"]), True, "mood 'good' is in ('good', 'fine'): yes"),
        (value("text") >= 3, False, "text '7' >= 3: no (str cannot be compared with int)"),
        ((value("score") > 5) & (value("score") < 6), False, "score 6 > 5: yes and score 6 < 6: no"),
        ((value("score") > 9) | (value("score") < 7), True, "score 6 > 9: no or score 6 < 7: yes"),
        ((value("score") > 9) & (value("score") < 7), False, "score 6 > 9: no"),
        (value(lambda score, tags: score * len(tags)) == 12, True, "function of score, tags 12 == 12: yes"),
    ],
)
def test_a_condition_returns_whether_it_holds_and_why(condition: Condition, held: bool, why: str) -> None:  # noqa: FBT001
    """The explanation has the values, the comparison and the outcome."""
    assert condition.evaluate(view()) == (held, why)


def test_none_makes_every_ordering_false_and_not_inverts_that() -> None:
    """Missing values never reach a threshold."""
    score = value("score")
    for condition in (score >= 0, score <= 0, score > 0, score == 0, score != 0):
        assert condition.evaluate(view(score=None))[0] is False
        assert (~condition).evaluate(view(score=None))[0] is True
