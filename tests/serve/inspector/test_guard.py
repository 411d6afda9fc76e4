import pytest
from starlette.types import ASGIApp

from graphengine.serve.messages import BODY_BYTES
from tests.serve.inspector.client import ORIGIN, PORT, TOKEN, address, cookie, post, request

READS = ["session", "runs", "overview", "lines", "events", address("run", id="five"), address("step", id="five", seq=2)]


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "given", ["", "graphengine-8765=", "graphengine-8765=guess", "other=x", "graphengine-8765=\x01;;="]
)
async def test_data_needs_the_cookie(app: ASGIApp, path: str, given: str) -> None:
    """Without the cookie, or with a wrong one, no read is answered."""
    answer = await request(app, f"/api/{path}", headers={"cookie": given})
    assert answer.status == 401
    assert b"five" not in answer.body


async def test_the_token_is_swapped_for_a_cookie(app: ASGIApp) -> None:
    """The cookie is not the token, scripts cannot read it, and other sites' requests do not carry it."""
    answer = await post(app, "/api/session", {"token": TOKEN})
    name, _, attributes = answer.headers["set-cookie"].partition("; ")
    assert attributes == "HttpOnly; SameSite=Strict; Path=/"
    assert TOKEN not in name
    found = await request(app, "/api/runs", headers={"cookie": f"a=b; {name}"})
    assert found.status == 200
    assert len(found.document["runs"]) == 7


@pytest.mark.parametrize("token", ["", "guess", TOKEN + "x", TOKEN[:-1], None, 5, ["the-token"], "\ud800"])
async def test_another_token_opens_nothing(app: ASGIApp, token: object) -> None:
    """A wrong token gets no cookie, whatever its type."""
    answer = await post(app, "/api/session", {"token": token})
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1.evil.example:{PORT}",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/runs", "/api/session"])
async def test_a_foreign_host_is_refused(app: ASGIApp, host: str, path: str) -> None:
    """A name that resolves to this machine gets nothing, not even with the cookie: DNS rebinding."""
    answer = await request(app, path, headers={"host": host, "cookie": await cookie(app)})
    assert answer.status == 421


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"[::1]:{PORT}", f"127.0.0.1:{PORT}"])
async def test_local_names_are_served(app: ASGIApp, host: str) -> None:
    """The page opens under each local name."""
    assert (await request(app, "/", headers={"host": host})).status == 200


@pytest.mark.parametrize("client", [("192.168.0.7", 5), ("10.0.0.1", 1), None])
async def test_other_machines_are_refused(app: ASGIApp, client: tuple[str, int] | None) -> None:
    """A connection from another machine gets nothing."""
    assert (await request(app, "/", client=client)).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ""}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": f"http://127.0.0.1:{PORT + 1}"}, 403),
        ({"origin": f"https://127.0.0.1:{PORT}"}, 403),
        ({"origin": f"{ORIGIN}.evil.example"}, 403),
        ({"x_graphengine": ""}, 403),
        ({"x_graphengine": "0"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": ""}, 415),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"cookie": ""}, 401),
    ],
)
async def test_a_forged_write_is_refused(app: ASGIApp, headers: dict[str, str], status: int) -> None:
    """A write of another page, even in the browser that has the cookie, changes nothing."""
    known = await cookie(app)
    answer = await post(app, "/api/tag", {"id": "five", "add": ["forged"]}, **{"cookie": known, **headers})
    assert answer.status == status
    run = await request(app, address("/api/run", id="five"), headers={"cookie": known})
    assert run.document["tags"] == ["nightly"]


async def test_another_sites_page_reads_nothing(app: ASGIApp) -> None:
    """A read that the browser marks as one of another site is refused; no answer allows other origins."""
    known = await cookie(app)
    answer = await request(app, "/api/runs", headers={"cookie": known, "sec-fetch-site": "cross-site"})
    assert answer.status == 403
    allowed = await request(app, "/api/runs", headers={"cookie": known, "origin": "http://evil.example"})
    assert not [name for name in allowed.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(app: ASGIApp, method: str) -> None:
    """There is GET, HEAD and POST; a preflight of another origin is refused too."""
    assert (await request(app, "/api/tag", method=method, headers={"cookie": await cookie(app)})).status == 405


async def test_a_large_body_is_refused(app: ASGIApp) -> None:
    """A body above the limit is refused before it is parsed."""
    answer = await post(app, "/api/tag", {"id": "five", "add": ["x" * BODY_BYTES]}, cookie=await cookie(app))
    assert answer.status == 413
    assert b"--body-bytes" not in answer.body  # an option that only the service has


@pytest.mark.parametrize("act", ["answer", "send", "stop", "tag"])
async def test_a_read_only_inspector_has_no_writes(read_only: ASGIApp, act: str) -> None:
    """With --read-only the routes that write do not exist."""
    answer = await post(read_only, f"/api/{act}", {"id": "five", "add": ["x"]}, cookie=await cookie(read_only))
    assert answer.status == 404


@pytest.mark.parametrize("act", ["answer", "send", "stop", "tag"])
async def test_a_read_cannot_write(app: ASGIApp, act: str) -> None:
    """A link or an image cannot write: the writes take POST only."""
    answer = await request(app, f"/api/{act}?id=five&add=x", headers={"cookie": await cookie(app)})
    assert answer.status == 405


@pytest.mark.parametrize("path", ["/", "/run", "/static/app.js", "/static/none", "/api/runs", "/none"])
async def test_every_answer_carries_the_policy(app: ASGIApp, path: str) -> None:
    """Scripts and styles come from files of this server only, nothing frames the page, types are not guessed."""
    answer = await request(app, path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name", ["../server.py", "..%2fserver.py", "/etc/passwd", "vendor/../../server.py", "", "vendor"]
)
async def test_no_path_leaves_the_folder(app: ASGIApp, name: str) -> None:
    """Only files of the page's own folder are served."""
    assert (await request(app, f"/static/{name}")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        address("/api/run", id="x" * 501),
        "/api/run",
        address("/api/run", id="five", at="-1"),
        address("/api/run", id="five", at="1e400"),
        address("/api/run", id="five", at="x"),
        address("/api/step", id="five", seq=99),
        address("/api/step", id="five", seq=1 << 40),
        address("/api/runs", status="' OR 1"),
        address("/api/runs", begun_after="nan"),
        address("/api/picture", fingerprint="f", detail="../x"),
    ],
)
async def test_parameters_are_checked(app: ASGIApp, path: str) -> None:
    """An invalid parameter is refused with its name, and does not reach a statement."""
    answer = await request(app, path, headers={"cookie": await cookie(app)})
    assert answer.status == 422
    assert answer.document["error"]["where"]
