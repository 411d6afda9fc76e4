"""The tools that Anthropic runs, in the form of its Messages API.

Source: the types of the SDK, `anthropic.types.WebSearchTool20250305Param` and similar types. The oldest version of each
tool is sent, because every model that supports the tool supports this version. `extra={"type": …}` selects another
version.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from graphengine.models.hosted import HOSTS, unsupported
from graphengine.models.settings import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Message, Request
    from graphengine.models.hosted import HostedTool, Kind

_TYPES: Final[dict[Kind, str]] = {
    "web_search": "web_search_20250305",
    "web_fetch": "web_fetch_20250910",
    "code_execution": "code_execution_20250825",
}
_OPTIONS: Final[dict[Kind, tuple[str, ...]]] = {
    "web_search": ("allowed_domains", "blocked_domains", "max_uses", "location"),
    "web_fetch": ("allowed_domains", "blocked_domains", "max_uses", "max_content_tokens"),
    "code_execution": (),
}
_WITHOUT: Final = re.compile(r"claude-(2|instant|3-(opus|sonnet|haiku))")
"""Names of models that support none of these tools."""


def lacks_tool(model: str, tool: HostedTool) -> str:
    """Return advice for an agent with a hosted tool that an Anthropic model cannot run.

    A hosted tool is a tool that the provider runs, such as its web search. `lacks_tool` returns "" if the model can run
    the tool with the given options. Otherwise the advice can be about the tool as a whole or about one of its options.
    """
    if _WITHOUT.match(model):
        return HOSTS[tool.name]
    return unsupported(tool, _OPTIONS[tool.name], "Anthropic")


def hosted_tools(request: Request, *, cites: bool) -> Iterator[dict[str, JsonValue]]:
    """Yield the descriptions of the tools that Anthropic itself runs, in the API's form.

    Args:
        request: The request.
        cites: Whether the answer may cite fetched pages. The API refuses citations together with a schema of the
            answer.
    """
    for tool in request.hosted:
        spec: dict[str, JsonValue] = {"type": _TYPES[tool.name], "name": tool.name, **tool.options}
        location = spec.pop("location", None)
        if isinstance(location, dict):
            spec["user_location"] = {"type": "approximate", **location}
        if tool.name == "web_fetch" and cites:
            spec["citations"] = {"enabled": True}
        yield merged(spec, tool.extra)


def container(messages: Sequence[Message]) -> str:
    """Return the id of the container in which the last answer ran code, so that the next call uses it again.

    Returns "" if no code was run or the container has expired.
    """
    for message in reversed(messages):
        found = (message.native or {}).get("container")
        if message.role == "assistant" and isinstance(found, dict):
            return container_id(found)
    return ""


def container_id(found: Mapping[str, JsonValue]) -> str:
    """Return the id of a container for code, as Anthropic described it in an answer; "" if it has expired."""
    try:
        expires = datetime.fromisoformat(str(found.get("expires_at")))
    except ValueError:
        return str(found.get("id") or "")
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return str(found.get("id") or "") if expires > datetime.now(UTC) else ""


__all__ = ["container", "container_id", "hosted_tools", "lacks_tool"]
