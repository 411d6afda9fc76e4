"""A harness that kills `life.py` repeatedly, answers its questions, and checks what each death cost.

A `Trial` is one run in its own database. Its processes are started one after another, and between them the records are
checked exactly: work that a process did but the log does not contain is lost and must be done once more; no other work
may be repeated. `order_free` is the part that two logs must have in common.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from graphengine import Runner
from graphengine.engine.fold import evolve
from graphengine.engine.frame_tree import place_of
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Step
from graphengine.errors import InputError, UnknownRun
from graphengine.history.load import load_snapshot
from tests.crash.life import RUN, Moment, News, Orders
from tests.kit.facts import said

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = Path(__file__).with_name("life.py")
SECONDS: Final = 60
"""A process that takes longer hangs."""
POLL_SECONDS: Final = 0.02
PROCESSES: Final = 60
"""The most processes that any run needs to finish, however it is killed."""
ANSWERS: Final[Mapping[str, object]] = {"agree": True, "christen": "Ada", "publish": "rerun"}
PASSING: Final = {"at", "began", "chance", "code", "due", "due_at", "nonce", "traceback"}
"""The parts in which any two runs differ: times, chance, nonces, which step names the code, and tracebacks."""
_SEQ: Final = re.compile(r"@[0-9]+(\.[a-z0-9]+)?$")
"""How the id of a question ends: the step that asked it first, the number of which differs as the times do."""
MOMENTS: Final[Sequence[Moment]] = ("line", "line", "before", "submitted", "durable", "stuck")
LATEST_SECONDS: Final = 0.001
"""The duration of some commits: a death up to this late can hit the writing thread anywhere."""


# -- facts in a log


def order_free(steps: Sequence[Step]) -> Counter[str]:
    """Return every row except those caused by crashes, without its number and times: equal logs differ in order only.

    A crash causes `resumed` rows and, for the node that must not be repeated without permission, its further attempts,
    the questions whether to repeat it, and their answers.
    """
    rows: Counter[str] = Counter()
    begun: set[tuple[str, str, int]] = set()
    for step in steps:
        visit = (step.frame, step.node, step.visit)
        again = step.kind == "begun" and visit in begun
        is_question = step.kind in ("waiting", "answered") and step.node == "publish"
        if step.kind == "begun":
            begun.add(visit)
        if step.kind != "resumed" and not again and not is_question:
            facts = {"kind": step.kind, "attempt": step.attempt, "update": step.update, "data": _lasting(said(step))}
            rows[json.dumps([*visit, facts], sort_keys=True)] += 1
    return rows


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _lasting(inner) for key, inner in value.items() if key not in PASSING}
        if isinstance(kept.get("id"), str):
            kept["id"] = _SEQ.sub("", kept["id"])
        return {key: sorted(inner) if key == "unused" else inner for key, inner in kept.items()}  # made side by side
    return [_lasting(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def recorded(steps: Sequence[Step], run_id: str = RUN) -> Counter[str]:
    """Return the work that the log records as done, named as in the lines of work."""
    snapshot, found = Snapshot(), Counter[str]()
    for step in steps:
        if step.kind == "recorded" and isinstance(said(step)["value"], str):
            found[said(step)["value"]] += 1
        elif step.kind in ("node", "item", "attempt", "failed"):
            found[f"{run_id}/{place_of(snapshot.frames[step.frame])} {step.attempt} whole"] += 1
        evolve(snapshot, step)
    return found


def awaits_news(step: Step) -> bool:
    """Return whether a node began to wait for a message from outside."""
    return step.kind == "waiting" and any(wait.get("topic") == "news" for wait in said(step)["waits"].values())


def done(lines: Path) -> Sequence[tuple[int, str]]:
    """Return which process did which work, in order."""
    if not lines.exists():
        return []
    parts = [line.partition(" ") for line in lines.read_text(encoding="utf-8").splitlines()]
    return [(int(pid), what) for pid, _, what in parts]


def never_recorded(what: str) -> bool:
    """Return whether it is the work of the arm that is cancelled while it works."""
    return "/dawdle:" in what


# -- processes


class Stage:
    """A source of processes: `life.py`, which has loaded everything and forks one for each orders."""

    def __init__(self) -> None:
        self._source: Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._begun: deque[asyncio.Future[tuple[int, asyncio.Future[int]]]] = deque()
        self._codes: dict[int, asyncio.Future[int]] = {}

    async def enter(self, orders: Orders) -> "Employed":
        """Return a new process that follows these orders."""
        if self._source is None:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._source = await asyncio.create_subprocess_exec(
                sys.executable, str(PROGRAM), stdin=PIPE, stdout=PIPE, env=environment
            )
            self._listening = asyncio.create_task(self._listen(self._source))
        assert self._source.stdin is not None
        begun = asyncio.get_running_loop().create_future()
        self._begun.append(begun)
        self._source.stdin.write(orders.model_dump_json().encode() + b"\n")
        pid, over = await asyncio.wait_for(begun, SECONDS)
        return Employed(pid, over, Path(orders.errors))

    async def _listen(self, source: Process) -> None:
        """Settle what the source reports of its processes."""
        assert source.stdout is not None
        async for line in source.stdout:
            news = News.model_validate_json(line)
            if news.code is None:  # it can have ended before its employer learns of it
                over = self._codes[news.pid] = asyncio.get_running_loop().create_future()
                self._begun.popleft().set_result((news.pid, over))
            else:
                self._codes.pop(news.pid).set_result(news.code)

    async def close(self) -> None:
        """End the source."""
        if self._source is not None and self._listening is not None:
            assert self._source.stdin is not None
            self._source.stdin.close()
            await self._listening
            await self._source.wait()


@contextlib.asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Provide a stage, and check that it is empty at the end."""
    stage = Stage()
    try:
        yield stage
    finally:
        await stage.close()


# -- a run and its deaths


@dataclass(frozen=True)
class Death:
    """When and how to kill a process.

    Attributes:
        moment: As in `Orders`; or, detected by the killing test, after a `delay`, or when the run waits and its process
            stays (`waiting`).
        number: Which occurrence of that moment, from 1.
        seconds: For `delay`, after how long; for the other moments, how late.
        live: Whether questions are answered while the process lives.
    """

    moment: Moment | Literal["delay", "waiting"] = "never"
    number: int = 1
    seconds: float = 0.0
    live: bool = False

    @classmethod
    def drawn(cls, random: Random, life_seconds: float, *, spares: bool) -> "Death":
        """Draw any death; if some visits must be spared, the process must count for itself."""
        live = random.random() < 0.4
        draw = random.random()
        if draw < 0.1:
            return cls("waiting")
        if draw < 0.4 and not spares:
            return cls("delay", seconds=random.uniform(0, life_seconds), live=live)
        moment = random.choice(MOMENTS)
        late = random.uniform(0, LATEST_SECONDS) if moment == "submitted" else 0.0
        return cls(moment, random.randint(1, 24), late, live)

    def die(self) -> Moment:
        """Return the part of it that the process is given."""
        if self.moment == "delay" or self.moment == "waiting":  # noqa: PLR1714 - mypy narrows these
            return "never"
        return self.moment


@dataclass
class Books:
    """The record of a trial.

    Attributes:
        kills: For each death, how it happened and how many rows the log had.
        lost: The work of processes that was not recorded when they died.
        reruns: How often it was permitted to repeat the work that must not be repeated without permission.
    """

    kills: list[tuple[Death, int]] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    reruns: int = 0


class Trial:
    """One run, through any number of deaths.

    Args:
        folder: The folder of its database and its lines.
        runner: A runner in this process over the same database.
        stage: The source of its processes.
        nap_seconds: How long the run sleeps.
    """

    def __init__(self, folder: Path, runner: Runner, stage: Stage, nap_seconds: float = 0.005) -> None:
        self.lines = folder / "lines"
        self.books = Books()
        self.runner = runner
        self._orders = Orders(
            database=str(folder / "runs.db"),
            lines=str(self.lines),
            errors=str(folder / "errors"),
            what="start",
            nap_seconds=nap_seconds,
        )
        self._stage = stage
        self._processes = 0

    async def steps(self) -> Sequence[Step]:
        """Return the log; empty before the run begins."""
        try:
            return await self.runner.history(RUN)
        except UnknownRun:
            return []

    async def status(self) -> str:
        """Return the run's status; "" before it begins."""
        return (await self._position())[0]

    async def _position(self) -> tuple[str, int]:
        """Return the run's status and its last step."""
        try:
            info = await self.runner.store.info(RUN)
        except UnknownRun:
            return "", 0
        return info.status, info.seq

    async def at_risk(self) -> list[tuple[str, str, int]]:
        """Return the visits that were in flight at a crash and are not over."""
        if not await self.status():
            return []
        frames = (await load_snapshot(self.runner.store, RUN, None)).frames.values()
        return [(frame.id, frame.at, frame.visit) for frame in frames if frame.crashes]

    async def begun(self) -> set[str]:
        """Return the visits and attempts that the log has begun and not ended, named as in the lines of work."""
        if not await self.status():
            return set()
        frames = (await load_snapshot(self.runner.store, RUN, None)).frames.values()
        return {f"{RUN}/{place_of(frame)} {frame.attempt}" for frame in frames}

    async def answer(self) -> None:
        """Answer every open question; all at once, and again after a death."""
        with contextlib.suppress(UnknownRun):
            for wait in await self.runner.waits(RUN):
                with contextlib.suppress(InputError):  # it was answered meanwhile
                    if wait.answerable:
                        await self.runner.answer(RUN, ANSWERS[wait.name], wait=wait)
                    elif wait.topic == "news":
                        number = sum(awaits_news(step) for step in await self.steps())
                        await self.runner.send(RUN, "news", f"news {number}", idempotency_key=str(number))

    async def process(self, death: Death, spare: Sequence[tuple[str, str, int]] = ()) -> bool:
        """Let one process continue the run until it dies, ends or waits. Check the record. Return whether it died."""
        self._processes += 1
        assert self._processes <= PROCESSES, "the run does not end"
        known = recorded(await self.steps())
        status, seq = await self._position()
        worker = await self.employ(
            what="resume" if status else "start",
            stays=death.moment == "waiting",  # a sleeping process stays anyway
            die=death.die(),
            number=death.number,
            late_seconds=death.seconds,
            spare=list(spare),
        )
        killed = await self._see_through(worker, death, seq)
        await self._check_books(worker.pid, known, killed=killed)
        if killed:
            self.books.kills.append((death, sum(order_free(await self.steps()).values())))
        return killed

    async def employ(self, **orders: object) -> "Employed":
        """Return a process that follows these orders."""
        return await self._stage.enter(self._orders.model_copy(update=orders))

    async def _see_through(self, process: "Employed", death: Death, seq: int) -> bool:
        """Wait until the process ends or must be killed. Return whether it was killed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        polls = death.live or death.moment == "waiting"
        ends = began + (death.seconds if death.moment == "delay" else SECONDS)
        while not process.over.done() and loop.time() < ends and not await self._is_time(death, seq):
            await asyncio.wait([process.over], timeout=min(ends - loop.time(), POLL_SECONDS if polls else SECONDS))
            if death.live:
                await self.answer()
        hangs = not process.over.done() and loop.time() >= began + SECONDS
        code, errors = await process.end()
        assert not hangs, f"a process took longer than {SECONDS} s: {death}"
        assert code in (0, -9), errors
        return code == -9

    async def _is_time(self, death: Death, seq: int) -> bool:
        """Return whether to kill it now, according to the state of its run."""
        if death.moment != "waiting":
            return False
        status, now = await self._position()
        waits = await self.runner.waits(RUN) if status == "waiting" and now > seq else []
        return any(wait.kind != "sleep" for wait in waits)

    async def _check_books(self, pid: int, known: Counter[str], *, killed: bool) -> None:
        """Check that recorded work was not repeated, and that all work was recorded unless the process was killed."""
        mine = Counter(what for worker, what in done(self.lines) if worker == pid)
        steps = await self.steps()
        lost = mine - recorded(steps)
        assert not mine.keys() & known.keys(), "recorded work was repeated"
        assert max(mine.values(), default=0) <= 1, "one process did the same work twice"
        begun = await self.begun()
        early = [what for what in lost if not never_recorded(what) and " ".join(what.split(" ")[:2]) not in begun]
        assert not early, f"begun before the log recorded its start: {early}"
        assert killed or all(map(never_recorded, lost)), f"not recorded, although no process was killed: {lost}"
        self.books.lost.update(lost)
        self.books.reruns = sum(
            step.kind == "answered" and step.node == "publish" and said(step)["answer"]["value"] == "rerun"
            for step in steps
        )

    async def live_on(self) -> None:
        """Answer and resume until the run has ended."""
        while await self.status() not in ("finished", "failed", "stopped"):
            await self.answer()
            await self.process(Death())


class Employed:
    """A process that has its orders.

    Attributes:
        pid: Its process id.
        over: Its exit code, once it has ended.
    """

    def __init__(self, pid: int, over: "asyncio.Future[int]", errors: Path) -> None:
        self.pid = pid
        self.over = over
        self._errors = errors

    async def end(self) -> tuple[int, str]:
        """Kill it if it has not ended. Return its exit code and its stderr."""
        if not self.over.done():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, signal.SIGKILL)
        return await self.over, self._errors.read_text(encoding="utf-8")


# -- comparison


@dataclass(frozen=True)
class Ideal:
    """The result of a run that is not killed."""

    state: object
    rows: Counter[str]
    recorded: Counter[str]
    done: Counter[str]
    seconds: float

    @classmethod
    async def of(cls, folder: Path, stage: Stage, nap_seconds: float = 0.005) -> "Ideal":
        """Let a run finish undisturbed."""
        folder.mkdir()
        async with Runner(folder / "runs.db") as runner:
            trial = Trial(folder, runner, stage, nap_seconds)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await trial.process(Death())
            seconds = loop.time() - began
            await trial.live_on()
            assert await trial.status() == "finished"
            steps = await trial.steps()
            works = works_of(trial)
            assert set(works.values()) == {1}
            assert recorded(steps).keys() >= works.keys()
            return cls(await runner.state_at(RUN), order_free(steps), recorded(steps), works, seconds)

    async def check(self, trial: Trial) -> None:
        """Check that another run reached the same state and the same log."""
        assert await trial.status() == "finished"
        steps = await trial.steps()
        assert await trial.runner.state_at(RUN) == self.state
        rows = order_free(steps)
        more, missing = rows - self.rows, self.rows - rows
        assert not more, f"more than in the undisturbed run: {more}, and missing: {missing}"
        assert not missing, f"missing from the undisturbed run: {missing}"
        assert recorded(steps) == self.recorded
        assert works_of(trial).keys() == self.done.keys()

    def check_costs(self, trial: Trial) -> None:
        """Check that each death cost no more than the work that it interrupted."""
        lost = Counter({what: times for what, times in trial.books.lost.items() if not never_recorded(what)})
        assert works_of(trial) == self.done + lost, "lost work is done once more, other work once"
        assert sum(times for what, times in lost.items() if "/publish:" in what) <= trial.books.reruns


def works_of(trial: Trial) -> Counter[str]:
    """Return how often a trial did each piece of work that is recorded in the end."""
    return Counter(what for _, what in done(trial.lines) if not never_recorded(what))
