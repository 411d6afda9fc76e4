"""`effect="transaction"`: a function whose rows and whose record are one transaction of the run's own database.

Such a function names what it is handed by an annotation: a connection of psycopg, or a connection or a session of
SQLAlchemy, found here by the names of the classes, since neither package is imported.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_origin

from graphengine.errors import DefinitionError
from graphengine.graph.runnable import is_async
from graphengine.state.injection import Injected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TRANSACTION: Final = "transaction"
_HANDED: Final = (
    "psycopg.Connection",
    "sqlalchemy.engine.base.Connection",
    "sqlalchemy.orm.session.Session",
)
_ASYNC: Final = (
    "psycopg.AsyncConnection",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection",
    "sqlalchemy.ext.asyncio.session.AsyncSession",
)
_WRITE: Final = (
    "annotate one parameter, as in def refund(db: psycopg.Connection, …), or with sqlalchemy.Connection or "
    "sqlalchemy.orm.Session; import the class at the top of the module, not under if TYPE_CHECKING"
)


@dataclass(frozen=True, slots=True)
class Handle:
    """The parameter of a function that receives the connection of a transaction, and the class that it asks for."""

    name: str
    kind: type[object]


def handed_as(annotation: object) -> type[object] | None:
    """Return the class of database connection or session that a parameter is annotated with; None if there is none."""
    return _class_of_annotation(annotation, _HANDED)


def _class_of_annotation(annotation: object, names: Sequence[str]) -> type[object] | None:
    kind: object = get_origin(annotation) or annotation  # Connection[DictRow]
    if not isinstance(kind, type):
        return None
    line = inspect.getmro(kind)
    return kind if any(f"{each.__module__}.{each.__qualname__}" in names for each in line) else None


def transaction_problems(function: Callable[..., object]) -> Iterator[tuple[str, str]]:
    """Yield the reasons why a function cannot run with `effect="transaction"`, each with a repair."""
    injected = Injected.of(function)
    handles = [each.name for each in injected.parameters if handed_as(each.annotation)]
    if is_async(function) or any(_class_of_annotation(each.annotation, _ASYNC) for each in injected.parameters):
        text = (
            f'{injected.name} is async, or takes an async connection, but effect="transaction" needs a plain function'
        )
        yield text, "write the function with def and a parameter db: psycopg.Connection; it runs in a thread"
    elif len(handles) != 1:
        found = f"the parameters {' and '.join(handles)} are all" if handles else "none of its parameters is"
        yield f'{injected.name} has effect="transaction", but {found} annotated as the connection', _WRITE
    if "ctx" in injected.names:
        text = f'{injected.name} takes ctx, but nothing can be recorded inside effect="transaction"'
        yield text, "remove ctx, and do what needs the Context in the node, before or after the call"


def handle_of(function: Callable[..., object], where: str) -> Handle:
    """Return the parameter of a function to which the engine passes the database connection of a transaction.

    Raises:
        DefinitionError: The function cannot run in a transaction.
    """
    for text, repair in transaction_problems(function):
        raise DefinitionError(text, where=where, repair=repair)
    kinds = ((each.name, handed_as(each.annotation)) for each in Injected.of(function).parameters)
    return next(Handle(name, kind) for name, kind in kinds if kind is not None)
