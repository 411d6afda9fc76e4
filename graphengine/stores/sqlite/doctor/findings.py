"""What `doctor` finds and does, as values: a program can read them, the command line shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.state.json_values import JsonValue

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being looked at, how much of it is done and how much there is; 0 where nobody knows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        code: Its kind, stable.
        what: What is wrong, with the values.
        run_id: The run concerned; "" where it is no run.
        seq: The step concerned, if it is one.
        repair: What can be done about it.
        repairable: Whether `repair` mends it.
        note: Whether it is worth telling and no fault: it neither spoils a run nor counts for the exit code.
        row: The row to mend: its key, or what else names it.
        values: What the row should say, by column.
    """

    code: str
    what: str
    run_id: str = ""
    seq: int | None = None
    repair: str = ""
    repairable: bool = False
    note: bool = False
    row: int | str = 0
    values: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What a look at a database found.

    Attributes:
        path: The file.
        findings: In the order of the checks; at most `checks.MOST_FINDINGS`.
        more: How many were left out behind those.
        runs: How many runs were looked at.
        steps: How many of their steps.
        snapshots: How many of their snapshots.
    """

    path: Path
    findings: Sequence[Finding]
    more: int = 0
    runs: int = 0
    steps: int = 0
    snapshots: int = 0

    @property
    def faults(self) -> Sequence[Finding]:
        """What is wrong, without the notes."""
        return [finding for finding in self.findings if not finding.note]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and not self.more


@dataclass(frozen=True, slots=True)
class Lost:
    """Steps that are known to have been recorded and cannot be read: from `first` to `last`."""

    run_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did.

    Attributes:
        report: What is found after it.
        before: What was found before it; None where the file could not be opened.
        done: What was mended, in words.
        lost: Which steps could not be saved.
        unnamed: Where pages were damaged: what was on them, so that steps may be lost which nobody can name; else "".
        copy: The file as it was before; None where nothing was changed.
    """

    report: Report
    before: Report | None
    done: Sequence[str] = ()
    lost: Sequence[Lost] = ()
    copy: Path | None = None
    unnamed: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong any more and nothing was, or may have been, lost."""
        return self.report.is_sound and not self.lost and not self.unnamed
