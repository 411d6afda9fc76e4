"""The command line: `--otel` with the standard variables, and the log as JSON."""

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine import END, START, Graph, Retry, Runner
from graphengine.cli.main import main
from graphengine.runner import RunFailed
from tests.kit import forks
from tests.telemetry.test_relay import EXPORTER, receiving
from tests.telemetry.test_spans import KEY, Desk

GRAPH = """
import logging
from pydantic import BaseModel
from graphengine import END, START, Graph

class Text(BaseModel):
    text: str = "tides"

def note(text: str) -> str:
    logging.getLogger("flows.words").info("counting", extra={"words": 1})
    return text

words = Graph("words", Text)
words.add_node("note", note, writes="text")
words.add_path(START, "note", END)
"""


def test_a_command_exports_traces_and_logs_json(tmp_path: Path) -> None:
    """Every line of stderr is a JSON object; those of a node have its run and the trace that the receiver gets."""
    (tmp_path / "words.py").write_text(GRAPH, encoding="utf-8")
    with receiving() as (address, got):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        words = ["run", "words.py", "--run-id", "r1", "--store", "runs.db", "--otel", "--log-format", "json", "--json"]
        ran = forks.run("graphengine", *words, folder=tmp_path, variables=variables, loads=EXPORTER)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    ours = {line["logger"]: line for line in lines}
    assert (ours["flows.words"]["run"], ours["flows.words"]["node"], ours["flows.words"]["words"]) == ("r1", "note", 1)
    assert (ours["graphengine.runs"]["run"], ours["graphengine.runs"]["status"]) == ("r1", "finished")
    names = {span.name for _, span in got}
    assert {"note", "invoke_workflow words"} <= names
    assert {line["trace_id"] for line in lines if "trace_id" in line} == {span.trace_id.hex() for _, span in got}
    assert {process for process, _ in got} == {"graphengine"}


async def test_runs_and_failed_attempts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Runs and failed attempts are logged with fields for collectors, and without what the error says."""

    def broken() -> str:
        message = "the prompt was: tides"
        raise ValueError(message)

    graph = Graph("g", Desk, secret_key=KEY)
    graph.add_node("a", broken, writes="text", retry=Retry(attempts=2, initial_seconds=0.001))
    graph.add_path(START, "a", END)
    with caplog.at_level(logging.INFO, "graphengine.runs"):
        async with Runner() as runner:
            with pytest.raises(RunFailed):
                await runner.start(graph, run_id="r1").result()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "run r1 of graph g is driven here"),
        ("WARNING", "node a of run r1 failed in attempt 1: ValueError; it is repeated"),
        ("WARNING", "node a of run r1 failed in attempt 2: ValueError; it is not repeated"),
        ("WARNING", "run r1 is failed after step 3"),
    ]
    assert {"run": "r1", "node": "a", "attempt": 2, "code": "ValueError"}.items() <= vars(caplog.records[2]).items()
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("graphengine.runs").handlers)


def test_all_that_a_worker_says_is_json(tmp_path: Path) -> None:
    """What it says before its work, at a signal and about its failure, and a mistake in its options."""
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["."]\n')
    (tmp_path / "words.py").write_text(GRAPH + 'cut = Graph("cut", Text)\ncut.add_edge(START, "nowhere")\n')
    words = ["worker", "--log-format", "json", "--store", "runs.db"]
    worker = forks.start("graphengine", *words, folder=tmp_path)
    first = [worker.stderr.readline(), worker.stderr.readline()]
    worker.terminate()
    _, rest = worker.communicate()
    left_out, begun, asked, ended = (json.loads(line)["message"] for line in [*first, *rest.splitlines()])
    assert left_out.startswith("warning the graph 'cut' of words.py is left out: ")
    assert "nowhere" in left_out
    assert begun.startswith("worker for 1 graph (words) in ")
    assert asked.startswith("SIGTERM: releasing the runs")
    assert ended.startswith("worker stopped")
    for mistake, code in ((["--graph", "none.py"], "graph_not_found"), (["--pol", "1"], "usage")):
        done = CliRunner().invoke(main, ["worker", "--log-format", "json", *mistake])
        assert (done.exit_code, done.stdout) == (2, "")
        line = json.loads(done.stderr)
        assert (line["level"], line["code"], bool(line["repair"])) == ("error", code, True)


def test_a_missing_exporter_is_named(tmp_path: Path) -> None:
    """A missing exporter is named with the command that installs it."""
    (tmp_path / "words.py").write_text(GRAPH, encoding="utf-8")
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    words = ["run", "words.py", "--otel", "--store", "runs.db"]
    ran = forks.run("graphengine", *words, folder=tmp_path, variables=variables, loads=EXPORTER)
    assert (ran.returncode, "opentelemetry-exporter-otlp-proto-grpc" in ran.stderr) == (2, True), ran.stderr
