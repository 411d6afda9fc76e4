"""Read the executors of heavy nodes from the settings of a project.

    [tool.graphengine.executors]
    gpu = "places:gpu"

`places:gpu` is an executor in the module `places`, or a function that makes one. It is loaded when a node needs it.
"""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean
from graphengine.wings import ProjectBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from graphengine.wings import Settings


def executors_in(settings: Settings) -> Mapping[str, Callable[[], Executor]]:
    """Read from a project's settings which executors to give to its Runner (`Runner(executors=…)`).

    Raises:
        ProjectBroken: The setting is not a table, or a value does not have the form `module:name`.
    """
    found, root = settings
    if root is None or found is None:
        return {}
    if not isinstance(found, dict):
        repair = 'write [tool.graphengine.executors] and below it gpu = "module:name"'
        raise ProjectBroken(f"the setting executors is {found!r}, and not a table", where=settings.place, repair=repair)
    for name, named in found.items():
        if not (isinstance(named, str) and all(part.isidentifier() for part in named.replace(":", ".").split("."))):
            message = f"the executor {name!r} is {named!r}, which does not have the form module:name"
            raise ProjectBroken(message, where=settings.place, repair=f'write {name} = "module:name"')
    return {name: partial(_load_executor, root, name, named) for name, named in found.items()}


def _load_executor(root: Path, name: str, named: str) -> Executor:
    """Import the executor that a setting names as `module:name`, and make it if the name is a function.

    Raises:
        DefinitionError: The object cannot be loaded, or is not an executor.
    """
    where = f"[tool.graphengine.executors] {name}"
    module, _, inner = named.partition(":")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        text = f"the module {module!r} cannot be imported: {type(error).__name__}: {error}"
        raise DefinitionError(
            text, where=where, repair="name a module that can be imported from the project"
        ) from error
    executor: object = getattr(loaded, inner or name, None)
    if executor is None:
        near = did_you_mean(inner or name, vars(loaded))
        raise DefinitionError(f"the module {module!r} has no {inner or name!r}", where=where, repair=near)
    executor = executor() if callable(executor) and not isinstance(executor, Executor) else executor
    if not isinstance(executor, Executor):
        repair = "name a concurrent.futures.Executor, or a function that returns such an executor"
        message = f"{named!r} is {executor!r}, and not a concurrent.futures.Executor"
        raise DefinitionError(message, where=where, repair=repair)
    return executor


__all__ = ["executors_in"]
