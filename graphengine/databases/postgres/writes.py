"""All writes: each is the call of a function in the database, its parameters, and a function that reads the answer."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from msgspec.structs import replace
from pydantic_core import to_json

from graphengine.databases import sql
from graphengine.databases.checksums import message_place, sum_of
from graphengine.databases.long_texts import cut
from graphengine.databases.postgres.queries import SQL, clamped, known, signed
from graphengine.databases.row_json import read_summary
from graphengine.databases.snapshots import Tail
from graphengine.databases.sql import Claimed, fold_words
from graphengine.databases.statements import keys_with
from graphengine.errors import RunIsDriven
from graphengine.kernel.reader import encode_step
from graphengine.kernel.store import (
    Summary,
    input_text,
    lease_lost,
    not_dense,
    run_exists,
    summary_text,
    tree_stopped,
    unknown_run,
    unknown_step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from graphengine.databases.postgres.sessions import Connection
    from graphengine.errors import StoreError
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import Code, Post, RunInfo

T = TypeVar("T")

_TOKEN_BITS: Final = 63


class Row(NamedTuple):
    """The values of a row for a step or snapshot.

    `body` is the content without the long texts. `texts` contains the long texts, each with the offset at which it was
    cut out.
    """

    seq: int
    at: float
    sum: int
    body: str
    texts: Sequence[tuple[int, bytes]]


@dataclass(slots=True, eq=False)
class Command(Generic[T]):
    """A write to the database other than an append of steps, for example a new run, a claim or a message.

    Attributes:
        run_ids: The ids of the runs whose rows the write locks.
        statement: The SQL statement, which returns one row.
        values: The parameters of the statement.
        read: Converts the row that the statement returned to the result of the write, or raises the error with which
            the write was refused.
        confirm: The parameters of the statement `was_created`, which tells whether an earlier attempt created the run;
            None for writes other than new runs.
        confirmed: Returns the result for a run that an earlier attempt created, given the run's key.
        row: The values of the new run, in the form in which one statement can create many runs; None if the run is too
            complex for that, or if the write creates no run.
    """

    run_ids: Sequence[str]
    statement: bytes
    values: Sequence[Any]
    read: Callable[[Sequence[Any]], T]
    confirm: Sequence[Any] | None = None
    confirmed: Callable[[int], T] | None = None
    row: NewRun | None = None


class NewRun(NamedTuple):
    """The values of a new run that has one step and no parent, tags or long texts.

    One statement can create many such runs.

    Attributes:
        owner: The id of the owner that creates the run.
        fingerprint: The fingerprint of the run's graph.
        graph_spec: The JSON of the graph spec, and its checksum.
        code: Three lists, empty or with one entry: the id, the JSON and the checksum of the code of the graph's nodes.
        columns: The other values, in the order of the statement.
    """

    owner: str
    fingerprint: str
    graph_spec: tuple[str, int | None]
    code: tuple[list[str], list[str], list[int]]
    columns: tuple[Any, ...]


class Addition(sql.Addition[Row]):
    """A batch of steps for one run, encoded for PostgreSQL, with the changes that belong to the batch.

    Such changes are, for example, a new status of the run or messages that the steps deliver.
    """

    @property
    def run_ids(self) -> Sequence[str]:
        return [self.run_id]

    @property
    def is_plain(self) -> bool:
        """Whether the batch can be written by the fast statements for one step: `append_step` or `append_last`."""
        alone = len(self.rows) == 1 and not self.rows[0].texts
        alone = alone and not self.consume and self.shot is None and self.fingerprint is None and self.code is None
        return alone and (self.status == "running" or self.summary is not None)


def row_of(run_id: str, seq: int, at: float, body: bytes) -> Row:
    """Return the row of a step or snapshot. `at` is 0 for a snapshot."""
    is_snapshot = not at
    short, texts = cut(body, repeats=is_snapshot or seq == 1)
    return Row(seq, at, signed(sum_of(f"{run_id} {seq}", body)), short.decode(), texts)


def one_step(addition: Addition) -> tuple[bytes, Sequence[Any]]:
    """Return the SQL statement, with its values, that appends a single step to a run.

    The statement returns whether the step was written.
    """
    (row,) = addition.rows
    if addition.summary is None:
        values = row.seq, row.at, row.sum, row.body, addition.key, addition.fence, addition.owner, row.seq
        return SQL["append_step"], values
    facts = addition.owner, addition.key, addition.fence, row.seq, row.at, row.sum, row.body
    return SQL["append_last"], (
        *facts,
        addition.status,
        addition.due_at,
        addition.summary,
        addition.cost_usd,
        _end_words(addition.summary),
    )


def many_steps(additions: Sequence[Addition]) -> tuple[bytes, Sequence[Any]]:
    """Return the SQL statement, with its values, that appends steps to several runs.

    The statement returns a row for each batch that was refused.
    """
    rows = [(each.key, row) for each in additions for row in each.rows]
    shots = [(each.key, each.shot) for each in additions if each.shot is not None]
    texts = _LongTexts()
    for key, row in rows:
        texts.add(key, row)
    for key, row in shots:
        texts.add(key, row, in_snapshot=True)
    of_specs = (
        (each.key, each.fingerprint, each.graph_spec, _sum_under(each.fingerprint, each.graph_spec))
        for each in additions
        if each.fingerprint is not None
    )
    values = (
        additions[0].owner,
        *_columns(8, map(_facts_of, additions)),
        *_columns(5, ((key, row.seq, row.at, row.sum, row.body) for key, row in rows)),
        *_columns(2, ((each.key, message) for each in additions for message in each.consume)),
        *_columns(4, ((key, row.seq, row.sum, row.body) for key, row in shots)),
        *_columns(4, of_specs),
        *texts.bodies,
        texts.runs,
        texts.seqs,
        texts.places,
        texts.in_snapshots,
        texts.digests,
    )
    codes = [each for each in additions if each.code is not None]
    if not codes:
        return SQL["append"], values
    of_codes = ((each.key, each.code, each.code_body, _sum_under(each.code, each.code_body)) for each in codes)
    return SQL["append_under_codes"], (*values, *_columns(4, of_codes))


def _facts_of(addition: Addition) -> Sequence[Any]:
    seq = addition.rows[0].seq if addition.rows else None
    words = _end_words(addition.summary)
    facts = addition.status, addition.due_at, addition.summary, addition.cost_usd, words
    return addition.key, addition.fence, seq, *facts


def _columns(width: int, rows: Iterable[Sequence[Any]]) -> Sequence[list[Any]]:
    """Convert rows of this width to columns. Without rows, return empty columns."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def many_runs(runs: Sequence[NewRun]) -> tuple[bytes, Sequence[Any]]:
    """Return the SQL statement, with its values, that creates many runs.

    The statement returns a row for each run. A row contains the id of the run, followed by the values that the
    statement `create` returns for a single run.
    """
    graph_specs = {each.fingerprint: each.graph_spec for each in runs}
    places = {fingerprint: place for place, fingerprint in enumerate(graph_specs, 1)}
    bodies = [body for body, _ in graph_specs.values()], [checksum for _, checksum in graph_specs.values()]
    columns = [list(column) for column in zip(*(each.columns for each in runs), strict=True)]
    numbers = [places[each.fingerprint] for each in runs]
    codes = [[one for each in runs for one in each.code[place]] for place in range(3)]
    return SQL["create_many"], (
        runs[0].owner, list(graph_specs), *bodies, numbers, *columns, *codes
    )  # fmt: skip


def refusal(addition: Addition, answer: Sequence[Any]) -> StoreError:
    """Return the error for a batch of steps that the database refused.

    `answer` is the row that the statement returned for this batch: it contains the run's current fence, driver and last
    step.
    """
    _, fence, driver, last, _ = answer
    if fence != addition.fence or driver != addition.owner or last is None:
        return lease_lost(addition.run_id, addition.fence)
    return not_dense(addition.run_id, addition.rows[0].seq if addition.rows else 0, last + 1)


def were_written(addition: Addition) -> tuple[bytes, Sequence[Any]]:
    """Return the statement that counts how many steps of a batch are recorded with the same content."""
    rows = addition.rows
    lists = [row.seq for row in rows], [row.at for row in rows], [row.sum for row in rows]
    return SQL["written"], (*lists, addition.key)


def is_repeated(addition: Addition, answer: Sequence[Any]) -> bool:
    """Return whether an earlier attempt of a batch without steps released the run with the same status."""
    _, fence, driver, _, status = answer
    return (fence, driver, status) == (addition.fence, None, addition.status) and addition.status != "running"


def create(  # noqa: PLR0913 - what a new run is recorded with
    info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Code | None, owner: str, channel: str
) -> Command[Claimed]:
    """Return the write that creates a run.

    If the run is queued, the write also announces the run to workers of other processes.
    """
    texts = _LongTexts()
    rows, row_bytes = sql.rows_of(
        partial(row_of, info.id), info.id, steps, 1 if info.parent is None else info.parent_seq + 1
    )
    for row in rows:
        texts.add(0, row)
    body = to_json(graph_spec).decode()
    code = _code_columns(info.code, code_body)
    summary = None if info.summary is None else summary_text(info.summary)
    input_words = input_text(steps[0] if steps else None)
    words = fold_words([info.id, info.graph]), input_words, _end_words(summary) or ""
    facts: dict[str, JsonValue] = {
        "title": info.title,
        "user": info.user or "",
        "starter": info.starter,
        "root": info.root,
    }
    facts |= {
        "root": info.root,
        "depth": info.depth,
        "deploy": info.deploy,
        "began_with": info.began_with,
        "code": info.code,
        "nonce": info.nonce,
        "starter_nonce": info.starter_nonce,
        "root_nonce": info.root_nonce,
    }
    facts |= {} if info.summary is None else {"cost_usd": info.summary.cost_usd}
    begun_as = to_json({name: fact for name, fact in facts.items() if fact not in (None, "")}).decode()
    in_queue = info.queue, info.priority, info.tenant or "", summary, info.queued, channel, begun_as
    values = (
        owner,
        secrets.randbits(_TOKEN_BITS),
        info.id,
        info.graph,
        info.fingerprint,
        body,
        _sum_under(info.fingerprint, body),
        info.status,
        info.created_at,
        info.due_at,
        None if info.parent is None else known(info.parent),
        0 if info.parent is None else clamped(info.parent_seq),
        list(info.tags),
        [fold_words([each]) for each in info.tags],
        *words,
        [row.seq for row in rows],
        [row.at for row in rows],
        [row.sum for row in rows],
        [row.body for row in rows],
        *texts.bodies,
        texts.seqs,
        texts.places,
        texts.digests,
        *in_queue,
        *code,
    )

    def read(answer: Sequence[Any]) -> Claimed:
        outcome, key, fence, *tail = answer
        if outcome.startswith("stopped "):
            raise tree_stopped(info.id, outcome.removeprefix("stopped "))
        if outcome == "exists":
            raise run_exists(info.id)
        if outcome == "no_parent":
            raise unknown_run(str(info.parent))
        if outcome == "no_step":
            raise unknown_step(str(info.parent), info.parent_seq, fence)
        if info.queued:
            return Claimed(key, 0, Tail())
        if info.parent is None and tail[0] is None:
            return Claimed(key, fence, Tail(len(rows), row_bytes))
        return Claimed(key, fence, tail_of(tail))

    # 1. The call is committed, and its answer lost. 2. A worker takes the run, and its token replaces that of this
    # call. 3. The call is repeated: only the time and the first step show that it created the run.
    fence = 0 if info.queued else 1
    first = [(row.seq, row.at, row.sum) for row in rows[:1]]
    confirm = (info.id, info.created_at, info.fingerprint, fence, *first[0]) if first else None

    def confirmed(key: int) -> Claimed:
        return Claimed(key, fence, Tail())

    call = Command([info.id], SQL["create"], values, read, confirm, confirmed)
    call.row = _new_run(values, info, rows, (words, in_queue), code)
    return call


def _new_run(
    values: Sequence[Any],
    info: RunInfo,
    rows: Sequence[Row],
    more: tuple[Sequence[Any], Sequence[Any]],
    code: tuple[list[str], list[str], list[int]],
) -> NewRun | None:
    if info.parent is not None or info.tags or len(rows) != 1 or rows[0].texts:
        return None
    owner, token, _, _, fingerprint, body, checksum, *_ = values
    facts = token, info.id, info.graph, info.status, info.created_at, info.due_at
    step = rows[0].seq, rows[0].at, rows[0].sum, rows[0].body
    words, in_queue = more
    return NewRun(owner, fingerprint, (body, checksum), code, (*facts, *words, *step, *in_queue))


def claim(run_id: str, owner: str, owed: Collection[int]) -> Command[Claimed]:
    """Return the write that makes this owner the driver of a run.

    `owed` contains the fences of earlier claims by which this owner has driven the run. The owner has given these
    claims up, but the database may still show one of them. Such a claim does not keep the owner from claiming the run
    again.
    """
    values = owner, secrets.randbits(_TOKEN_BITS), known(run_id), list(owed)

    def read(answer: Sequence[Any]) -> Claimed:
        key, fence, driven_by, until, *tail = answer
        if key is None:
            raise unknown_run(run_id)
        if driven_by is not None:
            raise RunIsDriven(run_id, driven_by, until)
        return Claimed(key, fence, tail_of(tail))

    return Command([run_id], SQL["claim"], values, read)


def release(run_id: str, fence: int, owner: str, channel: str) -> Command[None]:
    """Return the write that releases a run if its fence has not changed."""
    return Command([run_id], SQL["release"], (owner, known(run_id), clamped(fence), channel), lambda _: None)


def post(message: Post, channel: str, alone: str = "") -> Command[bool]:
    """Return the write that puts a message into the inbox of a run; see `Store.post`.

    `alone` is a prefix of keys: the message is ignored if a message with such a key was posted to the run before.
    `channel` is the channel on which the message is announced to other processes.
    """
    run_id, kind, payload, key, nonce = message
    body = to_json(payload)
    checksum = signed(sum_of(message_place(known(run_id), kind, key), body))
    facts = known(run_id), key, kind, body.decode(), checksum

    def read(answer: Sequence[Any]) -> bool:
        is_known, is_new = answer
        if not is_known:
            raise unknown_run(run_id)
        return bool(is_new)

    parameters = secrets.randbits(_TOKEN_BITS), channel, *facts
    if alone:
        return Command([run_id], SQL["post_alone"], (*parameters, *keys_with(alone), nonce), read)
    if nonce is not None:
        return Command([run_id], SQL["post_to"], (*parameters, nonce), read)
    return Command([run_id], SQL["post"], parameters, read)


def tag(run_id: str, added: Iterable[str], removed: Iterable[str]) -> Command[tuple[str, ...]]:
    def read(answer: Sequence[Any]) -> tuple[str, ...]:
        is_known, tags = answer
        if not is_known:
            raise unknown_run(run_id)
        return tuple(sorted(tags))

    added = list(added)
    return Command(
        [run_id], SQL["tag"], (known(run_id), added, [fold_words([each]) for each in added], list(removed)), read
    )


def set_fields(connection: Connection, run: RunInfo, fields: Mapping[str, str]) -> bool:
    """Replace the searchable fields of a run that no process drives.

    Return False, without a change, if a process drives the run or has changed it.
    """
    row = connection.execute(SQL["undriven_summary"], (known(run.id), run.nonce, run.status)).fetchone()
    if row is None:
        return False
    key, summary = row
    text = summary_text(replace(read_summary(summary) or Summary(), fields={**fields}))
    return connection.execute(SQL["set_summary"], (text, key, summary)).fetchone() is not None


def new_token() -> int:
    """Return a random number by which a repeated call finds what its first attempt has written."""
    return secrets.randbits(_TOKEN_BITS)


class _LongTexts:
    """Collects the long texts of several rows as parameters of SQL statements.

    PostgreSQL receives them as lists of equal length, one list for each column.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, str] = {}
        self.runs: list[int] = []
        self.seqs: list[int] = []
        self.places: list[int] = []
        self.in_snapshots: list[bool] = []
        self.digests: list[bytes] = []

    @property
    def bodies(self) -> tuple[list[bytes], list[str]]:
        """The digests of the texts, and the texts. Each text is listed once."""
        return list(self._found), list(self._found.values())

    def add(self, key: int, row: Row, *, in_snapshot: bool = False) -> None:
        for place, text in row.texts:
            digest = hashlib.sha256(text).digest()
            self._found[digest] = text.decode()
            self.runs.append(key)
            self.seqs.append(row.seq)
            self.places.append(place)
            self.in_snapshots.append(in_snapshot)
            self.digests.append(digest)


def texts_of(addition: Addition) -> tuple[tuple[list[bytes], list[str]], Sequence[Sequence[Any]]]:
    """Return the long texts of a batch of steps, in the form of parameters of SQL statements.

    The first part of the result contains the texts and their digests. The second part contains the places in the steps
    from which the texts were cut out.
    """
    texts = _LongTexts()
    for row in addition.rows:
        texts.add(addition.key, row)
    return texts.bodies, (texts.runs, texts.seqs, texts.places, texts.in_snapshots, texts.digests)


def replace_steps(connection: Connection, run_id: str, key: int, steps: Sequence[Step], before: int) -> None:
    """Overwrite old steps of a run with the given steps, which have the same numbers.

    The snapshots of the run before step `before` are deleted. The statements run inside the caller's transaction.
    """
    rows = [row_of(run_id, step.seq, 0.0, encode_step(step)) for step in steps]
    columns = [row.seq for row in rows], [row.sum for row in rows], [row.body for row in rows]
    connection.execute(SQL["replace_steps"], (key, *columns, before))
    texts = _LongTexts()
    for row in rows:
        texts.add(key, row)
    if texts.digests:
        uses = texts.runs, texts.seqs, texts.places, texts.in_snapshots, texts.digests
        connection.execute(SQL["keep_texts"], (*texts.bodies, *uses))


def _end_words(summary: str | None) -> str | None:
    """Return the searchable words of what a run waits for or why it ended; None if the summary did not change."""
    kept = read_summary(summary)
    return None if kept is None else fold_words([kept.reason])


def _code_columns(code: str, body: Code | None) -> tuple[list[str], list[str], list[int]]:
    if body is None:
        return [], [], []
    text = to_json(body)
    return [code], [text.decode()], [signed(sum_of(code, text))]


def _sum_under(name: str | None, body: str | None) -> int | None:
    return None if body is None or name is None else signed(sum_of(name, body.encode()))


def tail_of(found: Sequence[int]) -> Tail:
    """Return the size of the steps since the last snapshot, from the columns of `tail`."""
    rows, row_bytes, shot_bytes = found
    return Tail.of_claimed(rows, row_bytes, shot_bytes)
