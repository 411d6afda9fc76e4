"""Models: what answers an agent's prompt. The `Model` protocol, the offline model, and a scripted one for tests."""

from graphengine.models.base import Model, Request, Response
from graphengine.models.offline import OfflineModel
from graphengine.models.scripted import ScriptedModel

__all__ = ["Model", "OfflineModel", "Request", "Response", "ScriptedModel"]
