"""Notifications: each question and each end of a run reaches the webhooks that want it, signed, at least once."""

import asyncio
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graphengine import Retention, RunFailed, Runner, Worker
from graphengine.cli.project import extensions_of
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import OVER, Step
from graphengine.errors import DefinitionError, InputError, StoreError
from graphengine.serve.notifications import OUTBOX, Notifications, Posting, Webhook, delegate
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.memory import InMemoryStore
from graphengine.wings import ProjectBroken
from tests.kit import forks
from tests.serve import notified
from tests.serve.notified import AT_ONCE, graph
from tests.serve.webhook_receiver import SECRET, Receiver, receiving
from tests.worker.test_trimming import endless, go_on

KILLS = 4


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook."""
    with receiving() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file, then a schema of PostgreSQL."""
    address: str = str(tmp_path / "runs.db") if request.param == "sqlite" else request.getfixturevalue("postgres")
    return address


def to(receiver: Receiver, **more: Any) -> Notifications:
    """Return what notifies it."""
    given: dict[str, Any] = {"kinds": ["asked", "finished"], **more}
    return Notifications(Webhook("hook", receiver.url, SECRET, **given), retry=AT_ONCE)


async def until(is_so: Callable[[], object]) -> None:
    """Return once something is so."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - another process or run does it
            await asyncio.sleep(0.02)


async def test_a_question_and_an_end_go_out_signed(place: str, receiver: Receiver) -> None:
    """The body has the question and the page where it is answered; what fails is sent again, with the same id."""
    receiver.answers = [503, 429]
    notifications = to(receiver, link="https://runs.example.org/")
    async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="p", tags=["big"]).result()
        await until(lambda: len(receiver.ids) == 3)
        assert len(set(receiver.ids)) == 1
        asked = receiver.bodies[-1]
        assert (asked["type"], asked["data"]["question"], asked["data"]["name"]) == ("run.asked", "Pay 5?", "approve")
        link = "https://runs.example.org/questions?id=p&wait=approve%402.k3x9ab"
        assert (asked["data"]["link"], asked["data"]["tags"]) == (link, ["big"])
        assert "state" not in asked["data"]
        await runner.answer("p", "yes")
        await runner.resume("p", graph).result()
        await until(lambda: receiver.of("p")[3:] == ["run.finished"])
        assert receiver.bodies[-1]["data"]["link"] == "https://runs.example.org/run?id=p"
        assert await runner.store.inbox([OUTBOX]) == []
        assert {info.tags for info in await runner.store.runs(graph="notification")} == {("about:p", "to:hook")}


async def test_what_a_process_left_is_delivered_by_another_one(place: str, receiver: Receiver) -> None:
    """The first one only drives; the news is in the database."""
    async with Runner(place, extensions=[to(receiver)]) as runner:
        await runner.start(graph, run_id="p").result()
    assert receiver.ids == []
    notifications = to(receiver)
    async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
        await until(lambda: receiver.of("p"))


async def test_a_damaged_run_does_not_keep_the_news_of_others(tmp_path: Path, receiver: Receiver) -> None:
    """No news of it is sent; `graphengine doctor` names it."""
    path = tmp_path / "runs.db"
    async with Runner(path, extensions=[to(receiver)]) as runner:
        await runner.start(graph, run_id="damaged").result()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE steps SET body = '{}' WHERE run = (SELECT key FROM runs WHERE id = 'damaged')")
    notifications = to(receiver)
    async with Runner(path, extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="sound").result()
        await until(lambda: receiver.of("sound"))
    assert receiver.of("damaged") == []


async def test_news_of_a_step_that_is_gone_does_not_keep_that_of_others(
    place: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does a message to the outbox that is none; each is in the log of the program."""
    async with Runner(place, extensions=[to(receiver)]) as runner:
        await runner.start(endless(), run_id="long").result()
        await go_on(runner, "long")
        assert await runner.store.trim("long", 5, 500)
        await runner.store.post(OUTBOX, "stop", "not this one", "stop 1")
        await runner.send(OUTBOX, "news", 5)
    notifications = to(receiver)
    async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="sound").result()
        await until(lambda: receiver.of("sound"))
        await until_empty(runner)
    assert receiver.of("long") == ["run.asked"]
    said = [text.partition(":")[0] for _, _, text in caplog.record_tuples if "news" in text]
    assert said == ["news is not sent", *["a message to run notifications is no news"] * 2]


async def test_a_webhook_that_does_not_answer_leaves_places_to_others(place: str, receiver: Receiver) -> None:
    """Its requests take no more places than they leave; nothing waits for their threads at the end."""
    with receiving() as slow:
        slow.may_answer.clear()
        hooks = [
            Webhook(name, each.url, SECRET, timeout_seconds=600.0) for name, each in (("a", slow), ("b", receiver))
        ]
        notifications = Notifications(*hooks, retry=AT_ONCE)
        async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
            runs = [runner.start(graph, run_id=f"p{number}") for number in range(24)]
            await asyncio.gather(*(run.result() for run in runs))
            await until(lambda: len(set(receiver.ids)) == 24)
            assert 0 < len(set(slow.ids)) <= 8


async def test_requests_for_one_tenant_leave_places_to_others(place: str, receiver: Receiver) -> None:
    """Also if they go to several places, of which each has few."""

    class OfTenants(Notifications):
        async def post_of(self, news: Any, number: str) -> Posting | None:
            found = await super().post_of(news, number)
            return found and Posting(found.post, [f"tenant {news.webhook[0]}", f"host {news.webhook}"])

    with receiving() as slow:
        slow.may_answer.clear()
        urls = {"a1": slow.url, "a2": slow.url, "a3": slow.url, "b1": receiver.url}
        notifications = OfTenants(
            *(Webhook(name, url, SECRET, timeout_seconds=600.0) for name, url in urls.items()), retry=AT_ONCE
        )
        async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
            runs = [runner.start(graph, run_id=f"p{number}") for number in range(12)]
            await asyncio.gather(*(run.result() for run in runs))
            await until(lambda: len(set(receiver.ids)) == 12)
            assert 0 < len(set(slow.ids)) <= 8


async def test_a_request_that_begins_at_the_end_is_not_awaited(
    place: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was taken before, and sends only once the others were released."""
    receiver.may_answer.clear()
    notifications, stopped, begun = to(receiver, timeout_seconds=600.0), asyncio.Event(), asyncio.Event()
    post_of, stop = notifications.post_of, Worker.stop

    async def late(news: Any, number: str) -> Any:
        begun.set()
        await stopped.wait()
        return await post_of(news, number)

    def stops(worker: Worker) -> None:
        stop(worker)
        stopped.set()

    monkeypatch.setattr(notifications, "post_of", late)
    monkeypatch.setattr(Worker, "stop", stops)
    async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="p").result()
        await begun.wait()


async def test_two_processes_deliver_each_news_once(place: str, receiver: Receiver) -> None:
    """Each of two Runners delivers, and both see all news."""
    both = to(receiver), to(receiver)
    async with (
        Runner(place, extensions=[both[0]]) as one,
        Runner(place, extensions=[both[1]]) as other,
        both[0].delivering(one),
        both[1].delivering(other),
    ):
        runs = [(one, other)[number % 2].start(graph, run_id=f"p{number}") for number in range(8)]
        await asyncio.gather(*(run.result() for run in runs))
        await until(lambda: len(set(receiver.ids)) == 8)
        await until_empty(one)
        await until_recorded(one)  # else what is sent and not recorded when one closes is sent again by the other
    assert len(receiver.ids) == 8


async def test_a_worker_beside_it_keeps_its_role(place: str, receiver: Receiver) -> None:
    """Else nobody removes the runs that it is to remove, and `graphengine workers` shows another queue."""
    notifications = to(receiver)
    roles: list[Any] = []

    async def look() -> None:
        await runner.start(graph, run_id="p").result()
        await until(lambda: receiver.of("p"))
        roles.extend(owner.role for owner in await runner.store.owners())
        worker.stop()

    async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
        worker = Worker(runner, graph, retention=Retention(keep_days=1))
        looking = asyncio.create_task(look())
        await worker.run()
        await looking
    assert [(role["graphs"], role["queues"], role["removes"]) for role in roles] == [(["payments"], None, ["payments"])]


async def until_empty(runner: Runner) -> None:
    """Return once the outbox is empty."""
    async with asyncio.timeout(60):
        while await runner.store.inbox([OUTBOX]):  # noqa: ASYNC110 - another process or run does it
            await asyncio.sleep(0.02)


async def until_recorded(runner: Runner) -> None:
    """Return once each run that delivers has recorded that it did."""
    async with asyncio.timeout(60):
        while any(  # noqa: ASYNC110 - another process or run does it
            info.status != "finished" for info in await runner.runs() if info.id.startswith("ge:notice:")
        ):
            await asyncio.sleep(0.02)


class Full(InMemoryStore):
    """A store that is full until it is freed."""

    is_full = True

    async def create(self, info: RunInfo, steps: Sequence[Step], graph_spec: GraphSpec, code_body: Any = None) -> int:
        """Create a run, unless it is full."""
        if self.is_full:
            raise StoreError("the disk is full")
        return await super().create(info, steps, graph_spec, code_body)


def test_each_store_has_an_outbox_once_it_can_be_made(receiver: Receiver) -> None:
    """Also that of a second Runner, in another event loop; a run begins only where there is one."""
    notifications = to(receiver)

    async def one(run_id: str) -> None:
        store = Full()
        async with Runner(store, extensions=[notifications]) as runner:
            with pytest.raises(StoreError):
                await runner.start(graph).result()
            store.is_full = False
            async with notifications.delivering(runner):
                await runner.start(graph, run_id=run_id).result()
                await until(lambda: receiver.of(run_id))

    for run_id in ("first", "second"):
        asyncio.run(one(run_id))
    assert len(receiver.ids) == 2


async def test_an_outbox_that_could_not_be_emptied_is_emptied_later(place: str, receiver: Receiver) -> None:
    """A write that fails leaves it free for the next one, of this process or another."""
    notifications = to(receiver)
    async with Runner(place, extensions=[notifications]) as runner, notifications.delivering(runner):
        append, failing = runner.store.append, [StoreError("the disk is full")]

        def fails_once(batch: Append) -> Awaitable[None] | None:
            if batch.run_id == OUTBOX and failing:
                raise failing.pop()
            return append(batch)

        runner.store.append = fails_once  # type: ignore[method-assign]
        await runner.start(graph, run_id="p").result()
        await until_empty(runner)
        assert not failing


async def test_a_stop_of_all_runs_stops_no_notifications(place: str, receiver: Receiver) -> None:
    """The outbox is not among them; if it is stopped by name, it stays so, and news goes out all the same."""
    notifications = to(receiver)
    async with Runner(place, extensions=[notifications]) as runner:
        await runner.start(graph, run_id="p").result()
        assert (await runner.admin.bulk("stop", "since:1d")).runs == ["p"]
        await runner.stop(OUTBOX)
        async with notifications.delivering(runner):
            await until(lambda: receiver.of("p"))
            await until_empty(runner)
        assert (await runner.info(OUTBOX)).status == "stopped"


async def test_it_reminds_while_the_question_is_open_and_is_handed_on(receiver: Receiver) -> None:
    """Each reminder has an id of its own; who gets the question next is named; after the answer nothing more comes."""
    notifications = to(receiver, kinds=["asked"], remind_seconds=0.05)
    async with Runner(extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="p").result()
        await until(lambda: len(set(receiver.ids)) >= 3)
        await delegate(runner, "p", "approve", to="bo", by="ann")
        await until(lambda: [body["data"] for body in receiver.bodies if body["data"].get("to") == "bo"])
        with pytest.raises(InputError, match="no question named 'pay'"):
            await delegate(runner, "p", "pay", to="bo")
        await runner.answer("p", "yes")
        await runner.resume("p", graph).result()
        async with asyncio.timeout(60):
            while any(info.status != "finished" for info in await runner.store.runs(graph="notification")):  # noqa: ASYNC110 - another process or run does it
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("is_handed_on", [False, True])
async def test_news_of_a_removed_run_is_not_that_of_another(
    place: str, receiver: Receiver, drawn_nonces: None, *, is_handed_on: bool
) -> None:
    """The question of the later run goes out once, whether that of the removed run was handed on or not."""
    del drawn_nonces
    notifications = to(receiver)

    async def news() -> list[str]:
        infos = await runner.store.runs(graph="notification")
        return [(await runner.state_at(info.id, 1))["nonce"] for info in infos]

    async with Runner(place, extensions=[notifications]) as runner:
        nonces, waits = list[str](), list[str]()
        for number in range(2):
            (wait,) = (await runner.start(graph, run_id="p").result()).waits
            await delegate(runner, "p", wait.id, to="Ann")
            info = await runner.info("p")
            nonces.append(info.nonce)
            waits.append(wait.id)
            if number == 0:
                if is_handed_on:
                    assert await notifications.hand_on(runner) == 2
                await runner.stop("p", final=True)
                assert await runner.store.remove([await runner.info("p")]) == {}
        await notifications.hand_on(runner)
        first, second = nonces
        assert sorted(await news()) == sorted([second] * 2 + [first] * 2 * is_handed_on)
        async with notifications.delivering(runner), asyncio.timeout(60):
            while any(  # noqa: ASYNC110 - runs deliver
                info.status not in OVER for info in await runner.store.runs(graph="notification")
            ):
                await asyncio.sleep(0.02)
        assert [body["data"]["wait"] for body in receiver.bodies] == waits[1:] * 2
        failed = await runner.store.runs(graph="notification", status="failed")
        reasons = [info.summary.reason for info in failed if info.summary is not None]
        assert ["the news belongs to an earlier run 'p'" in each for each in reasons] == [True] * 2 * is_handed_on


@pytest.mark.parametrize("answer", [302, 404])
async def test_a_refusal_and_a_redirection_are_not_tried_again(receiver: Receiver, answer: int) -> None:
    """The run that delivers has failed, is in lists, and can be resumed."""
    receiver.answers = [answer]
    notifications = to(receiver)
    async with Runner(extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="p").result()
        async with asyncio.timeout(60):
            while not (failed := await runner.store.runs(graph="notification", status="failed")):  # noqa: ASYNC110 - another process or run does it
                await asyncio.sleep(0.02)
        assert len(receiver.ids) == 1
        with pytest.raises(RunFailed, match=f"answered with status {answer}"):
            await runner.get(failed[0].id).result()


async def test_a_webhook_gets_the_news_that_it_wants(receiver: Receiver) -> None:
    """By the graph, a tag, the tenant and the kind."""
    notifications = to(receiver, graphs=["payments"], tag="big", tenant="acme", kinds=["finished"])
    async with Runner(extensions=[notifications]) as runner, notifications.delivering(runner):
        for run_id, tags, tenant in (("no", [], "acme"), ("nor", ["big"], "other"), ("yes", ["big"], "acme")):
            await runner.start(graph, run_id=run_id, tags=tags, tenant=tenant).result()
            await runner.answer(run_id, "yes")
            await runner.resume(run_id, graph).result()
        await until(lambda: receiver.ids)
        await until_empty(runner)
        (told,) = await runner.store.runs(graph="notification")
    assert (receiver.of("yes"), told.tenant) == (["run.finished"], "acme")


async def test_a_final_stop_is_news_of_its_own(receiver: Receiver) -> None:
    """Also of a run that was stopped before."""
    notifications = to(receiver, kinds=["stopped", "cancelled"])
    async with Runner(extensions=[notifications]) as runner, notifications.delivering(runner):
        await runner.start(graph, run_id="p").result()
        for final in (False, True):
            await runner.stop("p", final=final)
        await until(lambda: len(receiver.of("p")) == 2)
        await until_empty(runner)
    assert sorted(receiver.of("p")) == ["run.cancelled", "run.stopped"]


def test_news_is_delivered_whenever_the_process_is_killed(place: str, receiver: Receiver, tmp_path: Path) -> None:
    """Of each run both come, at whatever point the first process died, and by two runs, however often it was read."""
    program = Path(notified.__file__)
    whole = forks.run(program, place, "whole", receiver.url, folder=tmp_path, variables={"PYTHONPATH": str(forks.ROOT)})
    assert whole.returncode == 0, whole.stderr
    points = [line.rpartition(":") for line in whole.stdout.splitlines()]
    for at, (name, _, number) in enumerate(random.Random(5).sample(points, KILLS)):  # noqa: S311 - the same each time
        for point in ((name, number), ()):
            words = (place, f"p{at}", receiver.url, *point)
            ended = forks.run(program, *words, folder=tmp_path, variables={"PYTHONPATH": str(forks.ROOT)})
            assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        assert set(receiver.of(f"p{at}")) == {"run.asked", "run.finished"}, f"{name} {number}"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"url": "ftp://example.org"}, "is not an http or https address"),
        ({"kinds": "asked"}, "kinds='asked'"),
        ({"kinds": ["ask"]}, "kinds="),
        ({"secret": "whsec_"}, "the secret of the webhook cannot be used"),
        ({"secret": ""}, "the secret of the webhook cannot be used"),
        ({"remind_seconds": 0}, "remind_seconds=0"),
    ],
)
def test_a_webhook_that_cannot_work_is_one_error(given: dict[str, Any], text: str) -> None:
    """It says what is wrong, and with which webhook."""
    with pytest.raises(DefinitionError, match=text):
        Webhook(**{"name": "hook", "url": "https://example.org", "secret": SECRET, **given})


def test_what_is_shown_of_a_webhook_has_no_address_and_no_secret() -> None:
    """Errors of a program show what it was called with."""
    shown = repr(Webhook("hook", "https://example.org/a-secret-path", SECRET))
    assert shown.startswith("Webhook(name='hook', kinds=")
    assert "secret" not in shown


def test_a_project_names_its_webhooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is in the environment; a key that is not read, and a secret that is missing, are errors."""
    monkeypatch.chdir(tmp_path)
    project = tmp_path / "pyproject.toml"
    table = '[[tool.graphengine.notify]]\nname = "hook"\nurl = "https://example.org"\nsecret_env = "HOOK_SECRET"\n'
    project.write_text(table, encoding="utf-8")
    with pytest.raises(ProjectBroken, match="has no secret"):
        extensions_of()
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    assert [type(each) for each in extensions_of()] == [Notifications]
    project.write_text(table + 'kind = ["asked"]\n', encoding="utf-8")
    with pytest.raises(ProjectBroken, match="kind = …, and has no setting"):
        extensions_of()
