"""Find the place of a quotation in a text, so that models can be required to quote word for word."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# This pattern reads each character only once, so texts of any size are read in linear time.
_MARKUP: Final = re.compile(r"\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)|[*_`#>|]+|^[^\S\n]*[-+*]\s", re.MULTILINE)


def quoted_at(quotation: str, text: str, line: int = 1) -> int:
    r"""Return the line on which a quotation begins in a text, ignoring markup and line breaks; 0 if it is not found.

    Args:
        quotation: The quotation, which should be in the text word for word.
        text: The text, such as the text of a `TextFile`.
        line: The line at which the search begins. If the quotation is not found from there on, its first place in the
            whole text counts.

    Example:
        >>> quoted_at("Tides rise twice a day.", "# Tides\n\n- **Tides** rise\n  twice a day.")
        3
    """
    wanted = _strip_markup(quotation)
    if not wanted:
        return 0
    whole, ends = _join_plain_lines(text)
    start = ends[min(line - 1, len(ends)) - 1] if line > 1 and ends else 0
    offset = max(whole.find(wanted, start), whole.find(wanted))
    return bisect_right(ends, offset) + 1 if offset >= 0 else 0


@lru_cache(8)
def _join_plain_lines(text: str) -> tuple[str, Sequence[int]]:
    """Remove the markup of a text and join its lines by blanks, so that a quotation can be found across lines.

    Also returns the end of each line in the joined text, so that a position can be converted to a line number.
    """
    lines = [_strip_markup(line) for line in text.splitlines()]
    return " ".join(lines), [*accumulate(len(line) + 1 for line in lines)]


def _strip_markup(text: str) -> str:
    return " ".join(_MARKUP.sub(r"\1", text).split())
