"""Pages of names: a module that loads each name of the stub beside it when it is first used."""

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
