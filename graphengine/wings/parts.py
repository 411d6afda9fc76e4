"""The types that the parts of a wing return.

They are separate from `wing.py` so that quick commands such as `--help` do not import them.
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
    """A kind of JSON document that a command writes with `--json`.

    Attributes:
        model: The type of the document.
        when: When the command writes this document; "" if it is the only one.
        lines: Whether the command writes several of these documents, one per line.
    """

    model: type[Struct]
    when: str = ""
    lines: bool = False


class Readiness(NamedTuple):
    """An answer of `graphengine doctor --production`: whether one thing is ready for production.

    Attributes:
        name: The subject that was checked.
        state: `ok`, `not` or `cannot say`.
        what: The finding.
        repair: The action that is needed; "" if none is needed.
    """

    name: str
    state: Literal["ok", "not", "cannot say"]
    what: str
    repair: str = ""


@dataclass(frozen=True)
class Table:
    """A table on the page of `graphengine inspect`.

    Attributes:
        title: The title of the table.
        columns: The headings of the columns.
        rows: The rows, each with a text for each column.
        spent: A note that *Today* shows below the amount spent; "" for none.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    spent: str = ""


class Gauge(NamedTuple):
    """A number in a store that telemetry reports, such as what a budget has left.

    Attributes:
        name: The name of the instrument, such as `graphengine.budget.spent`.
        unit: The unit, such as `{call}`.
        about: A description of what is measured.
        value: The current number.
        of: The attributes of this number, such as the name of the budget.
    """

    name: str
    unit: str
    about: str
    value: float
    of: Mapping[str, str]


@runtime_checkable
class HasGauges(Protocol):
    """Protocol of an extension of a Runner that provides numbers for telemetry, such as what a budget has left.

    A worker asks for the numbers each time it counts the queues.
    """

    async def gauges(self, store: Store) -> Sequence[Gauge]:
        """Return the current numbers in this store."""
        ...
