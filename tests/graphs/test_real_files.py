"""The review loop without a model on files that nobody made for it: each gives a brief that quotes its source.

The files are this repository's own and those of installed packages: pages, READMEs, programs, JSON, licences, lists of
files. `.venv/bin/python -m tests.graphs.test_real_files` says how many of each kind there are, and what became of them.
"""

import asyncio
import contextlib
import io
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final

import pytest

from graphengine import Runner, TextFile
from graphengine.agents.sources import read_source
from graphs.review_loop import graph
from nodes.citing import LONGER, claims, faults, size

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = Path(sysconfig.get_paths()["purelib"])
LARGEST: Final = 200_000  # bytes
OWN: Final = ("*.md", "docs/**/*.md", "nodes/**/*.py", "graphs/*.py", "graphengine/agents/*.py", "*.toml", "*.yml")
INSTALLED: Final = {"*/METADATA": 50, "*/*.py": 40, "*/**/*.json": 40, "*.dist-info/**/LICENSE*": 10, "*/RECORD": 5}
HELD: Final = ROOT / "tests" / "nodes" / "sources" / "held"
KINDS: Final = sorted(file.name for file in HELD.iterdir() if file.suffix != ".toml")


def files() -> Iterator[Path]:
    """Yield the files: those of this repository, and some of each kind of the packages here."""
    own = chain.from_iterable(sorted(ROOT.glob(pattern)) for pattern in OWN)
    found = (islice(filter(_is_text, sorted(PACKAGES.glob(pattern))), most) for pattern, most in INSTALLED.items())
    yield from filter(_is_text, own)
    yield from chain.from_iterable(found)


def _is_text(file: Path) -> bool:
    return file.is_file() and file.stat().st_size < LARGEST and bool(file.read_text("utf-8", errors="replace").strip())


async def wrong_with(runner: Runner, source: TextFile, task: str) -> str:
    """Return what is wrong with the brief on a source, "" for nothing."""
    with contextlib.redirect_stderr(io.StringIO()):
        run = runner.start(graph, {"task": task, "sources": [source]})
        result = await run.result()
    brief, state = str(result.output), result.state
    said = claims(brief, state.findings)
    if not brief.startswith("# ") or not any(claim.places for claim in said):
        return f"no brief: {brief[:200]!r}"
    room = max(LONGER * state.word_budget, size(state.findings[0].text))
    if len(state.findings) > 1 and sum(size(claim.text) for claim in said) > room:
        return f"longer than {state.word_budget} words: {faults(brief, state.findings, state.word_budget)}"
    return "good enough by one point" if result.label == "good enough" else ""


async def outcomes() -> Counter[tuple[str, str]]:
    """Return how many files of each kind had which outcome."""
    found: Counter[tuple[str, str]] = Counter()
    async with Runner(models="rules") as runner:
        for file in files():
            source = TextFile(path=file.name, text=file.read_text("utf-8", errors="replace"))
            wrong = await wrong_with(runner, source, f"What is in {file.name}, and what is it for?")
            found[file.suffix or file.name, wrong and f"{file}: {wrong}"] += 1
    return found


async def test_every_file_gives_a_brief() -> None:
    """Whatever is in it: none is refused over the form of what it quotes."""
    found = await outcomes()
    assert [wrong for _, wrong in found if wrong] == []
    assert found.total() >= 204
    assert found[".py", ""] >= 22


@pytest.mark.parametrize("name", KINDS)
async def test_every_kind_of_text_gives_a_brief(name: str) -> None:
    """Seventeen kinds, from logs and tables to scripts without blanks; the brief is shorter than the text."""
    source = TextFile(path=name, text=read_source(HELD / name).text)
    async with Runner(models="rules") as runner:
        assert await wrong_with(runner, source, "What is this about?") == ""


if __name__ == "__main__":
    tally = asyncio.run(outcomes())
    rows = [f"{count:4}  {kind:12} {wrong or 'a brief'}" for (kind, wrong), count in sorted(tally.items())]
    sys.stdout.write("\n".join([*rows, f"{tally.total():4}  files", ""]))
