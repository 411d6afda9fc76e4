import pytest

from graphengine import Agent, Node, Retry, RunFailed, Runnable, Runner, ScriptedModel
from graphengine.errors import DefinitionError
from graphengine.patterns import Report, Route, Supervised, supervisor
from graphengine.patterns.pipelines import pipeline
from tests.kit.facts import said
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

BOSS = Agent("boss", prompt="{task} {workers} {reports}", output=Route)
END = clerk("end", "{reports}")
FIND = Route(next="find", instruction="look for tides")
DONE = Route(next="finish")


class Toned(Supervised):
    tone: str = "plain"


async def test_the_boss_sends_workers_until_it_has_enough() -> None:
    """Each worker reads its instruction as the task; the boss and the finish read all reports."""
    graph = supervisor(BOSS, {"find": clerk("find"), "write": clerk("write", "{task} {reports[-1].text}")}, END)
    script = {"boss": [FIND, Route(next="write"), DONE], "find": ["facts"], "write": ["a draft"], "end": ["done"]}
    played = await play(graph, {"task": "an article"}, script)
    assert (played.output, [report.worker for report in played.state.reports]) == ("done", ["find", "write"])
    prompts = {request.agent: request.prompt for request in played.requests}
    assert prompts["find"] == "<task>look for tides</task>"
    assert prompts["write"] == "<task>an article</task> <reports_last_text>facts</reports_last_text>"
    assert '"find"' in played.requests[0].prompt


@pytest.mark.parametrize("wrong", ["Find", "find.", "finder", "finish!", ""])
async def test_a_route_is_a_declared_name_and_nothing_near_it(wrong: str) -> None:
    """Any other name goes back to the boss with the names of the workers."""
    graph = supervisor(BOSS, {"find": clerk("find")}, END)
    script = {"boss": [Route(next=wrong), FIND, DONE], "find": ["facts"], "end": ["done"]}
    played = await play(graph, {"task": "t"}, script)
    assert played.output == "done"
    assert f"next is {wrong!r}, but must be one of find, or finish" in played.requests[1].prompt


async def test_a_boss_that_is_a_function_is_held_to_the_names_too() -> None:
    """It cannot answer again, so the run fails."""
    graph = supervisor(lambda task: Route(next=task), {"find": clerk("find")}, END)
    with pytest.raises(RunFailed, match="'elsewhere', but must be one of find, or finish"):
        await play(graph, {"task": "elsewhere"}, {})


async def test_the_supervisors_own_check_applies_too() -> None:
    """Its own check reads the state as usual."""

    def instructed(route: Route, task: str) -> None:
        if not route.instruction:
            raise ValueError(f"say what to do for {task}")

    graph = supervisor(BOSS.but(check=instructed), {"find": clerk("find")}, END)
    finish = Route(next="finish", instruction="stop")
    script = {"boss": [Route(next="x"), Route(next="find"), FIND, finish], "find": ["facts"], "end": ["done"]}
    played = await play(graph, {"task": "tides"}, script)
    assert "next is 'x'" in played.requests[1].prompt
    assert "say what to do for tides" in played.requests[2].prompt


async def test_a_worker_that_fails_is_reported_to_the_boss() -> None:
    """It fails after its own retries; the other reports are kept."""
    tried: list[int] = []

    def broken() -> str:
        tried.append(1)
        raise OSError("no network")

    workers: dict[str, Runnable] = {
        "find": clerk("find"),
        "fetch": Node(broken, retry=Retry(attempts=2, initial_seconds=0)),
    }
    graph = supervisor(BOSS, workers, END)
    script = {"boss": [FIND, Route(next="fetch"), DONE], "find": ["facts"], "end": ["done"]}
    played = await play(graph, {"task": "t"}, script)
    first, second = played.state.reports
    assert (first.text, first.failure, len(tried)) == ("facts", None, 2)
    assert second.failure is not None
    assert "no network" in second.failure.message
    assert "no network" in played.requests[-2].prompt


@pytest.mark.parametrize(("turns", "label_"), [(1, "out of turns"), (3, "out of turns")])
async def test_a_boss_that_never_ends_is_ended(turns: int, label_: str) -> None:
    """After that many turns `finish` gets the reports so far; a run costs at most 2 · turns calls."""
    script = {"boss": [FIND] * turns, "find": ["facts"] * (turns - 1), "end": ["done"]}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        going = runner.start(supervisor(BOSS, {"find": clerk("find")}, END, turns=turns), {"task": "t"})
        result = await going.result()
        edges = [said(step).get("edge") for step in await runner.history(going.id)]
    assert result.usage.calls == 2 * turns
    assert label_ in edges


async def test_fields_of_the_caller_reach_agents_and_graphs() -> None:
    """A graph gets those and its instruction, and nothing of the supervisor's bookkeeping."""
    inner = supervisor(BOSS.but(name="sub"), {"look": clerk("look", "{tone} {task}")}, END, state=Toned)
    graph = supervisor(BOSS, {"find": inner}, inner, state=Toned)
    script = {
        "boss": [FIND, FIND, DONE],
        "sub": [Route(next="look"), DONE, DONE, DONE],
        "look": ["seen"],
        "end": ["one", "two", "three"],
    }
    played = await play(graph, {"task": "t", "tone": "dry"}, script)
    assert [report.text for report in played.state.reports] == ["one", "two"]
    assert played.output == "three"
    prompts = played.asked("look")
    assert prompts == ["<tone>dry</tone> <task>look for tides</task>"]
    begins = played.asked("sub")
    assert ['"worker"' in prompt for prompt in begins] == [False, True, False, False]


async def test_results_that_are_not_text_are_reported_as_json() -> None:
    """The boss can read any result of a worker."""
    graph = supervisor(BOSS, {"find": lambda: {"score": 7}, "line": pipeline({"a": clerk("a")})}, END)
    script = {"boss": [FIND, Route(next="line"), DONE], "a": ["text"], "end": ["done"]}
    played = await play(graph, {"task": "t"}, script)
    assert [report.text for report in played.state.reports] == ['{\n  "score": 7\n}', "text"]
    assert isinstance(played.state.reports[0], Report)
    assert played.label == ""


async def test_a_workers_own_options_come_first() -> None:
    """A worker's own inputs and fallback take precedence."""

    def broken() -> str:
        raise OSError("no network")

    workers: dict[str, Runnable] = {
        "find": Node(clerk("find"), inputs={"task": "task"}),
        "fetch": Node(broken, fallback="nothing"),
    }
    script = {"boss": [FIND, Route(next="fetch"), DONE], "find": ["facts"], "end": ["done"]}
    played = await play(supervisor(BOSS, workers, END), {"task": "all of it"}, script)
    assert played.requests[1].prompt == "<task>all of it</task>"
    assert [(report.text, report.failure) for report in played.state.reports] == [("facts", None), ("nothing", None)]


@pytest.mark.parametrize("workers", [{}, {"boss": END}, {"finish": END}])
def test_teams_that_cannot_be_are_refused(workers: dict[str, Runnable]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="supervisor"):
        supervisor(BOSS, workers, END)
