"""docs/explain/joins.md shows the present outcomes of our programs. LangGraph is not needed here."""

import inspect
from pathlib import Path

import pytest

from benchmarks.joins import BEGIN, CASES, FINISH, Nodes, placed, programs, row, run_ours, section

PAGE = (Path(__file__).resolve().parents[2] / "docs/explain/joins.md").read_text(encoding="utf-8")
OURS = [(case, name) for case in CASES for name in programs(case, "Graph[Log]")]
# These must not change, whatever the page says: what happens, how often the join runs, how it ends.
TRUTHS = {
    "Unequal.fork": ("a b d c e", "once", "log: a b c d e"),
    "Skipped.fork": ("a b d", "once", "log: a b d"),
    "Skipped.leaving": (
        "",
        "refused",
        "CompileError: node 'c' in the arm that starts at 'c' skips the join 'd' and leads to END",
    ),
    "Nested.forks": ("a b c d e f g", "once", "log: a b d e f c g"),
    "Loop.fork": ("a b d b b e", "once", "log: a b b b d e"),
    "Conflict.fork": (
        "",
        "refused",
        "CompileError: the nodes 'b' and 'c' are in different arms, but both write 'answer'",
    ),
    "Failing.fork": ("a b c q c fails b ends resumed: c d", "once", "log: a b c q d"),
    "Failing.fallback": ("a b c q c fails b ends d", "once", "log: a b no c q d"),
    "First.fork": ("a b c d c cancelled", "once", "log: a b d"),
    "Crossing.shared_node": (
        "",
        "refused",
        "CompileError: the arms that start at 'b' and 'c' meet at node 'd', which is not the join of the fork",
    ),
    "Crossing.two_forks": ("a b c x d e f", "once", "log: a b x c d e f"),
}


def part(case: type[Nodes]) -> str:
    """The part of the page about a case, from its heading on."""
    title = (inspect.getdoc(case) or "").partition(": ")[0]
    (found,) = [part for part in PAGE.split("\n## ") if part.partition("\n")[0].endswith(f". {title}")]
    return found


@pytest.mark.parametrize(("case", "name"), OURS, ids=[f"{case.__name__}.{name}" for case, name in OURS])
async def test_our_side_does_what_the_page_shows(case: type[Nodes], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of our programs has the outcome listed here, and its line on the page states it.

    1. `need=1`: b arrives, c is cancelled, and d begins in the same turn of the loop, before c learns of it.
    2. On a busy machine that turn has taken 5 ms: the runner yields before d, and c learns of it first. Not so here.
    """
    monkeypatch.setattr("graphengine.runner.driving._TURN_SECONDS", float("inf"))
    outcome = await run_ours(case, name)

    happened, joined, end = TRUTHS[f"{case.__name__}.{name}"]
    assert " ".join(outcome.happened) == happened
    assert outcome.joined(case.join) == joined
    assert outcome.end.startswith(end)
    assert row(f"graphengine: `{name}`", outcome, case.join) in part(case).splitlines()


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES, 1)), ids=[case.__name__ for case in CASES])
def test_the_page_shows_the_present_programs(number: int, case: type[Nodes]) -> None:
    """Heading and lesson are on the page, and each program has a line."""
    here = f"## {part(case)}"
    assert here.startswith(section(number, case, {}).strip())
    assert programs(case, "StateGraph")
    assert all(f"\n| LangGraph: `{name}`" in here for name in programs(case, "StateGraph"))


def test_only_the_text_between_the_markers_is_generated() -> None:
    """Text before and after the markers stays."""
    page = placed(f"before\n{BEGIN}\nold\n{FINISH}\nafter\n", "new\n")

    assert page == f"before\n{BEGIN}\n\nnew\n\n{FINISH}\nafter\n"


@pytest.mark.parametrize("page", ["no markers", BEGIN, FINISH, f"{FINISH}{BEGIN}"])
def test_a_page_without_both_markers_is_refused(page: str) -> None:
    """Nothing is lost if a marker is missing or they are in the wrong order."""
    with pytest.raises(ValueError, match="needs both markers"):
        placed(page, "new")
