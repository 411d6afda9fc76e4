"""Hierarchy: a director gives tasks to teams, each of which may be a graph with people of its own, and reports."""

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import called, checked, part
from graphengine.reducers import append


class Assignment(BaseModel):
    """A task for a team, by its name."""

    team: str
    task: str


class TeamReport(Outcome):
    """What came of an assignment."""

    team: str
    task: str


class Company(BaseModel):
    """The state of a hierarchy."""

    task: str
    assignments: list[Assignment] = []
    reports: Annotated[list[TeamReport], append] = []
    output: str = ""


S = TypeVar("S", bound=Company, default=Company)
_OWN = Company.model_fields.keys() - {"task"}


def hierarchical(
    director: Runnable,
    teams: Mapping[str, Runnable],
    report: Runnable,
    *,
    concurrency: int = 8,
    state: type[S] = Company,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """A graph whose director gives assignments, whose teams work side by side, and whose last node reports.

    Args:
        director: Gives a list of `Assignment`. It reads `task` and `teams` (their names). An agent that names no team
            that is there, or assigns nothing, is asked again; a function or graph that does fails the run.
        teams: Who there is: agents, functions, or graphs, such as a supervisor with workers or another hierarchy. Each
            reads its assignment as `task`. A team that fails leaves the others, and is told to `report`.
        report: Reads `task` and `reports`, in the order of the teams, and gives the answer.
        concurrency: How many assignments one team works on at a time.
        state: `Company`, or a subclass with fields that the agents read besides.

    Raises:
        DefinitionError: There is no team, or one is called `direct` or `report`.

    Example:
        >>> plan = lambda teams: [Assignment(team=team, task="count") for team in teams]
        >>> graph = hierarchical(plan, {"law": lambda task: f"{task} 2"}, lambda reports: reports[0].text)
        >>> graph.run_sync({"task": "How many?"}).output
        'count 2'
    """
    if not teams or {"direct", "report"} & teams.keys():
        told = f"hierarchical(teams={sorted(teams)})"
        raise DefinitionError(told, repair="name one at least, and none of them direct or report")

    def known(assignments: list[Assignment]) -> None:
        strange = sorted({each.team for each in assignments} - teams.keys())
        if strange or not assignments:
            told = f"there is no team {', '.join(map(repr, strange))}" if strange else "nothing is assigned"
            raise ValueError(f"{told}; the teams are {', '.join(teams)}")

    def decided(result: object) -> list[Assignment]:
        assignments = TypeAdapter(list[Assignment]).validate_python(result)
        known(assignments)
        return assignments

    graph = Graph("hierarchical", state, result="output")
    asked = part(checked(director, known), state, _OWN, {"teams": lambda: list(teams)})
    graph.add_node("direct", asked, writes={"assignments": decided})
    for name, team in teams.items():
        doer = surviving(part(team, state, _OWN, {"task": "assignment.task"}))
        each = {"assignment": _assignments_of(name)}
        graph.add_node(name, doer, each=each, concurrency=concurrency, writes={"reports": _told})
        graph.add_edge(name, "report")
    graph.add_node("report", part(report, state, _OWN), writes="output")
    graph.add_edge(START, "direct")
    busy = [(name, value(_assignments_of(name)).length() > 0) for name in teams]
    graph.add_fork("direct", busy, join="report")
    graph.add_edge("report", END)
    return graph


def _assignments_of(team: str) -> Callable[..., list[Assignment]]:
    def theirs(assignments: list[Assignment]) -> list[Assignment]:
        return [each for each in assignments if each.team == team]

    return called(f"assignments of {team}", theirs)


def _told(result: object, assignment: Assignment) -> TeamReport:
    given = outcome(result)
    return TeamReport(team=assignment.team, task=assignment.task, text=given.text, failure=given.failure)
