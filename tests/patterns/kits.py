"""Shared parts of the pattern tests: a graph around a pattern, and a scene of each that can be killed.

The answers of a scene depend only on the request, so that a second process gives the same answers as the first one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph
from graphengine.models import Request
from graphengine.patterns import (
    Route,
    Step,
    fan_out_fan_in,
    orchestrator_workers,
    pipeline,
    supervisor,
)


class Outer(BaseModel):
    """The state of a graph around a pattern."""

    question: str
    answer: str = ""


def around(pattern: Graph[Any]) -> Graph[Outer]:
    """Return a graph with a pattern as a node."""
    graph = Graph("outer", Outer, result="answer")
    graph.add_node("inner", pattern, inputs={"task": "question"}, writes="answer")
    graph.add_path(START, "inner", END)
    return graph


def clerk(name: str, prompt: str = "{task}") -> Agent[str]:
    """Return an agent that answers in text."""
    return Agent(name, prompt=prompt)


@dataclass(frozen=True)
class Scene:
    """A pattern at work.

    Attributes:
        graph: The graph.
        given: Its input.
        answers: Its agents' answers, by their names.
        calls: The number of model calls of a whole run.
        output: Its output.
        person: The person's answer by state, if it asks one.
    """

    graph: Graph[Any]
    given: Mapping[str, object]
    answers: Mapping[str, Callable[[Request], object]]
    calls: int
    output: object
    person: Callable[[Any], object] | None = None


def says(answer: object) -> Callable[[Request], object]:
    """Return a function that always gives the same answer."""
    return lambda request: answer


def _pipeline() -> Scene:
    stages = {"find": clerk("find"), "write": clerk("write", "{text}"), "edit": clerk("edit", "{text}")}
    answers = {"find": says("facts"), "write": says("a draft"), "edit": says("a text")}
    return Scene(pipeline(stages), {"task": "tides"}, answers, 3, "a text")


def _supervisor() -> Scene:
    boss = Agent("boss", prompt="{task} {reports}", output=Route)
    workers = {"find": clerk("find"), "write": clerk("write")}

    def route(request: Request) -> Route:
        return Route(next=["find", "write", "finish"][request.prompt.count('"worker"')], instruction="go on")

    answers = {"boss": route, "find": says("facts"), "write": says("a draft"), "end": says("done")}
    return Scene(supervisor(boss, workers, clerk("end", "{reports}")), {"task": "tides"}, answers, 6, "done")


def _fan_out() -> Scene:
    graph = fan_out_fan_in(clerk("read", "{item}"), clerk("gather", "{outcomes}"), concurrency=2)
    answers = {"read": says("read"), "gather": says("all")}
    return Scene(graph, {"items": ["a", "b", "c", "d"]}, answers, 5, "all")


def _orchestrator() -> Scene:
    plan = [
        Step(id="a", role="find", input="tides"),
        Step(id="b", role="find", input="winds"),
        Step(id="c", role="write", input="both", needs=["a", "b"]),
    ]
    planner = Agent("planner", prompt="{task} {workers}", output=list[Step])
    workers = {"find": clerk("find"), "write": clerk("write", "{task} {needed}")}
    graph = orchestrator_workers(planner, workers, clerk("end", "{results}"))
    answers = {"planner": says(plan), "find": says("facts"), "write": says("a draft"), "end": says("done")}
    return Scene(graph, {"task": "weather"}, answers, 5, "done")


SCENES: dict[str, Callable[[], Scene]] = {
    "fan_out_fan_in": _fan_out,
    "orchestrator_workers": _orchestrator,
    "pipeline": _pipeline,
    "supervisor": _supervisor,
}
