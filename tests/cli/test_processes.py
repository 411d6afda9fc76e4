import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.programs import COUNTER, GATED, call, document, launch, read_until, start
from tests.cli.screens import Terminal

ROOT = Path(__file__).resolve().parents[2]

ENDLESS = """
import asyncio
from pydantic import BaseModel
from graphengine import END, START, Graph, Limits, value

class Count(BaseModel):
    n: int = 0

async def more(n: int) -> int:
    await asyncio.sleep(0.005)
    return n + 1

graph = Graph("endless", Count, limits=Limits(visits=None))
graph.add_node("more", more, writes="n")
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= 1_000_000)
graph.add_edge("more", "more")
"""

NOISY = COUNTER.replace(
    "    return n + 1",
    "    print('noise')\n    os.write(1, b'more')\n    os.system('echo third')\n    return n + 1",
)

ESCAPES = COUNTER.replace("text: str = ", "text: str = 'red \\x1b[31m \\x07 [bold]x[/bold] \\u202e end' or ").replace(
    "return n + 1", "raise ValueError('\\x1b]0;title\\x07 [red]y[/red]')"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the graph `gated`, whose second node waits for a file named gate."""
    (tmp_path / "gated.py").write_text(GATED)
    return tmp_path


def open_gate(folder: Path) -> None:
    """Let the second node end."""
    (folder / "gate").touch()


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_stops_a_long_run_to_be_resumed(folder: Path, number: signal.Signals, name: str) -> None:
    """Ctrl-C records a stop, SIGTERM releases the run; both end with exit code 4, and a resume continues from there."""
    (folder / "endless.py").write_text(ENDLESS)
    process = start(folder, "run", "endless.py", "--run-id", "r")
    read_until(process, "started  more (visit 3)")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    is_term = number == signal.SIGTERM
    assert (f"released: asked by {name}" if is_term else f"stopped: asked by {name}") in err
    assert ("SIGTERM: stopping" in err) is is_term
    assert "resume: " in err
    recorded = document(call(folder, "show", "r", "--json").stdout)
    if is_term:
        assert recorded["ending"] is None
    else:
        assert (recorded["status"], recorded["ending"]["reason"]) == ("stopped", "asked")
    (folder / "endless.py").write_text(ENDLESS.replace("1_000_000", "3"))
    assert call(folder, "resume", "r", "--graph", "endless.py").returncode == 0


def test_a_worker_continues_what_sigterm_released(folder: Path) -> None:
    """A worker continues a run released by SIGTERM as after kill -9, but the run does not count as crashed."""
    process = start(folder, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    process.send_signal(signal.SIGTERM)
    read_until(process, "SIGTERM: stopping after the node in flight")
    open_gate(folder)
    process.communicate(timeout=60)
    worker = start(folder, "worker", "--graph", "gated.py")
    while "finished" not in worker.stdout.readline():
        pass
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert (folder / "log.txt").read_text().split() == ["first", "second", "third"]
    shown = document(call(folder, "show", "r", "--json").stdout)
    assert (shown["status"], [step["kind"] for step in shown["steps"]].count("resumed")) == ("finished", 1)


@pytest.mark.parametrize("is_blocking", [False, True])
def test_ctrl_c_twice_ends_at_once(folder: Path, *, is_blocking: bool) -> None:
    """Exit code 130 with no wait for the node, even one that blocks the event loop; the run can be resumed."""
    if is_blocking:
        (folder / "blocking").touch()
    process = start(folder, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    process.send_signal(signal.SIGINT)
    read_until(process, "stopping after the node in flight")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resume: " in rest
    open_gate(folder)
    again = call(folder, "resume", "r", "--graph", "gated.py")
    assert (again.returncode, again.stdout) == (0, "one two three\n")


def test_ctrl_c_twice_under_json_is_a_document(folder: Path) -> None:
    """Stdout still holds one JSON document."""
    process = start(folder, "run", "gated.py", "--json")
    read_until(process, "in second")
    process.send_signal(signal.SIGINT)
    read_until(process, "stopping")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, document(out)["error"]["code"]) == (130, "interrupted")


def test_a_killed_run_is_resumed_without_running_again_what_finished(folder: Path) -> None:
    """After kill -9 a resume continues at once; the finished node is not run again, the one in flight is."""
    process = start(folder, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    process.kill()
    process.communicate(timeout=60)
    for status, ids in (("interrupted", ["r"]), ("running", [])):
        found = document(call(folder, "runs", "--status", status, "--json").stdout)
        assert [run["run_id"] for run in found["runs"]] == ids
    assert call(folder, "runs").stdout.splitlines()[1].split()[:3] == ["r", "gated", "interrupted"]
    shown = call(folder, "show", "r").stdout
    assert "interrupted: no process drives it; resume: " in shown
    assert "graphengine resume r --graph FILE" in shown  # a run stores its graph's name, never a path
    assert "graphengine resume r --graph FILE" in call(folder, "stop", "r").stderr
    open_gate(folder)
    again = call(folder, "resume", "r", "--graph", "gated.py")
    assert (again.returncode, again.stdout) == (0, "one two three\n")
    assert (folder / "log.txt").read_text().split() == ["first", "second", "second", "third"]


def test_a_killed_run_is_cancelled_at_once(folder: Path) -> None:
    """A final stop waits for no process that is not there."""
    process = start(folder, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    process.kill()
    process.communicate(timeout=60)
    assert call(folder, "stop", "r", "--final").stdout == "cancelled run r, which was interrupted\n"
    assert call(folder, "runs").stdout.splitlines()[1].split()[:3] == ["r", "gated", "cancelled"]


def test_a_run_that_another_process_drives_is_left_to_it(folder: Path) -> None:
    """Resuming a run that another process drives gives exit code 6 and run_is_driven; the driver continues."""
    process = start(folder, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    other = call(folder, "resume", "r", "--graph", "gated.py", "--json")
    assert (other.returncode, document(other.stdout)["error"]["code"]) == (6, "run_is_driven")
    assert "done" not in other.stderr
    open_gate(folder)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "one two three\n")


def test_another_process_stops_a_run_and_stops_it_again(folder: Path) -> None:
    """`stop` reaches the process that drives the run, after a resume as well."""
    (folder / "endless.py").write_text(ENDLESS)
    for words in (["run", "endless.py", "--run-id", "r"], ["resume", "r", "--graph", "endless.py"]):
        process = start(folder, *words)
        while call(folder, "stop", "r").returncode != 0:
            assert process.poll() is None
        process.communicate(timeout=60)
        assert process.returncode == 4


def test_a_closed_pipe_is_not_an_error(folder: Path) -> None:
    """With stdout and stderr closed by their readers, the run is still finished and recorded."""
    process = start(folder, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    process.stdout.close()
    process.stderr.close()
    open_gate(folder)
    assert process.wait(timeout=60) == 0
    assert document(call(folder, "show", "r", "--json").stdout)["status"] == "finished"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_result_that_cannot_be_written_is_an_error(folder: Path) -> None:
    """A full disk under stdout is reported as one error."""
    open_gate(folder)
    with Path("/dev/full").open("w") as full:
        process = launch(folder, "run", "gated.py", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error output_failed" in err
    assert "Traceback" not in err


def test_under_json_stdout_holds_one_document_whatever_nodes_print(folder: Path) -> None:
    """Output of the graph's file, of a node and of its child processes goes to stderr."""
    (folder / "noisy.py").write_text("import os\nprint('import')\n" + NOISY)
    done = call(folder, "run", "noisy.py", "--json")
    assert document(done.stdout)["status"] == "finished"
    for text in ("import", "noise", "more", "third"):
        assert text in done.stderr


def test_on_a_pipe_there_are_no_control_codes(folder: Path) -> None:
    """A pipe gets no control codes, neither ours nor those in texts, even if the environment requests colors."""
    (folder / "codes.py").write_text(ESCAPES)
    for words in (["run", "codes.py", "--run-id", "r"], ["show", "r"], ["runs"], ["check", "codes.py"]):
        done = call(folder, *words)
        assert [char for char in done.stdout + done.stderr if ord(char) < 32 and char != "\n"] == []
    assert "[bold]x[/bold]" in call(folder, "show", "r").stdout


def test_on_a_terminal_texts_bring_no_control_codes(folder: Path) -> None:
    """Our own colors are used; escapes and markup in texts are shown literally."""
    (folder / "codes.py").write_text(ESCAPES)
    shown = on_terminal(folder, "run", "codes.py", "--run-id", "r") + on_terminal(folder, "show", "r")
    assert "\x1b[" in shown
    assert "\x1b]0;" not in shown
    assert "\x07" not in shown
    assert "\\x1b]0;title\\x07 [red]y[/red]" in shown
    assert "[bold]x[/bold]" in shown


def on_terminal(folder: Path, *words: str) -> str:
    """Return the output on a terminal."""
    terminal = Terminal(folder, *words, FORCE_COLOR="1")
    terminal.ends()
    return terminal.raw


def test_a_locale_without_our_characters_is_not_an_error(folder: Path) -> None:
    """Characters that the encoding of stdout cannot represent are escaped."""
    (folder / "codes.py").write_text(COUNTER.replace('text: str = ""', 'text: str = "→ ü"'))
    process = launch(
        folder, "run", "codes.py", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    )
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "\\u2192 \\xfc\n")


def test_the_module_is_the_command() -> None:
    """`python -m graphengine --version` works."""
    done = subprocess.run(
        [sys.executable, "-m", "graphengine", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("graphengine, version ")
