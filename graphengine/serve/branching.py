"""Preview a branch of a run: compute the first step of the branch without recording it.

`Runner.branch` computes this step, as for a real branch, but writes it to a store that records nothing. No node runs.
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
    """Return the changes that a planned branch would make to the state of its run.

    The page shows these changes before a person starts the branch. Nothing is recorded, and no node runs.

    Raises:
        GraphEngineError: The branch cannot begin with this update.
    """
    step = await _first_step(store, graph, asked)
    before, after = await _load_states_around(store, asked.run_id, asked.at, step)
    return Previewed(changes=differences(before, after, most=MOST_PLACES))


async def begins_alike(store: Store, graph: Graph[Any], asked: BranchRequest, branch: RunInfo) -> bool:
    """Return whether an existing branch of a run is the branch that a request asks for.

    The two are the same branch if their first steps are equal. A client that repeats its request then gets the existing
    branch instead of an error. The ids and the tags of the branches are not compared.
    """
    if branch.parent != asked.run_id or branch.parent_seq != asked.at:
        return False
    (recorded,) = await store.steps(branch.id, asked.at, asked.at + 1)
    if not isinstance(recorded.data, Branched) or dict(recorded.data.instructions) != asked.instructions:
        return False
    step = await _first_step(store, graph, asked)
    found, wanted = [await _load_states_around(store, asked.run_id, asked.at, each) for each in (recorded, step)]
    return (recorded.frame or "") == (step.frame or "") and found == wanted


async def _first_step(store: Store, graph: Graph[Any], asked: PreviewRequest) -> Step:
    preview_store = _PreviewStore(store)
    async with Runner(cast("Store", preview_store), models="placeholder") as runner:  # which is asked nothing
        path = asked.path if asked.update else None
        run = runner.branch(asked.run_id, graph, asked.at, update=asked.update, path=path)
        with suppress(_PreviewEnded):
            await run.result()
    return preview_store.step


async def _load_states_around(store: Store, run_id: str, at: int, step: Step) -> tuple[JsonValue, JsonValue]:
    """Return the state that a branch changes at its start, before and after this change.

    The state belongs to the run itself, to an inner graph, or to an arm of a fork.
    """
    before, after = [await load_snapshot(store, run_id, at) for _ in range(2)]
    evolve(after, step)
    name = step.frame or ""
    frame = before.frames.get(name)
    return frame.values if frame is not None else {}, opened(after.frames[name].values)


class _PreviewEnded(Exception):
    """Raised by `_PreviewStore.create` to end a previewed branch before its nodes run."""


class _PreviewStore:
    """A store that lets `preview` begin a branch without recording it, to find out how the branch would begin.

    All data are read from a real store. The first step of the branch is only kept in memory.
    """

    def __init__(self, reader: Store) -> None:
        self._reader = reader
        self._step: Step | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a store has
        return getattr(self._reader, name)

    @property
    def step(self) -> Step:
        if self._step is None:
            message = "the branch was not created, so it has no first step"
            raise InputError(message, where="branch", repair="send the request again")
        return self._step

    async def open(self) -> None:
        """Do nothing, because the owner of the real store has opened it."""

    async def close(self) -> None:
        """Do nothing, because the owner of the real store closes it."""

    async def create(
        self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: object = None
    ) -> int:
        """Keep the first step of the branch in memory instead of recording it, and raise `_PreviewEnded`.

        Because of this exception, no node of the branch runs.
        """
        del info, graph_spec, code_body
        self._step = steps[0]
        raise _PreviewEnded


__all__ = ["begins_alike", "preview"]
