import io

import pytest

from graphengine.cli.progress import Progress
from graphengine.cli.terminal import Channel
from graphengine.core.steps import Step
from graphengine.runner.live import TextDelta
from graphengine.runner.run import StepRecorded

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
