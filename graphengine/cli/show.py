"""`graphengine show`: how a run ended or what it waits for, its cost, state and steps; or one of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.cli.folders import Database
    from graphengine.cli.places import Place
    from graphengine.cli.recorded import Recorded
    from graphengine.cli.session import Session
    from graphengine.cli.terminal import Channel, Part
    from graphengine.engine.steps import Step
    from graphengine.history.timing import DrivenTime
    from graphengine.history.visit_tree import Entry, Track
    from graphengine.stores.base import RunInfo

_PIPE_COLUMNS: Final = 200  # the width of a line about a step without a terminal
_STEPS: Final = 200
"""The most steps of a long run that are listed without --all."""
_ITEMS: Final = 5
"""The most consecutive items of a map that are shown on a line each; more are shown as one line."""

_FLAGS: Final = {
    "--at": "at",
    "--step": "step",
    "--usage": "is_usage",
    "--all": "is_whole",
    "--state": "is_state",
}
_EXCLUSIVE: Final = (
    ("--at", "--step"),
    ("--usage", "--step"),
    ("--all", "--step"),
    ("--all", "--usage"),
    ("--state", "--step"),
    ("--state", "--usage"),
    ("--state", "--all"),
)


@click.command(
    "show",
    cls=helping.Command,
    examples="""
        graphengine show tides
        graphengine show tides --state           # all of the state
        graphengine show tides --at 2            # as of that step
        graphengine show tides --step 3 --json
        graphengine show tides --usage
    """,
)
@options.run_id
@click.option("--at", type=int, metavar="SEQ", help="Show the run as of this step.")
@click.option("--step", type=int, metavar="SEQ", help="Show this step with everything recorded.")
@click.option("--all", "is_whole", is_flag=True, help="Show every step of a long run.")
@click.option("--state", "is_state", is_flag=True, help="Show the state with every value uncut, and no steps.")
@click.option("--usage", "is_usage", is_flag=True, help="Show what it spent on models, by agent, by model and by node.")
@options.database
@options.common
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    run_id: str,
    at: int | None,
    step: int | None,
    is_usage: bool,
    database: Database | None,
    is_whole: bool,
    is_state: bool,
) -> int:
    """Show a run: how it ended and why, what it waits for, what it cost, its state, its steps.

    Long values of the state are cut; --state shows all of it. Of a run with more than 1,200 steps the last 200 are
    shown; --all shows every step. More than five consecutive items of a map are shown as one line; --step shows one of
    them, --json has them all.
    `took` counts only time in which the run was driven, not stops or waits.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read_end, read_run, run_id_of
    from graphengine.history.json_document import OneStep, run_document, step_document

    _check_options(click.get_current_context().params)
    place = place_of(database)
    meant = run_id_of(session, place, run_id)
    if step is not None:
        recorded = read_end(place, meant, step, 1)
    elif is_usage or session.json or is_whole:
        recorded = read_run(place, meant, at)
    else:
        recorded = read_end(place, meant, at, _STEPS)
    if is_usage:
        _show_usage(session, recorded)
    elif step is not None and session.json:
        session.document(OneStep(run_id=recorded.info.id, step=step_document(recorded.steps[-1])))
    elif step is not None:
        _show_step(session.out, recorded)
    elif session.json:
        session.document(run_document(recorded.info, recorded.snapshot, recorded.steps))
    else:
        _show(session, place, recorded, is_state=is_state)
    return 0


def _check_options(given: Mapping[str, Any]) -> None:
    """Check that the options go together.

    Raises:
        click.UsageError: Two of them exclude each other.
    """
    is_given = {flag for flag, name in _FLAGS.items() if given[name] not in (None, False)}
    for pair in _EXCLUSIVE:
        if is_given.issuperset(pair):
            raise click.UsageError(f"give {pair[0]} or {pair[1]}, not both")


def _show_usage(session: Session, recorded: Recorded) -> None:
    from graphengine.cli.usage import show_spending, usage_of_run

    if session.json:
        session.document(usage_of_run(recorded))
    else:
        show_spending(session.out, recorded)


def _show(session: Session, place: Place, recorded: Recorded, *, is_state: bool) -> None:
    from graphengine.cli.state import show_state

    out = session.out
    _show_outcome(out, place, recorded)
    out.line("")
    is_cut = show_state(out, recorded.snapshot.root.values, is_whole=is_state)
    if is_cut:
        out.line(("--state shows all of it", "dim"))
    if not is_state:
        out.line("")
        _show_steps(out, recorded)


def _show_outcome(out: Channel, place: Place, recorded: Recorded) -> None:
    """Show how a run ended or what it waits for, and its cost."""
    from graphengine.cli.places import graph_words
    from graphengine.cli.report import OFFLINE, run_usage, show_cost, show_end, show_kept
    from graphengine.cli.steps import is_offline
    from graphengine.cli.times import when
    from graphengine.cli.waits import show_waits
    from graphengine.history.selection import status_of

    info, snapshot = recorded.info, recorded.snapshot
    is_past = snapshot.seq < info.seq
    out.line("run ", (info.id, "bold"), f" of {info.graph}, begun {when(info.created_at)}")
    if info.parent is not None:
        out.line(f"branched from {info.parent} after its step {info.parent_seq}")
    if info.tags:
        out.line(f"tags: {', '.join(info.tags)}")
    if is_past:
        out.line(f"as of step {snapshot.seq} of {info.seq}; the run is {status_of(info)} now")
    elif info.status == "running":
        out.line(*driven(info, place))
    if snapshot.status != "running":
        show_end(out, snapshot)
    if not is_past and info.status in ("running", "waiting"):
        show_waits(out, snapshot, graph_words(info.graph), place)
        show_kept(out, snapshot)
    show_cost(out, snapshot)
    if is_offline(run_usage(snapshot)):
        out.line((OFFLINE, "yellow"))


def driven(info: RunInfo, place: Place) -> Sequence[Part]:
    """Return which process drives a run that is not over, or how to resume it."""
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words
    from graphengine.cli.terminal import STATUS_STYLES

    if info.driver is not None:
        follow = to_paste("watch", info.id, place=place)
        return ("running", STATUS_STYLES["running"]), f": driven by {info.driver}; follow it: {follow}"
    resume = to_paste("resume", info.id, *graph_words(info.graph), place=place)
    return (("interrupted", STATUS_STYLES["interrupted"]), f": no process drives it; resume: {resume}")


def _show_steps(out: Channel, recorded: Recorded) -> None:
    """Show each step on a line, and below it its updates and the reasons for its edge; the last ones of a long run."""
    from graphengine.cli.steps import changes_of, in_short
    from graphengine.cli.tables import aligned, fitted, wrapped

    headings = ("seq", "step", "visit", "attempt", "took", "leads to")
    steps = recorded.steps
    first = 1 if recorded.start is None else steps[-1].seq - _STEPS + 1
    if first > 1:
        out.line((f"steps 1 to {first - 1:,} are not listed: --all lists every step, --step SEQ shows one", "dim"))
    rows = list(_rows(recorded, first))
    expendable = ("took", "attempt", "visit")
    heading, *lines = aligned(headings, [row for row, _ in rows], columns=out.columns, expendable=expendable)
    indent = " " * (max([len("seq"), *(len(row[0]) for row, _ in rows)]) + 2)
    room = (out.columns or _PIPE_COLUMNS) - len(indent)
    out.line((heading, "bold"))
    for (_, step), line in zip(rows, lines, strict=True):
        out.line((line, _style(step)))
        if step is None:
            continue
        for change in in_short(step, room):
            out.line(indent, fitted(change, room))
        for change in changes_of(step):
            for part in wrapped(change, room):
                out.line(indent, (part, "dim"))
        for part in wrapped(_because(step, is_last=step is steps[-1]), room):
            out.line(indent, (part, "dim"))


def _style(step: Step | None) -> str:
    from graphengine.engine.steps import failure_of

    if step is None or (failure_of(step) is None and step.kind != "waiting"):
        return ""
    return "red" if step.kind == "failed" or (step.kind == "joined" and failure_of(step)) else "yellow"


def _rows(recorded: Recorded, first: int) -> Iterator[tuple[tuple[str, ...], Step | None]]:
    """Yield a row and its step, from a step on; for many consecutive items of a map, one row without a step."""
    from itertools import groupby

    from graphengine.history.visits import Visits

    run = Visits.of(recorded.steps, recorded.start)
    shown = [entry for entry in run.entries if entry.step.seq >= first]
    for _, group in groupby(shown, key=_map_of):
        entries = list(group)
        if len(entries) > _ITEMS and entries[0].step.kind == "item":
            yield _items_row(entries, run.time), None
        else:
            yield from ((_row(entry), entry.step) for entry in entries)


def _map_of(entry: Entry) -> Track | None:
    """Return the map of a finished item; None for other steps, such as failed items, which have a row each."""
    return entry.track.parent if entry.step.kind == "item" and entry.track is not None else None


def _items_row(items: Sequence[Entry], time: DrivenTime) -> tuple[str, ...]:
    from graphengine.engine.steps import falls_back

    first, last = items[0].step, items[-1].step
    began = min(entry.began or entry.step.at for entry in items)
    path = first.path.rpartition("[")[0]
    fallbacks = sum(falls_back(entry.step) for entry in items)
    label = f"{path}[…] {len(items):,} items" + (f", {fallbacks:,} by fallback" if fallbacks else "")
    return (f"{first.seq}-{last.seq}", label, "", "", _seconds(time.between(began, last.at)), "")


def _row(entry: Entry) -> tuple[str, ...]:
    from graphengine.engine.steps import falls_back, outcome_of

    step = entry.step
    outcome, is_fallback = outcome_of(step), falls_back(step)
    kind = {"node": "", "item": "", "attempt": " attempt failed"}.get(step.kind, f" {step.kind}")
    targets = ", ".join(outcome.to)
    return (
        str(step.seq),
        f"{step.path}{kind}{' (fallback)' if is_fallback else ''}".strip(),
        str(step.visit or ""),
        str(step.attempt) if (step.attempt > 1 or step.kind == "attempt") and not is_fallback else "",
        _seconds(entry.took),
        f"{targets} [{outcome.edge}]" if outcome.edge else targets,
    )


def _seconds(took: float | None) -> str:
    from graphengine.cli.times import seconds

    return seconds(took) if took is not None else ""


def _because(step: Step, *, is_last: bool) -> str:
    """Return a step's error and how its conditions evaluated; the error that ended the run is shown below the steps."""
    from graphengine.cli.steps import error_line, facts_of, is_reported_at_end, reason
    from graphengine.cli.terminal import one_line
    from graphengine.engine.steps import Attempt, Stopped

    facts = step.data
    parts = [] if is_last and is_reported_at_end(step) else [error_line(step)]
    parts += ["its fallback is run"] if isinstance(facts, Attempt) and facts.then == "fallback" else []
    parts += facts_of(step)
    parts.append(reason(step))
    if not any(parts) and isinstance(facts, Stopped):
        parts = [one_line(facts.stop.explanation, 300)]
    return "; ".join(filter(None, parts))


def _show_step(out: Channel, recorded: Recorded) -> None:
    """Show one step with everything recorded."""
    from graphengine.cli.state import whole
    from graphengine.cli.steps import arrow, changes_of, facts_of, reason, tool_value
    from graphengine.cli.times import when
    from graphengine.engine.steps import failure_of, falls_back, ops_of
    from graphengine.history.visits import Visits

    step, info = recorded.steps[-1], recorded.info
    out.line(f"step {step.seq} of run ", (info.id, "bold"), f" of {info.graph}")
    out.line((step.kind, "bold"), f" {step.path}".rstrip(), *arrow(step))
    if step.node:
        out.line(f"visit {step.visit}, attempt {step.attempt}{', its fallback' if falls_back(step) else ''}")
    entry = Visits.of(recorded.steps, recorded.start).entries[-1]
    took, began = entry.took, entry.began
    start = f", {'asked' if took is None else 'began'} {when(began)}" if began else ""
    out.line(f"recorded {when(step.at)}{start}" + (f", took {_seconds(took)}" if took is not None else ""))
    for fact in (*facts_of(step, 100_000), *changes_of(step), reason(step)):
        if fact:
            out.prose(fact)
    for op in ops_of(step):
        sign = {"set": "=", "reduce": "=", "put": f"[{op[2]}] =", "grow": f"[{op[2]}] +="}.get(op[0], "+=")
        out.prose((str(op[1]), "bold"), f" {sign} ", whole(op[-1]))
    failure = failure_of(step)
    if failure is not None:
        out.prose((f"{failure.kind}: {failure.message}", "red"))
        for word, text in (("at", failure.where), ("repair", failure.repair)):
            if text:
                out.prose((f"  {word}: ", "dim"), text)
    value = tool_value(step)
    traceback = failure.traceback if failure is not None else value.get("traceback")
    if traceback:
        out.line(str(traceback).rstrip())
