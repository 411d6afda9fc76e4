"""Tools of the reference server of the MCP project, which covers all features of a server.

It comes from npm: `npm ci --prefix tests/agents/mcp_reference` installs the versions in the lock file there. Without
Node.js or the package, these tests are skipped with a message.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from graphengine.agents.mcp_servers import mcp
from graphengine.agents.tools import Tool, ToolOutcome

FOLDER = Path(__file__).parent / "mcp_reference"
PROGRAM = FOLDER / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="the reference server needs Node.js, which is not on PATH"),
    pytest.mark.skipif(
        not PROGRAM.exists(),
        reason="the reference server is not installed: npm ci --prefix tests/agents/mcp_reference --ignore-scripts",
    ),
    pytest.mark.asyncio(loop_scope="module"),
]


async def in_thread(function: Callable[[], object], _threads: object = None) -> object:
    """Call a blocking function as an agent outside a run does."""
    return await asyncio.to_thread(function)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tools() -> AsyncIterator[dict[str, Tool]]:
    """Return the server's tools."""
    source = mcp([str(NODE), str(PROGRAM)], env={"SHELF_TOKEN": "shelf-token-12345"})
    yield {tool.name: tool for tool in await source.open()}
    await source.close()


async def called(tool: Tool, **arguments: object) -> ToolOutcome:
    """Return the outcome of a server's tool."""
    return await tool.call(json.dumps(arguments), {}, in_thread)


async def test_its_tools_are_described(tools: dict[str, Tool]) -> None:
    """It has names, descriptions and schemas; tools that can only run as tasks are left out."""
    assert {"echo", "get-sum", "get-env", "get-tiny-image"} <= tools.keys()
    assert "simulate-research-query" not in tools
    assert tools["get-sum"].spec().schema["required"] == ["a", "b"]
    assert all(tool.description for tool in tools.values())


async def test_its_results_are_text(tools: dict[str, Tool]) -> None:
    """Text, images, links and structured content arrive in a form that a model can read."""
    assert await called(tools["echo"], message="ho") == ToolOutcome("Echo: ho")
    assert await called(tools["get-sum"], a=1, b=2) == ToolOutcome("The sum of 1 and 2 is 3.")
    assert "[image, image/png, about 4," in (await called(tools["get-tiny-image"])).text
    assert "[resource demo://resource/dynamic/" in (await called(tools["get-resource-links"], count=1)).text
    weather = json.loads((await called(tools["get-structured-content"], location="Chicago")).text)
    assert weather.keys() == {"temperature", "conditions", "humidity"}
