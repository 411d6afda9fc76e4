"""Ten things that a person does on the page, each from the list of runs, with the clicks that it takes at most."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import expect

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel
from graphengine.models import Response
from graphengine.runner import RunFailed
from tests.serve.inspector import driven
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.graphs import State, record, starting

NARROW, WIDE = 390, 1440


class Do(NamedTuple):
    """A step of a task: a click, words that are typed or read, or a file that is saved.

    Attributes:
        on: The selector of what is clicked, read, or typed into.
        types: The words that are typed, followed by Enter.
        reads: The words that it must have.
        saves: How the name of the file ends that the click saves.
        width: The only width of the window that needs this step; 0: each does.
    """

    on: str
    types: str = ""
    reads: str = ""
    saves: str = ""
    width: int = 0


def row(run_id: str) -> Do:
    """Open a run in the list."""
    return Do(f".row[data-run={run_id}] .name")


def named(role: str, name: str, **more: Any) -> Do:
    """Do something with what has this role, and a name that begins so."""
    return Do(f"role={role}[name=/^{name}/i]", **more)


HEADER, DETAIL = ".outcome", ".panel"
TASKS: dict[str, tuple[int, int, Sequence[Do]]] = {
    "find a failed run and its cause": (
        2,
        2,
        [named("tab", "Failed"), row("v2-20"), Do(DETAIL, reads="ValueError: no urgency")],
    ),
    "answer a question": (
        2,
        2,
        [
            Do("header a >> text=ask me"),
            Do(".asking:has(a[href*=draft]) >> role=button[name=Yes]"),
            Do(".asking", reads="answered"),
        ],
    ),
    "which deploy broke": (
        1,
        1,
        [named("link", "today"), Do(".broke", reads="v2 of triage fails 100.0 % (v1 0.0 %), 25 times")],
    ),
    "who spent it": (
        2,
        2,
        [
            named("link", "today"),
            Do(".cards-of >> role=link[name=writer]"),
            Do(".row[data-run=costly]", reads="$0.25"),
        ],
    ),
    "retry a failed run": (
        3,
        3,
        [named("tab", "Failed"), row("storms"), named("button", "Retry"), Do(HEADER, reads="waiting")],
    ),
    "branch a run": (
        5,
        3,
        [
            row("second"),
            Do("nav >> text=Trace", width=NARROW),
            Do(".tr[data-seq='3']", width=NARROW),
            Do(f"{DETAIL} >> role=button[name=/run from here/]", width=NARROW),
            named("button", "Branch at step 5", width=WIDE),
            named("button", "Begin the branch"),
            Do(HEADER, reads="branch of second at"),
        ],
    ),
    "compare two runs": (
        3,
        3,
        [
            *(Do(f'role=checkbox[name="tick {name}"]') for name in ("v2-24", "v2-23")),
            Do(".bulk >> role=button[name=/Compare/]"),
            Do("main.compare h1", reads="Compare"),
        ],
    ),
    "find a run by words": (
        1,
        1,
        [Do("role=searchbox", types="it broke"), row("broken"), Do("h1", reads="broken")],
    ),
    "what a search cost, and its slowest node": (
        1,
        1,
        [
            Do("role=searchbox", types="agent:writer since:7d"),
            Do("summary >> text=Sums of the last seven days"),
            Do(".in-results", reads="$0.25"),
            Do("table.sums >> nth=1", reads="write"),
        ],
    ),
    "what the week cost": (
        1,
        1,
        [Do("summary >> text=Sums of the last seven days"), Do("table.sums >> nth=0 >> tr >> nth=8", reads="in all")],
    ),
    "follow a child run, and back": (
        4,
        3,
        [
            row("parent"),
            Do("nav >> text=Trace", width=NARROW),
            Do(".tr.call >> role=link[name=below]"),
            Do("h1", reads="below"),
            Do("nav[aria-label='Runs above'] >> role=link[name=parent]"),
            Do("h1", reads="parent"),
        ],
    ),
    "send its story": (2, 2, [row("costly"), named("link", "Story to send", saves=".html")]),
}
"""What is done, the clicks that it takes at most in a narrow and in a wide window, and how."""


@pytest.mark.parametrize("task", TASKS)
def test_a_task_takes_few_clicks(desk: tuple[str, int], task: str, visit: Opened) -> None:
    """From the list of runs, in a window of 390 and of 1440 pixels, with nothing cut off."""
    url, width = desk
    narrow, wide, steps = TASKS[task]
    page, clicks = visit(url), 0
    page.set_viewport_size({"width": width, "height": 900})
    for step in steps:
        part = page.locator(step.on).first
        if step.width not in (0, width):
            continue
        if step.reads:
            expect(part).to_contain_text(step.reads)
        elif step.types:
            part.fill(step.types)
            page.keyboard.press("Enter")
        else:
            clicks += 1
            with page.expect_download() if step.saves else nullcontext() as saved:
                part.click()
            assert saved is None or saved.value.suggested_filename.endswith(step.saves)
    assert clicks <= (narrow if width == NARROW else wide)
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def triage(is_broken: bool) -> Graph[State]:  # noqa: FBT001 - a version of it
    """Return a graph whose second version fails."""

    def look(n: int) -> int:
        if is_broken:
            raise ValueError("no urgency")
        return n + 1

    graph = Graph("triage", State)
    graph.add_node("look", look, writes="n", thread=False)
    graph.add_path(START, "look", END)
    return graph


def writing() -> Graph[State]:
    """Return a graph whose agent costs 25 cents."""
    answer = Response("said", cost_usd=0.25, model="some:model", output_tokens=5)
    graph = Graph("writing", State)
    graph.add_node("write", Agent("writer", prompt="Go on.", model=ScriptedModel([answer])), writes="text")
    graph.add_path(START, "write", END)
    return graph


async def record_more(path: Path, gate: Path) -> None:
    """Record 25 runs of each of two versions, one that cost, one with a child, and two of `essay`."""
    for version in ("v1", "v2"):
        async with Runner(path, deploy=version) as runner:
            for number in range(25):
                await record(runner, triage(version == "v2"), f"{version}-{number}")
    async with Runner(path, deploy="v1") as runner:
        await record(runner, writing(), "costly")
        await record(runner, starting(), "parent")
        with suppress(RunFailed):
            await runner.start(driven.graph, {"topic": "storms", "gate": str(gate)}, run_id="storms").result()
        gate.touch()
        for run_id in ("draft", "second"):
            await runner.start(driven.graph, driven.example, run_id=run_id).result()
    with (
        closing(sqlite3.connect(path)) as connection,
        connection,
    ):  # the first runs of versions are compared by the minute
        connection.execute("UPDATE runs SET created_at = created_at - 120 WHERE deploy = 'v1' AND graph = 'triage'")


@pytest.fixture(scope="module", params=[NARROW, WIDE])
def desk(
    request: pytest.FixtureRequest, recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """An inspector of these runs, and the width of its window."""
    folder = tmp_path_factory.mktemp("tasks")
    path = Path(shutil.copy(recorded, folder / "runs.db"))
    with ThreadPoolExecutor(1) as pool:  # the browser's event loop is in this thread
        pool.submit(asyncio.run, record_more(path, folder / "boat")).result()
    with served(path, "--drive", "--graph", "tests/serve/inspector/driven.py") as url:
        yield url, request.param
