"""The SQL of a store, read from files next to its modules."""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ConnectionT = TypeVar("ConnectionT")

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_AMONG: Final = re.compile(r"\{among (:\w+)\}")
_PARAMETER: Final = re.compile(r"(?<![\w:]):(\w+)")


def keys_with(beginning: str) -> tuple[str, str]:
    """Return the bounds of all texts that begin with a prefix, in binary order.

    The first bound is the prefix; the second is the first text after all texts with the prefix.
    """
    return beginning, beginning[:-1] + chr(ord(beginning[-1]) + 1)


def text_of(module: str, name: str) -> str:
    """Return the text of a file of the installed package.

    Args:
        module: The `__name__` of a module in the same folder as the file, or in a folder above.
        name: The path of the file, relative to the module's folder.
    """
    data = pkgutil.get_data(module, name)
    if data is None:
        message = f"{name} is missing from the installed package"
        raise FileNotFoundError(message)
    return data.decode()


def named(module: str, name: str, transform: Callable[[str], str] = str) -> dict[str, str]:
    """Read a file of SQL statements, and return the statements by name.

    In the file, each statement begins with a line `-- name: …`. `transform` can change the text of the file first.
    """
    _, *parts = _NAME.split(transform(text_of(module, name)))
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


@dataclass(frozen=True)
class Statements(Generic[ConnectionT]):
    """SQL statements with named parameters, in the dialect of one database.

    Attributes:
        run: Runs a statement with values for its parameters, and returns the rows of the result.
        by_name: The statements by name. An entry can contain several statements, separated at the ends of lines.
    """

    run: Callable[[ConnectionT, str, Mapping[str, object]], list[tuple[Any, ...]]]
    by_name: Mapping[str, str]

    def do(self, connection: ConnectionT, name: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run the SQL statements that have this name, and return the rows of the last one."""
        found: list[tuple[Any, ...]] = []
        for statement in self.by_name[name].split(";\n"):
            found = self.run(connection, statement, values)
        return found


@dataclass(frozen=True)
class Dialect(Generic[ConnectionT]):
    r"""Describes how one kind of database, SQLite or PostgreSQL, runs the SQL statements that both share.

    The files of shared statements are in this folder. `convert` completes a shared statement:

    - Parameters have SQLite's form, `:name`.
    - `{run}` is replaced by the columns of a run in the table `f`.
    - `{facts}` is replaced by a join of `run_facts AS f` with the keys of `page`.
    - `{among :name}` is replaced by the condition that a text is in a list, which is a parameter.

    Attributes:
        run: Runs a statement with values for its parameters, and returns the rows of the result.
        listed: Converts a list of texts to a parameter.
        selected: Replaces `{run}`.
        facts: Replaces `{facts}`.
        among: Replaces `{among :name}`; `\1` is the parameter.
        parameter: Replaces a parameter; `\1` is the name of the parameter.
        is_concurrent: Whether several transactions can write at the same time, so that rows must be locked.
    """

    run: Callable[[ConnectionT, str, Mapping[str, object]], list[tuple[Any, ...]]]
    listed: Callable[[Sequence[str]], object]
    selected: Callable[[str], str]
    facts: str
    among: str
    parameter: str
    is_concurrent: bool

    @cache  # noqa: B019 - there are two dialects, which are never deleted
    def statements(self, name: str) -> Statements[ConnectionT]:
        """Return the statements of a shared file."""
        return Statements(self.run, named(__name__, name, self.convert))

    @lru_cache(256)  # noqa: B019 - as above
    def convert(self, statement: str) -> str:
        """Convert a shared statement to the form that `run` accepts."""
        statement = _AMONG.sub(self.among, self.selected(statement).replace("{facts}", self.facts))
        return _PARAMETER.sub(self.parameter, statement)

    def rows(self, connection: ConnectionT, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Convert and run a statement, and return the rows of its result."""
        return self.run(connection, self.convert(statement), values)
