"""The display of a result in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from graphengine.render.accounts import took
from graphengine.render.charts.units import paid
from graphengine.render.text import clean, one_line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.runner.result import Result

_VALUE_CHARACTERS: Final = 400


def result_html(result: Result[Any]) -> str:
    """Return a result as a table: how the run ended and why, its cost, what it waits for, and its state.

    Fields of secret types show what their `repr` shows.
    """
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{escape(one_line(name))}</th>"
        f'<td {left}><code style="white-space:pre-wrap">{escape(clean(_clipped(text)))}</code></td></tr>'
        for name, text in _facts(result)
    )
    return f"<table><caption>run {escape(one_line(result.run_id))}: {result.status}</caption>{rows}</table>"


def _facts(result: Result[Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of a result."""
    if result.ending is not None and (result.label or result.ending.explanation):
        yield "because", ": ".join(text for text in (result.label, result.ending.explanation) if text)
    if result.error is not None:
        yield "failure", f"{result.error.path}: {result.error.kind}: {result.error.message}"
    used = [counted(result.steps, "visit"), took(result.elapsed_seconds)]
    usage = result.usage
    spent = {
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
