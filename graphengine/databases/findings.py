"""The results of `doctor` as values: a program can read them, the command line shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from pathlib import Path


Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being checked, how much of it is done and how much there is; 0 if unknown."""

MOST_FINDINGS: Final = 1000
"""More than a person reads; the rest is counted, and found by the next check."""


class Finding(Struct, frozen=True, dict=True):
    """A fault in a database, or a note. It is written as JSON as it is, without how it is repaired in place.

    Attributes:
        code: Its kind, stable.
        what: What is wrong, with the values.
        run_id: The run concerned; "" if there is none.
        seq: The step concerned, if there is one.
        repair: What can be done about it.
        repairable: Whether `doctor --repair` repairs it.
        note: Whether it is information and not a fault: it affects no run and does not count for the exit code.
    """

    code: str
    what: str
    run_id: str = ""
    seq: int | None = None
    repair: str = ""
    repairable: bool = False
    note: bool = False

    @property
    def repair_in_place(self) -> tuple[str, Sequence[Any] | Mapping[str, Any]]:
        """The statement that repairs it, and its parameters; "" if only a new file does."""
        found: tuple[str, Sequence[Any] | Mapping[str, Any]] = vars(self).get("repair_in_place", ("", ()))
        return found

    def repaired_by(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Finding:
        """Return it as one that a statement repairs in place."""
        found = replace(self, repairable=True)
        vars(found)["repair_in_place"] = statement, values
        return found


@dataclass(slots=True)
class Counted:
    """How much was checked."""

    runs: int = 0
    steps: int = 0
    snapshots: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of checking a database.

    Attributes:
        path: The file; or the address, without a password.
        findings: In the order of the checks; at most `MOST_FINDINGS`.
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


def report_of(path: Path | str, findings: Iterable[Finding], counted: Counted) -> Report:
    """Return the report of a check, given its findings, which update `counted` while they are read."""
    kept: list[Finding] = []
    more = 0
    for finding in findings:
        if len(kept) < MOST_FINDINGS:
            kept.append(finding)
        else:
            more += 1
    return Report(path, kept, more, counted.runs, counted.steps, counted.snapshots)


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
