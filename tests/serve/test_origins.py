"""A page of another site cannot use a service, not even by a name of its own that resolves to this machine.

And what an answer does not say, or a cookie cannot do.
"""

import json

import pytest
from starlette.datastructures import Headers

from graphengine.errors import InputError, StoreLocked
from graphengine.serve import guard
from graphengine.serve.guard import PageAccess, TokenAccess
from graphengine.serve.messages import RequestInvalid, refused, shown_error
from tests.serve.service.client import TOKEN

ACCESS = TokenAccess(TOKEN, origins=frozenset(["https://flows.example.com"]))
SCOPE = {"type": "http", "method": "POST", "path": "/mcp"}


def sent(host: str, origin: str | None) -> Headers:
    """Return the headers of a request with the token."""
    found = {"host": host, "authorization": f"Bearer {TOKEN}"}
    return Headers(found if origin is None else {**found, "origin": origin})


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example.com", "http://evil.example.com"),  # a name that resolves to this machine
        ("localhost:8000", "http://evil.example.com"),
        ("evil.example.com", "http://localhost:8000"),
        ("127.0.0.1:8000", "null"),
        ("192.168.1.5:8000", "http://192.168.1.6:8000"),
        ("192.168.1.5:8000", "http://192.168.1.5:9000"),
        ("flows.example.com", "http://flows.example.com"),  # not the scheme that is allowed
        ("127.0.0.1:8000", "http://[::1"),
        ("", "http://localhost"),
        ("localhost", "file://localhost"),
        ("localhost.evil.example.com", "http://localhost.evil.example.com"),
    ],
)
async def test_pages_from_elsewhere_are_refused(host: str, origin: str) -> None:
    """The token does not help; the error says how to allow the address."""
    with pytest.raises(RequestInvalid) as caught:
        await ACCESS.check(SCOPE, sent(host, origin))
    assert caught.value.status == 403
    assert f"--origin {origin}" in caught.value.repair


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("anything.example.com", None),  # no browser
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://localhost:5173"),  # a page that is being developed
        ("[::1]:8000", "http://[::1]:8000"),
        ("192.168.1.5:8000", "http://192.168.1.5:8000"),
        ("flows.example.com", "https://flows.example.com"),
        ("127.0.0.1:8000", "https://FLOWS.example.com"),  # a proxy that does not pass its name on
    ],
)
async def test_pages_of_this_machine_and_of_the_proxy_are_served(host: str, origin: str | None) -> None:
    """Their names are no other site's."""
    assert (await ACCESS.check(SCOPE, sent(host, origin))).name == ""


def test_the_path_of_the_database_is_no_part_of_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The code is, and what to do; the log of the service has the rest. Other errors are as they are."""
    answer = refused(
        StoreLocked("database is locked", where="/srv/secret/runs.db", repair="raise busy_timeout_seconds")
    )
    found = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, found["code"]) == (503, "store_locked")
    assert "/srv/secret" not in str(found)
    assert "/srv/secret/runs.db" in caplog.text
    assert shown_error(InputError("bad", where="field x")).where == "field x"


async def test_a_cookie_that_is_quoted_is_none() -> None:
    """It is found by its name alone, without the rules of quoted values, which can take long."""
    access = PageAccess(8000, TOKEN)
    held = await access._cookie_for(TOKEN)  # noqa: SLF001
    name = "graphengine-8000"
    assert guard._cookie_of(f"a=b; {name}={held}; c", name) == held  # noqa: SLF001
    for text in ("", f'{name}="{held}"', f'{name}="' + "\\" * 60_000 + '"', f"x{name}={held}"):
        assert guard._cookie_of(text, name) == ""  # noqa: SLF001
