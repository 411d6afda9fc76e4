"""Two runs of one graph, with everything that a picture of both needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.history.load import diff, outline_of
from graphengine.render.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.steps import Step
    from graphengine.history.load import RunDiff
    from graphengine.stores.base import Store


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs.

    Attributes:
        diff: Where they diverge, and how they differ.
        outlines: The outline of each run's graph.
        steps: All steps of each.
    """

    diff: RunDiff
    outlines: tuple[Outline, Outline]
    steps: tuple[Sequence[Step], Sequence[Step]]


async def pair_of(store: Store, first: str, second: str) -> Pair:
    """Read two runs from an open store.

    Raises:
        RenderError: They are of different graphs, or the same run.
        UnknownRun, StoreError.
    """
    infos = await store.info(first), await store.info(second)
    if first == second:
        raise RenderError(
            f"both are run {first}",
            where=f"run {first}",
            repair="name another run; its steps over time are drawn with --timeline",
        )
    graphs = tuple(info.graph for info in infos)
    if graphs[0] != graphs[1]:
        raise RenderError(
            f"the runs are of different graphs: {first} of {graphs[0]!r}, {second} of {graphs[1]!r}",
            where=f"runs {first} and {second}",
            repair="draw each by itself; `graphengine diff` compares their states",
        )
    found = await diff(store, first, second)
    one, other = [await outline_of(store, info.fingerprint) or {} for info in infos]
    return Pair(found, (one, other), (await store.steps(first), await store.steps(second)))
