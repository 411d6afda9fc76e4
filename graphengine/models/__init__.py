"""Models: what answers an agent's prompt. The `Model` protocol, the offline model, and a scripted one for tests."""

from graphengine.models.base import Message, Model, Request, Response, ToolCall, ToolSpec
from graphengine.models.offline import OfflineModel
from graphengine.models.scripted import ScriptedModel

__all__ = [
    "Message",
    "Model",
    "OfflineModel",
    "Request",
    "Response",
    "ScriptedModel",
    "ToolCall",
    "ToolSpec",
]
