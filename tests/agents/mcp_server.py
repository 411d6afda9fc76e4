"""A reference MCP server: built on the mcp package, with a tool for each situation that a client may meet.

As a program it communicates over its standard input and output, or, given a port, over HTTP at /mcp.
"""

import asyncio
import base64
import os
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.types import BlobResourceContents, CallToolResult, EmbeddedResource, ResourceLink, TextContent
from mcp.types import TextResourceContents as TextResource
from pydantic import BaseModel

server = MCPServer("shelf")


class Book(BaseModel):
    """A book on the shelf."""

    title: str
    pages: int


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def pid() -> int:
    """Tell which process this is."""
    return os.getpid()


@server.tool()
def find(title: str) -> Book:
    """Find a book."""
    return Book(title=title, pages=3)


@server.tool()
def fail() -> None:
    """Fail."""
    message = "the shelf is locked"
    raise ValueError(message)


@server.tool(structured_output=False)
def refuse() -> CallToolResult:
    """Say that it failed."""
    return CallToolResult(content=[TextContent(text="the shelf is locked")], is_error=True)


@server.tool()
def die() -> None:
    """End this process in the middle of the call."""
    sys.stderr.write(f"the shelf fell over; SHELF_TOKEN was {os.environ.get('SHELF_TOKEN')}\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
async def hang() -> None:
    """Never answer."""
    await asyncio.Event().wait()


@server.tool(name="set.env")
def environment() -> str:
    """Tell the environment."""
    return "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


@server.tool()
def grow() -> str:
    """Have one more tool from now on."""
    server.add_tool(add, name="grown")
    return "grown"


@server.tool()
def large(characters: int) -> str:
    """Give much."""
    return "x" * characters


@server.tool(structured_output=False)
def mixed() -> CallToolResult:
    """Give something of each kind."""
    text = TextResource(uri="shelf://note", text="a note")
    blob = BlobResourceContents(uri="shelf://scan", mime_type="image/tiff", blob=base64.b64encode(bytes(600)).decode())
    return CallToolResult(
        content=[
            TextContent(text="first"),
            Image(data=bytes(300), format="png").to_image_content(),
            EmbeddedResource(resource=text),
            EmbeddedResource(resource=blob),
            ResourceLink(name="book", uri="shelf://book", description="a book"),
            TextContent(text="last"),
        ]
    )


@server.tool(structured_output=False)
def bare() -> CallToolResult:
    """Give structured content alone."""
    return CallToolResult(content=[], structured_content={"pages": 3})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
