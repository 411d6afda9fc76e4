"""A day of a shop's checkout, whose last version fails for Switzerland; `film_inspector.py` makes pictures of it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, value
from graphengine.testing import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

COUNTRIES: Final = ("DE", "AT", "CH", "FR", "DE")
VAT: Final = {"v52": {"DE": 0.19, "AT": 0.2, "CH": 0.081, "FR": 0.2}, "v53": {"DE": 0.19, "AT": 0.2, "FR": 0.2}}
RUNS: Final = (("v52", 240, 22 * 3600.0), ("v53", 90, 5400.0))
"""A version, its number of runs, and how many seconds ago the first of them began."""
LARGE: Final = 200
RISKY: Final = 6
ASKED: Final = "order-v52-0231"
"""A run that the pictures ask why it did not hold the order back."""


class Order(BaseModel):
    """An order of the shop."""

    order: str = ""
    country: str = "DE"
    total: float = 0
    stock: int = 0
    risk: float = 0
    receipt: str = ""


def checkout(version: str, clock: FakeClock) -> Graph[Order]:
    """Return the graph of the shop's checkout in one version of the shop."""

    def check_stock(total: float) -> int:
        clock.move(0.4)
        return 3 + int(total) % 40

    def score_risk(total: float) -> float:
        clock.move(0.9)
        return round(min(9.9, total / 60), 1)

    def charge(total: float, country: str) -> str:
        clock.move(0.6)
        vat = {"vat_rate": VAT[version][country]} if country in VAT[version] else {}
        return f"charged {total * (1 + vat['vat_rate']):.2f} EUR"

    def hold(risk: float) -> str:
        return f"held back: risk {risk}"

    graph = Graph("checkout", Order, result="receipt", title="Order {order}")
    graph.add_node(check_stock, writes="stock", thread=False)
    graph.add_node(score_risk, writes="risk", thread=False)
    graph.add_node(charge, writes="receipt", thread=False)
    graph.add_node(hold, writes="receipt", thread=False)
    graph.add_path(START, "check_stock")
    graph.add_edge("check_stock", "score_risk", when=value("total") >= LARGE, label="a large order")
    graph.add_edge("check_stock", "charge", label="a usual order")
    graph.add_edge("score_risk", "hold", when=value("risk") >= RISKY, label="risky")
    graph.add_edge("score_risk", "charge", label="trusted")
    graph.add_edge("charge", END, label="paid")
    graph.add_edge("hold", END, label="held")
    return graph


async def record(database: Path) -> None:
    """Record the runs of a day that ends now."""
    now = time.time()
    for version, count, ago in RUNS:
        clock = FakeClock(start=now - ago)
        graph = checkout(version, clock)
        async with Runner(database, deploy=version, clock=clock) as runner:
            for number in range(count):
                clock.move(max(0.0, now - ago + number * (ago - 120) / count - clock.now()))
                order = Order(order=f"{number:04}", country=COUNTRIES[number % 5], total=20 + number * 37 % 460)
                with suppress(RunFailed):
                    await runner.start(graph, order, run_id=f"order-{version}-{number:04}").result()
