"""The batch APIs of Anthropic and OpenAI, beside the three wires of the edge server.

It answers a question with its words in capitals. A question with `expires` or `errors` gets no answer in a batch. A
batch has ended when it was read `looks` times. `paid` counts how often each question was answered, and `batches`
has the questions of each batch, so that tests see what was paid twice.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.conformance.model_scenes import Counted, Received, Says
from tests.models.edge_server import WIRES, EdgeServer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

USED: Final = Counted(1000, output_tokens=100)


class BatchServer(EdgeServer):
    """The server, already started.

    Args:
        looks: How often a batch is read before it has ended.
    """

    def __init__(self, looks: int = 2) -> None:
        super().__init__()
        self.looks = looks
        self.paid: Counter[str] = Counter()
        self.single: Counter[str] = Counter()
        self.batches: dict[str, dict[str, str]] = {}
        self.seen: Counter[str] = Counter()
        self.created: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}
        self._batching = Starlette(
            routes=[
                Route("/v1/messages/batches", self._messages, methods=["GET", "POST"]),
                Route("/v1/messages/batches/{id}", self._messages_look),
                Route("/v1/messages/batches/{id}/results", self._messages_results),
                Route("/v1/files", self._upload, methods=["POST"]),
                Route("/v1/files/{id}/content", self._content),
                Route("/v1/batches", self._batches, methods=["GET", "POST"]),
                Route("/v1/batches/{id}", self._look),
            ]
        )
        self.answer(lambda received: self._says(_question(received), single=True))
        self.start()

    def forget(self) -> None:
        """Forget all batches and payments."""
        for kept in (self.paid, self.single, self.batches, self.seen, self.created, self.files):
            kept.clear()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in WIRES:
            await super()._answer(scope, receive, send)
        else:
            await self._batching(scope, receive, send)

    def _says(self, question: str, *, single: bool = False) -> Says:
        """Count an answer, and return it."""
        self.paid[question] += 1
        self.single[question] += single
        return Says(question.upper(), counted=USED)

    # -- Message Batches

    async def _messages(self, request: Request) -> Response:
        if request.method == "GET":
            self.seen.update([*self.created])
            data = [self._messages_batch(batch) for batch in reversed(self.created)]
            return JSONResponse({"data": data, "has_more": False, "first_id": None, "last_id": None})
        body = await request.json()
        name = f"msgbatch_{len(self.created)}"
        self.batches[name] = {each["custom_id"]: _asked("/v1/messages", each["params"]) for each in body["requests"]}
        self.created[name] = {"at": time.time()}
        return JSONResponse(self._messages_batch(name))

    def _messages_batch(self, name: str) -> dict[str, Any]:
        ended = self.seen[name] >= self.looks
        left = 0 if ended else len(self.batches[name])
        counts = {"processing": left, "succeeded": len(self.batches[name]) - left}
        counts |= {"errored": 0, "canceled": 0, "expired": 0}
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created[name]["at"]))
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": at,
            "expires_at": at,
            "results_url": f"{self.url}/v1/messages/batches/{name}/results" if ended else None,
        }

    async def _messages_look(self, request: Request) -> Response:
        name = request.path_params["id"]
        self.seen[name] += 1
        return JSONResponse(self._messages_batch(name))

    async def _messages_results(self, request: Request) -> Response:
        rows = []
        for item, question in self.batches[request.path_params["id"]].items():
            result: dict[str, Any] = {"type": "expired"}
            if "errors" in question:
                error = {"type": "error", "error": {"type": "api_error", "message": "no"}}
                result = {"type": "errored", "error": error}
            elif "expires" not in question:
                result = {"type": "succeeded", "message": WIRES["/v1/messages"].whole(self._says(question))}
                self._charge_once(item, question)
            rows.append(json.dumps({"custom_id": item, "result": result}))
        return Response("\n".join(reversed(rows)) + "\n", media_type="application/x-jsonl")

    def _charge_once(self, item: str, question: str) -> None:
        """Count an item of a batch once, however often its answers are read."""
        if self.seen[item]:
            self.paid[question] -= 1
        self.seen[item] += 1

    # -- the Batch API

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            assert form["purpose"] == "batch"
            name = f"file_{len(self.files)}"
            self.files[name] = (await form["file"].read()).decode()  # type: ignore[union-attr]
        return JSONResponse({"id": name, "object": "file", "purpose": "batch"})

    async def _batches(self, request: Request) -> Response:
        if request.method == "GET":
            data = [self._batch(batch) for batch in reversed(self.created)]
            return JSONResponse({"object": "list", "data": data, "has_more": False})
        body = await request.json()
        name = f"batch_{len(self.created)}"
        rows = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert {row["url"] for row in rows} == {body["endpoint"]}
        self.batches[name] = {row["custom_id"]: _asked(row["url"], row["body"]) for row in rows}
        self.created[name] = {"at": int(time.time()), **body}
        return JSONResponse(self._batch(name))

    def _batch(self, name: str) -> dict[str, Any]:
        ended = self.seen[name] >= self.looks
        made = self.created[name]
        return {
            "id": name,
            "object": "batch",
            "status": "completed" if ended else "in_progress",
            "created_at": made["at"],
            "endpoint": made["endpoint"],
            "completion_window": "24h",
            "input_file_id": made["input_file_id"],
            "metadata": made["metadata"],
            "output_file_id": name if ended else None,
        }

    async def _look(self, request: Request) -> Response:
        name = request.path_params["id"]
        self.seen[name] += 1
        return JSONResponse(self._batch(name))

    async def _content(self, request: Request) -> Response:
        name = request.path_params["id"]
        wire = WIRES[self.created[name]["endpoint"]]
        rows = []
        for item, question in self.batches[name].items():
            if "expires" in question or "errors" in question:
                rows.append({"custom_id": item, "response": {"status_code": 400, "body": {"error": {}}}, "error": None})
                continue
            body = wire.whole(self._says(question))
            self._charge_once(item, question)
            rows.append({"custom_id": item, "response": {"status_code": 200, "body": body}, "error": None})
        return Response("".join(f"{json.dumps(row)}\n" for row in rows), media_type="application/jsonl")


def _asked(path: str, body: dict[str, Any]) -> str:
    return _question(WIRES[path].read({}, body))


def _question(received: Received) -> str:
    """Return the words of the last question."""
    text = received.turns[-1].text
    found = re.search(r"<(item|task)>(.*)</", text)
    return found.group(2) if found else text


__all__ = ["BatchServer"]
