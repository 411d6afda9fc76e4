"""The three agents together, on texts that were not used for tuning."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphengine import TextFile
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.writer import write
from tests.kit.review_team import cut

if TYPE_CHECKING:
    from tests.briefs.conftest import Loop

ROOT = Path(__file__).parents[2]
TEXTS = ["sourdough.md", "lighthouses.txt", "gears.md", "thin.md", "repetitive.md", "hefeteig.md"]


@pytest.mark.parametrize(("name", "word_budget"), [("sourdough.md", 350), ("gears.md", 350), ("lighthouses.txt", 250)])
def test_a_first_draft_is_approved_if_the_sources_have_enough(
    name: str, word_budget: int, loop: Callable[..., "Loop"]
) -> None:
    """It is as good as the writer can make it: no points are left for a revision."""
    run = loop(name, word_budget)
    assert len(run.scores) == 1
    assert run.reviews[0].approved


@pytest.mark.parametrize("name", ["sourdough.md", "gears.md", "lighthouses.txt"])
def test_a_draft_that_lacks_most_of_it_is_revised_until_it_is_approved(name: str, loop: Callable[..., "Loop"]) -> None:
    """The revision settles what the review of a poor draft remarks."""
    run = loop(name)
    poor = cut(run.drafts[0])
    first = review(run.task, poor, run.findings, [])
    second = review(run.task, write(run.task, run.findings, 350, [first], poor), run.findings, [first])
    assert first.score < 7 <= second.score
    assert second.mended


def test_thin_material_ends_in_a_plateau(loop: Callable[..., "Loop"]) -> None:
    """If the material is used up, the second score is no better and stays below the threshold."""
    run = loop("thin.md")
    assert len(run.scores) == 2
    assert run.scores[1] <= run.scores[0] < 7


def test_facts_that_differ_in_a_figure_or_a_day_are_facts_of_their_own(loop: Callable[..., "Loop"]) -> None:
    """A page on opening hours has eleven facts in eleven sentences with nearly the same words."""
    run = loop("repetitive.md")
    assert len(run.findings.all_facts()) == 11
    assert run.reviews[-1].measures.repetition == 0.0
    assert (run.reviews[-1].measures.claims, run.reviews[-1].approved) == (11, True)


@pytest.mark.parametrize("name", TEXTS)
def test_the_brief_of_another_text_fails(name: str, loop: Callable[..., "Loop"]) -> None:
    """Against the findings of one text, the best brief of any other scores at most three."""
    run = loop(name)
    for other in TEXTS:
        if other != name:
            assert review(run.task, loop(other).drafts[-1], run.findings, []).score <= 3


def test_a_foreign_brief_fails_even_if_its_citations_exist(text: Callable[[str], TextFile]) -> None:
    """Existing lines are not enough: both sources have the same name here, and the words decide."""
    bread, lights = (TextFile(path="a.md", text=text(name).text) for name in ("sourdough.md", "gears.md"))
    findings, others = research("bread", [bread]), research("gears", [lights])
    foreign = write("gears", others, 350, [], "")
    assert review("bread", foreign, findings, []).score <= 3


@pytest.mark.parametrize("name", TEXTS)
def test_no_revision_makes_it_worse(name: str, loop: Callable[..., "Loop"]) -> None:
    """On these texts the points never fall from one draft to the next."""
    points = [one.points for one in loop(name).reviews]
    assert points == sorted(points)


def test_the_example_of_the_workflow_is_approved(sample_loop: "Loop") -> None:
    """Its sources have all that its task asks for."""
    assert len(sample_loop.scores) == 1
    assert sample_loop.scores[0] >= 7
    assert "write-ahead log" in sample_loop.drafts[-1]


PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
from conftest import TASKS, run_loop, source
for name in sorted(TASKS):
    run = run_loop(TASKS[name], [source(name)], 300)
    print(run.findings.model_dump_json(), run.drafts, [one.model_dump_json() for one in run.reviews])
"""


def test_equal_input_gives_equal_bytes_in_every_process() -> None:
    """Findings, drafts and reviews do not depend on Python's hash seed."""
    digests = set()
    for seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(ROOT)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        )
        assert len(done.stdout) > 10_000
        digests.add(hashlib.sha256(done.stdout).hexdigest())
    assert len(digests) == 1
