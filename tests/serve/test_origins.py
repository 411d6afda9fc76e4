"""A page of another site cannot use a service, not even by a name of its own that resolves to this machine."""

import pytest
from starlette.datastructures import Headers

from graphengine.serve.guard import TokenAccess
from graphengine.serve.messages import RequestInvalid
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
