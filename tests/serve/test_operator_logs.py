"""What operators of a service read: what runs do, and nothing that runs say, however much goes wrong."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from graphengine import Runner
from graphengine.cli.observing import JsonLines, OperatorLines
from graphengine.errors import InputError, RunText, StoreFull
from tests.kit.runs import SOON

MARK: Final = "ANNA-SECRET"
TOKEN: Final = "the-token-of-these-tests"  # noqa: S105 - of no real service
FLOW: Final = '''
from pydantic import BaseModel
from graphengine import END, START, Agent, Context, Graph, ScriptedModel, Retry, ask
from graphengine.models import Request, calls

class S(BaseModel):
    text: str = ""
    ok: bool = False

def graph(name, node, **options):
    made = Graph(name, S)
    made.add_node("node", node, writes="ok", title="about {text}", **options)
    made.add_path(START, "node", END)
    return made

def fail(text: str) -> bool:
    raise ValueError(f"cannot store {text}")

def chain(text: str) -> bool:
    try:
        fail(text)
    except ValueError as error:
        raise OSError(f"because of {text}") from error

async def question(ctx: Context, text: str) -> bool:
    return await ctx.ask(f"Is {text} well?", bool)

async def number(ctx: Context, text: str) -> bool:
    return bool(await ctx.receive("number", int))

async def effect(ctx: Context, text: str) -> bool:
    async def act() -> bool:
        raise ConnectionError(f"no answer about {text}")
    return await ctx.call(act, key="act", effect="once")

def tool(text: str) -> str:
    """Look something up."""
    raise LookupError(f"no {text}")

def model(request: Request) -> object:
    last = request.messages[-1]
    return f"answer about {last.text}" if last.role == "tool" else calls(("tool", {"text": last.text}))

asks = graph("asks", ask("Diagnosis of {text}: publish?", bool))
questions = graph("questions", question)
numbers = graph("numbers", number)
fails = graph("fails", fail)
chained = graph("chained", chain, retry=Retry(attempts=2, initial_seconds=0.01, on=Exception))
effects = graph("effects", effect)
calling = Graph.of(Agent("calling", prompt="{text}", model=ScriptedModel(model), tools=[tool]))
chatty = Graph.chat(Agent("chatty", model=ScriptedModel(model), tools=[tool]))
'''
GRAPHS: Final = ("asks", "questions", "numbers", "fails", "chained", "effects", "calling")
FORMATS: Final = [["--log-format", "json"], ["--log-format", "text"], ["--log-level", "debug"], []]
DONE: Final = {"finished", "stopped"}
ENDED: Final = ("run-asks", "run-questions")
OVER: Final = ("waiting", "failed", "finished", "stopped")


async def begin(runner: Runner, folder: Path, queue: str) -> None:
    """Queue a run of each graph, with the mark in all that it says."""
    graphs: dict[str, Any] = {}
    exec(compile(FLOW, str(folder / "app.py"), "exec"), graphs)  # noqa: S102 - the graphs of this test
    for name in GRAPHS:
        tags = [f"patient:{MARK}"]
        run = runner.start(graphs[name], {"text": MARK}, run_id=f"run-{name}", queue=queue, tags=tags)
        await run.begun()


async def rested(runner: Runner) -> None:
    """Wait until no run is at work."""
    async with asyncio.timeout(SOON):
        while any(each.status not in OVER for each in await runner.runs(limit=100)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def meddle(runner: Runner) -> None:
    """Send what nothing receives, answer, and stop a run for a reason; wait until that is done."""
    await runner.send("run-numbers", "other", MARK)
    await runner.answer("run-asks", value=True, reason=f"said {MARK}")
    await runner.stop("run-questions", f"{MARK} does not want it")
    async with asyncio.timeout(SOON):
        while {each.status for each in await runner.runs(limit=100) if each.id in ENDED} != DONE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def printing(folder: Path, *words: str) -> AsyncIterator[Callable[[], str]]:
    """Run a command with files as its output, and provide what it has printed."""
    (folder / "app.py").write_text(FLOW)
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "graphengine", *words),
            cwd=folder,
            env={**os.environ, "GRAPHENGINE_TOKEN": TOKEN},
            stdout=out,
            stderr=err,
        )
        try:
            yield lambda: (folder / "out").read_text() + (folder / "err").read_text()
        finally:
            process.terminate()
            await process.wait()


@pytest.mark.parametrize("words", FORMATS, ids=" ".join)
async def test_a_worker_prints_nothing_that_runs_say(words: list[str], tmp_path: Path) -> None:
    """It prints id, graph, node, status and code of each run, however it ends."""
    async with Runner(tmp_path / "m.db") as runner:
        await begin(runner, tmp_path, "q")
        given = ["worker", "--graph", "app.py", "--queue", "q", "--store", "m.db", *words]
        async with printing(tmp_path, *given) as printed:
            await rested(runner)
            await meddle(runner)
    text = printed()
    assert MARK not in text
    assert all(f"run-{name} of {name}" in text for name in GRAPHS)
    assert "failed   run-fails of fails at node: ValueError" in text
    assert "waiting  run-asks of asks at node: ask" in text


async def post(client: httpx.AsyncClient, path: str, body: Any, **headers: str) -> None:
    """Send a request, whatever its answer is."""
    await client.post(path, json=body, headers=headers)


DOORS: Final[list[tuple[str, Any, dict[str, str]]]] = [
    ("/v1/chat/completions", {"model": "chatty-chat", "messages": [{"role": "user", "content": MARK}]}, {}),
    ("/v1/chat/completions", {"model": MARK, "messages": [{"role": "user", "content": MARK}]}, {}),
    ("/v1/responses", {"model": "fails", "input": MARK, "stream": True}, {}),
    ("/v1/responses", {"model": "chained", "input": MARK}, {}),
    ("/agui/fails", {"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": [], "messages": MARK}, {}),
    (
        "/ai-sdk/fails",
        {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": MARK}]}]},
        {},
    ),
    (
        "/a2a/fails",
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {MARK: MARK}}},
        {"A2A-Version": "1.0"},
    ),
    (
        "/a2a/fails",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "SendMessage",
            "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": {"text": [MARK]}}]}},
        },
        {"A2A-Version": "1.0"},
    ),
    (
        "/mcp",
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "fails", "arguments": {"text": MARK}}},
        {},
    ),
    ("/graphs/fails/runs", {"text": [MARK], MARK: 1}, {}),
    ("/graphs/asks/runs", {"text": MARK}, {}),
]


@pytest.mark.parametrize("words", FORMATS, ids=" ".join)
async def test_a_service_prints_nothing_that_runs_say(words: list[str], tmp_path: Path) -> None:
    """Nor what requests say that it refuses, at any door."""
    pytest.importorskip("a2a")
    pytest.importorskip("ag_ui.core")
    pytest.importorskip("mcp")
    async with Runner(tmp_path / "m.db") as runner:
        doors = ("--openai", "--ag-ui", "--ai-sdk", "--a2a", "--mcp")
        async with printing(tmp_path, "serve", "app.py", "--port", "0", "--store", "m.db", *doors, *words) as printed:
            async with asyncio.timeout(SOON):
                while "http://" not in (tmp_path / "out").read_text():  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.02)
            url = (tmp_path / "out").read_text().split()[0]
            await begin(runner, tmp_path, "default")
            accepts = "application/json, text/event-stream"
            headers = {"Authorization": f"Bearer {TOKEN}", "Accept": accepts}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                for path, body, more in DOORS:
                    await post(client, path, body, **more)
                await client.get("/runs", params={"text": MARK})
            await rested(runner)
            await meddle(runner)
    text = printed()
    assert MARK not in text
    assert all(f"run-{name} of {name}" in text for name in GRAPHS)


async def test_a_body_that_is_too_deep_is_one_line(tmp_path: Path) -> None:
    """At the door whose SDK would log a traceback, and at none is it a failure of the service."""
    pytest.importorskip("a2a")
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    async with (
        Runner(tmp_path / "m.db"),
        printing(
            tmp_path, "serve", "app.py", "--port", "0", "--store", "m.db", "--a2a", "--openai", "--log-format", "text"
        ) as printed,
    ):
        async with asyncio.timeout(SOON):
            # The command prints its address first, and the options that add other protocols last.
            while "other protocols: " not in printed():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "A2A-Version": "1.0"}
        async with httpx.AsyncClient(base_url=printed().split()[0], headers=headers, timeout=60) as client:
            before = len((tmp_path / "err").read_text().splitlines())
            answers = [
                await client.post(path, content=deep) for path in ("/a2a/fails", "/v1/responses", "/graphs/fails/runs")
            ]
            lines = (tmp_path / "err").read_text().splitlines()[before:]
    assert [answer.status_code for answer in answers] == [200, 400, 400]
    assert "too deep" in answers[0].json()["error"]["message"]
    assert len(lines) == 1, lines
    assert "nested too deep" in lines[0]


def _raised(make: Callable[[], BaseException]) -> Any:
    try:
        try:
            raise KeyError(MARK)  # noqa: TRY301
        except KeyError as error:
            raise make() from error
    except BaseException as error:  # noqa: BLE001 - for the log
        return type(error), error, error.__traceback__


@pytest.mark.parametrize(
    ("logger", "args", "shown"),
    [
        ("graphengine.runner", (ValueError(MARK),), "ValueError"),
        ("graphengine.runner", (InputError(MARK, where=MARK, repair=MARK),), "InputError (invalid_input)"),
        ("graphengine.agents", (RunText(MARK),), "(see the run)"),
        ("graphengine", (StoreFull("the disk is full"),), "the disk is full"),
        ("graphengine.stores", (OSError("the disk is full"),), "the disk is full"),
        ("app", ("the program's own",), "the program's own"),
    ],
)
@pytest.mark.parametrize("lines", [JsonLines(), OperatorLines("%(name)s: %(message)s")], ids=["json", "text"])
def test_an_error_in_the_log_is_its_type_and_place(
    lines: logging.Formatter, logger: str, args: tuple[object, ...], shown: str
) -> None:
    """Other handlers get the record with all that it has."""
    given = _raised(lambda: RuntimeError(MARK if logger != "app" else "own"))
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, "it failed: %s", args, given)
    text = lines.format(record)
    assert shown in text
    assert "RuntimeError" in text
    assert Path(__file__).name in text
    assert (MARK in text) == (logger == "app")  # a KeyError of the program itself
    assert record.exc_info is given
    assert "\n" not in text or not isinstance(lines, JsonLines)
    if isinstance(lines, JsonLines):
        json.loads(text)


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_errors_that_are_each_other_s_cause_are_shown_once(link: str) -> None:
    """An error that a handler raises again after another one can lead back to itself."""
    kind, error, trace = _raised(lambda: RuntimeError(MARK))
    setattr(error.__cause__, link, error)
    record = logging.LogRecord("graphengine.runner", logging.ERROR, __file__, 1, "it failed", (), (kind, error, trace))
    text = OperatorLines("%(message)s").format(record)
    assert (text.count("which led to"), text.count("\nRuntimeError"), text.count("\nKeyError")) == (1, 1, 1)
