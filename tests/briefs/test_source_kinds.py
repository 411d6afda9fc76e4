"""Texts of other kinds than prose, each with the facts that a fair brief has to hold."""

import re
from dataclasses import dataclass

import pytest

from graphengine.agents.sources import source_from_bytes
from graphengine.briefs import researcher, reviewer
from graphengine.briefs.evidence import check_findings
from tests.briefs.conftest import run_loop


@dataclass(frozen=True)
class Held:
    """A file with its task, the texts that a brief on it must have, and one of them with a wrong figure."""

    name: str
    content: str
    task: str
    facts: tuple[str, ...]
    figure: tuple[str, str]


TABLE = Held(
    "ferries.csv",
    "Line,Fare,Crossing,Season\nNorth island,12 EUR,45 minutes,April to October\n"
    "South island,9 EUR,30 minutes,all year\nLighthouse rock,21 EUR,80 minutes,June only\n",
    "Fares and crossings of the ferry lines",
    ("North island", "12 EUR", "80 minutes", "all year"),
    ("12 EUR", "84 EUR"),
)
LIST = Held(
    "CHANGELOG.md",
    "# Changelog of the mail server\n\n## 4.2\n\n### Added\n\n- Support for 3 new archive formats\n"
    "- Quotas of 50 GB per mailbox\n\n### Not supported any more\n\n- the old POP2 protocol\n- Windows Server 2012\n",
    "What changed in the mail server",
    ("Added: Quotas of 50 GB", "Not supported any more: the old POP2", "Not supported any more: Windows Server 2012"),
    ("50 GB", "350 GB"),
)
PAGE = Held(
    "museum.html",
    "<html><head><title>Museum of clocks</title></head><body><nav><a href='/'>Home of the 99 museums</a></nav>"
    "<p>The museum of clocks has shown 400 clocks in its tower since 1987.</p><h2>Admission</h2>"
    "<table><tr><th>Visitors</th><th>Price</th></tr><tr><td>adults</td><td>8 EUR</td></tr>"
    "<tr><td>families</td><td>17 EUR</td></tr></table>"
    "<p>Not allowed in the tower:</p><ul><li>dogs</li><li>prams over 15 kg</li></ul></body></html>",
    "Visiting the museum of clocks: admission and the tower",
    ("400 clocks", "17 EUR", "Not allowed in the tower: prams over 15 kg"),
    ("17 EUR", "119 EUR"),
)
KINDS = [TABLE, LIST, PAGE]


@pytest.mark.parametrize("held", KINDS, ids=lambda held: held.name)
def test_rows_and_entries_are_facts_that_are_in_the_source(held: Held) -> None:
    """The check of a model's quotations accepts what the rules quote, on the line they name."""
    source = source_from_bytes(held.name, held.content.encode())
    check_findings(researcher.research(held.task, [source]), [source])


@pytest.mark.parametrize("held", KINDS, ids=lambda held: held.name)
def test_the_brief_has_the_facts_of_rows_and_entries(held: Held) -> None:
    """Each list entry comes with what introduces it, and navigation is not a fact."""
    source = source_from_bytes(held.name, held.content.encode())
    brief = run_loop(held.task, [source], 350).drafts[-1]
    assert [fact for fact in held.facts if fact not in brief] == []
    assert "99 museums" not in brief


@pytest.mark.parametrize("held", KINDS, ids=lambda held: held.name)
def test_a_wrong_figure_of_a_row_or_entry_is_found(held: Held) -> None:
    """The reviewer compares it with the source."""
    source = source_from_bytes(held.name, held.content.encode())
    run = run_loop(held.task, [source], 350)
    wrong = re.sub(rf"\b{held.figure[0]}", held.figure[1], run.drafts[-1])
    assert wrong != run.drafts[-1]
    unsupported = reviewer.review(held.task, wrong, run.findings, []).remarks.unsupported_sentences
    assert any(held.figure[1] in sentence for sentence in unsupported)
    assert run.reviews[-1].remarks.unsupported_sentences == []
