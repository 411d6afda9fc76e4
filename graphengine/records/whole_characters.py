"""JSON from outside, with whole characters."""

from __future__ import annotations

import re
from typing import Final

_HALF_AT_ALL: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""Every escape of JSON, so that an escaped backslash begins no other; the group is half of a character."""


def with_whole_characters(body: bytes) -> bytes:
    r"""Return JSON in which U+FFFD stands for each half of a character.

    JavaScript writes a text that was cut in the middle of one so, and no reader of UTF-8 takes it.

    Example:
        >>> with_whole_characters(rb'{"cut": "\ud83d", "whole": "\ud83d\ude00", "path": "c:\\ud83d"}')
        b'{"cut": "\\ufffd", "whole": "\\ud83d\\ude00", "path": "c:\\\\ud83d"}'
    """
    if _HALF_AT_ALL.search(body) is None:
        return body
    return _ESCAPES.sub(lambda found: found[0] if found[1] is None else rb"\ufffd", body)


__all__ = ["with_whole_characters"]
