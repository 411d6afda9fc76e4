"""One process drives a run: real processes compete for it, are suspended, or block for longer than a lease."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest

from graphengine import Runner
from graphengine.databases.addresses import is_postgres
from graphengine.engine.steps import Step
from tests.crash.deaths import done
from tests.kit import forks
from tests.kit.postgres import execute

PROGRAM = Path(__file__).with_name("holder.py")
LONG_SECONDS = 30.0
SHORT_SECONDS = 1.0
RENEWED_SECONDS = 5.0
"""A lease that its owner renews in time although the machine is busy."""
_REFUSED = re.compile(
    r"error run_is_driven run 'r' is driven by process (?P<pid>\d+) on (?P<host>\S+) \(owner \w+\), "
    r"whose lease ends at (?P<ends>[\d: -]+) UTC unless it is renewed"
)


class Holder:
    """A process of `holder.py`."""

    def __init__(self, database: str, folder: Path, lease_seconds: float, *words: str) -> None:
        given = (database, str(folder), str(lease_seconds), *words)
        self.process = forks.start(PROGRAM, *given, loads=["graphengine.databases.postgres"])
        self.pid = self.process.pid

    def line(self, beginning: str = "") -> str:
        """Return its next line with this beginning; end a process that never writes one."""
        return self._next(self.process.stdout, beginning)

    def error(self, beginning: str) -> str:
        """Do the same with its stderr."""
        return self._next(self.process.stderr, beginning)

    def _next(self, lines: Iterable[str], beginning: str) -> str:
        watchdog = threading.Timer(30, self.process.kill)
        watchdog.start()
        try:
            for line in lines:
                if line.startswith(beginning):
                    return line.strip()
        finally:
            watchdog.cancel()
        pytest.fail(f"no line {beginning!r}: {self.process.end()[1]}")

    def end(self) -> tuple[str, str]:
        """Return the rest of its stdout and stderr, up to its end."""
        watchdog = threading.Timer(30, self.process.kill)
        watchdog.start()
        try:
            return self.process.end()
        finally:
            watchdog.cancel()


Start: TypeAlias = Callable[..., Holder]


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """A function that starts processes; the test ends them."""
    started: list[Holder] = []

    def starting(lease_seconds: float, *words: str) -> Holder:
        started.append(Holder(database, tmp_path, lease_seconds, *words))
        return started[-1]

    yield starting
    for holder in started:
        holder.process.kill()
        holder.process.end()


def suspend(process: forks.Child, database: str) -> None:
    """Stop it with SIGSTOP while it neither reads nor commits, since it would otherwise keep a lock of SQLite."""
    if is_postgres(database):
        process.stop()
        return
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as probe:
        while True:
            process.stop()
            ((is_busy, *_),) = probe.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if not is_busy:
                return
            os.kill(process.pid, signal.SIGCONT)


def wait_for_death(database: str) -> None:
    """Wait until a server has noticed that its only client was killed; a lock on a file is free at once."""
    while is_postgres(database) and (True,) in execute(database, "SELECT is_alive(o) FROM owners AS o"):
        time.sleep(0.01)


def log(database: str) -> list[Step]:
    """Return the log of the run."""

    async def read() -> list[Step]:
        async with Runner(database) as runner:
            return list(await runner.history("r"))

    return asyncio.run(read())


def updates(database: str) -> list[tuple[str, int]]:
    """Return which nodes were recorded, and which process did them."""
    return [(step.node, step.update[0][2]) for step in log(database) if step.kind == "node"]


def test_one_of_many_that_resume_a_run_drives_it(database: str, start: Start, tmp_path: Path) -> None:
    """Three processes want an orphan: one gets it, the others learn its driver and the end of the lease."""
    dead = start(LONG_SECONDS, "start")
    dead.line("in second")
    dead.process.kill()
    dead.process.wait()
    wait_for_death(database)
    before = time.time()
    rivals = [start(LONG_SECONDS, "resume") for _ in range(3)]
    lines = {rival: rival.line() for rival in rivals}
    (winner,) = [rival for rival, line in lines.items() if line == "in second"]
    for loser in [rival for rival in rivals if rival is not winner]:
        found = _REFUSED.fullmatch(lines[loser])
        assert found, lines[loser]
        ends = datetime.strptime(found["ends"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        assert (int(found["pid"]), found["host"]) == (winner.pid, socket.gethostname())
        assert before + LONG_SECONDS - 1 <= ends <= time.time() + LONG_SECONDS
    (tmp_path / "gate").touch()
    assert winner.line("finished")
    assert updates(database) == [("first", dead.pid), ("second", winner.pid), ("third", winner.pid)]


def test_a_process_that_was_suspended_past_its_lease_writes_no_more(
    database: str, start: Start, tmp_path: Path
) -> None:
    """SIGSTOP, and another one takes over and finishes; SIGCONT, and the first is refused, with the reason."""
    first = start(SHORT_SECONDS, "start")
    first.line("in second")
    suspend(first.process, database)
    second = start(LONG_SECONDS, "insist")
    second.line("in second")
    (tmp_path / "gate").touch()
    assert second.line("finished")
    before = log(database)
    os.kill(first.pid, signal.SIGCONT)
    out, _ = first.end()
    assert out.startswith(
        "error lease_lost run 'r' is no longer driven from here, because it was released or taken over (claim 1)"
    )
    assert "if no other process continues the run, resume it" in out
    assert log(database) == before
    assert [step.seq for step in before] == list(range(1, len(before) + 1))
    assert updates(database) == [("first", first.pid), ("second", second.pid), ("third", second.pid)]
    assert ("third", first.pid) not in {(what, pid) for pid, what in done(tmp_path / "effects")}


def test_a_worker_that_was_suspended_past_its_lease_goes_on_with_other_runs(
    database: str, start: Start, tmp_path: Path
) -> None:
    """SIGSTOP, and another process takes its run; SIGCONT, and the worker reports that, and takes the next run."""
    worker = start(SHORT_SECONDS, "work")
    worker.line("in second")
    suspend(worker.process, database)
    other = start(LONG_SECONDS, "insist")
    other.line("in second")
    os.kill(worker.pid, signal.SIGCONT)
    assert "is no longer driven from here" in worker.line("refused run 'r' ")
    (tmp_path / "gate").touch()
    assert other.line("finished")
    assert worker.line("s ") == "s finished"
    os.kill(worker.pid, signal.SIGTERM)
    out, _ = worker.end()
    assert out.splitlines()[-1] == "stopped"
    assert updates(database) == [("first", worker.pid), ("second", other.pid), ("third", other.pid)]


def test_a_node_that_blocks_for_longer_than_the_lease_loses_nothing(
    database: str, start: Start, tmp_path: Path
) -> None:
    """The lease is renewed meanwhile, so no other process gets the run, and a warning names the node."""
    first = start(RENEWED_SECONDS, "start", "blocking")
    first.line("in second")
    second = start(RENEWED_SECONDS, "insist")
    began = float(second.line("driven ").split()[1])
    while float(second.line("driven ").split()[1]) < began + RENEWED_SECONDS:
        pass  # the lease was renewed: the node blocked long enough to lose the run otherwise
    (tmp_path / "gate").touch()
    out, err = first.end()
    assert out.split() == ["in", "third", "finished"]
    assert updates(database) == [(node, first.pid) for node in ("first", "second", "third")]
    assert re.search(
        r"^node second \(run r\) has held the event loop of process \d+ for \d+\.\d s, so that", err, re.MULTILINE
    )
    assert "repair: make it a plain function" in err


@pytest.mark.parametrize("late_seconds", [-1e6, 1e6])
def test_a_clock_that_is_wrong_gives_a_run_to_one_writer(
    database: str, start: Start, tmp_path: Path, late_seconds: float
) -> None:
    """One writes. A clock far ahead takes a run in a file from its driver; leases of a server end by its clock."""
    takes = late_seconds > 0 and not is_postgres(database)
    first = start(LONG_SECONDS, "start")
    first.line("in second")
    second = start(LONG_SECONDS, "resume", f"late={late_seconds}")
    line = second.line()
    assert line.startswith("in second" if takes else "error run_is_driven")
    (tmp_path / "gate").touch()
    outs = [first.end()[0], second.end()[0]]
    assert [("finished" in out) for out in outs] == [not takes, takes]
    assert ("error lease_lost" in outs[0]) == takes
    writer = second.pid if takes else first.pid
    assert updates(database) == [("first", first.pid), ("second", writer), ("third", writer)]
