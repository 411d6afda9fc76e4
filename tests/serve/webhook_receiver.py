"""A webhook on 127.0.0.1 that keeps what it gets, and answers as a test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from starlette.datastructures import Headers

from graphengine.serve.signatures import is_signed

SECRET = "whsec_c2VjcmV0IG9mIHRlc3Rz"  # noqa: S105 - of tests


class Receiver:
    """What was received: the ids, and the bodies, each of which was signed."""

    def __init__(self) -> None:
        self.url = ""
        self.ids: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def of(self, run_id: str) -> list[str]:
        """Return the types of what was received of a run."""
        return [body["type"] for body in self.bodies if body["data"]["run_id"] == run_id]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive in this block."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            now = float(self.headers["webhook-timestamp"])
            if is_signed(Headers(dict(self.headers.items())), body, SECRET, now):
                kept.ids.append(self.headers["webhook-id"])
                kept.bodies.append(json.loads(body))
            kept.may_answer.wait()
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            self.send_header("location", f"{kept.url}/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield kept
    finally:
        kept.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
