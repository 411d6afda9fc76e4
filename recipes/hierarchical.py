"""Hierarchy: a director assigns tasks to teams, the teams work in parallel, and a head reports.

A team is an agent, or a graph of several agents that reads its assignment as `task`.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, Node, Runnable, value
from graphengine.patterns import pipeline
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}


class Assignment(BaseModel):
    """A task for one of the teams."""

    team: Literal["law", "desk"]
    task: str


class TeamReport(Outcome):
    """The outcome of an assignment: its text, or its failure after all retries."""

    team: str
    task: str


class Company(BaseModel):
    """The state."""

    task: str
    assignments: list[Assignment] = []
    reports: Annotated[list[TeamReport], append] = []
    output: str = ""


def report(result: object, assignment: Assignment) -> TeamReport:
    """Return the report of a team."""
    return TeamReport(**vars(outcome(result)), **vars(assignment))


def assignments_of(team: str) -> Callable[..., list[Assignment]]:
    """Return a function that finds the assignments of a team."""

    def theirs(assignments: list[Assignment]) -> list[Assignment]:
        return [each for each in assignments if each.team == team]

    theirs.__name__ = f"assignments of {team}"  # in pictures
    return theirs


director = Agent(
    "director",
    prompt="Split this.\n{task}\nThe teams are law and desk.",
    output=Annotated[list[Assignment], Field(min_length=1)],
)
law = pipeline(
    {
        "find": Agent("finder", prompt="Which rules apply?\n{task}"),
        "judge": Agent("judge", prompt="{task}\nThe rules:\n{text}"),
    }
)
teams: dict[str, Runnable] = {"law": law, "desk": Agent("desk", prompt="Write a letter.\n{task}")}
head = Agent("head", prompt="Report on this.\n{task}\n{reports}")

graph = Graph("hierarchical", Company, result="output")
graph.add_node("direct", director, writes="assignments")
graph.add_node("report", head, writes="output")
for name, team in teams.items():
    each = {"assignment": assignments_of(name)}
    node = surviving(Node(team, inputs={"task": "assignment.task"}))  # the other teams continue when one fails
    graph.add_node(name, node, each=each, writes={"reports": report})
    graph.add_edge(name, "report")
graph.add_edge(START, "direct")
busy = [(name, value(assignments_of(name)).length() > 0) for name in teams]
graph.add_fork("direct", busy, join="report")
graph.add_edge("report", END)


def example() -> Company:
    """Return the input of an example run."""
    return Company(task="Build a dam")
