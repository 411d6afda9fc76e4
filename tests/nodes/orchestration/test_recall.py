from graphengine import Failure, PastRun
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Verdict
from nodes.orchestration.recall import MAX_CHARACTERS, MOST, remembered

LOST = Outcome(failure=Failure(path="x", kind="ValueError", message="no", attempt=1))


def past(run_id: str, task: str, **texts: str | None) -> PastRun:
    """Return an earlier run with one step for each role; None is a failed step."""
    state = {
        "task": task,
        "plan": [Step(id=role, role=role, input=f"do {role}").model_dump() for role in texts],
        "results": {r: (LOST if t is None else Outcome(text=t)).model_dump() for r, t in texts.items()},
        "verdicts": [Verdict(outcome="accept", score=8, reasons=["Fine."]).model_dump()],
        "sources": [{"path": "a.md", "text": "A."}],
    }
    return PastRun(run_id=run_id, created_at=1.0, state=state)


def test_each_role_remembers_its_own_work() -> None:
    """The orchestrator remembers its plan, with the verdict."""
    found = remembered("How tides come", [past("r1", "Tides and the moon", researcher="tides", writer="a text")])
    assert {role: [(one.run_id, one.step, one.outcome) for one in ones] for role, ones in found.items()} == {
        "orchestrator": [("r1", "plan: researcher: researcher; writer: writer", "accept: Fine.")],
        "researcher": [("r1", "do researcher", "tides")],
        "writer": [("r1", "do writer", "a text")],
    }


def test_what_failed_is_not_remembered_as_done() -> None:
    """The other work of that run is."""
    assert set(remembered("tides", [past("r1", "tides", coder=None, writer="x")])) == {"orchestrator", "writer"}


def test_runs_on_something_else_are_not_remembered() -> None:
    """They share too few words with the task; a task without own words remembers nothing."""
    runs = [past("r1", "Vineyards", writer="grapes ripen")]
    assert remembered("How tides come and go with the moon", runs) == {}
    assert remembered("?", runs) == {}


def test_the_most_relevant_come_first_and_of_equals_the_newest() -> None:
    """The most relevant runs come first, of equals the newest, and their number is limited."""
    runs = [past(f"r{number}", "moon", writer="x") for number in range(MOST)]
    found = remembered("moon and tides", [*runs, past("best", "tides of the moon", writer="x")])["writer"]
    assert [(one.run_id, one.relevance) for one in found] == [("best", 1.0), ("r0", 0.5), ("r1", 0.5)]


def test_long_work_is_cut() -> None:
    """Enough is left to recognise it."""
    (found,) = remembered("tides", [past("r1", "tides", writer="x" * 5000)])["writer"]
    assert len(found.outcome) == MAX_CHARACTERS
    assert found.outcome.endswith("…")


def test_runs_of_an_older_form_are_left_out() -> None:
    """Runs of an older form are left out, and the others are remembered."""
    odd = PastRun(run_id="old", created_at=0.0, state={"task": "tides", "plan": "of another form"})
    assert [one.run_id for one in remembered("tides", [odd, past("r1", "tides", writer="x")])["writer"]] == ["r1"]
