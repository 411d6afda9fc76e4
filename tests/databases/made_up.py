"""Made-up formats of the SQLite file, to test the migrations: no other format than the first has been released.

As a program, `made_up.py PATH COUNT` migrates a database to the third format and dies after that many statements.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from graphengine.databases.sqlite import definitions, files, queries

SECOND = """
ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT '';

UPDATE runs SET note = 'a run of ' || graph;
"""
THIRD = """
CREATE TABLE notes (run INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;

INSERT INTO notes (run, body) SELECT key, note FROM runs;
CREATE INDEX runs_by_note ON runs (note);
"""


@contextmanager
def formats(*scripts: str) -> Iterator[None]:
    """Add migrations, so that this code writes a newer format."""
    released = len(queries.MIGRATIONS)
    queries.MIGRATIONS.extend(scripts)
    try:
        yield
    finally:
        del queries.MIGRATIONS[released:]
        definitions.expected_of.cache_clear()


def main(path: Path, count: int) -> None:
    """Migrate a database, and die as by `kill -9` before its next statement once so many are done."""
    done = 0

    def dying(number: int) -> Iterator[str]:
        nonlocal done
        for statement in queries.migration(number):
            if done == count:
                os.kill(os.getpid(), signal.SIGKILL)
            yield statement
            done += 1

    files.__dict__["migration"] = dying
    with formats(SECOND, THIRD), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        files.migrate(connection, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
