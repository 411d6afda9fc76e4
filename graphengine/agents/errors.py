"""The errors of agents: of their sources, guards and answers."""

from __future__ import annotations

from graphengine.errors import DefinitionError, InputError, NodeError
from graphengine.models.errors import ModelError


class SourceUnreadable(InputError):
    """A file or folder cannot be read as text: it is missing, damaged, encrypted, too large or of an unknown kind."""

    code = "source_unreadable"


class TooManyTurns(ModelError):
    """The model kept calling tools after the last turn that the agent's `turns=` allows."""

    code = "too_many_turns"


class GuardFailed(ModelError):
    """A guard with `then="fail"` rejected a text of its agent: a question, an answer, or a text of a tool call."""

    code = "guard_failed"


class BadAnswer(NodeError):
    """A model's answer does not fit the agent's output type, or the agent's check refuses it."""

    code = "bad_answer"


def as_decision(found: object, what: str, where: str) -> bool:
    """Convert the result of a user's function that decides something to True or False.

    Args:
        found: The value that the function returned: a bool, or a bool of numpy.
        what: The name of the function for the error, such as `the offered= of tool pay`.
        where: The place that the error names.

    Raises:
        DefinitionError: The function returned another value, such as None, whose meaning would be a guess.
    """
    if isinstance(found, bool) or (type(found).__module__ == "numpy" and type(found).__name__ in ("bool", "bool_")):
        return bool(found)
    text = f"{what} returned {'None' if found is None else type(found).__name__}, but must return True or False"
    repair = "return the decision" if found is None else "compare the result, or wrap the result in bool(…)"
    raise DefinitionError(text, where=where, repair=repair)


def refuse_result(found: object, what: str, where: str) -> None:
    """Raise an error if a `check=` function returned a value, because its author may believe that the value decides.

    A check accepts an answer by returning None, and refuses it by raising ValueError.

    Raises:
        DefinitionError: The check returned a value.
    """
    if found is not None:
        text = f"{what} returned {type(found).__name__}, but a check must return None or raise ValueError"
        repair = "raise ValueError to refuse an answer, and return None to accept the answer"
        raise DefinitionError(text, where=where, repair=repair)
