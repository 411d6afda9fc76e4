"""What a preflight says of a run, beside what a resume does."""

from typing import Any

from graphengine import Graph, Runner
from graphengine.testing import preflight


async def agrees(runner: Runner, graph: Graph[Any], run_id: str, *, fits: bool) -> None:
    """Assert that `preflight` says the same as a resume; runs that have ended are none of its business."""
    if (await runner.store.info(run_id)).status in ("running", "waiting"):
        found = await preflight([graph], runner.store)
        assert (found.runs, found.fits) == (1, fits), found
