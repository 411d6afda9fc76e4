import asyncio

import pytest

from graphengine import Agent, RunFailed, Runnable
from graphengine.errors import DefinitionError
from graphengine.patterns import Job, Step, orchestrator_workers
from graphengine.patterns.orchestrators import problems_of
from tests.patterns.kits import around, clerk
from tests.patterns.scripted import play

PLANNER = Agent("planner", prompt="{task} {workers}", output=list[Step])
END = clerk("end", "{plan} {results}")


def step(id_: str, *needs: str, role: str = "do") -> Step:
    """Return a step whose input is its id."""
    return Step(id=id_, role=role, input=id_, needs=list(needs))


DIAMOND = [step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")]


class Toned(Job):
    tone: str = "plain"


def fragile(task: str, needed: dict[str, str]) -> str:
    """Fail on one step, and otherwise return the input."""
    if task == "bad":
        raise ValueError("cannot do bad")
    return f"{task}({','.join(needed.values())})"


async def test_a_step_reads_the_results_it_needs_and_no_others() -> None:
    """Each step runs as soon as its needs are done."""
    played = await play(
        orchestrator_workers(PLANNER, {"do": fragile}, END), {"task": "t"}, {"planner": [DIAMOND], "end": ["done"]}
    )
    texts = {name: outcome.text for name, outcome in played.state.results.items()}
    assert texts == {"a": "a()", "b": "b(a())", "c": "c(a())", "d": "d(b(a()),c(a()))"}
    assert played.output == "done"
    assert '"do"' in played.requests[0].prompt


async def test_ready_steps_run_in_parallel() -> None:
    """Ready steps of one role and of several run in parallel: each waits here for all others."""
    met = asyncio.Barrier(3)

    async def meet(task: str) -> str:
        await met.wait()
        return task

    plan = [step("a", role="one"), step("b", role="one"), step("c", role="two")]
    graph = orchestrator_workers(PLANNER, {"one": meet, "two": meet}, END)
    async with asyncio.timeout(10):
        await play(graph, {"task": "t"}, {"planner": [plan], "end": ["done"]})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([], "the plan has no steps"),
        ([step("a", role="Do")], "a: there is no worker 'Do', only do, write"),
        ([step("a", "z")], "a: needs 'z', which is not a step"),
        ([step("a", "b"), step("b")], "a: needs 'b', which does not come before it"),
        ([step("a", "a")], "circular needs: a → a"),
        ([step("a", "b"), step("b", "a")], "circular needs: "),
        ([step("a"), step("a")], "'a' is the id of several steps"),
        ([step(str(number)) for number in range(6)], "the plan has 6 steps, more than 5"),
    ],
)
async def test_a_plan_that_makes_no_sense_goes_back_to_the_planner(plan: list[Step], message: str) -> None:
    """The planner gets the problems; no worker runs."""
    graph = orchestrator_workers(PLANNER, {"do": fragile, "write": fragile}, END, most_steps=5)
    played = await play(graph, {"task": "t"}, {"planner": [plan, [step("ok")]], "end": ["done"]})
    assert list(played.state.results) == ["ok"]
    assert message in played.requests[1].prompt


def test_all_that_is_wrong_with_a_plan_is_reported_at_once() -> None:
    """A planner that fixes the plan needs one more answer, not several."""
    plan = [step("a", "b"), step("a", role="x"), step("c", "z")]
    assert len(problems_of(plan, ["do"], 2)) == 5


async def test_a_planner_that_is_a_function_is_held_to_it_too() -> None:
    """It cannot answer again, so the run fails."""
    graph = orchestrator_workers(lambda task: [step("a", role=task)], {"do": fragile}, END)
    with pytest.raises(RunFailed, match="no worker 'elsewhere'"):
        await play(graph, {"task": "elsewhere"}, {})


async def test_a_step_that_fails_leaves_the_others_and_is_reported() -> None:
    """Steps that need it are skipped, directly or not; the others are done."""
    plan = [step("bad"), step("a"), step("b", "bad"), step("c", "b", "a"), step("d", "a")]
    graph = orchestrator_workers(PLANNER, {"do": fragile}, END)
    played = await play(graph, {"task": "t"}, {"planner": [plan], "end": ["done"]})
    results = played.state.results
    assert {name for name, outcome in results.items() if outcome.failure is None} == {"a", "d"}
    kinds = {name: results[name].failure.kind for name in ("bad", "b", "c")}  # type: ignore[union-attr]
    assert kinds == {"bad": "ValueError", "b": "skipped", "c": "skipped"}
    assert "cannot do bad" in played.requests[-1].prompt
    assert "it needs bad, which failed" in played.requests[-1].prompt


async def test_if_every_step_failed_nothing_is_synthesised() -> None:
    """The run fails with that label."""
    plan = [step("bad"), step("b", "bad")]
    with pytest.raises(RunFailed, match="every step failed"):
        await play(orchestrator_workers(PLANNER, {"do": fragile}, END), {"task": "t"}, {"planner": [plan]})


async def test_a_job_is_a_worker_of_a_job() -> None:
    """The inner job gets its step and the caller's fields, and nothing of the plan around it."""
    lower = PLANNER.but(name="sub", prompt="{task} {results}")
    inner = orchestrator_workers(lower, {"do": clerk("do", "{tone} {task}")}, END, state=Toned)
    graph = orchestrator_workers(PLANNER, {"do": inner}, END, state=Toned)
    script = {
        "planner": [[step("a"), step("b", "a")]],
        "sub": [[step("x")], [step("x")]],
        "do": ["1", "2"],
        "end": ["one", "two", "done"],
    }
    played = await play(graph, {"task": "t", "tone": "dry"}, script)
    assert {name: outcome.text for name, outcome in played.state.results.items()} == {"a": "one", "b": "two"}
    prompts = played.asked("do")
    assert prompts == ["<tone>dry</tone> <task>x</task>"] * 2
    assert not any("one" in request.prompt for request in played.requests if request.agent == "sub")
    outer = await play(around(graph), {"question": "t"}, script)
    assert outer.output == "done"


@pytest.mark.parametrize("workers", [{}, {"schedule": END}])
def test_workers_that_cannot_be_are_refused(workers: dict[str, Runnable]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="orchestrator_workers"):
        orchestrator_workers(PLANNER, workers, END)
