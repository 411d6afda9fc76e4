"""Write drafts of `migrate=`: code that a person can paste into a graph, so that waiting runs fit the changed graph.

There is one draft for each graph. A draft keeps every migration that the graph has. It adds the steps that the waiting
runs of the graph need: the steps that are missing between two versions, and a step from the present version to the next
one if runs of the present version no longer fit.

The drafts are found in rounds. In each round every run is resumed on a copy of its snapshot, under plans that contain
the drafts of the round before, and what still does not fit is added to the drafts. The last round, in which nothing is
added, is the proof that the drafts suffice.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.errors import GraphChanged, GraphEngineError
from graphengine.kernel.extension import START, Migration
from graphengine.kernel.inside import source_of
from graphengine.kernel.reader import Frame
from graphengine.migration.apply import Walked, walk_frames
from graphengine.migration.compatibility import field_changes, fit_fields
from graphengine.schemas.examples import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import Call, Plan
    from graphengine.kernel.reader import GraphSpec, Snapshot

MISSING_STEP: Final = Migration()
"""The step that a plan gets where `migrate=` has a gap, so that a graph with such a gap can be compiled."""
TO_DO: Final = "# to do:"
"""The beginning of each comment in a draft that asks a person to complete the code."""
_ROUNDS: Final = 12


class RecordedRun(NamedTuple):
    """A recorded run that waits. Drafts of migrations are tried on it, to find out whether it could continue.

    Attributes:
        plan: Today's plan of the run's graph.
        snapshot: The run as it was recorded.
        spec: The recorded spec of the run's graph.
    """

    plan: Plan[Any]
    snapshot: Snapshot
    spec: GraphSpec | None


@dataclass(slots=True)
class _Step:
    """One drafted migration from a version of a graph to the next: how it changes fields and nodes.

    Attributes:
        state: The fields of today's state that the migration sets. Each has the recorded fields that may be the same
            field under another name. If there are none, a person has to give the value.
        retyped: The fields of `state` whose recorded value no longer fits.
        drops: Whether the migration drops fields that are not in today's state.
        renamed: The nodes that the migration renames, as in `Migration`.
        moved: The nodes that the migration moves, as in `Migration`; None for a target that a person has to choose.
        notes: Comments about nodes.
        given: The recorded fields of the runs on which the migration was tried in this round.
        made: The fields that the migration returned for the present run; None if it was not called.
    """

    state: dict[str, list[str]] = field(default_factory=dict)
    retyped: set[str] = field(default_factory=set)
    drops: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    made: dict[str, Any] | None = None


class _GraphDraft:
    """The draft of `migrate=` for one graph.

    It consists of the migrations that the graph already has, the drafted ones, and the version that the graph gets.
    """

    def __init__(self, plan: Plan[Any], recorded: set[int], unfit: set[int]) -> None:
        self.plan = plan
        self.kept = {version: step for version, step in plan.migrate.items() if step is not MISSING_STEP}
        absent = [version for version in range(min(recorded), plan.version) if version not in self.kept]
        self.target = absent[-1] if absent and plan.version not in unfit else plan.version
        self.version = max(plan.version, self.target + 1)
        self.steps = {version: _Step() for version in sorted({*absent, self.target})}
        self.types: dict[str, str] = {}

    @property
    def last(self) -> _Step:
        """The drafted migration that collects all changes of fields and nodes.

        A draft can contain further migrations, but these only close gaps between earlier versions.
        """
        return self.steps[self.target]

    @property
    def is_needed(self) -> bool:
        """Whether a person needs this draft, because it changes something or closes a gap between migrations."""
        does = any(step.state or step.drops or step.renamed or step.moved for step in self.steps.values())
        return does or any(version < self.plan.version for version in self.steps if self.kept)

    @property
    def open_fields(self) -> set[str]:
        """The new fields for which a person has to write the value, because no recorded field can be the source."""
        return {name for name, sources in self.last.state.items() if not sources or name in self.last.retyped}

    @property
    def migrate(self) -> dict[int, Migration]:
        """The migrations of the graph by version, existing and drafted ones, with which runs are resumed on trial.

        A drafted migration changes fields in the same way as the code that `lines` writes for a person.
        """
        elsewhere = next(iter(self.plan.nodes), START)
        drafted = {
            version: Migration(
                partial(self._apply, step), step.renamed, {old: new or elsewhere for old, new in step.moved.items()}
            )
            for version, step in self.steps.items()
        }
        return dict(sorted((self.kept | drafted).items()))

    def _apply(self, step: _Step, old: dict[str, Any]) -> dict[str, Any]:
        """Change the recorded fields of a run as the code of a drafted migration would do.

        Where the code has `...`, because only a person knows the value, any valid value is used.
        """
        step.given.append(dict(old))
        for name, sources in step.state.items():
            if name in step.retyped:
                old[name] = self._value_of(name)
                continue
            for source in sources:
                if source in old:
                    old[name] = old.pop(source)
            if name not in old:
                old[name] = self._value_of(name)
        if step.state or step.drops:
            old = {name: value for name, value in old.items() if name not in self._list_gone_fields(step)}
        step.made = dict(old)
        return old

    def _value_of(self, name: str) -> object:
        """Return any value that fits a field's type, as JSON; the text "..." if none can be found."""
        try:
            schema = self.plan.state.model.model_json_schema(by_alias=False)
            here = schema["properties"][name]
            return Values({"$defs": schema.get("$defs", {}), **here}, "...").smallest()
        except Exception:  # noqa: BLE001 - user code: a type of its own need not have a schema
            return "..."

    def _list_gone_fields(self, step: _Step) -> list[str]:
        """Return the recorded fields that a drafted migration drops because today's state does not have them.

        The list is empty if the graph already has migrations that come after the drafted one, because these may read
        the fields.
        """
        if step is not self.last or self.target != self.version - 1:
            return []
        taken = {source for sources in step.state.values() for source in sources}
        names = dict.fromkeys(name for recorded in step.given for name in recorded)
        return [name for name in names if name not in self.plan.state.fields and name not in taken]

    def add_field(self, name: str, walked: Walked, given: Mapping[str, Any]) -> bool:
        """Extend the draft so that it sets a field that a recorded state lacks. Returns whether this changes the draft.

        A new field takes the value of a field of its type that no longer exists. If there are several of these, it
        takes the value of the one with a similar name.
        """
        step = self.last
        self.types = {**walked.graph_spec.get("state", {}), **self.types}
        if name in given:
            is_new = name not in step.retyped
            step.retyped.add(name)
            step.state.setdefault(name, [])
            return is_new
        today = self.plan.graph_spec.get("state", {})
        taken = {source for other, sources in step.state.items() if other != name for source in sources}
        gone = [each for each in given if each not in today and each not in taken]
        same = [each for each in gone if self.types.get(each, today.get(name)) == today.get(name)]
        meant = same if len(same) == 1 else get_close_matches(name, same, n=1)
        is_new = name not in step.state
        sources = step.state.setdefault(name, [])
        if meant and meant[0] not in sources:
            sources.append(meant[0])
            return True
        return is_new

    def add_node(self, name: str, walked: Walked) -> bool:
        """Extend the draft so that it renames or moves a node at which runs wait.

        Returns whether this changes the draft.

        A node that no longer exists counts as renamed if exactly one node of its kind is new. A node that still exists
        is moved to itself: its visit begins again.
        """
        step = self.last
        recorded = {walked.names.get(each["name"], each["name"]): each for each in walked.graph_spec.get("nodes", ())}
        today = {node["name"]: node for node in self.plan.graph_spec.get("nodes", ())}
        kind = recorded[name].get("kind") if name in recorded else None
        near = [new for new, node in today.items() if new not in recorded and node.get("kind") == kind]
        before = self._name_before(name)
        if before in {*step.renamed, *step.moved}:
            return False
        if name in today:
            step.moved[before] = self._name_before(name)
            step.notes.append(f"# moved: what is in progress at {before!r} begins again")
        elif len(near) == 1:
            self._rename(before, self._name_before(near[0]), walked.version)
        else:
            step.moved[before] = None
            choices = ", ".join(map(repr, today))
            step.notes.append(f"{TO_DO} choose in moved= where runs at {before!r} continue: {choices}")
        return True

    def _name_before(self, name: str) -> str:
        """Return the name that a node of today's graph has just after the drafted migration.

        The name differs from today's name if an existing migration that comes after the drafted one renames the node.
        """
        for version, step in sorted(self.kept.items(), reverse=True):
            if version > self.target:
                name = next((old for old, new in step.renamed.items() if new == name), name)
        return name

    def _rename(self, old: str, new: str, version: int) -> None:
        """Rename a node in a drafted migration.

        One migration cannot give two nodes the same name. If another node already gets this name, it is renamed in an
        earlier migration.
        """
        target = new
        for step in (self.steps[each] for each in sorted(self.steps, reverse=True) if version <= each <= self.target):
            taken = next((each for each, name in step.renamed.items() if name == target), None)
            if taken is None:
                step.renamed[old] = target
                step.notes.append(f"# renamed: is {target!r} what {old!r} was? If not, use moved=")
                return
            target = taken
        self.last.moved[old] = new
        self.last.notes.append(f"# moved: {old!r} became {new!r} too, and what is in progress there begins again")

    def lines(self) -> Iterator[str]:
        """Yield the lines of code of the draft, which a person can paste.

        `...` stands where only a person can know the value, and a comment with `TO_DO` says so.
        """
        names = {version: _name_of(step.state) for version, step in self.kept.items()}
        texts = {
            version: _migration_text([names[version]], step.renamed, step.moved) for version, step in self.kept.items()
        }
        for version, step in self.steps.items():
            name = f"from_{version}"
            while name in names.values():
                name += "_again"
            function = list(self._function(name, step))
            yield from function
            yield from step.notes
            texts[version] = _migration_text([name if function else ""], step.renamed, step.moved)
        for version in (version for version, name in names.items() if name == "..."):
            yield f"{TO_DO} put the present function of migrate={{{version}: …}} in place of `...`"
        steps = ", ".join(f"{version}: {texts[version]}" for version in sorted(texts))
        state = self.plan.state.model.__name__
        yield f"Graph({self.plan.graph!r}, {state}, version={self.version}, migrate={{{steps}}})"

    def _function(self, name: str, step: _Step) -> Iterator[str]:
        """Yield the lines of the drafted function with which a migration changes fields.

        `...` stands where only a person can know the value. There are no lines if the migration changes no fields.
        """
        gone = self._list_gone_fields(step) if step.state or step.drops else []
        if not step.state and not gone:
            return
        today = self.plan.graph_spec.get("state", {})
        yield f"def {name}(old: dict[str, Any]) -> dict[str, Any]:"
        for each, sources in step.state.items():
            new = f"    old[{each!r}] = ...  {TO_DO} give a value for the new field, of type {today.get(each)}"
            if each in step.retyped:
                types = f"{self.types.get(each, 'another type')} to {today.get(each)}"
                yield f"    old[{each!r}] = ...  {TO_DO} convert the value from {types}"
                continue
            is_always = all(each not in recorded for recorded in step.given)
            if len(sources) == 1 and all(sources[0] in recorded for recorded in step.given):
                yield f"    old[{each!r}] = old.pop({sources[0]!r})  # is this the same field?"
                continue
            for source in sources:
                yield f"    if {source!r} in old:"
                yield f"        old[{each!r}] = old.pop({source!r})  # is this the same field?"
            if not sources and is_always:
                yield new
            elif not all(each in recorded or any(source in recorded for source in sources) for recorded in step.given):
                yield f"    if {each!r} not in old:"
                yield f"    {new}"
        for each in gone:
            yield f"    old.pop({each!r}, None)  # is gone"
        yield "    return old"
        yield ""


def _name_of(function: object) -> str:
    """Return the code that stands for the function of an existing migration: its name, or the source of a lambda.

    For a function that has neither a name nor a source, the result is "...". For a migration without a function, the
    result is "".
    """
    if function is None:
        return ""
    source = source_of(function) if isinstance(function, FunctionType) else None
    if source is not None and isinstance(source[0], ast.Lambda):
        return ast.unparse(source[0])
    name = str(getattr(function, "__qualname__", "")).rpartition("<locals>.")[2]
    return name if name and all(part.isidentifier() for part in name.split(".")) else "..."


def _migration_text(names: Sequence[str], renamed: Mapping[str, str], moved: Mapping[str, str | None]) -> str:
    """Write a migration as code, such as `Migration(f, renamed={'old': 'new'})`."""
    arguments = [name for name in names if name]
    if arguments and not renamed and not moved:
        return arguments[0]
    for word, nodes in (("renamed", renamed), ("moved", moved)):
        items = ", ".join(f"{old!r}: {'...' if new is None else repr(new)}" for old, new in nodes.items())
        arguments += [f"{word}={{{items}}}"] if items else []
    return f"Migration({', '.join(arguments)})"


class _Need(NamedTuple):
    """What the drafted migration of a graph still lacks before one recorded run fits today's graph.

    If `field` is set, the draft has to give this field a value. If `at` is set, the draft has to rename or move this
    node. If neither is set, the draft has to drop fields that are not in today's state.

    Attributes:
        walked: The graph.
        field: The field that has no value, or a value that does not fit.
        at: The node that no longer exists, or has become another kind of node.
        given: The fields with which the last migration of the draft was called.
    """

    walked: Walked
    field: str = ""
    at: str = ""
    given: Mapping[str, Any] = MappingProxyType({})


def draft_migrations(runs: Sequence[RecordedRun]) -> dict[str, str]:
    """Write a draft of `migrate=` for each graph that some waiting runs no longer fit.

    Args:
        runs: Waiting runs of each kind. Give runs that fit today's graph too, because they have to fit under the drafts
            as well.

    Returns:
        The code to paste, by the name of the graph. If runs would be refused even under the drafts, a comment above the
        code says so, with one such run and the reason.
    """
    search = _Search()
    for run in runs:
        search.note_versions(run.plan, run.spec or {})
    search.open_gaps()
    for _ in range(_ROUNDS):
        if not search.go_on(runs):
            break
    code = {name: "\n".join(draft.lines()) for name, draft in sorted(search.drafts.items()) if draft.is_needed}
    if search.refused:
        run_id, reason = next(iter(search.refused.items()))
        note = f"# not enough: under this draft, run {run_id} would still be refused: {reason.splitlines()[0]}"
        return {name: f"{note}\n{text}" for name, text in code.items()}
    return code


class _Search:
    """Finds drafts of `migrate=` under which all waiting runs can continue, by trying them on the recorded runs.

    Attributes:
        drafts: The drafts, by graph.
        refused: The runs that do not fit under the drafts, each with a reason.
    """

    def __init__(self) -> None:
        self.drafts: dict[str, _GraphDraft] = {}
        self.refused: dict[str, str] = {}
        self._recorded: dict[str, set[int]] = {}
        self._unfit: dict[str, set[int]] = {}
        self._plans: dict[str, Plan[Any]] = {}

    def note_versions(self, plan: Plan[Any], spec: GraphSpec) -> None:
        """Note the versions of its graph, and of the nested graphs, under which a run was recorded.

        `open_gaps` uses these versions to find the migrations that are missing.
        """
        self._plans.setdefault(plan.graph, plan)
        version: int = spec.get("version", plan.version)
        self._recorded.setdefault(plan.graph, set()).add(min(version, plan.version))
        inside = {graph.graph: graph for graph in plan.graphs}
        for node in spec.get("nodes", ()):
            for inner in node.get("graphs", {}).values():
                if (name := inner.get("graph", "")) in inside:
                    self.note_versions(inside[name], inner)

    def open_gaps(self) -> None:
        """Begin a draft for each graph whose `migrate=` has a gap.

        There is a gap if no migration leads on from one of the versions between the oldest recorded version and today's
        version.
        """
        for name, plan in self._plans.items():
            steps = (
                plan.migrate.get(version, MISSING_STEP) for version in range(min(self._recorded[name]), plan.version)
            )
            if plan.migrate and any(step is MISSING_STEP for step in steps):
                self.drafts[name] = _GraphDraft(plan, self._recorded[name], set())

    def go_on(self, runs: Sequence[RecordedRun]) -> bool:
        """Try the drafts on all recorded runs once, and add to the drafts what these runs still lack.

        Returns:
            Whether a draft was changed, so that another try makes sense.
        """
        for step in (step for graph_draft in self.drafts.values() for step in graph_draft.steps.values()):
            step.given.clear()
        self.refused = {}
        is_changed = False
        tried = {*self.drafts}
        needs = [need for run in runs for need in self._try(run)]
        for need in sorted(needs, key=lambda need: -need.walked.version):
            name, version = need.walked.plan.graph, need.walked.version
            unfit = self._unfit.setdefault(name, set())
            unfit.add(version)
            draft = self.drafts.get(name)
            if draft is None or draft.target < version:
                self.drafts[name] = _GraphDraft(self._plans[name], self._recorded[name], unfit)
                tried.discard(name)
                is_changed = True
            elif name not in tried:
                continue  # the next round knows which fields the run gives to the new draft
            elif need.field:
                is_changed |= draft.add_field(need.field, need.walked, need.given)
            elif need.at:
                is_changed |= draft.add_node(need.at, need.walked)
            elif not draft.last.drops:
                is_changed = draft.last.drops = True
        return is_changed

    def _try(self, run: RecordedRun) -> Sequence[_Need]:
        """Try to resume a copy of a run with the drafts, and return what the drafts still lack for this run.

        The result is empty if the run fits. A run that is refused is also entered in `refused`, with the reason.
        """
        for each_draft in self.drafts.values():
            each_draft.last.made = None
        plan = change_plans(run.plan, self._change_plan)
        run_id = run.snapshot.run_id
        try:
            found = field_changes(plan, run.snapshot, run.spec)
        except GraphChanged as error:
            self.refused[run_id] = error.message
            return list(self._list_what_failed_lacks(plan, run))
        except GraphEngineError as error:
            self.refused[run_id] = error.message
            return ()
        if found.mismatches:
            self.refused[run_id] = found.mismatches[0].text
        needs: list[_Need] = []
        for mismatch in (*found.mismatches, *(each for each in found.left if each.field)):
            wanted = (mismatch.graph, mismatch.version)
            walked = next((each for each in found.graphs.values() if (each.plan.graph, each.version) == wanted), None)
            draft = self.drafts.get(mismatch.graph)
            recorded = draft.last.given[-1] if draft is not None and draft.last.given else {}
            if walked is not None and (mismatch.field or mismatch.at):
                needs.append(_Need(walked, mismatch.field, mismatch.at, recorded))
        return needs

    def _list_what_failed_lacks(self, plan: Plan[Any], run: RecordedRun) -> Iterator[_Need]:
        """Yield what the drafts still lack for a run whose migrations raised an error.

        If all that the run lacks are values that only a person can give, the run is removed from `refused`.
        """
        try:
            graphs = walk_frames(plan, run.snapshot, run.spec or {})
        except GraphChanged:
            return
        open_only: list[bool] = []
        for walked in graphs.values():
            draft = self.drafts.get(walked.plan.graph)
            if draft is None:
                if any(step.state is not None for _, step in walked.steps):
                    yield _Need(walked)
            elif draft.last.made is not None and draft.target == draft.version - 1:
                needs = list(_list_unfit_fields(draft, walked, draft.last.made))
                open_only += [need.field in draft.open_fields for need in needs]
                yield from needs
        if open_only and all(open_only):
            del self.refused[run.snapshot.run_id]

    def _change_plan(self, plan: Plan[Any]) -> Plan[Any]:
        draft = self.drafts.get(plan.graph)
        return plan if draft is None else replace(plan, version=draft.version, migrate=draft.migrate)


def _list_unfit_fields(draft: _GraphDraft, walked: Walked, made: Mapping[str, Any]) -> Iterator[_Need]:
    """Yield what a draft still lacks, judged by the fields that its migration returned for one recorded run.

    A field may be missing, may not fit today's type, or may have to be dropped.

    Args:
        draft: The draft of the graph.
        walked: The graph that the recorded run is in.
        made: The fields that the migration returned.
    """
    state = walked.plan.state
    if any(name not in state.fields for name in made):
        yield _Need(walked)
    record = {name: value for name, value in made.items() if name in state.fields}
    for problem in fit_fields(walked, Frame(values=record), set(made))[1]:
        if problem.field not in state.secrets:
            yield _Need(walked, problem.field, given=draft.last.given[-1])


def change_plans(plan: Plan[Any], change: Callable[[Plan[Any]], Plan[Any]]) -> Plan[Any]:
    """Apply a function to a compiled plan and to the plans of all graphs nested in it, the nested plans first.

    Returns:
        The changed plan. The given plan is not changed.
    """

    def inside(call: Call) -> Call:
        return call if call.graph is None else replace(call, graph=change_plans(call.graph, change))

    nodes = dict(plan.nodes)
    for name, node in plan.nodes.items():
        if any(call.graph is not None for call in node.calls):
            choices = {case: inside(call) for case, call in node.choices.items()}
            nodes[name] = replace(node, call=node.call and inside(node.call), choices=choices)
    return change(replace(plan, nodes=nodes))


__all__ = ["MISSING_STEP", "TO_DO", "RecordedRun", "change_plans", "draft_migrations"]
