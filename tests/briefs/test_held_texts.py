"""The review loop by rules on texts that no rule was tuned for; `held/cases.toml` has what a fair brief holds."""

import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine import RunFailed, TextFile
from graphengine.briefs.article import Findings, Remarks, Review
from graphengine.briefs.doubts import doubt, merge
from graphengine.briefs.draft import parse
from graphengine.briefs.reading import best_answer
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.support import complaints
from graphengine.briefs.text.relation import UNRELATED
from graphengine.briefs.text.words import subject_words
from graphengine.briefs.writer import OFF_TASK, write
from graphengine.cli.main import main
from graphs.review_loop import Article, graph
from tests.cli.programs import ROOT
from tests.kit.review_team import cut

HELD = Path(__file__).parent / "held"


@dataclass(frozen=True, slots=True)
class Case:
    """A text, a task, and what a brief has to hold."""

    file: str
    task: str
    facts: list[list[str]]
    missed: list[list[str]] = field(default_factory=list)
    score: int = 7

    @property
    def article(self) -> Article:
        """The input of a run."""
        return Article(task=self.task, sources=[TextFile(path=self.file, text=(HELD / self.file).read_text("utf-8"))])


CASES = [Case(**each) for each in tomllib.loads((HELD / "cases.toml").read_text("utf-8"))["case"]]
RELATED = [case for case in CASES if case.facts]
IDS = [case.file for case in RELATED]


@cache
def brief(file: str) -> str:
    """Return the first draft of a case."""
    (case,) = (case for case in CASES if case.file == file)
    return write(case.task, findings(file), case.article.word_budget, [], "")


@cache
def findings(file: str) -> Findings:
    """Return the findings of a case."""
    (case,) = (case for case in CASES if case.file == file)
    return merge(research(case.task, case.article.sources), doubt(case.task, case.article.sources), [])


def holds(text: str, fact: list[str]) -> bool:
    """Return whether one line of a text has all parts of a fact."""
    return any(all(part in line for part in fact) for line in text.splitlines())


@pytest.mark.parametrize("case", RELATED, ids=IDS)
async def test_a_brief_holds_the_facts_that_the_task_asks_for(case: Case) -> None:
    """Each fact is in one claim; what rules are known to miss is listed, and still missed."""
    result = await graph.run(case.article)
    assert [fact for fact in case.facts if not holds(result.state.article, fact)] == []
    assert [fact for fact in case.missed if holds(result.state.article, fact)] == []
    assert result.state.final_score is not None
    assert result.state.final_score >= case.score
    assert (result.label == "approved") == (case.score >= 7)


# -- changed briefs


def times_seven(line: str) -> str:
    """Return a claim with its figures multiplied by seven; citations, code and names with digits stay."""
    text, citation = re.fullmatch(r"(.*?)(\s\[[^\]]+\]\.?)?", line, re.DOTALL).groups()  # type: ignore[union-attr]
    figure = re.compile(r"(?<![\w.,`#(/-])\d+(?:[.,]\d+)*(?![\w`(/-])")
    return figure.sub(lambda found: _scaled(found[0]), text) + (citation or "")


def _scaled(figure: str) -> str:
    whole = int(re.sub(r"\D", "", figure)) * 7
    after = re.search(r"[.,](\d{1,2})$", figure)
    return f"{whole // 10 ** len(after[1])}.{whole % 10 ** len(after[1]):0{len(after[1])}}" if after else str(whole)


def denied(line: str) -> str:
    """Return a claim with a negation after its first auxiliary verb."""
    english = re.sub(r"\b(is|are|was|were|has|have|can|may|must|will|does) (?!not)", r"\1 not ", line, count=1)
    return re.sub(r"\b(ist|sind|wird|werden|wurde) (?!nicht)", r"\1 nicht ", english, count=1)


def not_denied(line: str) -> str:
    """Return a claim without its first negation."""
    return re.sub(r"\b(?:not|nicht) ", "", line, count=1)


def changed(draft: str, change: Callable[[str], str], most: int) -> tuple[str, int]:
    """Return a draft with some of its claims changed, and how many were."""
    count, lines = 0, draft.split("\n")
    for at, line in enumerate(lines):
        if count < most and re.search(r"\[[^\]]+:\d+\]", line) and change(line) != line:
            lines[at], count = change(line), count + 1
    return "\n".join(lines), count


@pytest.mark.parametrize("most", [1, 99], ids=["one claim", "all claims"])
@pytest.mark.parametrize("change", [times_seven, denied, not_denied])
@pytest.mark.parametrize("case", RELATED, ids=IDS)
def test_a_brief_with_another_figure_or_an_added_or_lost_not_is_worth_little(
    case: Case, change: Callable[[str], str], most: int
) -> None:
    """One such claim is enough; the review names it."""
    draft = brief(case.file)
    assert review(case.task, draft, findings(case.file), []).score >= case.score
    worse, count = changed(draft, change, most)
    if not count:
        pytest.skip("the brief has no such word")
    judged = review(case.task, worse, findings(case.file), [])
    assert judged.score <= 3
    assert judged.measures.supported < 1
    assert len(judged.remarks.unsupported_sentences) == count


@pytest.mark.parametrize("case", RELATED, ids=IDS)
def test_a_first_draft_needs_no_revision_by_rules(case: Case) -> None:
    """It is as good as the writer can make it: acting on its review gives no better score."""
    draft = brief(case.file)
    first = review(case.task, draft, findings(case.file), [])
    again = write(case.task, findings(case.file), 350, [first], draft)
    assert review(case.task, again, findings(case.file), [first]).points <= first.points


@pytest.mark.parametrize("case", RELATED, ids=IDS)
def test_a_draft_that_lacks_something_is_mended_by_the_loop(case: Case) -> None:
    """A draft with a third of the claims gets better by a revision that acts on its review."""
    poor = cut(brief(case.file))
    first = review(case.task, poor, findings(case.file), [])
    again = write(case.task, findings(case.file), 350, [first], poor)
    second = review(case.task, again, findings(case.file), [first])
    assert second.points > first.points
    assert second.score >= case.score > first.score


@pytest.mark.parametrize("case", RELATED, ids=IDS)
def test_a_revision_keeps_the_only_claim_that_answers_the_task(case: Case) -> None:
    """A revision keeps the only claim that answers the task even if the review calls it too long and repeated."""
    facts = findings(case.file)
    answer = best_answer(subject_words(case.task), facts.all_facts())
    assert answer is not None
    draft = brief(case.file)
    (claim,) = (
        claim
        for claim in parse(draft).claims()
        if f":{answer.line}" in claim.citations[0] and not complaints(claim.text, answer.text)
    )
    faults = Remarks(long_sentences=[claim.text], repeated_sentences=[claim.text])
    again = write(case.task, facts, 110, [Review(score=3, approved=False, remarks=faults)], draft)
    assert review(case.task, again, facts, []).remarks.missed_answers == []


# -- unrelated sources


def pairs() -> list[tuple[str, Case]]:
    """Return each task with each text that is not its own."""
    return [(one.task, other) for one in CASES for other in CASES if one.file != other.file]


@pytest.mark.parametrize(("task", "case"), pairs(), ids=lambda value: value if isinstance(value, str) else value.file)
def test_sources_on_something_else_are_said_to_be_unrelated(task: str, case: Case) -> None:
    """There are no findings, and the note names the words of the task that the sources lack."""
    found = research(task, case.article.sources)
    assert found.key_areas == []
    assert UNRELATED in found.notes[-1]
    assert doubt(task, case.article.sources).notes == found.notes


@pytest.mark.parametrize(
    ("task", "file_lines"),
    [
        ("What changes in version 4.1.3?", {25, 26}),
        ("What changes in 4.1?", {25, 26, 32, 36}),
        ("What was removed or fixed since 4.1.3: timeout, uploads, redirects?", set(range(7, 37))),
        ("What changes in version 3.4.0?", set()),
    ],
)
def test_sections_on_other_versions_do_not_answer(task: str, file_lines: set[int]) -> None:
    """If there is nothing on the version that is asked for, the notes say so."""
    source = TextFile(path="changelog.md", text=(HELD / "changelog.md").read_text("utf-8"))
    found = research(task, [source])
    assert {fact.line for fact in found.all_facts()} <= file_lines
    assert bool(found.key_areas) is bool(file_lines)
    assert file_lines or "nothing on 3.4.0, only on 4.1.2, 4.1.3, 4.2.0" in found.notes[-1]
    assert {fact.line for fact in doubt(task, [source]).all_facts()} <= file_lines


async def test_a_run_on_unrelated_sources_ends_without_a_brief() -> None:
    """Its label says so, and its result gives the reason."""
    (case,) = (case for case in CASES if not case.facts)
    with pytest.raises(RunFailed) as failed:
        await graph.run(case.article)
    result = failed.value.result
    assert result.label == "nothing found"
    assert UNRELATED in str(result.output)


def test_the_command_line_shows_the_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that an edge to FAIL ended shows its result below its label, and exits with 1."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (case,) = (case for case in CASES if not case.facts)
    given = ["--input", f"task={case.task}", "--input", f"sources=@{HELD / case.file}"]
    done = CliRunner().invoke(main, ["run", "review_loop", *given, "--db", str(tmp_path / "runs.db")])
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"  - {UNRELATED}" in done.stderr


TOWNS = "| Town | Served by |\n|---|---|\n| Norwick | Alder |\n| Ostby | Cedar |\n\nRestrictions apply below 40 %.\n"


def test_a_name_of_the_task_in_one_row_is_evidence() -> None:
    """A table has each name once; a common word once, as "drink", is still none."""
    sources = [TextFile(path="t.md", text=TOWNS)]
    assert research("What do Norwick and Ostby drink?", sources).key_areas
    assert not research("What do penguins drink?", sources).key_areas


CHANGES = """# Changelog

## 3.4.0

### Added

- Retries of uploads wait 2 seconds at first and at most 90 seconds.
- The command `export` writes Parquet files with zstd compression.

### Changed

- The default timeout of a request is 30 seconds instead of 10.
- Python 3.9 is no longer supported.

### Fixed

- Uploads larger than 5 GB no longer fail with error 413.
- Memory use of `import` fell from 1.8 GB to 240 MB on the test data.
"""


def test_a_heading_with_a_word_of_the_task_is_no_other_subject() -> None:
    """In a changelog the task's "changed" is a heading, above sentences without it."""
    task, sources = "What changed in version 3.4.0?", [TextFile(path="c.md", text=CHANGES)]
    assert OFF_TASK not in write(task, research(task, sources), 350, [], "")
