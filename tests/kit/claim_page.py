"""Golden pages of the claim: what happens to a run in one process, and what the pure machine says about it.

A page is a title (lines with `#`), and under `== life` inputs, each a line that begins with `>`, followed by the state
after it and what is to be done, in order. What the claim is for comes with a first line, `> begin follows`; without one
it opens now.
`tests/claims/README.md` lists the inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, get_args

from graphengine.engine.claim import TABLE, Begin, Claim, Do, Input, Row, State, Stop
from graphengine.errors import OutOfOrder

NAMES: Final[dict[str, type[Input]]] = {each.__name__.lower(): each for each in get_args(Input)}


@dataclass(frozen=True)
class Taken:
    """A row of the table that a page takes, with the state before and after it."""

    row: Row
    before: State
    after: State


def play(page: str) -> tuple[str, list[Taken]]:
    """Return a page as it should read, and the rows that it takes."""
    title, events = page.split("== life\n", 1)
    claim = Claim()
    lines, taken = list[str](), list[Taken]()
    if not any(line.startswith("> begin") for line in events.splitlines()):
        taken.append(_begun(claim))
    for line in events.splitlines():
        if line.startswith("#"):
            lines += [*([""] if lines else []), line]
        if not line.startswith("> "):
            continue
        if not (lines and lines[-1].startswith("#")):
            lines += [""] if lines else []
        if line.startswith("> begin "):
            flags: dict[str, Any] = {
                flag.removeprefix("not_"): not flag.startswith("not_") for flag in line.split()[2:]
            }
            claim = Claim(**flags)
        given, before = parsed(line.removeprefix("> ")), claim.state
        row = row_of(before, given)
        do = None
        with suppress(OutOfOrder):
            do = claim.step(given)
        lines += [line, f"  {said(claim, before, do, row)}"]
        if row is not None:
            taken.append(Taken(row, before, claim.state))
    return "\n".join([f"{title}== life", *lines, ""]), taken


def _begun(claim: Claim) -> Taken:
    """Begin a claim as all begin: it opens now."""
    before = claim.state
    row = row_of(before, Begin())
    assert row is not None
    assert claim.step(Begin()) == Do(open="now")
    return Taken(row, before, claim.state)


def row_of(state: State, given: Input) -> Row | None:
    """Return the row of the table for an input in a state."""
    return next((row for row in TABLE if row.given is type(given) and state in row.states), None)


def parsed(line: str) -> Input:
    """Return the input of a line: its name, then its fields: a flag, a time after `until`, a text in quotes, a status.

    Raises:
        ValueError: No input reads so.
    """
    name, *words = line.split()
    if name == "begin":
        return Begin()
    kind, given = NAMES[name], dict[str, Any]()
    known = kind.__struct_fields__
    while words:
        word = words.pop(0)
        if word == "until":
            given["due"] = float(words.pop(0))
        elif word.startswith('"'):
            given["why"] = word.strip('"')
        elif word in known:
            given[word] = True
        elif "status" in known:
            given["status"] = word
        else:
            raise ValueError(line)
    return kind(**given)


def said(claim: Claim, before: State, do: Do | None, row: Row | None) -> str:
    """Return in words where a claim is, and what is to be done."""
    state = claim.state if claim.state == before else f"{before} → {claim.state}"
    done = "impossible" if do is None else "ignored" if row is not None and row.why else ", ".join(_acts(do))
    return f"{state}: {done}" if done else state


def _acts(do: Do) -> Iterable[str]:
    for name in do.__struct_fields__:
        value = getattr(do, name)
        if value == getattr(Do(), name):
            continue
        if value is True:
            yield name
        elif isinstance(value, Stop):
            yield f'post stop "{value.why}"'
        else:
            yield f"wake at {value:g}" if name == "wake" else f"{name} {value}"
