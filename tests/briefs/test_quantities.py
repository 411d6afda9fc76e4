"""Figures, dates and units as people write them: number words, German, months, periods, bounds, percentage points."""

import pytest

from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.citing import check_brief
from graphengine.briefs.support import FALSE, complaints
from graphengine.briefs.text.language import language_of

SAME = [
    ("The depot counts the cold store before 30 April 2025.", "The depot counts the cold store before 2025-04-30."),
    ("The depot counts the cold store before 30 April 2025.", "The depot counts the cold store before April 30, 2025."),
    ("The ferry ran aground on 14 April 2024.", "The ferry ran aground in 2024."),
    ("The ferry ran aground on 14 April 2024.", "The ferry ran aground in April 2024."),
    ("The archive has two hundred and five maps.", "The archive has 205 maps."),
    ("It is due by the thirteenth working day.", "It is due by the 13th working day."),
    ("Write-offs above NOK 50,000 need a signature.", "Write-offs above 50,000 NOK need a signature."),
    ("Bei Sturm ab Windst\u00e4rke acht f\u00e4hrt die F\u00e4hre nicht.",
     "Bei Sturm ab Windst\u00e4rke 8 f\u00e4hrt die F\u00e4hre nicht."),
    ("Im Sommer f\u00e4hrt die F\u00e4hre t\u00e4glich siebenmal.",
     "Im Sommer f\u00e4hrt die F\u00e4hre t\u00e4glich 7-mal."),
    ("Die Gemeinde zahlt der F\u00e4hre 80.000 Euro im Jahr.",
     "Die Gemeinde zahlt der F\u00e4hre 80 000 Euro im Jahr."),
    ("Das Schiff lief am 14. April 2024 auf eine Sandbank.", "Das Schiff lief am 2024-04-14 auf eine Sandbank."),
    ("It waits 30 seconds.", "It waits half a minute."),
    ("The pump runs for an hour and a half.", "The pump runs for 90 minutes."),
    ("Die F\u00e4hre braucht 30 Minuten bis zum Hafen.", "Die F\u00e4hre braucht eine halbe Stunde bis zum Hafen."),
]  # fmt: skip

FALSE_CLAIMS = [
    ("The depot counts the cold store before 30 April 2025.", "The depot counts the cold store before 30 May 2025."),
    ("The depot counts the cold store before 30 April 2025.", "The depot counts the cold store after 30 April 2025."),
    ("The depot repeats the count every quarter.", "The depot repeats the count every month."),
    ("A signature is needed for write-offs above NOK 50,000.",
     "A signature is needed for write-offs above EUR 50,000."),
    ("A signature is needed for write-offs above NOK 50,000.",
     "A signature is needed for write-offs below NOK 50,000."),
    ("If rent is paid late, interest of 6 % per year is due.",
     "If rent is paid late, interest of 6 % per month is due."),
    ("The rate of interest rose by 6 %.", "The rate of interest rose by 6 percentage points."),
    ("Retries of uploads wait at most 90 seconds.", "Retries of uploads wait at least 90 seconds."),
    ("Memory use fell from 1.8 GB to 240 MB.", "Memory use fell from 240 MB to 1.8 GB."),
    ("Rent is due by the third working day.", "Rent is due by the thirteenth working day."),
    ("The gate opens on Monday.", "The gate opens on Tuesday."),
    ("Im Sommer f\u00e4hrt die F\u00e4hre t\u00e4glich siebenmal.",
     "Im Sommer f\u00e4hrt die F\u00e4hre t\u00e4glich achtmal."),
    ("Die F\u00e4hre braucht f\u00fcr die 4,2 Kilometer 25 Minuten.",
     "Die F\u00e4hre braucht f\u00fcr die 4,2 Meilen 25 Minuten."),
    ("Das Schiff lief am 14. April 2024 auf eine Sandbank.", "Das Schiff lief am 14. Mai 2024 auf eine Sandbank."),
    ("Die Gemeinde zahlt der F\u00e4hre 80.000 Euro im Jahr.",
     "Die Gemeinde zahlt der F\u00e4hre 560.000 Euro im Jahr."),
]  # fmt: skip


@pytest.mark.parametrize(("passage", "claim"), SAME, ids=lambda text: text[-30:])
def test_another_spelling_of_a_quantity_is_no_other_quantity(passage: str, claim: str) -> None:
    """Number words, dates, currencies and thousands can be written in another way."""
    with language_of(passage):
        assert complaints(claim, passage) == ()


@pytest.mark.parametrize(("passage", "claim"), FALSE_CLAIMS, ids=lambda text: text[-30:])
def test_another_quantity_makes_a_claim_false(passage: str, claim: str) -> None:
    """A claim with another date, unit, period, bound or number is not only unsupported but false."""
    with language_of(passage):
        assert {one.kind for one in complaints(claim, passage)} & FALSE


def test_words_of_another_fact_on_the_same_line_do_not_make_a_model_s_claim_true() -> None:
    """A line can have two facts; "per month" of the one does not support the other."""
    facts = [
        Fact(text="The rent is 1,450 EUR per month.", file="lease.txt", line=8, rank=1),
        Fact(text="Interest of 6 % per year is due on late rent.", file="lease.txt", line=8, rank=2),
    ]
    findings = Findings(key_areas=["Rent"], facts={"Rent": facts}, sources=["lease.txt"])
    brief = "# Rent\n\nInterest of 6 % per {} is due on late rent [lease.txt:8].\n\n## Sources\n\n- lease.txt\n"
    check_brief(brief.format("year"), findings, 100)
    with pytest.raises(ValueError, match="month"):
        check_brief(brief.format("month"), findings, 100)
