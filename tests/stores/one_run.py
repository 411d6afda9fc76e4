"""A process that drives one run of the graph in `recorded.py` through a Runner, with limits on its disk and locks.

Arguments: the database, `start` or `resume`, the largest file it can write in bytes (0: any), how long it waits for a
lock in seconds. It writes `ended STATUS` or `error CODE` and the repair, each on a line.
"""

import asyncio
import resource
import sys
from pathlib import Path

from graphengine import Runner
from graphengine.errors import GraphEngineError
from graphengine.stores.sqlite import SQLiteStore
from tests.stores.recorded import State, everything

RUN = "one"


async def main(path: Path, what: str, busy_timeout_seconds: float) -> str:
    """Drive the run. Return the text to print."""
    store = SQLiteStore(path, synchronous="NORMAL", busy_timeout_seconds=busy_timeout_seconds)
    async with Runner(store) as runner:
        if what == "start":
            run = runner.start(everything(), State(rounds=400), run_id=RUN)
        else:
            run = runner.resume(everything(), RUN)
        return f"ended {(await run.result()).status}"


if __name__ == "__main__":
    _, database, order, most_bytes, waits_seconds = sys.argv
    if int(most_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), resource.RLIM_INFINITY))
    try:
        print(asyncio.run(main(Path(database), order, float(waits_seconds))))  # noqa: T201 - it is a program
    except GraphEngineError as error:
        print(f"error {error.code}\n{error.repair}")  # noqa: T201 - it is a program
