"""Sessions at a terminal: a process on a pty, key presses, and the resulting screen."""

import re
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from graphengine.cli.terminal import linked_code
from scripts.package_metadata import urls
from tests.cli.programs import GATED, WAITING
from tests.cli.screens import Terminal, screen

PRINTING = GATED.replace(
    'note("third")',
    """note("third")
    while not (HERE / "second gate").exists():
        await asyncio.sleep(0.01)
    print("printed")""",
)
"""Its third node waits too, and prints."""

FAILING = """
import logging
from pydantic import BaseModel
from graphengine import END, START, Graph, Retry

class State(BaseModel):
    text: str = ""

def work(text: str) -> str:
    warning = "the service has a long list of countries, in which neither this one nor the next is found"
    logging.getLogger("graphengine.models").warning(warning)
    raise ValueError("no country")

graph = Graph("failing", State)
graph.add_node("work", work, writes="text", thread=False, retry=Retry(attempts=2, initial_seconds=0, on=(ValueError,)))
graph.add_path(START, "work", END)
"""
"""Its node warns and fails, twice."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the graphs `gated`, whose second node waits for a file named gate, and `waiting`."""
    (tmp_path / "gated.py").write_text(GATED)
    (tmp_path / "waiting.py").write_text(WAITING)
    return tmp_path


def test_the_nodes_at_work_are_shown_on_a_transient_line(folder: Path) -> None:
    """The nodes at work are shown with their time, in place; at the end nothing of it is left; no line is broken."""
    terminal = Terminal(folder, "run", "gated.py", "--run-id", "r")
    first = terminal.matching(r"at work  second (\d+) s")
    while terminal.matching(r"at work  second (\d+) s")[1] == first[1]:
        pass
    (folder / "gate").touch()
    assert terminal.ends() == 0
    assert not [line for line in terminal.lines if "at work" in line]
    assert "one two three" in terminal.lines
    assert "\x1b[1m" in terminal.raw


def test_a_nodes_output_does_not_mix_with_that_line(folder: Path) -> None:
    """The line is erased before it, and shown again below."""
    (folder / "gated.py").write_text(PRINTING)
    (folder / "gate").touch()
    terminal = Terminal(folder, "run", "gated.py", "--run-id", "r")
    terminal.until("at work  third")
    (folder / "second gate").touch()
    assert terminal.ends() == 0
    assert "printed" in terminal.lines


def test_one_ctrl_c_stops_cleanly_and_replaces_the_line(folder: Path) -> None:
    """One Ctrl-C finishes the node in flight, wipes ^C with the line, and gives exit code 4."""
    terminal = Terminal(folder, "run", "gated.py", "--run-id", "r")
    terminal.until("at work  second")
    terminal.ctrl_c()
    terminal.until("stopping after the node in flight; Ctrl-C again ends at once")
    (folder / "gate").touch()
    assert terminal.ends() == 4
    assert "stopping after the node in flight; Ctrl-C again ends at once" in terminal.lines
    assert "stopped: asked by Ctrl-C" in terminal.lines


def test_a_run_is_watched_in_parallel_to_its_driver(folder: Path) -> None:
    """Both show the node at work; the watcher ends with the run, with its exit code."""
    driver = Terminal(folder, "run", "gated.py", "--run-id", "r")
    driver.until("at work  second")
    watcher = Terminal(folder, "watch", "r")
    watcher.until("started  second (visit 1)")
    watcher.until("at work  second")
    (folder / "gate").touch()
    assert (driver.ends(), watcher.ends()) == (0, 0)
    assert not [line for line in watcher.lines if "at work" in line]
    assert [line for line in watcher.lines if line.startswith("done     third (visit 1)")]


@pytest.mark.parametrize(
    ("settings", "has_colour", "is_live"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_a_terminal_gets_what_it_can_show(
    folder: Path, settings: dict[str, Any], *, has_colour: bool, is_live: bool
) -> None:
    """With NO_COLOR there are no colours; a dumb terminal has neither colours nor transient lines."""
    terminal = Terminal(folder, "run", "gated.py", "--run-id", "r", **settings)
    terminal.until("at work  second" if is_live else "started  second")
    (folder / "gate").touch()
    assert terminal.ends() == 0
    assert ("\x1b[1;32m" in terminal.raw or "\x1b[32m" in terminal.raw) is has_colour
    assert ("\x1b[2K" in terminal.raw) is is_live
    assert "\x1b" in terminal.raw or not is_live


def test_words_are_not_broken_at_the_edge(folder: Path) -> None:
    """Questions and errors continue below their beginnings, on lines no wider than the terminal."""
    question = "Which style is right for this text, which nobody but its writer has read so far?"
    (folder / "waiting.py").write_text(WAITING.replace("Which style?", question))
    waits = Terminal(folder, "run", "waiting.py", "--run-id", "r", columns=48)
    assert waits.ends() == 3
    at = waits.lines.index("waits    style: Which style is right for this")
    assert waits.lines[at + 1 : at + 3] == [" " * 9 + "text, which nobody but its writer has", " " * 9 + "read so far?"]

    unknown = Terminal(folder, "show", "nothing", columns=48)
    assert unknown.ends() == 2
    at = unknown.lines.index("  repair: list the runs of a database with")
    assert unknown.lines[at + 1 : at + 3] == [
        " " * 6 + "`graphengine runs`, or choose another",
        " " * 6 + "database with --store PATH",
    ]


def test_a_failure_is_shown_once_and_no_word_is_broken(folder: Path) -> None:
    """The progress and the end of a run show its failures; the log of runs, which has them too, is not shown."""
    (folder / "failing.py").write_text(FAILING)
    failing = Terminal(folder, "run", "failing.py", "--run-id", "r")
    assert failing.ends() == 1
    at = [number for number, line in enumerate(failing.lines) if line.startswith("warning")]
    warning = ["warning  the service has a long list of countries, in which neither this one nor"]
    assert [failing.lines[number : number + 2] for number in at] == [[*warning, " " * 9 + "the next is found"]] * 2
    assert [re.sub(r"[\d.]+ m?s\b", "TIME", line) for line in failing.lines if re.search("failed|Error", line)] == [
        "retry    work (visit 1, attempt 1) failed in TIME; next attempt in TIME",
        "         ValueError: no country",
        "failed   work (visit 1) in TIME",
        "failed at work",
        "  ValueError: no country",
    ]


def test_a_path_stays_whole_however_narrow_the_terminal(folder: Path) -> None:
    """A path stays whole however narrow the terminal, so that it can be copied."""
    name = "a_name_that_is_wider_than_all_of_this_terminal.py"
    missing = Terminal(folder, "check", name, columns=40)
    assert missing.ends() == 2
    assert [line.strip() for line in missing.lines if name in line] == [name, name]


def test_a_narrow_terminal_has_a_line_that_fits(folder: Path) -> None:
    """In 40 columns what is at work takes 39 at most."""
    terminal = Terminal(folder, "run", "gated.py", "--run-id", "r", columns=40)
    terminal.until("at work  second")
    (folder / "gate").touch()
    assert terminal.ends() == 0
    passing = [line for part in terminal.raw.split("\x1b[2K") for line in screen(part) if "at work" in line]
    assert passing
    assert max(map(len, passing)) < 40


def test_statuses_have_colours(folder: Path) -> None:
    """In `runs` and `show` a finished status is green, a waiting one yellow; with NO_COLOR none has a colour."""
    (folder / "gate").touch()
    assert Terminal(folder, "run", "gated.py", "--run-id", "g").ends() == 0
    assert Terminal(folder, "run", "waiting.py", "--run-id", "w").ends() == 3
    for words, texts in (
        (("runs",), ("\x1b[1;32mfinished", "\x1b[1;33mwaiting")),
        (("show", "g"), ("\x1b[1;32mfinished",)),
        (("show", "w"), ("\x1b[1;33mwaiting",)),
    ):
        coloured, plain = Terminal(folder, *words), Terminal(folder, *words, NO_COLOR="1")
        assert (coloured.ends(), plain.ends()) == (0, 0)
        assert all(text in coloured.raw for text in texts)
        assert not any(text in plain.raw for text in ("\x1b[1;32m", "\x1b[1;33m"))
        assert coloured.lines == plain.lines


@pytest.mark.parametrize(
    ("pager", "begins"),
    [("sed s/^/paged:/", "paged:"), ("no-such-pager", ""), ("", ""), ("cat", "")],
    ids=["own", "unknown", "none", "cat"],
)
def test_output_longer_than_the_terminal_is_shown_in_a_pager(folder: Path, pager: str, begins: str) -> None:
    """The user's, with colours; without one, or where it is not found, it is written as it is."""
    short, long = (
        Terminal(folder, *words, GRAPHENGINE_PAGER=pager) for words in (("check", "gated.py"), ("schema", "run"))
    )
    assert (short.ends(), long.ends()) == (0, 0)
    assert short.lines[0].startswith("gated")
    assert f"{begins}{{" in long.lines
    assert all(line.startswith(begins) for line in long.lines if line.strip() and "no-such-pager" not in line)
    assert len(long.lines) > 1000


def test_a_pager_that_is_left_early_loses_nothing_else(folder: Path) -> None:
    """It shows the first lines; the command ends as it would have."""
    terminal = Terminal(folder, "schema", "run", GRAPHENGINE_PAGER="head -3")
    assert terminal.ends() == 0
    assert len([line for line in terminal.lines if line.strip()]) == 3


@pytest.mark.parametrize(
    ("repository", "style"),
    [
        ("https://github.com/some/where", "red link https://github.com/some/where/blob/main/docs/use/errors.md#no_run"),
        ("https://code.example/some/where", "red"),
    ],
)
def test_the_code_of_an_error_links_to_what_explains_it(
    repository: str, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link leads to the documentation that the package's metadata names, unless that is only a placeholder."""
    named = Message()
    for label, address in urls(repository).items():
        named["Project-URL"] = f"{label}, {address}"
    monkeypatch.setattr("importlib.metadata.metadata", lambda _: named)
    assert linked_code("no_run", "red") == ("no_run", style)
    assert (Path(__file__).parents[2] / "docs" / "use" / "errors.md").is_file()
