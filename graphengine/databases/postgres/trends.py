"""The summaries of many runs at once, from which trends are computed, in PostgreSQL."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

from graphengine.databases.postgres.reads import has_fields, query_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.databases.postgres.sessions import Connection

_SELECT: Final = """
SELECT {name}, r.status, floor(r.created_at / %(every)s::float8) * %(every)s::float8,
    '[' || string_agg(coalesce(r.summary, 'null'), ',') || ']'
FROM {source}
WHERE r.created_at >= %(begun_after)s::float8 AND r.created_at < %(begun_before)s::float8
    AND (%(graph)s::text IS NULL OR r.graph = %(graph)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(tenant)s::text IS NULL OR r.queue_key = %(tenant)s::text)
    AND (%(user)s::text IS NULL OR r.user_name = %(user)s::text)
    AND (%(starter)s::text IS NULL OR r.starter = %(starter)s::text
        AND r.starter_nonce = coalesce((SELECT s.nonce FROM runs AS s WHERE s.id = %(starter)s::text), r.starter_nonce))
    AND (%(tag)s::text IS NULL OR EXISTS (SELECT FROM tags AS w WHERE w.run = r.key AND w.tag = %(tag)s::text))
    AND (%(query)s::text IS NULL OR r.key IN (
        SELECT w.run FROM run_words AS w WHERE (w.named || w.begun || w.tags || w.ended) @@ %(query)s::tsquery
    ))
"""
_GROUPED: Final = " GROUP BY 1, 2, 3"
_SELECTS: Final = {
    "graph": _SELECT.format(name="r.graph", source="runs AS r"),
    "version": _SELECT.format(
        name="concat_ws(chr(31), r.graph, r.began_with, r.deploy, r.queue_key)", source="runs AS r"
    ),
    "tag": _SELECT.format(name="t.tag", source="tags AS t JOIN runs AS r ON r.key = t.run"),
}


_UNSEARCHED: Final = _SELECT[_SELECT.index("WHERE") :].join(
    (
        "SELECT count(*) FROM runs AS r ",
        """AND EXISTS (
    SELECT FROM graph_fields AS g JOIN unnest(%(names)s::text[], %(early)s::boolean[]) AS n (name, early)
        ON n.name = g.field
    WHERE g.graph = r.graph AND (n.early OR r.status = 'finished')
        AND NOT EXISTS (SELECT FROM run_fields AS f WHERE f.run = r.key AND f.field = g.field)
)""",
    )
)


def summaries(
    connection: Connection, page: Mapping[str, Any], by: Literal["graph", "tag", "version"], every_seconds: float
) -> list[tuple[str, str, float, str]]:
    """Return the summaries of runs, grouped by graph, tag or version, by status, and by when they began.

    A row contains the name of the group, the status, the beginning of the period, and a JSON array of summaries.
    """
    condition, values = _build_conditions(page)
    statement = _SELECTS[by] + condition + _GROUPED
    return connection.execute(statement.encode(), {**values, "every": every_seconds}).fetchall()


def unsearched(connection: Connection, page: Mapping[str, Any], names: Mapping[str, bool]) -> int | None:
    """Return how many runs a search by these fields misses, because they began before the graph declared the fields.

    None if any of the fields is unknown for all runs. `names` tells for each field whether runs have it from their
    beginning; other fields exist only in finished runs.
    """
    recorded_fields = {name for (name,) in connection.execute(b"SELECT DISTINCT field FROM graph_fields").fetchall()}
    if not recorded_fields.issuperset(names):
        return None
    condition, values = _build_conditions({**page, "fields": None})
    values |= {"names": list(names), "early": list(names.values())}
    found = connection.execute((_UNSEARCHED + condition).encode(), values).fetchone()
    return None if found is None else int(found[0])


def _build_conditions(page: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    """Return the SQL condition for a search by fields, and the parameters of all conditions of the statement."""
    values: dict[str, object] = {**dict.fromkeys(("graph", "status", "tag", "tenant", "user", "starter")), **page}
    values["query"] = query_of(page.get("text"))
    values["begun_after"] = -math.inf if page.get("begun_after") is None else page["begun_after"]
    values["begun_before"] = math.inf if page.get("begun_before") is None else page["begun_before"]
    conditions, field_values = has_fields(page, "r")
    return "".join(f" AND {each}" for each in conditions), {**values, **field_values, "fields": None}
