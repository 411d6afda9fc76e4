"""Addresses of databases: a path names a SQLite file, `postgresql://…` names a PostgreSQL database.

An address can contain a password, and a mistyped address can contain the password in any place. So messages show an
address only without its password, and show no part of an address that is not valid.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from graphengine.errors import StoreNotSupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

SCHEMA: Final = "graphengine"
"""The schema of a PostgreSQL database that contains the runs, unless the address names another schema."""

# A `Path` drops one of the two slashes. A single letter before the colon is a Windows drive.
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/(/?)")
_POSTGRES: Final = ("postgresql", "postgres")
_LIKE_ADDRESS: Final = re.compile(r"^postgres(ql)?:|\bpassword\s*=", re.IGNORECASE)
"""Beginnings of mistyped addresses, and of libpq's other form `host=… password=…`, that no sensible path contains."""
_NAMED: Final = re.compile(r"[^\s:]{2}:")
_VARIABLE: Final = re.compile(r"\$(\w+|\{\w+\})")
_EXAMPLE: Final = "postgresql://user@host:5432/database"

_HOST: Final = re.compile(r"([A-Za-z0-9._\-]*|\[[0-9A-Fa-f:.%]+\]|(?:%2[Ff])[^@/?#:\s]*)(:\d{0,5})?")
_USER: Final = re.compile(r"[^:@/?#\[\]\s]*")
_NAME: Final = re.compile(r"[^@/?#:\s]*")
_SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,49}")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_SECRETS: Final = frozenset({"password", "sslpassword"})
_OPTIONS: Final = frozenset(
    [
        "application_name",
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "dbname",
        "gssdelegation",
        "gssencmode",
        "gsslib",
        "host",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "options",
        "passfile",
        "password",
        "port",
        "require_auth",
        "requirepeer",
        "service",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcertmode",
        "sslcompression",
        "sslcrl",
        "sslcrldir",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "sslsni",
        "target_session_attrs",
        "tcp_user_timeout",
        "user",
    ]
)
"""The options that libpq knows; see https://www.postgresql.org/docs/current/libpq-connect.html."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a PostgreSQL database.

    Attributes:
        url: The address for the driver, with the password.
        schema: The database schema that contains the runs.
        shown: The address without passwords, for messages.
    """

    url: str
    schema: str
    shown: str

    @property
    def quoted(self) -> str:
        """The schema's name in double quotes, as SQL needs it if the name is also an SQL keyword."""
        return f'"{self.schema}"'

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def __str__(self) -> str:
        return self.shown


def scheme_of(location: str | PathLike[str]) -> str:
    """Return the scheme of an address, the part before `://`; "" for the path of a file.

    Example:
        >>> scheme_of("postgresql://db.example/runs"), scheme_of("runs.db"), scheme_of("C:/runs.db")
        ('postgresql', '', '')
    """
    found = _ADDRESS.match(os.fsdecode(location))
    return "" if found is None or (isinstance(location, str) and not found[2]) else found[1]


def _is_like_address(text: str) -> bool:
    """Return whether a text may be a mistyped address with a password: it contains `NAME:…@` or `_LIKE_ADDRESS`."""
    before_at = (part for name in re.split(r"[/\\]", text) for part in name.split("@")[:-1])
    return any(map(_NAMED.search, before_at)) or _LIKE_ADDRESS.search(text) is not None


def is_postgres(location: str | PathLike[str]) -> bool:
    return isinstance(location, str) and scheme_of(location).lower() in _POSTGRES


def refuse_address(location: str | PathLike[str]) -> None:
    """Raise an error if the name of a database is an address instead of the path of a file.

    Args:
        location: The name that the caller passed.

    Raises:
        StoreNotSupported: The name is an address, `scheme://…`, or looks like a mistyped address. The message shows
            only the scheme, because the rest may contain a password.

    Example:
        >>> refuse_address("runs.db")
        >>> refuse_address("mysql://me:secret@db.example/runs")
        Traceback (most recent call last):
        ...
        graphengine.errors.StoreNotSupported: runs cannot be stored at mysql://…
          at: mysql://…
          repair: give the path of a file, such as runs.db, or an address: postgresql://user@host:5432/database
    """
    scheme = scheme_of(location)
    if scheme:
        shown = f"{scheme}://…"
        message = f"runs cannot be stored at {shown}"
        if scheme.lower() in _POSTGRES:
            message += ", because this call needs the path of a file"
        repair = f"give the path of a file, such as runs.db, or an address: {_EXAMPLE}"
        raise StoreNotSupported(message, where=shown, repair=repair)
    if _is_like_address(os.fsdecode(location)):
        message = (
            "the name of the database is not the path of a file and cannot be read as an address; it is not shown, "
            "because it may contain a password"
        )
        repair = f"give the path of a file, such as runs.db, or an address: {_EXAMPLE}"
        raise StoreNotSupported(message, where="the name of the database", repair=repair)


def path_of(location: str | PathLike[str]) -> Path:
    """Convert the name with which a caller named a database file to a path. A leading `~` becomes the home folder.

    Raises:
        StoreNotSupported: The name is an address (see `refuse_address`), a special name of SQLite such as `:memory:`,
            or contains a shell variable.

    Example:
        >>> path_of(":memory:")
        Traceback (most recent call last):
        ...
        graphengine.errors.StoreNotSupported: ':memory:' is a name that only SQLite knows, and not the path of a file
          at: ':memory:'
          repair: Runner() keeps runs in memory; for a file give its path, such as runs.db
    """
    refuse_address(location)
    path, text = Path(os.path.expanduser(location)), os.fsdecode(location)  # noqa: PTH111 - keeps ~x if there is no user x
    if text == ":memory:" or text.startswith("file:"):
        message = f"{text!r} is a name that only SQLite knows, and not the path of a file"
        repair = "Runner() keeps runs in memory; for a file give its path, such as runs.db"
        raise StoreNotSupported(message, where=repr(text), repair=repair)
    variable = _VARIABLE.search(text)
    if variable is not None and not (path.is_absolute() and path.parent.is_dir()):
        message = f"{text!r} contains the variable {variable[0]}, which only a shell replaces with its value"
        repair = f"write the folder itself, ~ for the home folder, or os.path.expandvars({text!r})"
        raise StoreNotSupported(message, where=repr(text), repair=repair)
    return path


def parse(location: str) -> Address:
    """Split a PostgreSQL address into its parts.

    Besides the options of libpq, the address can name a schema: `postgresql://user@host/database?schema=tests`.

    Raises:
        StoreNotSupported: The address is not valid. The message shows no part of the address, because a password may be
            in the wrong place.

    Example:
        >>> parse("postgresql://me:secret@db.example/runs?sslmode=require").shown
        'postgresql://me@db.example/runs?sslmode=require'
    """
    _, _, rest = location.partition("://")
    before, mark, query = rest.partition("?")
    authority, slash, name = before.partition("/")
    account, at, hosts = authority.rpartition("@")
    user, _, password = account.partition(":")
    parts = {
        "the user": bool(_USER.fullmatch(user)),
        "the password": "@" not in password,
        "the host": all(_HOST.fullmatch(host) for host in hosts.split(",")),
        "the database": bool(_NAME.fullmatch(name)),
        "a percent sign": not _BAD_PERCENT.search(rest),
    }
    wrong = [part for part, is_right in parts.items() if not is_right]
    options = parse_qsl(query, keep_blank_values=True)
    unknown = [key for key, _ in options if key not in _OPTIONS and key != "schema"]
    if unknown or (mark and "#" in query):
        wrong.append("an option after the question mark")
    if wrong:
        repair = (
            f"write {_EXAMPLE}, with %40 for @, %2F for /, %3A for :, %23 for # and %3F for ? in a password; "
            "or leave the password out and set PGPASSWORD"
        )
        message = f"the address of the database cannot be read: {', '.join(wrong)}"
        raise StoreNotSupported(message, where="postgresql://…", repair=repair)
    given_options = dict(options)
    schema = given_options.pop("schema", SCHEMA)
    if not _SCHEMA_NAME.fullmatch(schema):
        message = f"{schema!r} cannot be the name of a schema, which has up to 50 small letters, digits and underscores"
        raise StoreNotSupported(message, where="postgresql://…", repair="write postgresql://HOST/NAME?schema=runs")
    plain = {key: value for key, value in given_options.items() if key not in _SECRETS}
    shown_options = plain if schema == SCHEMA else {**plain, "schema": schema}
    base, shown = f"{authority}{slash}{name}", f"{user}{at}{hosts}{slash}{name}"
    return Address(
        f"postgresql://{base}{_query(given_options)}", schema, f"postgresql://{shown}{_query(shown_options)}"
    )


def shown(location: str | PathLike[str]) -> str:
    """Return a path or address without passwords, for messages.

    Example:
        >>> shown("runs.db"), shown("postgresql://me:secret@db.example/runs"), shown("postgresql://me:se@cret@db/")
        ('runs.db', 'postgresql://me@db.example/runs', 'postgresql://…')
    """
    if not is_postgres(location):
        scheme = scheme_of(location)
        return f"{scheme}://…" if scheme else os.fsdecode(location)
    try:
        return parse(os.fsdecode(location)).shown
    except StoreNotSupported:
        return "postgresql://…"


def _query(options: Mapping[str, str]) -> str:
    return f"?{urlencode(options, quote_via=quote)}" if options else ""


def secrets_of(address: Address) -> list[str]:
    """Return the passwords in an address, so that they can be removed from the messages of other programs.

    Example:
        >>> secrets_of(parse("postgresql://me:a%40b@db/runs?sslpassword=c"))
        ['a@b', 'c']
    """
    before, _, query = address.url.removeprefix("postgresql://").partition("?")
    account, _, _ = before.partition("/")[0].rpartition("@")
    options = [value for name, value in parse_qsl(query) if name in _SECRETS]
    return [secret for secret in (unquote(account.partition(":")[2]), *options) if secret]
