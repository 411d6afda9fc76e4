"""A process whose disk has faults: `faulty.py FOLDER WHAT …`, with the library built from `faults.c` preloaded.

- `rounds KIND OPERATIONS STRIDE`: one round for each STRIDEth operation, in which only that operation fails. A round
  opens a new database, drives runs, resumes those that met the fault, and closes. During and after it the files are
  checked: no acknowledged step may be missing, the doctor must approve, and every run must finish.
- `kill OPERATIONS NTH`: drive runs, and be killed inside the NTH of these operations on the log.
- `record`: drive runs next to an owner that renews its lease, and record what reaches the disk, for a power cut.

Acknowledged steps are written to FOLDER/acknowledged, a line `RUN SEQ TRACE_BYTES` for each. The result of the rounds
is a JSON document on stdout.
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

from graphengine import Context, Graph, Runner, iterations
from graphengine.databases.sqlite import SQLiteStore, doctor
from graphengine.databases.sqlite.files import Synchronous
from graphengine.engine.steps import Step
from graphengine.errors import GraphEngineError
from graphengine.stores.base import Append, RunInfo
from tests.kit.runs import repeated

KINDS: Final = {"io": 1, "full": 2, "short": 3, "kill": 4}
RUNS: Final = ("a", "b")
VISITS: Final = 2
TEXT: Final = "x" * 12_000
"""A commit of this size takes several frames of the log."""
LEFT: Final = {"dead_owner", "driver_without_owner", "stray_lock"}
"""The files that a kill leaves and the next process removes."""
FAULTS: Final = ctypes.CDLL(None)


class State(BaseModel):
    """The results of a run."""

    text: str = ""


async def write(ctx: Context) -> str:
    """Write a long text."""
    return f"{ctx.visit} {TEXT}"


def graph() -> Graph[State]:
    """Return a graph of one node, visited a few times."""
    return repeated(State, write, "text", iterations("write") >= VISITS, name="writer", node="write")


class Noting(SQLiteStore):
    """A store that notes which steps were acknowledged."""

    def __init__(self, path: Path, *, synchronous: Synchronous = "FULL") -> None:
        super().__init__(path, synchronous=synchronous)
        self.notes: dict[str, int] = {}
        self._file = path.with_name("acknowledged")

    async def create(self, info: RunInfo, steps: Sequence[Step], graph_spec: object, code_body: object = None) -> int:
        fence = await super().create(info, steps, graph_spec, code_body)  # type: ignore[arg-type]  # as it was given
        self.note(info.id, len(steps))
        return fence

    def append(self, batch: Append) -> asyncio.Future[None] | None:
        written = super().append(batch)
        if written is None:
            self.note(batch.run_id, batch.steps[-1].seq)
            return None
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
    """Drive every run that is not over. Return the codes of their errors."""
    codes: list[str] = []

    async def one(run_id: str) -> None:
        try:
            known = {info.id for info in await runner.store.runs()}
            run = runner.resume(run_id, graph()) if run_id in known else runner.start(graph(), run_id=run_id)
            await run.result()
        except GraphEngineError as error:
            codes.append(error.code)

    await asyncio.gather(*map(one, RUNS))
    return codes


async def troubles(path: Path, notes: dict[str, int], when: str) -> list[str]:
    """Return what is wrong with the database of a dead process, after finishing its runs; [] if nothing is."""
    if not path.exists():
        return [f"{when}: {run_id} is lost" for run_id in notes]
    try:
        found = [] if path.stat().st_size == 0 else doctor.examine(path).faults
    except GraphEngineError as error:
        found = []
        if notes or error.code not in {"store_missing", "store_not_a_database", "store_read_only"}:
            return [f"{when}: the doctor reports {error.code}: {error.message}"]
    wrong = [f"{when}: {each.code} {each.what}" for each in found if each.code not in LEFT]
    try:
        async with Runner(path) as runner:
            for run_id, seq in notes.items():
                kept = (await runner.store.info(run_id)).seq
                if kept < seq:
                    wrong.append(f"{when}: of run {run_id} {seq} steps were acknowledged and {kept} exist")
            wrong += [f"{when}: a run cannot be resumed: {code}" for code in await drive(runner)]
            wrong += [
                f"{when}: {info.id} is {info.status}" for info in await runner.store.runs() if info.status != "finished"
            ]
    except GraphEngineError as error:
        wrong.append(f"{when}: {error.code}: {error.message}")
    return wrong


def copied(path: Path) -> Path:
    """Copy the files as a kill at this moment would leave them; in another process, to keep this one's locks."""
    folder = path.parent / "copy"
    folder.mkdir()
    subprocess.run(["cp", *map(str, path.parent.glob("runs.db*")), str(folder)], check=False, stderr=subprocess.DEVNULL)
    (folder / "runs.db-shm").unlink(missing_ok=True)
    return folder / "runs.db"


async def round_of(folder: Path, kind: str, operations: str, nth: int) -> tuple[bool, list[str], list[str]]:
    """Return whether the fault was met, the errors that callers got, and what is wrong afterwards."""
    folder.mkdir()
    path = folder / "runs.db"
    codes: list[str] = []
    notes: dict[str, int] = {}
    at_kill: dict[str, int] = {}
    FAULTS.faults_arm(str(path).encode(), KINDS[kind], operations.encode(), nth)
    copy: Path | None = None
    again: list[str] = []
    try:
        store = Noting(path, synchronous="FULL" if nth % 2 else "NORMAL")  # written by the thread, and by the loop
        notes = store.notes
        async with Runner(store) as runner:
            codes += await drive(runner)
            copy = copied(path)
            at_kill = dict(notes)
            again = [f"here: {code}" for code in await drive(runner)] if codes else []
    except GraphEngineError as error:
        codes.append(error.code)
    was_met = FAULTS.faults_disarm() > 0
    wrong = again if was_met else []
    if copy is not None and copy.exists():
        wrong += await troubles(copy, at_kill, "killed")
    wrong += await troubles(path, notes, "closed")
    return was_met, codes, wrong


def rounds(folder: Path, kind: str, operations: str, stride: int) -> None:
    """Run a round for each of the operations, until two rounds in a row have no more of them: both ways to write."""
    codes: dict[str, int] = defaultdict(int)
    wrong: dict[int, list[str]] = {}
    nth, unmet = 1, 0
    while unmet < 2:
        was_met, errors, troubled = asyncio.run(round_of(folder / str(nth), kind, operations, nth))
        for code in errors:
            codes[code] += 1
        if troubled:
            wrong[nth] = troubled
        unmet = 0 if was_met else unmet + 1
        nth += stride
    sys.stdout.write(json.dumps({"last": nth - 2 * stride, "codes": codes, "wrong": wrong}))


async def die(path: Path, operations: str, nth: int) -> None:
    """Drive runs until the fault kills this process."""
    async with Runner(Noting(path)) as runner:
        FAULTS.faults_arm(f"{path}-wal".encode(), KINDS["kill"], operations.encode(), nth)
        await drive(runner)


async def record(path: Path) -> None:
    """Drive runs while another owner renews its lease repeatedly."""
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
    """Follow the command line."""
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
