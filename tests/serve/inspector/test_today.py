"""Today: its numbers, its comparisons, and that each number leads to the list that it counts."""

import asyncio
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from playwright.sync_api import Route, expect
from starlette.types import ASGIApp

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel
from graphengine.cli.main import main
from graphengine.kernel.store import RunInfo, Summary
from graphengine.models import ModelError, Response
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted, error_key, is_error, likeness
from graphengine.records.trends import trends
from graphengine.runner import RunFailed
from graphengine.serve.read_documents import Culprit, Numbers, Rate
from graphengine.serve.reads.today import By, TodayBook
from graphengine.stores.memory import InMemoryStore
from tests.serve.inspector import driven
from tests.serve.inspector.accessible import check_accessible
from tests.serve.inspector.client import read
from tests.serve.inspector.conftest import Opened, opened, served
from tests.serve.inspector.graphs import State, counter, flaky

DAY = 86_400.0


class Many(InMemoryStore):
    """A store that has these rows."""

    rows: list[RunInfo]

    async def counts(self, **_: Any) -> Any:
        """Return none: all are read."""
        return []

    async def runs(self, **page: Any) -> Any:
        """Return those that began in a time."""
        return [row for row in self.rows if page["begun_after"] <= row.created_at < page["begun_before"]]


def rows(midnight: float, **given: Any) -> list[RunInfo]:
    """Return as many runs as `runs`, of which `failed` failed, at `at` hours after midnight."""
    found: list[RunInfo] = []
    for number in range(given["runs"]):
        is_bad = number < given.get("failed", 0)
        reason = f"look: ValueError: no {given.get('what', 'place')} for {number}" if is_bad else "enough"
        losses = {"fallbacks": 1} if number >= given["runs"] - given.get("lost", 0) else {}
        summary = Summary(reason, cost_usd=given.get("cost", 0.25), seconds=float(number), losses=losses)
        version, graph = given.get("version", "v1"), given.get("graph", "triage")
        at = midnight + given["at"] * 3600
        info = RunInfo(f"{graph}{version}{given['at']}-{number}", graph, "f" * 64, "finished", 5, at, at)
        found.append(replace(info, status="failed" if is_bad else "finished", summary=summary, deploy=version))
    return found


async def today(found: list[RunInfo], midnight: float, by: Any = "graph") -> Any:
    """Return today of these runs, twelve hours after midnight."""
    store = Many()
    store.rows = found
    return await TodayBook(store).today(None, midnight, by)


async def test_today_is_beside_yesterday_until_the_same_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """What began later yesterday is in the forecast alone; costs that are unknown are counted, and not added."""
    midnight = 20_000 * DAY
    monkeypatch.setattr(time, "time", lambda: midnight + 12 * 3600)
    known = rows(midnight, at=6, runs=30, failed=3, lost=6) + rows(midnight, at=-18, runs=20, failed=1)
    more = rows(midnight, at=-6, runs=40) + rows(midnight, at=7, runs=1, cost=None)
    found = await today(known + more, midnight)
    assert (found.today.runs, found.today.failed, found.today.lost, found.today.cost_usd) == (31, 3, 6, 7.5)
    assert (found.today.unknown_costs, found.yesterday.runs, found.yesterday.cost_usd) == (1, 20, 5.0)
    assert found.forecast_usd == 7.5 + 40 * 0.25 * 7.5 / 5.0
    assert (list(found.hours[6]), list(found.hours[18])) == ([30, 3, 20, 1], [0, 0, 40, 0])


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((200, 7), (200, 24), "worse"),
        ((200, 24), (200, 7), "better"),
        ((200, 7), (200, 15), "noise"),
        ((200, 7), (19, 19), "few"),
        ((0, 0), (5, 5), "new"),
    ],
)
async def test_only_what_chance_does_not_do_is_worse(
    before: tuple[int, int], after: tuple[int, int], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond three standard errors of the difference; under 20 runs nothing is said, and nothing of what is new."""
    midnight = 20_000 * DAY
    monkeypatch.setattr(time, "time", lambda: midnight + 12 * 3600)
    found = rows(midnight, at=-20, runs=before[0], failed=before[1]) + rows(
        midnight, at=9, runs=after[0], failed=after[1]
    )
    (group,) = (await today(found, midnight)).groups.groups
    assert group.verdict == verdict
    share = (before[1] + after[1]) / (before[0] + after[0])
    if not before[0]:
        return
    error = math.sqrt(share * (1 - share) * (1 / before[0] + 1 / after[0]))
    assert group.errors_off == pytest.approx((after[1] / after[0] - before[1] / before[0]) / error)


async def test_a_version_is_compared_with_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What got worse is first; its first run is a mark; its error is new, with numbers and names taken as equal."""
    midnight = 20_000 * DAY
    monkeypatch.setattr(time, "time", lambda: midnight + 12 * 3600)
    old = rows(midnight, at=-20, runs=100, failed=3) + rows(midnight, at=-20, runs=100, graph="letters")
    new = rows(midnight, at=9, runs=100, failed=40, version="v2", what="'urgency'")
    found = await today(old + new + rows(midnight, at=2, runs=100, graph="letters"), midnight)
    first, second = found.groups.groups
    assert (first.name, first.version, first.verdict, first.since) == ("triage", "v2", "worse", midnight + 9 * 3600)
    assert ((first.was.name, first.was.failed), (first.now.name, first.now.failed)) == (("v1", 3), ("v2", 40))
    assert (second.name, second.was.name, second.since) == ("letters", "yesterday", None)
    assert found.marks == [(midnight + 9 * 3600, "triage", "v2")]
    (error,) = found.errors
    assert (error.like, error.runs, error.versions) == ("look: ValueError: no … for #", 40, ["triage v2"])
    assert found.culprit == Culprit("triage", Rate("v2", 100, 40), Rate("v1", 100, 3), is_version=True, error=error)
    by_version = (await today(old + new, midnight, "version")).groups.groups
    assert [each.name for each in by_version] == ["triage v2"]


async def test_versions_of_one_minute_are_in_the_order_of_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first runs are known by the minute; v9 is then before v10, in whatever order a store has them."""
    midnight = 20_000 * DAY
    monkeypatch.setattr(time, "time", lambda: midnight + 12 * 3600)
    new = rows(midnight, at=9, runs=50, failed=30, version="v10")
    found = await today(new + rows(midnight, at=9, runs=50, version="v9"), midnight)
    assert found.culprit is not None
    assert (found.culprit.now.name, found.culprit.was.name) == ("v10", "v9")


async def test_where_nothing_got_worse_the_dearest_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the first day, too: every row is there, and nobody is called the culprit."""
    midnight = 20_000 * DAY
    monkeypatch.setattr(time, "time", lambda: midnight + 12 * 3600)
    found = [rows(midnight, at=9, runs=3 + at, failed=at, graph=f"g{at}", cost=at / 4) for at in range(40)]
    shown = await today([each for one in found for each in one], midnight)
    assert [each.name for each in shown.groups.groups] == [f"g{at}" for at in reversed(range(40))]
    assert {each.verdict for each in shown.groups.groups} == {"new"}
    assert (shown.culprit, shown.dearest) == (None, None)


MESSAGES = st.lists(
    st.sampled_from(["KeyError: ", "charge: ", "'", '"', "vat", "no ", "x7", "12", "0a1b2c3d", ": ", "é", "…"])
    | st.sampled_from(["word " * 27, "x" * 138])
)


@given(MESSAGES)
def test_a_likeness_is_that_of_itself(parts: list[str]) -> None:
    """So a search for what errors have in common finds them."""
    like = likeness("".join(parts))
    assert likeness(like) == like
    assert '"' not in like  # a filter has it between such marks
    assert is_error(like, likeness(f"={error_key(''.join(parts))}"))


def test_errors_are_told_apart_by_their_words() -> None:
    """Numbers, ids and quoted names are none, but where a message has nothing else; `=` finds only all of it."""
    alike = [
        ("charge: KeyError: 'vat_rate'", "charge: KeyError: 'total'", False),
        ("charge: ValueError: no 'x' in order 5", "charge: ValueError: no 'y' in order 77", True),
        (
            "a: E: run 8f14e45f-ceea-467f-a8a3-2f6f0c5e3a11 left",
            "a: E: run 0a14e45f-ceea-467f-a8a3-2f6f0c5e3a11 left",
            True,
        ),
        ("a: E: order 0a1b2c3d is late", "a: E: order ffff0000 is late", True),
    ]
    assert [likeness(one) == likeness(other) for one, other, _ in alike] == [same for *_, same in alike]
    timed_out = Wanted(1, error=likeness("=a: E: too late"))
    late = RunInfo("r", "g", "f", "failed", 1, 0, 0)
    found = [
        timed_out.fits(replace(late, summary=Summary(reason)), 0)
        for reason in ("a: E: too late", "a: E: too late by 5")
    ]
    assert found == [True, False]


async def test_long_messages_that_are_cut_at_different_places_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A summary ends after 200 characters; numbers and names before that decide how much is left of the rest."""
    midnight = 20_000 * DAY
    monkeypatch.setattr(time, "time", lambda: midnight + 12 * 3600)
    refused = "enrich: pydantic_core.ValidationError: 1 validation error for Account contract Extra inputs are refused"
    messages = [
        f"{refused} [input_value={{'id': {10**each}, 'until': '2027'}}, input_type=dict, see errors.pydantic.dev]"
        for each in range(30)
    ]
    texts = [text if len(text) <= 200 else f"{text[:199]}…" for text in messages]
    assert len({likeness(text) for text in texts}) > 1
    found = rows(midnight, at=9, runs=30, failed=30)
    found = [replace(run, summary=Summary(text)) for run, text in zip(found, texts, strict=True)]
    (error,) = (await today(found, midnight)).errors
    assert error.runs == 30
    wanted = Wanted(1, error=likeness(f"={error.like}"))
    assert all(wanted.fits(run, 0) for run in found)
    assert error_key(texts[0]) != error_key(texts[0].replace("contract", "plan"))
    assert len({error_key(f"parse: ValueError: cannot read '{letter * 170}…") for letter in "ab"}) == 1


NAMES: dict[By, str] = {"graph": "{graph}", "version": "{graph} {deploy}", "tenant": "{tenant}", "agent": "writer"}
"""What a row is called, from a listed run."""


async def test_sums_are_those_of_the_list_and_of_trends(tmp_path: Path) -> None:
    """Of each row, by graph and version, to the cent: `graphengine runs` lists the same runs at the same costs."""
    path = tmp_path / "runs.db"
    chance = random.Random(77)  # noqa: S311 - no secret
    for version in ("v1", "v2"):
        async with Runner(path, deploy=version) as runner:
            for number in range(12):
                graph = writing(f"writing_{number % 3}", chance.random())
                await runner.start(graph, State(text="x"), tenant=f"t{number % 2}").result()
    midnight = time.time() - 3600
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(
            CliRunner().invoke, main, ["runs", "--store", str(path), "--json", "--limit", "100"]
        ).result()
    listed = json.loads(done.stdout)["runs"]
    assert len(listed) == 24
    async with Runner(path) as runner:
        overall, book = await trends(runner.store), TodayBook(runner.store)
        for by, name in NAMES.items():
            found = await book.today(None, midnight, by)
            costs: dict[str, float] = {}
            for each in listed:
                key = name.format(**each)
                costs[key] = costs.get(key, 0) + each["summary"]["cost_usd"]
            shown = {each.name: each.today.cost_usd for each in found.groups.groups}
            assert shown == pytest.approx(costs)
            assert found.today.cost_usd == pytest.approx(sum(costs.values()))
            assert found.dearest is not None
            assert found.dearest.cost_usd == pytest.approx(found.today.cost_usd)
        assert sum(each.cost_usd for each in overall.trends) == pytest.approx(
            sum(each["summary"]["cost_usd"] for each in listed)
        )


def writing(name: str, cost: float) -> Graph[State]:
    """Return a graph whose agent costs this."""
    answer = Response("said", cost_usd=cost, model="some:model", output_tokens=5)
    graph = Graph(name, State)
    graph.add_node("write", Agent("writer", prompt="Go on.", model=ScriptedModel([answer])), writes="text")
    graph.add_path(START, "write", END)
    return graph


@pytest.mark.parametrize("kept", ["memory", "sqlite", "postgres"])
async def test_each_store_has_the_runs_by_version(kept: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """With the tenant, the cost and the message of those that failed."""
    path: Path | str | None = tmp_path / "runs.db" if kept == "sqlite" else None
    if kept == "postgres":
        path = str(request.getfixturevalue("postgres"))
    async with Runner(path, deploy="v1") as runner:
        await runner.start(counter(1), tenant="acme").result()
        with suppress(RunFailed):
            await runner.start(flaky(), tenant="acme").result()
        book = TodayBook(runner.store)
        midnight = time.time() - 3600
        found = await book.today(None, midnight, "version")
        assert sorted(each.name for each in found.groups.groups) == ["counter v1", "flaky v1"]
        (error,) = found.errors
        assert (error.example, error.versions, error.tenants) == (
            "boom: RuntimeError: it broke",
            ["flaky v1"],
            ["acme"],
        )
        assert (await book.today("acme", midnight, "tenant")).today.runs == 2
        assert (await book.today("other", midnight, "tenant")).today.runs == 0


async def test_a_run_counts_for_each_agent_that_called_a_model(tmp_path: Path) -> None:
    """With what its own answers cost; also if its only call failed, and in a branch only if it called there."""

    def wrote(*answers: Any) -> Graph[Any]:
        agents = {name: Agent(name, prompt="Go on.", model=ScriptedModel(answers)) for name in ("writer", "critic")}
        graph = Graph("written", State)
        graph.add_node("write", agents["writer"], writes="text")
        graph.add_node("agree", agents["critic"], writes="text")
        graph.add_path(START, "write", "agree", END)
        return graph

    def priced(cost: float | None) -> Response:
        return Response("said", cost_usd=cost, model="some:model", output_tokens=5)

    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(wrote(priced(0.25)), run_id="cheap").result()
        with suppress(RunFailed):
            await runner.start(wrote(ModelError("401")), run_id="refused").result()
        await runner.start(wrote(priced(None)), run_id="unknown").result()
        (last,) = [
            step.seq for step in await runner.store.steps("cheap") if step.node == "write" and step.kind == "node"
        ]
        await runner.branch("cheap", wrote(priced(1.0)), at=last, run_id="branch").result()
        begun = time.time() - 3600
        found = (await TodayBook(runner.store).today(None, begun, "agent")).groups.groups
        assert {each.name: each.today for each in found} == {
            "critic": Numbers(3, 0, 0, 1.25, 1),
            "writer": Numbers(3, 1, 0, 0.25, 1),
        }
    async with opened(tmp_path / "runs.db") as app:
        assert await count_of(app, "/?text=agent:writer") == 3
        assert await count_of(app, "/?text=agent:writer&status=failed") == 1


async def count_of(app: ASGIApp, address: str) -> int:
    """Return how many runs the list has at an address of the page."""
    given = {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
    return len((await read(app, "runs", limit=1000, **given))["runs"])


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Return a database whose versions have labels."""
    path = tmp_path / "runs.db"

    async def record() -> None:
        async with Runner(path, deploy="v1") as runner:
            for number in range(3):
                await runner.start(counter(2), run_id=f"one-{number}").result()
        async with Runner(path, deploy="v2") as runner:
            await runner.start(counter(2), run_id="two").result()

    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, record()).result()
    return path


async def test_runs_are_found_by_version_error_and_loss(recorded: Path, days: Path) -> None:
    """As typed, in the list and on the command line."""
    async with opened(days) as app:
        assert await count_of(app, "/?text=version:v1") == 3
        assert await count_of(app, "/?text=version:v2&graph=counter") == 1
    async with opened(recorded) as app:
        assert await count_of(app, '/?text=error:"boom: RuntimeError: it"') == 1
        assert await count_of(app, "/?text=lost:yes") == 0
    wanted = wanted_of("error:\"at 12 for 'x'\" lost:no", Wanted(1))
    assert (wanted.error, wanted.has_losses) == ("at # for …", False)


def test_each_number_leads_to_the_list_that_it_counts(recorded: Path, visit: Opened) -> None:
    """The links of the cards and of the rows have as many runs as they say."""
    with served(recorded) as url:
        page = visit(url, "/today")
        expect(page.locator(".gets-worse tbody tr").first).to_be_visible()
        expect(page.get_by_role("heading", name="What ran most")).to_be_visible()  # nothing cost anything
        links = page.locator(".cards-of a, .gets-worse td:nth-child(2) a")
        found = [(each.inner_text(), each.get_attribute("href") or "") for each in links.all()]
        expect(page.locator(".fault").first).to_contain_text("flaky")
        total = int(found[0][0])

        async def counts() -> list[int]:
            async with opened(recorded) as app:
                return [await count_of(app, address) for _, address in found]

        with ThreadPoolExecutor(1) as pool:
            numbers = pool.submit(asyncio.run, counts()).result()
        shares = [numbers[1] / total, numbers[2] / total]
        assert [f"{share * 100:.1f} %" for share in shares] == [found[1][0], found[2][0]]
        assert [numbers[0], *numbers[4:]] == [int(text) for text, _ in [found[0], *found[4:]]]
        page.get_by_role("tab", name="version").click()
        expect(page.locator(".gets-worse th[scope=row]").first).to_be_visible()


def test_what_broke_leads_to_the_runs_that_it_counts(days: Path, visit: Opened) -> None:
    """A version is counted over both days: so are the runs to retry if what failed today has no message."""
    culprit = {
        "graph": "counter",
        "now": {"name": "v2", "runs": 25, "failed": 9},
        "was": {"name": "v1", "runs": 30, "failed": 0},
        "is_version": True,
        "error": None,
    }

    def answer(route: Route) -> None:
        found = route.fetch()
        begun.append(found.json()["midnight"])
        route.fulfill(response=found, json={**found.json(), "culprit": culprit})

    begun = list[float]()
    with served(days) as url:
        page = visit(url)
        page.route("**/api/today?**", answer)
        page.goto(f"{url.partition('#')[0]}today")
        expect(page.locator(".broke")).to_contain_text("v2 of counter fails 36.0 % (v1 0.0 %).")
        expect(page.locator(".broke .common")).to_contain_text("no run failed.")
        link = page.get_by_role("link", name="See all 9").get_attribute("href") or ""
    filters = {name: value for name, (value,) in parse_qs(urlsplit(link).query).items()}
    since = float(filters.pop("begun_after"))
    assert filters == {"graph": "counter", "status": "failed", "text": "version:v2"}
    assert since == begun[0] - DAY


@pytest.mark.parametrize("deploys", [("v1", "v2"), ("", "")], ids=["labels", "fingerprints"])
def test_what_failed_runs_have_in_common_follows(tmp_path: Path, visit: Opened, deploys: tuple[str, str]) -> None:
    """The second line comes by a request of its own; the command that proves a repair is there to copy.

    Without labels of deploys, versions are named by fingerprints, and the page says what to fill in for the commit.
    """
    path = tmp_path / "runs.db"

    def charge(text: str) -> str:
        if text.startswith("CH"):
            raise KeyError("vat_rate")
        return text

    async def record() -> None:
        for version, texts in zip(deploys, (["DE"] * 25, ["DE", "CH", "FR", "CH"] * 6), strict=True):
            graph = Graph("shop", State)
            graph.add_node("charge", charge, writes="text", thread=False)
            last = f"pack_{len(texts)}"  # so that the fingerprints differ
            graph.add_node(last, lambda text: text, writes="text", thread=False)
            graph.add_path(START, "charge", last, END)
            async with Runner(path, deploy=version) as runner:
                for text in texts:
                    with suppress(RunFailed):
                        await runner.start(graph, State(text=text)).result()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, record()).result()
    with served(path) as url:
        page = visit(url, "/today")
        box = page.locator(".broke")
        expect(box).to_contain_text(re.compile(r"\w+ of shop fails 50.0 % \(\w+ 0.0 %\)"))
        expect(box.locator(".common code")).to_have_text("text = CH")
        expect(box.locator(".common")).to_contain_text("at charge, 12 of 12 failed had text = CH; of the ")
        expect(box.locator(".common")).to_contain_text("others that came there, none.")
        page.evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve() }")
        box.get_by_role("button", name="copy prove").click()
        copied = str(page.evaluate("window.copied"))
        expect(box.get_by_text("replace COMMIT with a commit")).to_have_count(0 if deploys[0] else 1)
    old, version = deploys[0] or "COMMIT", deploys[1] or r"[0-9a-f]{8}"
    command = rf"graphengine prove shop --old {old} --runs 'status:failed version:{version} error:\"=charge: KeyError"
    assert re.match(command, copied)


def test_all_that_failed_alike_are_retried_after_one_question(tmp_path: Path, visit: Opened) -> None:
    """Those that the question counted, and none that failed alike, or almost, by then."""
    path, gate = tmp_path / "runs.db", tmp_path / "boat"

    async def fail(names: Sequence[str]) -> None:
        async with Runner(path, deploy="v43") as runner:
            for name in names:
                with suppress(RunFailed):
                    await runner.start(driven.graph, {"topic": "storms", "gate": str(gate)}, run_id=name).result()
            with suppress(RunFailed):
                await runner.start(flaky("no pilot boat goes out"), run_id=f"other-{names[0]}").result()

    async def statuses() -> dict[str, int]:
        async with Runner(path) as runner:
            return Counter(info.status for info in await runner.runs(limit=100))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, fail([f"r{number}" for number in range(22)])).result()
        with served(path, "--drive", "--graph", "tests/serve/inspector/driven.py") as url:
            page = visit(url, "/today")
            page.get_by_role("button", name="Retry all 22…").click()
            expect(page.locator("dialog")).to_contain_text("22 runs of 22.")
            check_accessible(page)
            pool.submit(asyncio.run, fail(["late"])).result()
            gate.touch()
            page.get_by_role("button", name="Retry 22", exact=True).click()
            expect(page.get_by_role("status")).to_have_text("Retry: done for 22 runs.")
            expect(page.get_by_label("What was retried")).to_contain_text("22 runs")
            check_accessible(page)
            assert pool.submit(asyncio.run, statuses()).result()["failed"] == 3
