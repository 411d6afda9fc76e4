"""A secret passes through everything that can happen to a run, and is visible only to the nodes that receive it."""

import base64
import io
import json
import logging
import sys
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from graphengine import RunFailed, Runner
from graphengine.history.load import load_snapshot
from graphengine.runner.run_events import StepRecorded
from tests.cli import secret_graph
from tests.cli.programs import Invoke
from tests.cli.secret_graph import CANARY, KEY, made
from tests.kit.facts import said

FORMS = {
    form
    for text in (
        CANARY,
        CANARY.encode().decode("latin-1"),
        json.dumps(CANARY)[1:-1],
        json.dumps(CANARY, ensure_ascii=False)[1:-1],
        repr(CANARY)[1:-1],
    )
    for form in (text, text.upper())
} | {
    base64.b64encode(CANARY.encode()).decode()[:-4],
    base64.urlsafe_b64encode(CANARY.encode()).decode()[:-4],
    CANARY.encode().hex(),
    KEY,
    "s3cr3t",
}


def seen_in(content: bytes, *more: str) -> list[str]:
    """Return the forms of the secret, and of the key, that a text contains."""
    return [form for form in (*FORMS, *more) if form.encode() in content]


def files_of(folder: Path) -> dict[str, bytes]:
    """Yield every file below a folder, except the graph's own."""
    return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file() and each.name != "vault.py"}


async def test_nothing_shows_a_secret_while_a_run_is_driven(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Success, retry, fallback, mismatch, wait, answer, failure, resume and branch: files, events, logs and errors."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "runs.db"
    message = io.StringIO()
    graph = made()
    async with Runner(path) as runner:
        run = runner.start(graph, run_id="r")
        async for event in run.events():
            print(event, file=message)
            if isinstance(event, StepRecorded):
                print(event.step, file=message)
        result = await run.result()
        assert result.status == "waiting"
        assert result.state.token.get_secret_value() == CANARY
        assert result.state.word == CANARY
        print(result, repr(result.state), result.state.model_dump_json(), await runner.waits("r"), file=message)
        assert {name: seen_in(body) for name, body in files_of(tmp_path).items() if seen_in(body)} == {}
        assert {"runs.db", "runs.db-wal", "runs.db-shm"} <= {Path(name).name for name in files_of(tmp_path)}
        await runner.answer("r", value=True)
        with pytest.raises(RunFailed) as caught:
            await runner.resume("r", graph).result()
        print(caught.value, caught.value.result, repr(caught.value.result.error), file=message)
        steps = await runner.history("r")
        assert sum("**********" in repr(said(step).get("error")) for step in steps) >= 4
        branch = runner.branch("r", graph, 5, update={"token": CANARY + "x", "tries": -1}, run_id="b")
        print((await branch.result()).status, file=message)
        for run_id in ("r", "b"):
            print(await runner.history(run_id), await runner.state_at(run_id), file=message)
            print(await load_snapshot(runner.store, run_id, None), file=message)
        print([str(line) for line in await runner.admin.diff("r", "b")], file=message)
        with pytest.raises(Exception, match="does not fit") as refused:
            runner.start(graph, {"word": "bad" + CANARY, "token": [CANARY]})
        print(refused.value, repr(refused.value.__cause__), file=message)
        with pytest.raises(Exception, match="word") as refused:
            await runner.branch("r", graph, 5, update={"word": "bad" + CANARY}).result()
        print(refused.value, repr(refused.value.__cause__), file=message)
    assert {name: seen_in(body) for name, body in files_of(tmp_path).items() if seen_in(body)} == {}
    outputs = capsys.readouterr()
    shown = message.getvalue() + caplog.text + outputs.out + outputs.err
    assert len(shown) > 20_000
    assert seen_in(shown.encode()) == []


def test_no_command_shows_a_secret(project: Path, invoke: Invoke, caplog: pytest.LogCaptureFixture) -> None:
    """Run, show, --json, --debug, render, answer, branch, bad input: stdout, stderr and files."""
    caplog.set_level(logging.DEBUG)
    (project / "flows" / "vault.py").write_text(Path(secret_graph.__file__).read_text())
    shown = b""
    for words in (
        ("run", "vault", "--run-id", "r", "-o", "out.json"),
        ("run", "vault", "--run-id", "j", "--json"),
        ("runs",),
        ("runs", "--json"),
        ("show", "r"),
        ("show", "r", "--json"),
        ("show", "r", "--step", "3"),
        ("show", "r", "--step", "2", "--json"),
        ("answer", "r", "yes", "--debug"),
        ("resume", "r", "--debug"),
        ("resume", "j", "--json", "--debug"),
        ("show", "r"),
        ("branch", "r", "--at", "4", "--set", f"token={CANARY}", "--json", "--debug"),
        ("branch", "r", "--at", "4", "--set", f"word=bad{CANARY}", "--debug"),
        ("branch", "r", "--at", "4", "--set", f"login={CANARY}", "--debug"),
        ("run", "vault", "--input", f"word=bad{CANARY}", "--debug"),
        ("run", "vault", "--input", f"login={CANARY}", "--debug", "--json"),
        ("run", "vault", "--input", f"token:={CANARY}", "--debug"),
        ("run", "vault", "--input", f"keys=[{CANARY}", "--debug"),
        ("run", "vault", "--input", f"token={CANARY}", "--input", f"token={CANARY}"),
        ("check", "vault"),
        ("check", "vault", "--json"),
        ("render", "r", "-o", "drawn.dot"),
        ("render", "r", "-o", "drawn.mmd"),
        ("render", "r", "-o", "timeline.svg", "--timeline"),
        ("runs", "--tree"),
        ("render", "vault", "-o", "graph.dot"),
    ):
        found = invoke(*words)
        assert "unexpected" not in found.stderr, (words, found.stderr)
        assert "Usage: " not in found.stderr, (words, found.stderr)
        assert seen_in((found.stdout + found.stderr).encode()) == [], words
        shown += found.stdout.encode()
    assert b"$secret" in shown
    assert {name: seen_in(body) for name, body in files_of(project).items() if seen_in(body)} == {}
    assert seen_in(caplog.text.encode()) == []
    del sys.modules["flows.vault"]
