"""A branch that is shown before it is begun: the step that it would record, without recording it.

The same `Runner.branch` records it into a store that keeps nothing, so that no node runs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from graphengine.api.runner import Runner
from graphengine.errors import InputError
from graphengine.kernel.inside import opened
from graphengine.kernel.reader import Branched, load_snapshot
from graphengine.kernel.store import evolve
from graphengine.records.run_diff import differences
from graphengine.serve.large_values import MOST_PLACES
from graphengine.serve.read_documents import Previewed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.serve.requests import BranchRequest, PreviewRequest


async def preview(store: Store, graph: Graph[Any], asked: PreviewRequest) -> Previewed:
    """Return what a branch would change. Nothing is recorded, and nothing runs.

    Raises:
        GraphEngineError: It could not begin so.
    """
    step = await _first_step(store, graph, asked)
    before, after = await _load_states_around(store, asked.run_id, asked.at, step)
    return Previewed(changes=differences(before, after, most=MOST_PLACES))


async def begins_alike(store: Store, graph: Graph[Any], asked: BranchRequest, branch: RunInfo) -> bool:
    """Return whether a recorded branch begins as this one would, but for its id and tags."""
    if branch.parent != asked.run_id or branch.parent_seq != asked.at:
        return False
    (recorded,) = await store.steps(branch.id, asked.at, asked.at + 1)
    if not isinstance(recorded.data, Branched) or dict(recorded.data.instructions) != asked.instructions:
        return False
    step = await _first_step(store, graph, asked)
    found, wanted = [await _load_states_around(store, asked.run_id, asked.at, each) for each in (recorded, step)]
    return (recorded.frame or "") == (step.frame or "") and found == wanted


async def _first_step(store: Store, graph: Graph[Any], asked: PreviewRequest) -> Step:
    unkept = _Unkept(store)
    async with Runner(cast("Store", unkept), models="placeholder") as runner:  # which is asked nothing
        path = asked.path if asked.update else None
        run = runner.branch(asked.run_id, graph, asked.at, update=asked.update, path=path)
        with suppress(_NotKept):
            await run.result()
    return unkept.step


async def _load_states_around(store: Store, run_id: str, at: int, step: Step) -> tuple[JsonValue, JsonValue]:
    """Return the state that a first step writes to, before and after it."""
    before, after = [await load_snapshot(store, run_id, at) for _ in range(2)]
    evolve(after, step)
    name = step.frame or ""
    frame = before.frames.get(name)
    return frame.values if frame is not None else {}, opened(after.frames[name].values)


class _NotKept(Exception):
    """A store that keeps nothing got the first step of a run."""


class _Unkept:
    """A store to read from, that keeps the first step of a new run for the caller and records nothing."""

    def __init__(self, reader: Store) -> None:
        self._reader = reader
        self._step: Step | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a store has
        return getattr(self._reader, name)

    @property
    def step(self) -> Step:
        """The step of the run that was begun."""
        if self._step is None:
            raise InputError("the branch has no first step", where="branch", repair="send the request again")
        return self._step

    async def open(self) -> None:
        """Do nothing: the reader is open, and stays open."""

    async def close(self) -> None:
        """Do nothing."""

    async def create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: object = None
    ) -> int:
        """Keep the step, and end the run before anything of it runs."""
        del info, graph_spec, code_body
        self._step = steps[0]
        raise _NotKept


__all__ = ["begins_alike", "preview"]
