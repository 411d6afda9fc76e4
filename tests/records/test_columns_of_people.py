"""The columns of the newest format that concern people, each by its name: erasure, tenants, secrets, export and import.

`ROWS` has a statement for each column. The first thing that the statement returns says whose a row is: an id, or the
key of an account, with a user's name in it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Budget, Context, Graph, Runner, Secret
from graphengine.budgets.ledger import AmountName, Ledger, Place, make_hold
from graphengine.errors import InputError, UnknownRun
from graphengine.memory import erase
from graphengine.records.export import export_run, import_run, parse, to_json_text
from graphengine.runner.rules_for_effects import RULES
from graphengine.serve.callers import Caller, CallersStore, acting

pytest.importorskip("cryptography")
pytestmark = pytest.mark.usefixtures("drawn_nonces")
Fresh = Callable[[], AbstractContextManager[Path | str | None]]

PEOPLE = ("zora", "bob")
KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"
CANARY = "canary-of-a-secret-field"
PER_RUN = {
    "runs.nonce": "SELECT coalesce(starter, id), nonce FROM {}runs",
    "runs.starter_nonce": "SELECT starter, starter_nonce FROM {}runs WHERE starter IS NOT NULL",
    "runs.root_nonce": "SELECT root, root_nonce FROM {}runs WHERE root IS NOT NULL",
    "runs.code": "SELECT coalesce(starter, id), code FROM {}runs",
    "earlier_codes": "SELECT coalesce(r.starter, r.id), e.code FROM {0}earlier_codes AS e "
    "LEFT JOIN {0}runs AS r ON r.key = e.run",
    "run_fields": "SELECT coalesce(r.starter, r.id), f.tenant, f.field, f.value FROM {0}run_fields AS f "
    "LEFT JOIN {0}runs AS r ON r.key = f.run",
}
"""These are the same in the database into which a run is imported."""
OF_ALL = {
    "codes.body": "SELECT id, body FROM {}codes",
    "graph_fields": "SELECT graph, field FROM {}graph_fields",
}
ROWS = {
    **PER_RUN,
    "budget_holds.run": "SELECT run FROM {}budget_holds",
    "budget_holds.nonce": "SELECT run, nonce FROM {}budget_holds",
    "budget_holds.token": "SELECT run, token FROM {}budget_holds",
    "budget_holds.asked_cost_usd": "SELECT run, asked_cost_usd FROM {}budget_holds",
    "budget_holds.asked_tokens": "SELECT run, asked_tokens FROM {}budget_holds",
    "budget_accounts.estimated_cost_usd": "SELECT key, estimated_cost_usd FROM {}budget_accounts",
    "budget_accounts.estimated_tokens": "SELECT key, estimated_tokens FROM {}budget_accounts",
    "budget_accounts.calls_of_unknown_use": "SELECT key, calls_of_unknown_use FROM {}budget_accounts",
    "inbox.taken_seq": "SELECT r.id, i.taken_seq FROM {0}inbox AS i LEFT JOIN {0}runs AS r ON r.key = i.run "
    "WHERE i.taken_seq IS NOT NULL",
    "rules": "SELECT r.id, i.payload FROM {0}inbox AS i LEFT JOIN {0}runs AS r ON r.key = i.run "
    "WHERE i.payload LIKE '%ge:rules%'",
}


class State(BaseModel):
    word: Annotated[str, Secret] = CANARY
    heard: str = ""


def hears(new: str = "") -> Graph[State]:
    """Return a graph that starts a child run and receives two messages; its code depends on `new`."""

    async def hear(ctx: Context) -> str:
        await (await ctx.start(child)).result()
        return await ctx.receive("said", str) + await ctx.receive("said", str) + new

    search = ["input.heard", "output.heard"]
    child, graph = (Graph(name, State, secret_key=KEY, search=search) for name in ("child", "hears"))
    for made, function in ((child, lambda: new), (graph, hear)):
        made.add_node("hear", function, writes="heard")
        made.add_path(START, "hear", END)
    return graph


async def filled(runner: Runner) -> None:
    """Let each person have a run under new code, with a child, mail and a rule, and a call in flight in an account."""
    ledger = Ledger(runner.store)
    for who in PEOPLE:
        await runner.start(hears(who), run_id=f"{who}s", user=who, tenant=who).result()
        (info,) = [each for each in await runner.runs() if each.user == who and each.starter is None]
        await runner.send(info.id, "said", f"to {who}", idempotency_key=who)
        await runner.resume(info.id, hears(f"{who}2")).result()
        rule = {"code": info.code, "function": None, "answer": "same", "by": who}
        await runner.store.post(info.id, "message", {"topic": RULES, "payload": rule}, "rule")
        place = Place(Budget(name="b", window="hour", calls=9), who, 0.0)
        done: dict[AmountName, float] = {"cost_usd": 0.5, "tokens": 7.0}
        for call, facts in (("open", {}), ("done", done)):
            hold = make_hold(
                f"{info.id} {call}",
                {"calls": 1},
                run=info.id,
                nonce=info.nonce,
                asked={"cost_usd": 0.25, "tokens": 3.0},
            )
            assert await ledger.reserve([place], hold) is None
            if facts:
                await ledger.settle([place], hold, {"calls": 1}, estimated=facts, unknown_calls=1)


async def rows(runner: Runner, sql: str) -> list[tuple[Any, ...]]:
    """Return what a statement returns, in either database."""
    store: Any = runner.store
    is_file = hasattr(store, "path")
    text = sql.format("" if is_file else f"{store.address.schema}.")

    def read(connection: Any, _: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(text if is_file else text.encode()).fetchall()]

    return sorted(await store.read(read))


async def everything(runner: Runner) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every column."""
    return {name: await rows(runner, sql) for name, sql in {**ROWS, **OF_ALL}.items()}


def of(who: str, found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows of a person."""
    return [row for row in found if who in str(row[0])]


@pytest.fixture
async def full(database: Path | str) -> AsyncIterator[Runner]:
    """Yield a Runner over a database with two people's rows."""
    async with Runner(database) as runner:
        await filled(runner)
        yield runner


async def test_an_erased_user_is_in_none_of_them(full: Runner) -> None:
    """Every row of hers goes, and none of somebody else's; a body of code names nobody, and goes when no run has it."""
    before = await everything(full)
    await erase(full, "zora")
    after = await everything(full)
    for name in ROWS:
        assert of("zora", before[name]), name
        assert after[name] == [row for row in before[name] if row not in of("zora", before[name])], name
        assert of("bob", after[name]), name
    needed = {row[1] for name in ("runs.code", "earlier_codes") for row in after[name]}
    assert {row[0] for row in after["codes.body"]} == needed - {""}  # nobody asked for the code of the child runs


async def test_a_hold_of_a_shared_account_outlives_an_erased_run_until_its_room_is_needed(full: Runner) -> None:
    """Its account belongs to all, and the call counts as cut off."""
    info, ledger = await full.info("zoras"), Ledger(full.store)
    place = Place(Budget(name="shared", window="hour", calls=1), "", 0.0)
    hold = make_hold("a call", {"calls": 1}, run=info.id, nonce=info.nonce, asked={"tokens": 3.0})
    assert await ledger.reserve([place], hold) is None
    await erase(full, "zora")
    assert of("zora", await rows(full, ROWS["budget_holds.run"])) == [("zoras",)]
    refused = await ledger.reserve([place], make_hold("another", {"calls": 1}, run="bobs"))
    assert refused is not None
    assert refused.is_spent
    assert of("zora", await rows(full, ROWS["budget_holds.run"])) == []


async def test_a_caller_reads_those_of_the_own_tenant_alone(full: Runner) -> None:
    """What is of another tenant's run is as if it did not exist; budgets are no reads of runs."""
    infos = {who: await full.info(f"{who}s") for who in PEOPLE}
    read = CallersStore.of(full.store)
    with acting(Caller("bob", tenant="bob")):
        found = await read.info(infos["bob"].id)
        assert (found.nonce, found.code) == (infos["bob"].nonce, infos["bob"].code)
        assert await read.code(found.code) is not None
        assert await read.code(infos["zora"].code) is None
        assert {info.user for info in await read.runs()} == {"bob"}
        values = {row[3] for row in await rows(full, ROWS["run_fields"])}
        assert {info.user for info in await read.runs(fields={"output.heard": sorted(values)})} == {"bob"}
        (rule,) = [each for each in await read.inbox([info.id for info in infos.values()]) if each.kind == "message"]
        assert rule.payload["payload"]["by"] == "bob"
        for asked in (read.info, read.message_keys, read.steps, read.load):
            with pytest.raises(UnknownRun):
                await asked(infos["zora"].id)
        assert not hasattr(read, "accounts")
    with pytest.raises(InputError, match="begins with 'ge:'"):
        await full.send(infos["bob"].id, RULES, {})


async def test_none_of_them_has_a_secret(full: Runner) -> None:
    """Neither a value of a run nor the default of a field, which is in the code."""
    assert not [name for name, found in (await everything(full)).items() if CANARY in str(found)]


async def test_an_export_has_what_is_of_the_run(fresh: Fresh) -> None:
    """An import has the same nonces and codes, and the rule; holds, accounts and `taken_seq` are in no file."""
    with fresh() as here, fresh() as there:
        if here is None:
            return  # memory has no columns
        async with Runner(here) as runner:
            await filled(runner)
            before, runs = await everything(runner), [*await runner.runs()][::-1]
            files = [to_json_text(await export_run(runner.store, info.id), "1") for info in runs]
        for word in ("taken_seq", "asked_tokens", "estimated_tokens"):
            assert word not in str(files)
        async with Runner(there) as runner:
            for file in files:
                assert await import_run(runner.store, parse(file, "r.json"))
            after = await everything(runner)
        today = [(info.id, info.code) for info in runs]  # an import lists the newest code with the earlier ones
        after["earlier_codes"] = [row for row in after["earlier_codes"] if row not in today]
        for name in (*PER_RUN, "codes.body", "rules"):
            assert after[name] == before[name], name
        assert not [name for name in ROWS if name.startswith("budget_") and after[name]]
        last = {info.id: info.seq for info in runs}
        assert [row for row in after["inbox.taken_seq"] if row[1] == last[row[0]]] == after["inbox.taken_seq"] != []
