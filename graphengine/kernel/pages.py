"""Modules that list names in a stub file and load each of them on first use."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path


def page_at(module: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` for a module that loads names on first use.

    The names are those that the stub file beside the module imports.
    """
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
