"""What failed runs have in common: bugs that are planted in small graphs, and failures that have nothing in common."""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, Secret
from graphengine.models.hiding import contains_secrets
from graphengine.records import in_common, standing_out
from graphengine.records.in_common import InCommon, load_in_common
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted
from graphengine.records.standing_out import Arrival, find_shared_features
from graphengine.runner import RunFailed
from graphengine.serve.callers import Caller, CallersStore, acting

RATES = {"DE": 19.0, "FR": 20.0, "IT": 22.0, "US": 0.0}


class Order(BaseModel):
    """What each run is started with, and what its nodes write."""

    number: int
    country: str
    total: Any
    due: str
    name: str
    parts: list[dict[str, Any]]
    rates: dict[str, Any] = {}
    answer: str = ""
    answers: list[float] = []
    key: str = ""


def draw_order(chance: random.Random, number: int) -> dict[str, Any]:
    """Return an input as it comes: of several countries, times and names, with some texts for numbers."""
    return {
        "number": number,
        "country": chance.choice(["CH", "DE", "FR", "IT", "US"]),
        "total": chance.choice([float, str])(round(chance.uniform(1, 2000), 2)),
        "due": f"2026-0{chance.randint(1, 9)}-{chance.randint(10, 28)}T10:0{chance.randint(0, 9)}:00"
        + chance.choice(["", "Z", "+09:00"]),
        "name": chance.choice(["Ann Lee", "Bob Ray", "Zoë Muñoz", "Åse Dahl", "Eve Day"]),
        "parts": [
            {"sku": f"s{chance.randint(1, 99)}"} | chance.choice([{}, {"weight": chance.randint(1, 9)}])
            for _ in range(chance.randint(1, 4))
        ],
    }


def tool_answer(order: dict[str, Any]) -> dict[str, Any]:
    """Return what a service says, which has had a field more for some since today."""
    is_new = sha256(f"{order['number']}".encode()).digest()[0] % 4 == 0
    return {"net": order["number"]} | ({"surcharge": {"code": "x"}} if is_new else {})


def sum_of(rates: Mapping[str, Any]) -> float:
    """Return the sum of what a service says."""
    return float(sum(rates.values()))


def chance_of(order: Order) -> bool:
    """Return what no field shows."""
    return sha256(f"{order.number} {order.name}".encode()).digest()[5] % 4 == 0


def fail_if(order: object) -> None:
    """Fail with a message that names nothing."""
    if order:
        raise RuntimeError("charging failed")


PLANTED: Mapping[str, tuple[Callable[[Order], object], str]] = {
    "missing value": (lambda o: RATES[o.country], "country = CH"),
    "missing key": (lambda o: [part["weight"] for part in o.parts], "parts[].weight missing"),
    "type": (lambda o: o.total * 1.5, "total is a text"),
    "time zone": (lambda o: datetime.fromisoformat(o.due) < datetime.now(UTC), "due without a time zone"),
    "the tool's new field": (lambda o: sum_of(o.rates), "rates.surcharge present"),
    "threshold": (lambda o: fail_if(float(o.total) > 1500), "total ≥ 15"),
    "letters": (lambda o: o.name.encode("ascii"), "name with letters beyond ASCII"),
    "chance": (lambda o: fail_if(chance_of(o)), ""),
    "every seventh": (lambda o: fail_if(o.number % 7 == 3), ""),
}


def shop(rule: Callable[[Order], object]) -> Graph[Order]:
    """Return a graph whose second node has a bug."""

    async def charge(state: Order) -> str:
        rule(state)
        return "charged"

    graph = Graph("shop", Order)
    graph.add_node("ask", lambda state: tool_answer(state.model_dump()), writes="rates", thread=False)
    graph.add_node("charge", charge, writes="key")
    graph.add_path(START, "ask", "charge", END)
    return graph


async def run_all(runner: Runner, graph: Graph[Any], inputs: list[dict[str, Any]], **place: Any) -> None:
    """Run a graph with each input; some runs fail."""
    for each in inputs:
        with suppress(RunFailed):
            await runner.start(graph, each, **place).result()


async def shared(runner: Runner, search: str = "") -> InCommon:
    """Return what failed runs have in common."""
    return await load_in_common(runner.store, wanted_of(search, Wanted(0)), contains_secrets)


@pytest.mark.parametrize("bug", PLANTED)
async def test_the_field_of_a_planted_bug_is_named(runner: Runner, bug: str) -> None:
    """First of all that stands out, with the number of each side; failures without a cause name no field."""
    rule, expected = PLANTED[bug]
    chance = random.Random(bug)  # noqa: S311 - no secret
    graph, inputs = shop(rule), [draw_order(chance, number) for number in range(70)]
    await run_all(runner, graph, inputs)
    found = await shared(runner)
    assert (found.graph, found.node, found.failed + found.others) == ("shop", "charge", 70)
    assert found.until >= found.since > 0
    if not expected:
        assert not found.features
        assert "nothing stands out" in found.text
        return
    best = found.features[0]
    assert best.text.startswith(expected)
    assert (best.failed, best.others) == (found.failed, 0)
    assert found.text.startswith(f"at charge, {found.failed} of {found.failed} failed had {best.text}; of the")
    assert "others that came there, none" in found.text
    assert found.sample == (
        f"compared: the {found.failed} newest of {found.failed} failed runs that were read, "
        f"and {found.others} of {found.others} others that were read"
    )


async def test_what_a_changed_prompt_makes_is_named(runner: Runner) -> None:
    """Under the new version every run fails; beside those of the version before, the form of the answer stands out."""

    def writing(prompt: str) -> Graph[Order]:
        model = ScriptedModel(lambda request: "twelve francs" if "words" in request.messages[0].text else "12")
        graph = Graph("shop", Order)
        graph.add_node("price", Agent("pricer", prompt=prompt, model=model), writes="answer")
        graph.add_node("charge", lambda answer: str(float(answer)), writes="key", thread=False)
        graph.add_path(START, "price", "charge", END)
        return graph

    chance = random.Random(3)  # noqa: S311 - no secret
    await run_all(runner, writing("The price of {name}?"), [draw_order(chance, number) for number in range(20)])
    await run_all(
        runner, writing("The price of {name}, in words?"), [draw_order(chance, number) for number in range(9)]
    )
    found = await shared(runner)
    assert (found.failed, found.others, found.features[0].place) == (9, 20, "answer")
    assert not found.features[0].is_given


async def test_what_a_call_of_the_visit_returned_is_compared(runner: Runner) -> None:
    """Also if the field is in no state; whether a later call was made shows only how far the visit came."""

    async def rate(number: int) -> dict[str, Any]:
        return tool_answer({"number": number})

    async def charge(ctx: Context, number: int) -> str:
        found = await ctx.call(rate, number)
        return await ctx.call(str, sum_of(found))

    graph = Graph("shop", Order)
    graph.add_node("charge", charge, writes="key")
    graph.add_path(START, "charge", END)
    chance = random.Random(4)  # noqa: S311 - no secret
    await run_all(runner, graph, [draw_order(chance, number) for number in range(60)])
    assert [each.text for each in (await shared(runner)).features] == ["rate().surcharge present"]


async def test_fewer_than_five_of_a_side_say_nothing(runner: Runner) -> None:
    """The sentence says how many there are."""
    chance = random.Random(5)  # noqa: S311 - no secret
    inputs = [draw_order(chance, number) | {"country": "CH" if number < 4 else "DE"} for number in range(30)]
    await run_all(runner, shop(PLANTED["missing value"][0]), inputs)
    found = await shared(runner)
    assert (found.failed, found.others, list(found.features)) == (4, 26, [])
    assert "4 runs failed and 26 went through: at least 5 of each are needed" in found.text


async def test_older_versions_follow_where_a_version_only_fails(tmp_path: Path) -> None:
    """The runs of the version itself that came there are counted once."""
    chance = random.Random(8)  # noqa: S311 - no secret
    inputs = [draw_order(chance, number) | {"country": "DE"} for number in range(30)]
    for version, orders, fails in (("v1", inputs[:20], False), ("v2", inputs[:2], False), ("v2", inputs[20:], True)):
        async with Runner(tmp_path / "runs.db", deploy=version) as runner:
            await run_all(runner, shop(lambda _, fails=fails: fail_if(fails)), orders)  # type: ignore[misc]
    async with Runner(tmp_path / "runs.db") as runner:
        found = await shared(runner, "version:v2")
    assert (found.failed, found.others, list(found.features)) == (10, 22, [])
    assert found.sample.endswith("and 22 of 22 others that were read")


async def test_the_sample_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of runs of each side, and by the bytes of their values; the answer names what was read."""
    chance = random.Random(9)  # noqa: S311 - no secret
    inputs = [draw_order(chance, number) | {"country": "CH" if number % 2 else "DE"} for number in range(60)]
    async with Runner() as runner:
        await run_all(runner, shop(PLANTED["missing value"][0]), inputs)
        monkeypatch.setattr(in_common, "_FAILED", 12)
        monkeypatch.setattr(in_common, "_OTHERS", 15)
        found = await shared(runner)
        assert (found.failed, found.is_cut) == (12, True)
        assert found.sample == (
            "compared: the 12 newest of 12 failed runs that were read, and 15 of 15 others that were read"
        )
        monkeypatch.setattr(in_common, "_BYTES", 3_000)
        fewer = await shared(runner)
        assert 0 < fewer.failed < 12
        assert 0 < fewer.others < 15
        assert fewer.is_cut


async def test_an_item_that_failed_is_compared_with_items_that_went_through(runner: Runner) -> None:
    """The values of an item exist only while a map runs, which separates the sides and explains nothing.

    That the list contains the value too is not said again.
    """

    def weigh(part: dict[str, Any]) -> int:
        return RATES[part["sku"]] and part["weight"]  # type: ignore[return-value]

    graph = Graph("shop", Order)
    graph.add_node("weigh", weigh, each={"part": "parts"}, writes="answers", thread=False)
    graph.add_path(START, "weigh", END)
    chance = random.Random(12)  # noqa: S311 - no secret
    inputs = [
        draw_order(chance, number)
        | {"parts": [{"sku": chance.choice(["DE", "DE", "FR", "NO"]), "weight": 2} for _ in range(2)]}
        for number in range(60)
    ]
    await run_all(runner, graph, inputs)
    found = await shared(runner)
    assert (found.node, found.failed + found.others) == ("weigh", 60)
    assert [each.text for each in found.features] == ["part.sku = NO"]


class Hidden(BaseModel):
    """A state with a secret that decides."""

    number: int
    token: Annotated[str, Secret]
    copy_of: str = ""
    done: bool = False


async def test_a_secret_field_shows_in_nothing(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does a text that has a secret of the environment, though both separate the two sides exactly."""
    monkeypatch.setenv("SHOP_API_KEY", "hunter22hunter")

    async def charge(token: str) -> bool:
        fail_if(token.startswith("bad"))
        return True

    graph = Graph("hidden", Hidden, secret_key="8f2c9e41d07b6a35c1e8f94a7d20b6c3-shop")  # noqa: S106 - a test key
    graph.add_node("charge", charge, writes="done")
    graph.add_path(START, "charge", END)
    inputs = [
        {
            "number": number,
            "token": f"{'bad' if number % 2 else 'good'}-{number}-token",
            "copy_of": "key hunter22hunter" if number % 2 else "",
        }
        for number in range(40)
    ]
    await run_all(runner, graph, inputs)
    found = await shared(runner)
    assert (found.failed, found.others, list(found.features)) == (20, 20, [])
    assert "hunter" not in found.text


async def test_a_public_value_that_contains_a_secret_is_not_described(runner: Runner) -> None:
    """Whoever copied a secret to a public field, as a text or as a number; shorter values are compared as ever."""

    class Copied(BaseModel):
        pin: Annotated[str, Secret]
        memo: str
        digits: int
        country: str
        done: bool = False

    async def charge(pin: str) -> bool:
        fail_if(pin.startswith("9"))
        return True

    graph = Graph("copied", Copied, secret_key="8f2c9e41d07b6a35c1e8f94a7d20b6c3-shop")  # noqa: S106 - a test key
    graph.add_node("charge", charge, writes="done")
    graph.add_path(START, "charge", END)
    pins = [f"{9 if number % 2 else 1}1{number:02}345" for number in range(40)]
    given = [
        {"memo": f"pin {pin}" if pin[0] == "9" else "the pin is long", "digits": int(pin), "country": "FR"}
        for pin in pins
    ]
    await run_all(runner, graph, [{"pin": pin} | each for pin, each in zip(pins, given, strict=True)])
    assert list((await shared(runner)).features) == []
    same = [
        {"pin": pin} | each | {"country": "CH" if pin[0] == "9" else "DE"}
        for pin, each in zip(pins, given, strict=True)
    ]
    await run_all(runner, graph, same, tags=["again"])
    assert [each.text for each in (await shared(runner, "tag:again")).features] == ["country = CH"]


async def test_only_the_runs_of_the_caller_are_compared(runner: Runner) -> None:
    """Those of another tenant change no number and no word of the answer."""
    graph, chance = shop(PLANTED["missing value"][0]), random.Random(6)  # noqa: S311 - no secret
    inputs = [draw_order(chance, number) for number in range(40)]
    await run_all(runner, graph, inputs, tenant="acme")
    store = CallersStore.of(runner.store)

    async def seen(tenant: str | None) -> InCommon:
        with acting(Caller("ann", tenant)):
            return await load_in_common(store, wanted_of("", Wanted(0)), contains_secrets)

    alone = await seen("acme")
    await run_all(runner, graph, [each | {"country": "DE", "total": 1} for each in inputs], tenant="globex")
    fails = shop(lambda order: fail_if(order.country == "IT"))
    await run_all(runner, fails, [each | {"name": "Mallory"} for each in inputs], tenant="globex")
    assert await seen("acme") == alone
    assert (await seen("nobody")).text == "no run failed"
    assert (await seen(None)).others > alone.others


# --- The comparison itself --------------------------------------------------------------------------------------------


def arrivals(number: int, draw: Callable[[random.Random, int], Mapping[str, Any]], seed: object) -> list[Arrival]:
    """Return runs as they came to a node."""
    chance = random.Random(str(seed))  # noqa: S311 - no secret
    return [Arrival(draw(chance, each), at=each) for each in range(number)]


def test_chance_alone_names_hardly_ever_a_field() -> None:
    """Of 200 samples whose failures have no cause, at most one in a hundred names one."""
    named = 0
    for seed in range(200):
        runs, chance = arrivals(60, draw_order, seed), random.Random(seed)  # noqa: S311 - no secret
        failed = [each for each in runs if chance.random() < 0.3]
        named += bool(find_shared_features(failed, [each for each in runs if each not in failed]))
    assert named <= 2


def test_what_changes_with_time_alone_is_no_cause() -> None:
    """All others began before the failed runs: numbers, days and given values separate them, and are not named."""
    runs = arrivals(60, lambda _, at: {"number": at, "day": f"2026-01-{1 + at // 2:02}", "lot": f"L{at // 30}"}, 1)
    assert not find_shared_features(runs[30:], runs[:30])
    both = [Arrival({**each.values, "lot": None if each.at >= 30 else "x"}, at=each.at) for each in runs]
    assert [each.text for each in find_shared_features(both[30:], both[:30])] == ["lot is null"]


def test_a_given_value_precedes_what_came_of_it() -> None:
    """Both separate the sides equally; the value that the caller gave is named first, and the other beside it."""

    def draw(chance: random.Random, _: int) -> Mapping[str, Any]:
        country = chance.choice(["CH", "DE", "FR"])
        return {"currency": "CHF" if country == "CH" else "EUR", "country": country}

    runs = [Arrival(each.values, ("currency",), each.at) for each in arrivals(60, draw, 2)]
    failed = [each for each in runs if each.values["country"] == "CH"]
    found = find_shared_features(failed, [each for each in runs if each not in failed])
    assert [(each.text, each.is_given) for each in found] == [("country = CH", True), ("currency = CHF", False)]


@pytest.mark.parametrize(
    ("failing", "passing", "expected"),
    [
        ([103_001.5, 210_000.25], [98_200.25, 12.5], "x ≥ 100000"),
        ([-8.11, -900.5], [3.7, 50.0], "x ≤ 0"),
        ([11.81, 2.5], [12.44, 90.0], "x ≤ 12"),
        ([0.0312, 0.9], [0.0291, 0.01], "x ≥ 0.03"),
        ([5, 9], [4, 1], "x ≥ 5"),
        ([[1] * 7, [1] * 9], [[1] * 6, []], "length of x ≥ 7"),
        (["a" * 126, "b" * 140], ["c" * 97, "d" * 20], "characters in x ≥ 100"),
        (["2026-01-31", "2026-01-03"], ["2026-02-01", "2026-05-01"], "date of x ≤ 2026-01-31"),
        (
            ["2026-03-02T09:41:07Z", "2026-04-02T09:00:00Z"],
            ["2026-03-01T22:10:00Z", "2026-02-01T09:00:00Z"],
            "time of x ≥ 2026-03-02T00:00+00:00",
        ),
    ],
)
def test_a_bound_is_the_roundest_value_between_sides(failing: list[Any], passing: list[Any], expected: str) -> None:
    """For numbers, lengths and times."""
    by_run = {number: [value] for number, value in enumerate(failing + passing)}
    found = [each.text for each in standing_out._iter_thresholds("x", by_run) if each.runs == 0b11]  # noqa: SLF001
    assert expected in found


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_a_bound_lies_between_both_sides(amount: float, outside: float) -> None:
    """It may be the value of the failed run, and is never the other."""
    if amount != outside:
        bound = float(standing_out._format_bound("{} {} {}", amount, outside))  # noqa: SLF001
        assert outside < bound <= amount or amount <= bound < outside


def test_the_first_digit_of_a_text_is_named() -> None:
    """A leading zero is a cause of its own, also if nearly all such texts are longer; other digits are too."""

    def draw(chance: random.Random, at: int) -> Mapping[str, Any]:
        zero = chance.choice(["", "", "", "0"])
        return {"at": at, "code": f"{zero}{chance.randint(10_000, 99_999)}", "share": f"0.{chance.randint(1, 9)}"}

    runs = arrivals(150, draw, 13)
    for first, length in (("0", 6), ("7", 5)):
        failed = [each for each in runs if str(each.values["code"]).startswith(first)]
        others = [each for each in runs if each not in failed]
        assert {len(str(each.values["code"])) for each in failed} == {length}
        assert find_shared_features(failed, others)[0].text == f"code begins with {first}"


@pytest.mark.parametrize(
    ("blanks", "expected"),
    [
        ([{"nick": None}, {"nick": ""}], "nick is null or empty"),
        ([{}, {"nick": None}, {"nick": []}], "nick is missing, null or empty"),
        ([{}, {"nick": None}], "nick is missing or null"),
    ],
)
def test_a_value_that_is_absent_in_several_ways_is_named(blanks: list[dict[str, Any]], expected: str) -> None:
    """No way alone is in all failed runs; a way in which no run failed is not part of the feature."""
    runs = arrivals(
        90, lambda chance, at: {"at": at, **chance.choice([*blanks, {"nick": "x"}, {"nick": "yy"}])}, expected
    )
    failed = [each for each in runs if not each.values.get("nick")]
    others = [each for each in runs if each not in failed]
    if {"nick": ""} not in blanks:
        others += [Arrival({"at": 100 + each, "nick": ""}, at=each) for each in range(9)]
    found = find_shared_features(failed, others)
    assert found[0].text == expected
    assert found[0].failed == len(failed)


def test_the_field_that_tells_members_of_a_union_apart_is_named() -> None:
    """Alone: which other fields an object has follows from that field."""

    def draw(chance: random.Random, number: int) -> Mapping[str, Any]:
        photo = {"kind": "photo", "url": f"{number}.jpg", "pixels": chance.randint(1, 99)}
        pdf = {"kind": "pdf", "url": f"{number}.pdf", "pages": chance.randint(1, 9)}
        witness = {"kind": "witness", "about": "car", "name": chance.choice(["Jo", "Sam"])}
        return {"evidence": chance.choice([photo, photo, pdf, witness]), "amount": chance.randint(1, 999)}

    runs = arrivals(120, draw, 9)
    failed = [each for each in runs if each.values["evidence"]["kind"] == "witness"]  # type: ignore[index]
    others = [each for each in runs if each not in failed]
    for message in ("", "AttributeError: no url"):
        found = find_shared_features(failed, others, message=message)
        assert [each.text for each in found] == ["evidence.kind = witness"]
    optional = [
        Arrival({"evidence": {"kind": "b", **({"url": "x"} if each % 3 else {})}}, at=each) for each in range(60)
    ]
    found = find_shared_features(
        [each for each in optional if "url" in each.values["evidence"]],  # type: ignore[operator]
        [each for each in optional if "url" not in each.values["evidence"]],  # type: ignore[operator]
    )
    assert [each.text for each in found] == ["evidence.url present"]


def test_a_group_of_values_is_named() -> None:
    """Where no single value is in all failed runs."""
    runs = arrivals(120, draw_order, 7)
    failed = [each for each in runs if each.values["country"] in ("CH", "US")]
    found = find_shared_features(failed, [each for each in runs if each not in failed])
    assert found[0].text == "country = one of CH, US"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([400, 5000]).map(lambda digits: 10**digits)
    | st.sampled_from(["[" * 1500, "{" * 3000])
    | st.datetimes(timezones=st.none() | st.timezones()).map(lambda time: time.isoformat())
    | st.sampled_from(["0001-01-01", "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00+01"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=10, max_size=14))
def test_any_values_can_be_compared(values: list[Any]) -> None:
    """Whatever is recorded, the comparison ends, and secrets are looked for in all of it."""
    runs = [Arrival({"value": value, "number": at}, at=at % 5) for at, value in enumerate(values)]
    find_shared_features(runs[:5], runs[5:], hides=contains_secrets)


@pytest.mark.parametrize(
    "value",
    [10**400, "[" * 1500, "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999"],
)
async def test_unusual_values_of_recorded_runs_are_compared(runner: Runner, value: object) -> None:
    """Such a value of a state, and a text of a tool that is nested too deep, stop no comparison."""
    graph = shop(lambda order: fail_if(order.number % 2))
    usual = "2026-01-01T00:00:00+00:00"
    base = draw_order(random.Random(1), 0)  # noqa: S311 - no secret
    await run_all(runner, graph, [base | {"number": n, "total": value if n % 2 else usual} for n in range(20)])
    found = await shared(runner)
    assert (found.failed, found.others) == (10, 10)
    assert any(each.place == "total" for each in found.features)


def test_a_tool_text_that_is_nested_too_deep_stays_a_text() -> None:
    """So does a text with half of a character, which no output can encode."""
    for text in ("[" * 1500, "[" * 15_000, '["\\ud800"]'):
        assert in_common._read_json(text) == text  # noqa: SLF001 - a tool with such a text needs an agent
    assert in_common._read_json("[1]") == [1]  # noqa: SLF001
