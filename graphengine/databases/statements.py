"""The SQL of a store, read from files next to its modules."""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ConnectionT = TypeVar("ConnectionT")

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def keys_with(beginning: str) -> tuple[str, str]:
    """Return the first text that begins with another one, and the first after all of those, in their binary order."""
    return beginning, beginning[:-1] + chr(ord(beginning[-1]) + 1)


def text_of(module: str, name: str) -> str:
    """Return the text of a file of the installed package.

    Args:
        module: The `__name__` of a module in the file's folder or above it.
        name: The path from there.
    """
    data = pkgutil.get_data(module, name)
    if data is None:
        message = f"{name} is missing from the installed package"
        raise FileNotFoundError(message)
    return data.decode()


def named(module: str, name: str, made: Callable[[str], str] = str) -> dict[str, str]:
    """Return the statements of a file by name, each begun by a line `-- name: …`, after a change of the file's text."""
    _, *parts = _NAME.split(made(text_of(module, name)))
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


@dataclass(frozen=True)
class Statements(Generic[ConnectionT]):
    """Statements with named parameters, by name, in one dialect of SQL.

    Attributes:
        run: Runs a statement with its values, and returns its rows.
        by_name: The statements; one can be several, separated at the ends of lines.
    """

    run: Callable[[ConnectionT, str, Mapping[str, object]], list[tuple[Any, ...]]]
    by_name: Mapping[str, str]

    def do(self, connection: ConnectionT, name: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run the statements of a name, and return the rows of the last one."""
        found: list[tuple[Any, ...]] = []
        for statement in self.by_name[name].split(";\n"):
            found = self.run(connection, statement, values)
        return found
