"""The executors of heavy nodes, by the project's settings.

    [tool.graphengine.executors]
    gpu = "places:gpu"

`places:gpu` is an executor in the module `places`, or a function that makes one. It is loaded when a node needs it.
"""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.cli.folders import ProjectBroken, project_of
from graphengine.errors import DefinitionError
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.cli.project import ToDrive


def executors_of(file: Path | None = None) -> Mapping[str, Callable[[], Executor]]:
    """Return the executors of the project of a graph's file, or of the current project, as a Runner takes them.

    Raises:
        ProjectBroken: The settings name something else than `module:name`.
    """
    root = project_of(Path.cwd() if file is None else file.parent)
    if root is None:
        return {}
    place = root / "pyproject.toml"
    text = place.read_text(encoding="utf-8", errors="replace")
    if "executors" not in text:
        return {}
    import tomllib

    try:
        found: object = tomllib.loads(text)["tool"]["graphengine"]["executors"]
    except (LookupError, ValueError, TypeError):  # commands that need the settings report other errors
        return {}
    if not isinstance(found, dict):
        repair = 'write [tool.graphengine.executors] and below it gpu = "module:name"'
        raise ProjectBroken(f"executors is {found!r}, not a table", where=str(place), repair=repair)
    for name, named in found.items():
        if not (isinstance(named, str) and all(part.isidentifier() for part in named.replace(":", ".").split("."))):
            message = f"the executor {name!r} is {named!r}, not the place of one"
            raise ProjectBroken(message, where=str(place), repair=f'write {name} = "module:name"')
    return {name: partial(_load, root, name, named) for name, named in found.items()}


def with_executors(graphs: ToDrive, executors: Mapping[str, Callable[[], Executor]]) -> ToDrive:
    """Leave out the graphs whose heavy nodes cannot run here: other workers drive their runs."""
    lacking: dict[str, str] = {}
    for name, graph in graphs.graphs.items():
        wanted = {on for plan in graph.compile().nest for _, on, _ in plan.heavy} - set(executors)
        if wanted:
            names = ", ".join(sorted(map(repr, wanted)))
            lacking[name] = f"{name} is left out: it needs the executor {names}, see [tool.graphengine.executors]"
    if len(lacking) == len(graphs.found):
        return graphs  # the worker raises an error
    kept = {name: found for name, found in graphs.found.items() if name not in lacking}
    return replace(graphs, found=kept, unread=[*graphs.unread, *lacking.values()])


def _load(root: Path, name: str, named: str) -> Executor:
    """Return the executor that a setting names.

    Raises:
        DefinitionError: It cannot be loaded, or is not an executor.
    """
    where = f"[tool.graphengine.executors] {name}"
    module, _, inner = named.partition(":")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        text = f"the module {module} cannot be loaded: {type(error).__name__}: {error}"
        raise DefinitionError(
            text, where=where, repair="name a module that can be imported from the project"
        ) from error
    made: object = getattr(loaded, inner or name, None)
    if made is None:
        near = did_you_mean(inner or name, vars(loaded))
        raise DefinitionError(f"{module} has no {inner or name}", where=where, repair=near)
    made = made() if callable(made) and not isinstance(made, Executor) else made
    if not isinstance(made, Executor):
        repair = "name an executor, or a function that returns one"
        raise DefinitionError(f"{named} is {made!r}, not an executor", where=where, repair=repair)
    return made
