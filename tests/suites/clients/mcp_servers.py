"""MCP servers that others wrote, as sources of tools: `mcp_servers.py NODE MODULES`, with this library.

`tests/agents/test_mcp_reference.py` has a third one, server-everything. Prints a line for each thing that holds.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphengine.agents import mcp
from graphengine.agents.tools import Tool, ToolOutcome


def say(name: str, holds: object, found: object = "") -> None:
    """Print whether something holds."""
    print(f"PASS {name}" if holds else f"FAIL {name}: {str(found)[:300]}", flush=True)


async def in_thread(function: Callable[[], object], _threads: object = None) -> object:
    """Call a blocking function as an agent outside a run does."""
    return await asyncio.to_thread(function)


async def called(tool: Tool, **arguments: object) -> ToolOutcome:
    """Return the outcome of a server's tool."""
    return await tool.call(json.dumps(arguments), {}, in_thread)


async def main(node: str, modules: str, folder: Path) -> None:
    """Call tools of both servers."""
    program = f"{modules}/@modelcontextprotocol/server-%s/dist/index.js"
    files: Any = mcp([node, program % "filesystem", str(folder)])
    tools = {tool.name: tool for tool in await files.open()}
    effects = [tools[name].effect for name in ("read_text_file", "write_file", "edit_file")]
    say("filesystem: effects by hints", effects == ["read", "idempotent", "once"], effects)
    place = str(folder / "note.txt")
    await called(tools["write_file"], path=place, content="hello")
    await called(tools["edit_file"], path=place, edits=[{"oldText": "hello", "newText": "bye"}])
    found = await called(tools["read_text_file"], path=place)
    say("filesystem: a file is written, edited and read", found == ToolOutcome("bye"), found)
    found = await called(tools["read_text_file"], path="/etc/hostname")
    say("filesystem: a refusal is an error", found.is_error and "Access denied" in found.text, found)
    await files.close()
    memory: Any = mcp([node, program % "memory"], env={"MEMORY_FILE_PATH": str(folder / "memory.jsonl")})
    tools = {tool.name: tool for tool in await memory.open()}
    ada = {"name": "Ada", "entityType": "person", "observations": ["likes maths"]}
    await called(tools["create_entities"], entities=[ada])
    found = await called(tools["search_nodes"], query="maths")
    say("memory: what was kept is found", json.loads(found.text) == {"entities": [ada], "relations": []}, found)
    await memory.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(sys.argv[1], sys.argv[2], Path(made).resolve()))
