"""All reads, as functions of a connection.

Each read is one statement, so that all its rows belong to the same moment.
"""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
from psycopg.adapt import Loader
from pydantic_core import from_json

from graphengine.databases import checksums
from graphengine.databases.checksums import CHANGED, sum_of
from graphengine.databases.long_texts import join
from graphengine.databases.owner_locks import is_known_dead
from graphengine.databases.postgres.queries import DIALECT, LARGEST, SQL, clamped, known, signed
from graphengine.databases.postgres.sessions import Connection
from graphengine.databases.refusals import damaged_error
from graphengine.databases.run_lists import RunLists, Search
from graphengine.databases.run_rows import RunRow, run_of
from graphengine.databases.shared_reads import SharedReads
from graphengine.errors import StoreCorrupt, StoreError
from graphengine.kernel.inside import is_name
from graphengine.kernel.store import (
    PAGE_LIMIT,
    EndedRun,
    Loaded,
    OwnerInfo,
    sought_words,
    unknown_run,
    unknown_step,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import psycopg
    from psycopg.abc import Buffer

    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import RunInfo, Status

    Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]

log = logging.getLogger("graphengine.stores")

_warned: set[tuple[str, int]] = set()  # damaged snapshots for which a warning was logged


class Own(NamedTuple):
    """What a store knows about its own runs before the database shows it.

    For example, the store may have released a run, and the release is not written yet. Functions that read runs correct
    their results with this object, so that a caller sees the newest state.

    Attributes:
        id: The id of the store's owner; None for a store that only reads.
        owed: The runs that the store has released, as (id, fence), while the database still names the store as their
            driver.
    """

    id: str | None
    owed: Collection[tuple[str, int]]


class _Entry(NamedTuple):
    """A row with a recorded step or a snapshot of a run.

    `at` contains the id of the run that recorded it, and the number of the step.
    """

    at: tuple[str, int]
    sum: int
    body: bytes


class _RawText(Loader):
    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def from_facts(row: Sequence[Any], own: Own) -> RunInfo:
    """Convert a row of `run_facts` to the facts about the run."""
    run = RunRow._make(row)
    driver = None if (run.id, run.fence) in own.owed else run.driver
    return run_of(run, driver, run.tags or (), is_alive=driver is not None and (run.driven or driver == own.id))


def execute(statement: str, values: Mapping[str, object], connection: Connection) -> bool:
    """Run a statement by its name, and return whether it changed anything. The statement may be executed twice."""
    return connection.execute(SQL[statement], values).rowcount > 0


def info(connection: Connection, own: Own, run_id: str) -> RunInfo:
    """Return the facts about a run that its row contains, such as its status; see `RunInfo`.

    Raises:
        UnknownRun: The run does not exist.
    """
    row = connection.execute(SQL["facts"], (known(run_id),)).fetchone()
    if row is None:
        raise unknown_run(run_id)
    return from_facts(row, own)


_HOSTS_SECONDS: Final = 1.0
"""Added to the rest of a lease, because hosts may measure its length differently."""


def former_lease(connection: Connection, own: Own, run_id: str) -> float | None:
    """Return for how many more seconds the former driver may still act on a run; see `Store.former_lease`."""
    row = connection.execute(SQL["former_lease"], (known(run_id),)).fetchone()
    if row is None:
        raise unknown_run(run_id)
    owner_id, seconds = row
    if seconds is None or owner_id == own.id or is_known_dead(owner_id):
        return None
    return max(0.0, float(seconds) + _HOSTS_SECONDS)


def load(connection: Connection, own: Own, run_id: str, upto: int | None = None) -> Loaded:
    """Return the newest readable snapshot at or before step `upto`, and the steps after it.

    A damaged snapshot is skipped and an older one is used, because the run can also be rebuilt from its steps.

    Raises:
        UnknownRun: The run does not exist.
        UnknownStep: The run does not have the step.
        StoreCorrupt: A row of a step is damaged or missing.
    """
    top = LARGEST if upto is None else clamped(upto)
    newest = LARGEST
    while True:
        found = _log(connection, run_id, top, 0, newest, own)
        if upto is not None and not 1 <= upto <= found.info.seq:
            raise unknown_step(run_id, upto, found.info.seq)
        last = found.info.seq if upto is None else upto
        shot = found.shot
        if shot is None:
            return Loaded(found.info, None, found.steps(0, last))
        try:
            return Loaded(found.info, found.whole(shot, in_snapshot=True), found.steps(shot.at[1], last))
        except ValueError as error:
            if isinstance(error, StoreCorrupt):
                raise
            newest = shot.at[1] - 1
            if shot.at not in _warned:
                _warned.add(shot.at)
                text = "the snapshot of run %s after step %d cannot be read: %s; the run is read from what precedes it"
                log.warning(text, *shot.at, error)


def snapshot_at(connection: Connection, run_id: str, seq: int, own: Own) -> bytes:
    """Return the run's snapshot after a step.

    Raises:
        StoreCorrupt: The snapshot is missing or damaged.
    """
    found = _log(connection, run_id, seq, seq - 1, seq, own)
    what = f"the snapshot after step {seq}"
    if found.shot is None or found.shot.at[1] != seq:
        raise damaged_error(what, "it is missing", run_id=run_id)
    try:
        return found.whole(found.shot, in_snapshot=True)
    except ValueError as error:
        raise damaged_error(what, str(error), run_id=run_id) from error


def steps(connection: Connection, run_id: str, after: int = 0, upto: int | None = None) -> list[Step]:
    """Return the steps of a run with the numbers `after + 1` to `upto`.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: A row is damaged or missing.
    """
    after = max(clamped(after), 0)
    top = LARGEST if upto is None else clamped(upto)
    found = _log(connection, run_id, top, after, -1, Own(None, ()))
    return found.steps(after, min(top, found.info.seq))


def _log(  # noqa: PLR0913 - the parameters of the statement
    connection: Connection, run_id: str, upto: int, after: int, newest: int, own: Own
) -> _LogRows:
    """Read a part of a run's log with one statement: steps, a snapshot, and the facts about the run.

    Args:
        connection: The connection.
        run_id: The id of the run.
        upto: The number of the last step to read.
        after: The number of the step before the first one to read.
        newest: Snapshots after the step with this number are ignored; -1 to read no snapshot.
        own: What the store knows about its own runs.

    Raises:
        UnknownRun: The run does not exist.
    """
    values = {"id": known(run_id), "upto": upto, "after": after, "newest": newest}
    return _LogRows(run_id, _raw(connection).execute(SQL["log"], values), own)


def _raw(connection: Connection) -> Cursor:
    """Return a cursor that returns texts as bytes, so that long texts are not decoded twice."""
    cursor = connection.cursor()
    cursor.adapters.register_loader("text", _RawText)
    return cursor


def facts_of(connection: Connection, keys: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return the rows of the view `run_facts` for the runs with these keys, in the order of the keys.

    Runs that do not exist are left out.
    """
    if not keys:
        return []
    found = {row[0]: row for row in connection.execute(SQL["facts_of"], (list(keys),)).fetchall()}
    return [found[key] for key in keys if key in found]


def logs(connection: Connection, run_ids: Sequence[str], own: Own) -> dict[str, Loaded]:
    """Load several runs with one statement. The result contains for each run what `load` returns.

    Runs that cannot be loaded, for example because a step is damaged, are left out. Call `load` for such a run to get
    the error.
    """
    if not run_ids:
        return {}
    found: dict[str, Loaded] = {}
    rows = _raw(connection).execute(SQL["logs"], {"ids": DIALECT.listed(run_ids), "top": LARGEST}).fetchall()
    grouped: dict[str, list[Sequence[Any]]] = {}
    for run_id, *row in rows:
        grouped.setdefault(run_id.decode(), []).append(row)
    for run_id, group in grouped.items():
        with suppress(StoreError, ValueError):
            log = _LogRows(run_id, group, own)
            shot = None if log.shot is None else log.whole(log.shot, in_snapshot=True)
            start = 0 if log.shot is None else log.shot.at[1]
            found[run_id] = Loaded(log.info, shot, log.steps(start, log.info.seq))
    return found


class _LogRows:
    """The rows that the statement `log` returned for one run: its facts, steps, long texts and a snapshot.

    Attributes:
        info: The facts about the run.
        shot: The newest snapshot, if the statement asked for one.
    """

    def __init__(self, run_id: str, rows: Iterable[Sequence[Any]], own: Own) -> None:
        self.info: RunInfo
        self.shot: _Entry | None = None
        self._run_id = run_id
        self._parts: list[list[_Entry]] = []
        self._uses: dict[tuple[bool, tuple[str, int]], list[tuple[int, str]]] = {}
        self._texts: dict[str, bytes] = {}
        holders: list[str] = []
        facts: bytes | None = None
        for raw, where, seq, checksum, place, body in rows:
            kind, holder = raw.decode(), where.decode()
            if kind == "n":
                if not holders or holders[-1] != holder:
                    holders.append(holder)
                    self._parts.append([])
                self._parts[-1].append(_Entry((holder, seq), checksum, body))
            elif kind == "f":
                facts = body
            elif kind == "s":
                self.shot = _Entry((holder, seq), checksum, body)
            elif kind == "t":
                self._texts[holder] = body
            else:
                self._uses.setdefault((kind == "v", (holder, seq)), []).append((place, body.decode()))
        if facts is None:
            raise unknown_run(run_id)
        columns = msgspec.json.decode(facts, type=dict[str, Any])
        # in JSON, a time can be a whole number
        times = {name: float(value) for name, value in columns.items() if name.endswith("_at") and value is not None}
        self.info = from_facts(RunRow(driven=columns.pop("is_driven"), **{**columns, **times}), own)

    def whole(self, entry: _Entry, *, in_snapshot: bool = False) -> bytes:
        """Return the complete content of a step or snapshot, after putting its long texts back.

        The checksum of the content is checked.

        Raises:
            ValueError: The row is damaged.
        """
        body, uses = entry.body, self._uses.get((in_snapshot, entry.at))
        if uses is not None:
            body = join(body, self._texts_of(uses))
        run_id, seq = entry.at
        if signed(sum_of(f"{run_id} {seq}", body)) != entry.sum:
            raise ValueError(CHANGED)
        return body

    def _texts_of(self, uses: Sequence[tuple[int, str]]) -> Iterator[tuple[int, bytes]]:
        for place, digest in uses:
            if digest not in self._texts:
                message = f"its text {digest} is missing"
                raise ValueError(message)
            yield place, self._texts[digest]

    def steps(self, after: int, upto: int) -> list[Step]:
        """Return the steps with `after < seq <= upto`. Raises StoreCorrupt if a step is missing or damaged."""
        entries = (entry for part in reversed(self._parts) for entry in part)  # the oldest first
        rows = ((entry.at[1], (entry,)) for entry in entries)
        return checksums.read_steps(self._run_id, rows, self.whole, after, upto)


_IN_INDEX: Final = {
    True: "SELECT w.run FROM run_fields AS w WHERE w.tenant = :tenant::text",
    False: """
    WITH RECURSIVE each_tenant (tenant) AS (
        SELECT min(w.tenant) FROM run_fields AS w
        UNION ALL
        SELECT (SELECT min(w.tenant) FROM run_fields AS w WHERE w.tenant > t.tenant) FROM each_tenant AS t
        WHERE t.tenant IS NOT NULL
    )
    SELECT w.run FROM each_tenant AS t JOIN run_fields AS w ON w.tenant = t.tenant WHERE true
    """,
}
"""The runs that a field finds. The index begins with the tenant, so without one each tenant is searched in turn."""

_WORDS: Final = "(w.named || w.begun || w.tags || w.ended) @@ :query::tsquery OFFSET 0"
"""OFFSET 0 makes the database use the index of words, or read the words of one run, whatever the planner expects."""
_FOUND: Final = f"SELECT w.run FROM run_words AS w WHERE {_WORDS}"  # noqa: S608 - our own texts
_MATCHES: Final = f"EXISTS (SELECT FROM run_words AS w WHERE w.run = f.key AND {_WORDS})"
_NEWEST: Final = 1000
"""How many of the newest runs a search compares one by one; so a common word is found without reading all its runs."""


shared: Final[SharedReads[Connection, Own]] = SharedReads(
    SQL, DIALECT, lambda _, row, own: from_facts(row, own), LARGEST
)


class Lists(RunLists[Connection, Own]):
    """Lists of runs in PostgreSQL."""

    dialect = DIALECT
    shared = shared
    period = "floor(f.created_at / CAST(:every AS float8)) * CAST(:every AS float8)"
    joined = "string_agg(coalesce(f.summary, 'null'), ',')"

    def info(self, connection: Connection, own: Own, run_id: str) -> RunInfo:
        return info(connection, own, run_id)

    def search(self, connection: Connection, page: Mapping[str, Any]) -> Search:
        """Return the SQL conditions that select the runs with the words and field values of a search."""
        del connection
        query = " & ".join(f"'{word}':*" for word in sought_words(page.get("text") or ""))
        conditions, values = list[str](), dict[str, object](query=query)
        source = _IN_INDEX[page.get("tenant") is not None]
        for number, (name, texts) in enumerate((page.get("fields") or {}).items()):
            values |= {f"field_{number}": name, f"values_{number}": list(texts)}
            meant = f"w.field = :field_{number}::text AND w.value = ANY (:values_{number}::text[])"
            conditions.append(f"f.key IN ({source} AND {meant})")
        looked_at = _NEWEST if query and not conditions else 0
        found, matches = (_FOUND, _MATCHES) if query else ("", "")
        return Search(found, matches, " AND ".join(conditions), looked_at, values)


lists: Final = Lists()


def moved(connection: Connection, seqs: Mapping[str, int]) -> list[str]:
    """Return the ids of the runs whose last step is not the given one, and of runs that do not exist."""
    return [run_id for (run_id,) in connection.execute(SQL["moved"], (list(seqs), list(seqs.values()))).fetchall()]


def change_token(connection: Connection) -> str:
    """Return a text that changes with every commit: it describes which transactions of the server have ended."""
    row = connection.execute(SQL["change_token"]).fetchone()
    return "" if row is None else str(row[0])


def due(
    connection: Connection, own: Own, now: float, *, limit: int = 100, graphs: Sequence[str] | None = None
) -> list[RunInfo]:
    """Return the runs that are ready to be resumed at the time `now`; see `Store.due`."""
    if limit <= 0:
        return []
    names = None if graphs is None else [name for name in graphs if is_name(name)]
    keys = [row[0] for row in connection.execute(SQL["due"], (own.id or "", now, clamped(limit), names)).fetchall()]
    if not keys:
        return []
    found = [from_facts(row, own) for row in facts_of(connection, keys)]
    return [each for each in found if each.driver is None]


def message_keys(connection: Connection, run_id: str, newest: int | None = None) -> Mapping[str, int]:
    """Return the keys of a run's messages; see `Store.message_keys`."""
    return dict(reversed(connection.execute(SQL["message_keys"], (known(run_id), newest)).fetchall()))


def owners(connection: Connection, own: Own) -> list[OwnerInfo]:
    """Return the live processes that can drive runs, such as workers; see `Store.owners`."""
    return [
        OwnerInfo(owner, host, pid, from_json(role) if role else None, runs, driven)
        for owner, host, pid, role, driven, runs in connection.execute(SQL["owners"], (own.id,)).fetchall()
    ]


def ended(  # noqa: PLR0913 - the words of `Store.ended`
    connection: Connection,
    own: Own,
    status: Status,
    *,
    graph: str | None = None,
    after: EndedRun | None = None,
    limit: int = PAGE_LIMIT,
) -> list[EndedRun]:
    """Return a page of the ended runs of a store, from which a prune selects runs to remove; see `Store.ended`."""
    created_at, run_id = (math.inf, "") if after is None else (after.created_at, after.id)
    values = {"owner": own.id, "status": status, "graph": graph, "created_at": created_at, "id": run_id}
    rows = connection.execute(SQL["ended"], {**values, "limit": max(clamped(limit), 0)}).fetchall()
    found: list[EndedRun] = []
    for *facts, tags, driver, starter_nonce, nonce in rows:
        facts.extend((tuple(sorted(tags)), driver, starter_nonce, nonce))
        found.append(EndedRun(*facts))
    return found
