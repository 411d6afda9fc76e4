"""Find a project, its graph files and its database; and write commands about runs, ready to be pasted into a shell.

The functions in this module do not run the files of graphs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphengine.databases import addresses
from graphengine.databases.addresses import is_postgres, parse, path_of
from graphengine.errors import GraphEngineError, InputError, StoreMissing
from graphengine.wings import BUILT_IN, ProjectBroken, Settings, installed, load, others

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


Database: TypeAlias = "Path | str"
"""The place where runs are stored: the path of a file, or the address of a PostgreSQL database."""

DATABASE: Final = Path("checkpoints", "runs.db")

SETTINGS: Final = (
    *("graphs", "store", "busy_timeout_seconds", "wings"),
    *(wing.name for wing in BUILT_IN if wing.extension or wing.settings),
)
"""The settings that a project's `[tool.graphengine]` can contain, besides the tables of other packages' wings."""

_TABLE: Final = re.compile(r"^\[\[?tool\.graphengine\.([\w-]+)", re.MULTILINE)

MEANT: Final = {"db": 'write store = "runs.db"', "models": "give --model NAME to a command, or Runner(models=…)"}
"""Hints for settings with names that other libraries use."""


def project_of(start: Path) -> Path | None:
    """Return the folder of the project that contains this folder; None if no folder above it has a pyproject.toml."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)


def database_of(file: Path | None = None) -> Database:
    """Return the database that a command without `--store` uses.

    This is the database of the project that contains a graph's file, or else of the current project.

    Raises:
        StoreNotSupported: The project's settings contain an address of an unknown kind, or one that cannot be parsed.
        ProjectBroken: The setting `store` is not a text.
    """
    root = project_of(file.parent if file is not None else Path.cwd())
    found = _read_database_setting(root) if root is not None else None
    return found or (root or Path.cwd()) / DATABASE


def database_from(given: str, folder: Path | None = None) -> Database:
    """Convert a text of the user to a database: to the address of a server, or to the path of a file.

    A relative path is relative to `folder` if it is given, and otherwise to the current folder.

    Raises:
        StoreNotSupported: The address is of an unknown kind, or cannot be parsed.
    """
    if is_postgres(given):
        parse(given)
        return given
    path = path_of(given)
    return path if folder is None else folder / path


def setting(root: Path, name: str, *, checks: bool = False) -> object:
    """Return a value of `[tool.graphengine]` in a project's pyproject.toml; None if the project does not set it.

    Args:
        root: The project's folder.
        name: The name of the value.
        checks: Whether to parse the file even if it does not mention the name, so that mistakes in the file are found.
            Parsing takes longer than most commands.

    Raises:
        ProjectBroken: The pyproject.toml is invalid TOML, or cannot be read.
        InputError: The settings contain an unknown name.
    """
    place = root / "pyproject.toml"
    try:
        text = place.read_text(encoding="utf-8")
        section = text.partition("[tool.graphengine]")[2].partition("\n[")[0]
        tables = _TABLE.findall(text)
        unknown = {*re.findall(r"^([\w-]+)[\w. -]*=", section, re.MULTILINE), *tables}.difference(SETTINGS)
        if not checks and not unknown and not re.search(rf"\b{name}\b", text):
            return None
        import tomllib

        found = tomllib.loads(text).get("tool", {}).get("graphengine", {})
        for each in sorted(unknown.intersection(found) - installed()) if unknown else ():
            raise _build_unknown_setting_error(each, place, is_table=each in tables or isinstance(found[each], dict))
        return found.get(name)
    except (OSError, ValueError, AttributeError) as error:
        repair = f"correct the file; the setting {name} belongs into the table [tool.graphengine], as {name} = …"
        raise ProjectBroken(f"pyproject.toml cannot be read: {error}", where=str(place), repair=repair) from error


def _build_unknown_setting_error(name: str, place: Path, *, is_table: bool) -> InputError:
    from graphengine.kernel.extension import did_you_mean

    near = did_you_mean(name, [*SETTINGS, *others()])
    if not is_table:
        message = f"[tool.graphengine] contains {name} = …, and graphengine has no setting {name!r}"
        repair = MEANT.get(name) or near
    else:
        message = f"[tool.graphengine.{name}] is not a table of graphengine, and no installed plugin (wing) reads it"
        install = f"install the package of the plugin (wing) {name!r}, or remove the table"
        repair = near if near.startswith("did you mean") else install
    return InputError(message, where=str(place), repair=repair)


def settings_of(wing: str, file: Path | None = None) -> Settings:
    """Return the settings of a wing in the project of a graph's file, or in the current project.

    A wing is an extension of graphengine, which reads its settings from pyproject.toml.

    Raises:
        ProjectBroken: The pyproject.toml is invalid TOML, or cannot be read.
        InputError: The settings contain an unknown name.
    """
    root = project_of(Path.cwd() if file is None else file.parent)
    return Settings(None if root is None else setting(root, wing), root)


def read_settings(wing: str, file: Path | None = None) -> Any:  # noqa: ANN401 - what the wing reads
    """Return the settings of a wing that is part of graphengine, as an object of the wing's own type.

    `settings_of` reads these settings from the project.

    Raises:
        ProjectBroken: The settings cannot be used.
        InputError: The settings contain an unknown name.
    """
    (reader,) = [each.settings for each in BUILT_IN if each.name == wing]
    return load(reader)(settings_of(wing, file))


def _read_database_setting(root: Path) -> Database | None:
    """Return the database that a project sets as `[tool.graphengine] store = …`; None if it sets none."""
    found: object = None
    with suppress(ProjectBroken):  # commands that need the settings report the error
        found = setting(root, "store")
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        message = f"the setting store is {found!r}, and not the path or the address of a database"
        repair = 'write [tool.graphengine] and below it store = "runs.db", or store = "postgresql://user@host/database"'
        raise ProjectBroken(message, where=str(root / "pyproject.toml"), repair=repair)
    return database_from(found, root)


def lock_options() -> dict[str, Any]:
    """Return the options with which to open a store: how long it waits while another program locks the database.

    The result is empty if the project does not set `busy_timeout_seconds`.
    """
    root = project_of(Path.cwd())
    seconds = setting(root, "busy_timeout_seconds") if root is not None else None
    return {} if seconds is None else {"busy_timeout_seconds": seconds}


def graph_files(root: Path) -> list[Path]:
    """Return the Python files in the folders that a project lists as `[tool.graphengine] graphs`.

    Each folder's files are in alphabetical order. Files whose names begin with `_` are left out.

    Raises:
        ProjectBroken: The pyproject.toml is invalid TOML, or the setting is not a list of folders.
    """
    folders = setting(root, "graphs", checks=True) or []
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        repair = 'write [tool.graphengine] and below it graphs = ["folder"]'
        where = str(root / "pyproject.toml")
        message = f"the setting graphs is {folders!r}, and not a list of folders"
        raise ProjectBroken(message, where=where, repair=repair)
    return [file for folder in folders for file in sorted((root / folder).glob("*.py")) if file.name[0] != "_"]


def may_find(name: str) -> bool:
    """Guess whether the current project contains a graph with this name, without running the project's files.

    The answer is yes if a file has the name of the graph, or if a file contains the name in quotes.
    """
    root = project_of(Path.cwd())
    try:
        files = graph_files(root) if root is not None else []
        quoted = f'"{name}"', f"'{name}'"
        return any(
            file.stem == name or any(each in file.read_text(encoding="utf-8") for each in quoted) for file in files
        )
    except (GraphEngineError, OSError, UnicodeDecodeError):
        return False


def naming(name: str, files: Iterable[Path]) -> list[Path]:
    """Return the files that seem to define a graph with this name. The files are searched as text, and are not run."""
    defines = re.compile(rf"""(?:\bGraph(?:\[.*?\])?\(|\bname *=)\s*["']{re.escape(name)}["']""")
    found: list[Path] = []
    for file in files:
        with suppress(OSError):  # a command that runs the file reports the error
            found += [file] if defines.search(file.read_text(encoding="utf-8", errors="replace")) else []
    return found


@dataclass(frozen=True, slots=True)
class DatabaseOption:
    """The database of a command, together with the value of `--store` that names it in suggested commands."""

    database: Database
    option: str = ""

    @property
    def words(self) -> list[str]:
        """The option `--store` for a suggested command; empty if the command finds the database without it."""
        return ["--store", self.option] if self.option else []

    @property
    def exists(self) -> bool:
        """Whether the database may exist, so that it can contain runs.

        For a database file, this is checked. A database server is not contacted, so its database always counts as
        existing.
        """
        return not isinstance(self.database, Path) or self.database.exists()

    def check_exists(self) -> None:
        """Check that the database file exists.

        Raises:
            StoreMissing: The database does not exist yet.
        """
        if not self.exists:
            raise StoreMissing(
                f"there is no database of runs at {shown(self.database)}",
                where=str(self.database),
                repair="choose another database with --store PATH, or start a run, which creates the database",
            )

    def command(self, name: str, run_id: str, *words: str, arguments: Sequence[str] = ()) -> str:
        """Return a command about a run in this database, quoted so that the user can paste it into a shell.

        Args:
            name: The command.
            run_id: The id of the run.
            words: The options of the command.
            arguments: Further arguments after the run's id.
        """
        first = [run_id, *arguments]
        last = ["--", *first] if any(word.startswith("-") for word in first) else []
        return shlex.join([*program(), name, *([] if last else first), *words, *self.words, *last])

    def worker_command(self, queue: str, words: Sequence[str]) -> str:
        """Return the command to suggest for starting a worker that takes runs of a queue from this database.

        `words` are the options with which the worker finds the graph of the runs.
        """
        return shlex.join([*program(), "worker", "--queue", queue, *words, *self.words])


def place_of(given: Database | None, file: Path | None = None) -> DatabaseOption:
    """Return the database of a command: the given one, or else that of the project of a graph's file.

    Without a file, the current project is used.
    """
    here = database_of()
    if given is not None:
        if isinstance(given, str):
            return DatabaseOption(given, "" if given == here else shown(given))
        return DatabaseOption(given, "" if given.absolute() == here else str(given))
    found = database_of(file)
    return DatabaseOption(found, "" if found == here else shown(found))


def shown(database: Database) -> str:
    """Return the database as a text for people.

    A path is relative to the current folder if the file is inside. An address is shown without its password.
    """
    if isinstance(database, str):
        return addresses.shown(database)
    try:
        return str(database.relative_to(Path.cwd()))
    except ValueError:
        return str(database)


def graph_words(graph: str) -> list[str]:
    """Return the option, if any, that a suggested command needs to find the graph of a run.

    A run records the name of its graph, but not the file. If the current project seems to define the graph in one file,
    no option is needed. Otherwise the option is `--graph FILE`, and the user must fill in the file. The project's files
    are searched as text, and are not run.
    """
    root = project_of(Path.cwd())
    is_found = root is not None and may_find(graph) and len(naming(graph, graph_files(root))) <= 1
    return [] if is_found else ["--graph", "FILE"]


def can_inspect() -> bool:
    """Return whether the packages that `graphengine inspect` needs are installed."""
    from importlib.util import find_spec

    return bool(find_spec("starlette") and find_spec("uvicorn"))


def program() -> Sequence[str]:
    """Return the words with which the user started this program, because suggested commands must begin with them."""
    called = sys.argv[0]
    if Path(called).parts[-2:] == ("graphengine", "__main__.py"):
        return [sys.orig_argv[0] if sys.orig_argv else "python", "-m", "graphengine"]
    name = Path(called).name
    if name != "graphengine":
        return ["graphengine"]  # called from another program
    found = shutil.which(name)
    return [name] if found is not None and os.path.realpath(found) == os.path.realpath(called) else [called]
