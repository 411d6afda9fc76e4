"""One process of a run whose agent orders at an MCP server that asks for a size.

Usage: mcp_cafe.py FOLDER start|answer [TOOL]
"""

import asyncio
import sys
from pathlib import Path

from graphengine import Runner
from tests.agents.test_mcp_input import graph_of


async def main(folder: Path, verb: str, tool: str = "order") -> None:
    """Start the run, or continue it: with an answer if it waits for one."""
    graph, _ = graph_of(folder, tool)
    async with Runner(folder / "runs.db") as runner:
        if verb == "start":
            await runner.start(graph, run_id="r").result()
            return
        if tool == "order" and await runner.waits():
            await runner.answer("r", {"size": "L"})
        result = await runner.resume("r", graph).result()
        if result.status == "finished":
            sys.stdout.write(f"{result.output}\n")


asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
