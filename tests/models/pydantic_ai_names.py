"""The names of pydantic-ai that tests use."""

from pydantic_ai import Agent, BinaryContent, ModelRetry, ToolReturn
from pydantic_ai.exceptions import ModelHTTPError, UserError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel as EchoModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RequestUsage

__all__ = [
    "Agent",
    "AgentInfo",
    "BinaryContent",
    "DeltaToolCall",
    "DeltaToolCalls",
    "EchoModel",
    "FunctionModel",
    "ModelHTTPError",
    "ModelMessage",
    "ModelResponse",
    "ModelRetry",
    "OpenAIChatModel",
    "OpenAIProvider",
    "RequestUsage",
    "TextPart",
    "ThinkingPart",
    "ToolCallPart",
    "ToolReturn",
    "UserError",
]
