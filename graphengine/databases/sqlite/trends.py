"""The summaries of many runs at once, for trends; in SQLite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

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


def summaries(
    connection: sqlite3.Connection,
    page: Mapping[str, Any],
    by: Literal["graph", "tag", "version"],
    every_seconds: float,
) -> list[tuple[str, str, float, str]]:
    """Return the summaries of runs, as a JSON array, by what `by` names, status, and when they began."""
    values = {**dict.fromkeys(("graph", "status", "tag", "tenant", "user", "starter")), **page}
    values["begun_after"] = -math.inf if page.get("begun_after") is None else page["begun_after"]
    values["begun_before"] = math.inf if page.get("begun_before") is None else page["begun_before"]
    search = Search.of(connection, page.get("text") or "")
    statement = _SELECTS[by] if search is None else f"{_SELECTS[by]} AND r.key IN ({search.found})"
    groups: dict[tuple[str, str, float], list[str]] = {}
    values |= {} if search is None else search.values
    for group, status, at, summary in connection.execute(statement, values):
        groups.setdefault((group, status, at // every_seconds), []).append(summary or "null")
    return [
        (name, status, since * every_seconds, f"[{','.join(found)}]") for (name, status, since), found in groups.items()
    ]
