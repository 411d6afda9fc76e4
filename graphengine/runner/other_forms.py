"""Migrates states that were recorded under an older version of their graph to the current version.

A deployment can change the state of a graph while the store keeps runs of its older version. `Graph(version=,
migrate=)` tells how such a state becomes a state of the current version. This module asks the extensions of a Runner
for that, because they know the migrations, in three situations:

- Code that continues gets the migrated state, for example a node that receives the result of a child run. The caller
  records the migrated state, so that each migration is called once for a record, and can be deleted when no run needs
  it.
- A program asks for the result of a run that is not driven any more. The state is migrated in memory, and nothing is
  recorded.
- A node asks for earlier runs of a graph.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from graphengine.engine.snapshot import ROOT, Frame, Snapshot
from graphengine.errors import GraphEngineError, StoreError
from graphengine.history.load import graph_spec_of, load_snapshot
from graphengine.runner.result import UNMIGRATED, PastRun, read_with, result_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.plan import Plan
    from graphengine.runner.extensions import Extension
    from graphengine.runner.result import Result
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunStore, Store

S = TypeVar("S")

log = logging.getLogger("graphengine.runner")
_LEFT_OUT: Final = "run %s is left out of ctx.runs, because it cannot be read under today's graph: %s"


class StateOf:
    """The recorded state of a run, with the version of the graph to which it belongs, so that it can be migrated.

    Args:
        run_id: The id of the run to which the state belongs.
        graph: The name of the graph.
        seq: The step after which the run had this state.
        values: The records of the fields.
        fingerprint: The fingerprint of the recorded declaration of the graph.
        version: The version of the graph; 0 if it is not known. It is needed if the store has removed the declaration
            with its last run.
    """

    def __init__(  # noqa: PLR0913 - what is recorded of a state
        self, run_id: str, graph: str, seq: int, values: Mapping[str, JsonValue], fingerprint: str, version: int = 0
    ) -> None:
        self.snapshot = Snapshot(run_id=run_id, graph=graph, seq=seq, fingerprint=fingerprint)
        self.snapshot.frames = {ROOT: Frame(values=dict(values))}
        self.version = version

    @property
    def values(self) -> Mapping[str, JsonValue]:
        return self.snapshot.root.values

    @classmethod
    def last_of(cls, snapshot: Snapshot) -> StateOf:
        return cls(snapshot.run_id, snapshot.graph, snapshot.seq, snapshot.root.values, snapshot.fingerprint)

    async def migrate_to(
        self, plan: Plan[Any], store: RunStore, extensions: Sequence[Extension]
    ) -> Mapping[str, JsonValue]:
        """Migrate the state to the current version of the graph, and return its values.

        If no extension of the Runner migrates runs, the recorded values are returned unchanged.

        Raises:
            GraphChanged: The state does not fit the graph, or was recorded under a newer version of the graph.
            SecretKeyWrong: The graph has another key.
        """
        known: GraphSpec = {"graph": plan.graph, "version": self.version} if self.version else {}
        recorded = await graph_spec_of(store, self.snapshot.fingerprint) or {}
        graph_spec = cast("GraphSpec", {**known, **recorded}) or None
        found = (each.migrate_state(plan, self.snapshot, graph_spec) for each in extensions)
        return next((values for values in found if values is not None), self.values)


async def find_version(fingerprint: str, plan: Plan[Any] | None, store: RunStore) -> int:
    """Return the version number of the graph declaration with this fingerprint; 1 if the store does not have it."""
    if plan is not None and fingerprint == plan.fingerprint:
        return plan.version
    return (await graph_spec_of(store, fingerprint) or {}).get("version", 1)


class _Runs(Protocol):
    """The store and the extensions of a Runner: the part of `runner.shared.Shared` that this module needs."""

    @property
    def store(self) -> Store:
        """The store of the runs."""
        ...

    @property
    def extensions(self) -> Sequence[Extension]:
        """The extensions of the Runner, which know the migrations."""
        ...


async def read_result(shared: _Runs, plan: Plan[S] | None, snapshot: Snapshot) -> Result[S, Any]:
    """Return the result of a recorded run, with its state migrated to the current version of the graph.

    If the state cannot be migrated, the result contains the recorded values, and its `losses` contain `unmigrated`.
    """
    made = result_of(plan, snapshot)  # Before anything is awaited, because the caller's snapshot may change then.
    if plan is None or snapshot.graph != plan.graph or snapshot.fingerprint == plan.fingerprint:
        return made
    state = StateOf.last_of(snapshot)
    try:
        values = await state.migrate_to(plan, shared.store, shared.extensions)
    except GraphEngineError as error:
        log.warning("run %s: its state is given as it was recorded: %s", snapshot.run_id, error)
        return read_with(None, replace(made, losses={UNMIGRATED: 1, **made.losses}), made.recorded)
    return read_with(plan, made, values)


class PastRuns:
    """Finds the earlier runs that a node reads with `ctx.runs`.

    Args:
        store: The store of the runs.
        extensions: The extensions of the Runner. They migrate states of earlier versions of a graph.
    """

    def __init__(self, store: Store, extensions: Sequence[Extension]) -> None:
        self._store, self._extensions = store, extensions

    async def find(
        self, run_id: str, graph: str, last: int, fields: Collection[str] | None, plan: Plan[Any] | None
    ) -> list[PastRun]:
        """Return the newest finished runs of a graph. The calling run, and runs that cannot be read, are left out.

        Args:
            run_id: The id of the calling run.
            graph: The name of the graph.
            last: The maximum number of runs.
            fields: The fields of the states to return; None for all fields.
            plan: The compiled graph to which the states are migrated; None for the states as they were recorded.
        """
        found: list[PastRun] = []
        for info in await self._store.runs(limit=last + 1, status="finished", graph=graph):
            if info.id == run_id or len(found) == last:
                continue
            try:
                state = StateOf.last_of(await load_snapshot(self._store, info.id, None))
            except StoreError:
                continue
            found += await self._read(state, info.created_at, fields, plan)
        return found

    async def migrate(self, runs: Sequence[PastRun], fields: Collection[str] | None, plan: Plan[Any]) -> list[PastRun]:
        """Migrate runs that the node has read under an older version of their graph to the current version.

        A migration needs all fields of a state. If the node has read only some of them, the run is loaded again.
        """
        found: list[PastRun] = []
        for run in runs:
            state = StateOf(run.run_id, plan.graph, 0, run.state, run.fingerprint, run.version)
            if run.fingerprint == plan.fingerprint:
                found.append(run)
                continue
            if fields is not None or not run.fingerprint:
                there = await self._store.infos([run.run_id])
                if not any(info.created_at == run.created_at for info in there):  # another run can have the id now
                    log.warning(_LEFT_OUT, run.run_id, "it was removed, and only some fields of its state are recorded")
                    continue
                try:
                    state = StateOf.last_of(await load_snapshot(self._store, run.run_id, None))
                except GraphEngineError as error:
                    log.warning(_LEFT_OUT, run.run_id, error)
                    continue
            found += await self._read(state, run.created_at, fields, plan)
        return found

    async def _read(
        self, state: StateOf, created_at: float, fields: Collection[str] | None, plan: Plan[Any] | None
    ) -> list[PastRun]:
        """Return a past run with the requested fields of its state, migrated to the current version of the graph.

        The result is a list of one run. If the state cannot be migrated, a warning is logged and the list is empty.
        """
        values, fingerprint = state.values, state.snapshot.fingerprint
        if plan is not None and fingerprint != plan.fingerprint:
            try:
                values = await state.migrate_to(plan, self._store, self._extensions)
            except GraphEngineError as error:
                log.warning(_LEFT_OUT, state.snapshot.run_id, error)
                return []
            fingerprint = plan.fingerprint
        version = await find_version(fingerprint, plan, self._store)
        shown = values if fields is None else {name: values[name] for name in fields if name in values}
        run = PastRun(run_id=state.snapshot.run_id, created_at=created_at, state=dict(shown))
        return [run.model_copy(update={"version": version, "fingerprint": fingerprint})]
