"""Results as a table: a row for each run, with fields of its last recorded state."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import InputError, UnknownRun
from graphengine.kernel.extension import did_you_mean
from graphengine.kernel.inside import UNREADABLE, bare, is_sealed
from graphengine.kernel.reader import load_snapshot, status_of
from graphengine.records.result_fields import find_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.store import RunInfo, RunStore

COLUMNS: Final = ("run_id", "graph", "status", "created_at", "ended_at", "cost_usd")
"""The columns of a row besides the fields of the state."""
_TIME_COLUMNS: Final = ("created_at", "ended_at")


async def result_rows(store: RunStore, runs: Sequence[RunInfo], fields: Sequence[str]) -> list[dict[str, Any]]:
    """Build a table of results: a row for each run, with some fields of its state. See `Records.rows`.

    Raises:
        InputError: A field exists in none of the runs.
    """
    field_names: dict[str, None] = {}
    missing = dict.fromkeys(fields)
    rows: list[dict[str, Any]] = []
    is_read = False
    for info in runs:
        state: Mapping[str, JsonValue] = {}
        try:
            state = (await load_snapshot(store, info.id, None)).root.values
            is_read = True
        # Another process has removed the run since, or this process cannot read its log. Its fields are unknown.
        except (UnknownRun, *UNREADABLE):
            pass
        cost = None if info.summary is None else info.summary.cost_usd
        values = (info.id, info.graph, status_of(info), info.created_at, info.ended_at, cost)
        row: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
        for path in fields:
            found, value = find_value(state, path)
            row[column_of(path)] = "secret" if is_sealed(value) else bare(value)
            if found:
                missing.pop(path, None)
        field_names |= dict.fromkeys(state)
        rows.append(row)
    if is_read and missing:
        first = next(iter(missing))
        raise InputError(
            f"none of the {len(rows)} runs has the field {first!r} in its state",
            where="fields",
            repair=did_you_mean(first, [*field_names]),
        )
    return rows


def column_of(field: str) -> str:
    """Return the name of the column for a field of the state in a table of results.

    This is the field's own name, unless another column has that name.

    >>> column_of("amount"), column_of("status")
    ('amount', 'state.status')
    """
    return f"state.{field}" if field in COLUMNS else field


def to_csv(rows: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> str:
    """Convert the rows of a table of results to CSV, with a header line.

    Times are in UTC. A list or an object is written as JSON, and an unknown value as an empty cell.

    >>> print(to_csv([{"run_id": "a", "created_at": 0.0, "notes": ["x"], "is_paid": True}], ["notes", "is_paid"]))
    run_id,graph,status,created_at,ended_at,cost_usd,notes,is_paid
    a,,,1970-01-01T00:00:00+00:00,,,"[""x""]",true
    <BLANKLINE>
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [*COLUMNS, *map(column_of, fields)]
    writer.writerow(names)
    writer.writerows([_csv_cell(name, row.get(name)) for name in names] for row in rows)
    return file.getvalue()


def _csv_cell(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if name in _TIME_COLUMNS and value is not None:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict)) else value


__all__ = ["COLUMNS", "column_of", "result_rows", "to_csv"]
