"""The summaries of many runs at once, from which trends are computed, in SQLite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic_core import to_json

from graphengine.databases.sqlite.reads import has_fields
from graphengine.databases.sqlite.words import Search

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

_SELECTED: Final = """
WHERE r.created_at >= :begun_after AND r.created_at < :begun_before AND (:graph IS NULL OR r.graph = :graph)
    AND (:status IS NULL OR r.status = :status) AND (:tenant IS NULL OR r.queue_key = :tenant)
    AND (:user IS NULL OR r.user_name = :user) AND (:starter IS NULL OR r.starter = :starter
        AND r.starter_nonce = coalesce((SELECT s.nonce FROM runs AS s WHERE s.id = :starter), r.starter_nonce))
    AND (:tag IS NULL OR EXISTS (SELECT * FROM tags AS w WHERE w.run = r.key AND w.tag = :tag))
"""
_NAMES: Final = {
    "graph": "r.graph",
    "version": "r.graph || char(31) || iif(r.began_with = '', r.fingerprint, r.began_with) || char(31) || r.deploy "
    "|| char(31) || r.queue_key",
    "tag": "t.tag",
}
_FROM: Final = {"tag": "FROM tags AS t CROSS JOIN runs AS r ON r.key = t.run"}
_SELECTS: Final = {
    by: f"SELECT {name}, r.status, r.created_at, r.summary {_FROM.get(by, 'FROM runs AS r')}{_SELECTED}"
    for by, name in _NAMES.items()
}


_UNSEARCHED: Final = f"""
SELECT count(*) FROM runs AS r {_SELECTED} AND EXISTS (
    SELECT * FROM graph_fields AS g, json_each(:names) AS n
    WHERE g.graph = r.graph AND g.field = n.key AND (n.value OR r.status = 'finished')
        AND NOT EXISTS (SELECT * FROM run_fields AS f WHERE f.run = r.key AND f.field = g.field)
)"""  # noqa: S608 - our own texts


def summaries(
    connection: sqlite3.Connection,
    page: Mapping[str, Any],
    by: Literal["graph", "tag", "version"],
    every_seconds: float,
) -> list[tuple[str, str, float, str]]:
    """Return the summaries of runs, grouped by graph, tag or version, by status, and by when they began.

    A row contains the name of the group, the status, the beginning of the period, and a JSON array of summaries.
    """
    condition, values = _build_conditions(connection, page)
    statement = _SELECTS[by] + condition
    groups: dict[tuple[str, str, float], list[str]] = {}
    for group, status, at, summary in connection.execute(statement, values):
        groups.setdefault((group, status, at // every_seconds), []).append(summary or "null")
    return [
        (name, status, since * every_seconds, f"[{','.join(found)}]") for (name, status, since), found in groups.items()
    ]


def unsearched(connection: sqlite3.Connection, page: Mapping[str, Any], names: Mapping[str, bool]) -> int | None:
    """Return how many runs a search by these fields misses, because they began before the graph declared the fields.

    None if any of the fields is unknown for all runs. `names` tells for each field whether runs have it from their
    beginning; other fields exist only in finished runs.
    """
    recorded_fields = {name for (name,) in connection.execute("SELECT field FROM graph_fields")}
    if not recorded_fields.issuperset(names):
        return None
    condition, values = _build_conditions(connection, {**page, "fields": None})
    values["names"], statement = to_json(names).decode(), _UNSEARCHED + condition
    (number,) = connection.execute(statement, values).fetchone()
    return int(number)


def _build_conditions(connection: sqlite3.Connection, page: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    """Return the SQL condition for a search by words and fields, and the parameters of all conditions."""
    values: dict[str, object] = {**dict.fromkeys(("graph", "status", "tag", "tenant", "user", "starter")), **page}
    values["begun_after"] = -math.inf if page.get("begun_after") is None else page["begun_after"]
    values["begun_before"] = math.inf if page.get("begun_before") is None else page["begun_before"]
    condition, field_values = has_fields(page.get("fields"))
    values.pop("fields", None)
    search = Search.of(connection, page.get("text") or "")
    if search is not None:
        condition += f" AND r.key IN ({search.found})"
        values |= search.values
    return condition, values | field_values
