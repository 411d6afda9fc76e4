"""Drive runs in the inspector's process, if `graphengine inspect` has the option `--drive`.

The page then starts, resumes and branches runs on one `Runner`. The command line has found the graphs. Their files are
executed once, when the inspector starts.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphengine.api.runner import Runner
from graphengine.errors import GraphEngineError, Problem
from graphengine.kernel.extension import RunFailed
from graphengine.kernel.inside import life_of, poke
from graphengine.kernel.reader import load_snapshot
from graphengine.migration.compatibility import plan_at
from graphengine.records.base_documents import CheckedGraph, refusal_of
from graphengine.serve.callers import CallersStore, caller
from graphengine.serve.callers_runner import CallersRunner
from graphengine.serve.inspector.live import LiveRun
from graphengine.serve.read_documents import BranchForm, BranchState, StartForm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Event, Extension, Plan, Run
    from graphengine.kernel.reader import Frame, Snapshot
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.models.base import Model
    from graphengine.serve.reads.run_cache import RunCache
    from graphengine.serve.requests import AtStep, OfGraph
    from graphengine.telemetry import Telemetry

_GRACE_SECONDS: Final = 5.0
_BEGIN_SECONDS: Final = 5.0
_SHOW_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Drivable:
    """A graph that people can start from the inspector page, and whose runs the page can resume.

    Attributes:
        graph: The graph.
        file: The name of the graph's file for readers.
        example: Returns the example input in the file; None if the file has no example.
    """

    graph: Graph[Any]
    file: str
    example: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Drives:
    """The settings of an inspector that can start and resume runs: the graphs, and what their runs need.

    Attributes:
        graphs: The graphs by name.
        models: The models to use instead of those that the agents name, by the name of the agent.
        left_out: The graphs of the project that cannot be driven, each with the reason.
        executors: The executors of heavy nodes.
        extensions: Extensions that take part in the runs.
        telemetry: The traces and metrics of the runs.
    """

    graphs: Mapping[str, Drivable]
    models: Mapping[str, Model | str]
    left_out: Sequence[str] = ()
    executors: Mapping[str, Callable[[], Executor]] = field(default_factory=dict)
    telemetry: Telemetry | None = None
    extensions: Sequence[Extension] = ()


class Driver:
    """Starts, resumes and branches runs for the page, and collects the live events of the runs that it drives.

    Attributes:
        drives: The graphs that can be driven, and their settings.
        live: The current activity of the driven runs, by run id.
        released: The unfinished runs that were released when the inspector ended. Another process can resume them.
    """

    def __init__(self, drives: Drives, writer: Callable[[], Store], store: Store, books: RunCache) -> None:
        self.drives = drives
        self.live: dict[str, LiveRun] = {}
        self.released: list[RunInfo] = []
        self._writer = writer
        self._store = store
        self._reader = CallersStore.of(store)
        self._books = books
        self._acts: CallersRunner | None = None
        self._following: dict[asyncio.Task[None], str] = {}

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """The fingerprint of each graph that the inspector can drive, by the graph's name.

        A fingerprint identifies a version of a graph.

        Reading this property also puts the graphs into the cache of runs, so that a picture of a graph can be drawn
        before the graph has a run.
        """
        plans = [each.graph.compile() for each in self.drives.graphs.values()]
        for plan in plans:
            self._books.know(plan.fingerprint, plan.graph_spec)
        return {plan.graph: plan.fingerprint for plan in plans}

    @property
    def acts(self) -> CallersRunner:
        if self._acts is None:
            message = "the Runner is not open"
            raise RuntimeError(message)
        return self._acts

    @asynccontextmanager
    async def acting(self, run_id: str | None) -> AsyncIterator[CallersRunner]:
        """Provide the Runner for one request that changes a run."""
        del run_id
        yield self.acts

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the Runner that drives runs, until the end of the block. At the end, the driven runs are released."""
        drives = self.drives
        parts: Any = {name: getattr(drives, name) for name in ("models", "executors", "extensions", "telemetry")}
        async with Runner(self._writer(), **parts) as runner:
            graphs = {name: each.graph for name, each in drives.graphs.items()}
            self._acts = CallersRunner(runner, graphs, drives=True, through="page", begun=self._follow_from_first_step)
            try:
                yield
            finally:
                await self._release(runner)

    async def _release(self, runner: Runner) -> None:
        """Release the driven runs, so that another process can resume them.

        Nodes that are running get some seconds to finish.
        """
        following = dict(self._following)
        releasing = [asyncio.create_task(runner.release(run_id)) for run_id in following.values()]
        if releasing:
            await asyncio.wait(releasing, timeout=_GRACE_SECONDS)
            infos = await self._store.infos([*following.values()])
            self.released = [info for info in infos if info.status == "running"]
        for task in (*releasing, *following):
            task.cancel()
        await asyncio.gather(*releasing, *following, return_exceptions=True)

    async def _follow_from_first_step(self, run: Run[Any]) -> None:
        """Begin to follow a run that this process drives, for its page, and wait for the run's first recorded step.

        The live events of the run are collected in a background task. The wait has a limit, because a run that only
        sleeps records its first step when its sleep ends.

        Raises:
            GraphEngineError: The run could not be started.
        """
        life = life_of(run)
        following = self._follow(run, life.audience.joined())
        task = asyncio.create_task(following, name=f"graphengine inspector follows {run.id}")
        self._following[task] = run.id
        task.add_done_callback(self._following.pop)
        with suppress(TimeoutError):  # a run that only sleeps records its first step when the sleep ends
            await asyncio.wait_for(run.begun(), _BEGIN_SECONDS)
        if life.task.done():
            with suppress(RunFailed):
                await run.result()

    async def _follow(self, run: Run[Any], events: asyncio.Queue[Event | None]) -> None:
        """Collect the live events of a run for its page, until this process no longer drives the run.

        The streams that send these events to pages are woken at most 20 times a second.
        """
        live = LiveRun()
        try:
            event = await events.get()
            while event is not None:
                # Only after the first event: a refused start can have the id of a run that is driven.
                self.live[run.id] = live
                live.feed(event)
                if events.empty():
                    poke(self._store, run.id)
                    await asyncio.sleep(_SHOW_SECONDS)
                event = await events.get()
            with suppress(RunFailed):
                await run.result()
        except GraphEngineError as error:
            live.trouble = refusal_of(error) if self.live.get(run.id) is live else None
        finally:
            live.is_driven = False
            live.nodes.clear()
            live.texts.clear()
            if live.trouble is None and self.live.get(run.id) is live:
                del self.live[run.id]
            poke(self._store, run.id)

    def _drivable(self, asked: OfGraph) -> Drivable:
        self.acts.graph_of(asked.graph)
        return self.drives.graphs[asked.graph]

    async def form(self, asked: OfGraph) -> StartForm:
        """Return the content of the form that starts a run of a graph.

        It contains the schema of the graph's state, and the example input in the graph's file.
        """
        found = self._drivable(asked)
        state, example = found.graph.compile().state, found.example()
        hidden = set(state.secrets)
        if isinstance(example, BaseModel):
            hidden |= state.fields.keys() - example.model_fields_set  # these fields have their defaults
        values: object = None
        with suppress(PydanticSerializationError):  # in this case the form begins empty
            values = to_jsonable_python(example, by_alias=False, exclude=hidden)
        schema, example = state.model.model_json_schema(by_alias=False), values if isinstance(values, dict) else {}
        return StartForm(schema, example, found.file)

    async def fields(self, asked: AtStep) -> BranchForm:
        """Return the content of the form that starts a branch.

        It contains the states that the branch can change at this step, with their values: the run's state, and the
        states of inner graphs and arms.
        """
        info = await self._reader.info(asked.run_id)
        snapshot = await load_snapshot(self._reader, info.id, asked.at or None)
        plan = self.acts.graph_of(info.graph).compile()
        inner = [frame for frame in snapshot.frames.values() if frame.kind in ("sub", "arm")]
        return BranchForm([_read_branch_state(plan, frame, snapshot) for frame in (snapshot.root, *inner)])

    async def problems(self, asked: OfGraph) -> CheckedGraph:
        """Return the problems of a graph that the page shows.

        These are the problems that `Graph.check` finds, and the schedules whose input no longer fits the graph.
        """
        found = self._drivable(asked)
        admin = Runner(self._store).admin
        misfits = await admin.misfit_schedules(found.graph)
        visible = {each.name for each in await admin.schedules() if caller().sees(each.tenant)}
        unfit = [
            Problem("schedule_misfit", f"schedule {name}", error.message, error.repair)
            for name, error in misfits.items()
            if name in visible
        ]
        return CheckedGraph(asked.graph, found.file, [*found.graph.check(), *unfit])


def _read_branch_state(plan: Plan[Any], frame: Frame, snapshot: Snapshot) -> BranchState:
    """Describe a state that a person can change in a branch: the state of a run, an inner graph or an arm.

    The description contains the schema, the values without secrets, and the operation by which each field changes.
    """
    state = plan_at(plan, frame).state
    values = frame.values if frame.values or frame is snapshot.root else {}
    fields = {
        name: {"operation": field.operation or ("reduce" if field.reducer is not None else "set")}
        for name, field in state.fields.items()
    }
    return BranchState(
        path=frame.id.rstrip("/"),
        schema=state.model.model_json_schema(by_alias=False),
        values={name: value for name, value in values.items() if name not in state.secrets},
        fields=fields,
        secrets=sorted(state.secrets),
    )


__all__ = ["Drivable", "Driver", "Drives"]
