"""Tools that a model's provider runs: searching the web, fetching pages, running code.

An agent lists them in `tools=[…]` next to functions. The provider calls them while the model works on one answer, so
they take no turn of the agent. Their calls, results and citations are parts of the answer (`Message.parts`). Each
adapter writes a `HostedTool` in the form of its API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from graphengine.errors import DefinitionError
from graphengine.models.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import JsonValue, PositiveInt

Kind: TypeAlias = Literal["web_search", "web_fetch", "code_execution"]

HOSTS: Final[dict[Kind, str]] = {
    "web_search": "use a model that has this tool, such as anthropic:claude-sonnet-5-5 or openai:gpt-5-mini",
    "web_fetch": "use anthropic:claude-sonnet-5-5, or web_search() of OpenAI's models, which opens pages too",
    "code_execution": "use a model that has this tool, such as anthropic:claude-sonnet-5-5 or openai:gpt-5-mini",
}
"""Examples of models that support each tool, for error messages."""

_PLACES: Final = ("city", "country", "region", "timezone")


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that the provider runs itself, such as its web search.

    Make one with `web_search()`, `web_fetch()` or `code_execution()`.

    Attributes:
        name: The tool's name here and at Anthropic.
        options: The given options among `allowed_domains`, `blocked_domains`, `max_uses`, `location` and
            `max_content_tokens`.
        extra: Further fields in the provider's own form.
    """

    name: Kind
    options: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)
    extra: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)

    def recorded(self) -> dict[str, JsonValue]:
        """Return the tool as JSON, in the form in which a run records it."""
        found: dict[str, JsonValue] = {"name": self.name, **self.options}
        if self.extra:
            found["extra"] = dict(self.extra)
        return found


def web_search(
    *,
    allowed_domains: Sequence[str] = (),
    blocked_domains: Sequence[str] = (),
    max_uses: PositiveInt | None = None,
    location: Mapping[str, str] | None = None,
    extra: Mapping[str, JsonValue] | None = None,
) -> HostedTool:
    """Let the provider search the web.

    Args:
        allowed_domains: The only sites on which to find pages. By default all sites are searched.
        blocked_domains: Sites on which to find no pages. Only Anthropic supports this, and not together with
            `allowed_domains`.
        max_uses: The largest number of searches for one answer. Only Anthropic supports this.
        location: The approximate location for which to search: some of `city`, `country`, `region` and `timezone`.
        extra: Further fields of the tool in the provider's own form, such as another version: `{"type": …}`.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> web_search(allowed_domains=["example.org"]).options
        {'allowed_domains': ['example.org']}
    """
    if location is not None and not (location and set(location) <= set(_PLACES)):
        text = f"web_search(location={location!r}): location must be a dict with keys from {', '.join(_PLACES)}"
        raise DefinitionError(text, where="web_search", repair="write location={'city': 'Bern'}")
    options = {"max_uses": max_uses, "location": None if location is None else dict(location)}
    return _build_hosted_tool("web_search", options | _domains("web_search", allowed_domains, blocked_domains), extra)


def web_fetch(
    *,
    allowed_domains: Sequence[str] = (),
    blocked_domains: Sequence[str] = (),
    max_uses: PositiveInt | None = None,
    max_content_tokens: PositiveInt | None = None,
    extra: Mapping[str, JsonValue] | None = None,
) -> HostedTool:
    """Let the provider read pages and PDF documents whose addresses are in the conversation.

    Only Anthropic supports this.

    Args:
        allowed_domains: The only sites from which to read. By default all sites may be read.
        blocked_domains: Sites from which nothing is read; not together with `allowed_domains`.
        max_uses: The largest number of pages for one answer.
        max_content_tokens: The approximate largest number of tokens of one page.
        extra: Further fields of the tool in the provider's own form.

    Raises:
        DefinitionError: An argument is invalid.
    """
    options: dict[str, Any] = {"max_uses": max_uses, "max_content_tokens": max_content_tokens}
    return _build_hosted_tool("web_fetch", options | _domains("web_fetch", allowed_domains, blocked_domains), extra)


def code_execution(*, extra: Mapping[str, JsonValue] | None = None) -> HostedTool:
    """Let the provider run code that the model writes, in a container of the provider without access to the network.

    Args:
        extra: Further fields of the tool in the provider's own form, such as OpenAI's `{"container": …}`.
    """
    return _build_hosted_tool("code_execution", {}, extra)


def _build_hosted_tool(name: Kind, options: Mapping[str, Any], extra: Mapping[str, JsonValue] | None) -> HostedTool:
    chosen = {option: value for option, value in options.items() if value not in (None, [])}
    return HostedTool(name, chosen, dict(extra or {}))


def _domains(name: str, allowed: Sequence[str], blocked: Sequence[str]) -> dict[str, Any]:
    for option, domains in (("allowed_domains", allowed), ("blocked_domains", blocked)):
        texts = [] if isinstance(domains, str) else [*domains]
        if isinstance(domains, str) or not all(each and "://" not in each for each in texts):
            text = f"{name}({option}={domains!r}): {option} must be a list of domains without https://"
            raise DefinitionError(text, where=name, repair=f"write {option}=['example.org']")
    if allowed and blocked:
        text = f"{name}() got both allowed_domains= and blocked_domains=, but accepts only one of them"
        raise DefinitionError(text, where=name, repair="leave out allowed_domains= or blocked_domains=")
    return {"allowed_domains": [*allowed], "blocked_domains": [*blocked]}


@runtime_checkable
class HostsTools(Protocol):
    """An interface of models whose provider can run tools itself, such as a web search."""

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return advice for an agent with a hosted tool that the model's provider cannot run.

        A hosted tool is a tool that the provider runs, such as its web search. `lacks_tool` returns "" if the model can
        run the tool with the given options. Otherwise the advice can be about the tool as a whole or about one of its
        options.
        """
        ...


def lacking(model: object, tools: Iterable[HostedTool]) -> Iterator[tuple[str, str]]:
    """Yield an error message and advice on how to fix it for each tool that the model's provider cannot run."""
    for tool in tools:
        repair = model.lacks_tool(tool) if isinstance(model, HostsTools) else HOSTS[tool.name]
        if repair:
            name = getattr(model, "name", type(model).__name__)
            options = ", ".join(f"{option}={value!r}" for option, value in tool.options.items())
            yield f"the model {name!r} does not have the tool {tool.name}({options})", repair


def too_many_tools(model: object, count: int) -> Iterator[tuple[str, str]]:
    """Yield an error message and advice on how to fix it if the request has more tools than the model accepts.

    The limit is the model's attribute `most_tools`, if it has one.
    """
    most = getattr(model, "most_tools", None)
    if most is not None and count > most:
        repair = "give the agent fewer tools: choose tools of an MCP server with only=[…], or use several agents"
        yield f"{getattr(model, 'name', 'the model')} accepts at most {most} tools, but the agent has {count}", repair


def refuse_lacking_tools(model: object, tools: Iterable[HostedTool], agent: str) -> None:
    """Raise an error if the agent uses a hosted tool that the model's provider cannot run.

    Raises:
        BadRequest: A tool is not supported. The message names the first such tool and what to do instead.
    """
    for message, repair in lacking(model, tools):
        raise BadRequest(message, where=f"agent {agent}", repair=repair)


def unsupported(tool: HostedTool, supported: Sequence[str], api: str) -> str:
    """Return the advice to leave out options that an API does not know; "" if it knows all options of the tool."""
    missing = [option for option in tool.options if option not in supported]
    return f"leave out {', '.join(missing)}, because {api} has no such option" if missing else ""


__all__ = [
    "HOSTS",
    "HostedTool",
    "HostsTools",
    "code_execution",
    "lacking",
    "refuse_lacking_tools",
    "too_many_tools",
    "unsupported",
    "web_fetch",
    "web_search",
]
