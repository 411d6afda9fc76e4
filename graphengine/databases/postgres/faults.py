"""Translates errors of psycopg, the PostgreSQL driver, to one class of `StoreError` for each cause.

The new errors contain the address, the way to repair the cause, and the message of the driver or server without
passwords.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

import psycopg

from graphengine.databases.addresses import secrets_of
from graphengine.databases.refusals import Meaning
from graphengine.errors import (
    StoreAltered,
    StoreCorrupt,
    StoreError,
    StoreForbidden,
    StoreFull,
    StoreLocked,
    StoreMissing,
    StoreNotSupported,
    StoreReadOnly,
    StoreUnreachable,
)

if TYPE_CHECKING:
    from graphengine.databases.addresses import Address


_UNREACHABLE: Final = Meaning(
    StoreUnreachable,
    "the database server cannot be reached",
    "check that the server runs, and check the host and port in the address; interrupted runs can be resumed",
)
_WRONG_PASSWORD: Final = Meaning(
    StoreForbidden,
    "the database server refuses this user",
    "check the user and the password: PGPASSWORD, a passfile, or the address; the server's pg_hba.conf decides",
)
_NO_RIGHT: Final = Meaning(
    StoreForbidden,
    "this user has no right to do that in the database",
    "open the database once as the owner of the schema, who creates and migrates all its tables and needs CREATE on "
    "the database for that; as the owner, GRANT other users USAGE on the schema, and ALL on all tables in it",
)
_NO_DATABASE: Final = Meaning(
    StoreMissing, "there is no such database on the server", "create it with `createdb`, or check the address"
)
_READ_ONLY: Final = Meaning(
    StoreReadOnly,
    "the database only allows reading: it is a standby, or set to read-only",
    "use the address of the primary server, or name several hosts with ?target_session_attrs=read-write",
)
_FULL: Final = Meaning(
    StoreFull,
    "the disk of the database server is full",
    "free some space, then resume the run; every step recorded so far is safe",
)
_LOCKED: Final = Meaning(
    StoreLocked, "another session held a lock in the database for too long", "end that session, then try again"
)
_CANCELLED: Final = Meaning(
    StoreLocked,
    "the server cancelled the statement, because it took longer than statement_timeout or somebody cancelled it",
    "give this role more time: ALTER ROLE … SET statement_timeout = '1min'; if the statement waited for a lock, end "
    "the session that holds the lock",
)
_ENDED_SESSION: Final = Meaning(
    StoreUnreachable,
    "the server ended the session again and again, because of a time limit",
    "raise the limit that the message names: ALTER ROLE … SET transaction_timeout = '1min', or "
    "idle_in_transaction_session_timeout or idle_session_timeout; runs that were interrupted can be resumed",
)
_CROWDED: Final = Meaning(
    StoreUnreachable,
    "the server accepts no more sessions",
    "end some sessions (a process uses 2 to 6), or raise max_connections, or CONNECTION LIMIT of the role or the "
    "database; interrupted runs can be resumed",
)
_CORRUPT: Final = Meaning(StoreCorrupt, "the database is damaged", "restore a backup")
_ALTERED: Final = Meaning(
    StoreAltered,
    "a table or function of graphengine is missing from the schema or was changed",
    "restore a backup, or use another schema: ?schema=NAME",
)
_POOLED: Final = Meaning(
    StoreNotSupported,
    "a pooler between this process and the database does not keep a session for each client",
    "connect directly, or set pool_mode = session for this database in the pooler, and leave ?options= out",
)
_BEHIND: Final = Meaning(
    StoreError,
    "the database gave a new row a number that is in use, because its sequences are behind its rows, as after a "
    "switch-over by logical replication",
    "as the owner of the schema: `graphengine doctor --repair` moves the sequences",
)
_ALONE: Final = Meaning(
    StoreNotSupported,
    "the server gave this process only one session, but it needs at least two",
    "raise max_connections (a process uses 2 to 6 sessions), or CONNECTION LIMIT of the role or the database; a "
    "server with one session, such as PGlite, cannot be used",
)
_OTHER: Final = Meaning(StoreError, "the database operation failed", "the server's log says more")

_MEANINGS: Final = {
    "23505": _BEHIND,
    "25006": _READ_ONLY,
    "28": _WRONG_PASSWORD,
    "3D": _NO_DATABASE,
    "42501": _NO_RIGHT,
    "42": _ALTERED,
    "53100": _FULL,
    "55P03": _LOCKED,
    "57014": _CANCELLED,
    "25P03": _ENDED_SESSION,
    "25P04": _ENDED_SESSION,
    "57P05": _ENDED_SESSION,
    "53300": _CROWDED,
    "08": _UNREACHABLE,
    "53": _UNREACHABLE,
    "57": _UNREACHABLE,
    "XX": _CORRUPT,
}
"""Meanings by error code, or by the class of error codes: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_WORDS: Final = {
    "password authentication failed": _WRONG_PASSWORD,
    "no password supplied": _WRONG_PASSWORD,
    "authentication failed": _WRONG_PASSWORD,
    "no pg_hba.conf entry": _WRONG_PASSWORD,
    "role ": _WRONG_PASSWORD,
    "database ": _NO_DATABASE,
    "permission denied for database": _NO_RIGHT,
    "unsupported startup parameter": _POOLED,
    "too many clients": _CROWDED,
    "too many connections": _CROWDED,
    "remaining connection slots": _CROWDED,
    "session is read-only": _READ_ONLY,
    "session is not read-only": _READ_ONLY,
}
"""Meanings by words in the message. libpq reports failed connections without a code, in the language of the server."""

_STARTING: Final = ("the database system is starting up", "the database system is not yet accepting connections")

_AGAIN: Final = frozenset({"40001", "40P01"})
"""The server undid the transaction to resolve a conflict. It can be repeated at once."""

_ENDED: Final = frozenset({"25P03", "25P04", "57P01", "57P02", "57P03", "57P05", "53300"})
"""The server ended the session, or refuses new sessions for now."""

_MEDIUM: Final = ("08", "25", "28", "3D", "42501", "53", "54", "55", "57", "58", "F0", "XX")
"""Error codes and classes of codes that concern the whole server, and not just the values of one statement."""


def is_lost(error: Exception) -> bool:
    """Return whether an error means that the connection to the server was lost.

    After such an error it is unknown whether the server has executed the statement. The caller can repeat the statement
    on a new connection.
    """
    code = getattr(error, "sqlstate", None) or ""
    if isinstance(error, OSError) or code[:2] == "08" or code in _ENDED:
        return True
    return isinstance(error, psycopg.InterfaceError | psycopg.OperationalError) and not code


def has_become_read_only(error: Exception) -> bool:
    """Return whether the server refused a write because it accepts only reads. Then nothing was written."""
    return getattr(error, "sqlstate", None) == "25006"


def is_starting(error: Exception) -> bool:
    """Return whether the server refused a connection because it is still starting."""
    text = str(error)
    return is_lost(error) and any(words in text for words in _STARTING)


def is_undone(error: Exception) -> bool:
    """Return whether the server undid the transaction to resolve a conflict with another transaction."""
    return getattr(error, "sqlstate", None) in _AGAIN


def is_of_the_medium(error: Exception) -> bool:
    """Return whether an error concerns the server as a whole, and not just the values of one statement."""
    code = getattr(error, "sqlstate", None) or ""
    return is_lost(error) or is_undone(error) or code.startswith(_MEDIUM)


def explain(error: Exception, address: Address) -> StoreError:
    if isinstance(error, StoreError):
        return copy(error)  # several callers get the same error
    meaning = _explain_sqlstate(error)
    found = meaning.explained(words_of(error, address), address.shown)
    # The driver's error is not set as the cause, because a traceback would print its message with the password.
    found.__suppress_context__ = True
    return found


def alone(error: Exception, address: Address) -> StoreError:
    """Return the error for a server that gave this process one session and refused a second one."""
    return _ALONE.explained(words_of(error, address), address.shown)


def pooled(address: Address) -> StoreError:
    """Return the error for a connection pooler that sends a client's statements to the session of another client."""
    return _POOLED.explained("its mode is transaction or statement, or it resets no session", address.shown)


def words_of(error: Exception, address: Address) -> str:
    """Return the message of a database error on one line, without passwords and without the SQL statement."""
    text = str(error).partition("\nCONTEXT:")[0]
    for secret in secrets_of(address):
        text = text.replace(secret, "…")
    return " ".join(line.strip() for line in text.splitlines() if line.strip()) or type(error).__name__


def _explain_sqlstate(error: Exception) -> Meaning:
    code = getattr(error, "sqlstate", None) or ""
    if code:
        return _MEANINGS.get(code) or _MEANINGS.get(code[:2]) or _OTHER
    text = str(error)
    if "FATAL" in text or "no password" in text or "session is" in text:
        for words, meaning in _WORDS.items():
            if words in text and (not words.endswith(" ") or "does not exist" in text):
                return meaning
    return _UNREACHABLE if is_lost(error) else _OTHER
