"""Searches for fields of inputs and results that a graph declares, and for fields of states."""

import json
import re
from decimal import Decimal
from typing import Annotated, Any

import pytest
from msgspec import UNSET
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, RunFailed, Runner, Secret
from graphengine.errors import InputError, RunNotResumable
from graphengine.kernel.store import Summary
from graphengine.records.export import BadExport, digest_of_content, export_run, parse, to_json_text
from graphengine.records.filling import fill_fields
from graphengine.records.search import wanted_of
from graphengine.records.selection import Found, Wanted, find_runs, list_absent_fields, newest, seen_lines
from graphengine.serve.callers import Caller, CallersStore, acting
from graphengine.state.searched import field_text

SEARCH = ("input.country", "input.amount", "output.status")
LONG = "x" * 300
KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


class State(BaseModel):
    country: str = "CH"
    amount: float = 0.0
    status: str = ""
    iban: Annotated[str, Secret] = "CH00"


def paying(*search: str) -> Graph[State]:
    """Return a graph that asks, overwrites a field of its input, and pays."""

    async def ask(ctx: Context) -> str:
        return await ctx.ask("Pay?", str)

    graph = Graph("pay", State, search=search, secret_key=KEY)
    graph.add_node("ask", ask, writes="status")
    graph.add_node("move", lambda: "XX", writes="country")
    graph.add_path(START, "ask", "move", END)
    return graph


async def paid(runner: Runner, run_id: str, graph: Graph[State], answer: str = "paid", **given: Any) -> None:
    """Let a run of a graph finish."""
    place = {name: given.pop(name) for name in ("tenant", "user") if name in given}
    await runner.start(graph, State(**given), run_id=run_id, **place).result()
    await runner.answer(run_id, answer)
    await runner.resume(run_id, graph).result()


async def find(runner: Runner, search: str, limit: int = 50) -> Found:
    """Return what a search finds."""
    return await find_runs(runner.store, wanted_of(search, Wanted(limit)))


async def ids(runner: Runner, search: str) -> list[str]:
    """Return the ids of what a search finds."""
    return [info.id for info in (await find(runner, search)).runs]


async def test_a_run_is_found_by_its_input_and_its_result(runner: Runner) -> None:
    """By the input from its begin on, whatever nodes write later; by the result once it has finished."""
    graph = paying(*SEARCH)
    await paid(runner, "a", graph, amount=7)
    await paid(runner, "b", graph, "refused", country="DE", amount=12.5, tenant="acme")
    await runner.start(graph, State(country="DE"), run_id="c").result()
    assert await ids(runner, "input.country=DE") == ["c", "b"]
    assert await ids(runner, "input.country=DE tenant:acme") == ["b"]
    assert await ids(runner, "input.country=DE pay status:waiting") == ["c"]
    assert await ids(runner, "input.country=DE output.status=refused") == ["b"]
    assert await ids(runner, "input.country=XX") == await ids(runner, "output.status=nothing") == []
    assert await ids(runner, "output.status!=paid") == ["b"]
    for seven in ("7", "7.0", "7e0"):
        assert await ids(runner, f"input.amount={seven}") == ["a"]
    assert await ids(runner, "input.amount<12.5") == ["c", "a"]
    assert await ids(runner, "input.amount<=12.5 input.amount>=7") == ["b", "a"]
    assert [info.id for info in await runner.runs('input.country="DE"', limit=1)] == ["c"]
    done = await runner.admin.bulk("stop", "input.country=DE")
    assert (done.runs, done.unseen, done.looked_at) == (["c"], 0, UNSET)
    assert await ids(runner, "input.country=DE status:stopped") == ["c"]
    assert (await runner.admin.trends("input.country=DE")).trends[0].runs == 2


async def test_a_reason_can_have_any_character(runner: Runner) -> None:
    """A run with fields fails or waits whatever its reason is, and is filled; backslashes stay what they are."""
    odd = 'bad \0\0 \\\0 \\u0000 "fields":{"input.country":"XX"}'

    async def ask(ctx: Context, country: str) -> str:
        if country.startswith("fail"):
            raise ValueError(odd)
        return await ctx.ask(odd, str)

    graphs = [Graph("odd", State, search=search, secret_key=KEY) for search in ([], ["input.country"])]
    for number, graph in enumerate(graphs):
        graph.add_node("ask", ask, writes="status")
        graph.add_path(START, "ask", END)
        await runner.start(graph, State(country="wait\\u0000"), run_id=f"waits-{number}").result()
        with pytest.raises(RunFailed):
            await runner.start(graph, State(country="fail\\\0"), run_id=f"fails-{number}").result()
    assert len((await runner.admin.bulk("fill", "graph:odd", graphs=graphs[1:])).runs) == 2
    for search, status in (("wait\\u0000", "waiting"), ("fail\\", "failed")):
        found = (await find(runner, f"input.country={search}")).runs
        assert [(info.status, info.summary and info.summary.fields) for info in found] == [
            (status, {"input.country": search})
        ] * 2
    assert await ids(runner, "input.country=XX") == []


async def test_fields_are_kept_by_later_processes(fresh: Any) -> None:
    """A run that waits, a stop without its process, and a branch keep the fields of the input."""
    with fresh() as database:
        if database is None:
            return
        async with Runner(database) as first:
            for run_id in ("a", "b"):
                await first.start(paying(*SEARCH), State(country="DE"), run_id=run_id).result()
        async with Runner(database) as second:
            await second.stop("b")
            await second.answer("a", "paid")
            await second.resume("a", paying(*SEARCH)).result()
            await second.branch("a", paying(*SEARCH), at=1, run_id="c").result()
            assert await ids(second, "input.country=DE") == ["c", "b", "a"]
            assert await ids(second, "input.country=DE output.status=paid") == ["a"]


async def test_a_branch_with_a_changed_input_is_found_by_that_input(runner: Runner) -> None:
    """The fields that the branch does not change are those of its parent's input. Filling finds the same."""
    graph = paying(*SEARCH)
    await runner.start(graph, State(country="DE", amount=3), run_id="a").result()
    await runner.answer("a", "paid")
    await runner.resume("a", graph).result()
    await runner.branch("a", graph, at=1, update={"country": "FR"}, run_id="b").result()
    await runner.branch("b", graph, at=2, update={"amount": 5}, run_id="c").result()
    expected = {"country=DE": ["a"], "country=FR": ["c", "b"], "amount=3": ["b", "a"], "amount=5": ["c"]}
    assert {each: await ids(runner, f"input.{each}") for each in expected} == expected
    assert await ids(runner, "input.country=XX") == []
    more = paying(*SEARCH, "input.status")
    assert (await runner.admin.bulk("fill", "graph:pay", graphs=[more])).runs == ["c", "b", "a"]
    assert {each: await ids(runner, f"input.{each}") for each in expected} == expected


async def test_a_search_says_which_runs_it_has_not_seen(runner: Runner) -> None:
    """Those of before `search=`, of the tenant; filling finds them, and a removed run is no longer found."""
    await paid(runner, "old", paying(), country="DE", tenant="acme")
    await runner.start(paying(), run_id="waits", tenant="acme").result()
    assert (await find(runner, "input.country=DE")).unseen is None  # no run has this field
    graph = paying(*SEARCH)
    await paid(runner, "new", graph, country="DE", tenant="zoo")
    found = await find(runner, "input.country=DE")
    assert ([info.id for info in found.runs], found.unseen, found.looked_at) == (["new"], 2, UNSET)
    assert (await find(runner, "output.status=paid")).unseen == 1  # what waits has no result
    assert (await find(runner, "input.country=DE status:finished")).unseen == 1
    for tenant, unseen in (("acme", 2), ("zoo", 0)):
        with acting(Caller("who", tenant=tenant)):
            store = CallersStore.of(runner.store)
            assert (await find_runs(store, wanted_of("input.country=DE", Wanted(9)))).unseen == unseen
    wanted = await runner.admin.bulk("fill", "graph:pay", graphs=[graph], dry_run=True)
    assert [*wanted.runs] == ["waits", "old"]
    assert [*(await runner.admin.bulk("fill", "graph:pay", graphs=[graph])).runs] == ["waits", "old"]
    assert (await runner.admin.bulk("fill", "graph:pay", graphs=[graph])).runs == []
    found = await find(runner, "input.country=DE")
    assert ([info.id for info in found.runs], found.unseen) == (["new", "old"], 0)
    assert await ids(runner, "input.country=CH output.status!=paid") == []
    await runner.resume("waits", graph).result()
    assert await ids(runner, "input.country=CH") == ["waits"]
    await runner.admin.bulk("prune", "input.country=DE")
    assert (await find(runner, "input.country=DE"))[::2] == ([], 0)


async def test_filling_keeps_what_is_recorded(runner: Runner) -> None:
    """The result of a run that finishes meanwhile, and fields that the graph no longer declares."""
    await runner.start(paying(*SEARCH), run_id="a").result()
    seen = await runner.store.info("a")
    await runner.answer("a", "paid")
    await runner.resume("a", paying(*SEARCH)).result()
    with pytest.raises(RunNotResumable, match="has just driven it"):
        await fill_fields(runner.store, seen, paying(*SEARCH, "input.status"))
    assert await ids(runner, "output.status=paid") == ["a"]
    assert (await runner.admin.bulk("fill", "graph:pay", graphs=[paying("input.status")])).runs == ["a"]
    assert await ids(runner, "output.status=paid input.country=CH") == ["a"]


async def test_a_field_of_a_state_is_looked_for_in_the_newest_runs(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search says in how many, and never compares a secret field."""
    for number in range(4):
        await runner.start(paying(), State(amount=number), run_id=f"r{number}").result()
    found = await find(runner, "state.amount<2")
    assert ([info.id for info in found.runs], found.looked_at, found.unseen) == (["r1", "r0"], 4, UNSET)
    monkeypatch.setattr("graphengine.records.selection.NEWEST", 3)
    found = await find(runner, "state.amount<2")
    assert ([info.id for info in found.runs], found.looked_at) == (["r1"], 3)
    assert (await find(runner, "state.amount>=0", limit=2)).looked_at == 2
    for search in ("state.iban!=x", "state.iban=CH00", "state.iban>A", "state.nothing!=x"):
        assert await ids(runner, search) == []
    assert len(await newest(runner.store, wanted_of("state.iban!=x", Wanted(9)))) == 0


async def test_a_filter_is_one_word_and_all_of_them_count(runner: Runner) -> None:
    """What another filter has in quotes is no field; a text can be empty; trends and lists agree."""
    for run_id, country in (("a", ""), ("b", "CH")):
        await runner.start(paying(*SEARCH), State(country=country), run_id=run_id).result()
    assert wanted_of('tag:"x state.n=7" input.country=""', Wanted(1)).tag == "x state.n=7"
    assert await ids(runner, 'input.country=""') == await ids(runner, 'state.country=""') == ["a"]
    assert await ids(runner, 'input.country!=""') == ["b"]
    for search, runs in (("input.country=CH input.amount=0.0", 1), ('input.country=CH input.country=""', 0)):
        assert len(await ids(runner, search)) == runs
        assert sum(each.runs for each in (await runner.admin.trends(search)).trends) == runs


async def test_a_search_names_the_fields_that_no_run_has(runner: Runner) -> None:
    """These, and not those beside them."""
    await runner.start(paying(*SEARCH), run_id="a").result()
    wanted = wanted_of("input.country=CH input.contry=CH state.a=7", Wanted(9))
    unknown = await list_absent_fields(runner.store, wanted)
    assert unknown == ["input.contry"]
    assert (await find_runs(runner.store, wanted)).unseen is None
    assert "field input.contry" in seen_lines(0, None, unknown)[-1]


async def test_a_file_has_fields_as_runs_record_them(runner: Runner) -> None:
    """Any others are refused, and not left to the database."""
    await runner.start(paying(*SEARCH), State(country=LONG), run_id="a").result()
    content = json.loads(to_json_text(await export_run(runner.store, "a"), "1"))
    assert parse(json.dumps(content), "a.json").info.id == "a"
    many = {f"input.{number}": "" for number in range(1000)}
    for fields in ({"input.a": "x\0"}, {"input.a": "x" * 3000}, {"": "x"}, {"input.\0": "x"}, {"other": "x"}, many):
        content["run"]["fields"] = fields
        content["digest"] = digest_of_content({name: part for name, part in content.items() if name != "digest"})
        with pytest.raises(BadExport, match="the search fields of the run"):
            parse(json.dumps(content), "a.json")


NO_FIELDS = (
    "input.=CH", "input=CH", "state=7", "state.a..b=7", "input.country=", "output.<7", "input.\0=7", "input.\ud800=7"
)  # fmt: skip


@pytest.mark.parametrize("search", NO_FIELDS)
def test_a_search_names_a_field_and_a_value(search: str) -> None:
    """Anything else is refused, and no search for words."""
    with pytest.raises(InputError, match=r"does not name a field|has no value to compare"):
        wanted_of(search, Wanted(1))
    assert wanted_of("state of input.country", Wanted(1)).text == "state of input.country"


VALUES = {
    "n": 12, "half": 0.5, "yes": True, "none": None, "day": "2026-01-31", "long": LONG, "big": 10**17 + 1,
    "float": 1e17, "huge": 1e300, "tiny": 1e-7, "zip": "0700", "version": "1.10", "minus": -0.0, "vast": 10**5000,
    "none_of": float("nan"),
}  # fmt: skip
TRUE = (
    "n=12", "n>9.5", "n!=9", "half<1", "half=.5", "yes=true", "none=null", "day<2026-02", f"long={LONG}", "n<=12.0",
    f"long>={LONG}", f"long!={LONG[1:]}y", "long<y", "big=100000000000000001", "big>1e17", "big!=1e17", "float=1e17",
    "float=100000000000000000", "float<100000000000000001", "huge=1e300", "huge<=1E+300", "huge>5", "tiny=0.0000001",
    "tiny=1e-7", "zip=0700", "zip!=700", "version=1.10", "version!=1.1", "minus=0", "minus=-0", "minus>=0",
    "none_of=NaN", "n<1e999999999", "n!=1e99999999999999999999",
)  # fmt: skip
FALSE = (
    "n<9.5", "n>a", "day>5", "none<5", "none!=null", "other!=5", "yes=1", f"long={LONG[1:]}y", "n=1_2", "n=inf",
    "big=1e17", "big<=1e17", "zip=700", "minus<0", "n>nan",
)  # fmt: skip


@pytest.mark.parametrize(("search", "is_so"), [*((each, True) for each in TRUE), *((each, False) for each in FALSE)])
def test_the_sign_of_equality_means_values(search: str, *, is_so: bool) -> None:
    """Numbers compare as numbers, other values as texts, and a missing value with nothing but itself."""
    name, sign, typed = re.split("([<>=!]+)", search)
    summary = Summary(fields={each: field_text(value) for each, value in VALUES.items()})
    assert max(map(len, summary.fields.values())) < 250
    assert summary.field_is(name, sign, typed) is is_so
    assert (summary.fields.get(name) in Summary.texts_meant(typed)) is is_so or sign != "="
    assert name not in VALUES or Summary.value_is(VALUES[name], sign, typed) is is_so


def test_the_end_of_a_long_text_counts() -> None:
    """Where the database has only its digest, no order is claimed."""
    recorded, typed = LONG + "a", LONG + "b"
    summary = Summary(fields={"long": field_text(recorded)})
    for sign, kept, whole in (("=", False, False), ("!=", True, True), ("<", False, True), (">=", False, False)):
        assert (summary.field_is("long", sign, typed), Summary.value_is(recorded, sign, typed)) == (kept, whole)


class Part(BaseModel):
    cost: Decimal
    code: str = "7.00"


class Priced(BaseModel):
    price: Decimal | None = None
    url: str = ""
    part: Part | None = None


async def test_decimals_and_long_texts_are_found_exactly(runner: Runner) -> None:
    """The index finds equal numbers, and only runs whose whole text is the same."""
    graph = Graph("priced", Priced, search=["input.price", "input.url"])
    graph.add_node("ask", asked)
    graph.add_path(START, "ask", END)
    for run_id in ("a", "b"):
        price = Decimal("7.00")
        await runner.start(graph, Priced(price=price, url=LONG + run_id, part=Part(cost=price)), run_id=run_id).result()
    for search in ("input.price=7", "input.price=7.0", "input.price>=7 input.price<=7", "input.price!=8"):
        for scope in ("input", "state"):
            assert await ids(runner, search.replace("input", scope)) == ["b", "a"]
    assert await ids(runner, "state.part.cost=7") == ["b", "a"]
    for search in ("state.price!=7", "state.part.code=7", "state.part.cost=8", "state.url=7"):
        assert await ids(runner, search) == []
    for name in ("input", "state"):
        assert await ids(runner, f"{name}.url={LONG}a") == ["a"]
        assert await ids(runner, f"{name}.url!={LONG}a") == ["b"]
    assert (await runner.admin.bulk("cancel", f"input.url={LONG}a")).runs == ["a"]


async def asked(ctx: Context) -> None:
    """Wait."""
    await ctx.ask("Pay?", str)
