"""Golden pages of sessions: lines of Python with a Runner, what agents are asked meanwhile, and what each line gives.

A page is a title (lines with `#`), Python under `== kit`, and scenes. A scene is its truth after `==`, and lines that
begin with `>`, which may await; one that begins with `>  ` continues the one before. The names of a line are there in
those after it, and in every scene these are:

    await process(…)    the rest of the scene is in another process: `runner` is a new Runner of the same database. It
                        has these options, and a model with these answers, or none
    model(…)            a model with these answers
    await start(…)      a run `r` of a graph: what it did, asks, used and came to
    await resume(…)     the same run again: what it did since
    await after(…)      what the run did since, once it has ended
    clock, database     the fake clock, and the path of the database, in a folder that is shown as FOLDER
    await runs()        each run of the database with its status
    await shown(…)      the events of agents in a stream, and an answer at its end

What happened in parallel is in the order of `tests.kit.places`, and functions have one thread. `UPDATE_PAGES=1`
rewrites the pages.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import fields
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Final

from graphengine import Run, RunFailed, Runner, ScriptedModel
from graphengine.agents.live_events import OfTurn, PartialAnswer, TextDelta, ThinkingDelta
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import Request, Response
from graphengine.runner import NodeBegan, RunEnded, StepRecorded
from tests.kit import expression_page, golden, graph_pages, page_code
from tests.kit.places import Place, in_order, place_here, steps_in_order
from tests.kit.runs import SOON
from tests.kit.scenario import namespace

_GROW: Final = (TextDelta, ThinkingDelta, PartialAnswer)
_SAME: Final = {field.name for field in fields(OfTurn)} | {"id"}


async def check_page(path: Path, module: ModuleType) -> None:
    """Fail if a page does not read as it should; with `UPDATE_PAGES=1`, write what it should read."""
    title, kit, *scenes = re.split(r"^(?=== )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown, texts = [title, kit], dict[str, list[str]]()
    for scene in scenes:
        with TemporaryDirectory() as folder:
            played = await _Session(Path(folder, "runs.db"), vars(module), kit.partition("\n")[2], texts).opened()
            lines = [scene.partition("\n")[0]]
            for each in re.findall(r"^> .*(?:\n>  .*)*", scene, re.MULTILINE):
                lines += await played.play(each)
            await played.runner.close()
        shown.append("\n".join([*lines, "\n"]))
    golden.check(path, "".join(shown).rstrip("\n") + "\n")


class Lines(list[str]):
    """What a page shows line by line."""


async def shown(events: AsyncIterable[Any]) -> Lines:
    """Return the events of agents, and the answer if there is one; how a text was cut into pieces does not matter."""
    found: list[list[object]] = []
    async with asyncio.timeout(SOON):
        async for event in events:
            if isinstance(event, StepRecorded | NodeBegan | RunEnded):
                continue
            if (before := _continued(found, event)) is not None:
                before.append(event)
            else:
                found.append([event])
    return Lines(_told(*each) for each in found)


def _continued(found: list[list[object]], event: object) -> list[object] | None:
    """Return the events of a turn that an event continues."""
    for each in reversed(found):
        if not isinstance(event, _GROW) or not isinstance(each[0], _GROW) or each[0].turn != event.turn:
            break
        if type(each[0]) is type(event):
            return each
    return None


def _told(event: object, *more: Any) -> str:
    """Return an event with those that continue it, or the answer after all events."""
    if not isinstance(event, OfTurn):
        return repr(event)
    what = [getattr(event, each.name) for each in fields(event) if each.name not in _SAME]
    if isinstance(event, TextDelta | ThinkingDelta):
        what[0] += "".join(each.text for each in more)
    elif more:
        what = [more[-1].value]
    attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
    return f"turn {event.turn}{attempt}: {type(event).__name__} {', '.join(repr(each) for each in what if each)}"


class _Asked(ScriptedModel):
    """A model whose page shows what it is asked."""

    def __init__(self, asked: list[tuple[tuple[str, Place], Request]], answers: tuple[object, ...]) -> None:
        super().__init__(answers)
        self.asked = asked

    async def answer(self, request: Request) -> Response:
        self.asked.append((place_here(), request))
        return await super().answer(request)


class _Session:
    """The database and the names of a scene."""

    def __init__(self, database: Path, names: Mapping[str, Any], kit: str, texts: dict[str, list[str]]) -> None:
        self.database, self.texts = database, texts
        self.asked: list[tuple[tuple[str, Place], Request]] = []
        self.clock = FakeClock(start=0.0)
        self.runner = Runner(database, clock=self.clock, threads=1)
        self.names = namespace("", "page")
        self.names |= {name: value for name, value in names.items() if not name.startswith("_")}
        self.steps, self.given = 0, graph_pages.NOTHING
        self.names |= {"clock": self.clock, "database": database, "start": self.start, "resume": self.resume}
        self.names |= {"after": self.after}
        self.names |= {"process": self.process, "model": self.model, "runs": self.runs, "shown": shown, "Lines": Lines}
        page_code.run(kit, "page", self.names)

    def model(self, *answers: object) -> ScriptedModel:
        """Return a model with these answers."""
        return _Asked(self.asked, answers)

    async def opened(self) -> _Session:
        """Open a Runner, and return the session."""
        self.names["runner"] = await self.runner.__aenter__()
        return self

    async def process(self, *answers: object, **options: Any) -> None:
        """Close the Runner, and make another one."""
        await self.runner.close()
        given = {"models": self.model(*answers), **options} if answers else options
        self.runner = Runner(self.database, clock=self.clock, **{"threads": 1, **given})
        await self.opened()

    async def start(self, graph: Any, *given: Any, **options: Any) -> Lines:
        """Start a run, and return what it did."""
        self.given, self.steps = (*given, {})[0], 0
        return await self.after(self.runner.start(graph, *given, run_id="r", **options))

    async def resume(self, graph: Any, **options: Any) -> Lines:
        """Resume the run, and return what it did since."""
        return await self.after(self.runner.resume("r", graph, **options))

    async def after(self, run: Run[Any]) -> Lines:
        """Return what a run did, and how it ended."""
        try:
            result = await run.result()
        except RunFailed as error:
            result = error.result
        new = steps_in_order(await self.runner.history("r"), self.steps)
        self.steps += len(new)
        kind = [f"kind: {result.error.kind}"] if result.error is not None else []
        return Lines([*graph_pages.ended(result, new, self.given, self.texts), *kind])

    async def runs(self) -> Lines:
        """Return the runs with their statuses."""
        found = sorted(await self.runner.runs(), key=lambda info: info.id)
        return Lines(f"{info.id} of {info.graph}: {info.status}" for info in found) or Lines(["no run"])

    async def play(self, line: str) -> list[str]:
        """Return a line, what was asked while it ran, and what it gave."""
        self.names["_made"] = None
        source = re.sub("^> ", "", line, flags=re.MULTILINE)
        try:
            waiting = eval(expression_page.program(source, "page"), self.names)  # noqa: S307 - our own page
            if waiting is not None:
                await waiting
            given = self.names["_made"]
            found = "\n".join(given) if isinstance(given, Lines) else "" if given is None else repr(given)
        except Exception as error:  # noqa: BLE001 - a page says which errors are raised
            lines = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
            found = expression_page.without_places(lines)
        found = found.replace(str(self.database.parent), "FOLDER")
        placed, self.asked[:] = self.asked[:], ()
        asked = [
            line for _, request in in_order(placed, itemgetter(0)) for line in graph_pages.sent(request, self.texts)
        ]
        return [line, *(f"  {each}" for each in [*asked, *found.split("\n")] if each)]
