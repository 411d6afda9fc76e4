"""docs/use/notifications.md: its receiver takes what is sent, and passes it on by e-mail and by a chat's webhook."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from starlette.testclient import TestClient

from graphengine.serve.signatures import key_of, signed
from tests.docs.page import USE, blocks, names_of

PAGE = USE / "notifications.md"
SECRET = "whsec_c2VjcmV0"  # noqa: S105 - of tests
NEWS = json.loads(blocks(PAGE, "json")[0])
LINK = "https://runs.example.org/questions?id=payment-7&wait=approve%402"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of the page's receiver."""
    (source,) = blocks(PAGE, "python")
    assert len(source.splitlines()) <= 60
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with TestClient(names_of(source)["app"]) as made:
        yield made


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve on 127.0.0.1 in this block; yield the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def post(client: TestClient, key: bytes) -> int:
    """Send the page's example, signed with a key; return the status."""
    body = json.dumps(NEWS).encode()
    return client.post("/asked", content=body, headers=signed(key, "msg_1", time.time(), body)).status_code


def test_a_chat_gets_the_question_and_the_link(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a text in JSON; a request with another secret is refused."""
    got: list[Any] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    with serving(Chat) as port:
        monkeypatch.setenv("SLACK_URL", f"http://127.0.0.1:{port}/hook")
        assert (post(client, key_of(SECRET)), post(client, b"other")) == (204, 401)
    assert got == [{"text": f"payments payment-7: Pay 5?\n{LINK}"}]


def test_an_email_has_the_question_and_the_link(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to a server that speaks SMTP."""
    lines: list[str] = []

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            in_text = False
            for raw in self.rfile:
                line = raw.decode().rstrip("\r\n")
                lines.append(line)
                if in_text and line != ".":
                    continue
                in_text = line.lower() == "data"
                if line.lower() == "quit":
                    self.wfile.write(b"221 bye\r\n")
                    return
                self.wfile.write(b"354 go on\r\n" if in_text else b"250 ok\r\n")

    with serving(Mail) as port:
        monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SMTP_PORT", str(port))
        assert post(client, key_of(SECRET)) == 204
    assert "Subject: run.asked: payment-7" in lines
    assert "payments payment-7: Pay 5?" in lines
    assert LINK in lines
