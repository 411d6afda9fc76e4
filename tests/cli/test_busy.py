import io
import sys
import threading
from pathlib import Path

import pytest

from graphengine.cli.busy import busy
from graphengine.cli.session import Session
from graphengine.cli.terminal import WIPE, Channel, making_room
from tests.cli.programs import GATED, call
from tests.cli.screens import Terminal, plain, screen
from tests.cli.test_live_text import Screen


@pytest.fixture(autouse=True)
def _is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")


class Watched(Screen):
    """A terminal of 40 columns that notifies when a text has arrived."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str, /) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def until(self, text: str) -> None:
        """Wait for the text."""
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), timeout=60)


def session_on(stream: io.StringIO) -> Session:
    """Return a call that writes to the stream."""
    return Session(Channel(stream, must_arrive=True), Channel(stream, must_arrive=False), json=False, debug=False)


def test_long_work_shows_what_it_does_and_how_far_it_is() -> None:
    """Long work shows its progress on a line that other output replaces, and that is erased at the end."""
    stream = Watched()
    session = session_on(stream)
    with busy(session, "looking") as work:
        stream.until("looking …")
        work.update("looking at", 1200, 3400, "水")
        stream.until("looking at 1,200 of 3,400: 水 …")
        session.err.line("a line")
        stream.until("1 s")
    assert screen(stream.getvalue()) == ["a line", ""]


def test_a_pipe_gets_no_transient_line() -> None:
    """A pipe gets neither the transient line nor its erasure."""
    pipe = io.StringIO()
    with busy(session_on(pipe), "looking") as work:
        work.update("looking at it", 1, 2)
    assert pipe.getvalue() == ""


def test_a_transient_line_is_erased_before_other_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not shown again after an unfinished line, so that no output is lost."""
    stream = Screen()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    channel = Channel(stream, must_arrive=False)
    with making_room(channel):
        channel.transient("at work ", "a")
        sys.stdout.write("begun")
        channel.transient("at work ", "b")
        sys.stdout.writelines([" and", " ended\n"])
        channel.transient("at work ", "c")
    channel.wipe()
    assert stream.getvalue() == f"at work a{WIPE}begun and ended\nat work c{WIPE}"


def test_other_output_is_not_written_behind_a_transient_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a node prints in a thread, and the line is shown again by another one at that moment."""

    class Shared(Screen):
        def write(self, text: str, /) -> int:
            if text == "printed\n":
                showing.start()
                showing.join(0.25)  # it has to wait
            return super().write(text)

    stream = Shared()
    monkeypatch.setattr("sys.stdout", stream)
    channel = Channel(stream, must_arrive=False)
    showing = threading.Thread(target=channel.transient, args=("at work ", "b"))
    with making_room(channel):
        channel.transient("at work ", "a")
        sys.stdout.write("printed\n")
        showing.join()
    channel.wipe()
    assert screen(stream.getvalue()) == ["printed", ""]


def test_a_line_that_does_not_fit_keeps_its_beginning() -> None:
    """Wide characters count as two."""
    stream = Screen()
    Channel(stream, must_arrive=False).transient("at work ", "水" * 30, keeps_end=False)
    assert stream.getvalue() == "at work " + "水" * 15 + "…"


def test_commands_that_take_long_leave_no_transient_line(tmp_path: Path) -> None:
    """On a terminal each long command shows only its result at the end."""
    (tmp_path / "gated.py").write_text(GATED)
    (tmp_path / "gate").touch()
    call(tmp_path, "run", "gated.py", "--run-id", "r")
    call(tmp_path, "export", "r", "-o", "r.json")
    message = {
        ("doctor",): "sound: checkpoints/runs.db, 1 run, 4 steps, 0 snapshots",
        ("replay", "r", "r.json", "--graph", "gated.py"): "r    gated  4      same",
        ("import", "r.json", "--db", "new.db"): "run r of gated, 4 steps, finished: recorded",
        ("export", "r", "-o", "again.json"): "run r, 4 steps: written to again.json",
        ("prune", "--keep-last", "0", "--yes", "--vacuum"): "1 run with 4 steps (about",
    }
    for words, text in message.items():
        terminal = Terminal(tmp_path, *words)
        assert terminal.ends() == 0, terminal.raw
        assert [line for line in terminal.lines if line.startswith(text)], plain(terminal.raw)
        assert not [line for line in terminal.lines if "…" in line]


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_erase_lines_gets_none(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A terminal that cannot erase lines gets neither the nodes at work nor the texts of models."""
    monkeypatch.setenv("TERM", kind)
    stream = Screen()
    channel = Channel(stream, must_arrive=False)
    channel.transient("at work ", "a")
    with busy(session_on(stream), "looking"):
        pass
    assert (stream.getvalue(), channel.is_terminal) == ("", True)
