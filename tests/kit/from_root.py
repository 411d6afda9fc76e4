"""Loads `tests.kit.unfinished` with its file named from the root of the repository.

Tracebacks are recorded. Those in files that git keeps would otherwise name the folder of whoever made them.
"""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Final

FILE: Final = Path(__file__).with_name("unfinished.py")
NAME: Final = "tests.kit.unfinished"


class FromRoot(SourceFileLoader):
    """Compiles the file under its name from the root."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the module."""
        name = fullname.replace(".", "/") + ".py"
        return compile(self.get_data(self.path), name, "exec", dont_inherit=True)


def load() -> None:
    """Load the module, unless it is loaded."""
    spec = spec_from_file_location(NAME, FILE, loader=FromRoot(NAME, str(FILE)))
    if NAME not in sys.modules and spec is not None and spec.loader is not None:
        sys.modules[NAME] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])


load()
