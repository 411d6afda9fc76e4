"""All reads, as functions of a connection inside a read transaction.

A branch contains only its own steps; the earlier ones are in the logs of its ancestors. `lineage` returns which steps
each of these logs contributes, from the oldest to the newest.
"""

from __future__ import annotations

import logging
import sqlite3
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pydantic_core import to_json

from graphengine.databases import checksums
from graphengine.databases.refusals import damaged_error
from graphengine.databases.run_lists import Conditions, RunLists, Search
from graphengine.databases.run_rows import RunRow, run_of
from graphengine.databases.shared_reads import SharedReads
from graphengine.databases.sqlite import words
from graphengine.databases.sqlite.faults import end_statements
from graphengine.databases.sqlite.owners import Onlooker
from graphengine.databases.sqlite.queries import DIALECT, DOCTOR_SQL, SQL
from graphengine.databases.sqlite.texts import Texts
from graphengine.kernel.inside import is_name
from graphengine.kernel.reader import Branched, Started, decode_step
from graphengine.kernel.store import PAGE_LIMIT, Loaded, unknown_run, unknown_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import RunInfo

T = TypeVar("T")
log = logging.getLogger("graphengine.stores")

KEY_BITS: Final = 32
"""The row of a step has the id `key << KEY_BITS | seq`, where `key` is the number of the run."""

SEQ_MASK: Final = (1 << KEY_BITS) - 1

_LABELS: Final = {"run_id": "id", "parent": "parent run", "parent_seq": "step of the parent run"}
"""What error messages call the facts about a run that its row and its log contain."""
REPAIR: Final = "`graphengine doctor` shows what is damaged, `graphengine doctor --repair` repairs what it can"

_LARGEST_LIMIT: Final = 1 << 62
_warned: set[tuple[str, int]] = set()  # damaged snapshots for which a warning was logged
_NEWEST: Final = 16
"""A search first checks this many times the page's number of runs one by one, and only then asks the index."""
_PAGE: Final = 128
"""The longest page for which checking runs one by one is faster than asking the index."""
_INDEXED: Final = ("starter", "user", "tenant", "status", "graph")
"""The filters that have an index of runs."""
_RUNNING: Final = """(
    SELECT * FROM (
        SELECT f.key, f.created_at, f.id FROM runs AS f WHERE f.status = 'running' AND f.driver IS NULL AND {where}
        ORDER BY f.created_at DESC, f.id DESC LIMIT {limit}
    )
    UNION ALL
    SELECT f.key, f.created_at, f.id FROM runs AS f INDEXED BY runs_by_driver
    WHERE f.driver IS NOT NULL AND f.status = 'running' AND {where}
) AS f"""
"""The running runs. Runs without a driver are many, but an index lists them in order. Runs with a driver are few."""


class Found(NamedTuple):
    """The facts about a run, together with the columns of the run's row that only the store uses.

    Attributes:
        info: The facts about the run. `info.driver` is None if the driver is dead.
        key: The run's key in the database.
        fence: The current fence of the run.
        driver: The owner that drives the run according to the row, whether it is alive or dead.
    """

    info: RunInfo
    key: int
    fence: int
    driver: str | None


class Part(NamedTuple):
    """A part of the log of a branch: the steps `low + 1` to `high`, which one run has recorded.

    A branch shares its first steps with its parents, so its log consists of several parts.

    Attributes:
        key: The key of the run that recorded the steps.
        low: The number of the step before this part.
        high: The number of the last step of this part.
        shot: The number of the newest step in this part that has a snapshot, if snapshots were requested; otherwise
            None.
    """

    key: int
    low: int
    high: int
    shot: int | None

    def id_of(self, seq: int) -> int:
        """Return the id of the row with this step."""
        return self.key << KEY_BITS | seq


def find(connection: sqlite3.Connection, run_id: str, onlooker: Onlooker | None = None) -> Found:
    """Return the facts about a run, together with the columns of its row that only the store uses.

    An onlooker decides whether owners are alive. Without an onlooker, the driver of the run is assumed to be alive.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The row and the index of ids disagree.
    """
    row = connection.execute(SQL["run_facts"], (run_id,)).fetchone() if is_name(run_id) else None
    if row is None and is_name(run_id):
        row = connection.execute(DOCTOR_SQL["run_by_scan"], (run_id,)).fetchone()
        if row is not None:
            raise damaged_error("the row", "the index of ids does not contain it", REPAIR, run_id=run_id)
    if row is None:
        raise unknown_run(run_id)
    (stored,) = connection.execute(SQL["id_of"], (row[0],)).fetchone() or (None,)
    if stored != run_id:  # the index leads to another run's row
        raise damaged_error("the row", f"it has the id {stored!r}", REPAIR, run_id=run_id)
    return from_row(connection, row, onlooker)


def info(connection: sqlite3.Connection, onlooker: Onlooker, run_id: str) -> RunInfo:
    """Return the facts about a run that its row contains, such as its status; see `RunInfo`.

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


def from_row(connection: sqlite3.Connection, row: Sequence[Any], onlooker: Onlooker | None) -> Found:
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
    """Return the newest readable snapshot of a run at or before a step, and the parts of its log from there on.

    If a snapshot is damaged, an older one is used, because the state can also be rebuilt from the steps.
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
    """Return the steps `after + 1` to `upto` of a run, and check that the rows of the runs agree with these steps.

    The steps of a branch come from the logs of several runs, which `parts` lists.

    Raises:
        StoreCorrupt: The row of a run disagrees with the first step of its log, or a step is missing or damaged.
    """
    found: list[Step] = []
    try:
        found = read_steps(connection, run_id, parts, after, upto)
    finally:  # a changed row can be the reason why steps are missing
        for part in parts:
            in_row, in_log = identities(connection, part.key, found)
            differing = [name for name, fact in in_log.items() if fact != in_row[name]]
            if differing:
                values = ", ".join(
                    f"its {_LABELS.get(name, name)} is {in_row[name]!r}, but {in_log[name]!r} in the log"
                    for name in differing
                )
                raise damaged_error("the row", values, REPAIR, run_id=str(in_row["run_id"]))
    return found


def identities(
    connection: sqlite3.Connection, key: int, already_read: Sequence[Step] = ()
) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Return what is recorded about the start of a run in two places: in its row, and in the first step of its log.

    A start is the id of the run, its graph, and the parent and step from which it was branched. A check compares both
    results to find damaged rows. The first step can contain the whole state, so it is read only if it is not in
    `already_read`.

    - If the run has no row, all values of the first result are None.
    - If the first step does not contain these facts, the second result is empty.
    - If the log contains no step, both results are empty.
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
    """Return the id, graph and parent of a run as the first step of its log records them; {} for any other step."""
    facts = step.data
    if isinstance(facts, Started):
        return {"run_id": facts.run_id, "graph": facts.graph, "parent": None}
    if isinstance(facts, Branched):
        return {"run_id": facts.run_id, "parent": facts.parent}
    return {}


def steps(connection: sqlite3.Connection, run_id: str, after: int = 0, upto: int | None = None) -> list[Step]:
    """Return the steps of a run with the numbers `after + 1` to `upto`.

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
    """Return the parts of which the log of a run consists, up to step `upto`, the oldest part first.

    A branch shares its first steps with its parents. So its log is spread over several runs, and each part comes from
    one run.

    With `snapshots`, the first part belongs to the run that contains the newest snapshot; otherwise it belongs to the
    run that contains step `after + 1`. With `newest`, snapshots after that step are ignored. Only the first part can be
    empty.
    """
    parameters = {"key": key, "upto": upto, "after": after, "snapshots": snapshots}
    parameters["newest"] = upto if newest is None else newest
    found = connection.execute(SQL["lineage"], parameters).fetchall()
    parts = [Part(*row) for row in reversed(found)]
    return parts[:1] + [part for part in parts[1:] if part.low < part.high]


def snapshot(connection: sqlite3.Connection, row_id: int) -> bytes:
    """Return the content of the snapshot in a row.

    Raises:
        ValueError: The row is damaged.
    """
    body, recorded, listed = connection.execute(SQL["snapshot"], (row_id,)).fetchone()
    return Texts(connection).whole(row_id, body, recorded, listed)


def read_steps(connection: sqlite3.Connection, run_id: str, parts: Sequence[Part], after: int, upto: int) -> list[Step]:
    """Return the steps with the numbers `after + 1` to `upto` from the given parts of a log.

    Raises StoreCorrupt if a step is missing or damaged.
    """
    rows = (
        (row[0] & SEQ_MASK, row)
        for part in parts
        for row in connection.execute(SQL["steps"], (part.id_of(max(part.low, after)), part.id_of(part.high)))
    )
    return checksums.read_steps(run_id, rows, Texts(connection).whole, after, upto)


def message_keys(connection: sqlite3.Connection, run_id: str, newest: int | None = None) -> Mapping[str, int]:
    """Return the keys of a run's messages; see `Store.message_keys`."""
    rows = connection.execute(SQL["message_keys"], (run_id if is_name(run_id) else "",)).fetchall()
    rows.sort(key=itemgetter(1))
    return {key: number if waits else 0 for key, number, waits in (rows if newest is None else rows[-newest:])}


def has_trash(connection: sqlite3.Connection) -> bool:
    """Return whether a sweep must still delete rows of removed runs."""
    return bool(connection.execute(SQL["has_trash"]).fetchone()[0])


def in_snapshot(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], T]) -> T:
    """Call a function that reads in a transaction, so that all its queries see the same state of the database."""
    connection.execute("BEGIN")
    try:
        return read(connection)
    except BaseException as error:
        end_statements(error)
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


shared: Final[SharedReads[sqlite3.Connection, Onlooker]] = SharedReads(
    SQL, DIALECT, lambda connection, row, onlooker: from_row(connection, row, onlooker).info, _LARGEST_LIMIT
)


class Lists(RunLists[sqlite3.Connection, Onlooker]):
    """Lists of runs in SQLite."""

    dialect = DIALECT
    shared = shared
    period = "CAST(f.created_at / :every AS INTEGER) * :every"
    joined = "group_concat(coalesce(f.summary, 'null'), ',')"
    # two indexes have every column of the runs that no process drives
    counted = """(
        SELECT graph, status, created_at FROM runs WHERE status <> 'running'
        UNION ALL SELECT graph, status, created_at FROM runs WHERE status = 'running' AND driver IS NULL
        UNION ALL SELECT graph, status, created_at FROM runs WHERE driver IS NOT NULL AND status = 'running'
    ) AS f"""

    def info(self, connection: sqlite3.Connection, own: Onlooker, run_id: str) -> RunInfo:
        return info(connection, own, run_id)

    def search(self, connection: sqlite3.Connection, page: Mapping[str, Any]) -> Search:
        """Return the SQL conditions that select the runs with the words and field values of a search."""
        search = words.search(connection, page.get("text") or "")
        conditions, values = list[str](), dict[str, object](search.values)
        for number, (name, texts) in enumerate((page.get("fields") or {}).items()):
            values |= {f"field_{number}": name, f"values_{number}": to_json(texts).decode()}
            conditions.append(
                f"EXISTS (SELECT * FROM run_fields AS w WHERE w.run = f.key AND w.field = :field_{number}"  # noqa: S608
                f" AND w.value IN (SELECT value FROM json_each(:values_{number})))"
            )
        found = search.found or (words.SQL["found_by_field"] if conditions else "")
        limit = page.get("limit", PAGE_LIMIT)
        looked_at = _NEWEST * limit if limit <= _PAGE and found != words.SQL["found_without_index"] else 0
        return Search(found, search.matches, " AND ".join(conditions), looked_at if found else 0, values)

    def source(self, conditions: Conditions, page: Mapping[str, Any], limit: str) -> tuple[str, Conditions]:
        """Make SQLite use the index of the filter that selects the fewest runs.

        A `+` before a column keeps SQLite from using the index of that column.
        """
        first = next((name for name in conditions if name in _INDEXED), None)
        is_running = first == "status" and page["status"] == "running"
        texts = {
            name: text.replace("f.", "+f.", 1) if name in _INDEXED and (name != first or is_running) else text
            for name, text in conditions.items()
        }
        if first == "status" and not is_running:
            texts["index"] = "f.status <> 'running'"
        if not is_running or not limit:
            return "runs AS f", texts
        where = " AND ".join(text for text in texts.values() if text)
        return _RUNNING.format(where=where, limit=limit), {}


lists: Final = Lists()
