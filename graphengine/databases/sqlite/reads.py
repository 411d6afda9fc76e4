"""All reads, as functions of a connection inside a read transaction.

A branch contains only its own steps; the earlier ones are in the logs of its ancestors. `lineage` returns which steps
each of these logs contributes, from the oldest to the newest.
"""

from __future__ import annotations

import logging
import math
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pydantic_core import to_json

from graphengine.databases import checksums
from graphengine.databases.refusals import damaged_error
from graphengine.databases.run_rows import RunRow, run_of
from graphengine.databases.shared_reads import SharedReads
from graphengine.databases.sqlite import words
from graphengine.databases.sqlite.faults import end_statements
from graphengine.databases.sqlite.queries import DOCTOR_SQL, SQL
from graphengine.databases.sqlite.texts import Texts
from graphengine.kernel.inside import is_name
from graphengine.kernel.reader import Branched, Started, decode_step
from graphengine.kernel.store import PAGE_LIMIT, Count, Loaded, unknown_run, unknown_step

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Unpack

    from graphengine.databases.sqlite.owners import Onlooker
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import Page, RunInfo, Sort

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

KEY_BITS: Final = 32
"""The row of a step has the id `key << KEY_BITS | seq`, where `key` is the number of the run."""

SEQ_MASK: Final = (1 << KEY_BITS) - 1

REPAIR: Final = "`graphengine doctor` shows what is damaged, `graphengine doctor --repair` repairs what it can"

_LARGEST_LIMIT: Final = 1 << 62
_warned: set[tuple[str, int]] = set()  # damaged snapshots for which a warning was logged
_NAMES: Final = ("status", "graph", "tag", "tenant", "user", "starter")
_EVERY_RUN: Final = {**dict.fromkeys((*_NAMES, "before")), "begun_after": -math.inf, "begun_before": math.inf}
_NEWEST: Final = 16
"""A search first checks this many times the page's number of runs one by one, and only then asks the index."""
_PAGE: Final = 128
"""The longest page for which checking runs one by one is faster than asking the index."""
_SORTED_BY: Final[Mapping[Sort, str]] = {
    "begun": "r.created_at",
    "cost": "coalesce(r.cost_usd, -1)",
    "took": "coalesce(r.ended_at - r.created_at, -1)",
    "status": "r.status",
}


class Found(NamedTuple):
    """A run's row: the facts about the run, and the columns that only the store uses.

    Attributes:
        info: The facts about the run. Its `driver` is None if the driver is dead.
        key: The run's key in the database.
        fence: The run's current fence.
        driver: The owner that holds the run, alive or dead.
    """

    info: RunInfo
    key: int
    fence: int
    driver: str | None


class Part(NamedTuple):
    """The steps that the log of one run contributes to a branch: `low < seq <= high`.

    Attributes:
        key: The key of the run that contains the steps.
        low: The last step before them.
        high: The last of them.
        shot: The newest snapshot among them, if snapshots were requested.
    """

    key: int
    low: int
    high: int
    shot: int | None

    def id_of(self, seq: int) -> int:
        """Return the id of the row with this step."""
        return self.key << KEY_BITS | seq


def find(connection: sqlite3.Connection, run_id: str, onlooker: Onlooker | None = None) -> Found:
    """Return the run with this id. Without an onlooker, its driver is assumed to be alive.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The row and the index of ids disagree.
    """
    row = connection.execute(SQL["run_facts"], (run_id,)).fetchone() if is_name(run_id) else None
    if row is None and is_name(run_id):
        row = connection.execute(DOCTOR_SQL["run_by_scan"], (run_id,)).fetchone()
        if row is not None:
            raise damaged_error(f"the row of run {run_id}", "the index of ids does not have it", REPAIR)
    if row is None:
        raise unknown_run(run_id)
    (stored,) = connection.execute(SQL["id_of"], (row[0],)).fetchone() or (None,)
    if stored != run_id:  # the index leads to another run's row
        raise damaged_error(f"the row of run {run_id}", f"it has the id {stored!r}", REPAIR)
    return from_row(connection, row, onlooker)


def info(connection: sqlite3.Connection, onlooker: Onlooker, run_id: str) -> RunInfo:
    """Return the facts about a run.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The row and the index of ids disagree.
    """
    return find(connection, run_id, onlooker).info


def former_lease(connection: sqlite3.Connection, onlooker: Onlooker, run_id: str) -> float | None:
    """Return for how many more seconds another owner may still act on a run; see `Store.former_lease`."""
    return onlooker.seconds_left(connection, find(connection, run_id).driver)


def moved(connection: sqlite3.Connection, seqs: Mapping[str, int]) -> list[str]:
    """Return the ids of the runs whose last step is not the given one, and of runs that do not exist."""
    return [run_id for (run_id,) in connection.execute(SQL["moved"], (to_json(seqs).decode(),))]


def change_token(connection: sqlite3.Connection) -> str:
    """Return a number that changes when another connection commits."""
    return str(connection.execute(SQL["change_token"]).fetchone()[0])


def counts(
    connection: sqlite3.Connection,
    *,
    tag: str | None = None,
    text: str | None = None,
    every_seconds: float | None = None,
    tenant: str | None = None,
) -> list[Count]:
    """Return the number of runs for each graph, status and period; see `Store.counts`."""
    if not all(is_name(each) for each in (tag, tenant) if each is not None):
        return []
    every = math.inf if every_seconds is None else every_seconds
    values: dict[str, object] = {"every": every, "tag": tag, "tenant": tenant}
    search = words.Search.of(connection, text or "")
    if search is not None:
        statement = words.SQL["counts"].replace("…found…", search.found)
        values |= search.values
    else:
        of_all = "counts" if every_seconds is None else "counts_by_time"
        statement = SQL["counts_of_tag" if tag is not None else of_all if tenant is None else "counts_of_tenant"]
    rows = connection.execute(statement, values).fetchall()
    return [Count(graph, status, since or 0.0, number) for graph, status, since, number in rows]


def from_row(connection: sqlite3.Connection, row: Sequence[Any], onlooker: Onlooker | None) -> Found:
    """Convert a row of `run_facts` to a run."""
    run = RunRow._make(row)
    driver = None if onlooker is not None and (run.id, run.fence) in onlooker.owed else run.driver
    is_alive = driver is not None and (onlooker is None or onlooker.sees_alive(connection, driver, run.driven))
    tags = run.tags.split("\n") if run.tags is not None else ()
    return Found(run_of(run, driver, tags, is_alive=is_alive), run.key, run.fence, driver)


def load(connection: sqlite3.Connection, onlooker: Onlooker, run_id: str, upto: int | None = None) -> Loaded:
    """Return the newest readable snapshot at or before step `upto`, and the steps after it.

    Raises:
        UnknownRun: The run does not exist.
        UnknownStep: The run does not have the step.
        StoreCorrupt: A row of a step is damaged or missing.
    """
    found = find(connection, run_id, onlooker)
    last = found.info.seq
    if upto is not None:
        if not 1 <= upto <= last:
            raise unknown_step(run_id, upto, last)
        last = upto
    parts, snapshot = newest_snapshot(connection, found.key, last, run_id)
    start = parts[0].shot or 0
    return Loaded(found.info, snapshot, _read_checked(connection, run_id, parts, start, last))


def newest_snapshot(
    connection: sqlite3.Connection, key: int, upto: int, run_id: str
) -> tuple[list[Part], bytes | None]:
    """Return the newest readable snapshot of a run, and the parts of its log from there to step `upto`.

    A damaged snapshot is skipped and an older one is used, because the run can also be rebuilt from its steps.
    """
    newest = upto
    while True:
        parts = lineage(connection, key, upto, snapshots=True, newest=newest)
        oldest = parts[0]
        if oldest.shot is None:
            return parts, None
        row_id = oldest.id_of(oldest.shot)
        try:
            return parts, snapshot(connection, row_id)
        except ValueError as error:
            newest = oldest.shot - 1
            (file,) = connection.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()
            if (file, row_id) not in _warned:
                _warned.add((file, row_id))
                text = (
                    "the snapshot of run %s after step %d cannot be read: %s; the run is read from what precedes it. %s"
                )
                log.warning(text, run_id, oldest.shot, error, REPAIR)


def _read_checked(
    connection: sqlite3.Connection, run_id: str, parts: Sequence[Part], after: int, upto: int
) -> list[Step]:
    """Return steps as `read_steps` does, and check that the row of each run in `parts` agrees with its log.

    Raises:
        StoreCorrupt: A row disagrees with the first step of its log, or a step is missing or damaged.
    """
    found: list[Step] = []
    try:
        found = read_steps(connection, run_id, parts, after, upto)
    finally:  # a changed row can be the reason why steps are missing
        for part in parts:
            in_row, in_log = identities(connection, part.key, found)
            differing = [name for name, fact in in_log.items() if fact != in_row[name]]
            if differing:
                values = ", ".join(f"{name} {in_row[name]!r}, its log {in_log[name]!r}" for name in differing)
                raise damaged_error(f"the row of run {in_row['run_id']}", f"it has {values}", REPAIR)
    return found


def identities(
    connection: sqlite3.Connection, key: int, already_read: Sequence[Step] = ()
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return which run a log belongs to and where it was branched: first according to the row, then to its first step.

    Checks compare both results to find damaged rows. The first step can contain the whole state, so it is read only if
    it is not in `already_read`.

    - If the run has no row, all values of the first result are None.
    - If the first step does not contain these facts, the second result is empty.
    - If the log has no step, both results are empty.
    """
    row = connection.execute(SQL["first_step"], (key, key)).fetchone()
    if row is None:
        return {}, {}
    body, recorded, row_id, run_id, graph, parent_seq, parent, listed = row
    in_row = {"run_id": run_id, "graph": graph, "parent": parent, "parent_seq": parent_seq}
    seq = row_id & SEQ_MASK
    first = next((step for step in already_read if step.seq == seq), None)
    try:
        first = first or decode_step(seq, Texts(connection).whole(row_id, body, recorded, listed))
    except ValueError:
        return in_row, {}  # reading the steps reports the fault
    facts = recorded_facts(first)
    if not facts and (parent_seq is None or seq > parent_seq + 1):
        return in_row, {}  # reading the steps reports the fault
    is_root = first.kind == "started" and parent is None
    # an imported branch's log begins with its parents' steps, and records the branch later
    if (
        is_root
        and facts["run_id"] != run_id
        and connection.execute(SQL["branched_as"], (key, key, run_id)).fetchone()[0]
    ):
        return in_row, {}
    return in_row, {"parent_seq": seq - 1, **facts}


def recorded_facts(step: Step) -> dict[str, JsonValue]:
    """Return the facts about a run that the first step of its log records; {} for any other step."""
    facts = step.data
    if isinstance(facts, Started):
        return {"run_id": facts.run_id, "graph": facts.graph, "parent": None}
    if isinstance(facts, Branched):
        return {"run_id": facts.run_id, "parent": facts.parent}
    return {}


def steps(connection: sqlite3.Connection, run_id: str, after: int = 0, upto: int | None = None) -> list[Step]:
    """Return the steps with `after < seq <= upto`.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: A row is damaged or missing.
    """
    found = find(connection, run_id)
    last = found.info.seq if upto is None else min(upto, found.info.seq)
    after = max(after, 0)
    if last <= after:
        return []
    parts = lineage(connection, found.key, last, after=after)
    return _read_checked(connection, run_id, parts, after, last)


def lineage(  # noqa: PLR0913 - the parameters of the statement, by name
    connection: sqlite3.Connection,
    key: int,
    upto: int,
    *,
    after: int = 0,
    snapshots: bool = False,
    newest: int | None = None,
) -> list[Part]:
    """Return the parts of a run's log up to step `upto`, oldest first. Only the first part can be empty.

    With `snapshots`, the parts begin with the run that contains the newest snapshot; otherwise with the run that
    contains the step after `after`. With `newest`, snapshots after that step are ignored.
    """
    parameters = {"key": key, "upto": upto, "after": after, "snapshots": snapshots}
    parameters["newest"] = upto if newest is None else newest
    found = connection.execute(SQL["lineage"], parameters).fetchall()
    parts = [Part(*row) for row in reversed(found)]
    return parts[:1] + [part for part in parts[1:] if part.low < part.high]


def snapshot(connection: sqlite3.Connection, row_id: int) -> bytes:
    """Return the snapshot in a row.

    Raises:
        ValueError: The row is damaged.
    """
    body, recorded, listed = connection.execute(SQL["snapshot"], (row_id,)).fetchone()
    return Texts(connection).whole(row_id, body, recorded, listed)


def read_steps(connection: sqlite3.Connection, run_id: str, parts: Sequence[Part], after: int, upto: int) -> list[Step]:
    """Return the steps with `after < seq <= upto`. Raises StoreCorrupt if a step is missing or damaged."""
    rows = (
        (row[0] & SEQ_MASK, row)
        for part in parts
        for row in connection.execute(SQL["steps"], (part.id_of(max(part.low, after)), part.id_of(part.high)))
    )
    return checksums.read_steps(run_id, rows, Texts(connection).whole, after, upto)


def runs(connection: sqlite3.Connection, onlooker: Onlooker, **page: Unpack[Page]) -> list[RunInfo]:
    """Return a page of the list of runs; see `Store.runs`.

    Raises:
        UnknownRun: The run `before` does not exist.
    """
    limit = min(page.get("limit", PAGE_LIMIT), _LARGEST_LIMIT)
    if limit <= 0:
        return []
    filters = {name: value for name, value in page.items() if value is not None}
    last = find(connection, str(filters["before"])).info if "before" in filters else None
    if not all(is_name(str(filters[name])) for name in _NAMES if name in filters):
        return []
    values: dict[str, object] = {**_EVERY_RUN, **filters, "limit": limit}
    search = words.Search.of(connection, page.get("text") or "")
    fields, field_values = has_fields(page.get("fields"))
    values |= field_values
    sort, ascending = page.get("sort") or "begun", page.get("ascending", False)
    end, place = page.get("begun_before"), (math.inf, "") if last is None else (last.created_at, last.id)
    values["created_at"], values["id"] = place if end is None else min(place, (end, ""))
    rows: Sequence[Any] = ()
    is_indexed = search.is_indexed if search is not None else bool(fields)
    if is_indexed and limit <= _PAGE and sort == "begun" and not ascending:
        statement = _statement_in_order(sort, words.SQL["newest" if search is None else "found_among_newest"], fields)
        found = {} if search is None else search.values
        rows = connection.execute(statement, {**values, **found, "looked_at": _NEWEST * limit}).fetchall()
    if len(rows) < limit:
        if search is not None or fields or sort != "begun" or ascending:
            by_field = words.SQL["found_by_field"] if fields else None
            source = by_field if search is None else search.found
            statement = _statement_in_order(sort, source, fields, ascending=ascending)
            values |= {} if search is None else search.values
        else:
            statement = SQL[_statement_of_page(filters)]
        rows = connection.execute(statement, values).fetchall()
    return [from_row(connection, row, onlooker).info for row in rows]


def has_fields(fields: Mapping[str, Sequence[str]] | None) -> tuple[str, dict[str, object]]:
    """Return an SQL condition that run `r` has one of the values of each field, and the parameters of the condition.

    The condition begins with AND.
    """
    condition, values = "", dict[str, object]()
    for number, (name, texts) in enumerate((fields or {}).items()):
        values |= {f"field_{number}": name, f"values_{number}": to_json(texts).decode()}
        condition += f"""
        AND EXISTS (SELECT * FROM run_fields AS w WHERE w.run = r.key AND w.field = :field_{number}
            AND w.value IN (SELECT value FROM json_each(:values_{number})))"""  # noqa: S608 - our own texts
    return condition, values


def _statement_in_order(sort: Sort, found: str | None, fields: str = "", *, ascending: bool = False) -> str:
    """Return the statement that lists runs in an order. `found` selects the keys of the runs; None selects all runs."""
    source = "runs AS r" if found is None else f"({found}) AS x CROSS JOIN runs AS r ON r.key = x.rowid"
    text = words.SQL["runs"].replace("…value…", _SORTED_BY[sort]).replace("…source…", source)
    text = text.replace("…fields…", fields)
    return text.replace(" DESC", " ASC").replace("…", ">") if ascending else text.replace("…", "<")


def _statement_of_page(filters: Mapping[str, object]) -> str:
    """Return the name of the statement whose index fits the filters of a page of runs."""
    for name in ("starter", "user"):
        if name in filters:
            return f"runs_of_{name}"
    if filters.keys() & {"tag", "begun_after", "tenant"}:
        return "runs_of_tag" if "tag" in filters else "runs_of_tenant" if "tenant" in filters else "runs_that_match"
    if "status" in filters:
        return "running_runs" if filters["status"] == "running" else "runs_of_status"
    return "runs_of_graph" if "graph" in filters else "runs"


def message_keys(connection: sqlite3.Connection, run_id: str, newest: int | None = None) -> Mapping[str, int]:
    """Return the keys of a run's messages; see `Store.message_keys`."""
    rows = connection.execute(SQL["message_keys"], (run_id if is_name(run_id) else "",)).fetchall()
    rows.sort(key=itemgetter(1))
    return {key: number if waits else 0 for key, number, waits in (rows if newest is None else rows[-newest:])}


def has_trash(connection: sqlite3.Connection) -> bool:
    """Return whether a sweep must still delete rows of removed runs."""
    return bool(connection.execute(SQL["has_trash"]).fetchone()[0])


def in_snapshot(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], T]) -> T:
    """Call `read` in a transaction, so that all its queries see the same state of the database."""
    connection.execute("BEGIN")
    try:
        return read(connection)
    except BaseException as error:
        end_statements(error)
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _ids_as_json(run_ids: Sequence[str]) -> str:
    return to_json([run_id for run_id in run_ids if is_name(run_id)]).decode()


shared: Final[SharedReads[sqlite3.Connection, Onlooker]] = SharedReads(
    SQL, _ids_as_json, lambda connection, row, onlooker: from_row(connection, row, onlooker).info, _LARGEST_LIMIT
)
