"""A service in a process of its own, and a client that checks each answer against the service's description."""

import asyncio
import base64
import hmac
import http.client
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import jsonschema

from graphengine import Graph, Runner
from graphengine.serve.service import app
from graphengine.serve.signatures import key_of, secret_for
from graphengine.worker.worker import Worker
from tests.kit import forks
from tests.serve.exchanges import Answer, events_of

ROOT = Path(__file__).resolve().parents[3]
FLOWS = str(ROOT / "tests" / "serve" / "service" / "flows.py")
TOKEN = "the-token-of-these-tests"  # noqa: S105 - of no real service
SECRET = "the secret of a webhook"  # noqa: S105


class Service:
    """`graphengine serve` in a process of its own."""

    def __init__(self, database: Path | str, *words: str, graphs: str = FLOWS, **env: str) -> None:
        given = ["serve", graphs, "--store", str(database), "--port", "0", "--json", *words]
        variables = {"GRAPHENGINE_TOKEN": TOKEN, **env}
        doors = {"--mcp": forks.MCP, "--a2a": forks.A2A, "--openai": ("graphengine.serve.service.openai_door",)}
        loads: tuple[str, ...] = (*forks.SERVICE, "graphengine.databases.postgres")
        loads += tuple(name for door, names in doors.items() if door in words for name in names)
        self.process = forks.start("graphengine", *given, variables=variables, loads=loads)
        line = self.process.stdout.readline()
        if not line.startswith('{"'):
            raise AssertionError(line + "".join(self.process.communicate(timeout=60)))
        self.opened = json.loads(line)
        self.host = self.opened["url"].removeprefix("http://")
        self._description: Any = None

    @property
    def description(self) -> Any:
        """What the service says about itself."""
        if self._description is None:
            self._description = self.request("GET", "/openapi.json")[1]
        return self._description

    async def send(self, method: str, path: str, body: bytes, headers: dict[str, str], until: str) -> Answer:
        """Send a request of a page, whose answer must be what the description says."""
        if "Signed" in headers:
            headers |= signed(path, body, *headers.pop("Signed").split(", "))
        found = self.answer(method, path, body or None, headers, until)
        assert "hunter-2" not in found.text, "a secret"
        if found.text.startswith("{") and path != "/openapi.json":
            self.check_answer(method, path, found.status, found.json)
        for _, event in events_of(found.text):
            self.check("Event", event)
        return found

    def answer(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None, until: str = ""
    ) -> Answer:
        """Send a request, and read up to a line with a text; headers given as "" are left out."""
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **(headers or {})}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, {name: value for name, value in given.items() if value})
            answer = connection.getresponse()
            found = Answer(answer.status, headers={name.lower(): value for name, value in answer.headers.items()})
            for line in answer:
                found.text += line.decode()
                if until and until in found.text:
                    break
            return found
        finally:
            connection.close()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request; return the status and the document of its answer."""
        found = self.answer(method, path, body, headers)
        return found.status, json.loads(found.text or "null")

    def call(self, method: str, path: str, content: object = ..., **headers: str) -> tuple[int, Any]:
        """Send JSON; check that the answer is what the description says."""
        body = None if content is ... else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, answer = self.request(method, path, body, named)
        if answer is not None:
            self.check_answer(method, path, status, answer)
        return status, answer

    def check_answer(self, method: str, path: str, status: int, answer: Any) -> None:
        """Check that an answer is what the description says of its route."""
        assert status != 422 or answer["error"]["repair"], answer
        document = "Failed"
        for template in sorted(self.description["paths"], key=len, reverse=True):
            pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(template))
            said = self.description["paths"][template].get(method.lower())
            if said is not None and re.fullmatch(pattern, path.partition("?")[0]):
                found = said["responses"].get(str(status), said["responses"].get("default"))
                document = found["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                break
        self.check(document, answer)

    def check(self, name: str, document: object) -> None:
        """Check that a document fits a component of the description."""
        components = self.description["components"]
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)

    def start(self, graph: str, content: object = ..., query: str = "", **headers: str) -> tuple[int, Any]:
        """Start a run."""
        return self.call("POST", f"/graphs/{quote(graph)}/runs{query}", content, **headers)

    def begun(self, file: Path) -> str:
        """Start a run of `slow` that waits for this file; return its id once its node is in flight."""
        _, run = self.start("slow", {"file": str(file)})
        while not Path(f"{file}.began").exists():
            assert self.process.poll() is None
            time.sleep(0.01)
        return str(run["run_id"])

    def settled(self, run_id: str, after: int = 0) -> Any:
        """Return a run once it is over or waits, and has a step after this one."""
        return self.call("GET", f"/runs/{quote(run_id, safe='')}?wait=60&after={after}")[1]

    def events(self, run_id: str, last: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the events of a run with their ids, from the one after `last`."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Last-Event-ID": last} if last else {})
        connection.request("GET", f"/runs/{quote(run_id)}/events", headers=headers)
        answer = connection.getresponse()
        number = ""
        try:
            for raw in answer:
                name, _, text = raw.decode().rstrip("\n").partition(": ")
                if name == "id":
                    number = text
                elif name == "data":
                    self.check("Event", json.loads(text))
                    yield number, json.loads(text)
                    number = ""
        finally:
            answer.close()
            connection.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """End the process with a signal; return its exit code."""
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


def signed(path: str, body: bytes, number: str, secret: str = SECRET, age: str = "0") -> dict[str, str]:
    """Return the headers of a webhook to an address, signed so many seconds ago: by GitHub if it has no number."""
    parts = urlsplit(path)
    key = secret_for(secret, unquote(parts.path), parts.query)
    if number == "github":
        return {"X-Hub-Signature-256": f"sha256={hmac.new(key.encode(), body, 'sha256').hexdigest()}"}
    stamp = str(int(time.time()) - int(age))
    mac = hmac.digest(key_of(key), f"{number}.{stamp}.".encode() + body, "sha256")
    signature = "v1,AAAA v1," + base64.b64encode(mac).decode()
    return {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": signature}


def service_of(runner: Runner, *graphs: Graph[Any], worker: Worker | None = None) -> app.Service:
    """Return a service in this process, which others drive unless there is a worker."""
    by_name = {graph.name: graph for graph in graphs}
    return app.Service(runner, by_name, queue="default", worker=worker, version="1", takes_webhooks=False)


async def exists(file: Path | str) -> None:
    """Wait until a node has made a file."""
    async with asyncio.timeout(30):
        while not Path(file).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
