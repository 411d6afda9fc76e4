"""Models, which answer agents' prompts: the `Model` protocol and its implementations, each loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.models.anthropic import AnthropicModel
    from graphengine.models.base import Closes, KnowsPrices, Message, Model, Request, Response, ToolCall, ToolSpec
    from graphengine.models.clouds import AzureModel, BedrockModel, VertexModel
    from graphengine.models.hosted import HostedTool, HostsTools, code_execution, web_fetch, web_search
    from graphengine.models.lane import Lane
    from graphengine.models.names import as_model, model_of
    from graphengine.models.offline import OfflineModel
    from graphengine.models.openai import OpenAIModel
    from graphengine.models.openai_chat import OpenAIChatModel
    from graphengine.models.parts import Citation, Cited
    from graphengine.models.prices import Price
    from graphengine.models.pydantic_ai import PydanticAIModel
    from graphengine.models.recorded import BadRecording, NotRecorded, RecordedModel
    from graphengine.models.router import Router
    from graphengine.models.scripted import OffScript, ScriptedModel, calls, cited
    from graphengine.models.settings import Settings
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "anthropic": ("AnthropicModel",),
            "base": (
                "Closes",
                "KnowsPrices",
                "Message",
                "Model",
                "Request",
                "Response",
                "ToolCall",
                "ToolSpec",
            ),
            "clouds": ("AzureModel", "BedrockModel", "VertexModel"),
            "hosted": ("HostedTool", "HostsTools", "code_execution", "web_fetch", "web_search"),
            "lane": ("Lane",),
            "names": ("as_model", "model_of"),
            "offline": ("OfflineModel",),
            "openai": ("OpenAIModel",),
            "openai_chat": ("OpenAIChatModel",),
            "parts": ("Citation", "Cited"),
            "prices": ("Price",),
            "pydantic_ai": ("PydanticAIModel",),
            "recorded": ("BadRecording", "NotRecorded", "RecordedModel"),
            "router": ("Router",),
            "scripted": ("OffScript", "ScriptedModel", "calls", "cited"),
            "settings": ("Settings",),
        },
    )

__all__ = [
    "AnthropicModel",
    "AzureModel",
    "BadRecording",
    "BedrockModel",
    "Citation",
    "Cited",
    "Closes",
    "HostedTool",
    "HostsTools",
    "KnowsPrices",
    "Lane",
    "Message",
    "Model",
    "NotRecorded",
    "OffScript",
    "OfflineModel",
    "OpenAIChatModel",
    "OpenAIModel",
    "Price",
    "PydanticAIModel",
    "RecordedModel",
    "Request",
    "Response",
    "Router",
    "ScriptedModel",
    "Settings",
    "ToolCall",
    "ToolSpec",
    "VertexModel",
    "as_model",
    "calls",
    "cited",
    "code_execution",
    "model_of",
    "web_fetch",
    "web_search",
]
