"""Hierarchy: a director assigns tasks to teams, which can be graphs with their own agents, and a last node reports."""

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Runnable, value
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import called, check_names, checked, part, validating
from graphengine.reducers import append


class Assignment(BaseModel):
    """A task for a team, named by `team`."""

    team: str
    task: str


class TeamReport(Outcome):
    """The outcome of an assignment."""

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
    """Return a graph whose director assigns tasks, whose teams work in parallel, and whose last node reports.

    Args:
        director: Returns a list of `Assignment`. It reads `task` and `teams` (their names). An agent that names an
            unknown team, or assigns nothing, has to answer again; a function or graph that does so fails the run.
        teams: Agents, functions, or graphs, such as a supervisor with workers or another hierarchy. Each reads its
            assignment as `task`. A failing team does not stop the others; `report` reads its failure.
        report: Reads `task` and `reports`, in the order of the teams, and returns the answer.
        concurrency: How many assignments one team works on at a time.
        state: `Company`, or a subclass with more fields for the agents to read.

    Raises:
        DefinitionError: There is no team, or one is called `direct` or `report`.

    Example:
        >>> plan = lambda teams: [Assignment(team=team, task="count") for team in teams]
        >>> graph = hierarchical(plan, {"law": lambda task: f"{task} 2"}, lambda reports: reports[0].text)
        >>> graph.run_sync({"task": "How many?"}).output
        'count 2'
    """
    check_names("hierarchical(teams", teams, {"direct", "report"})

    def known(assignments: list[Assignment]) -> None:
        unknown = sorted({each.team for each in assignments} - teams.keys())
        if unknown or not assignments:
            message = f"there is no team {', '.join(map(repr, unknown))}" if unknown else "nothing is assigned"
            raise ValueError(f"{message}; the teams are {', '.join(teams)}")

    graph = Graph("hierarchical", state, result="output")
    asked = part(checked(director, known), state, _OWN, {"teams": lambda: list(teams)})
    graph.add_node("direct", asked, writes={"assignments": validating(list[Assignment], known)})
    for name, team in teams.items():
        doer = surviving(part(team, state, _OWN, {"task": "assignment.task"}))
        each = {"assignment": _assignments_of(name)}
        graph.add_node(name, doer, each=each, concurrency=concurrency, writes={"reports": _report})
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


def _report(result: object, assignment: Assignment) -> TeamReport:
    done = outcome(result)
    return TeamReport(team=assignment.team, task=assignment.task, text=done.text, failure=done.failure)
