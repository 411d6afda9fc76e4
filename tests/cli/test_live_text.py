import asyncio
import io

import pytest

from graphengine.agents import TextDelta
from graphengine.cli.progress import Progress, in_flight
from graphengine.cli.terminal import Channel
from graphengine.engine.steps import Step
from graphengine.runner.run_events import NodeBegan, StepRecorded
from tests.cli.screens import plain
from tests.kit.facts import made_step

WIPE = "\r\x1b[2K"


class Screen(io.StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


class Telling(Screen):
    """A screen that notifies when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, text: str, /) -> int:
        self.written.set()
        return super().write(text)


@pytest.fixture(autouse=True)
def _is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")


def shown(screen: io.StringIO, *, is_live: bool = True) -> Progress:
    """The progress on a screen, whose clock advances by a second on each call."""
    seconds = iter(range(10, 1000))
    return Progress(Channel(screen, must_arrive=False), is_live=is_live, now=lambda: float(next(seconds)))


def begun(progress: Progress, *nodes: str) -> Progress:
    """Let the run of a progress begin at a node, or at a fork's arms; nothing of it is shown."""
    fork = {"fork": {"join": "end"}} if len(nodes) > 1 else {}
    recorded(progress, made_step(1, "started", 1.0, data={"to": nodes, **fork}))
    return progress


def recorded(progress: Progress, step: Step) -> None:
    """Let a progress show a step that took its edge for no reason, if it took any."""
    progress.recorded(progress.visits.feed(step), "")


def test_the_end_of_a_models_text_is_on_one_line() -> None:
    """Each piece replaces the one before; a long text is cut at its beginning, and control codes are escaped."""
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


def test_a_recorded_step_replaces_a_models_text() -> None:
    """The line is erased, and the next attempt starts empty."""
    screen = Screen()
    progress = begun(shown(screen), "write")
    progress.show(TextDelta("write", "writer", "a draft"))
    progress.show(
        StepRecorded(2, made_step(2, "attempt", 5.0, "", "write", 1, 1, 4.0, data={"error": ERROR, "due_at": 5.0}))
    )
    assert screen.getvalue().startswith(f"writes    write: a draft{WIPE}")
    progress.show(TextDelta("write", "writer", "another"))
    assert screen.getvalue().endswith("writes    write: another")


def test_a_models_text_is_shown_only_on_a_terminal() -> None:
    """A model's text is not shown in a pipe, nor with --json."""
    pipe, screen = io.StringIO(), Screen()
    shown(pipe).show(TextDelta("write", "writer", "a draft"))
    shown(screen, is_live=False).show(TextDelta("write", "writer", "a draft"))
    assert (pipe.getvalue(), screen.getvalue()) == ("", "")


def test_it_is_shown_a_few_times_a_second() -> None:
    """A model's text is shown a few times a second, however fast the pieces arrive."""
    screen = Screen()
    progress = Progress(Channel(screen, must_arrive=False), now=lambda: 1.0)
    for _ in range(100):
        progress.show(TextDelta("write", "writer", "a"))
    assert screen.getvalue() == "writes    write: a"


ERROR = {"kind": "rate_limited", "message": "later", "path": "write", "attempt": 1}


def test_details_of_a_line_stay_below_it() -> None:
    """On a terminal a long reason is wrapped; in a pipe it is one line."""
    screen, pipe = Screen(), io.StringIO()
    for stream in (screen, pipe):
        step = made_step(2, "node", 5.0, "", "a", 1, 1, 4.0, data={"to": ["b"]})
        begun(shown(stream), "a").show(StepRecorded(2, step, "; ".join(["x 1 >= 3: no"] * 5)))
    below = [line for line in plain(screen.getvalue()).splitlines() if "x 1" in line]
    assert len(below) > 1
    assert all(line.startswith(" " * 9) for line in below)
    assert max(map(len, below)) <= 40
    assert "x 1 >= 3: no; x 1 >= 3: no; x 1 >= 3: no;" in pipe.getvalue()


async def test_the_nodes_at_work_are_shown_while_no_model_writes() -> None:
    """Nodes with their visit, items of a map by number, the rest counted; finished work is not shown."""
    screen = Telling()
    progress = Progress(Channel(screen, must_arrive=False))
    began = 100.0
    for path, visit in (("a", 2), ("each[0]", 1), ("each[1]", 1), ("b", 1), ("c", 1)):
        progress.show(NodeBegan(path, path.partition("[")[0], visit, 1, began, 0))
    written = len(screen.getvalue())
    async with asyncio.timeout(60), progress.ticking(clock=lambda: began + 75):
        screen.written.clear()
        await screen.written.wait()
    assert screen.getvalue()[written:] == f"at work  a (visit 2) 1 min 15 s, each …{WIPE}"
    assert in_flight(AT_WORK, 103.5) == "a 3 s, each (2 items) 4 s, b (visit 2) 0 s and 1 more"
    begun(progress, "a", "b", "c", "each")
    of_fields = [["set", "n", [1, 2]]]
    items = {"count": 2, "concurrency": 2, "fields": {"n": "n"}}
    steps = [
        *(made_step(seq, "node", began, f"~{at}", at, 1, 1, began, data={"to": ["end"]}) for seq, at in ENDED),
        made_step(5, "branched", began, update=of_fields),
        made_step(6, "mapped", began, "~each", "each", 1, 1, data=items),
        *(made_step(7 + n, "item", began, f"~each/each[{n}]", "each", 1, 1, began) for n in (0, 1)),
    ]
    for step in steps:
        recorded(progress, step)
    written = len(screen.getvalue())
    progress.tick(began)
    assert len(screen.getvalue()) == written


def test_a_map_has_a_bar_while_its_items_are_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows how many are done, failed and have a fallback's result, and how long the rest takes at this pace.

    The bar is shorter on a narrow terminal, so that no number is cut.
    """
    monkeypatch.setattr(Channel, "columns", 100)
    channel = Channel(Screen(), must_arrive=False)
    bars: list[str] = []
    channel.transient = lambda head, text, *, keeps_end=True: bars.append(head + text)  # type: ignore[method-assign]
    progress = Progress(channel)
    begun(progress, "each")
    items = {"count": 500, "concurrency": 8, "fields": {"n": "n"}}
    of_fields = [["set", "n", list(range(500))]]
    recorded(progress, made_step(2, "branched", 100.0, update=of_fields))
    recorded(progress, made_step(3, "mapped", 100.0, "", "each", 1, 1, data=items))
    progress.show(NodeBegan("each[120]", "each", 1, 1, 100.0, 2))
    progress.tick(101.0)
    for n in range(120):
        data = {"fallback": True} if n < 10 else {}
        recorded(progress, made_step(4 + n, "item", 100.0, f"each[{n}]", "each", 1, 1, 100.0, data=data))
    progress.tick(112.0)
    assert bars == [
        "items    each: [....................] 0 of 500",
        "items    each: [####................] 120 of 500, 10 by fallback, about 38 s left",
    ]
    for columns, bar in ((72, "each: [##........] 120 of"), (60, "each: 120 of")):
        monkeypatch.setattr(Channel, "columns", columns)
        progress.tick(112.0)
        assert bars[-1] == f"items    {bar} 500, 10 by fallback, about 38 s left"
        assert len(bars[-1]) < columns
    recorded(progress, made_step(124, "resumed", 200.0))
    progress.tick(201.0)
    assert bars[-1].endswith("120 of 500, 10 by fallback")


def test_the_text_of_a_map_s_models_does_not_hide_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the agents of many items write, the bar advances, and no text is shown."""
    monkeypatch.setattr(Channel, "columns", 100)
    channel = Channel(Screen(), must_arrive=False)
    shown: list[str] = []
    channel.transient = lambda head, text, *, keeps_end=True: shown.append(head + text)  # type: ignore[method-assign]
    progress = Progress(channel)
    begun(progress, "each")
    items = {"count": 4, "concurrency": 2, "fields": {"n": "n"}}
    recorded(progress, made_step(2, "branched", 100.0, update=[["set", "n", [1, 2, 3, 4]]]))
    recorded(progress, made_step(3, "mapped", 100.0, "", "each", 1, 1, data=items))
    for n in range(2):
        progress.show(NodeBegan(f"each[{n}]", "each", 1, 1, 100.0, 2))
        progress.show(TextDelta(f"each[{n}]", "reader", "a text"))
    recorded(progress, made_step(4, "item", 101.0, "each[0]", "each", 1, 1, 100.0))
    progress.show(TextDelta("each[1]", "reader", " that goes on"))
    progress.tick(101.0)
    assert shown == ["items    each: [#####...............] 1 of 4, about 3 s left"]


def test_a_map_that_began_before_is_counted_from_its_begin() -> None:
    """After a resume, or in another process, a map counts its total and what ended before, failed or not."""
    pipe = io.StringIO()
    before = begun(Progress(Channel(io.StringIO(), must_arrive=False)), "each")
    items = {"count": 20, "concurrency": 8, "fields": {"n": "n"}}
    recorded(before, made_step(2, "branched", 100.0, update=[["set", "n", list(range(20))]]))
    recorded(before, made_step(3, "mapped", 100.0, "", "each", 1, 1, data=items))
    for n in range(3):
        recorded(before, made_step(4 + n, "item", 101.0, f"each[{n}]", "each", 1, 1, 100.0))
    lost = {"error": {**ERROR, "path": "each[3]"}, "status": "failed"}
    recorded(before, made_step(7, "failed", 101.0, "each[3]", "each", 1, 1, 100.0, data=lost))

    progress = Progress(Channel(pipe, must_arrive=False))
    progress.continues(before.visits)
    progress.counts()
    assert pipe.getvalue() == "items    each: 4 of 20 items done, 1 failed\n"
    recorded(progress, made_step(8, "item", 102.0, "each[4]", "each", 1, 1, 100.0))
    recorded(progress, made_step(9, "item", 102.0, "each[5]", "each", 1, 1, 100.0))
    assert pipe.getvalue().endswith("items    each: 6 of 20 items done, 1 failed\n")


ENDED = ((2, "a"), (3, "b"), (4, "c"))
AT_WORK = [
    NodeBegan(path, path, visit, 1, at, 0)
    for path, visit, at in (
        ("a", 1, 100.0),
        ("each[0]", 1, 99.5),
        ("each[7]", 1, 101.0),
        ("b", 2, 200.0),
        ("c", 1, 1.0),
    )
]


def test_a_models_text_is_shown_instead_of_the_nodes_at_work() -> None:
    """A model's text is shown instead of the nodes at work, until the model has been silent for a while."""
    screen, now = Screen(), [10.0]
    progress = Progress(Channel(screen, must_arrive=False), now=lambda: now[0])
    progress.show(NodeBegan("write", "write", 1, 1, 100.0, 0))
    progress.show(TextDelta("write", "writer", "a draft"))
    progress.tick(101.0)
    assert plain(screen.getvalue()).endswith("writes    write: a draft")
    now[0] += 5
    progress.tick(106.0)
    assert plain(screen.getvalue()).endswith("at work  write 6 s")


def test_cancelled_arms_are_no_longer_at_work() -> None:
    """Their steps never arrive; nodes of other graphs continue."""
    screen = Screen()
    progress = Progress(Channel(screen, must_arrive=False))
    for path in ("slow", "inner/other"):
        progress.show(NodeBegan(path, path, 1, 1, 100.0, 0))
    begun(progress, "slow", "quick")
    joined = {"cancelled": ["~slow"], "to": ["end"]}
    recorded(progress, made_step(2, "joined", 101.0, "", "end", 0, 0, 0.0, data=joined))
    progress.tick(102.0)
    assert plain(screen.getvalue()).endswith("at work  inner/other 2 s")
    progress.idles()
    written = len(screen.getvalue())
    progress.tick(103.0)
    assert len(screen.getvalue()) == written


def test_text_that_came_too_early_is_shown_at_the_next_tick() -> None:
    """The model then writes nothing more for a while."""
    screen, now = Screen(), [1.0]
    progress = Progress(Channel(screen, must_arrive=False), now=lambda: now[0])
    progress.show(TextDelta("n", "writer", "one "))
    progress.show(TextDelta("n", "writer", "two"))
    assert "two" not in screen.getvalue()
    progress.tick(0.0)
    assert screen.getvalue().endswith("one two")
