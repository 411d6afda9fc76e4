"""Where a project is, where its runs are stored, and which files have its graphs. No file is run here."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from graphengine.errors import GraphEngineError
from graphengine.stores.addresses import is_postgres, parse, refuse_address

Database: TypeAlias = "Path | str"
"""Where runs are stored: the path of a file, or the address of a PostgreSQL database."""

DATABASE: Final = Path("checkpoints", "runs.db")
_MAY_NAME_DATABASE: Final = re.compile(r"""^\s*(\S+\s*\.\s*)*["']?db["']?\s*=""", re.MULTILINE)
"""A cheap pre-check: parsing the settings takes longer than most commands."""


class ProjectBroken(GraphEngineError):
    """A pyproject.toml is invalid."""

    code = "project_broken"


def project_of(start: Path) -> Path | None:
    """Return the nearest folder with a pyproject.toml, from a folder upwards."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)


def database_of(file: Path | None = None) -> Database:
    """Return the default database: of the project of a graph's file, or of the current project.

    Raises:
        StoreNotSupported: The project's settings give an address of another kind, or one that cannot be read.
        ProjectBroken: They give something else than a text.
    """
    root = project_of(file.parent if file is not None else Path.cwd())
    found = _database_in(root) if root is not None else None
    return found or (root or Path.cwd()) / DATABASE


def database_from(given: str, folder: Path | None = None) -> Database:
    """Return the database that a user names: an address, or a path, which can be relative to a folder.

    Raises:
        StoreNotSupported: It is an address of another kind, or one that cannot be read.
    """
    if is_postgres(given):
        parse(given)
        return given
    refuse_address(given)
    return Path(given) if folder is None else folder / given


def _database_in(root: Path) -> Database | None:
    """Return what a project names as `[tool.graphengine] db = …`; None if it names nothing."""
    found: object = None
    # Other errors of the settings are reported by the commands that need them.
    with suppress(OSError, ValueError, LookupError, AttributeError, TypeError):
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        if _MAY_NAME_DATABASE.search(text):
            import tomllib

            found = tomllib.loads(text)["tool"]["graphengine"]["db"]
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        message = f"db is {found!r}, not the path or the address of a database"
        repair = 'write [tool.graphengine] and below it db = "runs.db", or db = "postgresql://user@host/database"'
        raise ProjectBroken(message, where=str(root / "pyproject.toml"), repair=repair)
    return database_from(found, root)


def graph_files(root: Path) -> list[Path]:
    """Return the files of the folders in a project's `[tool.graphengine] graphs`, in order of name.

    Raises:
        ProjectBroken: pyproject.toml is invalid TOML, or the setting is not a list of folders.
    """
    import tomllib

    place = root / "pyproject.toml"
    repair = 'write [tool.graphengine] and below it graphs = ["folder"]'
    try:
        settings = tomllib.loads(place.read_text(encoding="utf-8")).get("tool", {}).get("graphengine", {})
        folders = settings.get("graphs", [])
    except (OSError, ValueError, AttributeError) as error:
        raise ProjectBroken(f"pyproject.toml is invalid: {error}", where=str(place), repair=repair) from error
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise ProjectBroken(f"graphs is {folders!r}, not a list of folders", where=str(place), repair=repair)
    return [file for folder in folders for file in sorted((root / folder).glob("*.py")) if file.name[0] != "_"]


def may_find(name: str) -> bool:
    """Return whether `project.find_named` likely finds a graph: a file has this name, or contains it in quotes."""
    root = project_of(Path.cwd())
    try:
        files = graph_files(root) if root is not None else []
        return any(file.stem == name or _quotes(file.read_text(encoding="utf-8"), name) for file in files)
    except (GraphEngineError, OSError, UnicodeDecodeError):
        return False


def _quotes(text: str, name: str) -> bool:
    return f'"{name}"' in text or f"'{name}'" in text
