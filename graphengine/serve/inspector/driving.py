"""Driving, with `--drive`: the page starts, resumes and branches runs on one `Runner` in the inspector's process.

A branch is shown before it is begun: the same `Runner.branch` records it into a store that keeps nothing, so the
preview is the step that a real branch would record, and no node runs.

The graphs are those that the command line found. Their files run once, when the inspector starts.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphengine.api.runner import Runner
from graphengine.kernel import (
    GraphEngineError,
    InputError,
    OwnId,
    Run,
    RunFailed,
    evolve,
    life_of,
    load_snapshot,
    opened,
)
from graphengine.kernel.definitions import did_you_mean
from graphengine.migration.compatibility import plan_at
from graphengine.records.run_diff import differences
from graphengine.serve.callers import CallersStore, caller, starting
from graphengine.serve.inspector.live import LiveRun
from graphengine.serve.inspector.queries import BadQuery, text_of, texts_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from graphengine.api.graph import Graph
    from graphengine.kernel import Event, Extension, Frame, RunInfo, Snapshot, Step, Store
    from graphengine.kernel.definitions import GraphSpec, Plan
    from graphengine.models.base import Model
    from graphengine.serve.inspector.feed import Feed
    from graphengine.serve.inspector.queries import Query
    from graphengine.serve.inspector.run_cache import RunCache
    from graphengine.telemetry import Telemetry

_GRACE_SECONDS: Final = 5.0
_BEGIN_SECONDS: Final = 5.0
_SHOW_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Drivable:
    """A graph whose runs the inspector can drive.

    Attributes:
        graph: The graph.
        file: Its file, as it is shown.
        example: Returns the example of its file; None if it has none.
    """

    graph: Graph[Any]
    file: str
    example: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Drives:
    """What `--drive` allows.

    Attributes:
        graphs: The graphs by name.
        models: The models that replace agents' own.
        left_out: The graphs of the project that cannot be driven, each with the reason.
        executors: The executors of heavy nodes.
        extensions: What else acts in the runs.
        telemetry: The traces and metrics of its runs.
    """

    graphs: Mapping[str, Drivable]
    models: Mapping[str, Model | str]
    left_out: Sequence[str] = ()
    executors: Mapping[str, Callable[[], Executor]] = field(default_factory=dict)
    telemetry: Telemetry | None = None
    extensions: Sequence[Extension] = ()


class Driver:
    """Starts, resumes and branches runs, and follows those that it drives.

    Attributes:
        drives: What it can drive.
        live: What its runs do now, by run id.
        released: The runs that it released at its end, which another process can resume.
    """

    def __init__(self, drives: Drives, writer: Callable[[], Store], store: Store, books: RunCache, feed: Feed) -> None:
        self.drives = drives
        self.live: dict[str, LiveRun] = {}
        self.released: list[RunInfo] = []
        self._writer = writer
        self._store = store
        self._reader = CallersStore.of(store)
        self._books = books
        self._feed = feed
        self._runner: Runner | None = None
        self._following: dict[asyncio.Task[None], str] = {}

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """The fingerprints of the graphs, by name; their pictures can be drawn before they have a run."""
        plans = [each.graph.compile() for each in self.drives.graphs.values()]
        for plan in plans:
            self._books.know(plan.fingerprint, plan.graph_spec)
        return {plan.graph: plan.fingerprint for plan in plans}

    @property
    def runner(self) -> Runner:
        """The Runner; it is open while the server runs."""
        if self._runner is None:
            message = "the Runner is not open"
            raise RuntimeError(message)
        return self._runner

    @property
    def writes(self) -> Sequence[Callable[[Mapping[str, Any]], Any]]:
        """The writes that it adds, each under its name."""
        return self.start, self.resume, self.branch, self.preview

    @property
    def reads(self) -> Sequence[Callable[[Query], Any]]:
        """The reads that it adds, each under its name."""
        return self.form, self.fields, self.problems

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the Runner; at the end, runs that are driven are released after their nodes in flight."""
        drives = self.drives
        parts: Any = {name: getattr(drives, name) for name in ("models", "executors", "extensions", "telemetry")}
        async with Runner(self._writer(), **parts) as self._runner:
            try:
                yield
            finally:
                await self._release()

    async def _release(self) -> None:
        """Release the runs that are driven; nodes in flight have some seconds to finish."""
        following = dict(self._following)
        releasing = [asyncio.create_task(self.runner.release(run_id)) for run_id in following.values()]
        if releasing:
            await asyncio.wait(releasing, timeout=_GRACE_SECONDS)
            infos = await self._store.infos([*following.values()])
            self.released = [info for info in infos if info.status == "running"]
        for task in (*releasing, *following):
            task.cancel()
        await asyncio.gather(*releasing, *following, return_exceptions=True)

    def graph(self, name: str) -> Drivable:
        """Return a graph.

        Raises:
            InputError: The inspector cannot drive its runs.
        """
        if name not in self.drives.graphs:
            near = did_you_mean(name, self.drives.graphs)
            repair = f"give its file to `graphengine inspect --drive --graph FILE`; {near}"
            raise InputError(f"this inspector cannot drive graph {name!r}", where=f"graph {name}", repair=repair)
        return self.drives.graphs[name]

    async def start(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run."""
        state, graph = _object(body, "state"), self.graph(text_of(body, "graph"))
        run_id = caller().own_id(text_of(body, "id")) if body.get("id") else None
        run = self.runner.start(graph.graph, state, run_id=run_id, tags=texts_of(body, "tags"), **starting())
        return await self._begun(run)

    async def resume(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Resume a run; one that failed is retried."""
        info = await self._reader.info(text_of(body, "id"))
        return await self._begun(self.runner.resume(info.id, self.graph(info.graph).graph))

    async def branch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Branch a run at a step, with updated fields."""
        info, at, update, path = await self._branching(body)
        run_id = OwnId(caller().own_id(text_of(body, "new"))) if body.get("new") else None
        graph = self.graph(info.graph).graph
        tags, texts = texts_of(body, "tags"), _object(body, "instructions")
        if not all(isinstance(text, str) for text in texts.values()):
            repair = 'give {"AGENT": "its text"}'
            raise InputError("instructions must be texts by agent", where="instructions", repair=repair)
        return await self._begun(
            self.runner.branch(
                info.id,
                graph,
                at,
                update=update,
                path=path,
                run_id=run_id,
                tags=tags,
                instructions=texts,
                user=caller().name or None,
            )
        )

    async def preview(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a branch would change. Nothing is recorded, and nothing runs."""
        info, at, update, path = await self._branching(body)
        unkept = _Unkept(self._store)
        async with Runner(cast("Store", unkept)) as runner:
            run = runner.branch(info.id, self.graph(info.graph).graph, at, update=update, path=path)
            with suppress(_NotKept):
                await run.result()
        step = unkept.step
        before = await load_snapshot(self._reader, info.id, at)
        after = await load_snapshot(self._reader, info.id, at)
        evolve(after, step)
        name = step.frame or ""
        frame = before.frames.get(name)
        changes = differences(frame.values if frame is not None else {}, opened(after.frames[name].values))
        return {"changes": [{"path": each.path, "before": each.before, "after": each.after} for each in changes]}

    async def _branching(self, body: Mapping[str, Any]) -> tuple[RunInfo, int, Mapping[str, Any], str | None]:
        info, at = await self._reader.info(text_of(body, "id")), body.get("at")
        if not isinstance(at, int) or isinstance(at, bool) or not 1 <= at <= info.seq:
            text = f"at must be a step of the run, 1 to {info.seq}"
            raise InputError(text, where="at", repair=f"graphengine show {info.id} has its steps")
        path = body.get("path", "")
        if not isinstance(path, str):
            raise InputError("path must be a text", where="path", repair="leave it out for the state of the run itself")
        update = _object(body, "update")
        return info, at, update, path if update else None

    async def _begun(self, run: Run[Any]) -> dict[str, Any]:
        """Follow a run, and return once its first step here is durable.

        Raises:
            GraphEngineError: It could not be begun.
        """
        life = life_of(run)
        following = self._follow(run, life.audience.joined())
        task = asyncio.create_task(following, name=f"graphengine inspector follows {run.id}")
        self._following[task] = run.id
        task.add_done_callback(self._following.pop)
        with suppress(TimeoutError):  # a run that only sleeps has no step before its time
            await asyncio.wait_for(run.begun(), _BEGIN_SECONDS)
        if life.task.done():
            with suppress(RunFailed):
                await run.result()
        return {"id": run.id}

    async def _follow(self, run: Run[Any], events: asyncio.Queue[Event | None]) -> None:
        """Pass on live events until the run is no longer driven here, at most 20 times a second."""
        live = LiveRun()
        try:
            event = await events.get()
            while event is not None:
                self.live[run.id] = live  # not before: the id of a start that is refused can be that of a driven run
                live.feed(event)
                if events.empty():
                    self._feed.touch(run.id)
                    await asyncio.sleep(_SHOW_SECONDS)
                event = await events.get()
            with suppress(RunFailed):
                await run.result()
        except GraphEngineError as error:
            live.trouble = {"message": error.message, "repair": error.repair} if self.live.get(run.id) is live else None
        finally:
            live.is_driven = False
            live.nodes.clear()
            live.texts.clear()
            if live.trouble is None and self.live.get(run.id) is live:
                del self.live[run.id]
            self._feed.touch(run.id)

    async def form(self, query: Query) -> dict[str, Any]:
        """Return the type of a graph's state, and the example of its file, for a form."""
        found = self.graph(query.id("graph"))
        state, example = found.graph.compile().state, found.example()
        hidden = set(state.secrets)
        if isinstance(example, BaseModel):
            hidden |= state.fields.keys() - example.model_fields_set  # they have their defaults
        values: object = None
        with suppress(PydanticSerializationError):  # the form then begins empty
            values = to_jsonable_python(example, by_alias=False, exclude=hidden)
        return {
            "schema": state.model.model_json_schema(by_alias=False),
            "example": values if isinstance(values, dict) else {},
            "file": found.file,
        }

    async def fields(self, query: Query) -> dict[str, Any]:
        """Return the states that are open at a step, with their types and values, for the form of a branch."""
        info, at = await self._reader.info(query.id()), query.seq("at")
        snapshot = await load_snapshot(self._reader, info.id, at or None)
        plan = self.graph(info.graph).graph.compile()
        inner = [frame for frame in snapshot.frames.values() if frame.kind in ("sub", "arm")]
        return {"states": [_state_of(plan, frame, snapshot) for frame in (snapshot.root, *inner)]}

    async def problems(self, query: Query) -> dict[str, Any]:
        """Return the problems that `check` finds in a graph."""
        found = self.graph(query.id("graph"))
        return {"file": found.file, "problems": found.graph.check()}


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
            raise BadQuery("the branch has no first step", where="branch", repair="send the request again")
        return self._step

    async def open(self) -> None:
        """Do nothing: the reader is open, and stays open."""

    async def close(self) -> None:
        """Do nothing."""

    async def create(self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec) -> int:
        """Keep the step, and end the run before anything of it runs."""
        del info, graph_spec
        self._step = steps[0]
        raise _NotKept


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{name} must be a JSON object", where=name, repair="leave it out, or give values by name")
    return found


def _state_of(plan: Plan[Any], frame: Frame, snapshot: Snapshot) -> dict[str, Any]:
    """Return a state that a branch can write to."""
    state = plan_at(plan, frame).state
    values = frame.values if frame.values or frame is snapshot.root else {}
    fields = {
        name: {"operation": field.operation or ("reduce" if field.reducer is not None else "set")}
        for name, field in state.fields.items()
    }
    return {
        "path": frame.id.rstrip("/"),
        "schema": state.model.model_json_schema(by_alias=False),
        "values": {name: value for name, value in values.items() if name not in state.secrets},
        "fields": fields,
        "secrets": sorted(state.secrets),
    }


__all__ = ["Drivable", "Driver", "Drives"]
