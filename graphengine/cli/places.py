"""Where runs are stored, and commands about them that are ready to be pasted into a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.api.places import store_at
from graphengine.cli.folders import Database, database_of, may_find
from graphengine.errors import StoreMissing
from graphengine.stores import addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.stores.base import Store


@dataclass(frozen=True, slots=True)
class Place:
    """A database, and the option that names it to a later command."""

    database: Database
    option: str = ""

    @property
    def words(self) -> list[str]:
        """The option that names it; empty if none is needed."""
        return ["--db", self.option] if self.option else []

    @property
    def exists(self) -> bool:
        """Whether there can be runs: a file that exists, or an address, which is not contacted for this."""
        return not isinstance(self.database, Path) or self.database.exists()

    def reader(self) -> Store:
        """Return the store, read-only.

        Raises:
            StoreMissing: There is no database yet.
        """
        if not self.exists:
            raise StoreMissing(
                f"there is no database of runs at {shown(self.database)}",
                where=str(self.database),
                repair="choose a database with --db PATH; `graphengine run` creates it",
            )
        return store_at(self.database, read_only=True)


def place_of(given: Database | None, file: Path | None = None) -> Place:
    """Return the given database, or else the one of a graph's file, or else of the current project."""
    here = database_of()
    if given is not None:
        is_here = given == here if isinstance(given, str) else given.absolute() == here
        return Place(given, "" if is_here else _named(given))
    found = database_of(file)
    return Place(found, "" if found == here else shown(found))


def _named(given: Database) -> str:
    return shown(given) if isinstance(given, str) else str(given)


def shown(database: Database) -> str:
    """Return the path, relative to the current folder if it is inside; or the address without a password."""
    if isinstance(database, str):
        return addresses.shown(database)
    try:
        return str(database.relative_to(Path.cwd()))
    except ValueError:
        return str(database)


def command(name: str, run_id: str, *words: str, place: Place, arguments: Sequence[str] = ()) -> str:
    """Return a command about a run, quoted for a shell.

    Args:
        name: The command.
        run_id: The run.
        words: Its options.
        place: Where the run is stored.
        arguments: Further arguments after the run's id.
    """
    first = [run_id, *arguments]
    last = ["--", *first] if any(word.startswith("-") for word in first) else []
    return shlex.join([*program(), name, *([] if last else first), *words, *place.words, *last])


def worker_command(queue: str, words: Sequence[str], place: Place) -> str:
    """Return the command of a worker that drives the runs of a queue; `words` name the graph, if that is needed."""
    return shlex.join([*program(), "worker", "--queue", queue, *words, *place.words])


def graph_words(graph: str) -> list[str]:
    """Return the options that a command needs to find a run's graph, judged by the text of files without running them.

    A run records its graph's name but no path, so the user has to fill in the file.
    """
    return [] if may_find(graph) else ["--graph", "FILE"]


def picture_ending() -> str:
    """Return the suffix of a picture that can be drawn on this machine: svg, or mmd for Mermaid."""
    from importlib.util import find_spec

    return "svg" if shutil.which("dot") or find_spec("pygraphviz") else "mmd"


def can_inspect() -> bool:
    """Return whether the packages of the inspector are installed."""
    from importlib.util import find_spec

    return bool(find_spec("starlette") and find_spec("uvicorn"))


def program() -> Sequence[str]:
    """Return the words with which this program was called."""
    called = sys.argv[0]
    if Path(called).parts[-2:] == ("graphengine", "__main__.py"):
        return [sys.orig_argv[0] if sys.orig_argv else "python", "-m", "graphengine"]
    name = Path(called).name
    if name != "graphengine":
        return ["graphengine"]  # called from another program
    found = shutil.which(name)
    return [name] if found is not None and os.path.realpath(found) == os.path.realpath(called) else [called]
