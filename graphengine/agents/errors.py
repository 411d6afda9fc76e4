"""The errors of agents: of their sources, guards and answers."""

from __future__ import annotations

from graphengine.errors import DefinitionError, InputError, NodeError
from graphengine.models.errors import ModelError


class SourceUnreadable(InputError):
    """A file or folder cannot be read as text: it is missing, damaged, encrypted, too large or of an unknown kind."""

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


def as_decision(found: object, what: str, where: str) -> bool:
    """Return the decision that a user's function made: a bool, or a bool of numpy.

    Args:
        found: The value that the function returned.
        what: The name of the function for the error, such as `the offered= of tool pay`.
        where: The place that the error names.

    Raises:
        DefinitionError: The function returned another value, such as None, whose meaning would be a guess.
    """
    if isinstance(found, bool) or (type(found).__module__ == "numpy" and type(found).__name__ in ("bool", "bool_")):
        return bool(found)
    text = f"{what} returned {'nothing' if found is None else type(found).__name__}, not True or False"
    repair = "return the result" if found is None else "compare the result, or wrap it in bool(…)"
    raise DefinitionError(text, where=where, repair=repair)


def refuse_result(found: object, what: str, where: str) -> None:
    """Refuse a value that a check returned. A check accepts an answer by returning nothing.

    Raises:
        DefinitionError: The check returned a value.
    """
    if found is not None:
        text = f"{what} returned {type(found).__name__}, which decides nothing"
        repair = "raise ValueError to refuse an answer, and return nothing to accept it"
        raise DefinitionError(text, where=where, repair=repair)
