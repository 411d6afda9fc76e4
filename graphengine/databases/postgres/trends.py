"""The summaries of many runs at once, for trends; in PostgreSQL."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

from graphengine.databases.postgres.reads import query_of

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
GROUP BY 1, 2, 3
"""
_SELECTS: Final = {
    "graph": _SELECT.format(name="r.graph", source="runs AS r").encode(),
    "version": _SELECT.format(
        name="concat_ws(chr(31), r.graph, r.began_with, r.deploy, r.queue_key)", source="runs AS r"
    ).encode(),
    "tag": _SELECT.format(name="t.tag", source="tags AS t JOIN runs AS r ON r.key = t.run").encode(),
}


def summaries(
    connection: Connection, page: Mapping[str, Any], by: Literal["graph", "tag", "version"], every_seconds: float
) -> list[tuple[str, str, float, str]]:
    """Return the summaries of runs, as a JSON array, by what `by` names, status, and when they began."""
    names = dict.fromkeys(("graph", "status", "tag", "tenant", "user", "starter"))
    values = {**names, **page, "every": every_seconds}
    values["query"] = query_of(page.get("text"))
    values["begun_after"] = -math.inf if page.get("begun_after") is None else page["begun_after"]
    values["begun_before"] = math.inf if page.get("begun_before") is None else page["begun_before"]
    return connection.execute(_SELECTS[by], values).fetchall()
