"""Programs that are stopped at every step and resumed under an edit of their text: `edited_programs` draws both.

A stop ends the process right after a step is recorded, or right before the next one would be recorded: then all that
the process was doing has happened outside. Afterwards a deployment replaces the text of the module, and another process
resumes the run, and answers each question as is true.

    python -m tests.migration.edits --programs 2000 --store sqlite --seed 1

plays programs from a seed, and prints each promise that was broken, with the number of the program, and how many stops
there were, how many of them were between the beginning and the end of an effect, and how many questions were asked.
`--first N --programs 1 --show` prints the text of one program, and what happened after each stop.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import contextlib
import functools
import hashlib
import importlib.util
import json
import logging
import math
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol, cast
from unittest.mock import patch

from msgspec import to_builtins
from pydantic_core import to_json

from graphengine import RunFailed, Runner
from graphengine.engine.phases import BEGUN
from graphengine.engine.snapshot import Frame, Snapshot
from graphengine.errors import GraphChanged, GraphEngineError, StoreError
from graphengine.history.load import load_snapshot
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import ToolCall
from graphengine.stores.base import Append, Store
from graphengine.stores.memory import InMemoryStore
from tests.migration.edited_programs import CHANGES, KEEPING, MOVES, Draw, Edit, Program, source_of

MOST_ROUNDS: Final = 60
"""How often a run is resumed at most until it has ended."""
MOST_WRITES: Final = 400
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - each process makes a folder of its own in it
REF: Final = re.compile(r"""ref['"]?[=:] ?['"]([^'"]+)""")
RUN: Final = "r"
NAME: Final = "program_of_edits"
"""The name of the module in all deployments."""
ALL: Final = (*KEEPING, *MOVES, *CHANGES)


class Wrong(AssertionError):
    """A run cannot come to its end."""


class Stop(NamedTuple):
    """Where a process dies: after which write, and whether it goes on until the next one."""

    writes: int
    goes_on: bool = False


class Asked(NamedTuple):
    """A question about effects: in which visit it was asked, and its text."""

    visit: str
    text: str


@dataclass
class World:
    """All that is outside: what was done, and whether the process lives.

    Attributes:
        acts: What was done: the verb, the piece, and the idempotency key.
        breaks: Whether nobody hears that something was done, because each connection breaks.
    """

    acts: list[tuple[str, str, str]] = field(default_factory=list)
    is_dead: bool = False
    breaks: bool = False

    async def act(self, verb: str, what: object, amount: int, key: str = "") -> str:
        """Do something."""
        ref = ref_in(repr(what))
        await asyncio.sleep(0)
        if self.is_dead:
            raise asyncio.CancelledError
        self.acts.append((verb, ref if amount == 5 else f"{ref} for {amount}", key))
        await asyncio.sleep(0)
        if self.breaks:
            raise ConnectionError("the connection broke")
        return f"done {ref}"

    def answer(self, ref: str, turns: Sequence[Sequence[tuple[str, Any]]], request: Any) -> object:
        """Answer as a model: call the tools of the next turn, or end the conversation."""
        if self.is_dead:
            raise StoreError("the process is dead")
        number = sum(message.role == "assistant" for message in request.messages)
        self.acts.append(("model", f"{ref}.{number}", ""))
        if number == len(turns):
            return f"done {ref}.{number}"
        return [
            ToolCall(id=f"{ref}.{number}.{at}", name=name, arguments=json.dumps(given))
            for at, (name, given) in enumerate(turns[number])
        ]

    def counts(self, since: int = 0) -> Counter[tuple[str, str]]:
        """Return how often each thing was done."""
        return Counter(act[:2] for act in self.acts[since:])

    def keys(self) -> Counter[tuple[str, str]]:
        """Return with how many keys each thing was done."""
        return Counter(act[:2] for act in {*self.acts})


def ref_in(text: str) -> str:
    """Return the `ref` of the piece that a text is about; "" if there is none."""
    for pattern in (REF, r"done (\w+)", r"moved_(\w+)"):
        if (found := re.search(pattern, text)) is not None:
            return found[1]
    found = re.search(r"\b[nm](\d) began", text)  # a node that is an effect itself
    return f"n{found[1]}s" if found is not None else ""


# --- The store of a process -------------------------------------------------------------------------------------------


class Gate:
    """A store as one process has it, which dies at a stop."""

    def __init__(self, store: Store, world: World, stop: Stop | None) -> None:
        self._store, self._world, self._stop = store, world, stop
        self.writes = 0

    def _enter(self) -> bool:
        """Count a write. Return whether the process dies once it is durable."""
        if self._world.is_dead or (self._stop is not None and self.writes == self._stop.writes):
            self._die()
        self.writes += 1
        return self._stop == Stop(self.writes)

    def _die(self) -> None:
        self._world.is_dead = True
        raise StoreError("the process is dead")

    def append(self, batch: Append) -> Awaitable[None] | None:
        """Add steps."""
        dies, durable = self._enter(), self._store.append(batch)
        return self._until(durable) if dies else durable

    async def _until(self, durable: Awaitable[None] | None) -> None:
        if durable is not None:
            await durable
        self._die()

    async def create(self, *args: Any) -> int:
        """Record a new run."""
        dies, fence = self._enter(), await self._store.create(*args)
        if dies:
            self._die()
        return fence

    async def open(self) -> None:
        """Do nothing: the medium opens the store."""

    async def close(self) -> None:
        """Do nothing: the medium closes the store."""

    def __getattr__(self, name: str) -> Any:
        if self._world.is_dead:
            self._die()
        return getattr(self._store, name)


class Medium(Protocol):
    """Where the runs of one program are stored."""

    async def open(self) -> Store:
        """Return the store of a new process."""
        ...

    async def kill(self, store: Store) -> None:
        """End the store of a process."""
        ...

    def remove(self) -> None:
        """Remove the runs."""
        ...


class Memory:
    """Runs in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self._store = InMemoryStore(clock=clock.now)

    async def open(self) -> Store:
        """Return the store of a new process, which is that of the one before."""
        await self._store.open()
        return self._store

    async def kill(self, store: Store) -> None:
        """Leave the runs of a process to the next one."""
        for log in self._store._logs.values():  # noqa: SLF001
            log.driver_fence = None

    def remove(self) -> None:
        """Do nothing: they go with the store."""


@functools.cache
def no_runs() -> bytes:
    """Return a SQLite file without runs, which is made by an event loop of its own."""
    from tests.kit.sqlite_files import empty_file  # noqa: PLC0415 - runs in memory need no databases

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(empty_file).result()


class File:
    """Runs in a SQLite file."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._folder = tempfile.TemporaryDirectory(prefix="graphengine-edits-")
        self._path = Path(self._folder.name) / "runs.db"
        self._path.touch(0o600)
        self._path.write_bytes(no_runs())

    async def open(self) -> Store:
        """Return the store of a new process."""
        from graphengine.databases.sqlite import SQLiteStore  # noqa: PLC0415 - as above

        store = SQLiteStore(self._path, synchronous="NORMAL", lease_seconds=1e9, clock=self._clock.now)
        await store.open()
        return store

    async def kill(self, store: Store) -> None:
        """End the store of a process as `kill -9` does."""
        from tests.kit.sqlite_files import kill  # noqa: PLC0415 - as above

        await kill(cast("Any", store))

    def remove(self) -> None:
        """Remove the file."""
        self._folder.cleanup()


class Server:
    """Runs in a schema of a PostgreSQL server. A process that ends releases its runs."""

    def __init__(self, server: Any) -> None:
        self._server, self._address = server, server.empty_address()

    async def open(self) -> Store:
        """Return the store of a new process."""
        from graphengine.databases.postgres import PostgresStore  # noqa: PLC0415 - as above

        store = PostgresStore(self._address)
        await store.open()
        return store

    async def kill(self, store: Store) -> None:
        """Close the store of a process."""
        await store.close()

    def remove(self) -> None:
        """Empty the schema."""
        self._server.give_back(self._address)


Media = Callable[[FakeClock], Medium]


# --- Playing ----------------------------------------------------------------------------------------------------------


@functools.cache
def folder() -> Path:
    """Return the folder of the modules, which is removed when this process ends."""
    made = tempfile.mkdtemp(prefix="graphengine-edits-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


@functools.lru_cache(maxsize=8)
def loaded(source: str) -> ModuleType:
    """Return the module of a text, as the processes of one deployment have it."""
    file = folder() / f"{hashlib.blake2b(source.encode(), digest_size=12).hexdigest()}.py"
    file.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Play:
    """One run of a program, from its start to its end.

    Attributes:
        asked: The program's own questions that were answered, and how often.
        unknown: The questions about effects since the last stop.
        unanswerable: The questions about effects to which no answer is true.
        refused: Why the run cannot go on; "" if it finished.
        state: The state at the end.
        runs: How many runs there are at the end.
        writes: How many writes the last process made.
        left: The effects that had begun and had no recorded end at the last stop, by visit.
        at_stake: The effects that had begun at the last stop in visits that were not over.
        recorded: What was recorded at the last stop, and what was answered since.
        known: How often the work of each piece was recorded at the last stop.
        before: How many things had been done at the last stop.
        on_the_way: The program's own questions whose answers the last process had not recorded when it died.
        open: The store of the next process, if it was opened to see what the last one left.
    """

    program: Program
    medium: Medium
    clock: FakeClock
    world: World = field(default_factory=World)
    asked: Counter[str] = field(default_factory=Counter)
    unknown: list[Asked] = field(default_factory=list)
    unanswerable: list[str] = field(default_factory=list)
    refused: str = ""
    state: Any = None
    runs: int = 0
    writes: int = 0
    left: Counter[str] = field(default_factory=Counter)
    at_stake: set[str] = field(default_factory=set)
    recorded: str = ""
    known: Counter[str] = field(default_factory=Counter)
    before: int = 0
    on_the_way: Counter[str] = field(default_factory=Counter)
    open: Store | None = None

    async def process(self, program: Program, stop: Stop | None) -> bool:
        """Be one process, which has a program: start or resume the run, until it ends or the process dies.

        Returns whether the process died.
        """
        module = sys.modules[NAME] = loaded(source_of(program))
        module.__dict__["world"] = self.world
        self.world.is_dead, self.unknown, self.before = False, [], len(self.world.acts)
        store = self.open or await self.medium.open()
        self.open = None
        gate = Gate(store, self.world, stop)
        runner = Runner(cast("Store", gate), clock=self.clock)
        try:
            await self._go(runner, store, module)
        except (StoreError, asyncio.CancelledError):
            if not self.world.is_dead:
                raise
        except (RunFailed, GraphChanged) as error:
            self.refused = "" if self.world.is_dead else str(error)
        finally:
            with contextlib.suppress(GraphEngineError):
                await runner.close()
            if not self.world.is_dead:
                self.runs = len(await store.runs(limit=1000))
            await self.medium.kill(store)
        if self.world.is_dead:  # what the process had written may have become durable after its death
            self.open = await self.medium.open()
            await self._note(self.open)
        self.writes = gate.writes
        return self.world.is_dead

    async def end(self) -> None:
        """Remove the runs."""
        if self.open is not None:
            await self.medium.kill(self.open)
        self.medium.remove()

    async def _go(self, runner: Runner, store: Store, module: ModuleType) -> None:
        graph = module.__dict__["graph"]
        is_begun = any(info.id == RUN for info in await store.runs(limit=1000))
        handle = runner.resume(RUN, graph) if is_begun else runner.start(graph, run_id=RUN)
        for _ in range(MOST_ROUNDS):
            result = await handle.result()
            if result.status == "finished":
                self.state = result.state.model_dump()
                return
            if not await self._give(runner, store, module):
                raise Wrong(f"it waits for ever: {[wait.question for wait in result.waits]}")
            handle = runner.resume(RUN, graph)
        raise Wrong("it has no end")

    async def _give(self, runner: Runner, store: Store, module: ModuleType) -> bool:
        """Answer a question of each node that waits. Return whether there was one."""
        given = False
        for info in await store.runs(limit=1000):
            snapshot = await load_snapshot(store, info.id, None)
            for frame in snapshot.frames.values():
                for wait in frame.waits.values():
                    if wait.kind in ("ask", "unknown", "tool"):
                        value = self._says(wait, visit_of(snapshot, frame))
                        await runner.answer(info.id, value, wait=wait.id)
                        given = True
                        break
            if info.id != RUN and given and info.status == "waiting":
                await runner.resume(info.id, module.__dict__[info.graph.replace("child", "graph")]).result()
        return given

    def _says(self, wait: Any, visit: str) -> Any:
        """Return a person's answer."""
        question = str(wait.question)
        if wait.kind == "unknown":
            self.unknown.append(Asked(visit, question))
            return self._knows(question)
        self.asked[question] += 1
        return "yes" if (wait.schema or {}).get("type") == "string" else True

    def _knows(self, question: str) -> Any:
        """Return the true answer to a question about effects."""
        head, *lines = question.splitlines()
        if "The earlier code did this" in head:
            current = ("The current code is about", "The node ends now")
            at = next(number for number, line in enumerate(lines) if line.startswith(current))
            return self._compares(lines[:at], lines[at + 1] if at + 1 < len(lines) else "", question)
        numbered = [line.partition(": ") for line in lines if line[:1].isdigit()]
        if numbered:
            return {number: self._ended(text) for number, _, text in numbered}
        return self._ended(question)

    def _compares(self, earlier: Sequence[str], now: str, question: str) -> str:
        """Return whether what the code is about to do is what the earlier code did.

        A graph that the node has become, and a child run to which a call has moved, would do it again inside: they
        cannot have the recorded result, so that only `fail` is true.
        """
        refs = [ref_in(line) for line in earlier]
        moved = re.search(r"ctx\.start\(child_moved_(\w+)\)", now)
        if now.startswith("- the graph or map") or (moved is not None and moved[1] in refs):
            return "fail"
        if moved is not None or ref_in(now) not in refs:
            return "another"
        if refs[0] == ref_in(now) and "ctx.start(" not in now:
            return "same"
        self.unanswerable.append(question)
        return "fail"

    def _ended(self, text: str) -> Any:
        """Return how an effect ended that began."""
        ref = ref_in(text)
        done = sum(act[1] == ref for act in self.world.acts)
        if done <= self.recorded.count(f"done {ref}"):
            return "rerun"
        self.recorded += f" done {ref}"
        return {"result": {"text": f"done {ref}"} if re.search(r"_cart_\d", text) else f"done {ref}"}

    async def _note(self, store: Store) -> None:
        """Note what is recorded when the process has died."""
        infos = await store.runs(limit=1000)
        self.left, self.at_stake, self.recorded, self.on_the_way = Counter(), set(), "", Counter()
        for info in infos:
            snapshot = await load_snapshot(store, info.id, None)
            mail = [each.payload.get("id") for each in await store.inbox([info.id])]
            for frame in snapshot.frames.values():
                self.on_the_way.update(str(wait.question) for wait in frame.waits.values() if wait.id in mail)
                begun = {key: memo for key, memo in frame.recorded_results.items() if memo.begun and memo.id}
                self.left[visit_of(snapshot, frame)] += sum(key.startswith(BEGUN) for key in begun)
                self.at_stake.update(ref_in(str(memo.value)) for memo in begun.values())
            steps = [step.data for step in await store.steps(info.id) if step.kind == "recorded"]
            self.recorded += " ".join(to_json(to_builtins(each)).decode() for each in steps)
        self.known = Counter(re.findall(r"done ([\w.]+)", self.recorded))


def visit_of(snapshot: Snapshot, frame: Frame) -> str:
    """Return the visit that a frame is in."""
    return f"{snapshot.run_id} {frame.id} {frame.at} {frame.visit}"


async def played(program: Program, media: Media, *after: tuple[Stop, Sequence[Edit]]) -> Play | None:
    """Play a program that is stopped, and resumed under more edits each time. None if it ended before a stop."""
    clock = FakeClock(start=1000.0)
    play = Play(program, media(clock), clock)
    try:
        for stop, edits in after:
            if not await play.process(program, stop):
                return None
            program = program.edited(*edits)
        await play.process(program, None)
    finally:
        await play.end()
    return play


# --- Judging ----------------------------------------------------------------------------------------------------------


def own_questions(play: Play) -> dict[str, int]:
    """Return how often each question of the program was asked, without those that an edit inserts.

    A tool that needs approval is approved for exactly its arguments with their defaults. After a new parameter, or a
    new field in the class of an argument, a person is asked again.
    """
    left_out = ("inserted?", "Asked again: ")
    return {text: count for text, count in play.asked.items() if not any(each in text for each in left_out)}


def questions_once(play: Play, edits: Sequence[Edit]) -> dict[str, int]:
    """Return how often each question of the program was asked, without those that may be asked once more.

    A resume under changed code ends the sleeps of a node. If the node then waits for something that was inserted, an
    answer that is still on its way is refused, as the step `refused` tells, and its question is asked once more.
    """
    own = own_questions(play)
    if not any(edit.kind == "wait" for edit in edits):
        return own
    return {text: count - (count > 1 and text in play.on_the_way) for text, count in own.items()}


def faults_of_kept(play: Play, plain: Play, edits: Sequence[Edit], *, is_first: bool = True) -> Iterator[str]:
    """Yield what is wrong with a run that was stopped, and resumed under edits that keep the meaning.

    Args:
        play: The run.
        plain: The run of the edited program without a stop.
        edits: The edits.
        is_first: Whether it was stopped once: after a second stop, a question may have been answered before.
    """
    if play.refused:
        yield f"refused: {play.refused}"
        return
    asked = Counter(each.visit for each in play.unknown)
    for visit in asked | play.left:
        if not bool(play.left[visit] and is_first) <= asked[visit] <= play.left[visit]:
            texts = [each.text for each in play.unknown if each.visit == visit]
            yield f"asked {asked[visit]} times about {play.left[visit]} effects in {visit}: {texts}"
    done, right, after = play.world.counts(), plain.world.counts(), play.world.counts(play.before)
    for verb, ref in done | right:
        what = verb, ref
        if verb == "pay" and done[what] != right[what]:
            yield f"{what} was done {done[what]} times, not {right[what]}"
        if verb == "send" and play.world.keys()[what] != plain.world.keys()[what]:
            yield f"{what} was done with {play.world.keys()[what]} keys, not {plain.world.keys()[what]}"
        if after[what] > max(right[what] - play.known[ref], 0):
            yield f"{what} was recorded {play.known[ref]} times, and then done {after[what]} times"
    if (own := questions_once(play, edits)) != own_questions(plain):
        yield f"asked {own}, not {own_questions(plain)}"
    if (play.runs, play.state) != (plain.runs, plain.state):
        yield f"ended with {play.runs} runs and {play.state}, not {plain.runs} runs and {plain.state}"


def faults_of_moved(play: Play, plain: Play, edit: Edit) -> Iterator[str]:
    """Yield what is wrong with a run that was stopped, and resumed after a call was moved.

    `Migration(moved=…)` of a graph or a map keeps the effects of the visits inside that are in progress. The effects of
    visits inside that have ended are known to be forgotten, so these are not judged.
    """
    for visit in {each.visit for each in play.unknown}:
        texts = [each.text for each in play.unknown if each.visit == visit]
        most = 1 + bool(play.left.total())  # one to settle what began, and one about what has moved
        if edit.label == "child":  # any effect that is about to begin can be the one that moved: each is asked about
            most = len({*texts})
        if len(texts) > most:
            yield f"asked {len(texts)} times in {visit}: {texts}"
    done, right = play.world.counts(), plain.world.counts()
    is_nest = edit.kind == "migrate" and play.program.nodes[int(edit.at[1:]) - 1].kind in ("subgraph", "map")
    for act in done:
        if act[0] == "pay" and done[act] > right[act] and not (is_nest and act[1] not in play.at_stake):
            yield f"{act} was done {done[act]} times"
    ends = [re.sub(r"moved_(\w+)\.1", r"\1", str(each.state)) for each in (play, plain)]
    if not play.refused and ends[0] != ends[1]:
        yield f"ended with {ends[0]}, not {ends[1]}"
    yield from (f"no answer is true: {each}" for each in play.unanswerable)


def faults_of_changed(play: Play, plain: Play, whole: Play, edit: Edit) -> Iterator[str]:
    """Yield what is wrong with a run that was stopped, and resumed after the meaning of a call was changed.

    Args:
        play: The run.
        plain: The run of the edited program without a stop.
        whole: The run of the program before the edit, without a stop.
        edit: The edit.
    """
    done = play.world.counts()
    right = plain.world.counts() | whole.world.counts()  # of each act, the larger number
    yield from (f"{act} was done {done[act]} times" for act in done if act[0] == "pay" and done[act] > right[act])
    is_asked = bool(play.unknown or play.refused)
    # A removed call is asked about before another effect begins, and there may be none.
    if edit.at in play.at_stake and not is_asked and edit.more != "removed":
        yield "an effect was left, and nobody was asked"


@dataclass
class Counts:
    """What was played.

    Attributes:
        between: The stops between the beginning and the end of an effect.
        asked: For each kind of edit and number of questions about effects: the stops that led to so many.
        refused: The stops that led to a refusal, by the kind of the edit.
        wrong: The promises that were broken.
    """

    programs: int = 0
    stops: int = 0
    between: int = 0
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Hunt:
    """A search.

    Args:
        seed: Where it begins.
        media: Where runs are stored.
        kinds: The kinds of edits: the program of a number has the kind of that number.
        most: How many stops each program has at most; all if it is not given.
        shows: Whether to print the texts of programs, and what happens.
    """

    seed: str
    media: Media = Memory
    kinds: Sequence[str] = KEEPING
    most: int | None = None
    shows: bool = False
    counts: Counts = field(default_factory=Counts)

    async def play(self, number: int) -> None:
        """Play the program of a number, stopped everywhere."""
        with patch("graphengine.runner.driving._TURN_SECONDS", math.inf):  # else how busy the machine is decides
            await self._play(number)

    async def _play(self, number: int) -> None:
        draw, kind = Draw(f"{self.seed} {number}"), self.kinds[number % len(self.kinds)]
        program = draw.program()
        edits = draw.edits(program, kind)
        if not edits:
            return
        plain = await played(program.edited(*edits), self.media)
        whole = await played(program, self.media)
        assert plain is not None
        assert whole is not None
        self.counts.programs += 1
        if self.shows:
            sys.stdout.write(source_of(program))
        stops = [Stop(writes, goes_on) for writes in range(1, whole.writes) for goes_on in (False, True)]
        for stop in stops if self.most is None else draw.random.sample(stops, min(self.most, len(stops))):
            await self._stopped(number, edits, plain, whole, stop)
        if kind in KEEPING:
            first, second = draw.random.choice(stops), Stop(draw.random.randrange(1, 12), draw.random.random() < 0.5)
            await self._stopped(number, edits, plain, whole, first, second)

    async def _stopped(  # noqa: PLR0913 - a program, and where it stops
        self, number: int, edits: Sequence[Edit], plain: Play, whole: Play, stop: Stop, second: Stop | None = None
    ) -> None:
        program = whole.program
        where = f"{number} {edits} {stop}{f' {second}' if second else ''}"
        after = [(stop, edits), (second, ())] if second is not None else [(stop, edits)]
        try:
            play = await played(program, self.media, *cast("Any", after))
        except Exception as error:  # noqa: BLE001 - any failure counts
            self.counts.wrong.append(f"{where}: {type(error).__name__} {error}")
            return
        if play is None:
            return
        kind, counts = edits[0].kind, self.counts
        counts.stops += 1
        counts.between += bool(play.left.total())
        counts.asked[edits[0].label, len(play.unknown)] += 1
        counts.refused[edits[0].label] += bool(play.refused)
        if self.shows:
            sys.stdout.write(f"{where}: {play.refused} {play.unknown} {play.world.acts} {play.before}\n")
        if kind in KEEPING:
            found = faults_of_kept(play, plain, edits, is_first=second is None)
        elif kind == "change":
            found = faults_of_changed(play, plain, whole, edits[0])
        else:
            found = faults_of_moved(play, plain, edits[0])
        counts.wrong += [f"{where}: {each}" for each in found]


def main() -> None:
    """Search as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.migration.edits")
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--kinds", default=",".join(KEEPING), help=f"kinds of edits: {', '.join(ALL)}")
    parser.add_argument("--store", choices=("memory", "sqlite", "postgres"), default="memory")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--most", type=int, help="how many stops each program has at most")
    parser.add_argument("--show", action="store_true", help="print the text of each program, and what happened")
    given = parser.parse_args()
    logging.disable()
    with contextlib.ExitStack() as undone:
        if MEMORY.is_dir():  # a file there is never written to a disk
            undone.enter_context(patch("tempfile.tempdir", str(MEMORY)))
        media: Media = File if given.store == "sqlite" else Memory
        if given.store == "postgres":
            from tests.kit.postgres import PostgresServer  # noqa: PLC0415 - as above

            server = PostgresServer(folder() / "postgres")
            undone.callback(server.remove)
            media = lambda _: Server(server)  # noqa: E731 - it closes over the server
        hunt = Hunt(given.seed, media, given.kinds.split(","), given.most, given.show)
        began, told = time.perf_counter(), 0
        for number in range(given.first, given.first + given.programs):
            asyncio.run(hunt.play(number))
            for each in hunt.counts.wrong[told:][: None if given.show else 3]:
                sys.stdout.write(f"{each}\n")
                sys.stdout.flush()
            told = len(hunt.counts.wrong)
    counts = hunt.counts
    sys.stdout.write(
        f"{counts.programs} programs, {counts.stops} stops, {counts.between} of them between the beginning and the end "
        f"of an effect; {len(counts.wrong)} faults; {time.perf_counter() - began:.0f} s\n"
    )
    for (label, questions), stops in sorted(counts.asked.items()):
        sys.stdout.write(f"{label}: {stops} stops with {questions} questions\n")
    sys.stdout.write(f"refused: {dict(+counts.refused)}\n")
    sys.exit(bool(counts.wrong))


if __name__ == "__main__":
    main()
