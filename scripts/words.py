"""Hint at constructions that readers had to read twice: `python -m scripts.words [COMMIT]`.

Readers who had never seen the project rated its sentences beside the sentences of other projects. The list
`CONSTRUCTIONS` contains the constructions that they most often had to read twice. The script searches the lines that
were added since a commit: the prose of Markdown pages, and the comments, docstrings and messages of Python files. The
hook of `make hook` and `make lint` print the hints. A hint never fails a check, because each of the constructions is
sometimes the clearest one.
"""

import argparse
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
CONSTRUCTIONS: Final[Mapping[str, str]] = {
    r"\bwhat (?:is|was|are|were|it|they|an?|the|has|had|can|may|\w+s)\b": "use a noun: 'the recorded steps'",
    r"\bthose (?:that|who|of|which|with|in)\b": "repeat the noun: 'the runs that failed'",
    r"\bthat of\b": "repeat the noun: 'the name of the graph'",
    r"\bones? (?:that|which|whose)\b": "use the noun: 'a run that failed'",
    r"\b(?:is|are|was|were) (?:none|no)\b(?! longer)": "use the positive form, or 'is not a'",
    r"\bno \w+ (?:that|which|whose)\b": "use the positive form: 'skip runs that have ended'",
    r"\b(?:of|in|for|from|with) (?:it|them)\b": "name the thing: 'of the run'",
    r"\b(?:is|are|was|were|be|been) told\b": "use the exact verb: 'receives', 'is notified of'",
    r"\b(?:has|have|says?|takes?|gives?|makes?) (?:what|how|why|whether)\b": "use the exact verb: 'lists reasons'",
    r"\b(?:begun|anew|thereby|wherein)\b": "use the usual word: 'started', 'again'",
    r"\b(?:is|are) (?:one|some|such)\b": "repeat the noun: 'is a run'",
    r"\b(?:stands?|lies?|holds?) (?:for|in|here|there)\b": "use the exact verb: 'is', 'contains', 'applies'",
    r"\b(?:goes|comes|came|went) (?:back|on|to|from)\b": "use the exact verb: 'returns', 'continues', 'receives'",
}
"""A regular expression of each construction, and the form that readers understood at once.

In November 2026, docstrings here had 179 such constructions in 10,000 words. The docstrings of httpx, anyio, pydantic,
Starlette, FastAPI, pytest, attrs, click, rich and msgspec together had 9.
"""
SENTENCE: Final = re.compile(r"(?:\b[A-Za-z'`]+[ ,]+){3}")
"""Text of fewer words is a name or a label."""


class Hint(NamedTuple):
    """A construction in a text that readers often have to read twice, with a better form."""

    file: str
    line: int
    words: str
    better: str


def added_lines(commit: str, folder: Path = ROOT) -> Iterator[tuple[str, set[int]]]:
    """Yield each Markdown and Python file that has changed since a commit, with the numbers of its added lines."""
    words = [
        "git",
        "diff",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--diff-filter=d",
        commit,
        "--",
        "*.md",
        "*.py",
    ]
    changes = subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout.decode(errors="replace")
    for change in re.split(r"^diff --git ", changes, flags=re.MULTILINE)[1:]:
        name = re.search(r"^\+\+\+ b/(.+?)\t?$", change, re.MULTILINE)
        ranges = re.findall(r"^@@ \S+ \+(\d+)(?:,(\d+))? @@", change, re.MULTILINE)
        if name is not None:
            yield name[1], {line for start, n in ranges for line in range(int(start), int(start) + int(n or 1))}


def prose_of(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that contain sentences for people, each with its number.

    In Markdown these are the lines outside of code, in Python the strings and comments.
    """
    if name.endswith(".md"):
        code = False
        for number, line in enumerate(text.splitlines(), 1):
            code ^= line.lstrip().startswith(("```", "~~~"))
            if not code:
                yield number, line
        return
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in kinds and SENTENCE.search(token.string):
                yield from enumerate(token.string.splitlines(), token.start[0])
    except (tokenize.TokenError, SyntaxError):
        return  # ruff reports a file that cannot be read


def hints(commit: str, folder: Path = ROOT) -> Iterator[Hint]:
    """Yield a hint for each doubtful construction in sentences that were added since a commit."""
    for name, added in added_lines(commit, folder):
        text = (folder / name).read_text(encoding="utf-8", errors="replace")
        for number, line in prose_of(name, text):
            if number in added:
                for pattern, better in CONSTRUCTIONS.items():
                    for found in re.finditer(pattern, line, re.IGNORECASE):
                        yield Hint(name, number, found[0], better)


def main() -> None:
    """Print the hints for the lines that were added since a commit."""
    parser = argparse.ArgumentParser(description="Hint at constructions that readers had to read twice.")
    parser.add_argument("commit", nargs="?", default="HEAD", help="look at lines added since this commit (HEAD)")
    found = list(hints(parser.parse_args().commit))
    for hint in found:
        print(f'{hint.file}:{hint.line}: "{hint.words}": {hint.better}')
    if found:
        print(f"{len(found)} hints: readers had to read such sentences twice. Nothing fails because of a hint.")


if __name__ == "__main__":
    main()
