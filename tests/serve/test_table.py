"""Each row of the table of routes: without a credential, with one of another kind, without the right.

As another tenant's user, each is tried by `test_two_tenants`.
"""

import hmac
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp

from graphengine.serve.callers import RIGHTS
from graphengine.serve.guard import AccessMiddleware, PageAccess, TokenAccess
from graphengine.serve.routes import API, FILES, OF_PAGE, TABLE, Endpoint
from graphengine.serve.signatures import key_of, secret_for
from graphengine.serve.users import Users, UsersFile, write_users
from tests.serve import exchanges
from tests.serve.exchanges import Answer
from tests.serve.test_rights import OPEN
from tests.serve.test_two_tenants import INSPECTOR, SERVICE
from tests.serve.two_tenants import Place, desk, place, token_of, user

RUN = "acme/ge:key:desk:k"
WHOLE = "the-token-of-everything"
HOST, HERE = "localhost:80", ("127.0.0.1", 1)
ORIGIN = {"origin": f"http://{HOST}", "x-graphengine": "1"}
LOCAL = "the-token-of-the-url"
HOOK = "the-key-of-webhooks"


@dataclass
class Servers:
    """A service that takes webhooks, a page for users elsewhere, and one for this machine, over one database."""

    place: Place
    service: ASGIApp
    shared: ASGIApp
    local: ASGIApp

    def of(self, row: Endpoint) -> ASGIApp:
        """Return the server that has a row."""
        return self.service if row in API else self.shared

    async def ask(self, app: ASGIApp, row: Endpoint, **headers: str) -> Answer:
        """Request a row with some headers, and nothing else that could let it in."""
        (example, *_) = (SERVICE if row in API else INSPECTOR)[name_of(row)]
        method, path, body = example.of(RUN)
        given = {"host": HOST, "content-type": "application/json"}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        text = b"" if body is None else json.dumps(body).encode()
        if headers.get("webhook_id"):
            given |= signed(path, text)
        until = bool if row.media == "text/event-stream" else None
        return await exchanges.request(app, method, path, text, given, until=until, client=HERE)


def signed(path: str, body: bytes) -> dict[str, str]:
    """Return the headers of a webhook to an address."""
    now, parts = str(int(time.time())), urlsplit(path)
    mac = hmac.digest(
        key_of(secret_for(HOOK, unquote(parts.path), parts.query)), f"hook.{now}.".encode() + body, "sha256"
    )
    return {"webhook-id": "hook", "webhook-timestamp": now, "webhook-signature": f"v1,{b64encode(mac).decode()}"}


def name_of(row: Endpoint) -> str:
    """Return the method and path of a row, as its route has it."""
    return f"{row.method} {row.route}"


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """Provide the servers, with a run of `ada`, who has all rights of a tenant."""
    async with place(folder, folder / "runs.db", {"desk": desk()}) as here:
        people = [user("ada", tenant="acme"), user("chief")]
        people += [user(f"no-{each}", ",".join({*RIGHTS} - {each}), "acme") for each in RIGHTS]
        write_users(here.users, UsersFile(people))
        await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
        await here.send("ada", "GET", f"/runs/{RUN}?wait=30")
        access = TokenAccess(WHOLE, webhook_secret=HOOK, users=Users(here.users))
        service = AccessMiddleware(here.served.application(), access)
        yield Servers(here, service, here.inspector, AccessMiddleware(here.page, PageAccess(80, LOCAL)))


async def cookie_of(app: ASGIApp, token: str) -> str:
    """Return the cookie that a page has for a token."""
    headers = {"host": HOST, "content-type": "application/json", **ORIGIN}
    body = json.dumps({"token": token}).encode()
    answer = await exchanges.request(app, "POST", "/api/session", body, headers, client=HERE)
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_row_takes_a_right_or_names_no_run() -> None:
    """A route that needs no credential needs no right, and the other way round; one needs a token, and names graphs."""
    assert {name_of(row) for row in TABLE if "none" in row.credentials} == {
        *("GET /health", "GET /provider", "GET /static/{name:path}"),
        *(name_of(row) for row in FILES),
    }
    assert {name_of(row) for row in TABLE if row.right is None} <= OPEN
    assert not [row for row in API if "cookie" in row.credentials]
    assert {row.path for row in TABLE if "signature" in row.credentials} == {"/graphs/{graph}/runs"}


async def test_all_routes_but_those_of_doors_are_rows(tmp_path: Path) -> None:
    """And each row is a route."""
    async with servers(tmp_path) as here:
        assert {name_of(row) for row in OF_PAGE} == here.place.routes["inspector"]
        doors = ("/agui", "/ai-sdk", "/v1", "/a2a", "/mcp", "/.well-known")
        others = {each for each in here.place.routes["service"] if not each.split(" ")[1].startswith(doors)}
        assert {name_of(row) for row in API} == others


async def test_nothing_is_served_without_a_credential(tmp_path: Path) -> None:
    """But what the table gives to anybody; it is refused before anything is done."""
    async with servers(tmp_path) as here:
        for row in TABLE:
            for app in (here.service,) if row in API else (here.shared, here.local):
                answer = await here.ask(app, row, **ORIGIN)
                assert (answer.status == 401) == ("none" not in row.credentials), (row.path, answer.text)


async def test_no_credential_of_another_kind_lets_in(tmp_path: Path) -> None:
    """A cookie opens no route of the service, a token none of a local page, and a signature only starts runs."""
    async with servers(tmp_path) as here:
        users, local = await cookie_of(here.shared, token_of("ada")), await cookie_of(here.local, LOCAL)
        before = [await here.place.runner.history(RUN), await here.place.runner.info(RUN)]
        for row in [each for each in TABLE if "none" not in each.credentials]:
            if row in API:
                wrong = [{"cookie": each, **ORIGIN} for each in (users, local, f"token={WHOLE}")]
                wrong += [{"webhook_id": "hook"}] if "signature" not in row.credentials else []
                answers = [await here.ask(here.service, row, **each) for each in wrong]
            else:
                answers = [await here.ask(here.local, row, authorization=f"Bearer {LOCAL}", **ORIGIN)]
                answers += [await here.ask(here.local, row, cookie=users, **ORIGIN)]
                answers += [await here.ask(here.shared, row, cookie=local, **ORIGIN)]
                answers += [
                    await here.ask(each, row, webhook_id="hook", **ORIGIN) for each in (here.local, here.shared)
                ]
            assert {each.status for each in answers} == {401}, (row.path, [each.text for each in answers])
        assert [await here.place.runner.history(RUN), await here.place.runner.info(RUN)] == before


async def test_a_write_of_the_page_needs_its_origin_and_its_header(tmp_path: Path) -> None:
    """Besides the cookie, which a browser sends by itself; a token in a header needs the header of ours."""
    async with servers(tmp_path) as here:
        cookie = await cookie_of(here.shared, token_of("ada"))
        for row in [each for each in OF_PAGE if each.body is not None]:
            halves = [{"cookie": cookie, name: text} for name, text in ORIGIN.items()]
            halves += [{"authorization": f"Bearer {token_of('ada')}"}]
            for each in halves:
                assert (await here.ask(here.shared, row, **each)).status == 403, (row.path, each)


async def test_each_row_takes_its_right(tmp_path: Path) -> None:
    """Who has all others is refused, and told which one is missing; who has it finds the run, in `test_two_tenants`."""
    async with servers(tmp_path) as here:
        before = await here.place.runner.history(RUN)
        for row in [each for each in TABLE if each.right is not None]:
            headers = {"authorization": f"Bearer {token_of(f'no-{row.right}')}", **ORIGIN}
            answer = await here.ask(here.of(row), row, **headers)
            assert answer.status == 403, (row.path, answer.text)
            assert f"no right to {row.right} here" in answer.text
        assert await here.place.runner.history(RUN) == before
        assert len(await here.place.runner.runs()) == 1


async def test_what_needs_no_right_has_nothing_of_a_run(tmp_path: Path) -> None:
    """Not even to those who have all."""
    async with servers(tmp_path) as here:
        for row in [each for each in TABLE if each.right is None]:
            answer = await here.ask(here.of(row), row, authorization=f"Bearer {token_of('ada')}", **ORIGIN)
            assert (answer.status, RUN in answer.text) == (200, False), row.path


def test_each_row_is_tried_as_another_tenants_user() -> None:
    """In `test_two_tenants`: lists, searches, trends, comparisons, stories, tags and bulk included."""
    assert {name_of(row) for row in API} <= SERVICE.keys()
    assert {name_of(row) for row in OF_PAGE} == INSPECTOR.keys()
