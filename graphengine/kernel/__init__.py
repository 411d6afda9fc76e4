"""What extensions and other wings import of the core: three pages of names, each loaded when it is first used.

This one has what runs are made of: steps, events, snapshots, statuses, errors, extensions, handles.
`graphengine.kernel.definitions` is for checks, pictures and patterns, which read and make graphs;
`graphengine.kernel.stores` is for authors of stores. Provisional: a name can change with a minor version. Programs that
define and run graphs need none of them. A page is the stub beside its module, which type checkers read too.
"""

import importlib
import re
from collections.abc import Callable
from pathlib import Path


def page_at(module: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a page, of the names in the stub beside its file."""
    stub = Path(file).with_suffix(".pyi").read_text(encoding="utf-8")
    homes = {name: home for home, name in re.findall(r"^from (\S+) import (\w+)", stub, re.MULTILINE)}

    def load(name: str) -> object:
        if name not in homes:
            message = f"{module} has no name {name}: if a wing needs it, the page is where it is added"
            raise AttributeError(message)
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(importlib.import_module(module), name, value)
        return value

    return load, lambda: sorted(homes)


__getattr__, __dir__ = page_at(__name__, __file__)
