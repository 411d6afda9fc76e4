"""Where a project is, where its runs are stored, and which files have its graphs. No file is run here."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from graphengine.errors import GraphEngineError
from graphengine.stores.addresses import refuse_address

DATABASE: Final = Path("checkpoints", "runs.db")
_MAY_NAME_ADDRESS: Final = re.compile(r"\bdb\b.*://")
"""A cheap pre-check: parsing the settings takes longer than most commands."""


class ProjectBroken(GraphEngineError):
    """A pyproject.toml is invalid."""

    code = "project_broken"


def project_of(start: Path) -> Path | None:
    """Return the nearest folder with a pyproject.toml, from a folder upwards."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)


def database_of(file: Path | None = None) -> Path:
    """Return the default database: of the project of a graph's file, or of the current project.

    Raises:
        StoreNotSupported: The project's settings give an address instead of a path.
    """
    root = project_of(file.parent if file is not None else Path.cwd())
    if root is not None:
        _refuse_address_in(root / "pyproject.toml")
    return (root or Path.cwd()) / DATABASE


def _refuse_address_in(settings: Path) -> None:
    """Refuse `[tool.graphengine] db = "scheme://…"`: the runs would be stored in a file, contrary to the setting."""
    # Other errors of the settings are reported by the commands that need them.
    with suppress(OSError, ValueError, LookupError, AttributeError, TypeError):
        text = settings.read_text(encoding="utf-8")
        if _MAY_NAME_ADDRESS.search(text):
            import tomllib

            refuse_address(tomllib.loads(text)["tool"]["graphengine"]["db"])


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
