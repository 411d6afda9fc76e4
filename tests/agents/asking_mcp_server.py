"""An MCP server whose tools require input, over stdio: asking_mcp_server.py LOG. Each call is a line of the log.

While a file LOG.kill holds a line of the log, the call with this line kills the client's process instead of answering.
"""

import os
import signal
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import anyio
from mcp import MCPError, types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

LOG = Path(sys.argv[1])
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
FORM = {"type": "object", "properties": {"size": {"type": "string", "enum": ["S", "L"]}}, "required": ["size"]}


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """List the tools."""
    names = ("order", "brew", "sample", "pay", "bake", "decorate", "burn", "deliver")
    hints = types.ToolAnnotations(destructive_hint=True)
    return types.ListToolsResult(
        tools=[
            types.Tool(name=name, input_schema=NO_ARGUMENTS, annotations=hints if name in ("pay", "deliver") else None)
            for name in names
        ]
    )


class Task(types.Result):
    """A task, as the extension for tasks has it."""

    result_type: str = "complete"
    task_id: str
    status: str = "working"
    status_message: str | None = None
    created_at: str = "2026-11-24T10:00:00Z"
    last_updated_at: str = "2026-11-24T10:00:00Z"
    ttl_ms: int | None = None
    poll_interval_ms: int = 10
    input_requests: types.InputRequests | None = None
    result: dict[str, Any] | None = None


class Asked(types.RequestParams):
    """The parameters of requests about a task."""

    task_id: str
    input_responses: types.InputResponses | None = None


async def get_task(ctx: Any, params: Asked) -> Task:
    """Return a task: how it is follows from the log, so it outlives this process."""
    note(f"get {params.task_id}")
    looks = LOG.read_text().count(f"get {params.task_id}\n")
    if params.task_id == "burn":
        return Task(task_id="burn", status="failed", status_message="it burned")
    if params.task_id == "decorate" and "update" not in LOG.read_text():
        return Task(task_id="decorate", status="input_required", input_requests={"size": question()})
    if looks < 2:
        return Task(task_id=params.task_id)
    return Task(task_id=params.task_id, status="completed", result=text(f"{params.task_id} done").model_dump())


async def update_task(ctx: Any, params: Asked) -> types.EmptyResult:
    """Take what a task required."""
    note(f"update {params.task_id} {sorted(params.input_responses or {})}")
    return types.EmptyResult()


def question() -> types.ElicitRequest:
    """Return a question for a size."""
    form = types.ElicitRequestFormParams(message="Which size?", requested_schema=FORM)
    return types.ElicitRequest(params=form)


async def list_resources(ctx: Any, params: Any) -> types.ListResourcesResult:
    """List the resources."""
    names = ("menu://today", "menu://none", "menu://drinks.md")
    return types.ListResourcesResult(resources=[types.Resource(name=uri, uri=uri) for uri in names])


async def read_resource(ctx: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    """Read a text, or bytes."""
    found: types.TextResourceContents | types.BlobResourceContents
    if params.uri == "menu://today":
        found = types.TextResourceContents(uri=params.uri, text="Soup.")
    elif params.uri == "menu://drinks.md":
        found = types.BlobResourceContents(uri=params.uri, blob=b64encode(b"# Tea").decode())
    else:
        raise MCPError(types.INVALID_PARAMS, "there is no such menu")
    return types.ReadResourceResult(contents=[found])


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> Any:  # the SDK's type has no tasks
    """Ask for a size, take some time, begin a task, or require what clients need not have."""
    answers = params.input_responses or {}
    if params.name in ("bake", "decorate", "burn", "deliver"):
        note(params.name)
        return Task(result_type="task", task_id=params.name)
    note(f"{params.name} {params.request_state} {sorted(answers)}")
    if params.name == "brew":
        state = int(params.request_state or 0)
        return types.InputRequiredResult(request_state=str(state + 1)) if state < 2 else text("brewed")
    if params.name == "sample":
        message = types.SamplingMessage(role="user", content=types.TextContent(text="?"))
        request = types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=9))
        return types.InputRequiredResult(input_requests={"s": request})
    if params.request_state is None:
        return types.InputRequiredResult(input_requests={"size": question()}, request_state="sealed")
    answer = answers["size"]
    assert isinstance(answer, types.ElicitResult)
    return text(f"ordered {answer.content['size']}" if answer.content else f"not ordered: {answer.action}")


def note(line: str) -> None:
    """Log a call; kill the client, once, if it is the call to do so."""
    with LOG.open("a") as log:
        log.write(f"{line}\n")
    kill = LOG.with_suffix(".kill")
    if kill.exists() and kill.read_text() == line:
        kill.unlink()
        os.kill(os.getppid(), signal.SIGKILL)


def text(content: str) -> types.CallToolResult:
    """Return a result."""
    return types.CallToolResult(content=[types.TextContent(text=content)])


async def main() -> None:
    """Serve over standard input and output."""
    server: Server[Any] = Server(
        "cafe",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )
    server.extensions["io.modelcontextprotocol/tasks"] = {}
    server.add_request_handler("tasks/get", Asked, get_task)
    server.add_request_handler("tasks/update", Asked, update_task)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
