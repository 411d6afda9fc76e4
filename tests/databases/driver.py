"""A process that tests control: it executes the lines on its stdin and answers each.

It drives runs of one database. Lines: `create RUN`, `claim RUN`, `append RUN SEQ`, `release RUN`, `steps RUN`,
`close`, `limit BYTES` (the largest file it can write), `renew` (its lease, without a free file descriptor). Answers:
`ok …`, or `error CODE`. It lives until its stdin ends or it is killed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import GraphEngineError
from graphengine.kernel.testing.kit import append, new_run, step
from graphengine.stores.base import Append


def take_descriptors() -> None:
    """Leave no free file descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    with suppress(OSError):
        while True:
            os.dup(0)


class Driver:
    """The runs that it drives and their fences."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.fences: dict[str, int] = {}

    async def obey(self, words: list[str]) -> str:
        """Execute one line. Return the answer."""
        match words:
            case ["create", run_id]:
                self.fences[run_id] = await new_run(self.store, run_id)
            case ["claim", run_id]:
                self.fences[run_id] = await self.store.claim(run_id)
            case ["append", run_id, seq]:
                added = Append(run_id, self.fences[run_id], [step(int(seq), value="x" * 1000)], "running")
                await append(self.store, added)
            case ["release", run_id]:
                await self.store.release(run_id, self.fences.pop(run_id))
            case ["steps", run_id]:
                return f"ok {len(await self.store.steps(run_id))}"
            case ["limit", max_bytes]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(max_bytes), resource.RLIM_INFINITY))
            case ["renew"] if self.store.lease is not None:
                take_descriptors()
                await asyncio.to_thread(self.store.lease.renew)
            case ["close"]:
                await self.store.close()
            case _:
                return "error unknown_line"
        return "ok"


def answer(line: str) -> None:
    """Write a line immediately."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(path: Path) -> None:
    """Execute lines until stdin ends."""
    store = SQLiteStore(path, synchronous="NORMAL")
    await store.open()
    driver = Driver(store)
    answer("ok")
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer(await driver.obey(line.split()))
        except GraphEngineError as error:
            answer(f"error {error.code}")
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
