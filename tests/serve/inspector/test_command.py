import json
import signal
import socket
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from graphengine.cli.schemas import schema_of
from graphengine.serve.inspector.server import listen
from graphengine.stores.base import RunInfo
from tests.kit import forks
from tests.serve.inspector.conftest import ROOT

DRIVEN = str(ROOT / "tests" / "serve" / "inspector" / "driven.py")


def invoke(*words: str) -> tuple[int, str]:
    """Call the command line here; return the exit code and what it wrote."""
    done = CliRunner().invoke(main, ["inspect", "--no-open", *words])
    return done.exit_code, done.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_and_ends_at_a_signal(recorded: Path, number: signal.Signals) -> None:
    """The document of one line has the URL; Ctrl-C and SIGTERM end it without an error, and stderr says so."""
    words = ["inspect", "--store", str(recorded), "--no-open", "--json"]
    process = forks.start("graphengine", *words, loads=forks.INSPECTOR)
    try:
        document = json.loads(process.stdout.readline())
        jsonschema.validate(document, schema_of("inspect"))
        host, _, token = document["url"].removeprefix("http://").partition("/#token=")
        assert len(token) == 43  # 256 bits
        with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=10) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        process.send_signal(number)
        written = process.communicate(timeout=30)
    assert (process.returncode, written[0]) == (0, "")
    assert "closing the page, and releasing its runs after the nodes in flight; Ctrl-C" in written[1]


def test_a_port_that_is_taken_is_named(recorded: Path) -> None:
    """The error names the port and how to find a free one."""
    with listen(0) as taken:
        code, text = invoke("--store", str(recorded), "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "--port 0" in text


def test_only_this_machine_is_listened_to() -> None:
    """The socket is bound to the loopback address."""
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_a_missing_extra_is_named(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without starlette the error names what to install."""
    monkeypatch.setitem(sys.modules, "graphengine.serve.inspector.server", None)
    code, text = invoke("--store", str(recorded))
    assert code == 2
    assert "durable-graphengine[inspect]" in text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--drive", "--read-only"], "--drive lets the page start runs, and --read-only forbids this"),
        (["--graph", DRIVEN], "--graph has an effect only with --drive"),
        (["--model", "rules"], "--model has an effect only with --drive"),
        (["--otel"], "--otel has an effect only with --drive"),
        (["--drive", "--graph", "none.py"], "none.py does not exist"),
    ],
)
def test_options_that_contradict_are_refused(recorded: Path, words: list[str], problem: str) -> None:
    """What drives needs --drive, which a read-only inspector refuses; a file that does not exist is named."""
    code, text = invoke("--store", str(recorded), *words)
    assert code == 2
    assert problem in text


def test_an_inspector_that_drives_creates_the_database(tmp_path: Path) -> None:
    """With --drive the first run can be started in the page; the graphs that can be driven are printed."""
    path = tmp_path / "new" / "runs.db"
    words = ["inspect", "--store", str(path), "--no-open", "--drive", "--graph", DRIVEN]
    process = forks.start("graphengine", *words, loads=forks.INSPECTOR)
    url = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert url.startswith("http://127.0.0.1:")
    assert process.returncode == 0
    assert "the page can drive runs of essay" in err
    assert path.exists()


def test_released_runs_are_named(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C the command prints how to resume each run that was driven and released."""
    info = RunInfo("cut", "essay", "f", "running", 3, 0.0, 0.0)
    monkeypatch.setattr("graphengine.serve.inspector.server.serve", lambda *_: [info])
    code, text = invoke("--store", str(recorded), "--drive", "--graph", DRIVEN)
    assert code == 0
    assert "run cut was released; resume: graphengine resume cut" in text


def test_a_taken_default_port_is_said(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --port the page is at the default port; if that is taken, a line says where it is instead."""
    monkeypatch.setattr(
        "graphengine.serve.inspector.server.serve", lambda _, opened, __: [opened("http://h:9/#token=t")][:0]
    )
    text = invoke("--store", str(recorded))[1]
    assert "the default port is taken, so this page is at http://h:9/" in text
    assert "the default port" not in invoke("--store", str(recorded), "--port", "9")[1]
