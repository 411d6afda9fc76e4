"""Publishing on WordPress, Ghost, Telegram and a webhook: one post under a key, whatever dies when."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner
from graphengine.briefs.publishing import (
    Cms,
    Folder,
    Ghost,
    Post,
    Published,
    PublishFailed,
    PublishUnavailable,
    Site,
    Telegram,
    Webhook,
    WordPress,
    cms_at,
    publish_once,
)
from graphengine.briefs.publishing.html import html_of
from graphengine.briefs.publishing.telegram import message_of
from graphengine.runner import Result
from tests.kit import forks
from tests.kit.services import GhostServer, Service, TelegramServer, WebhookServer, WordPressServer, running

pytest.importorskip("httpx2")
pytest.importorskip("markdown_it")

POST = Post(
    title="Tides & winds",
    description="d" * 150,
    tags=["sea", "moon", "coast: north"],
    body="## The moon\n\nThe sea *rises* twice[^1] <b>a day</b>.\n\n[^1]: Tides of the North Sea",
    sources=["Tides of the North Sea"],
    published_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)
KEY = "run/publish/1"
TOKEN = "12:secret"  # noqa: S105 - of a server of the tests


@dataclass(frozen=True, slots=True)
class Kind:
    """A service, its adapter, and how many requests that write one post takes."""

    server: type[Service]
    writes: int

    @property
    def name(self) -> str:
        return self.server.__name__.removesuffix("Server").lower()


KINDS = [Kind(WordPressServer, 5), Kind(GhostServer, 2), Kind(TelegramServer, 1), Kind(WebhookServer, 1)]


def cms_of(service: Service) -> Cms:
    """Return the adapter of a service."""
    if isinstance(service, WordPressServer):
        return WordPress(service.address, "editor", "app pass")
    if isinstance(service, GhostServer):
        return Ghost(service.address, GhostServer.KEY)
    if isinstance(service, TelegramServer):
        return Telegram("@tides", TOKEN, service.address)
    return Webhook(service.address, WebhookServer.SECRET)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of service."""
    found: Kind = request.param
    return found


@pytest.fixture
def service(kind: Kind) -> Iterator[Service]:
    """A running service of this kind."""
    found = kind.server()
    with running(found):
        yield found


class Order(BaseModel):
    """The state of the graph that publishes."""

    site: str
    published: Published | None = None


def publishing(service: Service) -> Graph[Order]:
    """Return a graph that publishes on a service, with retries."""

    async def publish(site: str, ctx: Context) -> Published:
        return await publish_once(cms_of(service), POST, ctx)

    graph = Graph("publishing", Order)
    graph.add_node("publish", publish, writes="published", retry=Retry(attempts=3, initial_seconds=0, on=(OSError,)))
    graph.add_path(START, "publish", END)
    return graph


async def answered(runner: Runner, graph: Graph[Order], service: Service, run_id: str) -> Result[Order]:
    """Resume a run; if it asks whether the post is there, look at the channel and answer."""
    result = await runner.resume(graph, run_id).result()
    if result.status == "waiting":
        assert "Is the post there?" in result.waits[0].question
        await runner.answer(run_id, bool(service.public))
        result = await runner.resume(graph, run_id).result()
    return result


# -- one post


async def test_a_post_is_published_with_its_facts(service: Service, kind: Kind) -> None:
    """Readers see it once, with footnotes and without a path of this machine."""
    published = await cms_of(service).put(POST, KEY)
    title = "Tides &amp; winds" if kind.name == "telegram" else "Tides & winds"  # HTML there
    assert (service.public, service.writes) == ([title], kind.writes)
    assert published.path.startswith("https://")
    assert not published.was_there
    sent = json.dumps([asked.body for asked in service.asked if asked.method != "GET"])
    assert "Tides of the North Sea" in sent
    assert "[^1]" not in sent.replace(json.dumps(POST.body), "")  # the webhook also sends the Markdown


async def test_one_key_publishes_once_and_another_key_again(service: Service) -> None:
    """One key publishes once, and another key again, if the service can be asked."""
    cms = cms_of(service)
    if not cms.finds:
        pytest.skip("a channel cannot be searched")
    first = await cms.put(POST, KEY)
    again = await cms.put(POST, KEY)
    assert (again.path, len(service.public)) == (first.path, 1)
    await cms.put(POST, "another key")
    assert len(service.public) == 2


PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from graphengine import Runner
from tests.kit import services
from tests.briefs.publishing import test_services as here

folder, name, address = sys.argv[1:]
Path(folder, "pid").write_text(str(os.getpid()))
service = getattr(services, name)()
service.address = address
graph = here.publishing(service)

async def main():
    async with Runner(folder + "/runs.db") as runner:
        await runner.start(graph, {"site": address}, run_id="r").result()

asyncio.run(main())
"""
LIVES = [
    pytest.param(kind, (number, side), id=f"{kind.name}-{number}-{side}")
    for kind in KINDS
    for number in range(1, kind.writes + 1)
    for side in ("before", "after")
]


@pytest.mark.parametrize(("kind", "kill"), LIVES)
async def test_a_kill_at_any_request_leaves_one_post(kind: Kind, kill: tuple[int, str], tmp_path: Path) -> None:
    """The process is killed with SIGKILL before or after the service carried a request out; then the run is resumed."""
    service = kind.server()
    service.kill, service.pid = kill, tmp_path / "pid"
    (tmp_path / "life.py").write_text(PROGRAM)
    with running(service):
        died = forks.run(
            tmp_path / "life.py",
            str(tmp_path),
            kind.server.__name__,
            service.address,
            loads=("tests.briefs.publishing.test_services", *forks.HTTP, "markdown_it"),
        )
        assert died.returncode == -9, died.stderr
        service.kill = (0, "")
        async with Runner(tmp_path / "runs.db") as runner:
            result = await answered(runner, publishing(service), service, "r")
    assert (result.status, len(service.public)) == ("finished", 1)
    assert result.state.published is not None


@pytest.mark.parametrize(("kind", "kill"), LIVES)
async def test_a_lost_connection_at_any_request_leaves_one_post(kind: Kind, kill: tuple[int, str]) -> None:
    """The attempt is repeated; on a site that cannot be searched, a person is asked first."""
    service = kind.server()
    service.kill = kill
    with running(service):
        async with Runner() as runner:
            graph = publishing(service)
            run = runner.start(graph, {"site": "x"}, run_id="r")
            result = await run.result()
            assert (result.status == "waiting") == (kind.name == "telegram")
            result = await answered(runner, graph, service, "r")
    assert (result.status, len(service.public)) == ("finished", 1)


async def test_a_draft_that_arrives_late_is_never_seen() -> None:
    """WordPress lets drafts share a name; whichever is published, it is one."""
    service = WordPressServer()
    with running(service):
        cms = cms_of(service)
        await cms.put(POST, KEY)
        assert service.posts[10]["slug"].startswith("tides-winds-")
        service.posts[11] = {**service.posts[10], "id": 11, "status": "draft"}
        assert (await cms.put(POST, KEY)).was_there
        service.posts[10]["slug"] += "-2"  # as WordPress renames it, if the draft came just before
        assert (await cms.put(POST, KEY)).was_there
    assert service.public == ["Tides & winds"]


async def test_of_two_processes_one_publishes_on_ghost() -> None:
    """The second draft gets another name from Ghost, and is removed."""
    service = GhostServer()
    with running(service):
        cms = cms_of(service)
        await cms.put(POST, KEY)
        first = next(iter(service.posts.values()))
        first["status"] = "draft"
        service.posts = {"p9": {**first, "id": "p9"}}
        service.is_blind = True  # the draft came after this process had looked
        await cms.put(POST, KEY)
    assert [one["status"] for one in service.posts.values()] == ["published"]
    assert [asked.method for asked in service.asked[-5:]] == ["GET", "POST", "DELETE", "GET", "PUT"]


# -- what goes wrong


async def test_a_busy_service_is_tried_again(service: Service) -> None:
    """Status 429 means that nothing was carried out, so no person is asked."""
    service.answers = [(429, {"message": "slow down"})]
    async with Runner() as runner:
        result = await runner.start(publishing(service), {"site": "x"}).result()
    assert (result.status, len(service.public)) == ("finished", 1)


async def test_a_refusal_is_reported_in_the_services_words(service: Service) -> None:
    """A refusal is reported in the service's words, and not retried; a token in an address is not shown."""
    service.answers = [(403, {"message": "not allowed", "description": "not allowed"})]
    with pytest.raises(PublishFailed, match="refused with status 403: not allowed") as caught:
        await cms_of(service).put(POST, KEY)
    assert TOKEN not in f"{caught.value} {caught.value.where} {caught.value.repair}"
    assert service.public == []


async def test_a_service_that_is_not_there_was_sent_nothing(kind: Kind) -> None:
    """An unreachable service counts as sent nothing, so that a retry needs no person."""
    service = kind.server()
    with running(service):
        pass
    with pytest.raises(PublishUnavailable, match="cannot be reached") as caught:
        await cms_of(service).put(POST, KEY)
    assert not caught.value.is_sent
    assert TOKEN not in f"{caught.value} {caught.value.where}"


async def test_what_a_site_has_is_looked_at(service: Service, kind: Kind) -> None:
    """Titles without escapes, and tags, are read from a site; a channel and a webhook show nothing."""
    cms = cms_of(service)
    await cms.put(POST, KEY)
    found = await cms.look()
    known = {"wordpress": Site(titles=["Tides & winds"], tags=["sea", "moon", "coast: north"])}
    known["ghost"] = Site(titles=["Tides & winds"], tags=["sea"])
    assert found == known.get(kind.name, Site())


async def test_a_post_that_is_too_long_for_a_message_is_not_cut() -> None:
    """It is refused before anything is sent."""
    service = TelegramServer()
    with running(service), pytest.raises(PublishFailed, match="at most 4,096"):
        await cms_of(service).put(POST.model_copy(update={"body": "word " * 900}), KEY)
    assert service.asked == []


# -- forms and names


def test_a_body_as_html_has_footnotes_and_escapes_html() -> None:
    """Anchors have the mark of the post; marks in code stay."""
    text = html_of("A `[^1]` claim[^1] <script>.\n\n| a |\n|---|\n| b[^2] |\n\n[^1]: *One*\n[^2]: Two", "m")
    assert '<code>[^1]</code> claim<sup><a href="#m-1">1</a></sup> &lt;script&gt;' in text
    assert '<td>b<sup><a href="#m-2">2</a></sup></td>' in text
    assert '<li id="m-1"><em>One</em></li>' in text
    assert html_of("Plain.", "m") == "<p>Plain.</p>"


def test_a_message_has_headings_in_bold_and_is_counted_without_tags() -> None:
    """Characters are counted as Telegram does: UTF-16 units after the tags are removed."""
    text, length = message_of(POST.model_copy(update={"title": "🌊 & more", "body": "## A\n\nB[^1]\n\n[^1]: C"}))
    assert text == "<b>🌊 &amp; more</b>\n\n<b>A</b>\n\nB[1]\n\n[1] C\n\n#sea #moon #coast_north"
    assert length == len("🌊 & more\n\nA\n\nB[1]\n\n[1] C\n\n#sea #moon #coast_north") + 1


def test_a_site_is_named_and_its_secrets_are_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A site with secrets in the environment can be named; a folder needs none."""
    assert isinstance(cms_at(str(tmp_path)), Folder)
    for name, value in (("WORDPRESS_USER", "a"), ("WORDPRESS_PASSWORD", "b"), ("TELEGRAM_TOKEN", "1:c")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GHOST_ADMIN_KEY", GhostServer.KEY)
    assert isinstance(cms_at("wordpress:https://a.example"), WordPress)
    assert isinstance(cms_at("ghost:https://a.example"), Ghost)
    assert isinstance(cms_at("telegram:@tides"), Telegram)
    assert isinstance(cms_at("webhook:https://a.example/hook"), Webhook)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("wordpress:https://a.example", "needs WORDPRESS_USER"),
        ("ghost:https://a.example", "needs GHOST_ADMIN_KEY"),
        ("https://a.example", "an address of an unknown service"),
        ("webhook:http://a.example", "needs an https:// address"),
        ("webhook:https://me:pw@a.example", "without a user"),
    ],
)
def test_a_site_that_cannot_be_used_is_refused(site: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable site is refused before anything is written; passwords are not sent in clear over a network."""
    for name in ("WORDPRESS_USER", "GHOST_ADMIN_KEY", "WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PublishFailed, match=message):
        cms_at(site)


@pytest.mark.parametrize("key", ["", "abc", "abc:xyz"])
def test_a_key_of_ghost_has_two_parts(key: str) -> None:
    """A key of Ghost has two parts, of which the secret is hexadecimal."""
    with pytest.raises(PublishFailed, match="id:secret"):
        Ghost("https://a.example", key)
