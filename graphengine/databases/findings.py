"""The results of `graphengine doctor` as Python values, which programs can read and the command line shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from pathlib import Path


Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of what is being checked, the number that is done, and the total; 0 if that is unknown."""

MOST_FINDINGS: Final = 1000
"""The most findings in a report. Further ones are only counted; the next check lists them after repairs."""


class Finding(Struct, frozen=True, dict=True):
    """Something that a check of the database found: a fault, or a note that is only information.

    All attributes except `repair_in_place` appear in the JSON output.

    Attributes:
        code: The kind of finding. Codes never change.
        what: A sentence that says what is wrong, with the values.
        run_id: The run that is affected; "" if there is none.
        seq: The step that is affected, if there is one.
        repair: What a person can do about the fault.
        repairable: Whether `graphengine doctor --repair` repairs the fault.
        note: Whether this is only information: it affects no run and does not change the exit code.
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
        """The SQL statement that repairs the fault, with its parameters; "" if the fault needs a new database file."""
        found: tuple[str, Sequence[Any] | Mapping[str, Any]] = vars(self).get("repair_in_place", ("", ()))
        return found

    def repaired_by(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Finding:
        """Return a copy of the finding that an SQL statement repairs in place."""
        found = replace(self, repairable=True)
        vars(found)["repair_in_place"] = statement, values
        return found


@dataclass(slots=True)
class Counted:
    """The numbers of runs, steps and snapshots that a check of a database has read so far."""

    runs: int = 0
    steps: int = 0
    snapshots: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of checking a database.

    Attributes:
        path: The file, or the address without a password.
        findings: The findings in the order of the checks; at most `MOST_FINDINGS`.
        more: How many further findings are left out.
        runs: The number of checked runs.
        steps: The number of checked steps.
        snapshots: The number of checked snapshots.
    """

    path: Path | str
    findings: Sequence[Finding]
    more: int = 0
    runs: int = 0
    steps: int = 0
    snapshots: int = 0

    @property
    def faults(self) -> Sequence[Finding]:
        """The findings that are not just notes."""
        return [finding for finding in self.findings if not finding.note]

    @property
    def is_sound(self) -> bool:
        """Whether the check found no fault."""
        return not self.faults and not self.more


def report_of(path: Path | str, findings: Iterable[Finding], counted: Counted) -> Report:
    """Run a check of a database, and return a report with the first `MOST_FINDINGS` findings.

    `findings` is the iterator that does the check. While it is read, it counts the checked runs, steps and snapshots in
    `counted`.
    """
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
    """Consecutive steps of a run that were recorded, but can no longer be read.

    Attributes:
        run_id: The id of the run.
        first: The number of the first lost step.
        last: The number of the last lost step.
    """

    run_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of a repair.

    Attributes:
        report: The result of a check after the repair.
        done: Sentences that say what was repaired.
        lost: The steps that could not be saved.
        unnamed: If pages of the file were damaged, a description of steps that may be lost but cannot be listed; else
            "".
        copy: A copy of the database file from before the repair; None if nothing was changed.
    """

    report: Report
    done: Sequence[str] = ()
    lost: Sequence[Lost] = ()
    copy: Path | None = None
    unnamed: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the database has no fault after the repair, and no step is or may be lost."""
        return self.report.is_sound and not self.lost and not self.unnamed
