"""Faults of the disk, by a preloaded library of the project: no acknowledged step is ever lost.

`faults.c` fails the nth write, sync, truncation, removal or creation of a file, or kills the process during it;
`faulty.py` is the process that meets them. `FAULTS=all` tries every operation instead of some; `SEED=7` cuts the power
elsewhere. Linux only, and needs a C compiler.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import GraphEngineError
from tests.crash.faulty import troubles

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("faulty.py")
SOURCE = Path(__file__).with_name("faults.c")
ALL = os.environ.get("FAULTS") == "all"
SEED = os.environ.get("SEED", "")
SECTOR_BYTES = 512
WHOLE = 1 << 30
CUTS = 1000 if ALL else 30


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    compiler = shutil.which("cc")
    if sys.platform != "linux":
        pytest.skip("the library of faults is written for Linux")
    if compiler is None:
        pytest.skip("the library of faults needs a C compiler, and there is no cc")
    made = tmp_path_factory.mktemp("faults") / "faults.so"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *options, "-o", made, SOURCE, "-ldl", "-lpthread"], check=True)
    return made


def faulty(library: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, or to its death."""
    command = [sys.executable, str(PROGRAM), str(folder), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)


@pytest.mark.parametrize(
    ("kind", "operations", "stride"),
    [("io", "w", 37), ("full", "w", 41), ("short", "w", 43), ("io", "s", 3), ("io", "tuo", 2)],
)
def test_a_fault_of_the_disk_loses_no_acknowledged_step(
    library: Path, tmp_path: Path, kind: str, operations: str, stride: int
) -> None:
    """Whichever operation fails: a run gets an error or ends; the database opens, the doctor approves, runs resume."""
    done = faulty(library, tmp_path, "rounds", kind, operations, 1 if ALL else stride)
    assert done.returncode == 0, done.stderr
    result: Any = json.loads(done.stdout)
    assert result["wrong"] == {}
    assert result["last"] > (50 if operations == "w" else 3), "the faults did not reach the database"
    assert set(result["codes"]) <= {"store_full", "store_error"}
    assert result["codes"]


def acknowledged(folder: Path, trace_bytes: int | None = None) -> dict[str, int]:
    """Return the last acknowledged step of each run at the time when the trace had this length."""
    found: dict[str, int] = {}
    file = folder / "acknowledged"
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        run_id, seq, at = line.split()
        if trace_bytes is None or int(at) <= trace_bytes:
            found[run_id] = max(int(seq), found.get(run_id, 0))
    return found


@pytest.mark.parametrize(
    ("operations", "nth"), [*(("s", nth) for nth in range(1, 5) if ALL or nth in (1, 4)), ("w", 5)]
)
async def test_a_kill_inside_a_commit_next_to_an_idle_owner(
    library: Path, tmp_path: Path, operations: str, nth: int
) -> None:
    """The owner renews its lease and overwrites a part of the unfinished commit; then it is killed too."""
    path = tmp_path / "runs.db"
    idle = SQLiteStore(path)
    await idle.open()
    done = faulty(library, tmp_path, "kill", operations, nth)
    assert done.returncode == -9, done.stderr
    assert idle.lease is not None
    idle.lease.renew()
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["cp", path, f"{path}-wal", copy], check=True)  # noqa: ASYNC221 - as a kill of this process leaves them
    await idle.close()
    assert await troubles(copy / path.name, acknowledged(tmp_path), "killed") == []
    assert await troubles(path, acknowledged(tmp_path), "closed") == []


# -- power cuts


@dataclass
class Disk:
    """The content of each file that is certainly on the disk, and the writes since its last sync."""

    durable: dict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    pending: dict[str, list[tuple[str, int, bytes]]] = field(default_factory=lambda: defaultdict(list))

    def do(self, operation: str, name: str, offset: int, data: bytes) -> None:
        """Apply one recorded operation."""
        if operation == "s":
            for each in self.pending.pop(name, []):
                apply(self.durable[name], *each)
        else:
            self.pending[name].append((operation, offset, data))

    def cut(self, folder: Path, chosen: random.Random) -> None:
        """Write the files as a power cut leaves them: any sectors, or any writes, that were not synced can exist."""
        for name in self.durable.keys() | self.pending.keys():
            content = bytearray(self.durable[name])
            likely, size = chosen.choice((0.1, 0.5, 0.9)), chosen.choice((SECTOR_BYTES, WHOLE))
            for operation, offset, data in self.pending[name]:
                if operation == "t":
                    apply(content, operation, offset, data)
                    continue
                for at in range(0, len(data), size):
                    if chosen.random() < likely:
                        apply(content, "w", offset + at, data[at : at + size])
            (folder / name).write_bytes(content)


def apply(content: bytearray, operation: str, offset: int, data: bytes) -> None:
    """Write into a file, or truncate it."""
    if operation == "t":
        del content[offset:]
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data


def operations_of(trace: Path) -> Iterator[tuple[int, str, str, int, bytes]]:
    """Yield the operations: the length of the trace so far, the operation, the file's name, the offset and the data."""
    with trace.open("rb") as file:
        while line := file.readline():
            operation, offset, length, path = line.decode().rstrip("\n").split(" ", 3)
            data = file.read(int(length))
            yield file.tell(), operation, Path(path).name, int(offset), data


async def test_a_power_cut_next_to_an_owner_that_renews_its_lease(library: Path, tmp_path: Path) -> None:
    """Whatever reached the disk: steps acknowledged under FULL are present, and nothing looks damaged."""
    done = faulty(library, tmp_path, "record")
    assert done.returncode == 0, done.stderr
    steps = list(operations_of(tmp_path / "trace"))
    first = next(index for index, (at, *_) in enumerate(steps) if acknowledged(tmp_path, at))
    chosen = random.Random(f"power {SEED}")  # noqa: S311 - repeatable, not for security
    cuts = sorted(chosen.randrange(first, len(steps)) for _ in range(CUTS))
    disk = Disk()
    for index, (at, operation, name, offset, data) in enumerate(steps):
        disk.do(operation, name, offset, data)
        for number in range(cuts.count(index)):
            folder = tmp_path / f"{index} {number}"
            folder.mkdir()
            disk.cut(folder, chosen)
            assert await lost_in(folder / "runs.db", acknowledged(tmp_path, at)) == [], (index, number)
            shutil.rmtree(folder)


async def lost_in(path: Path, notes: dict[str, int]) -> list[str]:
    """Return which acknowledged steps are missing, or why the database does not open."""
    path.chmod(0o600)
    store = SQLiteStore(path)
    try:
        await store.open()
    except GraphEngineError as error:
        return [f"{error.code}: {error.message}"]
    found = {run_id: (await store.info(run_id)).seq for run_id in notes}
    await store.close()
    return [f"{run_id}: {seq} of {notes[run_id]}" for run_id, seq in found.items() if seq < notes[run_id]]
