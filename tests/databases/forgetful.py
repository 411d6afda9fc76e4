"""A process that opens a store and ends without closing it."""

import asyncio
import sys
from pathlib import Path

from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.testing.kit import append, batch, new_run, step

store = SQLiteStore(Path(sys.argv[1]))


async def main() -> None:
    """Record one step and leave."""
    await store.open()
    fence = await new_run(store)
    await append(store, batch("r", fence, [step(1)]))
    await store.info("r")


asyncio.run(main())
