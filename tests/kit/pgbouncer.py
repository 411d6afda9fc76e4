"""PgBouncer, a pooler between the tests and their PostgreSQL server, on a socket of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.kit.machine import IS_BARE

if TYPE_CHECKING:
    from tests.kit.postgres import PostgresServer

_PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
_START_SECONDS = 30.0


def program() -> str | None:
    """Return the path of the program; None if it is not installed."""
    return None if IS_BARE else shutil.which("pgbouncer") or shutil.which("pgbouncer", path=_PLACES)


def why_missing() -> str:
    """Return why it cannot be started; "" if it can."""
    return "" if program() is not None else "no PgBouncer is installed: apt-get install pgbouncer"


class PgBouncer:
    """A pooler before a server, which anybody may use as the user `tester`.

    Args:
        server: The server.
        mode: When a connection to the server is given to another client: `session`, `transaction` or `statement`.
        settings: More lines of its configuration.
        of_database: A setting of the database alone.
    """

    def __init__(self, server: PostgresServer, mode: str, *settings: str, of_database: str = "") -> None:
        found = program()
        assert found is not None
        self._folder = Path(tempfile.mkdtemp(prefix="pgb-", dir=server.folder.parent))
        users, config = self._folder / "users", self._folder / "pgbouncer.ini"
        users.write_text('"tester" ""\n')
        lines = (
            "[databases]", f"* = host={server.folder} user=tester {of_database}",
            "[pgbouncer]", f"pool_mode = {mode}", "listen_addr =", f"unix_socket_dir = {self._folder}",
            "auth_type = any", f"auth_file = {users}", f"logfile = {self._folder / 'log'}", *settings,
        )  # fmt: skip
        config.write_text("\n".join(lines))
        for each in (self._folder, users, config):
            server.own(each)
        user = self._folder.owner() if self._folder.owner() != "root" else None
        self._process = subprocess.Popen(
            [found, "-q", config], user=user, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        give_up_at = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < give_up_at, (self._folder / "log").read_text()
            time.sleep(0.01)

    def address(self, schema: str = "") -> str:
        """Return an address for a Runner."""
        host = str(self._folder).replace("/", "%2F")
        return f"postgresql://tester@{host}:6432/postgres" + (f"?schema={schema}" if schema else "")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.address(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it, and remove its folder."""
        self._process.kill()
        self._process.wait(_START_SECONDS)
        shutil.rmtree(self._folder)
