"""The names of attributes and operations that spans and metrics use.

The names that begin with `gen_ai` come from the semantic conventions for generative AI, v0.1.0. There, the name of a
workflow is the name of an agent. The constants of the package opentelemetry-semantic-conventions are deprecated, so the
names are written here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.kernel.inside import TokensName

# GenAI

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TOOL: Final = "gen_ai.tool.name"
TOOLS: Final = "gen_ai.tool.definitions"
TOOL_CALL: Final = "gen_ai.tool.call.id"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
SYSTEM: Final = "gen_ai.system_instructions"
INPUT: Final = "gen_ai.input.messages"
OUTPUT: Final = "gen_ai.output.messages"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - the name of an attribute
TOKENS: Final[Mapping[TokensName, str]] = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
"""The attributes of usage, by the name that steps record."""
PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "openai-chat": "openai",
    "vertex": "gcp.vertex_ai",
}
"""The conventions' names of providers, by the prefixes of models' names that differ from them."""
STOPS: Final[Mapping[str, str]] = {
    "end": "stop", "tools": "tool_call", "cut": "length", "full": "length", "refused": "content_filter"
}  # fmt: skip
"""The conventions' reasons why an answer ends, by those that steps record."""
COSTS: Final = ("gen_ai.usage.cost", "operation.cost")
"""What Langfuse and Logfire read as the cost of a call. The conventions have no name for it."""

# General

ADDRESS: Final = "server.address"
PORT: Final = "server.port"
ERROR: Final = "error.type"
EXCEPTION: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
STACKTRACE: Final = "exception.stacktrace"

# Own

RUN: Final = "graphengine.run.id"
GRAPH: Final = "graphengine.graph"
NODE: Final = "graphengine.node"
PATH: Final = "graphengine.path"
VISIT: Final = "graphengine.visit"
ATTEMPT: Final = "graphengine.attempt"
SEQ: Final = "graphengine.seq"
STATUS: Final = "graphengine.status"
OUTCOME: Final = "graphengine.outcome"
KIND: Final = "graphengine.kind"
FALLBACK: Final = "graphengine.fallback"
ENDING: Final = "graphengine.ending"
QUEUE: Final = "graphengine.queue"
STATE: Final = "graphengine.queue.state"
PARENT: Final = "graphengine.parent.id"
TOTALS: Final[Mapping[TokensName, str]] = {name: f"graphengine.usage.{name}" for name in TOKENS}
"""The attributes of a run's usage. Viewers add up `gen_ai.usage.*` over the spans of a trace."""
COST: Final = "graphengine.cost_usd"
COST_UNKNOWN: Final = "graphengine.cost.unknown"
STEPS: Final = "graphengine.steps"
SECONDS: Final = "graphengine.driven_seconds"
WAIT: Final = "graphengine.wait.name"
ENDED_BY: Final = "graphengine.wait.ended_by"
QUESTION: Final = "graphengine.wait.question"
