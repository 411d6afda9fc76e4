"""Lists of runs, their numbers and their summaries, which both databases read with the same statements.

A statement is put together from the conditions that a caller asks for, and calls the table of runs `f`. For a page, a
statement first selects the keys of the runs, so that only these runs are read as a whole. The databases differ in how
they find words and fields, in how they are made to use an index, and in a few expressions.
"""
# ruff: noqa: S608 - all texts of these statements are ours

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from graphengine.kernel.inside import is_name
from graphengine.kernel.store import PAGE_LIMIT, Count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from graphengine.databases.shared_reads import SharedReads
    from graphengine.databases.statements import Dialect
    from graphengine.kernel.store import Page, RunInfo, Sort

ConnectionT = TypeVar("ConnectionT")
OwnT = TypeVar("OwnT")
Conditions: TypeAlias = dict[str, str]
"""Conditions on `f` by the names of the filters that they implement; empty texts are skipped."""

_FILTERS: Final = {
    "starter": "f.starter = :starter AND f.starter_nonce = "
    "coalesce((SELECT s.nonce FROM runs AS s WHERE s.id = :starter), f.starter_nonce)",
    "user": "f.user_name = :user AND f.user_name <> ''",
    "tag": "EXISTS (SELECT * FROM tags AS w WHERE w.run = f.key AND w.tag = :tag)",
    "tenant": "f.queue_key = :tenant AND f.queue_key <> ''",
    # SQLite would compile the statement again for each value of a plain parameter, to compare it with partial indexes
    "status": "f.status = coalesce(:status, '')",
    "graph": "f.graph = :graph",
    "begun_after": "f.created_at >= :begun_after",
    "begun_before": "f.created_at < :begun_before",
}
_SORTED_BY: Final[Mapping[Sort, str]] = {
    "begun": "f.created_at",
    "cost": "coalesce(f.cost_usd, -1)",
    "took": "coalesce(f.ended_at - f.created_at, -1)",
    "status": "f.status",
}
_GROUPS: Final = {
    "graph": "f.graph",
    "tag": "t.tag",
    "version": "f.graph || :joint || CASE f.began_with WHEN '' THEN f.fingerprint ELSE f.began_with END "
    "|| :joint || f.deploy || :joint || f.queue_key",
}
_TAGGED: Final = "tags AS t CROSS JOIN runs AS f"
_UNSEARCHED: Final = """EXISTS (
    SELECT * FROM graph_fields AS g WHERE g.graph = f.graph
        AND (g.field {among :early} OR g.field {among :late} AND f.status = 'finished')
        AND NOT EXISTS (SELECT * FROM run_fields AS w WHERE w.run = f.key AND w.field = g.field)
)"""


class Search(NamedTuple):
    """The parts of an SQL statement that find the runs with given words and with given values of fields.

    Attributes:
        found: A query that returns the keys of the runs in a column `run`; "" if no such query is needed, because the
            conditions find the runs.
        matches: The condition that the run `f` contains the words; "" if no words are searched for.
        fields: The condition that the run `f` has the values of the fields; "" if no fields are searched for.
        looked_at: How many of the newest runs are compared with the conditions before `found` is used. For a common
            word, `found` is slow and the newest runs are enough.
        values: The parameters of the query and the conditions.
    """

    found: str = ""
    matches: str = ""
    fields: str = ""
    looked_at: int = 0
    values: Mapping[str, object] = {}


class RunLists(ABC, Generic[ConnectionT, OwnT]):
    """Reads lists of runs from a database, counts runs, and reads the summaries of many runs.

    SQLite and PostgreSQL each have a subclass with their own SQL expressions.

    Attributes:
        dialect: The SQL dialect of the database.
        shared: The reads that both databases have in common.
        period: The SQL expression for the start of the period in which the run `f` began. Periods are `:every` seconds
            long.
        joined: The SQL expression that joins the summaries of a group of runs with commas.
        counted: The table that contains all runs when they are only counted.
    """

    dialect: ClassVar[Dialect[Any]]
    shared: ClassVar[SharedReads[Any, Any]]
    period: ClassVar[str]
    joined: ClassVar[str]
    counted: ClassVar[str] = "runs AS f"

    @abstractmethod
    def info(self, connection: ConnectionT, own: OwnT, run_id: str) -> RunInfo:
        """Return the facts about a run."""

    @abstractmethod
    def search(self, connection: ConnectionT, page: Mapping[str, Any]) -> Search:
        """Return the SQL conditions that select the runs with the words and field values of a search."""

    def source(self, conditions: Conditions, page: Mapping[str, Any], limit: str) -> tuple[str, Conditions]:
        """Return the table of runs and the conditions, written so that the database uses the right index.

        `limit` is the name of the SQL parameter with the number of runs, if only the newest runs are wanted.
        """
        del page, limit
        return "runs AS f", conditions

    def runs(self, connection: ConnectionT, own: OwnT, **page: Unpack[Page]) -> list[RunInfo]:
        """Return a page of the list of runs; see `Store.runs`.

        Raises:
            UnknownRun: The run `before` does not exist.
        """
        limit, before, end = page.get("limit", PAGE_LIMIT), page.get("before"), page.get("begun_before")
        last = None if before is None or limit <= 0 else self.info(connection, own, before)
        conditions = conditions_of(page)
        if limit <= 0 or conditions is None:
            return []
        search, place = self.search(connection, page), (math.inf, "") if last is None else (last.created_at, last.id)
        values = _values_of(page, search) | {"limit": min(limit, self.shared.most)}
        values |= {"looked_at": search.looked_at, "least": -math.inf}
        values["created_at"], values["id"] = place if end is None else min(place, (end, ""))
        found: list[RunInfo] = []
        for statement in self.statements(search, conditions, page):
            rows = self.dialect.rows(connection, statement, values)
            found = [self.shared.run(connection, row, own) for row in rows]
            if len(found) >= limit:
                break
        return found

    def statements(self, search: Search, conditions: Conditions, page: Mapping[str, Any]) -> list[str]:
        """Return the SQL statements that read a page of the list of runs, the fastest statement first.

        The next statement is used only if the one before did not find enough runs for the page.
        """
        value, way = _SORTED_BY[page.get("sort") or "begun"], "ASC" if page.get("ascending") else "DESC"
        if (value, way) != ("f.created_at", "DESC"):
            if page.get("before") is not None:
                last = f"SELECT {value}, f.created_at, f.id FROM runs AS f WHERE f.id = :before"
                conditions["place"] = f"({value}, f.created_at, f.id) {'<' if way == 'DESC' else '>'} ({last})"
            return [self._page(*self._source(search, conditions, page), value, way)]
        conditions.pop("begun_before", None)
        conditions["place"] = "f.created_at <= :created_at AND (f.created_at, f.id) < (:created_at, :id)"
        found = [self._page(*self._source(search, conditions, page, ":limit"))]
        if search.looked_at:
            last = _keys(*self._source(Search(), conditions, page, ":looked_at + 1"), limit="1 OFFSET :looked_at")
            newest = f"f.created_at >= coalesce((SELECT created_at FROM ({last}) AS x), :least)"
            conditions |= {"newest": newest, "matches": search.matches}
            found.insert(0, self._page(*self._source(search._replace(found=""), conditions, page, ":limit")))
        return found

    def _page(self, source: str, conditions: Conditions, value: str = "f.created_at", way: str = "DESC") -> str:
        keys, order = _keys(source, conditions, value, way), f"page.value {way}, page.created_at {way}, page.id {way}"
        return f"SELECT {{run}} FROM ({keys}) AS page {{facts}} ORDER BY {order}"

    def _source(
        self, search: Search, conditions: Conditions, page: Mapping[str, Any], limit: str = ""
    ) -> tuple[str, Conditions]:
        """Return what an SQL statement for a list of runs must read, and under which conditions.

        These are the tables, and the conditions for all filters and words of the search.
        """
        conditions = {**conditions, "fields": search.fields}
        if search.found:
            return f"({search.found}) AS x CROSS JOIN runs AS f", {**conditions, "found": "f.key = x.run"}
        is_sorted = page.get("sort") not in (None, "begun")
        if "tag" in conditions and not conditions.keys() & {"starter", "user"} and not is_sorted:
            conditions["tag"] = "t.tag = :tag AND f.key = t.run"
            if limit:  # the index of tags also contains the time, so that only one page of a tag's runs is read
                conditions = {name: text.replace("f.created_at", "t.created_at") for name, text in conditions.items()}
            return _TAGGED, conditions
        return self.source(conditions, page, limit)

    def counts(
        self,
        connection: ConnectionT,
        *,
        tag: str | None = None,
        text: str | None = None,
        every_seconds: float | None = None,
        tenant: str | None = None,
    ) -> list[Count]:
        """Return the number of runs for each graph, status and period; see `Store.counts`."""
        page = {"tag": tag, "text": text, "tenant": tenant}
        conditions, search = conditions_of(page), self.search(connection, page)
        if conditions is None:
            return []
        if conditions or search.found or every_seconds is not None:
            is_of_all = not conditions and not search.found
            source, conditions = (self.counted, {}) if is_of_all else self._source(search, conditions, page)
            since = "CAST(0 AS float8)" if every_seconds is None else self.period
            selected = (
                f"SELECT f.graph, f.status, {since}, count(*) FROM {source} {_where(conditions)} GROUP BY 1, 2, 3"
            )
            values = _values_of(page, search) | {"every": every_seconds}
            return [Count(*row) for row in self.dialect.rows(connection, selected, values)]
        return [Count(*row) for row in self.shared.rows(connection, "counts")]

    def summaries(
        self,
        connection: ConnectionT,
        page: Mapping[str, Any],
        by: Literal["graph", "tag", "version"],
        every_seconds: float,
    ) -> list[tuple[str, str, float, str]]:
        """Return the summaries of many runs in groups, from which figures over time are computed.

        The runs are grouped by their graph, tag or version, by their status, and by the period in which they began. A
        row of the result contains the name of the group, the status, the beginning of the period, and a JSON array of
        the summaries.
        """
        conditions, search = conditions_of(page), self.search(connection, page)
        if conditions is None:
            return []
        if by == "tag":
            source, words = _TAGGED, f"f.key IN ({search.found})" if search.matches else ""
            conditions |= {"run": "f.key = t.run", "words": words, "fields": search.fields}
        else:
            source, conditions = self._source(search, conditions, page)
        statement = (
            f"SELECT {_GROUPS[by]}, f.status, {self.period}, '[' || {self.joined} || ']' "
            f"FROM {source} {_where(conditions)} GROUP BY 1, 2, 3"
        )
        values = _values_of(page, search) | {"every": every_seconds, "joint": "\x1f"}
        return self.dialect.rows(connection, statement, values)

    def unsearched(self, connection: ConnectionT, page: Mapping[str, Any], names: Mapping[str, bool]) -> int | None:
        """Return how many runs a search by fields misses, because they began before their graph declared these fields.

        Return None if no run at all has one of the fields. The keys of `names` are the fields. The value of a field is
        True if a run has the field from its beginning, and False if only a finished run has it.
        """
        page = {**page, "fields": None}
        recorded = {name for (name,) in self.dialect.rows(connection, "SELECT DISTINCT field FROM graph_fields", {})}
        conditions, search = conditions_of(page), self.search(connection, page)
        if not recorded.issuperset(names) or conditions is None:
            return None
        source, conditions = self._source(search, conditions, page)
        conditions["unsearched"] = _UNSEARCHED
        values = _values_of(page, search)
        values["early"] = self.dialect.listed([name for name, is_early in names.items() if is_early])
        values["late"] = self.dialect.listed([name for name, is_early in names.items() if not is_early])
        statement = f"SELECT count(*) FROM {source} {_where(conditions)}"
        return int(self.dialect.rows(connection, statement, values)[0][0])


def _keys(
    source: str, conditions: Conditions, value: str = "f.created_at", way: str = "DESC", limit: str = ":limit"
) -> str:
    """Return an SQL statement that selects one page of runs.

    For each run, the statement returns the key and the values by which the list is sorted.
    """
    at = "t.created_at" if source == _TAGGED else "f.created_at"
    columns = [*([] if value == "f.created_at" else [value]), at, "f.id"]
    order = ", ".join(f"{column} {way}" for column in columns)
    selected = f"SELECT f.key, {value} AS value, f.created_at, f.id FROM {source} {_where(conditions)}"
    return f"{selected} ORDER BY {order} LIMIT {limit}"


def _where(conditions: Conditions) -> str:
    texts = [text for text in conditions.values() if text]
    return f"WHERE {' AND '.join(texts)}" if texts else ""


def conditions_of(page: Mapping[str, Any]) -> Conditions | None:
    """Return the SQL conditions for the filters of a list of runs.

    Return None if the value of a filter is a name that no run can have. Then the list is empty.
    """
    given = [name for name in _FILTERS if page.get(name) is not None]
    if not all(is_name(page[name]) for name in given if isinstance(page[name], str)):
        return None
    return {name: _FILTERS[name] for name in given}


def _values_of(page: Mapping[str, Any], search: Search) -> dict[str, Any]:
    return {**dict.fromkeys(_FILTERS), **page, **search.values}
