import io

import pytest

from graphengine.cli.places import picture_ending
from graphengine.cli.progress import Progress
from graphengine.cli.terminal import Channel
from graphengine.core.steps import Step
from graphengine.runner.live import TextDelta
from graphengine.runner.run import StepRecorded
from tests.cli.screens import plain

WIPE = "\r\x1b[2K"


class Screen(io.StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")


def shown(screen: io.StringIO, *, is_live: bool = True) -> Progress:
    """The progress on a screen, whose clock goes on by a second each time it is asked."""
    seconds = iter(range(10, 1000))
    return Progress(Channel(screen, must_arrive=False), is_live=is_live, now=lambda: float(next(seconds)))


def test_the_end_of_what_is_written_stands_on_one_line() -> None:
    """Each piece takes the place of the one before; what is too long is cut at its beginning, control codes shown."""
    screen = Screen()
    progress = shown(screen)
    for text in ("one ", "two\n", "three four five six seven eight \x1b[2J"):
        progress.show(TextDelta("write", "writer", text))
    assert screen.getvalue().split(WIPE) == [
        "writes    write: one",
        "writes    write: one two",
        "writes    write: …x seven eight \\x1b[2J",
    ]
    assert max(map(len, screen.getvalue().split(WIPE))) < 40


def test_wide_characters_take_two_columns() -> None:
    """A line of them is cut so that it does not break."""
    screen = Screen()
    shown(screen).show(TextDelta("write", "writer", "水" * 50))
    assert screen.getvalue() == "writes    write: …" + "水" * 10


def test_what_is_recorded_takes_the_place_of_what_was_written() -> None:
    """The line goes away, and the next attempt begins with nothing."""
    screen = Screen()
    progress = shown(screen)
    progress.show(TextDelta("write", "writer", "a draft"))
    progress.show(
        StepRecorded(2, Step(2, "attempt", 5.0, "", "write", 1, 1, 4.0, data={"error": ERROR, "due_at": 5.0}))
    )
    assert screen.getvalue().startswith(f"writes    write: a draft{WIPE}")
    progress.show(TextDelta("write", "writer", "another"))
    assert screen.getvalue().endswith("writes    write: another")


def test_nothing_of_it_is_shown_elsewhere() -> None:
    """Not in a pipe, and not where JSON is wanted."""
    pipe, screen = io.StringIO(), Screen()
    shown(pipe).show(TextDelta("write", "writer", "a draft"))
    shown(screen, is_live=False).show(TextDelta("write", "writer", "a draft"))
    assert (pipe.getvalue(), screen.getvalue()) == ("", "")


def test_it_is_shown_a_few_times_a_second() -> None:
    """However fast the pieces come."""
    screen = Screen()
    progress = Progress(Channel(screen, must_arrive=False), now=lambda: 1.0)
    for _ in range(100):
        progress.show(TextDelta("write", "writer", "a"))
    assert screen.getvalue() == "writes    write: a"


ERROR = {"kind": "rate_limited", "message": "later", "path": "write", "attempt": 1}


def test_what_is_below_a_line_stays_below_it() -> None:
    """On a terminal a long reason is broken; in a pipe it is one line."""
    screen, pipe = Screen(), io.StringIO()
    for stream in (screen, pipe):
        shown(stream).show(
            StepRecorded(2, Step(2, "node", 5.0, "", "a", 1, 1, 4.0, data={"why": "x 1 >= 3: no; " * 5}))
        )
    below = [line for line in plain(screen.getvalue()).splitlines() if "x 1" in line]
    assert len(below) > 1
    assert all(line.startswith(" " * 9) for line in below)
    assert max(map(len, below)) <= 40
    assert "x 1 >= 3: no; x 1 >= 3: no; x 1 >= 3: no;" in pipe.getvalue()


@pytest.mark.parametrize(("has_painter", "ending"), [(True, "svg"), (False, "mmd")])
def test_a_picture_that_is_named_can_be_drawn_here(
    monkeypatch: pytest.MonkeyPatch, ending: str, *, has_painter: bool
) -> None:
    """Where nothing paints, text for Mermaid is."""
    monkeypatch.setattr("shutil.which", lambda name: "/bin/dot" if has_painter else None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert picture_ending() == ending
