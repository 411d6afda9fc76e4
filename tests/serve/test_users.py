"""Users: their file, their rights, the tokens of a provider, and approvals of those who may not answer any more."""

import asyncio
import json
import logging
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import structs
from starlette.applications import Starlette

from graphengine import Agent, Runner, ScriptedModel, addresses, tool
from graphengine.cli.main import main
from graphengine.errors import InputError
from graphengine.models.scripted import calls
from graphengine.serve import guard, oidc
from graphengine.serve.approvers import Approvers
from graphengine.serve.callers import Caller
from graphengine.serve.inspector import streams
from graphengine.serve.messages import NotAuthorized
from graphengine.serve.service import a2a_door, app
from graphengine.serve.users import Oidc, Users, UsersFile, read_users, write_users
from tests.agents.run_kits import one, within
from tests.kit.runs import SOON
from tests.serve.exchanges import Answer, request
from tests.serve.openid_provider import KEY, SECRET, provided
from tests.serve.service.client import Service
from tests.serve.service.test_a2a import Receiver
from tests.serve.two_tenants import desk, place, token_of, user


async def test_a_right_is_needed_for_each_act(tmp_path: Path) -> None:
    """Without it a request is refused with 403, whether there is such a run or not; a tenant starts no other's runs."""
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        people = [user("starter", "start", "acme"), user("reader", "read", "acme"), user("ada", "answer,read", "acme")]
        write_users(here.users, UsersFile(people))
        begun = await here.send("starter", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
        assert begun.json == {"run_id": "acme/ge:key:desk:k"}
        for path in ("/runs/acme/ge:key:desk:k", "/runs/none"):
            assert (await here.send("starter", "GET", path)).status == 403
            assert (await here.send("reader", "POST", f"{path}/stop", {})).status == 403
            assert (
                await here.send("reader", "POST", f"{path}/answer", {"id": "approve@3", "value": True})
            ).status == 403
        waiting = (await here.send("reader", "GET", "/runs/acme/ge:key:desk:k?wait=30")).json
        wait_id = waiting["waits"][0]["id"]
        assert waiting["status"] == "waiting"
        other = await here.send("starter", "POST", "/graphs/desk/runs?tenant=globex", {"text": "a"})
        first = await here.send("starter", "POST", "/graphs/desk/runs?priority=9", {"text": "a"})
        assert (other.status, first.status) == (403, 403)
        named = await here.send(
            "ada", "POST", "/runs/acme/ge:key:desk:k/answer", {"id": wait_id, "value": True, "by": "bob"}
        )
        assert (named.status, named.json["error"]["message"]) == (422, "ada cannot answer in the name of 'bob'")
        assert (
            await here.send("ada", "POST", "/runs/acme/ge:key:desk:k/answer", {"id": wait_id, "value": True})
        ).status == 202
        assert (await here.send("ada", "GET", "/runs/acme/ge:key:desk:k?wait=30&after=3")).json["status"] == "finished"
        steps = await here.runner.history("acme/ge:key:desk:k")
        assert [step.data.answer.by for step in steps if getattr(step.data, "answer", None)] == ["ada"]  # type: ignore[union-attr]
        assert (await here.send("acme", "GET", "/runs")).status == 401, "the file has no such user any more"


OF_RUN = "acme/ge:key:desk:k"


async def test_a_stop_says_who_asked(tmp_path: Path) -> None:
    """A stop of one run and of several; a reason that was given is recorded as it was given."""
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        write_users(here.users, UsersFile([user("ada", tenant="acme")]))
        reasons = []
        for key, body in (("a", {}), ("b", {"why": "a wrong input"}), ("c", None)):
            begun = await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key=key)
            path = f"/runs/{begun.json['run_id']}"
            assert (await here.send("ada", "GET", f"{path}?wait=30")).json["status"] == "waiting"
            if body is None:
                bulk = {"action": "stop", "ids": [begun.json["run_id"]]}
                assert (await here.send("ada", "POST", "/bulk", bulk)).status == 200
            else:
                assert (await here.send("ada", "POST", f"{path}/stop", body)).status == 202
            reasons.append((await here.send("ada", "GET", f"{path}?wait=30")).json["ending"]["why"])
    assert reasons == ["asked by ada", "a wrong input", "asked by ada"]


@pytest.mark.parametrize("stream", [f"/runs/{OF_RUN}/events", f"/api/events?run_id={OF_RUN}", "/api/events"])
async def test_an_open_stream_ends_when_its_user_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    """At the next thing that it would send; so does that of a user who gets other rights. Others go on."""
    for server in (app, streams):
        monkeypatch.setattr(server, "HEARTBEAT_SECONDS", 0.02)
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        people = [user("ada", tenant="acme"), user("bob", tenant="acme")]
        write_users(here.users, UsersFile(people))
        await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
        for left in ([people[1]], [user("ada", "read", "acme"), people[1]]):
            write_users(here.users, UsersFile(people))
            began = asyncio.Event()
            ended = asyncio.create_task(here.send("ada", "GET", stream, until=partial(_is_long, began, 1_000_000)))
            other = asyncio.create_task(here.send("bob", "GET", stream, until=partial(_is_long, asyncio.Event(), 2000)))
            await began.wait()
            write_users(here.users, UsersFile(left))
            assert ((await ended).status, (await other).status) == (200, 200)
            assert len((await ended).text) < 1_000_000
            assert len((await other).text) > 2000


async def test_a_user_with_too_many_streams_is_answered_with_429(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every door, until one ends; another user is served, and the answer says when to try again."""
    monkeypatch.setattr(app, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(guard, "most_connections", lambda: 8)
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        people = [user("ada", tenant="acme"), user("bob", tenant="acme")]
        write_users(here.users, UsersFile(people))
        await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
        events, began, ends = f"/runs/{OF_RUN}/events", [asyncio.Event(), asyncio.Event()], asyncio.Event()

        def is_enough(index: int, text: str) -> bool:
            began[index].set()
            return bool(text) and ends.is_set()

        streams = [
            asyncio.create_task(here.send("ada", "GET", events, until=partial(is_enough, index))) for index in range(2)
        ]
        for each in began:
            await each.wait()
        for path in ("/runs", events, f"/runs/{OF_RUN}?wait=30", "/v1/models"):
            refused = await here.send("ada", "GET", path)
            assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        assert (await here.send("bob", "GET", "/runs")).status == 200
        ends.set()
        assert [(await each).status for each in streams] == [200, 200]
        assert (await here.send("ada", "GET", "/runs")).status == 200


async def test_requests_whose_bodies_are_awaited_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller cannot have more of them than of others: they would all be let in once their bodies are complete."""
    monkeypatch.setattr(guard, "most_connections", lambda: 8)
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        write_users(here.users, UsersFile([user("ada", tenant="acme")]))
        headers = [(b"authorization", f"Bearer {token_of('ada')}".encode()), (b"content-type", b"application/json")]
        scope: Any = {
            "type": "http",
            "method": "POST",
            "path": "/runs/x/answer",
            "headers": headers,
            "query_string": b"",
        }
        goes_on, statuses = asyncio.Event(), list[int]()

        def receiving() -> Callable[[], Awaitable[Any]]:
            sent = [{"type": "http.request", "body": b"{}", "more_body": False}]

            async def receive() -> Any:
                await goes_on.wait()
                return sent.pop() if sent else {"type": "http.disconnect"}

            return receive

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        sent: list[Any] = [asyncio.ensure_future(here.of("/runs")(dict(scope), receiving(), send)) for _ in range(5)]
        done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            await each
        assert set(statuses) == {429}
        goes_on.set()
        await asyncio.gather(*sent)
        assert len(statuses) == 5


def _is_long(began: asyncio.Event, most: int, text: str) -> bool:
    began.set()
    return len(text) > most


async def test_a_user_who_is_removed_in_one_process_is_refused_in_the_others(tmp_path: Path) -> None:
    """Two servers read one file; a command removes the user, and neither is started again."""
    path = str(tmp_path / "users.json")
    add = CliRunner().invoke(main, ["users", "add", "ada", "--rights", "all", "--users", path, "--json"])
    header = {"Authorization": f"Bearer {json.loads(add.output)['token']}"}
    with ExitStack() as stack:
        servers = [Service(tmp_path / "runs.db", "--users", path) for _ in range(2)]
        for server in servers:
            stack.callback(server.end, signal.SIGKILL)
        assert [server.request("GET", "/runs", headers=header)[0] for server in servers] == [200, 200]
        assert CliRunner().invoke(main, ["users", "remove", "ada", "--users", path]).exit_code == 0
        assert [server.request("GET", "/runs", headers=header)[0] for server in servers] == [401, 401]
        assert [server.request("GET", "/runs")[0] for server in servers] == [200, 200]


async def test_what_a_user_asks_to_push_to_must_be_public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of the server's own net is refused, by number or name; what is posted goes to the number checked."""
    made = {"jsonrpc": "2.0", "id": 1, "method": "CreateTaskPushNotificationConfig"}
    with Receiver() as receiver:
        receiver.refused = 0
        async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
            write_users(here.users, UsersFile([user("ada", tenant="acme")]))
            await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
            await here.send("ada", "GET", "/runs/acme/ge:key:desk:k?wait=30")

            async def push(url: str) -> str:
                body = {**made, "params": {"taskId": "acme/ge:key:desk:k", "url": url, "id": "p"}}
                return (await here.send("ada", "POST", "/a2a/desk", body, a2a_version="1.0")).text

            for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
                assert "is in a private network" in await push(url)
            assert "cannot be found" in await push("http://nowhere.invalid/")
            monkeypatch.setattr(addresses, "number_of", lambda _: "127.0.0.1")
            monkeypatch.setattr(a2a_door, "number_of", lambda _: "127.0.0.1")
            given = receiver.url.replace("127.0.0.1", "push.example")
            assert given in await push(given)
            async with asyncio.timeout(SOON):
                while not receiver.got:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        receiver.shutdown()


async def test_a_broken_file_keeps_the_last_users(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And the log says so; what is right again holds at once. At the start it is an error."""
    path = tmp_path / "users.json"
    write_users(path, UsersFile([user("ada", "read", "acme")]))
    users = Users(path)
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("{")
    with caplog.at_level(logging.WARNING):
        assert await users.caller_of(token_of("ada")) == Caller("ada", "acme", frozenset(["read"]))
    assert "the users that were read before still hold" in caplog.text
    with pytest.raises(InputError, match="is not a file of users"):
        Users(path)
    write_users(path, UsersFile([user("bob")]))
    assert await users.caller_of(token_of("ada")) is None
    assert await users.caller_of(token_of("bob")) == Caller("bob")


async def test_a_provider_that_cannot_be_used_keeps_no_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who was removed is refused, whatever the file says of the provider; only a page needs its client's secret."""
    path, guest = tmp_path / "users.json", Caller("oidc:eve")
    write_users(path, UsersFile([user("ada")]))
    users = Users(path)
    page = Oidc("https://login.example.org", "page", client_id="page", secret_variable="UNSET")  # noqa: S106
    write_users(path, UsersFile([user("bob")], page))
    for each in (users, Users(path)):
        assert await each.caller_of(token_of("ada")) is None
        assert await each.caller_of(token_of("bob")) == Caller("bob")
        assert each.signs_in is not None
    shown = CliRunner().invoke(main, ["inspect", "--shared", "--users", str(path)])
    assert (shown.exit_code, "the environment variable UNSET is not set" in shown.stderr) == (2, True)
    write_users(path, UsersFile([user("carol")], structs.replace(page, issuer="http://login.example.org")))
    assert await users.caller_of(token_of("bob")) is None
    assert await users.caller_of(token_of("carol")) == Caller("carol")
    assert users.signs_in is None
    assert (users.still_has(guest), users.objection("oidc:eve", "answer", None)) == (True, "")
    assert "no tokens of a provider are taken: 'http://login.example.org' cannot be" in caplog.text


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"name": "a", "rights": ["fly"], "sha256": "0" * 64}, "'fly' is not a right"),
        ({"name": "a", "rights": []}, "must have the SHA-256"),
        ({"name": "oidc:a", "rights": [], "sha256": "0" * 64}, "or no token if a provider"),
        ({"name": "", "rights": [], "sha256": "0" * 64}, "cannot be the name of a user"),
        ({"name": "a", "rights": [], "sha256": "0" * 64, "tenant": ""}, "cannot be the tenant of a user"),
        ({"name": "a", "right": []}, "is not a file of users"),
    ],
)
def test_a_fault_of_the_file_is_one_error(tmp_path: Path, fault: Any, why: str) -> None:
    """It says which user has it."""
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"users": [fault]}))
    with pytest.raises(InputError, match=why):
        read_users(path)


@pytest.fixture
def issuer() -> Iterator[str]:
    """Return the address of an OpenID provider."""
    with provided() as provider:
        yield provider.issuer


async def test_the_tokens_of_a_provider(tmp_path: Path, issuer: str) -> None:
    """Signature, issuer, audience, time and claims are checked; the file can say otherwise of one of its users."""
    path = tmp_path / "users.json"
    oidc = Oidc(issuer, "app", tenant_claim="org", rights_claim="scope")
    write_users(path, UsersFile([], oidc))
    users = Users(path)
    good = {"iss": issuer, "aud": "app", "sub": "ada", "org": "acme", "exp": time.time() + 60}
    good["scope"] = "openid graphengine:read answer"

    def token(key: Any = KEY, algorithm: str = "RS256", kid: str = "one", **more: Any) -> str:
        claims = {name: value for name, value in {**good, **more}.items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})

    caller = await users.caller_of(token())
    assert caller == Caller("oidc:ada", "acme", frozenset(["read", "answer"]))
    assert users.still_has(caller)
    assert not users.still_has(replace(caller, until=time.time() - 1)), "a stream ends with its token"
    assert 30 < caller.until - time.time() < 150
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of no service
    wrong = [
        token(key=stranger),
        token(kid="two"),
        token(kid="three"),
        token(aud="other"),
        token(iss="https://a.org"),
        token(org=None),
    ]
    wrong += [token(exp=1), token(exp=None), token(secret, "HS256"), token("", "none"), "a.b.c"]
    for each in wrong:
        with pytest.raises(NotAuthorized):
            await users.caller_of(each)
    listed = user("oidc:ada", "read", "globex")
    listed.sha256 = ""
    write_users(path, UsersFile([listed], oidc))
    assert await users.caller_of(token()) == Caller("oidc:ada", "globex", frozenset(["read"]))


async def test_what_comes_back_from_a_provider_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong state, another browser, a code that was used, and tokens that are not valid let nobody in."""
    monkeypatch.setenv("PAGE_SECRET", SECRET)
    path = tmp_path / "users.json"
    with provided(path) as provider:
        file = read_users(path)
        write_users(path, UsersFile([user("bob")], file.oidc))
        access = guard.AccessMiddleware(Starlette(), guard.SharedPageAccess(1, Users(path)))
        origin = {"host": "a.example", "origin": "https://a.example", "x-graphengine": "1"}

        async def sent(cookie: str, **body: str) -> Answer:
            given = {**origin, "content-type": "application/json", "cookie": cookie}
            return await request(access, "POST", "/api/session", json.dumps(body).encode(), given)

        async def begun() -> tuple[str, dict[str, str]]:
            answer = await sent("")
            kept = answer.headers["set-cookie"]
            assert kept.endswith("; HttpOnly; SameSite=Strict; Path=/api/session; Max-Age=900; Secure")
            back = urlsplit(provider.back(answer.json["address"]))
            assert (back.netloc, back.path) == ("a.example", "/signed_in")
            return kept.partition(";")[0], dict(parse_qsl(back.query))

        kept, given = await begun()
        other, _ = await begun()
        for cookie, body in (
            (kept, given | {"state": "guessed"}),
            (other, given),
            ("", given),
            ("graphengine-way-in=", given),
            ("", {"state": "", "token": token_of("bob")}),
        ):
            answer = await sent(cookie, **body)
            assert (answer.status, "set-cookie" in answer.headers) == (401, False)
            assert "was started in another browser" in answer.text
        answer = await sent(kept, state=given["state"], error="access_denied \ud800")
        assert "refused the sign-in: access_denied \ufffd" in answer.text
        answer = await sent(kept, **given)
        assert (answer.status, answer.json) == (200, {})
        answer = await sent(kept, **given)
        assert (answer.status, "gave no token for this sign-in, and answered with status 400" in answer.text) == (
            401,
            True,
        )
        for wrong in ({"exp": 1}, {"aud": "api"}, {"iss": "https://a.org"}, {"nonce": "n"}, {"groups": ["g"] * 1000}):
            provider.claims = {"sub": "ada", **wrong}
            kept, given = await begun()
            answer = await sent(kept, **given)
            assert (answer.status, "set-cookie" in answer.headers) == (401, False), wrong
        elsewhere = origin | {"origin": "https://evil.example", "content-type": "application/json"}
        assert (await request(access, "POST", "/api/session", b"{}", elsewhere)).status == 403


async def test_a_stranger_has_few_codes_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cookie and codes of their own, at once; the provider is asked again after some seconds."""
    monkeypatch.setenv("PAGE_SECRET", SECRET)
    monkeypatch.setattr(oidc, "_AGAIN_SECONDS", 1e9)
    path = tmp_path / "users.json"
    with provided(path) as provider:
        access = guard.AccessMiddleware(Starlette(), guard.SharedPageAccess(1, Users(path)))
        given = {"host": "a.example", "origin": "https://a.example", "x-graphengine": "1"}
        given |= {"content-type": "application/json", "cookie": "graphengine-way-in=x.n.v"}

        async def sent() -> Answer:
            return await request(access, "POST", "/api/session", b'{"state": "x", "code": "guessed"}', given)

        statuses = Counter(answer.status for answer in await asyncio.gather(*(sent() for _ in range(30))))
        assert (statuses, len(provider.logins)) == ({401: 20, 429: 10}, 20)
        assert (await sent()).headers["retry-after"] == "5"
        monkeypatch.setattr(oidc, "_AGAIN_SECONDS", -1)
        assert ((await sent()).status, len(provider.logins)) == (401, 21)


@pytest.mark.parametrize("kept", [False, True])
async def test_an_approval_does_not_outlive_the_right_to_give_it(tmp_path: Path, *, kept: bool) -> None:
    """The call does not begin: it is asked again with the reason, and the last answer counts."""
    paid: list[int] = []

    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    path = tmp_path / "users.json"
    write_users(path, UsersFile([user("ada", "answer"), user("bob", "answer")]))
    graph = one(Agent("writer", prompt="{task}", tools=[tool(pay, approve=True)]))
    model = ScriptedModel([calls(("pay", {"amount": 5})), "done"])
    store = tmp_path / "runs.db" if kept else None
    async with Runner(store, models=model, extensions=[Approvers(Users(path))]) as runner:
        run = runner.start(graph)
        await within(run)
        await runner.answer(run.id, True, by="ada")  # noqa: FBT003 - the answer
        write_users(path, UsersFile([user("ada", "read"), user("bob", "answer")]))
        (wait,) = (await within(runner.resume(run.id, graph))).waits
        assert wait.question.startswith("Asked again: ada has no right to answer any more.\n\nMay writer call pay(")
        assert paid == []
        await runner.answer(run.id, True, by="bob")  # noqa: FBT003
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert paid == [5]
