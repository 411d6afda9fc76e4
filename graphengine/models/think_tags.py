"""The thinking that open models write into the text of an answer, between `<think>` and `</think>`.

Servers that know the model send its thinking in a separate field; others leave it in the text. It only counts at the
start of an answer. Some templates put `<think>` into the question, so that the answer only contains the end tag, on a
separate line.
"""

from __future__ import annotations

import re
from typing import Final

_OPEN: Final = re.compile(r"\s*<(think|thinking)>")
_OPENS: Final = ("<think>", "<thinking>")
_UNOPENED: Final = re.compile(r"((?:(?!<think).)*\n)</think>[ \t]*(?:\n\s*|\Z)", re.DOTALL)


def split(text: str) -> tuple[str, str]:
    r"""Split an answer's text into the thinking ("" if there is none) and the actual answer.

    Example:
        >>> split("<think>hm</think>\n\nHello"), split("hm\n</think>\nHello"), split("What <think> means")
        (('hm', 'Hello'), ('hm', 'Hello'), ('', 'What <think> means'))
    """
    found = _UNOPENED.match(text)
    if found is not None:
        return found[1].strip(), text[found.end() :]
    pieces = Splitter()
    thought, answer = pieces.add(text)
    more, rest = pieces.rest()
    return (thought + more).strip(), answer + rest


class Splitter:
    """Separates a model's thinking from its text while the answer arrives in pieces.

    Some servers send both as one text, with the thinking between tags such as `<think>` and `</think>`. A piece may end
    in the middle of a tag. Text that may be the beginning of a tag is therefore held back until the next piece arrives.
    """

    def __init__(self) -> None:
        self._held = ""
        self._close = ""  # the tag that ends the thinking; "" before and after the thinking
        self._begun = False  # whether it is known how the answer begins
        self._strips = False  # whether white space follows that is not part of the answer

    def add(self, piece: str) -> tuple[str, str]:
        """Add a piece that has arrived. Returns the thinking and the text, as far as they can be told apart already."""
        self._held += piece
        if not self._begun:
            bare = self._held.lstrip()
            if any(tag.startswith(bare) for tag in _OPENS):
                return "", ""
            self._begun = True
            if found := _OPEN.match(self._held):
                self._close, self._held = f"</{found[1]}>", self._held[found.end() :]
        if not self._close:
            return "", self._text()
        thought, close, after = self._held.partition(self._close)
        if close:
            self._held, self._close, self._strips = after, "", True
            return thought, self._text()
        kept = next((n for n in range(len(self._close) - 1, 0, -1) if thought.endswith(self._close[:n])), 0)
        self._held = thought[len(thought) - kept :]
        return thought[: len(thought) - kept], ""

    def rest(self) -> tuple[str, str]:
        """Return the thinking and the text that are still held back when the answer has ended."""
        held, self._held = self._held, ""
        return (held, "") if self._close else ("", held)

    def _text(self) -> str:
        text, self._held = self._held.lstrip() if self._strips else self._held, ""
        self._strips = self._strips and not text
        return text


__all__ = ["Splitter", "split"]
