"""The reads that differ between the databases only in the SQL dialect of their statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

from graphengine.databases import checksums
from graphengine.databases.checksums import message_place
from graphengine.kernel.inside import is_name
from graphengine.kernel.store import InboxMessage, StopOver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.databases.statements import Dialect
    from graphengine.kernel.reader import GraphSpec
    from graphengine.kernel.store import Code, RunInfo


class Connection(Protocol):
    def execute(self, statement: Any, values: Any = ..., /) -> Any:  # noqa: ANN401 - of either driver
        """Run a statement, and return a cursor with the rows of its result."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=Connection)
OwnT = TypeVar("OwnT")


_LAST_CHARACTER: Final = "\U0010ffff"


class _MessageRow(NamedTuple):
    id: int
    run_id: str
    kind: str
    payload: Any
    sum: int
    run: int | str
    """What its checksum knows the run by."""
    key: str


@dataclass(frozen=True)
class SharedReads(Generic[ConnectionT, OwnT]):
    """Reads of runs, messages and graph specs that both databases have in common.

    Attributes:
        sql: The statements by name.
        dialect: The SQL dialect of the database.
        run: Converts a row of `run_facts` to the facts about a run.
        most: The largest number that the database accepts in a LIMIT clause.
    """

    sql: Mapping[str, Any]
    dialect: Dialect[ConnectionT]
    run: Callable[[ConnectionT, Sequence[Any], OwnT], RunInfo]
    most: int

    def rows(self, connection: ConnectionT, statement: str) -> list[Sequence[Any]]:
        found: list[Sequence[Any]] = connection.execute(self.sql[statement]).fetchall()
        return found

    def ids(self, connection: ConnectionT, prefix: str, *, limit: int = 50) -> list[str]:
        """Return the ids of runs that begin with a prefix, sorted."""
        if not is_name(prefix):
            return []
        values = {"prefix": prefix, "end": prefix + _LAST_CHARACTER, "limit": min(max(limit, 0), self.most)}
        return [run_id for (run_id,) in connection.execute(self.sql["ids"], values).fetchall()]

    def infos(self, connection: ConnectionT, own: OwnT, run_ids: Sequence[str]) -> list[RunInfo]:
        """Return the facts about each of these runs that exists."""
        return self._runs(connection, own, "infos", list(dict.fromkeys(run_ids)))

    def branches(self, connection: ConnectionT, own: OwnT, run_ids: Sequence[str]) -> list[RunInfo]:
        """Return the runs that were branched directly from these runs; see `Store.branches`."""
        return self._runs(connection, own, "branches", run_ids)

    def started(self, connection: ConnectionT, own: OwnT, run_ids: Sequence[str]) -> list[RunInfo]:
        """Return the child runs that nodes of these runs started; see `Store.started`."""
        return self._runs(connection, own, "started", run_ids)

    def _runs(self, connection: ConnectionT, own: OwnT, statement: str, run_ids: Sequence[str]) -> list[RunInfo]:
        rows = connection.execute(self.sql[statement], {"ids": self.dialect.listed(run_ids)}).fetchall()
        return [self.run(connection, row, own) for row in rows]

    def stop_over(self, connection: ConnectionT, run_id: str) -> StopOver | None:
        """Return a stop that applies to a run; see `Store.stop_over`."""
        row = connection.execute(self.sql["stop_over"], (_id_or_none(run_id),)).fetchone()
        return None if row is None else StopOver(*row)

    def graph_spec(self, connection: ConnectionT, fingerprint: str) -> GraphSpec | None:
        """Return the recorded spec of a graph, given the fingerprint of the graph.

        Raises:
            StoreCorrupt: The row is damaged.
        """
        row = connection.execute(self.sql["graph_spec"], (_id_or_none(fingerprint),)).fetchone()
        return (
            None
            if row is None
            else checksums.read_object(f"the graph spec of graph {fingerprint}", fingerprint, _in_bytes(row[0]), row[1])
        )

    def code(self, connection: ConnectionT, code: str) -> Code | None:
        """Return what is recorded about the code of a graph's nodes, given its id; None if nothing is recorded.

        Raises:
            StoreCorrupt: The row is damaged.
        """
        row = connection.execute(self.sql["code"], (_id_or_none(code),)).fetchone()
        return None if row is None else checksums.read_object(f"the code {code}", code, _in_bytes(row[0]), row[1])

    def inbox(self, connection: ConnectionT, run_ids: Sequence[str]) -> list[InboxMessage]:
        """Return the messages of these runs that are not delivered yet, the oldest message first.

        Raises:
            StoreCorrupt: A message is damaged.
        """
        found: list[InboxMessage] = []
        for each in map(
            _MessageRow._make, connection.execute(self.sql["inbox"], (self.dialect.listed(run_ids),)).fetchall()
        ):
            what, place = f"message {each.id} to run {each.run_id}", message_place(each.run, each.kind, each.key)
            value = checksums.read_json(what, place, _in_bytes(each.payload), each.sum)
            found.append(InboxMessage(each.id, each.run_id, each.kind, value))
        return found


def _id_or_none(name: str) -> str:
    """Return an id if the database can store it, otherwise "", which is no run's id, so that a search finds nothing."""
    return name if is_name(name) else ""


def _in_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


__all__ = ["SharedReads"]
