"""Read resources of MCP servers as sources."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import TYPE_CHECKING

from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources.document_process import DocumentProcess
from graphengine.agents.sources.files import Sources, gather_sources
from graphengine.agents.sources.kinds import check_length, read_bytes
from graphengine.media import TextFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.types import ReadResourceResult

    from graphengine.agents.mcp_servers import McpServer


async def read_resources(server: McpServer, *uris: str) -> Sources:
    """Return resources of an MCP server as texts. The path of each text is the address of its resource.

    `read_resources` returns a resource that is a text unchanged. If a resource consists of bytes, `read_resources`
    reads it like a file with the same ending. A resource that cannot be read is left out of the result, and is listed
    there with the reason. The same applies to further resources once 200 resources or 4,000,000 characters have been
    read.

    `read_resources` starts the MCP server if the server is not running. The server ends when nothing else uses it.

    Args:
        server: The server, as `mcp(…)` returns it.
        uris: The addresses of the resources. By default all resources that the server lists are read.

    Raises:
        SourceUnreadable: None of the resources can be read.
        ToolsUnavailable: The server does not start, has no resources, or does not answer.

    Example:
        >>> from graphengine import mcp
        >>> async def notes() -> tuple[TextFile, ...]:
        ...     return (await read_resources(mcp("python notes_server.py"), "notes://tides")).files
    """
    found = await server.read(uris)
    return await asyncio.to_thread(_gather_resources, found, server.name)


def _gather_resources(found: Mapping[str, ReadResourceResult | str], server: str) -> Sources:
    with DocumentProcess() as process:
        return gather_sources(
            found, lambda uri: _read_resource_text(uri, found[uri], process), f"the MCP server {server}"
        )


def _read_resource_text(uri: str, found: ReadResourceResult | str, process: DocumentProcess) -> TextFile:
    from mcp.types import TextResourceContents  # noqa: PLC0415 - loaded by now

    if isinstance(found, str):
        raise SourceUnreadable(f"resource {uri!r} cannot be read: {found}", where=uri, repair="name another resource")
    texts = [
        each.text if isinstance(each, TextResourceContents) else read_bytes(uri, b64decode(each.blob), process).text
        for each in found.contents
    ]
    text = "\n\n".join(texts)
    check_length(uri, text)
    return TextFile(path=uri, text=text)


__all__ = ["read_resources"]
