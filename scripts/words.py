"""Count the words that readers of README.md and docs/ are given, without what scripts write: `python -m scripts.words`.

A page whose first line says that it is generated counts nothing, and one with generated parts counts without them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PART: Final = re.compile(
    r"<!-- (?:made by|The \w+: written by).*?<!-- (?:made by .*? end|The end of the \w+\.?) -->", re.DOTALL
)
"""What a script writes into a page that is written by hand."""


def words_of(page: Path) -> int:
    """Return how many words of a page are written by hand, those of its programs included."""
    text = page.read_text(encoding="utf-8")
    return 0 if text.startswith("<!-- Generated") else len(PART.sub("", text).split())


def counted() -> dict[str, int]:
    """Return the words of each page that is written by hand, most first."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = {page.relative_to(ROOT).as_posix(): words_of(page) for page in pages}
    return dict(sorted(found.items(), key=lambda each: -each[1]))


if __name__ == "__main__":
    for name, words in counted().items():
        print(f"{words:7,} {name}")
    print(f"{sum(counted().values()):7,} words by hand")
