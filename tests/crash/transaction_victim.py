"""A program that is killed: `transaction_victim.py PROGRAM [NAME NUMBER]`.

It passes points around each statement and commit of its own database, and those of `crash_points` around each commit of
its runs and each task. They are written to `points`, in the current folder, if it ends by itself.
"""

import runpy
import sys
from functools import wraps
from pathlib import Path
from typing import Any

import psycopg

from tests.kit.crash_points import CrashPoints, Point

POINTS = CrashPoints(Point(sys.argv[2], int(sys.argv[3])) if len(sys.argv) > 2 else None)


def watch(name: str) -> None:
    """Pass points before and after a method of each connection."""
    method = getattr(psycopg.AsyncConnection, name)

    @wraps(method)
    async def watched(*args: Any) -> Any:
        POINTS.passes(f"before shop {name}")
        result = await method(*args)
        POINTS.passes(f"after shop {name}")
        return result

    setattr(psycopg.AsyncConnection, name, watched)


watch("execute")
watch("commit")
with POINTS.installed():
    runpy.run_path(sys.argv[1], run_name="__main__")
Path("points").write_text("\n".join(f"{each.name}:{each.number}" for each in POINTS.passed), encoding="utf-8")
