"""All writes, as functions of a connection inside a write transaction. Each function first checks, then writes.

The id of a step's row is `key << 32 | seq`, where `key` is the run's number in this database.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from pydantic_core import to_json

from graphengine.databases import sql
from graphengine.databases.checksums import message_place, sum_of
from graphengine.databases.long_texts import MET_BYTES
from graphengine.databases.row_json import read_summary
from graphengine.databases.snapshots import Tail
from graphengine.databases.sql import Claimed
from graphengine.databases.sqlite import texts, words
from graphengine.databases.sqlite.queries import SQL
from graphengine.databases.sqlite.reads import KEY_BITS, SEQ_MASK, Found, find, lineage, shared
from graphengine.databases.statements import keys_with
from graphengine.errors import RunIsDriven, UnknownRun
from graphengine.kernel.store import (
    Summary,
    lease_lost,
    not_dense,
    run_exists,
    step_removed,
    summary_text,
    tree_stopped,
    unknown_run,
    unknown_step,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from graphengine.databases.sqlite.owners import Lease
    from graphengine.kernel.reader import GraphSpec
    from graphengine.kernel.store import Code, RunInfo

_DRIVING: Final = SQL["driving"]
_ADD_STEP: Final = SQL["add_step"]
ADD_NEXT_STEP: Final = SQL["add_next_step"]


def next_step(  # noqa: PLR0913 - what a step is recorded with
    driven: Claimed | Addition,
    run_id: str,
    owner: str,
    status: str | None,
    at: float,
    row_id: int,
    body: bytes,
    short: bytes,
    listed: str | None,
) -> tuple[object, ...]:
    """Return the parameters of the SQL statement `ADD_NEXT_STEP`, which appends a step to a run.

    Args:
        driven: The run or batch, from which the key of the run and its fence are taken.
        run_id: The id of the run.
        owner: The id of the owner that drives the run.
        status: The status that the run must have; None for any.
        at: The time of the step.
        row_id: The id of the step's row.
        body: The complete body of the step.
        short: The body without its long texts.
        listed: The value of the column `texts`, which lists the long texts of the step.
    """
    facts = driven.key, run_id, driven.fence, owner, status, row_id - 1
    return (row_id, at, *facts, short, sum_of(row_id, body), listed)


class Row(Struct, gc=False):
    """The content of a step or snapshot before its long texts are cut out."""

    seq: int
    at: float
    body: bytes


class Addition(sql.Addition[Row], gc=False):
    """A batch of steps for one run, encoded for SQLite, with the changes that belong to the batch.

    Call the object with a connection to write the batch.
    """

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Write the batch; see `append`."""
        append(connection, self)

    def write_alone(self, connection: sqlite3.Connection) -> None:
        """Append the steps of this batch if no other write belongs to the same transaction.

        Then the faster statement of `append_all` can be used.
        """
        if self.rows:
            append_all(connection, (self,))
        else:
            append(connection, self)

    @property
    def has_fields(self) -> bool:
        """Whether the new summary contains searchable fields."""
        return self.summary is not None and '"fields":' in self.summary

    @property
    def changes_status(self) -> bool:
        """Whether the run's row must be changed even if the run's current status is `running`."""
        return self.status != "running" or self.summary is not None


class Post(NamedTuple):
    """A message to a run. The payload is JSON, and the time is in epoch seconds; see `Store.post`."""

    run_id: str
    kind: str
    payload: str
    key: str
    at: float
    alone: str = ""
    nonce: str | None = None


def append(connection: sqlite3.Connection, addition: Addition) -> None:
    """Append steps to the log of a run that this owner drives.

    Raises:
        LeaseLost: The run has another fence or owner.
        StoreError: The steps do not directly follow the log.
    """
    key = addition.key
    row = connection.execute(_DRIVING, (key,)).fetchone()
    if row is None or (row[0], row[1], row[4]) != (addition.fence, addition.owner, addition.run_id):
        raise lease_lost(addition.run_id, addition.fence)
    _, _, status, parent_seq, _, last = row
    expected = (parent_seq if last is None else last & SEQ_MASK) + 1
    if addition.rows and addition.rows[0].seq != expected:
        raise not_dense(addition.run_id, addition.rows[0].seq, expected)
    _add_rows(connection, key, addition.rows)
    _finish(connection, addition, sets_status=status != "running")


def append_all(connection: sqlite3.Connection, additions: Sequence[Addition]) -> None:
    """Append steps to the logs of several runs with one statement.

    Each addition must contain steps. If one addition releases a run, no later addition may belong to the same run. The
    statement checks for each step that the owner still drives the run and that the step directly follows the log. This
    costs half as much as two statements for each addition. If the statement fails, use `append` to find out why.

    Raises:
        sqlite3.IntegrityError: One addition is refused. The caller must roll the transaction back.
    """
    rows: list[tuple[object, ...]] = []
    for each in additions:
        first, status = each.key << KEY_BITS, None if each.changes_status else "running"
        for row in each.rows:
            row_id, body = first | row.seq, row.body
            short, listed = (body, None) if len(body) < MET_BYTES else texts.store(connection, row_id, body)
            rows.append(next_step(each, each.run_id, each.owner, status, row.at, row_id, body, short, listed))
    connection.executemany(ADD_NEXT_STEP, rows)
    for each in additions:
        if (
            each.changes_status
            or each.shot is not None
            or each.consume
            or each.fingerprint is not None
            or each.code is not None
        ):
            _finish(connection, each, sets_status=False)


def _finish(connection: sqlite3.Connection, addition: Addition, *, sets_status: bool) -> None:
    """Write everything of a batch except its steps.

    This is, for example, the new status of the run, the snapshot, and the removal of delivered messages from the inbox.
    """
    key = addition.key
    for message_id in addition.consume:
        connection.execute(SQL["consume"], (message_id, key))
    changes = addition.status != "running" or sets_status or addition.summary is not None
    is_counted = changes and words.has(connection, key)
    if is_counted:
        words.count(connection, (key,), -1)
    end = addition.summary, addition.summary, addition.cost_usd
    if addition.status == "waiting":
        connection.execute(SQL["set_waiting"], (addition.due_at, *end, key))
    elif changes:
        driver = addition.owner if addition.status == "running" else None
        last = addition.rows[-1].at if addition.rows else None
        connection.execute(SQL["set_status"], (addition.status, driver, *end, addition.status, last, key))
    if addition.has_fields:
        _add_fields(connection, key)
    if is_counted:
        words.count(connection, (key,), 1)
        if addition.summary is not None:
            words.changed(connection, key)
    if addition.shot is not None:
        row_id = key << KEY_BITS | addition.shot.seq
        checksum = sum_of(row_id, addition.shot.body)
        body, listed = texts.store(connection, -row_id, addition.shot.body, repeats=True)
        connection.execute(SQL["add_snapshot"], (row_id, body, checksum, listed))
    if addition.fingerprint is not None or addition.code is not None:
        _set_specs(connection, addition)


def _set_specs(connection: sqlite3.Connection, addition: Addition) -> None:
    """Record the graph spec and the code of a run that was resumed with a changed graph.

    The earlier graph spec and code are kept, because earlier steps belong to them.
    """
    key, fingerprint, code = addition.key, addition.fingerprint, addition.code
    if fingerprint is not None:
        connection.execute(SQL["keep_earlier_graph_spec"], (key, fingerprint))
        connection.execute(SQL["set_fingerprint"], (fingerprint, key))
        if addition.graph_spec is not None:
            _keep(connection, "keep_graph_spec", fingerprint, addition.graph_spec)
    if code is not None:
        connection.execute(SQL["keep_earlier_code"], (key, code))
        connection.execute(SQL["set_code"], (code, key))
        if addition.code_body is not None:
            _keep(connection, "keep_code", code, addition.code_body)


def create(  # noqa: PLR0913 - what a new run is recorded with
    connection: sqlite3.Connection,
    info: RunInfo,
    rows: Sequence[Row],
    graph_spec: GraphSpec,
    code_body: Code | None,
    owner: str,
) -> Claimed:
    """Record a new run and its first steps. A branch shares the earlier steps with its parent, so they are not copied.

    A queued run has no driver, and is due from its creation on.

    Raises:
        RunExists: The id is taken.
        UnknownRun: The parent does not exist.
        UnknownStep: The parent does not have the step at which the run branches.
        TreeStopped: The run that starts this child run, or a run above that one, was stopped.
    """
    stop = None if info.starter is None else shared.stop_over(connection, info.starter)
    if stop is not None:
        raise tree_stopped(info.id, stop.run_id)
    parent = None if info.parent is None else _find_parent(connection, info, info.parent)
    parent_seq = 0 if parent is None else info.parent_seq
    due_at = info.due_at if info.status == "waiting" else None
    began_with = "" if info.began_with == info.fingerprint else info.began_with
    began = info.id, info.graph, info.fingerprint, began_with, info.status, info.created_at
    where = due_at, None if parent is None else parent.key, parent_seq, owner
    end = (None, None) if info.summary is None else (summary_text(info.summary), info.summary.cost_usd)
    ended_at = rows[-1].at if rows and info.status not in ("running", "waiting") else None
    named = info.title, info.deploy, info.code, info.nonce
    place = info.queue, info.priority, info.tenant or "", info.user or ""
    added = connection.execute(SQL["add_run"], (*began, *where, *end, ended_at, *named, *place))
    if not added.rowcount:
        raise run_exists(info.id)
    key = added.lastrowid or 0
    if info.starter is not None:
        above = info.starter, info.root, info.depth, info.starter_nonce, info.root_nonce
        connection.execute(SQL["set_starter"], (*above, key))
    if info.queued:
        connection.execute(SQL["enqueue"], (info.created_at, key))
    if connection.execute(SQL["has_graph_spec"], (info.fingerprint,)).fetchone() is None:
        _keep(connection, "keep_graph_spec", info.fingerprint, to_json(graph_spec).decode())
    if code_body is not None:
        _keep(connection, "keep_code", info.code, to_json(code_body).decode())
    for each in info.tags:
        connection.execute(SQL["add_tag"], (each, key))
    if info.summary is not None and info.summary.fields:
        _add_fields(connection, key)
    _add_rows(connection, key, rows)
    words.added(connection, key)
    own = Tail(len(rows), sum(len(row.body) for row in rows))
    seq = rows[-1].seq if rows else parent_seq
    if parent is None:
        return Claimed(key, 0 if info.queued else 1, own)
    connection.execute(SQL["take_keys_over"], (key, parent.key, parent_seq))
    return Claimed(key, 0 if info.queued else 1, tail(connection, key, seq))


def claim(connection: sqlite3.Connection, run_id: str, lease: Lease) -> Claimed:
    """Make this store the driver of a run, unless a live owner drives the run.

    Raises:
        UnknownRun: The run does not exist.
        RunIsDriven: A live owner drives the run. This owner also counts, unless it has released the run and the
            database does not show it yet.
    """
    found = find(connection, run_id)
    if found.driver is not None and not (found.driver == lease.id and (run_id, found.fence) in lease.owed):
        owner = lease.other(connection, found.driver)
        if owner is not None:
            raise RunIsDriven(run_id, str(owner), owner.expires_at)
    lease.register(connection)  # a process suspended past its lease would lose the run again at once
    fence = found.fence + 1
    connection.execute(SQL["set_driver"], (lease.id, fence, found.key))
    return Claimed(found.key, fence, tail(connection, found.key, found.info.seq))


def release(connection: sqlite3.Connection, run_id: str, fence: int, lease: Lease) -> None:
    """Stop driving a run, if its fence has not changed."""
    connection.execute(SQL["release"], (lease.now(), run_id, fence, lease.id))


def post(connection: sqlite3.Connection, message: Post) -> bool:
    """Put a message into a run's inbox unless its key was posted before. Return whether the message is new.

    Raises:
        UnknownRun: The run does not exist.
    """
    found = find(connection, message.run_id)
    if message.nonce not in {None, found.info.nonce}:
        raise unknown_run(message.run_id)
    run = found.key
    if message.alone and connection.execute(SQL["has_messages"], (run, *keys_with(message.alone))).fetchone():
        return False
    facts = run, message.key, message.kind, message.payload, message.at
    place = message_place(run, message.kind, message.key)
    added = connection.execute(SQL["post"], (*facts, sum_of(place, message.payload.encode())))
    if added.rowcount and message.kind != "stop":
        connection.execute(SQL["want"], (message.at, run))
    return bool(added.rowcount)


def append_and_post(connection: sqlite3.Connection, addition: Addition, messages: Sequence[Post]) -> None:
    """Append steps to a run, and post messages to other runs. Messages to runs that do not exist are skipped.

    Raises the same errors as `append`.
    """
    append(connection, addition)
    for message in messages:
        with suppress(UnknownRun):
            post(connection, message)


def tag(connection: sqlite3.Connection, run_id: str, added: Sequence[str], removed: Sequence[str]) -> tuple[str, ...]:
    """Change a run's tags and return them, sorted.

    Raises:
        UnknownRun: The run does not exist.
    """
    key = find(connection, run_id).key
    for each in removed:
        connection.execute(SQL["drop_tag"], (key, each))
    for each in added:
        connection.execute(SQL["add_tag"], (each, key))
    if words.has(connection, key):
        words.changed(connection, key)
    return tuple(sorted(row[0] for row in connection.execute(SQL["tags"], (key,))))


def set_fields(connection: sqlite3.Connection, run: RunInfo, fields: Mapping[str, str]) -> bool:
    """Replace the searchable fields of a run that no process drives.

    Return False, without a change, if a process drives the run or if its status has changed.
    """
    row = connection.execute(SQL["undriven_summary"], (run.id, run.nonce, run.status)).fetchone()
    if row is None:
        return False
    key, summary = row
    connection.execute(
        SQL["set_summary"], (summary_text(replace(read_summary(summary) or Summary(), fields={**fields})), key)
    )
    connection.execute(SQL["drop_fields"], (to_json([key]).decode(),))
    _add_fields(connection, key)
    return True


def _add_fields(connection: sqlite3.Connection, key: int) -> None:
    """Make the fields in a run's summary searchable."""
    connection.execute(SQL["add_fields"], (key,))
    connection.execute(SQL["add_graph_fields"], (key,))


def tail(connection: sqlite3.Connection, key: int, seq: int) -> Tail:
    """Return the number and size of a run's steps after its newest snapshot.

    They decide when the next snapshot is due. Steps that a branch shares with its parents are included.
    """
    rows = row_bytes = shot_bytes = 0
    for part in lineage(connection, key, seq, snapshots=True):
        low = part.low
        if part.shot is not None:
            low = part.shot
            (shot_bytes,) = connection.execute(SQL["snapshot_bytes"], (part.id_of(low),)).fetchone()
        more = connection.execute(SQL["steps_bytes"], (part.id_of(low), part.id_of(part.high))).fetchone()
        rows, row_bytes = rows + more[0], row_bytes + more[1]
    return Tail.of_claimed(rows, row_bytes, shot_bytes)


def _add_rows(connection: sqlite3.Connection, key: int, rows: Sequence[Row]) -> None:
    first = key << KEY_BITS
    parameters: list[tuple[int, float, bytes, int, str | None]] = []
    for row in rows:
        row_id = first | row.seq
        body, listed = texts.store(connection, row_id, row.body, repeats=row.seq == 1)  # the initial state
        parameters.append((row_id, row.at, body, sum_of(row_id, row.body), listed))
    if len(parameters) == 1:
        connection.execute(_ADD_STEP, parameters[0])
    else:
        connection.executemany(_ADD_STEP, parameters)


def _find_parent(connection: sqlite3.Connection, info: RunInfo, parent_id: str) -> Found:
    """Return the parent of a new branch, after checking that the branch can be created.

    The id of the branch must be free, and the parent must have the step after which the branch begins. If both are
    wrong, the error is about the id.
    """
    with suppress(UnknownRun):
        find(connection, info.id)
        raise run_exists(info.id)
    parent = find(connection, parent_id)
    if not 1 <= info.parent_seq <= parent.info.seq:
        raise unknown_step(parent_id, info.parent_seq, parent.info.seq)
    if any(connection.execute(SQL["is_removed"], (parent.key << KEY_BITS | info.parent_seq,))):
        raise step_removed(parent_id, info.parent_seq)
    return parent


def _keep(connection: sqlite3.Connection, statement: str, name: str, body: str) -> None:
    connection.execute(SQL[statement], (name, body, sum_of(name, body.encode())))
