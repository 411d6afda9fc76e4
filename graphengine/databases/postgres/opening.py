"""Opening a database: checks of its schema, and migrations to the current format.

The table `meta` contains two numbers: the format, which is the number of the last migration, and the oldest format
whose code can still use the schema. So workers of an older version can continue after the first worker of a newer
version has migrated the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.databases.postgres.queries import FIRST, OLDEST, SQL, latest_format, migration
from graphengine.databases.refusals import too_old
from graphengine.errors import (
    StoreForbidden,
    StoreMissing,
    StoreNotADatabase,
    StoreNotSupported,
    StoreReadOnly,
    StoreTooNew,
)

if TYPE_CHECKING:
    from graphengine.databases.addresses import Address
    from graphengine.databases.postgres.sessions import Connection

OLDEST_READ: Final = latest_format()
"""The oldest format that can be read without a migration."""

_OLDEST_SERVER: Final = 130_000
_HERE: Final = "SELECT set_config('search_path', %s, true)"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def prepare(connection: Connection, address: Address) -> None:
    """Check the schema, and create it or migrate it to this version in one transaction.

    Raises:
        StoreNotSupported: The server is too old, or the database does not use UTF-8.
        StoreNotADatabase: The schema belongs to another application.
        StoreTooNew: A newer version has migrated the schema, and this version cannot use it.
        StoreTooOld: A development version created the schema.
        StoreReadOnly: The server is a standby.
        psycopg.Error: The server refuses.
    """
    _check_server(connection, address)
    upto = latest_format()
    if format_of(connection, address) >= upto:
        _check_writable(connection, address)
        return
    with connection.transaction():
        connection.execute(_LOCK, (f"graphengine {address.schema}",))
        connection.execute(_HERE, (address.quoted,))  # a pooler may have assigned another session
        _check_writable(connection, address)
        version = format_of(connection, address)  # another process may have migrated the schema meanwhile
        if version == 0 and not _count(connection, "schema_exists", address.schema):
            connection.execute(f"CREATE SCHEMA {address.quoted}".encode())
        for number in range(max(version + 1, FIRST), upto + 1):
            connection.execute(migration(number))
        if version < upto:
            connection.execute("DELETE FROM meta")
            connection.execute("INSERT INTO meta (format, oldest) VALUES (%s, %s)", (upto, OLDEST))


def check_readable(connection: Connection, address: Address) -> None:
    """Check that this version can read the schema without migrating it.

    Raises:
        StoreMissing: The schema does not exist.
        StoreReadOnly: The schema must be migrated first.
        StoreNotSupported, StoreNotADatabase, StoreTooNew, StoreTooOld: As in `prepare`.
    """
    _check_server(connection, address)
    version = format_of(connection, address)
    if version == 0:
        message = f"there is no schema {address.schema!r} of graphengine in the database"
        raise StoreMissing(message, where=address.shown, repair="check the address; the first run creates the schema")
    if version < OLDEST_READ:
        message = (
            f"the schema has format {version}, which must be updated to format {latest_format()} before it is read"
        )
        raise StoreReadOnly(
            message, where=address.shown, repair="open the database once with write access: `graphengine run` does"
        )


def format_of(connection: Connection, address: Address) -> int:
    """Return the format of the schema; 0 if the schema does not exist or is empty.

    Raises:
        StoreNotADatabase: The schema belongs to another application.
        StoreTooNew: A newer version has migrated the schema, and this version cannot use it.
        StoreTooOld: A development version created the schema.
    """
    row = connection.execute("SELECT to_regclass(%s)", (f"{address.quoted}.meta",)).fetchone()
    if row is None or row[0] is None:
        if _count(connection, "tables", address.schema):
            message = f"the schema {address.schema!r} of the database belongs to another application"
            raise StoreNotADatabase(message, where=address.shown, repair="name another schema: ?schema=NAME")
        return 0
    version, oldest = _formats(connection)
    if min(version, oldest) > latest_format():
        raise _too_new(version, address)
    if version < FIRST:
        repair = "use another schema, ?schema=NAME, or drop this one"
        raise too_old("schema", version, FIRST, address.shown, repair)
    return version


def refuse_newer(connection: Connection, address: Address) -> None:
    """Raise StoreTooNew if a newer version has migrated the schema, even if this version could still use it."""
    version, _ = _formats(connection)
    if version > latest_format():
        raise _too_new(version, address)


def _formats(connection: Connection) -> tuple[int, int]:
    version, oldest = connection.execute(SQL["format"]).fetchone() or (0, 0)
    return int(version), int(oldest)


def _too_new(version: int, address: Address) -> StoreTooNew:
    message = f"the schema has format {version}; this version of graphengine works with formats up to {latest_format()}"
    return StoreTooNew(message, where=address.shown, repair="update graphengine, or use another schema: ?schema=NAME")


def _count(connection: Connection, statement: str, schema: str) -> int:
    row = connection.execute(SQL[statement], (schema,)).fetchone()
    return 0 if row is None else int(row[0])


def _check_server(connection: Connection, address: Address) -> None:
    if connection.info.server_version < _OLDEST_SERVER:
        message = f"the server runs PostgreSQL {connection.info.server_version // 10_000}, which is too old"
        raise StoreNotSupported(message, where=address.shown, repair="use PostgreSQL 13 or newer")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        message = f"the database has the encoding {encoding}, which cannot represent every text of a run"
        raise StoreNotSupported(message, where=address.shown, repair="create it with: createdb --encoding=UTF8 NAME")


def _check_writable(connection: Connection, address: Address) -> None:
    """Raise an error if the database can only be read, or if this user may not use the schema.

    So the user learns about it when the store is opened, and not when a run records its first step.
    """
    row = connection.execute("SELECT pg_is_in_recovery(), current_setting('transaction_read_only')").fetchone()
    if row is not None and (row[0] or row[1] == "on"):
        what = "is a standby, which can only be read" if row[0] else "only allows reading"
        raise StoreReadOnly(
            f"the database {what}",
            where=address.shown,
            repair="use the address of the primary server, or name several hosts with ?target_session_attrs=read-write",
        )
    row = connection.execute(
        "SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace AS n WHERE n.nspname = %s",
        (address.schema,),
    ).fetchone()
    if row is not None and not row[1]:
        raise StoreForbidden(
            f"this user has no right to use the schema {address.schema!r}",
            where=address.shown,
            repair=f"as its owner: GRANT USAGE ON SCHEMA {address.schema} TO the user, and ALL on all tables in it",
        )
