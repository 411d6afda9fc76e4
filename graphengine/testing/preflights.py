"""Check before a deploy whether every unfinished run would continue under today's graphs.

async def test_no_waiting_run_is_lost() -> None:
    found = await preflight([desk, orders], "checkpoints/runs.db")
    assert found.fits, found

The check uses the same function as a resume, `compatibility.field_changes`, and writes nothing. A run whose graph has
today's fingerprint fits without being read. The other runs are grouped: all runs with the same fingerprint and the same
position share one decision. To find the group of a run, the check reads the run's position and those fields of its
state that can change the decision; see `_fields_that_decide`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence  # noqa: TC003 - documents read the annotations
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from graphengine.agents.asked import has_conversation
from graphengine.api.places import reading
from graphengine.errors import CompileError, GraphChanged, GraphEngineError, UnknownRun
from graphengine.kernel.reader import (
    Collecting,
    Ended,
    Forked,
    Inside,
    TodaysCode,
    graph_spec_of,
    load_snapshot,
    path_of,
    status_of,
)
from graphengine.migration.compatibility import field_changes, renamed_fields
from graphengine.migration.draft import MISSING_STEP, TO_DO, RecordedRun, change_plans, draft_migrations
from graphengine.records.selection import list_unfinished
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from os import PathLike

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Plan
    from graphengine.kernel.reader import Frame, GraphSpec, NodeSpec, Snapshot
    from graphengine.kernel.store import RunInfo, RunStore, Store
    from graphengine.migration.positions import Mismatch

Verdict: TypeAlias = Literal["unchanged", "fits", "migrates", "refused", "no_graph", "unreadable"]

_TOGETHER: Final = 16
"""How many runs are read at a time."""
_EXAMPLES: Final = 3
_ITEM: Final = re.compile(r"\[\d+\]")
_PLAIN: Final = re.compile(r"(?:list|dict|str|int|float|bool|None|Any|object|[\[\], |])+")
"""Names of types that mean the same in every version of the code."""
_WORDS: Final = {"system": "instructions", "prompt": "prompt"}
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason why runs do not fit, or, for runs that fit, something that changes or is lost when they continue.

    Attributes:
        code: The kind of the reason. If runs do not fit, `does_not_fit` or the code of the error with which a resume
            would end. If runs fit, one of the following:

            - `field_removed`: a recorded field, or a recorded part of a type, no longer exists.
            - `field_renamed`: a recorded field no longer exists, and a field of the same type is new.
            - `value_changed`: a recorded value is read as another value.
            - `visits_dropped`: a migration moves runs out of a graph or a map in which work has finished. If the new
              node does this work too, its effects happen again.
            - `older_words`: conversations of agents continue with the instructions or the prompt with which they began.
        place: The path of the node; "" for the state.
        text: The reason, with the values of the first such run.
        repair: How to repair the graph or the runs.
    """

    code: str
    place: str
    text: str
    repair: str


@dataclass(slots=True)
class RunGroup:
    """Unfinished runs that were recorded under the same version of a graph and are at the same place.

    They share one verdict.

    Attributes:
        graph: The name of the runs' graph.
        fingerprint: The digest of the graph under which the runs were recorded.
        verdict: `unchanged` (today's graph is the recorded graph), `fits`, `migrates` (the runs fit after
            `migrations`), `refused`, `no_graph` (no graph with this name can be used) or `unreadable`.
        places: The paths of the nodes at which the runs are, without the indexes of items; empty for unchanged graphs.
        runs: The number of runs.
        statuses: The number of runs by status. A waiting run that only sleeps counts as `sleeping`.
        examples: The ids of some of the runs.
        reasons: The reasons why the runs do not fit, or the changes with which they continue.
        migrations: The migrations that a resume applies, each with the graph and its old and new version.
        changes: The changes of the graph, in the form old → new.
        asks_again: Whether a resume asks the open questions of the runs again.
        unsettled: The effects that began in these runs and have no recorded end, in nodes whose code has changed
            since. Each is described with its run and the path of its node. A person is asked before the node runs
            again.
    """

    graph: str
    fingerprint: str
    verdict: Verdict
    places: Sequence[str] = ()
    reasons: Sequence[Reason] = ()
    migrations: Sequence[str] = ()
    changes: Sequence[str] = ()
    asks_again: bool = False
    unsettled: Sequence[str] = ()
    runs: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether the runs of this group can continue."""
        return self.verdict in ("unchanged", "fits", "migrates")

    @property
    def key(self) -> tuple[object, ...]:
        """What all runs of a group have in common, as a key: groups with equal keys are merged.

        The texts of the reasons are not part of the key, because they may contain values of single runs.
        """
        why = tuple((each.code, each.place, each.repair) for each in self.reasons)
        return self.graph, self.fingerprint, self.verdict, self.places, self.migrations, why, self.asks_again

    def add(self, info: RunInfo) -> None:
        """Add a run to this group: count it by its status, and keep its id if the group has only a few examples yet."""
        sleeps = info.status == "waiting" and info.summary is not None and info.summary.kind == "sleep"
        status = "sleeping" if sleeps else status_of(info)
        self.runs += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(info.id)


@dataclass(frozen=True, slots=True)
class Preflight:
    """The result of checking whether the unfinished runs fit today's graphs.

    Attributes:
        runs: The number of unfinished runs that were checked.
        refused: How many of these runs do not fit.
        groups: The runs in groups. Groups that do not fit come first, and larger groups come before smaller ones.
        drafts: Drafts of `migrate=` as code, by graph, for runs with reasons that a migration can repair. Each draft
            was tried on examples of the runs. It contains `...` in places that only a person can fill in.
    """

    runs: int
    refused: int
    groups: Sequence[RunGroup]
    drafts: Mapping[str, Sequence[str]]

    @property
    def fits(self) -> bool:
        """Whether all unfinished runs fit."""
        return not self.refused

    def __str__(self) -> str:
        """Return a text with the reasons and their repairs, drafts of migrations, and how many runs do not fit."""
        lines: list[str] = []
        for group in self.groups:
            for reason in group.reasons:
                place = f"{group.graph} at {reason.place}" if reason.place else group.graph
                word = "warning " if group.fits else ""
                lines.append(f"{counted(group.runs, 'run')} of {place}: {word}{reason.code}: {reason.text}")
                lines.append(f"  repair: {reason.repair}")
            lines += [f"effect_in_flight: {each}" for each in group.unsettled]
            lines += [f"  changed: {change}" for change in group.changes if group.reasons]
        for name, codes in self.drafts.items():
            code = "\n".join(codes)
            what = "to be completed at each `...`" if TO_DO in code else "to be checked"
            lines += ["", f"a draft of migrate= for {name}, {what}:", indent(code, "    ")]
        whole = f"{counted(self.runs, 'run')} that {'has' if self.runs == 1 else 'have'} not ended"
        fit = f"{self.refused:,} {'does' if self.refused == 1 else 'do'} not fit" if self.refused else "all fit"
        return "\n".join([*lines, f"{whole}: {fit}"])


async def preflight(
    graphs: Iterable[Graph[Any]],
    store: str | PathLike[str] | Store,
    *,
    newer_seconds: float | None = None,
    names: Collection[str] | None = None,
) -> Preflight:
    """Find out whether every unfinished run of a database would continue under today's graphs.

    `preflight` writes nothing to the database. If another process is driving a run at the same time, `preflight` checks
    the run at the last step that is recorded.

    Args:
        graphs: Today's graphs. Runs of other graphs do not fit.
        store: The database: a path, `postgresql://…`, or a store, which stays open.
        newer_seconds: Check only runs whose last step is at most this many seconds old.
        names: Check only runs of graphs with these names; None for all graphs.

    Returns:
        The runs that `preflight` has checked, in groups. For runs that do not fit today's graphs, a group contains the
        reasons and a draft of the `migrate=` function that would adapt the runs.

    Raises:
        CompileError: A graph has an error that the draft of a migration cannot repair.
        StoreError: The database cannot be read.
    """
    plans = {graph.name: compile_with_gaps(graph) for graph in graphs}
    async with reading(store) as opened:
        look = _Look(opened, plans)
        changed: list[RunInfo] = []
        async with aclosing(list_unfinished(opened, newer_seconds)) as unfinished:
            async for info in unfinished:
                plan = plans.get(info.graph)
                if names is not None and info.graph not in names:
                    continue
                is_changed = plan is not None and plan.fingerprint != info.fingerprint
                if plan is not None and (is_changed or TodaysCode(plan).is_other(info.code)):
                    changed.append(info)
                else:
                    look.add(
                        info,
                        RunGroup(info.graph, info.fingerprint, "unchanged") if plan is not None else _unknown(info),
                    )
        for first in range(0, len(changed), _TOGETHER):
            infos = changed[first : first + _TOGETHER]
            for info, found in zip(infos, await asyncio.gather(*map(look.group_of, infos)), strict=True):
                if found is not None:
                    look.add(info, found)
        drafts = await look.drafts()
    groups = sorted(look.groups.values(), key=lambda group: (group.fits, -group.runs, group.graph, group.places))
    counts = [(group.runs, group.fits) for group in groups]
    return Preflight(sum(n for n, _ in counts), sum(n for n, fits in counts if not fits), groups, drafts)


def compile_with_gaps(graph: Graph[Any]) -> Plan[Any]:
    """Compile a graph even if its migrations are incomplete, which is normal before a deploy.

    `migrate=` may leave out versions, which are filled in with `MISSING_STEP`, and the last migration may name nodes
    that no longer exist. The draft of a migration repairs both.

    Raises:
        CompileError: The graph has another error.
    """
    try:
        return graph.compile()
    except CompileError:
        with suppress(CompileError):
            return change_plans(_go_on(graph).compile(), _go_back)
        raise


def _go_on(graph: Graph[Any]) -> Graph[Any]:
    """Copy a graph with the next version number, and fill the gaps in its migrations, so that the copy compiles.

    Graphs inside the graph are copied in the same way. `_go_back` restores the version number in the compiled plan.
    """
    other = graph.but()
    other.version += 1
    steps = range(min(graph.migrate, default=graph.version), other.version)
    other.migrate = {version: graph.migrate.get(version, MISSING_STEP) for version in steps}
    for place, declared in enumerate(graph.nodes):
        if isinstance(declared.runnable, type(graph)):
            other.nodes[place] = replace(declared, runnable=_go_on(declared.runnable))
    return other


def _go_back(plan: Plan[Any]) -> Plan[Any]:
    """Restore the version number of a compiled graph, which `_go_on` has raised."""
    version = plan.version - 1
    migrate = {older: step for older, step in plan.migrate.items() if older != version}
    return replace(plan, version=version, migrate=migrate, graph_spec={**plan.graph_spec, "version": version})


def _unknown(info: RunInfo) -> RunGroup:
    repair = "deploy the graph too. Or let the old version drive these runs to their end, or stop these runs"
    reason = Reason("graph_not_found", "", f"no graph {info.graph!r} can be used", repair)
    return RunGroup(info.graph, info.fingerprint, "no_graph", reasons=(reason,))


class _Look:
    """Checks the unfinished runs of one preflight, and collects the runs that get the same verdict in groups.

    Only the first run of each situation is checked completely. The other runs in the same situation get its verdict.
    """

    def __init__(self, store: RunStore, plans: Mapping[str, Plan[Any]]) -> None:
        self._store, self._plans = store, plans
        self._specs: dict[str, GraphSpec | None] = {}
        self._names: dict[str, frozenset[str] | None] = {}
        self._decided: dict[bytes, RunGroup] = {}
        self.groups: dict[tuple[object, ...], RunGroup] = {}

    def add(self, info: RunInfo, group: RunGroup) -> None:
        """Add a run to the group with its verdict, or to an earlier group with the same key."""
        kept = self.groups.setdefault(group.key, group)
        if kept is not group:
            kept.unsettled = (*kept.unsettled, *group.unsettled)
        kept.add(info)

    async def group_of(self, info: RunInfo) -> RunGroup | None:
        """Read a run from the store, check whether it fits today's graph, and return a group with the verdict.

        Returns None if the run has ended or was removed meanwhile.
        """
        plan = self._plans[info.graph]
        try:
            snapshot = await load_snapshot(self._store, info.id, None)
            fingerprint = snapshot.fingerprint
            if fingerprint not in self._specs:
                self._specs[fingerprint] = await graph_spec_of(self._store, fingerprint)
        except UnknownRun:
            return None
        except GraphEngineError as error:
            return RunGroup(info.graph, info.fingerprint, "unreadable", reasons=(_reason_of_error(error),))
        if snapshot.status not in ("running", "waiting"):
            return None
        unsettled = await self._list_unsettled(plan, snapshot)
        if fingerprint == plan.fingerprint:
            return RunGroup(info.graph, info.fingerprint, "unchanged", unsettled=unsettled)
        if fingerprint not in self._names:
            self._names[fingerprint] = _fields_that_decide(plan, self._specs[fingerprint])
        key = _key_of_fit(snapshot, self._names[fingerprint])
        if key not in self._decided:
            self._decided[key] = self._decide(plan, snapshot, self._specs[fingerprint])
        return replace(self._decided[key], unsettled=unsettled, statuses={}, examples=[])

    async def _list_unsettled(self, plan: Plan[Any], snapshot: Snapshot) -> Sequence[str]:
        """Describe a run's side effects that began and have no recorded end, in nodes whose code has changed since."""
        before: Any = await self._store.code(snapshot.code) if snapshot.code else None
        return [
            f"{name} began in {path} of run {snapshot.run_id}, and has no recorded end"
            for path, name in TodaysCode(plan).effects_in_flight(snapshot, before)
        ]

    def _decide(self, plan: Plan[Any], snapshot: Snapshot, spec: GraphSpec | None) -> RunGroup:
        places = tuple(
            dict.fromkeys(
                _bare_place(frame)
                for frame in snapshot.frames.values()
                if not isinstance(frame.phase, Inside | Forked | Collecting | Ended)
            )
        )
        group = partial(RunGroup, snapshot.graph, snapshot.fingerprint, places=places)
        try:
            found = field_changes(plan, snapshot, spec)
        except GraphChanged as error:
            return group("refused", reasons=(_reason_of_error(error),))
        except GraphEngineError as error:
            return group("unreadable", reasons=(_reason_of_error(error),))
        reasons = tuple(dict.fromkeys(_reason_of_mismatch(mismatch) for mismatch in found.mismatches))
        reasons += tuple(
            Reason(
                "graph_changed",
                "",
                f"no migration leads from version {version} of graph {graph.plan.graph!r} to {version + 1}",
                f"add migrate={{{version}: f}}, or {version}: Migration() if nothing has to change",
            )
            for graph in found.graphs.values()
            for version, step in graph.steps
            if step is MISSING_STEP
        )
        if reasons:
            return group("refused", reasons=reasons, changes=found.shift.changes)
        older = tuple(dict.fromkeys(_older_words(plan, snapshot, spec)))
        migrated = [graph for graph in found.graphs.values() if graph.steps]
        versions = (f"{each.plan.graph} {each.version} → {each.plan.version}" for each in migrated)
        migrations = tuple(dict.fromkeys(versions))
        return group(
            "migrates" if migrations else "fits",
            migrations=migrations,
            changes=found.shift.changes,
            asks_again=bool(found.shift.asks),
            reasons=(*dict.fromkeys(map(_reason_of_mismatch, found.left)), *older),
        )

    async def drafts(self) -> dict[str, list[str]]:
        """Write drafts of `migrate=` for each graph whose runs do not fit.

        Each draft is tried on some of these runs.
        """
        groups = [group for group in self.groups.values() if group.graph in self._plans]
        unfit = {
            group.graph
            for group in groups
            if group.verdict == "refused" or any(reason.code == "field_renamed" for reason in group.reasons)
        }
        runs: list[RecordedRun] = []
        for graph, run_id in (
            (each.graph, run_id) for each in groups if each.graph in unfit for run_id in each.examples
        ):
            with suppress(GraphEngineError):  # The run was removed since, or cannot be read.
                snapshot = await load_snapshot(self._store, run_id, None)
                if snapshot.status in ("running", "waiting"):
                    spec = await graph_spec_of(self._store, snapshot.fingerprint)
                    runs.append(RecordedRun(self._plans[graph], snapshot, spec))
        found: dict[str, list[str]] = {}
        for graph, draft in draft_migrations(runs).items():
            unsettled = [
                each for group in groups if group.graph == graph and not group.fits for each in group.unsettled
            ]
            notes = [f"# moved: a person is asked first, since {each}" for each in unsettled if "moved={" in draft]
            found[graph] = ["\n".join([*notes, draft])]
        return found


def _fields_that_decide(plan: Plan[Any], spec: GraphSpec | None) -> frozenset[str] | None:
    """Return the fields whose values can decide whether a run fits today's graph; None if all fields can.

    Runs that agree in these fields get the same verdict, so that only a few runs have to be checked completely. The
    value of a field does not matter if the field still has its recorded type and values of this type need no
    validation. All values matter if a migration, a validator or a default can read other fields.
    """
    state, recorded = plan.state, (spec or {}).get("state", {})
    version = (spec or {}).get("version", plan.version)
    steps = [step for older, step in plan.migrate.items() if older >= version]
    reads_others = any(kind.own or kind.info.default_factory_takes_validated_data for kind in state.fields.values())
    if not recorded or state.whole or reads_others or any(step.state is not None for step in steps):
        return None
    today = plan.graph_spec.get("state", {})
    comparable = {
        name for name, kind in state.fields.items() if kind.plain or (kind.exact and _PLAIN.fullmatch(today[name]))
    }
    same = {name for name in comparable if recorded.get(name) == today[name]}
    left = {gone for gone, others in renamed_fields(spec or {}, plan.graph_spec).items() if others}
    return frozenset(left.union(name for name, kind in state.fields.items() if name not in same or kind.secret))


def _key_of_fit(snapshot: Snapshot, names: frozenset[str] | None) -> bytes:
    """Return a digest of everything that decides whether a run fits today's graph.

    Runs with the same digest get the same verdict, so that only the first of them is checked completely.
    """
    frames: list[object] = []
    for frame in snapshot.frames.values():
        phase = frame.phase
        place = (frame.id, frame.kind, frame.until, frame.at, type(phase).__name__, frame.choice)
        waits = [(name, wait.kind, wait.key, wait.choice) for name, wait in frame.waits.items()]
        values = frame.values
        if frame.kind == "root" and names is not None:
            values = {name: value if name in names else 0 for name, value in values.items()}
        frames.append((place, waits, values, frame.journal, has_conversation(frame)))
        if isinstance(phase, Collecting):
            frames.append((phase.fields, phase.items, phase.done))
        elif isinstance(phase, Forked):
            frames.append(phase)
    return blake2b(_encode((snapshot.graph, snapshot.fingerprint, snapshot.pause, frames))).digest()


def _older_words(plan: Plan[Any], snapshot: Snapshot, spec: GraphSpec | None) -> Iterator[Reason]:
    """Yield a warning for each conversation whose agent has other instructions or another prompt in today's graph.

    Such a conversation goes on with the text with which it began.
    """
    for frame in snapshot.frames.values():
        if not has_conversation(frame):
            continue
        then, now = _words_at(spec, frame), _words_at(plan.graph_spec, frame)
        changed = [name for name in _WORDS if then and now and then[name] != now[name]]
        if changed:
            what = " and ".join(_WORDS[name] for name in changed)
            text = (
                f"a conversation that began goes on with its recorded words; today's {what} count from the next one on"
            )
            yield Reason("older_words", _bare_place(frame), text, "nothing, or let these runs end first")


def _words_at(spec: GraphSpec | None, frame: Frame) -> dict[str, list[str]] | None:
    """Return the instructions and prompts of the agents at the node where a run currently is.

    A preflight compares the texts in the recorded description of the graph with those in today's. Returns None if the
    given description contains no such node.
    """
    node = _node_in(_graph_at(spec, frame), frame)
    if node is None:
        return None
    details = [each for _, each in sorted(node.get("details", {}).items())]
    return {name: [each.get(name, "") for each in details] for name in _WORDS}


def _graph_at(spec: GraphSpec | None, frame: Frame) -> GraphSpec | None:
    """Return the description of the graph in which this part of a run works: the run's own graph, or a nested graph."""
    around = frame.sub.up if frame.sub is not None else None
    if around is None:
        return spec
    outer = _node_in(_graph_at(spec, around), around)
    graphs: Mapping[str, GraphSpec] = outer.get("graphs", {}) if outer is not None else {}
    return graphs.get(around.choice)


def _node_in(spec: GraphSpec | None, frame: Frame) -> NodeSpec | None:
    """Return the description of the node at which this part of a run is; None if the graph has no such node."""
    return next((node for node in (spec or {}).get("nodes", ()) if node["name"] == frame.at), None)


def _bare_place(frame: Frame) -> str:
    return _ITEM.sub("[]", path_of(frame.id, frame.at))


def _reason_of_error(error: GraphEngineError) -> Reason:
    return Reason(error.code, "", error.message, error.repair or "")


def _reason_of_mismatch(mismatch: Mismatch) -> Reason:
    ways = [f"put back {mismatch.back}"] if mismatch.back else []
    ways += [f"give {mismatch.default!r} a default"] if mismatch.default else []
    conditions = {"does_not_fit": "", "value_changed": "if the value must stay as it was, "}
    condition = conditions.get(mismatch.code, "if it was renamed, ")
    ways += [f"{condition}migrate the run: {mismatch.migration}"] if mismatch.migration else []
    ways += ["nothing, or let these runs end first"] if mismatch.code == "visits_dropped" else []
    return Reason(mismatch.code, _ITEM.sub("[]", mismatch.place), mismatch.text, "; or ".join(ways))


__all__ = ["Preflight", "Reason", "RunGroup", "preflight"]
