"""The errors of agents: of their sources, guards and answers."""

from __future__ import annotations

from graphengine.errors import InputError, NodeError
from graphengine.models.errors import ModelError


class SourceUnreadable(InputError):
    """A file or folder cannot be read as text: missing, damaged, encrypted, too large, or of an unknown kind."""

    code = "source_unreadable"


class TooManyTurns(ModelError):
    """The model called tools for more turns than are allowed."""

    code = "too_many_turns"


class GuardFailed(ModelError):
    """A guard of the agent rejected its prompt or its answer."""

    code = "guard_failed"


class BadAnswer(NodeError):
    """A model's answer does not fit the agent's output type, or fails its check."""

    code = "bad_answer"
