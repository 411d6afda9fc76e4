"""Draw the tables of graphengine/engine, of the machine and of the claim, into docs/explain/architecture.md.

Run it when a table changes; tests/engine/test_machine.py checks that the page is up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from graphengine.engine import claim
from graphengine.engine.events import AnswerArrived
from graphengine.engine.machine import AFTER, TABLE
from graphengine.engine.phases import GivenUp
from graphengine.engine.steps import Begun, Recorded, Refused, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "explain" / "architecture.md"
BEGIN: Final = "<!-- The machine: written by scripts/machine_docs.py from graphengine/engine/machine.py. -->\n"
END: Final = "<!-- The end of the machine. -->\n"
CLAIM_BEGIN: Final = "<!-- The claim: written by scripts/machine_docs.py from graphengine/engine/claim.py. -->\n"
CLAIM_END: Final = "<!-- The end of the claim. -->\n"


def drawn(text: str) -> str:
    """Return the page with diagrams and tables of the current run machine and the current claim.

    Args:
        text: The text of the page so far.
    """
    text = _between(text, BEGIN, END, f"{_diagram(_arrows())}\n{_table()}")
    return _between(text, CLAIM_BEGIN, CLAIM_END, f"{_diagram(_claim_arrows())}\n{_claim_table()}")


def _between(text: str, begin: str, end: str, new: str) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{new}{end}{after}"


def _diagram(arrows: Iterator[str]) -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += dict.fromkeys(f"    {arrow}" for arrow in arrows)
    return "\n".join([*lines, "```", ""])


def _arrows() -> Iterator[str]:
    """Yield the arrows of the diagram, from each phase of a frame to the phases that its steps lead to.

    All steps that take an edge lead to one common point, from which the phases after an edge are drawn once.
    """
    moved = AFTER[Started]
    yield "state edge <<choice>>"
    yield "[*] --> edge: started"
    yield from (f"edge --> {phase.__name__}" for phase in moved)
    found: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        for phase in row.phases if len(row.phases) < _MOST else ():
            for kind in row.steps:
                after = AFTER[kind]
                takes_edge = set(moved) <= set(after)
                places = ["edge"] if takes_edge else [each.__name__ for each in after if each is not phase]
                places += [GivenUp.__name__] if GivenUp in after and phase in AFTER[Recorded] else []
                for place in places if kind not in _STAYS else ():
                    found.setdefault((phase.__name__, place), []).append(kind.kind)
    for (source, target), kinds in found.items():
        yield f"{source} --> {target}: {', '.join(dict.fromkeys(kinds))}"


_STAYS: Final = (Begun, Recorded, Refused)
"""Steps after which a frame is where it was."""
_MOST: Final = 9
"""A row with this many phases is legal in all of them, and is not drawn as an arrow."""


def _table() -> str:
    lines = ["| event | in the phases | becomes one of the steps |", "|---|---|---|"]
    for row in TABLE:
        phases = "all" if len(row.phases) >= _MOST else ", ".join(phase.__name__ for phase in row.phases)
        kinds = ", ".join(f"`{kind.kind}`" for kind in row.steps)
        whose = "(found by its wait)" if row.event is AnswerArrived else "(of the run)"
        lines.append(f"| {row.event.__name__} | {phases or whose} | {kinds} |")
    return "\n".join([*lines, ""])


def _claim_arrows() -> Iterator[str]:
    """Yield the arrows between the states of a claim.

    Arrows to `lost` are left out, because they would hide the others.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for row in claim.TABLE:
        for state in row.states:
            for after in row.then:
                if after not in (state, "lost"):
                    found.setdefault((state, after), []).append(row.given.__name__)
    yield "[*] --> opening"
    yield from (
        f"{source} --> {target}: {', '.join(dict.fromkeys(names))}" for (source, target), names in found.items()
    )


def _claim_table() -> str:
    lines = ["| input | in the states | then |", "|---|---|---|"]
    for row in claim.TABLE:
        then = f"nothing is done: {row.why}" if row.why else ", ".join(row.then) or "as it was"
        lines.append(f"| {row.given.__name__} | {', '.join(row.states)} | {then} |")
    known = {row.given for row in claim.TABLE}
    taken = {(row.given, state) for row in claim.TABLE for state in row.states}
    some = sum(len(row.states) for row in claim.TABLE if row.why)
    every = len(known) * len(get_args(claim.State))
    counted = (
        f"The claim has {every} pairs of an input and a state. In {len(taken) - some} of them it does something,\n"
    )
    counted += f"in {some} the claim ignores the input, and {every - len(taken)} pairs are impossible."
    return "\n".join([*lines, "", counted, ""])


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
