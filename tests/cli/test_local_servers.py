"""What is said to somebody who has no key: which texts, which models, and which server on this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from graphengine.cli import models
from tests.cli.programs import Invoke

ROOT = Path(__file__).resolve().parents[2]
LOOP = str(ROOT / "graphs" / "review_loop.py")


@contextmanager
def serving(body: bytes) -> Iterator[str]:
    """Answer each request with this, as a server of models would; yield the address of its API."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_task_without_texts_is_refused_with_what_helps(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before the run starts: the option for texts, the sets of models, and the server that answers."""
    with serving(json.dumps({"data": [{"id": "qwen3:8b"}]}).encode()) as address:
        monkeypatch.setattr(models, "SERVERS", {"ollama": address, "gone": "http://127.0.0.1:1/v1"})
        found = invoke("run", LOOP, "--input", "task=Why?", "--store", str(tmp_path / "runs.db"))
    assert found.exit_code == 2
    said = " ".join(found.stderr.split())
    assert "sources is empty, and rules cannot answer without" in said
    assert "--input sources=@FILE" in said
    assert not (tmp_path / "runs.db").exists()
    assert f"--model anthropic, --model openai, --model openai-chat:qwen3:8b@{address}" in said
    assert "rules or placeholders answered" not in said


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": []}', b'{"data": [{}]}', b'{"data": 3}'])
def test_another_server_on_that_port_is_none(
    body: bytes, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hint then has an example."""
    with serving(body) as address:
        monkeypatch.setattr(models, "SERVERS", {"ollama": address})
        found = invoke("run", LOOP, "--input", "task=Why?", "--store", str(tmp_path / "runs.db"))
    assert "--model openai-chat:NAME@http://127.0.0.1:11434/v1" in " ".join(found.stderr.split())
