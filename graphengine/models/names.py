"""The names of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.errors import ModelUnavailable
from graphengine.models.offline import OfflineModel

if TYPE_CHECKING:
    from graphengine.models.base import Model


def model_of(name: str) -> Model:
    """The model of a name."""
    if name == "offline":
        return OfflineModel()
    raise ModelUnavailable(f"{name!r} is no model", repair="use 'offline'")
