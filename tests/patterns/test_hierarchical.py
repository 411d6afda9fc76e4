import pytest

from graphengine import Agent, Node, Retry, RunFailed, Runnable
from graphengine.errors import DefinitionError
from graphengine.patterns import Assignment, Company, Route, hierarchical, supervisor
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

DIRECTOR = Agent("director", prompt="{task} {teams}", output=list[Assignment])
HEAD = clerk("head", "{reports}")
BOSS = Agent("boss", prompt="{reports}", output=Route)


class Firm(Company):
    client: str = "nobody"


def to(team: str, task: str = "work") -> Assignment:
    """Return an assignment."""
    return Assignment(team=team, task=task)


async def test_teams_work_on_what_they_are_assigned() -> None:
    """A team can have several assignments or none; reports are in the order of the teams."""
    graph = hierarchical(DIRECTOR, {"law": clerk("law"), "desk": clerk("desk"), "idle": clerk("idle")}, HEAD)
    plan = [to("desk", "write"), to("law", "read"), to("law", "judge")]
    script = {"director": [plan], "law": ["one", "two"], "desk": ["three"], "head": ["done"]}
    played = await play(graph, {"task": "sue"}, script)
    reports = [(report.team, report.task, report.text) for report in played.state.reports]
    assert reports == [("law", "read", "one"), ("law", "judge", "two"), ("desk", "write", "three")]
    assert played.output == "done"
    assert '"idle"' in played.requests[0].prompt


@pytest.mark.parametrize(
    ("plan", "message"),
    [([], "nothing is assigned"), ([to("Law")], "no team 'Law'"), ([to("law"), to("x")], "no team 'x'")],
)
async def test_an_assignment_to_an_unknown_team_goes_back_to_the_director(plan: list[Assignment], message: str) -> None:
    """The director gets the names of the teams."""
    script = {"director": [plan, [to("law")]], "law": ["one"], "head": ["done"]}
    played = await play(hierarchical(DIRECTOR, {"law": clerk("law")}, HEAD), {"task": "t"}, script)
    assert played.output == "done"
    assert message in played.requests[1].prompt
    assert "the teams are law" in played.requests[1].prompt


async def test_a_director_that_is_a_function_is_held_to_the_teams_too() -> None:
    """It cannot answer again, so the run fails."""
    graph = hierarchical(lambda task: [{"team": task, "task": "x"}], {"law": clerk("law")}, HEAD)
    with pytest.raises(RunFailed, match="no team 'elsewhere'"):
        await play(graph, {"task": "elsewhere"}, {})


async def test_a_team_that_fails_leaves_the_others() -> None:
    """It fails after its own retries, and the report reads the failure."""
    tried: list[int] = []

    def broken() -> str:
        tried.append(1)
        raise OSError("on strike")

    teams: dict[str, Runnable] = {
        "law": Node(broken, retry=Retry(attempts=2, initial_seconds=0)),
        "desk": clerk("desk"),
    }
    script = {"director": [[to("law"), to("desk")]], "desk": ["three"], "head": ["done"]}
    played = await play(hierarchical(DIRECTOR, teams, HEAD), {"task": "t"}, script)
    first, second = played.state.reports
    assert (first.failure is not None, second.text, len(tried)) == (True, "three", 2)
    assert "on strike" in played.requests[-1].prompt


async def test_teams_of_teams() -> None:
    """A hierarchy and a supervisor can be teams; the caller's fields reach every agent below."""
    lower = DIRECTOR.but(name="sub", prompt="{task} {assignments}")
    sub = hierarchical(lower, {"one": clerk("one", "{client} {task}")}, HEAD, state=Firm)
    led = supervisor(BOSS, {"two": clerk("two")}, clerk("end", "{reports}"))
    graph = hierarchical(DIRECTOR, {"sub": sub, "led": led}, HEAD, state=Firm)
    script = {
        "director": [[to("sub", "left"), to("led", "right")]],
        "sub": [[to("one", "lower")]],
        "one": ["1"],
        "boss": [Route(next="two"), Route(next="finish")],
        "two": ["2"],
        "end": ["led"],
        "head": ["sub", "done"],
    }
    played = await play(graph, {"task": "t", "client": "ann"}, script)
    assert [report.text for report in played.state.reports] == ["sub", "led"]
    prompts = {request.agent: request.prompt for request in played.requests}
    assert prompts["one"] == "<client>ann</client> <task>lower</task>"
    assert "right" not in prompts["sub"]


@pytest.mark.parametrize("teams", [{}, {"direct": HEAD}, {"report": HEAD}])
def test_teams_that_cannot_be_are_refused(teams: dict[str, Runnable]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="hierarchical"):
        hierarchical(DIRECTOR, teams, HEAD)
