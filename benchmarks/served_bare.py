"""What a service of one's own does at least: Starlette, uvicorn, and a row in SQLite for each run and message."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import sys
import uuid
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response


def application(path: str) -> Starlette:
    """Return the bare application. Each write is durable before the request is answered."""
    database = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE runs (id TEXT PRIMARY KEY, state TEXT)",
        "CREATE TABLE messages (conversation TEXT, text TEXT)",
    ):
        database.execute(statement)

    async def start(request: Request) -> Response:
        run_id, state = uuid.uuid4().hex, await request.json()
        database.execute("INSERT INTO runs VALUES (?, ?)", (run_id, json.dumps(state)))
        return JSONResponse({"run_id": run_id, "status": "queued", "state": state}, 201)

    async def run(request: Request) -> Response:
        run_id = request.path_params["id"]
        (state,) = database.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()
        return JSONResponse({"run_id": run_id, "status": "finished", "state": json.loads(state)})

    async def events(request: Request) -> Response:
        async def sent() -> AsyncIterator[bytes]:
            yield b"retry: 1000\n\n"
            await asyncio.Event().wait()

        del request
        return StreamingResponse(sent(), media_type="text/event-stream")

    async def complete(request: Request) -> Response:
        body, conversation = await request.json(), request.headers["x-conversation-id"]
        said = body["messages"][-1]["content"]
        for text in (said, "An answer of one sentence."):
            database.execute("INSERT INTO messages VALUES (?, ?)", (conversation, text))
        message = {"role": "assistant", "content": text}
        return JSONResponse({"object": "chat.completion", "choices": [{"index": 0, "message": message}]})

    return Starlette(
        routes=[
            Route("/graphs/{graph}/runs", start, methods=["POST"]),
            Route("/runs/{id}", run),
            Route("/runs/{id}/events", events),
            Route("/v1/chat/completions", complete, methods=["POST"]),
        ]
    )


def main() -> None:
    """Serve the database that the command line names, and print the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        config = uvicorn.Config(application(sys.argv[1]), log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
