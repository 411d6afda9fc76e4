import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, RunFailed, Runner, ScriptedModel, ask
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.snapshot import Snapshot
from graphengine.errors import InputError
from graphengine.records.now import load_now
from graphengine.serve import callers_runner
from graphengine.serve.callers import Caller, acting
from graphengine.serve.documents import Serving
from graphengine.serve.service import ag_ui_door, app, following, openai_door, turns
from graphengine.worker.worker import Worker
from tests.kit.runs import SOON
from tests.serve.exchanges import check_page, request
from tests.serve.service import flows
from tests.serve.service.client import SECRET, Service, service_of

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))
JSON = {"content-type": "application/json"}
WORDS = ("--webhook-secret-env", "HOOK", "--body-bytes", "2000", "--poll", "60")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service in a process of its own, which drives its runs, and looks for them by itself once a minute."""
    found = Service(tmp_path / "runs.db", *WORDS, HOOK=SECRET)
    assert set(found.opened) == {"schema", *Serving.__struct_fields__}
    yield found
    assert found.end() == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_requests_are_answered_as_a_page_shows(service: Service, page: Path, tmp_path: Path) -> None:
    """The answers have the schemas that the service describes, and no secret."""
    await check_page(page, service.send, tmp_path)


async def test_a_fault_of_a_stream_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Its client gets an event without the cause; the server has no log of its own."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "line_of", broken)
    async with Runner() as runner:
        run = runner.start(flows.vault, {"token": "hunter-2-hunter"})
        await run.result()
        served = service_of(runner, flows.vault)
        info = await runner.info(run.id)
        answer: Any = served.stream(served._documents(info, 0), run.id, app._encode_trouble)  # noqa: SLF001 - without a server
        last = [event async for event in answer.body_iterator][-1]
    assert b'"service_failed"' in last
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"the stream of run {run.id} failed"]


async def test_what_comes_together_is_sent_together() -> None:
    """A client that reads slowly is waited for, and gets what came before a fault."""
    taken = list[bytes]()

    async def events() -> AsyncGenerator[bytes, None]:
        for number in range(150):
            taken.append(b"%d " % number)
            yield taken[-1]
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async with Runner() as runner:
        served: Any = service_of(runner, flows.posts).stream(events(), "r", app._encode_trouble)  # noqa: SLF001
        pieces = list[bytes]()
        async for piece in served.body_iterator:
            await asyncio.sleep(0)
            assert len(taken) <= 64 * (len(pieces) + 2)
            pieces.append(piece)
    assert b"service_failed" in pieces.pop()
    assert (b"".join(pieces), len(pieces)) == (b"".join(taken), 3)


async def test_what_a_reader_got_is_the_readers_until_it_reads_on() -> None:
    """A run at rest that a door shows is kept for the next turn after that, which changes it."""
    kept: list[str] = []

    async def shown() -> AsyncGenerator[str, None]:
        yield "rest"
        kept.append("rest")

    async with Runner() as runner:
        async for _ in service_of(runner, flows.posts).until_stopped(shown()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not kept
    assert kept


async def test_a_stop_that_takes_longer_than_its_answer_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer has the run as it is by then."""
    monkeypatch.setattr("graphengine.serve.callers_runner._STOP_SECONDS", 0.0)
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(flows.posts, {"title": "Rain"}, run_id="r").result()
        served = service_of(runner, flows.posts).application()
        with acting(Caller("")):
            assert (await request(served, "POST", "/runs/r/stop", b"", {})).status == 202
        async with asyncio.timeout(SOON):
            _ = [event async for event in runner.watch("r")]
        assert (await runner.info("r")).status == "stopped"


def test_an_empty_id_of_an_event_is_refused(service: Service) -> None:
    """It is no id, as the description says, and not the beginning."""
    _, run = service.start("posts", {"title": "Tides"}, "?run_id=no-event")
    refused = service.call("GET", f"/runs/{run['run_id']}/events", Last_Event_ID=" ")  # sent as an empty one
    assert (refused[0], refused[1]["error"]["where"]) == (422, "header Last-Event-ID")


def test_the_description_is_valid(service: Service) -> None:
    """The description is valid OpenAPI 3.1; the inputs are those of the graphs, and secret fields are write-only."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - for this test alone, it takes long

    description = service.description
    OpenAPIV31SpecValidator(description).validate()
    path = description["paths"]["/graphs/vault/runs"]["post"]
    schema = {**path["requestBody"]["content"]["application/json"]["schema"], "components": description["components"]}
    jsonschema.validate({"token": "x"}, schema)
    for wrong in ({}, {"token": "x", "tokn": "y"}, {"token": 5}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema, cls=jsonschema.Draft202012Validator)
    assert description["components"]["schemas"]["input.Account"]["properties"]["token"]["writeOnly"] is True
    assert set(description["components"]["securitySchemes"]) == {"token", "webhook", "github"}


async def test_the_output_is_that_of_the_run_while_a_request_tries_to_start_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other request gets RunExists, and not this one."""

    class Count(BaseModel):
        n: int = 0

    graph = Graph("count", Count, result="n")
    graph.add_node("more", lambda n: n + 1, writes="n")
    graph.add_path(START, "more", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()

        async def load(*args: Any) -> Snapshot:
            runner.start(graph, run_id="r", queue="default")
            return await load_now(*args)

        monkeypatch.setattr(callers_runner, "load_now", load)
        served = service_of(runner, graph)
        with acting(Caller("")):
            answer = await served._now("r")  # noqa: SLF001 - what each endpoint of a run returns
        assert json.loads(bytes(answer.body))["output"] == 1


async def test_answers_of_one_request_reach_their_questions(  # noqa: PLR0915 - an order of many events
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes the first before the second is posted, and the item has not asked that question again yet.

    When the third is given, it has; but the third is for the question of this name of the other item.
    """

    class Items(BaseModel):
        items: list[str] = ["a", "b"]

    runs, runs_again, may_ask = Counter[str](), asyncio.Event(), asyncio.Event()

    async def ask_both(ctx: Context, item: str) -> str:
        runs[item] += 1
        if runs["a"] == 2 and item == "a":
            runs_again.set()
            await may_ask.wait()
        return "".join(await asyncio.gather(*(ctx.ask(name, str, name=name) for name in ("one", "two"))))

    graph = Graph("both", Items)
    graph.add_node("ask", ask_both, each={"item": "items"}, writes="items")
    graph.add_path(START, "ask", END)
    async with asyncio.timeout(20), Runner(tmp_path / "runs.db") as runner:
        worker = Worker(runner, graph, queues=["default"], poll_seconds=60)
        served, working = service_of(runner, graph, worker=worker), asyncio.create_task(worker.run())
        send = served.runner.answer

        async def waits(count: int) -> Sequence[str]:
            while (await runner.info("r")).status != "waiting" or len(await runner.waits("r")) > count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            return list(following.waits(await load_now(runner.store, "r")))

        async def answer(run_id: str, value: object, **options: Any) -> None:
            if value == "a2":
                await runs_again.wait()
            elif value == "b2":
                await waits(3)
            try:
                await send(run_id, value, **options)
            finally:
                if value == "a2":
                    may_ask.set()

        monkeypatch.setattr(served.runner, "answer", answer)
        with acting(Caller("")):
            await served.begin(graph, {}, "r")
            first, second, _, fourth = await waits(4)
            assert await following.answer(served, "r", {first: "a1", second: "a2", fourth: "b2"}) == {}
            (third,) = await waits(1)
            assert await following.answer(served, "r", {third: "b1"}) == {}
            while (await runner.info("r")).status != "finished":  # noqa: ASYNC110 - a worker does it
                await asyncio.sleep(0.001)
            state = await runner.state_at("r")
        worker.stop()
        await working
        assert state["items"] == ["a1a2", "b1b2"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/agui/assistant-chat"])
async def test_a_further_turn_of_a_conversation_loads_and_folds_nothing(tmp_path: Path, path: str) -> None:
    """The door keeps the run at rest that it has just shown, and its worker asks for schedules once a poll."""
    done: Counter[str] = Counter()

    class Counting(SQLiteStore):
        def __getattribute__(self, name: str) -> Any:
            done[name] += 1
            return super().__getattribute__(name)

    graph = Graph.chat(Agent("assistant", model=ScriptedModel(lambda _: "Yes.")))
    turns = [{"id": f"m{number}", "role": "user", "content": f"question {number}"} for number in range(4)]
    thread = {"model": "assistant-chat", "threadId": "ada", "runId": "r", "tools": [], "context": []}
    head = {"content-type": "application/json", "x-conversation-id": "ada"}
    async with Runner(Counting(tmp_path / "runs.db")) as runner:
        worker = Worker(runner, graph, queues=["default"], poll_seconds=60)
        served = service_of(runner, graph, worker=worker)
        opening: Any = SimpleNamespace(service=served, live_text=False)
        doors = [*await openai_door.routes(opening), *await ag_ui_door.routes(opening)]
        application, working = served.application(*doors), asyncio.create_task(worker.run())
        for number in range(1, 5):
            body = json.dumps({**thread, "messages": turns[:number]}).encode()
            with acting(Caller("")):
                answer = await request(application, "POST", path, body, head)
            assert (answer.status, "Yes." in answer.text) == (200, True)
            if number == 1:
                done.clear()
        worker.stop()
        await working
    expected = {"post": 3, "load": 0, "schedules": 0}
    assert {name: done[name] for name in expected} == expected


class Letter(BaseModel):
    topic: str = ""
    text: str = ""


class Deletes(BaseModel):
    first: str = ""
    second: str = ""
    third: str = ""


async def test_a_message_answers_no_question_that_was_asked_after_it_came() -> None:
    """Two messages "yes" come: the second finds another question than its sender has seen."""
    graph = Graph("deletes", Deletes)
    for file in ("first", "second", "third"):
        graph.add_node(file, ask(f"Delete the {file}?", str), writes=file)
        graph.add_edge(file, "second" if file == "first" else END)
    graph.add_fork(START, ["first", "third"], join=END)
    async with Runner() as runner:
        result = await runner.start(graph, Deletes(), run_id="deletes").result()
        seen = await runner.info("deletes")
        turns.check_seen(turns.Turn(result.seq, "deletes"), await load_now(runner.store, "deletes"), "yes", seen)
        await (await runner.answer("deletes", "yes", graph, wait="first")).result()
        rest, now = await load_now(runner.store, "deletes"), await runner.info("deletes")
        turn = turns.Turn(now.seq, "deletes")
        for before in (seen, None):
            with pytest.raises(InputError, match="'Delete the second\\?' was asked after this message came"):
                turns.check_seen(turn, rest, "yes", before)
        turns.check_seen(turn, rest, "yes", now)
        turns.check_seen(turn, rest, turns.Results({"second@1": "yes"}), seen)


async def test_a_branch_is_left_to_the_workers_of_the_queue_of_its_run(tmp_path: Path) -> None:
    """No node of it runs in a service that only records; so is a resume. Both have no driver then."""
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(flows.posts, {"title": "Rain"}, run_id="r", queue="night", priority=2).result()
        await runner.start(flows.port, {"file": "none"}, run_id="bad", queue="night").result()
        worker = Worker(runner, flows.posts, flows.port, queues=["night"], poll_seconds=0.01)
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(SOON):
            while {(await runner.info(name)).status for name in ("r", "bad")} != {"waiting", "failed"}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        worker.stop()
        await working
        served = service_of(runner, flows.posts, flows.port).application()
        with acting(Caller("")):
            branched = await request(served, "POST", "/runs/r/branches", b'{"at": 1, "child": "b"}', JSON)
            resumed = await request(served, "POST", "/runs/bad/resume", b"", JSON)
        assert (branched.status, resumed.status) == (201, 202)
        found = {name: await runner.info(name) for name in ("b", "bad")}
        assert {(each.queue, each.status, each.driver) for each in found.values()} == {("night", "interrupted", None)}
        assert found["b"].priority == 2
        assert [step.kind for step in await runner.history("b")][1:] == ["branched"]


async def test_a_branch_with_a_secret_is_sent_again(tmp_path: Path) -> None:
    """Its value is encrypted anew each time; it is compared as it is."""
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(flows.vault, {"token": "hunter-2-hunter"}, run_id="r").result()
        served = service_of(runner, flows.vault).application()
        statuses, body = list[int](), b""
        with acting(Caller("")):
            for token in ("hunter-2-again", "hunter-2-again", "hunter-2-other"):
                body = json.dumps({"at": 1, "update": {"token": token}}).encode()
                answer = await request(served, "POST", "/runs/r/branches", body, JSON | {"idempotency-key": "k"})
                assert "hunter-2" not in answer.text
                statuses.append(answer.status)
            shown = await request(served, "POST", "/runs/r/branches/preview", body, JSON)
        assert statuses == [201, 201, 409]
        assert (shown.status, "hunter-2" in shown.text) == (200, False)


async def test_a_branch_is_shown_before_it_begins_whoever_brings_the_model(tmp_path: Path) -> None:
    """The agent of the graph has no model of its own: the Runner that drives the branch has it."""
    graph = Graph("letter", Letter)
    graph.add_node("write", Agent("writer", prompt="Write about {topic}"), writes="text")
    graph.add_path(START, "write", END)
    async with Runner(tmp_path / "runs.db", models="placeholder") as runner:
        await runner.start(graph, {"topic": "tides"}, run_id="r").result()
        served = service_of(runner, graph).application()
        body = b'{"at": 1, "update": {"topic": "storms"}}'
        with acting(Caller("")):
            shown = await request(served, "POST", "/runs/r/branches/preview", body, JSON)
    assert (shown.status, shown.json["changes"]) == (200, [{"path": "topic", "before": "tides", "after": "storms"}])


async def test_two_resumes_at_once_are_one(tmp_path: Path) -> None:
    """Of those with one key: the second waits for the first, and finds that it was done."""
    async with Runner(tmp_path / "runs.db") as runner:
        with pytest.raises(RunFailed):
            await runner.start(flows.port, {"file": "none"}, run_id="bad").result()
        served = service_of(runner, flows.port).application()
        with acting(Caller("")):
            sent = [request(served, "POST", "/runs/bad/resume", b"", JSON | {"idempotency-key": "k"}) for _ in range(3)]
            assert [each.status for each in await asyncio.gather(*sent)] == [202] * 3
        assert [step.kind for step in await runner.history("bad")].count("resumed") == 1
