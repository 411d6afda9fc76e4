"""`graphengine show`: one run, its steps, its state and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphengine.cli.places import Place
    from graphengine.cli.recorded import Recorded
    from graphengine.cli.session import Session
    from graphengine.cli.terminal import Channel, Part
    from graphengine.core.steps import Step
    from graphengine.records import JsonValue
    from graphengine.stores.base import RunInfo

_STATE_LINES = 24
_STATE_COLUMNS = 500
_PIPE_COLUMNS = 200  # of one line about a step, where no terminal sets the width


@click.command("show")
@click.argument("run_id", metavar="RUN_ID")
@click.option("--at", type=int, metavar="SEQ", help="As it was after this step.")
@options.database
@options.common
@click.pass_obj
def command(session: Session, run_id: str, at: int | None, database: Path | None) -> int:
    """Show a run: its steps, its state, what it cost."""
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read_run
    from graphengine.document import run_document

    place = place_of(database)
    recorded = read_run(place, run_id, at)
    if session.json:
        session.document(run_document(recorded.info, recorded.snapshot, recorded.steps))
    else:
        _show(session, place, recorded)
    return 0


def _show(session: Session, place: Place, recorded: Recorded) -> None:
    from graphengine.cli.progress import OFFLINE, is_offline
    from graphengine.cli.report import run_usage, tell_cost, tell_end
    from graphengine.cli.runs import status_of, when

    out, info, snapshot = session.out, recorded.info, recorded.snapshot
    is_past = snapshot.seq < info.seq
    out.line("run ", (info.id, "bold"), f" of {info.graph}, begun {when(info.created_at)}")
    if info.parent is not None:
        out.line(f"branched from {info.parent} behind its step {info.parent_seq}")
    if is_past:
        out.line(f"as it was after step {snapshot.seq} of {info.seq}; the run is {status_of(info)} now")
    elif snapshot.status == "running":
        out.line(*_driven(info, place))
    out.line("")
    _show_steps(out, recorded.steps)
    out.line("")
    for name, value in snapshot.root.values.items():
        out.line((name, "bold"), ": ", _value(value))
    out.line("")
    if snapshot.status != "running":
        tell_end(out, snapshot)
    tell_cost(out, snapshot)
    if is_offline(run_usage(snapshot)):
        out.line((OFFLINE, "yellow"))


def _driven(info: RunInfo, place: Place) -> Sequence[Part]:
    """Who drives a run that is not over, or how to go on with it."""
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words

    if info.driver is not None:
        return (f"running: driven by {info.driver}",)
    resume = to_paste("resume", info.id, *graph_words(info.graph), place=place)
    return (("interrupted", "bold yellow"), f": no process drives it; resume: {resume}")


def _show_steps(out: Channel, steps: Sequence[Step]) -> None:
    """Each step on a line, and below it what it did to the state and why it led where it did."""
    from graphengine.cli.progress import in_short
    from graphengine.cli.tables import aligned, fitted, wrapped

    headings = ("seq", "step", "visit", "attempt", "took", "leads to")
    heading, *lines = aligned(headings, map(_row, steps))
    indent = " " * (max(len("seq"), len(str(steps[-1].seq)) if steps else 0) + 2)
    room = (out.columns or _PIPE_COLUMNS) - len(indent)
    out.line((heading, "bold"))
    for step, line in zip(steps, lines, strict=True):
        out.line(line)
        for change in in_short(step, room):
            out.line(indent, fitted(change, room))
        for part in wrapped(_because(step, is_last=step is steps[-1]), room):
            out.line(indent, (part, "dim"))


def _row(step: Step) -> tuple[str, ...]:
    from graphengine.cli.progress import seconds

    data = step.data
    is_fallback = bool(data.get("fallback"))
    kind = {"node": "", "attempt": " attempt failed"}.get(step.kind, f" {step.kind}")
    targets = ", ".join(data.get("to", ()))
    return (
        str(step.seq),
        f"{step.path}{kind}{' (fallback)' if is_fallback else ''}".strip(),
        str(step.visit or ""),
        str(step.attempt) if (step.attempt > 1 or step.kind == "attempt") and not is_fallback else "",
        seconds(step.at - step.began) if step.began else "",
        f"{targets} [{data['edge']}]" if data.get("edge") else targets,
    )


def _because(step: Step, *, is_last: bool) -> str:
    """What went wrong in a step, and what its conditions said; what the run ended with is told below the steps."""
    from graphengine.cli.progress import error_line
    from graphengine.cli.terminal import one_line

    data = step.data
    why = data.get("why") or ""
    said = [] if is_last and data.get("status") == "failed" else [error_line(step)]
    said += ["its fallback is run"] if data.get("then") == "fallback" else []
    said += [one_line(why, 300)] if why != "otherwise" else []
    if not any(said) and step.kind == "stopped":
        said = [one_line(data.get("stop", {}).get("explanation") or "", 300)]
    return "; ".join(filter(None, said))


def _value(value: JsonValue) -> str:
    """A field's value: a text as its own lines below its name, anything else as JSON on one line."""
    import json

    if not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        left_out = len(text) - _STATE_COLUMNS
        return text if left_out <= 0 else f"{text[:_STATE_COLUMNS]}… {left_out} characters more; --json shows all"
    lines = [line if len(line) <= _STATE_COLUMNS else line[:_STATE_COLUMNS] + "…" for line in value.splitlines()]
    if len(lines) > _STATE_LINES:
        lines[_STATE_LINES:] = [f"… {len(lines) - _STATE_LINES} lines more; --json shows all"]
    return "".join(lines) if len(lines) <= 1 else "".join(f"\n    {line}" for line in lines)
