"""`graphengine show`: how a run ended or what it waits for, its cost, state and steps; or one of its steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import click

from graphengine.cli import options
from graphengine.cli.places import graph_words
from graphengine.cli.terminal import STATUS_STYLES, fitted, text_columns, wrapped
from graphengine.records.words import cost, one_line, seconds, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.agents.asked import TurnRequest
    from graphengine.cli.context import CommandContext
    from graphengine.cli.places import DatabaseOption
    from graphengine.cli.terminal import Channel, Part
    from graphengine.kernel.inside import TokensName
    from graphengine.kernel.reader import At, GraphSpec, Snapshot, Step, Usage
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.account import Account
    from graphengine.records.at_work import AtWork
    from graphengine.records.base_documents import Document
    from graphengine.records.branches import BranchResult
    from graphengine.records.spending import Spent, SpentBelow
    from graphengine.records.visit_tree import DrivenTime, Entry
    from graphengine.records.visits import Visits

_PIPE_COLUMNS: Final = 200  # the width of a line about a step if the output is not a terminal
_STEPS: Final = 200
"""The maximum number of steps of a long run that are listed without --all."""
_BEFORE: Final = 1000
"""How many steps before the listed steps are read, to know when the listed steps began."""
_ITEMS: Final = 5
_REASON: Final = 160
_CHILDREN: Final = 10
"""The maximum number of child runs, failed runs and branches that are listed by name."""


@options.command(
    "show",
    options.DATABASE,
    examples="""
        graphengine show tides
        graphengine show tides --state           # all of the state
        graphengine show tides --at 2            # as of that step
        graphengine show tides --at review:1     # as of the end of that visit
        graphengine show tides --step 3 --json
        graphengine show tides --usage
    """,
)
@options.run_id
@click.option(
    "--at", type=options.At(), metavar="STEP", help="Show the run as it was after this step, e.g. 12 or review:2."
)
@click.option("--step", type=options.At(), metavar="STEP", help="Show this step with everything that it recorded.")
@click.option("--all", "is_whole", is_flag=True, help="Show every step of a long run.")
@click.option(
    "--state", "is_state", is_flag=True, help="Show the state with every value uncut, and leave out the steps."
)
@click.option(
    "--usage", "is_usage", is_flag=True, help="Show what the run spent on models, by agent, by model and by node."
)
def show(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    *,
    run_id: str,
    at: At | None,
    step: At | None,
    is_usage: bool,
    is_whole: bool,
    is_state: bool,
) -> int:
    """Show a run: how it ended and why, what it waits for, what it cost, its state, and its steps.

    Some of the output is shortened:

    - Long values of the state are cut. --state shows the whole state.
    - Of a run with more than 1,200 steps, only the last 200 steps are shown. --all shows every step.
    - Steps of more than five consecutive items of a map are summed up on one line, followed by the first failures.
      --step shows one step, and --json contains all steps.

    In the output, `took` is the time in which a process drove the run. The time in which the run waited or was stopped
    is not included.
    """
    _check_show_options(click.get_current_context().params)
    full_id = context.find(run_id).id
    is_all = step is None and (is_usage or context.json or is_whole)
    recorded = _read_recorded_run(
        context, full_id, step if step is not None else at, None if is_all else 1 if step is not None else _STEPS
    )
    if context.json:
        context.document(_build_show_document(recorded, is_usage=is_usage, is_step=step is not None))
    elif is_usage:
        _show_usage(context.out, recorded)
    elif step is not None:
        _show_step(context.out, recorded)
    else:
        _show_recorded(context, recorded, is_state=is_state)
    return 0


@dataclass(frozen=True, slots=True)
class _RecordedRun:
    """A recorded run as it was after one of its steps, which is usually the last step.

    Attributes:
        info: What the database lists about the run.
        snapshot: The state of the run after that step.
        steps: The steps up to that step, or only the last of these steps.
        start: The state of the run before the first of the steps; None if the first step is step 1.
        asked: The requests to models in the last step; empty if the last step records no call of a model.
        below: The costs of the child runs; None if they were not requested.
        failed: The child runs, at any depth, in which a failure began: failed runs without a failed child run.
        specs: The specs of the graph by fingerprint, from which the reasons for edges are read.
        at_work: What the run is doing now, if a live process drives the run and the last step is shown.
        branches: The branches of the run; empty if a single step is shown.
    """

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]
    start: Snapshot | None = None
    asked: Sequence[TurnRequest] = ()
    below: SpentBelow | None = None
    failed: Sequence[RunInfo] = ()
    specs: Mapping[str, GraphSpec] | None = None
    at_work: AtWork | None = None
    branches: Sequence[BranchResult] = ()

    @property
    def visits(self) -> Visits:
        """The visits of the run's nodes, computed from the recorded steps."""
        from graphengine.records.visits import Visits

        return Visits.of(self.steps, self.start, self.specs)


def _build_show_document(recorded: _RecordedRun, *, is_usage: bool, is_step: bool) -> Document:
    from graphengine.records.json_document import run_document, spending_of_run
    from graphengine.records.step_document import OneStep, step_document

    if is_usage:
        return spending_of_run(recorded.info, recorded.snapshot, recorded.steps, recorded.below)
    if is_step:
        entry = recorded.visits.entries[-1]
        why = entry.edge.why if entry.edge is not None else ""
        document = OneStep(run_id=recorded.info.id, step=step_document(entry.step, why))
        asked = [
            (one, {"system": one.system, "messages": [each.model_dump(mode="json") for each in one.messages]})
            for one in recorded.asked
        ]
        if failed := [{"agent": one.agent, "model": one.model, **each} for one, each in asked if one.answer is None]:
            document.failed_calls = failed
        elif asked:
            document.asked = asked[0][1]
        return document
    place = recorded.info, recorded.snapshot, recorded.steps, recorded.below
    return run_document(*place, specs=recorded.specs, at_work=recorded.at_work, branches=recorded.branches)


def _read_recorded_run(context: CommandContext, run_id: str, at: At | None, count: int | None) -> _RecordedRun:
    """Read a run as it was after a step, or as it is now, with all of its steps or with the last `count` of them.

    With `count`, the cost of reading does not depend on the length of the run. Some earlier steps are read too, because
    they tell when the last steps began.

    Raises:
        UnknownRun: There is no run with this id.
        UnknownStep: The run has no such step.
        StoreError: The run cannot be read.
    """
    from graphengine.kernel.inside import load_specs
    from graphengine.kernel.reader import load_snapshot
    from graphengine.records.at_work import load_at_work
    from graphengine.records.branches import load_branches
    from graphengine.records.now import load_now
    from graphengine.records.runs_below import runs_below
    from graphengine.records.spending import load_spent_below
    from graphengine.records.visits import load_start

    async def reading(store: Store) -> _RecordedRun:
        snapshot = await (load_now(store, run_id) if at is None else load_snapshot(store, run_id, at))
        start = None if count is None else await load_start(store, run_id, snapshot.seq - count - _BEFORE)
        steps = await store.steps(run_id, 0 if start is None else start.seq, snapshot.seq)
        info = await store.info(run_id)
        asked: Sequence[TurnRequest] = ()
        if count == 1 and (getattr(steps[-1].data, "by", None) or getattr(steps[-1].data, "lost", None)):
            from graphengine.agents.asked import asked_in

            asked = await asked_in(store, info, steps[-1])
        below = None if count == 1 else await load_spent_below(store, run_id)
        failed = (await runs_below(store, [run_id])).failed(run_id) if below is not None and below.failed else ()
        specs = await load_specs(store, steps, start.fingerprint if start is not None else "")
        works = await load_at_work(store, [info] if at is None else [], {run_id: snapshot})
        branches = () if count == 1 else await load_branches(store, snapshot)
        return _RecordedRun(info, snapshot, steps, start, asked, below, failed, specs, works.get(run_id), branches)

    return context.read(reading)


def _check_show_options(given: Mapping[str, Any]) -> None:
    """Check that the options do not exclude each other.

    Raises:
        click.UsageError: Two of the options exclude each other.
    """
    names = {"--state": "is_state", "--all": "is_whole", "--usage": "is_usage", "--step": "step"}
    chosen = [flag for flag, name in names.items() if given[name] not in (None, False)]
    if chosen == ["--step"] and given["at"] is not None:
        chosen = ["--at", "--step"]
    if len(chosen) > 1:
        raise click.UsageError(f"give {chosen[0]} or {chosen[1]}, not both")


def _show_recorded(context: CommandContext, recorded: _RecordedRun, *, is_state: bool) -> None:
    from graphengine.cli.report import show_state
    from graphengine.records.result_fields import result_fields

    out = context.out
    _show_outcome(out, context.place, recorded)
    out.line("")
    fields = result_fields(recorded.snapshot, recorded.steps)
    if fields.declared:
        out.line((f"result field: {fields.declared}", "dim"))
    elif fields.written and recorded.snapshot.status == "finished":
        out.line((f"written last: {', '.join(fields.written)}", "dim"))
    is_cut = show_state(out, recorded.snapshot.root.values, is_whole=is_state)
    if is_cut:
        out.line(("--state shows all of it", "dim"))
    if not is_state:
        out.line("")
        _show_steps(out, recorded)


def _show_outcome(out: Channel, place: DatabaseOption, recorded: _RecordedRun) -> None:
    """Show how a run ended or what it waits for, what it cost, and which other runs belong to it."""
    from graphengine.cli.report import OFFLINE, show_cost, show_end, show_kept, show_published, show_refused
    from graphengine.cli.steps import is_offline, show_waits
    from graphengine.kernel.reader import status_of
    from graphengine.records.kept_children import children_in

    info, snapshot = recorded.info, recorded.snapshot
    is_past = snapshot.seq < info.seq
    out.line("run ", (info.id, "bold"), f" of {info.graph}, begun {when(info.created_at)}")
    if info.parent is not None:
        out.line(f"branched from {info.parent} after its step {info.parent_seq}")
    if (starter := snapshot.starter) is not None:
        out.line(f"started by run {starter.run_id} in {starter.node}, visit {starter.visit}")
    if children := children_in(recorded.steps):
        more = f" and {len(children) - _CHILDREN:,} more" if len(children) > _CHILDREN else ""
        out.line(f"started {', '.join(children[:_CHILDREN])}{more}")
    if info.tags:
        out.line(f"tags: {', '.join(info.tags)}")
    if is_past:
        out.line(f"as of step {snapshot.seq} of {info.seq}; the run is {status_of(info)} now")
    elif info.status == "running":
        out.line(*driven(info, place, recorded.at_work))
    if snapshot.status != "running":
        show_end(out, snapshot)
    if not is_past and info.status in ("running", "waiting"):
        show_waits(out, snapshot, graph_words(info.graph), place)
        show_kept(out, snapshot)
    show_refused(out, snapshot)
    show_published(out, snapshot)
    show_cost(out, snapshot, recorded.below)
    _show_failed_below(out, place, recorded.failed)
    _show_branches(out, place, recorded.branches)
    if is_offline(snapshot.usage):
        out.line((OFFLINE, "yellow"))


def _show_failed_below(out: Channel, place: DatabaseOption, failed: Sequence[RunInfo]) -> None:
    """Show the child runs in which failures began, each with the command that shows the run."""
    for each in failed[:_CHILDREN]:
        reason = one_line(each.summary.reason, _REASON) if each.summary is not None else ""
        out.prose("failed below: ", (each.title or each.id, "bold"), f": {reason}; {place.command('show', each.id)}")
    if len(failed) > _CHILDREN:
        out.line(f"and {len(failed) - _CHILDREN:,} more failed below")


def _show_branches(out: Channel, place: DatabaseOption, branches: Sequence[BranchResult]) -> None:
    from graphengine.records.branches import branch_words

    for each in branches[:_CHILDREN]:
        out.prose("branch ", (each.run_id, "bold"), f": {branch_words(each)}; {place.command('show', each.run_id)}")
    if len(branches) > _CHILDREN:
        out.line(f"and {len(branches) - _CHILDREN:,} more branches")


def driven(info: RunInfo, place: DatabaseOption, at_work: AtWork | None = None) -> Sequence[Part]:
    """Describe what an unfinished run is doing now, and name the command that follows or resumes it."""
    from graphengine.records.at_work import at_work_words

    if info.driver is not None:
        doing = "a process drives it" if at_work is None else at_work_words(at_work, time.time())
        follow = place.command("watch", info.id)
        return ("running", STATUS_STYLES["running"]), f": {doing}; follow it: {follow}"
    if info.queued:
        return ("queued", STATUS_STYLES["queued"]), f" in {info.queue}: no worker has begun it yet"
    resume = place.command("resume", info.id, *graph_words(info.graph))
    return (("interrupted", STATUS_STYLES["interrupted"]), f": no process drives it; resume: {resume}")


def _show_steps(out: Channel, recorded: _RecordedRun) -> None:
    """Show each step of a run on a line. Below it, show its changes of the state and the reasons for its edge.

    Of a long run, only the last steps are shown.
    """
    from graphengine.records.account import changes_in

    steps = recorded.steps
    first = 1 if recorded.start is None else steps[-1].seq - _STEPS + 1
    if first > 1:
        out.line((f"steps 1 to {first - 1:,} are not listed: --all lists every step, --step SEQ shows one", "dim"))
    if removed := [step.seq for step in steps if step.kind == "removed" and step.seq >= first]:
        ends = f"steps {removed[0]:,} to {removed[-1]:,} were removed by retention"
        out.line((f"{ends}: the run goes on from a snapshot after step {removed[-1]:,}", "dim"))
    rows = list(_iter_step_rows(recorded, first))
    indent = " " * (max([len("seq"), *(len(row.seq) for row in rows)]) + 2)
    room = (out.columns or _PIPE_COLUMNS) - len(indent)

    def show_reasons(row: _StepRow) -> None:
        if row.account is None or row.entry is None:
            return
        for change in changes_in(row.entry.step, room):
            out.line(indent, fitted(change, room))
        why = _because(row.entry, row.account, is_last=row.entry.step is steps[-1])
        for change in (*row.account.shifts, why):
            for part in wrapped(change, room):
                out.line(indent, (part, "dim"))

    headings = ("seq", "step", "visit", "attempt", "took", "leads to")
    out.table(text_columns(headings, "took", "attempt", "visit"), rows, show_reasons, _style_step)


class _StepRow(NamedTuple):
    """A row in the table of steps that `graphengine show` prints.

    A row is about one step of the run. Or it sums up the steps of many items of a map; `entry` and `account` are then
    None.
    """

    seq: str
    label: str
    visit: str
    attempt: str
    took: str
    targets: str
    entry: Entry | None = None
    account: Account | None = None


def _style_step(row: _StepRow) -> str:
    if row.account is None:
        return ""
    if row.account.tone == "failed":
        return "red"
    return "yellow" if row.account.is_trouble or row.account.tone == "waiting" else ""


def _iter_step_rows(recorded: _RecordedRun, first: int) -> Iterator[_StepRow]:
    """Yield a row for each step from the number `first` on.

    The steps of many consecutive items of a map are summed up in one row. Rows of the first failures, questions and
    answers in these items follow.
    """
    from graphengine.records.account import account_of

    run = recorded.visits
    shown = [entry for entry in run.entries if entry.step.seq >= first and entry.step.kind != "removed"]
    # The path of the outermost map whose item contains a step; "" outside of items.
    for path, group in groupby(shown, lambda each: each.step.path.partition("[")[0] if "[" in each.step.frame else ""):
        entries = list(group)
        if path and len({_read_map_item(entry) for entry in entries}) > _ITEMS:
            yield _build_items_row(path, entries, run.time)
            entries = [entry for entry in entries if _has_own_row(entry.step)][:_ITEMS]
        for entry in entries:
            yield _build_step_row(entry, account_of(entry))


def _read_map_item(entry: Entry) -> str:
    return entry.step.frame.partition("]")[0]


def _has_own_row(step: Step) -> bool:
    """Return whether a step of a map item is shown in a row of its own, even if the items of the map are summed up."""
    return step.kind in ("failed", "waiting", "answered", "refused")


def _build_items_row(path: str, entries: Sequence[Entry], time: DrivenTime) -> _StepRow:
    from graphengine.records.step_queries import falls_back

    first, last = entries[0].step, entries[-1].step
    began = min(entry.began or entry.step.at for entry in entries)
    own = [entry for entry in entries if entry.step.frame.endswith("]") and entry.step.frame.count("[") == 1]
    done = [entry for entry in own if entry.step.kind == "item"]
    facts = {
        "by fallback": sum(falls_back(entry.step) for entry in done),
        "failed": sum(entry.step.kind == "failed" for entry in own),
        "in progress": len(
            {_read_map_item(entry) for entry in entries}
            - {_read_map_item(entry) for entry in own if entry.step.kind in ("item", "failed")}
        ),
    }
    label = f"{path}[…] {len(done):,} items" + "".join(f", {n:,} {what}" for what, n in facts.items() if n)
    return _StepRow(f"{first.seq}-{last.seq}", label, "", "", _format_took(time.between(began, last.at)), "")


def _build_step_row(entry: Entry, account: Account) -> _StepRow:
    is_fallback, targets = account.is_fallback, ", ".join(account.targets)
    return _StepRow(
        str(account.seq),
        f"{account.path} {account.event}{' (fallback)' if is_fallback else ''}".strip(),
        str(account.visit or ""),
        str(account.attempt) if (account.attempt > 1 or account.kind == "attempt") and not is_fallback else "",
        _format_took(account.took),
        f"{targets} [{account.edge}]" if account.edge else targets,
        entry,
        account,
    )


def _format_took(took: float | None) -> str:
    return seconds(took) if took is not None else ""


def _because(entry: Entry, account: Account, *, is_last: bool) -> str:
    """Return the reason for which a step ended as it did: its error, or the conditions of the edge that it took.

    An error that ended the run is left out, because the outcome of the run already shows it.
    """
    from graphengine.cli.steps import is_reported_at_end

    error = "" if is_last and is_reported_at_end(entry, account) else account.error
    return "; ".join(filter(None, (error, *account.lines, account.why)))


def _show_step(out: Channel, recorded: _RecordedRun) -> None:
    from graphengine.cli.report import whole
    from graphengine.cli.steps import arrow
    from graphengine.kernel.reader import Recorded
    from graphengine.records.account import account_of
    from graphengine.records.step_queries import ops_of
    from graphengine.records.work_records import call_record

    step, info, entry = recorded.steps[-1], recorded.info, recorded.visits.entries[-1]
    account = account_of(entry, limit=100_000, why_limit=1000)
    out.line(f"step {step.seq} of run ", (info.id, "bold"), f" of {info.graph}")
    out.line((step.kind, "bold"), f" {step.path}".rstrip(), *arrow(account))
    if step.node:
        out.line(f"visit {step.visit}, attempt {step.attempt}{', its fallback' if account.is_fallback else ''}")
    took, began = entry.took, entry.began
    start = f", {'asked' if took is None else 'began'} {when(began)}" if began else ""
    out.line(f"recorded {when(step.at)}{start}" + (f", took {_format_took(took)}" if took is not None else ""))
    for asked in recorded.asked:
        _show_asked(out, asked)
    for fact in (*account.lines, *account.shifts, account.why):
        if fact:
            out.prose(fact)
    for op in ops_of(step):
        sign = {"set": "=", "reduce": "=", "put": f"[{op[2]}] =", "grow": f"[{op[2]}] +="}.get(op[0], "+=")
        out.prose((str(op[1]), "bold"), f" {sign} ", whole(op[-1]))
    failure = step.data.error
    if failure is not None:
        out.prose((f"{failure.kind}: {failure.message}", "red"))
        for word, text in (("at", failure.where), ("repair", failure.repair)):
            if text:
                out.prose((f"  {word}: ", "dim"), text)
    called = call_record(step.data) if isinstance(step.data, Recorded) else None
    traceback = failure.traceback if failure is not None else called.traceback if called is not None else ""
    if traceback:
        out.line(str(traceback).rstrip())


def _show_asked(out: Channel, asked: TurnRequest) -> None:
    parts = [("system", asked.system)] if asked.system else []
    for message in asked.messages:
        role = f"{message.role}, failed" if message.is_error else message.role
        calls = [f"calls {call.name}({call.arguments})" for call in message.calls]
        parts.append((role, "\n".join(filter(None, (message.text, *calls)))))
    for role, text in parts:
        out.line((f"{role}:", "dim"))
        out.prose(text)


# --- --usage ---


_FIGURES: Final[Sequence[tuple[str, TokensName | Literal["calls", "offline_calls"]]]] = (
    ("calls", "calls"),
    ("offline", "offline_calls"),
    ("tokens in", "input_tokens"),
    ("cached", "cache_read_tokens"),
    ("to cache", "cache_write_tokens"),
    ("tokens out", "output_tokens"),
    ("thinking", "reasoning_tokens"),
)
_RARE: Final = ("cached", "to cache", "thinking", "offline")
"""Columns that are left out if every row contains 0."""

_TABLES: Final[Sequence[tuple[str, Callable[[Spent], str]]]] = (
    ("agent", lambda spent: spent.agent or "(rules)"),
    ("model", lambda spent: spent.model or "(not recorded)"),
    ("node", lambda spent: spent.node),
)


def _show_usage(out: Channel, recorded: _RecordedRun) -> None:
    """Show what a run spent on models in three tables: by agent, by model and by node.

    Each table has the same totals.
    """
    from graphengine.records.spending import spending

    found = spending(recorded.steps, recorded.info.parent_seq)
    if not found:
        out.line("no model was called")
        return
    for index, (heading, key) in enumerate(_TABLES):
        if index:
            out.line("")
        _show_usage_table(out, heading, found, key)


def _show_usage_table(out: Channel, heading: str, found: Sequence[Spent], key: Callable[[Spent], str]) -> None:
    """Show what each agent, model or node spent, which `key` selects, and the total.

    If the run is a branch, the usage that it inherits from its parent has rows and a total of its own.
    """
    from graphengine.records.spending import sum_by

    parts = dict.fromkeys(each.inherited for each in sorted(found, key=lambda each: each.inherited))
    rows: list[tuple[str, str, Usage]] = []
    for is_inherited in parts:
        of_part = [each for each in found if each.inherited == is_inherited]
        part = "" if True not in parts else "inherited" if is_inherited else "own"
        rows += [(name, part, usage) for name, usage in sum_by(of_part, key).items()]
        rows += [("all", part, usage) for usage in sum_by(of_part, lambda each: each.inherited).values()]
    figures = [each for each in _FIGURES if each[0] not in _RARE or any(usage.get(each[1]) for _, _, usage in rows)]
    cells = [
        (name, part, *(f"{usage.get(figure) or 0:,}" for _, figure in figures), cost(usage))
        for name, part, usage in rows
    ]
    spare = [title for title, _ in reversed(figures) if title != "calls"]
    out.table(text_columns((heading, "part", *(title for title, _ in figures), "cost"), *spare), cells)
