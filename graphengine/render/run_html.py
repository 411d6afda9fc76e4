"""Display the result of a run, or a run in progress, as an HTML table in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import structs

from graphengine.kernel.inside import ready
from graphengine.kernel.reader import Collecting, path_of
from graphengine.records.words import counted, loss_words, seconds
from graphengine.render.amounts import paid
from graphengine.render.text import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphengine.kernel.extension import Result
    from graphengine.kernel.reader import Snapshot, Usage

_VALUE_CHARACTERS: Final = 4000
_STYLE: Final = """<style>
table.graphengine-run { border-collapse: collapse; border: 0; color: inherit; font: 13px/1.5 system-ui, sans-serif; }
.graphengine-run caption { text-align: left; font-weight: 600; padding: 4px 10px; color: inherit; caption-side: top;
  border-left: 4px solid #7f8c99; }
.graphengine-finished caption { border-color: #1f9d72; }
.graphengine-failed caption { border-color: #d9563f; }
.graphengine-waiting caption { border-color: #b5458f; }
.graphengine-run tr, .graphengine-run tr:nth-child(n):hover { background: none; }
.graphengine-run :is(th, td) { text-align: left; vertical-align: top; padding: 4px 10px; border: 0; max-width: 60em;
  border-top: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
.graphengine-run th { font-weight: 400; opacity: .75; white-space: nowrap; }
.graphengine-run td div { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 20em; overflow: auto; }
</style>"""
"""The style of the table. It uses the colours of the notebook; only the mark of the run's status has its own colour."""


def html_of(result: Result[Any], snapshot: Snapshot | None = None) -> str:
    """Show the result of a run as an HTML table: its status and reason, its cost, its open waits, and its state.

    Fields of secret types show their `repr`, which hides the secret. If a snapshot of a run in progress is given, the
    table begins with the nodes at work and the progress of maps.
    """
    if snapshot is None:
        return _format_run_table(result.status, result)
    return _format_run_table(f"{snapshot.status}, as of step {snapshot.seq}", result, _rows_at_work(snapshot))


def _format_run_table(status: str, result: Result[Any], more: Iterable[tuple[str, str]] = ()) -> str:
    rows = "".join(
        f"<tr><th>{escape(one_line(name))}</th><td><div>{escape(clean(_clip_value(text)))}</div></td></tr>"
        for name, text in (*more, *_rows_of_result(result))
    )
    how = result.status if result.status in ("finished", "failed", "waiting") else "other"
    caption = f"<caption>run {escape(one_line(result.run_id))}: {status}</caption>"
    return f'{_STYLE}<table class="graphengine-run graphengine-{how}">{caption}{rows}</table>'


def _rows_at_work(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the rows of an HTML table that tell what a run is doing now.

    These are the nodes at work, and the progress of each map.
    """
    tasks = [task for task in ready(snapshot) if task.mode in ("run", "fallback")]
    paths = {path_of(task.frame, task.node): task.visit for task in tasks if "[" not in task.frame}
    if paths:
        yield "at work", ", ".join(f"{path} (visit {visit})" for path, visit in paths.items())
    for frame in snapshot.frames.values():
        phase = frame.phase
        if isinstance(phase, Collecting) and "[" not in frame.id:
            failed = f", {len(phase.failed):,} failed" if phase.failed else ""
            done = f"{phase.count - phase.left:,} of {counted(phase.count, 'item')} done{failed}"
            yield f"map ({path_of(frame.id, frame.at)})", done


def _rows_of_result(result: Result[Any]) -> Iterator[tuple[str, str]]:
    if result.ending is not None and (result.label or result.ending.why):
        yield "because", ": ".join(text for text in (result.label, result.ending.why) if text)
    if result.error is not None:
        yield "failure", f"{result.error.path}: {result.error.kind}: {result.error.message}"
    used = [counted(result.visits, "visit"), seconds(result.elapsed_seconds)]
    spent = cast("Usage", structs.asdict(result.usage))
    yield "used", ", ".join([*used, *filter(None, (paid(spent),))])
    if result.losses:
        yield "lost", loss_words(result.losses)
    for wait in result.waits:
        yield f"waits ({wait.name})", f"{wait.kind}: {wait.question}"
    for name in type(result.state).model_fields:
        value = getattr(result.state, name)
        yield f"state.{name}", value if type(value) is str and value.strip() else repr(value)


def _clip_value(text: str) -> str:
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"
