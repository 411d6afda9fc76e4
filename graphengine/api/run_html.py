"""The display of a result, or of a run that is driven, in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.phases import Collecting
from graphengine.engine.ready import ready
from graphengine.engine.steps import path_of
from graphengine.render.amounts import paid, took
from graphengine.render.text import clean, one_line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphengine.engine.snapshot import Snapshot
    from graphengine.runner.result import Result
    from graphengine.state.amounts import Usage

_VALUE_CHARACTERS: Final = 400


def html_of(result: Result[Any], snapshot: Snapshot | None = None) -> str:
    """Return a result as a table: how the run ended and why, its cost, what it waits for, and its state.

    Fields of secret types show what their `repr` shows. A run that is driven, as its snapshot shows it, begins with its
    nodes at work and how far its maps are.
    """
    if snapshot is None:
        return _table(result.status, result)
    return _table(f"{snapshot.status}, as of step {snapshot.seq}", result, _at_work(snapshot))


def _table(status: str, result: Result[Any], more: Iterable[tuple[str, str]] = ()) -> str:
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{escape(one_line(name))}</th>"
        f'<td {left}><code style="white-space:pre-wrap">{escape(clean(_clipped(text)))}</code></td></tr>'
        for name, text in (*more, *_facts(result))
    )
    return f"<table><caption>run {escape(one_line(result.run_id))}: {status}</caption>{rows}</table>"


def _at_work(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the nodes at work, without the items of maps, and how far each map is."""
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


def _facts(result: Result[Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of a result."""
    if result.ending is not None and (result.label or result.ending.why):
        yield "because", ": ".join(text for text in (result.label, result.ending.why) if text)
    if result.error is not None:
        yield "failure", f"{result.error.path}: {result.error.kind}: {result.error.message}"
    used = [counted(result.visits, "visit"), took(result.elapsed_seconds)]
    usage = result.usage
    spent: Usage = {
        "calls": usage.calls,
        "offline_calls": usage.offline_calls,
        "cost_usd": usage.cost_usd,
        "priced_usd": usage.priced_usd,
    }
    yield "used", ", ".join([*used, *filter(None, (paid(spent),))])
    for wait in result.waits:
        yield f"waits ({wait.name})", f"{wait.kind}: {wait.question}"
    for name in type(result.state).model_fields:
        yield f"state.{name}", repr(getattr(result.state, name))


def _clipped(text: str) -> str:
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"
