"""Repair JSON from outside in which a character was cut in half."""

from __future__ import annotations

import re
from typing import Final

_HALF_AT_ALL: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""Every escape of JSON. The group matches an escape that is half of a character.

The pattern matches all escapes, so that the second backslash of an escaped backslash is not taken for the beginning of
another escape.
"""


def with_whole_characters(body: bytes) -> bytes:
    r"""Replace each half of a character in JSON by U+FFFD, so that Python can encode the texts as UTF-8.

    JavaScript writes a half if a text was cut in the middle of a character that JSON writes as two escapes.

    Example:
        >>> with_whole_characters(rb'{"cut": "\ud83d", "whole": "\ud83d\ude00", "path": "c:\\ud83d"}')
        b'{"cut": "\\ufffd", "whole": "\\ud83d\\ude00", "path": "c:\\\\ud83d"}'
    """
    if _HALF_AT_ALL.search(body) is None:
        return body
    return _ESCAPES.sub(lambda found: found[0] if found[1] is None else rb"\ufffd", body)


__all__ = ["with_whole_characters"]
