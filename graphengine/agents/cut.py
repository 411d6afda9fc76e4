"""Answers that were cut off: the reason, what an agent does with them, and how the parts of an answer are joined.

A model that continues an answer is asked to begin with the last words that it wrote. The parts are joined at these
words. Without them, the parts would not show whether the answer was cut inside a word, because models begin a message
with a word and without a blank.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphengine.models.errors import AnswerCut, AnswerRefused, ContextFull

if TYPE_CHECKING:
    from graphengine.models.base import Response
    from graphengine.models.errors import ModelError

OnCut: TypeAlias = Literal["fail", "keep", "continue"]

MOST_PARTS: Final = 4
"""The largest number of parts of one answer: the first part and three continuations."""
_LAST_WORDS: Final = 8
_BEGINNING: Final = 100  # number of characters with which only the same text begins


def unusable(response: Response, name: str, agent: str, max_tokens: int | None, *, is_text: bool) -> ModelError | None:
    """Return the error for a model's answer that was cut off or refused, or for which there was no room.

    The result is None if the answer is complete.

    Args:
        response: The answer.
        name: The model's name.
        agent: The agent's name.
        max_tokens: The requested largest number of tokens; None if no limit was requested.
        is_text: Whether the answer is a text, which `on_cut=` can keep.
    """
    where = f"agent {agent}"
    if response.stop == "cut" and is_short(response, max_tokens):
        asked, made = response.input_tokens, response.output_tokens
        message = (
            f"the answer of {name} was cut off after {made:,} tokens, before max_tokens={max_tokens}: question and "
            f"answer have {asked:,} + {made:,} = {asked + made:,} tokens, so the context window of the model is full, "
            "or the server has a lower limit"
        )
        repair = "raise the server's context window. Or give the agent less input, window=Window(…), or another model"
        return AnswerCut(message, where=where, repair=repair)
    if response.stop == "cut":
        most = f"max_tokens={max_tokens}" if max_tokens else "the largest number of tokens that the model writes"
        message = f"the answer of {name} was cut off at {most}, after {response.output_tokens} tokens"
        repair = "raise max_tokens=…, or ask for a shorter answer"
        repair += '. Or give on_cut="keep" to accept the part, or "continue" to ask for the rest' if is_text else ""
        return AnswerCut(message, where=where, repair=repair)
    if response.stop == "refused":
        message = f"{name} refused to answer" + (f": {response.why}" if response.why else "")
        return AnswerRefused(message, where=where, repair="change the question, or give the agent another model")
    if response.stop == "full":
        message = f"the question and the answer exceed the context window of {name} ({response.input_tokens} tokens)"
        repair = "give the agent less input, window=Window(…), or a model with a larger context window"
        return ContextFull(message, where=where, repair=repair)
    return None


def is_short(response: Response, max_tokens: int | None) -> bool:
    """Return whether an answer was cut off before it reached `max_tokens`, for example by a full context window."""
    return max_tokens is not None and 0 < response.output_tokens < max_tokens


def at_limit(response: Response, max_tokens: int | None) -> bool:
    """Return whether an answer has `max_tokens` tokens, and may be cut off although its server calls it complete."""
    is_complete = response.stop in {"end", "tools"}
    return is_complete and max_tokens is not None and response.output_tokens >= max_tokens


def has_text(response: Response) -> bool:
    """Return whether an answer was cut off and contains a text that can be kept.

    An answer with tool calls does not count, because the arguments of its calls may be cut off, too.
    """
    return response.stop in ("cut", "full") and not response.calls and bool(str(response.content).strip())


def go_on(text: str) -> str:
    """Return the message that asks the model to continue an answer that was cut off."""
    words = " ".join(text.split()[-_LAST_WORDS:])
    return (
        "Your answer was cut off at the token limit. Go on with it where it stopped. Begin with its last words, "
        f"exactly as they are: <last_words>{words}</last_words> Do not begin it anew, and write nothing about this."
    )


def join_parts(before: str, after: str) -> str:
    """Join an answer that was cut off with its continuation, which repeats the last words of the first part.

    Example:
        >>> join_parts("It rains in Ber", "rains in Bern today.")
        'It rains in Bern today.'
    """
    if len(before) > _BEGINNING and after.startswith(before[:_BEGINNING]):
        return after  # the model started the answer again
    words = before.split()[-_LAST_WORDS:]
    for first in range(len(words)):
        repeated = r"\s*" + r"\s+".join(map(re.escape, words[first:]))
        if (found := re.match(repeated, after)) and (len(words) - first > 1 or first == 0):
            return before.rstrip() + after[found.end() :]
    return before + after


__all__ = ["MOST_PARTS", "OnCut", "at_limit", "go_on", "has_text", "is_short", "join_parts", "unusable"]
