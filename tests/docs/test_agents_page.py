"""docs/use/agents.md shows what the model of README's agent gets, byte for byte."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.docs.page import ROOT, USE, blocks, names_of

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "The moon pulls the sea, and the sun a little."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": 12},
}


class Recorder(BaseHTTPRequestHandler):
    """Keeps the body of each request, and answers it."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        """Answer."""
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Yield the bodies that a server on this machine gets in place of Anthropic's."""
    found: list[bytes] = []
    server = HTTPServer(("127.0.0.1", 0), type("Here", (Recorder,), {"bodies": found}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    monkeypatch.setattr("graphengine.agents.runtime._MODELS", {})  # an earlier test may have made this model
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_model_of_the_first_agent_gets_what_was_typed(
    bodies: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """The page has the request of README's program as it is sent, and README what the program prints."""
    program = next(block for block in blocks(ROOT / "README.md", "python") if 'Agent("assistant"' in block)
    names_of(program)
    (shown,) = (block for block in blocks(USE / "agents.md", "json") if '"messages"' in block)
    assert bodies == [shown.strip().encode()]
    assert capsys.readouterr().out in blocks(ROOT / "README.md", "text")
