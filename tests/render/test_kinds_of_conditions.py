"""Each kind of condition: its words, whether it can end a loop, and which numbers charts show of it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, get_args

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, Runner, changed, failed, iterations, plateau, value
from graphengine.engine.reasons import compared, reasons_of, ways_of
from graphengine.engine.steps import outcome_of
from graphengine.graph.condition_spec import Operator, condition_text
from graphengine.graph.conditions import Condition, as_condition
from graphengine.graph.endings import ended_with
from graphengine.render.charts.scores import watched_of
from graphengine.render.files import RenderError


class State(BaseModel):
    """What the conditions read."""

    score: int = 5
    tags: list[str] = ["a"]
    done: bool = False


class Kind(NamedTuple):
    """What is expected of a kind.

    Attributes:
        condition: An example, on an edge out of the node `work`.
        text: How the example is drawn.
        words: What it found after the first visit, in which `work` writes the score 5, as logs say it.
        plain: The same in sentences for people who do not read code.
        ends: Whether it forces a loop to end.
        numbers: The numbers that it compared.
        watches: What a chart of scores shows because of it.
    """

    condition: Any
    text: str
    words: str
    plain: tuple[str, ...]
    ends: bool = False
    numbers: Mapping[str, float] = {}
    watches: tuple[str, ...] = ()


def number(sign: str, condition: object, word: str, plain: str) -> Kind:
    """Return what is expected of a comparison of the score with 4."""
    watches = () if sign == "!=" else ("score",)
    return Kind(
        condition, f"score {sign} 4", f"score 5 {sign} 4: {word}", (plain,), numbers={"score": 5}, watches=watches
    )


def is_high(score: int) -> bool:
    """Return whether a score is high."""
    return score > 8


SCORE: Final = value("score")
KINDS: Final[Mapping[str, Kind]] = {
    ">=": number(">=", SCORE >= 4, "yes", "score is 5, at least 4 was needed"),
    "<=": number("<=", SCORE <= 4, "no", "score is 5, at most 4 is needed: 1 too much"),
    ">": number(">", SCORE > 4, "yes", "score is 5, more than 4 was needed"),
    "<": number("<", SCORE < 4, "no", "score is 5, less than 4 is needed: 1 too much"),
    "==": number("==", SCORE == 4, "no", "score is 5, 4 is needed"),
    "!=": number("!=", SCORE != 4, "yes", "score is 5, another value than 4 was needed"),
    "is in": Kind(SCORE.is_in([4, 6]), "score is in (4, 6)", "score 5 is in (4, 6): no", ("score 5 is not in (4, 6)",)),
    "contains": Kind(
        value("tags").contains("b"),
        "tags contains 'b'",
        "tags ['a'] contains 'b': no",
        ("tags ['a'] does not contain 'b'",),
    ),
    "is true": Kind(value("done").is_true(), "done is true", "done False is true: no", ("done is false",)),
    "is none": Kind(SCORE.is_none(), "score is none", "score 5 is none: no", ("score is 5, no value is needed",)),
    "plateau": Kind(
        plateau("score"),
        "score no longer improves",
        "score 5, the best so far: no",
        ("score is 5, the best so far",),
        watches=("score",),
    ),
    "changed": Kind(changed("score"), "score changed", "score changed: no", ("score has not changed",)),
    "failed": Kind(
        failed(ValueError),
        "failed with ValueError",
        "failed with ValueError, failed with ValueError: yes",
        ("it failed with ValueError",),
    ),
    "ended": Kind(ended_with("good"), "ended 'good'", "work ended 'bad': no", ("it ended 'bad', 'good' is needed",)),
    "function": Kind(is_high, "is_high", "is_high: no", ("is_high: no",)),
    "and": Kind(
        (SCORE >= 4) & (SCORE >= 9),
        "score >= 4 and score >= 9",
        "score 5 >= 4: yes and score 5 >= 9: no",
        ("score is 5, at least 9 is needed: 4 too little",),
        numbers={"score": 5},
        watches=("score",),
    ),
    "or": Kind(
        (SCORE >= 9) | (iterations("work") >= 3),
        "score >= 9 or iterations of work >= 3",
        "score 5 >= 9: no or iterations of work 1 >= 3: no",
        ("score is 5, at least 9 is needed: 4 too little", "visit 1 of work, this way is taken from visit 3 on"),
        ends=True,
        numbers={"score": 5},
        watches=("score",),
    ),
    "not": Kind(
        ~(SCORE >= 9),
        "not (score >= 9)",
        "not (score 5 >= 9: no): yes",
        ("score is 5, less than 9 was needed",),
        numbers={"score": 5},
        watches=("score",),
    ),
}
"""An example of each kind, by its operator in the graph spec."""


def graph_with(condition: Condition) -> Graph[State]:
    """Return a graph whose node `work` leads to itself until the condition holds."""

    def work() -> int:
        if condition.spec["is"] == "failed":
            raise ValueError
        return 5

    graph = Graph("graph", State)
    if condition.spec["is"] == "ended":
        inner = Graph("inner", State)
        inner.add_node("end", work, writes="score")
        inner.add_edge(START, "end")
        inner.add_edge("end", END, when=value("done").is_true(), label="good")
        inner.add_edge("end", END, label="bad")
        graph.add_node("work", inner, writes={"score": "score"})
    else:
        graph.add_node("work", work, writes="score")
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=condition)
    graph.add_edge("work", "work")
    return graph


def shown_in_charts(spec: Any) -> tuple[str, ...]:
    """Return what a chart of scores shows; nothing if it finds no number."""
    try:
        return tuple(each.text for each in watched_of(spec))
    except RenderError:
        return ()


@pytest.mark.parametrize("name", get_args(Operator))
async def test_each_room_answers_for_each_kind(name: str) -> None:
    """A kind without a row fails here; docs/project/maintain/add_a_condition.md says where the answers are made."""
    kind = KINDS[name]
    condition = as_condition(kind.condition)
    assert condition.spec["is"] == name
    graph = graph_with(condition)
    plan = graph.compile()
    async with Runner() as runner:
        run = runner.start(graph, limits=Limits(visits=2))
        await run.result()
        step = next(step for step in await run.history() if step.node == "work" and outcome_of(step).tests)
    ways = ways_of(plan.graph_spec, step)
    reason = reasons_of(outcome_of(step), ways)[0]
    assert kind == Kind(
        kind.condition,
        condition_text(condition.spec),
        reason.words,
        (*reason.plain,),
        ends=not any(problem.code == "unbounded_loop" for problem in graph.check()),
        numbers=compared(outcome_of(step), ways),
        watches=shown_in_charts(plan.graph_spec),
    )


def test_every_class_of_conditions_has_an_example() -> None:
    """Also one that shares its operator with another class."""
    made = {type(as_condition(kind.condition)).__name__ for kind in KINDS.values()}
    left, found = [*Condition.__subclasses__()], set[str]()
    while left:
        here = left.pop()
        found.update([here.__name__] if here.__module__.startswith("graphengine.graph.") else ())
        left += here.__subclasses__()
    assert made == found
