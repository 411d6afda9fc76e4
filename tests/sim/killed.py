"""Real processes as a medium: one after another drives a run in a SQLite file, and is killed with SIGKILL.

What it is for
    To see that a file is what the simulated deaths of `disk` take it for: the system frees the lock, nobody rolls back
    or closes anything, and the next process has nothing but the file. `Killed(program).play()` plays a program so, and
    compares the log and the ledger with the model.

Invariants
    - A `crash` of the program kills the process at a crash point (`tests.kit.crash_points`), `POINTS` of which come
      with a write of a usual program: before and after each call of the store that writes, each commit, each task.
      They are counted, so that the same program is always killed at the same place.
    - This process only reads, between two lives. What it decides for the next one, it orders as data.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import graphengine
from tests.sim import program as p
from tests.sim.disk import Disk
from tests.sim.model import Wrong
from tests.sim.runner import Orders, Running
from tests.sim.victim import Life

POINTS: Final = 3
KILLED: Final = -9


class Nursery:
    """The process that forks all others.

    Attributes:
        seconds: How much CPU time they have used.
    """

    def __init__(self) -> None:
        root = str(Path(graphengine.__file__).resolve().parents[1])
        self.seconds = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sim.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": root},
        )

    def live(self, life: Life) -> int:
        """Let a process live, and return its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{life.model_dump_json()}\n")
        self._process.stdin.flush()
        code, seconds = self._process.stdout.readline().split()
        self.seconds = float(seconds)
        return int(code)

    def close(self) -> None:
        """Start no more processes."""
        self._process.communicate(timeout=60)


@functools.cache
def nursery() -> Nursery:
    """Return the process that forks all others; it ends with this one."""
    made = Nursery()
    atexit.register(made.close)
    return made


class Killed(Running):
    """One run that real processes drive."""

    def __init__(self, program: p.Program) -> None:
        super().__init__(program, on_disk=True, losses={})
        assert isinstance(self.place, Disk)
        self.folder = self.place.folder
        self.points = 0
        self.turns = [self.random.randint(0, 2) for _ in range(3)]
        self.kills = [
            POINTS * event.at - self.random.randrange(POINTS) for event in program.events if event.what == "crash"
        ]

    async def lives(self, orders: Orders) -> None:
        """Let a process live until the run rests, or it is killed."""
        first, now = self.points, self.loop.now
        die_at = max(1, self.kills[0] - first) if self.kills else 0
        life = Life(
            folder=self.folder,
            program=p.written(self.program),
            orders=tuple(orders),
            die_at=die_at,
            stops=[(POINTS * each.at - first, each.what != "stop") for each in self.stops],
            now=now,
            turns=self.turns,
        )  # fmt: skip
        code = nursery().live(life)
        if code == KILLED:
            self.world.lost += 1
            self.kills.pop(0)
            self.points += die_at
            self.loop.now = now + 1
        elif code == 0:
            passed, self.loop.now = json.loads((self.folder / "passed").read_text(encoding="utf-8"))
            self.points += passed
        else:
            errors = self.folder / "errors"
            said = errors.read_text(encoding="utf-8").strip().splitlines() if errors.exists() else ["it hangs"]
            raise Wrong(f"a process ended with {code}: {said[-1]}")
        while self.stops and POINTS * self.stops[0].at <= self.points:
            self.stops.pop(0)
        self.world.writes = self.points // POINTS
        acts = self.folder / "acts"
        self.world.acts = Counter(acts.read_text(encoding="utf-8").splitlines() if acts.exists() else ())
        await self.kept()
        self.loop.now = max([self.loop.now, *(step.at for step in await self.log())])
