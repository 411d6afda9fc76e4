"""The ledger does what a few lines of Python do that keep every call of every account in a dict."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.api.places import store_at
from graphengine.budgets.ledger import AMOUNTS, AmountName, Budget, Hold, Ledger, Place
from graphengine.databases.sqlite.in_process import InProcess, budget_tables
from graphengine.stores.memory import InMemoryStore

CALLS, COST_USD, TOKENS = 5, 1.0, 100
NAMES = count()


class Kept:
    """One account: what was spent in its window, and what each call in flight may take."""

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.spent: dict[AmountName, float] = dict.fromkeys(AMOUNTS, 0.0)
        self.calls: dict[str, Mapping[AmountName, float]] = {}

    def held(self, name: AmountName, *more: Mapping[AmountName, float]) -> float:
        """Return what the calls in flight may take, and more."""
        return sum(each.get(name, math.inf) for each in (*more, *self.calls.values()))

    def refusal(self, budget: Budget, amounts: Mapping[AmountName, float]) -> tuple[AmountName, bool] | None:
        """Return which amount lacks room, and whether it is spent."""
        for name, limit in budget.limits.items():
            if self.spent[name] >= limit - 1e-9:
                return name, True
            if self.calls and self.spent[name] + self.held(name, amounts) > limit + 1e-9:
                return name, False
        return None


class Change(NamedTuple):
    """A reservation or a settlement of a call, in a window of some accounts."""

    kind: Literal["reserve", "settle"]
    call: str
    begin: float
    keys: Sequence[str]
    amounts: Mapping[AmountName, float]

    def of(self, kept: dict[str, Kept], budget: Budget) -> tuple[str, AmountName, bool] | None:
        """Make it, and return why it is refused."""
        if self.kind == "settle":
            for key in (key for key in self.keys if key in kept):
                kept[key] = kept[key] if kept[key].begin >= self.begin else Kept(self.begin)
                account = kept[key]
                if account.calls.pop(self.call, None) is not None or account.begin == self.begin:
                    account.spent = {name: account.spent[name] + self.amounts.get(name, 0) for name in AMOUNTS}
            return None
        found = {key: kept[key] for key in self.keys if key in kept and kept[key].begin >= self.begin}
        found |= {key: Kept(self.begin) for key in self.keys if key not in found}
        before = {key: account.calls for key, account in found.items()}
        for key in sorted(found):
            found[key].calls = {call: each for call, each in before[key].items() if call != self.call}
            refusal = found[key].refusal(budget, self.amounts)
            if refusal is not None:
                for kept_key, account in found.items():
                    account.calls = before[kept_key]
                return key, *refusal
        for account in found.values():
            account.calls[self.call] = self.amounts
        kept |= found
        return None


CHANGES = st.lists(
    st.builds(
        Change,
        st.sampled_from(("reserve", "settle")),
        st.sampled_from("abc"),
        st.sampled_from((0.0, 0.0, 0.0, 0.0, 3600.0)),
        st.sampled_from((("x",), ("y",), ("y", "x"))),
        st.fixed_dictionaries(
            {"calls": st.just(1)},
            optional={"cost_usd": st.sampled_from((0.0, 0.1, 0.2, 0.7)), "tokens": st.sampled_from((0, 10, 60))},
        ),
    ),
    max_size=25,
)


@pytest.fixture(params=["process", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """Return a store."""
    if request.param == "process":
        return InMemoryStore()
    return store_at(request.getfixturevalue("postgres") if request.param == "postgres" else str(tmp_path / "runs.db"))


def test_accounts_are_as_if_all_calls_were_kept(store: object) -> None:
    """Whatever is reserved, settled, made again or cut off, in whichever window: also what is refused, and why."""

    async def both(changes: Sequence[Change]) -> None:
        budget = Budget(name=f"b{next(NAMES)}", by="user", cost_usd=COST_USD, tokens=TOKENS, calls=CALLS)
        kept: dict[str, Kept] = {}
        for change in changes:
            places = [Place(budget, key, change.begin) for key in change.keys]
            refusal = None
            if change.kind == "reserve":
                refusal = await ledger.reserve(places, Hold(change.call, amounts=change.amounts))
            else:
                await ledger.settle(places, Hold(change.call, amounts=change.amounts), change.amounts)
            expected = change.of(kept, budget)
            assert (None if refusal is None else (refusal.place.key, refusal.name, refusal.is_spent)) == expected
        found = {each.key: each for each in await ledger.accounts() if each.budget == budget.name}
        assert found.keys() == kept.keys()
        for key, each in kept.items():
            account = found[key]
            assert (account.begin, account.calls_in_flight, account.spent) == (each.begin, len(each.calls), each.spent)
            assert [account.in_flight(name) for name in AMOUNTS] == pytest.approx([each.held(name) for name in AMOUNTS])

    with asyncio.Runner() as loop:
        ledger = Ledger(store)

        @given(CHANGES)
        def agrees(changes: Sequence[Change]) -> None:
            loop.run(both(changes))

        agrees()
        if hasattr(store, "close"):
            loop.run(store.close())


async def test_a_call_costs_the_same_beside_thousands() -> None:
    """Neither its reservation nor its settlement reads what the others hold."""
    database = InProcess(budget_tables())
    ledger, place = Ledger(database), Place(Budget(name="b", calls=10_000), "", 0.0)
    made = 0

    def count_one() -> None:
        nonlocal made
        made += 1

    def watched(connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(count_one, 1)

    async def instructions(call: str) -> int:
        nonlocal made
        made = 0
        await ledger.reserve([place], Hold(call, amounts={"calls": 1}))
        await ledger.settle([place], Hold(call, amounts={"calls": 1}), {"calls": 1})
        return made

    await instructions("first")
    await database.write(watched)
    alone = await instructions("alone")
    for number in range(2000):
        await ledger.reserve([place], Hold(f"other {number}", amounts={"calls": 1}))
    assert alone * 0.8 < await instructions("beside") < alone * 1.2
