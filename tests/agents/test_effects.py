"""Tools whose effects must not be repeated: what began and did not return is found out, or a person says."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    Agent,
    EffectUnknown,
    Graph,
    NotDone,
    Once,
    Retry,
    Run,
    RunFailed,
    Runner,
    ScriptedModel,
    failed,
    tool,
)
from graphengine.graph.effect import Effect
from graphengine.models.scripted import calls
from tests.kit.facts import said
from tests.kit.runs import alone


class State(BaseModel):
    """The state of a desk."""

    order: str = "A7"
    answer: str = ""


class Ledger:
    """What was done outside the run, by idempotency key, and what to do instead."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int, str]] = []
        self.troubles: list[Callable[[], Any]] = []
        self.begun = asyncio.Event()

    async def refund(self, order: str, amount: int, idempotency_key: str) -> str:
        """Refund an order."""
        self.done.append((order, amount, idempotency_key))
        self.begun.set()
        if self.troubles:
            await self.troubles.pop(0)()
        return f"refunded {amount}"

    async def begins(self, run: Run[State]) -> None:
        """Return when a refund is in flight; fail if the run ends before."""
        ended, begun = asyncio.ensure_future(run.result()), asyncio.ensure_future(self.begun.wait())
        await asyncio.wait([ended, begun], return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            begun.cancel()
            raise AssertionError(ended.result())
        ended.cancel()

    def find(self, order: str, idempotency_key: str) -> str:
        """Return the refund of a key."""
        for known, amount, key in self.done:
            if (known, key) == (order, idempotency_key):
                return f"found {amount}"
        raise NotDone("no such refund")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database."""
    return tmp_path / "runs.db"


def desk(ledger: Ledger, effect: Effect | None = "once", *, retry: Retry | None = None, **options: Any) -> Graph[State]:
    """Return a graph of an agent that refunds once, and answers with what it was told."""
    model = ScriptedModel([calls(("refund", {"order": "A7", "amount": 5})), "done"])
    agent = Agent("desk", model=model, prompt="{order}", tools=[tool(ledger.refund, effect=effect, **options)])
    return alone(State, agent, "answer", name="desk", node="serve", result="answer", retry=retry)


async def hang() -> None:
    """Never return."""
    await asyncio.Event().wait()


async def cut_off(database: Path, graph: Graph[State], ledger: Ledger) -> str:
    """Run it until the refund is in flight, and close the Runner; return the id of the run."""
    ledger.troubles.append(hang)
    async with Runner(database) as runner:
        run = runner.start(graph, run_id="r")
        await ledger.begins(run)
    return run.id


async def test_a_tool_in_flight_is_not_repeated_and_a_person_is_asked(database: Path) -> None:
    """The beginning is recorded with arguments and key; the question shows them; the answer is the tool's result."""
    ledger = Ledger()
    graph = desk(ledger)
    await cut_off(database, graph, ledger)
    async with Runner(database) as runner:
        result = await runner.resume("r", graph).result()
        (wait,) = result.waits
        assert (result.status, wait.kind, wait.answerable) == ("waiting", "unknown", True)
        assert "nobody knows how it ended" in wait.question
        assert '{"order":"A7","amount":5}' in wait.question
        begun = next(step for step in await runner.history("r") if step.kind == "begun")
        assert said(begun)["arguments"] == {"order": "A7", "amount": 5}
        assert said(begun)["idempotency_key"] == ledger.done[0][2]
        await runner.answer("r", {"result": "refunded, says the bank"})
        assert (await runner.resume("r", graph).result()).output == "done"
        (told,) = [said(step) for step in await runner.history("r") if said(step).get("name") == "tool refund"]
        assert told["value"]["text"] == "refunded, says the bank"
    assert len(ledger.done) == 1


async def test_it_did_not_happen_says_a_person(database: Path) -> None:
    """Then it begins again, with the same key; cut off again, the person is asked again."""
    ledger = Ledger()
    graph = desk(ledger)
    await cut_off(database, graph, ledger)
    for times in (1, 2):
        async with Runner(database) as runner:
            assert (await runner.resume("r", graph).result()).status == "waiting"
            assert len(ledger.done) == times
            await runner.answer("r", "rerun")
            ledger.begun.clear()
            ledger.troubles += [hang] if times == 1 else []
            run = runner.resume("r", graph)
            await ledger.begins(run)
            if times == 2:
                assert (await run.result()).output == "done"
    assert len(ledger.done) == 3
    assert len({key for _, _, key in ledger.done}) == 1


async def test_a_person_fails_it(database: Path) -> None:
    """The run fails with `effect_unknown`; a resume asks again, and nothing runs."""
    ledger = Ledger()
    graph = desk(ledger)
    await cut_off(database, graph, ledger)
    async with Runner(database) as runner:
        await runner.resume("r", graph).result()
        await runner.answer("r", "fail")
        with pytest.raises(RunFailed) as error:
            await runner.resume("r", graph).result()
        assert error.value.result.error is not None
        assert error.value.result.error.kind == "effect_unknown"
        assert (await runner.resume("r", graph).result()).status == "waiting"
    assert len(ledger.done) == 1


@pytest.mark.parametrize(("happened", "told"), [(True, "found 5"), (False, "refunded 5")])
async def test_reconcile_finds_out(database: Path, *, happened: bool, told: str) -> None:
    """It returns the result, or raises NotDone, and then the effect begins; nobody is asked."""
    ledger = Ledger()
    graph = desk(ledger, Once(reconcile=ledger.find))
    await cut_off(database, graph, ledger)
    if not happened:
        ledger.done.clear()
    async with Runner(database) as runner:
        assert (await runner.resume("r", graph).result()).output == "done"
        values = [said(step)["value"] for step in await runner.history("r") if said(step).get("name") == "tool refund"]
    assert [value["text"] for value in values] == [told]
    assert len(ledger.done) == 1


async def test_what_reconcile_cannot_tell_is_asked_or_fails(database: Path) -> None:
    """It raises EffectUnknown; with unknown="fail" a failure edge can take it."""

    def cannot_tell(idempotency_key: str) -> str:
        raise EffectUnknown(f"the bank is closed, {idempotency_key[:2]}")

    ledger = Ledger()
    graph = desk(ledger, Once(reconcile=cannot_tell, unknown="fail"))
    graph.add_node("other", lambda: "by hand", writes="answer")
    graph.add_edge("serve", "other", when=failed(EffectUnknown))
    graph.add_edge("other", END)
    await cut_off(database, graph, ledger)
    async with Runner(database) as runner:
        assert (await runner.resume("r", graph).result()).output == "by hand"
        error = next(said(step)["error"] for step in await runner.history("r") if step.kind == "failed")
    assert "the bank is closed, r/" in error["message"]
    assert len(ledger.done) == 1


@pytest.mark.parametrize("options", [{}, {"on_error": "raise"}, {"timeout_seconds": 0.01}])
async def test_an_exception_or_a_timeout_says_nothing_of_the_end(options: dict[str, Any]) -> None:
    """The model is not told of an error that it could answer with a second call; it is found out at once."""

    async def broken() -> None:
        raise ConnectionError("the line broke")

    ledger = Ledger()
    ledger.troubles.append(hang if "timeout_seconds" in options else broken)
    async with Runner() as runner:
        asked = await runner.start(desk(ledger, **options), run_id="r").result()
        (wait,) = asked.waits
        assert ("the line broke" in wait.question) is ("timeout_seconds" not in options)
        assert wait.kind == "unknown"
        ledger.troubles.append(broken)
        found = await runner.start(desk(ledger, Once(reconcile=ledger.find), **options)).result()
    assert found.output == "done"
    assert len(ledger.done) == 2


async def test_not_done_is_an_end(caplog: pytest.LogCaptureFixture) -> None:
    """A tool that says so did nothing: the model is told, and may call it again."""

    async def refused() -> None:
        raise NotDone("the till is empty")

    ledger = Ledger()
    ledger.troubles.append(refused)
    async with Runner() as runner:
        result = await runner.start(desk(ledger), run_id="r").result()
        (value,) = [
            said(step)["value"] for step in await runner.history("r") if said(step).get("name") == "tool refund"
        ]
    assert (result.output, value["error"], value["text"]) == ("done", True, "NotDone: the till is empty")


async def test_a_retry_that_begins_afresh_does_not_repeat_it() -> None:
    """The conversation is held again; the effect has its record."""
    failures = [OSError("once")]

    def check(answer: str) -> None:
        if failures:
            raise failures.pop()

    ledger = Ledger()
    script = [calls(("refund", {"order": "A7", "amount": 5})), "done"]
    model = ScriptedModel([*script, *script])
    agent = Agent("desk", model=model, prompt="{order}", tools=[tool(ledger.refund, effect="once")], check=check)
    retry = Retry(attempts=2, initial_seconds=0, on=(OSError,), afresh=True)
    graph = alone(State, agent, "answer", name="desk", node="serve", result="answer", retry=retry)
    async with Runner() as runner:
        assert (await runner.start(graph).result()).output == "done"
    assert len(ledger.done) == 1


async def test_an_idempotent_tool_is_repeated_with_its_key(database: Path) -> None:
    """There is no record of its beginning."""
    ledger = Ledger()
    graph = desk(ledger, "idempotent")
    await cut_off(database, graph, ledger)
    async with Runner(database) as runner:
        assert (await runner.resume("r", graph).result()).output == "done"
        assert "begun" not in [step.kind for step in await runner.history("r")]
    assert len(ledger.done) == 2
    assert len({key for _, _, key in ledger.done}) == 1


async def test_outside_a_run_an_unknown_end_is_raised() -> None:
    """Nothing is recorded there, and nobody can be asked."""

    async def broken() -> None:
        raise ConnectionError("the line broke")

    ledger = Ledger()
    ledger.troubles.append(broken)
    model = ScriptedModel([calls(("refund", {"order": "A7", "amount": 5}))])
    agent = Agent("desk", model=model, prompt="{order}", tools=[tool(ledger.refund, effect="once")])
    with pytest.raises(EffectUnknown, match="the line broke"):
        await agent.run(order="A7")


async def test_an_approved_effect_is_approved_once(database: Path) -> None:
    """The yes is for its arguments; after a cut it is not asked for again, but how the call ended."""
    ledger = Ledger()
    graph = desk(ledger, approve=True)
    ledger.troubles.append(hang)
    async with Runner(database) as runner:
        (asked,) = (await runner.start(graph, run_id="r").result()).waits
        assert (asked.kind, ledger.done) == ("ask", [])
        await runner.answer("r", "yes")
        await ledger.begins(runner.resume("r", graph))
    async with Runner(database) as runner:
        (wait,) = (await runner.resume("r", graph).result()).waits
        assert wait.kind == "unknown"
    assert len(ledger.done) == 1
