"""Handles on any run: driven here, by another process, waiting, or over."""

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import Agent, Runner, ScriptedModel
from graphengine.agents import TextDelta
from graphengine.history.load import load_snapshot
from graphengine.history.usage import Usage
from graphengine.records import event_document
from graphengine.records.base_documents import plain
from graphengine.records.json_document import ended_document
from graphengine.runner import Emitted, LiveEvent, NodeBegan, RunEnded, StatusChanged
from graphengine.runner.run_events import Event
from tests.kit.documents import check_document
from tests.kit.runs import alone, over
from tests.runner.gates import asking, one

KEY = "a-key-for-tests-0123456789-abcdefghijklmnop"


async def test_the_documents_of_events_match_the_schema_of_watch(runner: Runner) -> None:
    """Every kind of event is JSON, with the keys that `graphengine schema watch` lists."""
    await runner.start(asking(), run_id="r").result()
    info = await runner.info("r")
    ended = [event async for event in runner.watch("r", wait_out=False)]
    live: list[Event] = [
        NodeBegan("a", "a", 1, 1, 5.0, 1),
        Emitted("a", {"odd": object(), "inf": float("inf")}),
        TextDelta("a", "writer", "Once"),
        StatusChanged("waiting", None, ended[-1].result.waits if isinstance(ended[-1], RunEnded) else ()),
    ]
    documents = [event_document(event, info) for event in [*ended, *live]]
    for document in documents:
        check_document("watch", json.loads(json.dumps(document, allow_nan=False)))
    assert {str(document["event"]) for document in documents} == {"step", "ended", "began", "emitted", "text", "stands"}


async def test_the_last_document_is_that_of_the_command_line(runner: Runner) -> None:
    """The last document is the command line's, however the run ended, with and without its graph, also with zeros."""

    def fails(n: int) -> int:
        raise ValueError

    told = Agent("told", prompt="?", model=ScriptedModel(["Once"]))
    for name, graph in {"finished": one("tells", told, "text"), "waiting": asking(), "failed": one("f", fails)}.items():
        await over(runner.start(graph, run_id=name))
        info = await runner.info(name)
        expected = plain(ended_document(info, await load_snapshot(runner.store, name, None)))
        for known in (graph, None):
            *_, last = [event_document(event, info) async for event in runner.watch(name, known, wait_out=False)]
            assert last["status"] == name
            assert last == expected


async def test_a_live_event_of_an_extension_needs_no_types_at_run_time(runner: Runner) -> None:
    """Its annotations may be names that are imported for type checkers only."""
    await runner.start(asking(), run_id="r").result()

    @dataclass(frozen=True)
    class Heard(LiveEvent):
        event: ClassVar[str] = "heard"
        words: "Words"  # type: ignore[name-defined]  # noqa: F821

    found = event_document(Heard(["a"]), await runner.info("r"))
    assert (found["event"], found["words"]) == ("heard", ["a"])


async def test_the_last_document_has_an_unknown_cost(runner: Runner) -> None:
    """It is null, and the part with a known price stays."""
    result = await runner.start(one("adds", lambda n: n + 1), run_id="r").result()
    ended = RunEnded(replace(result, usage=Usage(calls=2, cost_usd=None)))
    usage: Any = event_document(ended, await runner.info("r"))["usage"]
    assert (usage["calls"], usage["cost_usd"], usage["priced_usd"]) == (2, None, 0.0)


async def test_the_document_of_a_result_has_the_state_as_json(runner: Runner) -> None:
    """The result's document has the state, also lists just written, which the driving process keeps encoded."""
    graph = one("lists", lambda n: ["a", "b"], "heard")
    run = runner.start(graph, run_id="r")
    events = [event async for event in run.events()]
    documents = [event_document(event, await runner.info("r")) for event in events]
    assert json.loads(json.dumps(documents[-1]["state"])) == {"n": 0, "text": "", "heard": ["a", "b"]}
    assert (await runner.get("r", graph).result()).values == documents[-1]["state"]


async def test_the_document_of_a_result_has_no_secret_in_clear_text() -> None:
    """Its state is the recorded one, in which secret fields are encrypted."""
    pytest.importorskip("cryptography")

    class Vault(BaseModel):
        token: SecretStr = SecretStr("hunter2-very-secret")
        n: int = 0

    graph = alone(Vault, lambda n: n + 1, "n", name="vault", node="a", secret_key=KEY)
    async with Runner() as runner:
        run = runner.start(graph, run_id="r")
        *_, last = [event async for event in run.events()]
        assert isinstance(last, RunEnded)
        assert last.result.state.token.get_secret_value() == "hunter2-very-secret"
        assert "hunter2" not in json.dumps(event_document(last, await runner.info("r")))
