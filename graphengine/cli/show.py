"""`graphengine show`: one run, its steps, its state and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.cli.recorded import Recorded
    from graphengine.cli.session import Session
    from graphengine.core.steps import Step
    from graphengine.records import JsonValue

_STATE_LINES = 24
_STATE_COLUMNS = 500


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

    recorded = read_run(place_of(database), run_id, at)
    if session.json:
        session.document(run_document(recorded.info, recorded.snapshot, recorded.steps))
    else:
        _show(session, recorded, at)
    return 0


def _show(session: Session, recorded: Recorded, at: int | None) -> None:
    from graphengine.cli.progress import OFFLINE, is_offline
    from graphengine.cli.report import run_usage, tell_cost, tell_end
    from graphengine.cli.runs import when
    from graphengine.cli.tables import table

    out, info, snapshot = session.out, recorded.info, recorded.snapshot
    out.line("run ", (info.id, "bold"), f" of {info.graph}, begun {when(info.created_at)}")
    if info.parent is not None:
        out.line(f"branched from {info.parent} behind its step {info.parent_seq}")
    if at is not None:
        out.line(f"as it was after step {at} of {info.seq}")
    if snapshot.status == "running":
        out.line(f"driven by {info.driver}" if info.driver else "no process drives it: `graphengine resume` goes on")
    out.line("")
    headings = ("seq", "step", "visit", "attempt", "took", "update", "leads to", "because")
    out.show(table(headings, [_row(step) for step in recorded.steps], fixed=2))
    out.line("")
    for name, value in snapshot.root.values.items():
        out.line((name, "bold"), ": ", _value(value))
    out.line("")
    tell_end(out, snapshot)
    tell_cost(out, snapshot)
    if is_offline(run_usage(snapshot)):
        out.line((OFFLINE, "yellow"))


def _row(step: Step) -> tuple[str, ...]:
    from graphengine.cli.progress import in_short, seconds
    from graphengine.cli.terminal import one_line

    data = step.data
    error = data.get("error")
    kind = (
        "" if step.kind == "node" and not data.get("fallback") else " (fallback)" if step.kind == "node" else step.kind
    )
    name = f"{step.path}{kind}" if step.kind == "node" else f"{step.path} {kind}".strip()
    because = one_line(data.get("why") or "", 300)
    if error:
        because = "; ".join(filter(None, (one_line(f"{error['kind']}: {error['message']}", 300), because)))
    if not because and data.get("stop"):
        because = one_line(data["stop"].get("explanation") or "", 300)
    targets = ", ".join(data.get("to", ()))
    return (
        str(step.seq),
        name,
        str(step.visit or ""),
        str(step.attempt) if step.attempt > 1 else "",
        seconds(step.at - step.began) if step.began else "",
        in_short(step.update),
        f"{targets} [{data['edge']}]" if data.get("edge") else targets,
        "" if because == "otherwise" else because,
    )


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
