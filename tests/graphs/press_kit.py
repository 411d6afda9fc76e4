"""A source, answers of a press, and a webhook that receives its posts."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from pydantic import BaseModel

from graphengine import TextFile
from graphengine.models.scripted import Script
from nodes.citing import Passage, Quotations
from nodes.press.agents import Edited
from nodes.press.publishing import Listing
from tests.conformance.model_scenes import Counted, Received, Says

SOURCE: Final = TextFile(
    path="tides.md",
    text=(
        "# Tides of the North Sea\n\nThe moon pulls the water of the sea towards itself.\n"
        "Most coasts have two high tides and two low tides a day.\n"
        "Spring tides come when sun and moon pull in one line.\n"
    ),
)
TASK: Final = "How tides work"
GIVEN: Final[Mapping[str, object]] = {"task": TASK, "sources": [SOURCE]}
MOON: Final = Passage(text="The moon pulls the water of the sea towards itself.", file="tides.md", line=3)
TWO: Final = Passage(text="Most coasts have two high tides and two low tides a day.", file="tides.md", line=4)
FOUND: Final = Quotations(quotations=[MOON, TWO])
TEXT: Final = (
    "# How tides work\n\n## The moon\n\nThe moon pulls the sea [tides.md:3]. Coasts see two tides [tides.md:4].\n"
)
EDITED: Final = Edited(
    text=TEXT.replace("Coasts see", "Most coasts see"), changes=["Coasts are said to be most coasts."]
)
LISTED: Final = Listing(
    title="Why the sea rises twice a day",
    description="Why most coasts have two tides a day: the moon pulls the water of the sea towards itself. "
    "What that means for whoever lives, sails or builds by the sea",
    tags=["tides", "moon", "sea"],
)
ANSWERS: Final[Mapping[str, Sequence[object]]] = {
    "researcher": [FOUND],
    "writer": [TEXT],
    "editor": [EDITED],
    "publisher": [LISTED],
}
REFUSAL: Final = "I'm sorry, but I can't help with that."
COUNTED: Final = Counted(input_tokens=1000, cache_read_tokens=500, output_tokens=50)
CALL_USD: Final = 500 * 1e-6 + 500 * 0.1e-6 + 50 * 5e-6
"""The price of a call with these tokens: half of what goes in is read from the cache at a tenth of 1 USD a million."""


def says(*names: str, **others: Script) -> dict[str, Script]:
    """Return the answers of these agents, of all four if none is named, except for the given ones."""
    usual: dict[str, Script] = {name: list(ANSWERS[name]) for name in names or ANSWERS}
    return {**usual, **others}


def by_role(received: Received) -> Says:
    """Return the answer of the agent that sent a request, recognised by its instructions; the order is not fixed."""
    roles: dict[str, BaseModel | str] = {
        "You find what": FOUND,
        "You write for": TEXT,
        "You edit a": EDITED,
        "You list a": LISTED,
    }
    (answer,) = (value for words, value in roles.items() if words in received.system)
    return Says(answer if isinstance(answer, str) else answer.model_dump_json(), counted=COUNTED)


class Webhook(ThreadingHTTPServer):
    """A webhook of this machine: it keeps what it gets, and answers with these statuses, then with 201."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.statuses = list(statuses)
        self.got: list[tuple[str, bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/posts?draft=no"


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Take a post."""
        server = self.server
        assert isinstance(server, Webhook)
        assert self.path == "/posts?draft=no"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.got.append((self.headers["Idempotency-Key"], body))
        self.send_response(server.statuses.pop(0) if server.statuses else 201)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def webhook(*statuses: int) -> Iterator[Webhook]:
    """Run a webhook."""
    with Webhook(*statuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
