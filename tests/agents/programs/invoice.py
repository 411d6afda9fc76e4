"""Facts out of a document, typed and checked."""

from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

from graphengine import Agent, Media, SyncRunner


class Invoice(BaseModel):
    """An invoice."""

    number: str
    rows: dict[str, Decimal]
    total: Decimal


def adds_up(invoice: Invoice) -> None:
    """Refuse a total that is not the sum of the rows."""
    if (wanted := sum(invoice.rows.values())) != invoice.total:
        raise ValueError(f"the rows add up to {wanted}, and not to {invoice.total}")


reader = Agent("reader", model="anthropic:claude-haiku-4-5", prompt="Read {scan}", output=Invoice, check=adds_up)
with SyncRunner("runs.db") as runner:
    print(runner.run(reader, scan=Media(data=Path("invoice.png").read_bytes()), run_id="invoice-7"))
