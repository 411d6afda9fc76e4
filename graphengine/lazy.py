"""Names of a package that load when they are first used, so that importing the package stays cheap.

A package says where its names live and hands Python the two functions that look them up. What type checkers read
stands beside it, as plain imports: they never see these functions, and so tell a misspelt name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def lazily(package: str, homes: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package whose names live in its modules.

    Args:
        package: The package, as `__name__` says it.
        homes: The public names by the module that each lives in, which is named in full.

    Returns:
        The two functions. The first imports a name's module, and keeps the name in the package from then on.

    Example:
        >>> look_up, names = lazily("json", {"json.decoder": ["JSONDecoder", "JSONDecodeError"]})
        >>> look_up("JSONDecoder").__name__
        'JSONDecoder'
        >>> "JSONDecodeError" in names()
        True
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def look_up(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        found: object = getattr(import_module(home), name)
        setattr(sys.modules[package], name, found)
        return found

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return look_up, names
