"""A process whose disk has faults: `faulty.py FOLDER WHAT …`, with the library made of `faults.c` preloaded.

- `rounds KIND OPERATIONS STRIDE`: for each STRIDEth operation a round of its own, in which just that one fails. A round
  opens a new database, drives runs, resumes those that met the fault, and closes. In the middle and after it the files
  are looked at: nothing acknowledged may be missing, the doctor must approve, and every run must come to its end.
- `kill OPERATIONS NTH`: drive runs, and be killed inside the NTH of these operations on the log.
- `record`: drive runs beside an owner that renews its lease, and record what reaches the disk, for a power cut.

What was acknowledged is written to FOLDER/acknowledged, a line `RUN SEQ TRACE_BYTES` for each step. What came of the
rounds is a JSON document on stdout.
"""

import asyncio
import ctypes
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, iterations
from graphengine.engine.steps import Step
from graphengine.errors import GraphEngineError
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.sqlite import SQLiteStore, doctor

KINDS: Final = {"io": 1, "full": 2, "short": 3, "kill": 4}
RUNS: Final = ("a", "b")
VISITS: Final = 2
TEXT: Final = "x" * 12_000
"""A commit of it takes several frames of the log."""
LEFT: Final = {"dead_owner", "driver_without_owner", "stray_lock"}
"""What a kill leaves and the next process clears away."""
FAULTS: Final = ctypes.CDLL(None)


class State(BaseModel):
    """What a run leaves."""

    text: str = ""


async def write(ctx: Context) -> str:
    """Write much."""
    return f"{ctx.visit} {TEXT}"


def graph() -> Graph[State]:
    """One node, a few times."""
    made = Graph("writer", State)
    made.add_node("write", write, writes="text")
    made.add_edge(START, "write")
    made.add_edge("write", END, when=iterations("write") >= VISITS)
    made.add_edge("write", "write")
    return made


class Noting(SQLiteStore):
    """A store that notes which steps were acknowledged."""

    def __init__(self, path: Path, *, lease_seconds: float = 30.0) -> None:
        super().__init__(path, lease_seconds=lease_seconds)
        self.notes: dict[str, int] = {}
        self._file = path.with_name("acknowledged")

    async def create(self, info: RunInfo, steps: Sequence[Step], outline: object) -> int:
        fence = await super().create(info, steps, outline)  # type: ignore[arg-type]  # as it was given
        self.note(info.id, len(steps))
        return fence

    def append(self, batch: Append) -> asyncio.Future[None]:
        written = super().append(batch)
        written.add_done_callback(
            lambda done: None if done.exception() else self.note(batch.run_id, batch.steps[-1].seq)
        )
        return written

    def note(self, run_id: str, seq: int) -> None:
        """Note that all steps up to this one are durable, in a file that outlives this process."""
        self.notes[run_id] = max(seq, self.notes.get(run_id, 0))
        trace = self.path.with_name("trace")
        with self._file.open("a") as file:
            file.write(f"{run_id} {seq} {trace.stat().st_size if trace.exists() else 0}\n")


async def drive(runner: Runner) -> list[str]:
    """Drive every run that is not over; the codes of their errors."""
    codes: list[str] = []

    async def one(run_id: str) -> None:
        try:
            known = {info.id for info in await runner.store.runs()}
            run = runner.resume(graph(), run_id) if run_id in known else runner.start(graph(), run_id=run_id)
            await run.result()
        except GraphEngineError as error:
            codes.append(error.code)

    await asyncio.gather(*map(one, RUNS))
    return codes


async def troubles(path: Path, notes: dict[str, int], when: str) -> list[str]:
    """What is wrong with a database whose process died: nothing, if all is well; its runs come to their end."""
    if not path.exists():
        return [f"{when}: {run_id} is lost" for run_id in notes]
    try:
        found = [] if path.stat().st_size == 0 else doctor.examine(path).faults
    except GraphEngineError as error:
        found = []
        if notes or error.code not in {"store_missing", "store_not_a_database", "store_read_only"}:
            return [f"{when}: the doctor says {error.code}: {error.message}"]
    wrong = [f"{when}: {each.code} {each.what}" for each in found if each.code not in LEFT]
    try:
        async with Runner(path) as runner:
            for run_id, seq in notes.items():
                kept = (await runner.store.info(run_id)).seq
                if kept < seq:
                    wrong.append(f"{when}: of run {run_id} {seq} steps were acknowledged and {kept} are there")
            wrong += [f"{when}: a run cannot be resumed: {code}" for code in await drive(runner)]
            wrong += [
                f"{when}: {info.id} is {info.status}" for info in await runner.store.runs() if info.status != "finished"
            ]
    except GraphEngineError as error:
        wrong.append(f"{when}: {error.code}: {error.message}")
    return wrong


def copied(path: Path) -> Path:
    """The files as they are now, as a kill at this moment would leave them; by another process, for our locks' sake."""
    folder = path.parent / "copy"
    folder.mkdir()
    subprocess.run(["cp", *map(str, path.parent.glob("runs.db*")), str(folder)], check=False, stderr=subprocess.DEVNULL)
    (folder / "runs.db-shm").unlink(missing_ok=True)
    return folder / "runs.db"


async def round_of(folder: Path, kind: str, operations: str, nth: int) -> tuple[bool, list[str], list[str]]:
    """Whether the fault was met, what the callers were told, and what is wrong afterwards."""
    folder.mkdir()
    path = folder / "runs.db"
    told: list[str] = []
    notes: dict[str, int] = {}
    at_kill: dict[str, int] = {}
    FAULTS.faults_arm(str(path).encode(), KINDS[kind], operations.encode(), nth)
    copy: Path | None = None
    again: list[str] = []
    try:
        store = Noting(path)
        notes = store.notes
        async with Runner(store) as runner:
            told += await drive(runner)
            copy = copied(path)
            at_kill = dict(notes)
            again = [f"here: {code}" for code in await drive(runner)] if told else []
    except GraphEngineError as error:
        told.append(error.code)
    was_met = FAULTS.faults_disarm() > 0
    wrong = again if was_met else []
    if copy is not None and copy.exists():
        wrong += await troubles(copy, at_kill, "killed")
    wrong += await troubles(path, notes, "closed")
    return was_met, told, wrong


def rounds(folder: Path, kind: str, operations: str, stride: int) -> None:
    """A round for each of the operations, until a round has no more of them."""
    codes: dict[str, int] = defaultdict(int)
    wrong: dict[int, list[str]] = {}
    nth = 1
    while True:
        was_met, told, troubled = asyncio.run(round_of(folder / str(nth), kind, operations, nth))
        for code in told:
            codes[code] += 1
        if troubled:
            wrong[nth] = troubled
        if not was_met:
            break
        nth += stride
    sys.stdout.write(json.dumps({"last": nth, "codes": codes, "wrong": wrong}))


async def die(path: Path, operations: str, nth: int) -> None:
    """Drive runs until the fault kills this process."""
    async with Runner(Noting(path)) as runner:
        FAULTS.faults_arm(f"{path}-wal".encode(), KINDS["kill"], operations.encode(), nth)
        await drive(runner)


async def record(path: Path) -> None:
    """Drive runs while another owner renews its lease again and again."""
    FAULTS.faults_record(str(path).encode(), str(path.with_name("trace")).encode())
    idle = SQLiteStore(path)
    async with Runner(Noting(path)) as runner:
        await idle.open()
        assert idle.lease is not None
        driving = asyncio.create_task(drive(runner))
        while not driving.done():
            await asyncio.to_thread(idle.lease.renew)
        FAULTS.faults_disarm()
        assert await driving == []
        await idle.close()


def main() -> None:
    """Do what the command line says."""
    folder, what, *rest = sys.argv[1:]
    path = Path(folder) / "runs.db"
    if what == "rounds":
        rounds(Path(folder), rest[0], rest[1], int(rest[2]))
    elif what == "kill":
        asyncio.run(die(path, rest[0], int(rest[1])))
    else:
        asyncio.run(record(path))


if __name__ == "__main__":
    os.environ.pop("LD_PRELOAD", None)  # not for the processes that this one starts
    main()
