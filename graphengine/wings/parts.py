"""The types that the parts of a wing return. Quick commands such as `--help` do not import them.

`graphengine.wings` says what a wing is.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - what a table has is read at run time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from graphengine.kernel.store import Store


class Kind(NamedTuple):
    """A document of a command.

    Attributes:
        model: The type of the document.
        when: When the command writes it; "" if it is the only one.
        lines: Whether the command writes several of them, one per line.
    """

    model: type[Struct]
    when: str = ""
    lines: bool = False


class Readiness(NamedTuple):
    """The answer to a question of `graphengine doctor --production`.

    Attributes:
        name: What was checked.
        state: `ok`, `not` or `cannot say`.
        what: What was found.
        repair: What to do; "" if nothing.
    """

    name: str
    state: Literal["ok", "not", "cannot say"]
    what: str
    repair: str = ""


@dataclass(frozen=True)
class Table:
    """A table in the page of `graphengine inspect`.

    Attributes:
        title: What it shows.
        columns: What its columns are.
        rows: A text for each column.
        spent: A note that *Today* shows below the amount spent; "" for none.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    spent: str = ""


class Gauge(NamedTuple):
    """A number of a store, as telemetry shows it.

    Attributes:
        name: The name of the instrument, such as `graphengine.budget.spent`.
        unit: Its unit, as `{call}`.
        about: What it measures.
        value: The number now.
        of: The attributes of this number, such as the name of the budget.
    """

    name: str
    unit: str
    about: str
    value: float
    of: Mapping[str, str]


@runtime_checkable
class HasGauges(Protocol):
    """An extension of a Runner whose numbers telemetry shows when a worker has looked at the queues."""

    async def gauges(self, store: Store) -> Sequence[Gauge]:
        """Return its numbers in a store."""
        ...
