"""What extensions, stores and other wings import of the core: one page of names, each loaded when it is first used.

Provisional: a name can change with a minor version. Programs that define and run graphs need none of them. The page is
the stub beside this file, which type checkers read too.
"""

import importlib
import re
from pathlib import Path

_HOMES = {
    name: module
    for module, name in re.findall(
        r"^from (\S+) import (\w+)", Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"), re.MULTILINE
    )
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"graphengine.kernel has no name {name}: if a wing needs it, the page is where it is added"
        raise AttributeError(message)
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
