"""An MCP server whose tools require input, over stdio: asking_mcp_server.py LOG. Each call is a line of the log.

While a file LOG.kill holds a line of the log, the call with this line kills the client's process instead of answering.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

LOG = Path(sys.argv[1])
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
FORM = {"type": "object", "properties": {"size": {"type": "string", "enum": ["S", "L"]}}, "required": ["size"]}


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """List the tools."""
    names = ("order", "brew", "sample", "pay")
    hints = types.ToolAnnotations(destructive_hint=True)
    return types.ListToolsResult(
        tools=[
            types.Tool(name=name, input_schema=NO_ARGUMENTS, annotations=hints if name == "pay" else None)
            for name in names
        ]
    )


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult | types.InputRequiredResult:
    """Ask for a size, take some time, or require what clients need not have."""
    answers = params.input_responses or {}
    note(f"{params.name} {params.request_state} {sorted(answers)}")
    if params.name == "brew":
        state = int(params.request_state or 0)
        return types.InputRequiredResult(request_state=str(state + 1)) if state < 2 else text("brewed")
    if params.name == "sample":
        message = types.SamplingMessage(role="user", content=types.TextContent(text="?"))
        request = types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=9))
        return types.InputRequiredResult(input_requests={"s": request})
    if params.request_state is None:
        form = types.ElicitRequestFormParams(message="Which size?", requested_schema=FORM)
        return types.InputRequiredResult(
            input_requests={"size": types.ElicitRequest(params=form)}, request_state="sealed"
        )
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
    server: Server[Any] = Server("cafe", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
