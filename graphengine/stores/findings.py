"""The results of `doctor` as values: a program can read them, the command line shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path


Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being checked, how much of it is done and how much there is; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem or note.

    Attributes:
        code: Its kind, stable.
        what: What is wrong, with the values.
        run_id: The run concerned; "" if there is none.
        seq: The step concerned, if there is one.
        repair: What can be done about it.
        repairable: Whether `repair` repairs it.
        note: Whether it is information and not a fault: it affects no run and does not count for the exit code.
        row: The row to repair: its key or another name.
        values: The correct values of the row, by column.
    """

    code: str
    what: str
    run_id: str = ""
    seq: int | None = None
    repair: str = ""
    repairable: bool = False
    note: bool = False
    row: int | str = 0
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of checking a database.

    Attributes:
        path: The file; or the address, without a password.
        findings: In the order of the checks; at most `checks.MOST_FINDINGS`.
        more: How many further findings were left out.
        runs: How many runs were checked.
        steps: How many of their steps were checked.
        snapshots: How many of their snapshots were checked.
    """

    path: Path | str
    findings: Sequence[Finding]
    more: int = 0
    runs: int = 0
    steps: int = 0
    snapshots: int = 0

    @property
    def faults(self) -> Sequence[Finding]:
        """The findings without the notes."""
        return [finding for finding in self.findings if not finding.note]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and not self.more


@dataclass(frozen=True, slots=True)
class Lost:
    """Steps that were recorded and cannot be read.

    Attributes:
        run_id: The run.
        first: The first of them.
        last: The last of them.
    """

    run_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of a repair.

    Attributes:
        report: The findings after it.
        done: What was repaired, in words.
        lost: The steps that could not be saved.
        unnamed: If pages were damaged, a description of possibly lost steps that cannot be listed; else "".
        copy: The copy of the file from before; None if nothing was changed.
    """

    report: Report
    done: Sequence[str] = ()
    lost: Sequence[Lost] = ()
    copy: Path | None = None
    unnamed: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong after the repair, and no step is or can be lost."""
        return self.report.is_sound and not self.lost and not self.unnamed
