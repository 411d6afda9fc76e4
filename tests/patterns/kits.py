"""Shared parts of the pattern tests: a graph around a pattern, and a scene of each that can be killed.

The answers of a scene depend only on the request, so that a second process gives the same answers as the first one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runnable
from graphengine.models import Request
from graphengine.patterns import (
    Assignment,
    Critique,
    Evaluation,
    Position,
    Route,
    Step,
    cross_reflection,
    debate,
    evaluator_optimizer,
    fan_out_fan_in,
    hierarchical,
    orchestrator_workers,
    pipeline,
    self_reflection,
    supervisor,
    voting,
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


def _hierarchical() -> Scene:
    plan = [Assignment(team="law", task="read"), Assignment(team="desk", task="write")]
    director = Agent("director", prompt="{task} {teams}", output=list[Assignment])
    law = pipeline({"find": clerk("find"), "judge": clerk("judge", "{text}")})
    graph = hierarchical(director, {"law": law, "desk": clerk("desk")}, clerk("head", "{reports}"))
    names = ("find", "judge", "desk", "head")
    answers = {"director": says(plan), **{name: says(name) for name in names}}
    return Scene(graph, {"task": "tides"}, answers, 5, "head")


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


def _self_reflection() -> Scene:
    reflect = Agent("reflect", prompt="{draft}", output=Critique)
    graph = self_reflection(clerk("write"), reflect, revise=clerk("revise", "{draft} {critiques[-1]}"))
    answers = {
        "write": says("draft 1"),
        "revise": says("draft 2"),
        "reflect": lambda request: Critique(verdict="accept" if "draft 2" in request.prompt else "revise"),
    }
    return Scene(graph, {"task": "tides"}, answers, 4, "draft 2")


def _cross_reflection() -> Scene:
    critics = {name: Agent(name, prompt="{draft}", output=Critique) for name in ("facts", "style")}
    graph = cross_reflection(clerk("write"), critics, revise=clerk("revise", "{draft} {critiques}"))
    wants = says(Critique(verdict="revise", flaws=["dull"]))
    answers = {"write": says("draft 1"), "revise": says("draft 2"), "facts": wants, "style": wants}
    return Scene(graph, {"task": "tides"}, answers, 4, "draft 2")


def _evaluator() -> Scene:
    judge = Agent("judge", prompt="{draft}", output=Evaluation)
    graph = evaluator_optimizer(clerk("write", "{task} {draft} {evaluations[-1]}"), judge)
    answers = {
        "write": lambda request: "draft 2" if "draft 1" in request.prompt else "draft 1",
        "judge": lambda request: Evaluation(verdict="accept" if "draft 2" in request.prompt else "revise", score=5),
    }
    return Scene(graph, {"task": "tides"}, answers, 4, "draft 2")


def _debate() -> Scene:
    debaters: dict[str, Runnable] = {
        name: Agent(name, prompt="{task} {positions}", output=Position) for name in ("ann", "bob")
    }
    graph = debate(debaters, judge=clerk("judge", "{transcript}"))
    answers = {"ann": says(Position(answer="yes")), "bob": says(Position(answer="no")), "judge": says("it depends")}
    return Scene(graph, {"task": "Is it so?"}, answers, 5, "it depends")


def _voting() -> Scene:
    graph = voting({name: clerk(name) for name in ("ann", "bob", "cid")}, ["yes", "no"])
    answers = {"ann": says("Yes."), "bob": says("no"), "cid": says("yes")}
    return Scene(graph, {"task": "Is it so?"}, answers, 3, "yes")


SCENES: dict[str, Callable[[], Scene]] = {
    "cross_reflection": _cross_reflection,
    "debate": _debate,
    "evaluator_optimizer": _evaluator,
    "fan_out_fan_in": _fan_out,
    "hierarchical": _hierarchical,
    "orchestrator_workers": _orchestrator,
    "pipeline": _pipeline,
    "self_reflection": _self_reflection,
    "supervisor": _supervisor,
    "voting": _voting,
}
