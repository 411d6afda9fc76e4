"""The analyst, the fact checker and the SEO editor of an orchestrator, by rules, and the checks of a model's answers.

The rules compute nothing and judge no meaning: the analyst lists the figures that were found, the fact checker compares
figures, negations and words with the cited passages, and the SEO editor takes its words from the text.
"""

import re
from collections.abc import Mapping

from pydantic import ValidationError

from graphengine.briefs.citing import passages_of
from graphengine.briefs.draft import Claim, parse
from graphengine.briefs.merging import merged
from graphengine.briefs.publishing import Listing, Site
from graphengine.briefs.support import complaints
from nodes.orchestration.handover import drafts_in, findings_in
from nodes.orchestration.planning import topic_of
from nodes.press.composer import RULES_NOTE
from nodes.press.listing import list_post

MAX_FIGURES = 12
VERDICTS = ("supported", "contradicted", "not found")
_BY_RULES = "Put together by rules"  # how the writer's opening begins
_FIGURE = re.compile(r"\d")
_LINE = re.compile(rf"^- ({'|'.join(VERDICTS)}): (.+)$", re.MULTILINE)
_LISTED = re.compile(r"^Title: (.+)\nDescription: (.+)\nTags: (.+)$")


def list_figures(needed: Mapping[str, str]) -> str:
    """List the facts with figures that a step needs, with their places.

    Raises:
        ValueError: There are none.
    """
    facts = merged(findings_in(needed.values())).all_facts()
    found = [f"- {fact.text} [{fact.file}:{fact.line}]" for fact in facts if _FIGURE.search(fact.text)]
    if not found:
        message = f"there are no figures among {', '.join(needed) or 'no results'}"
        raise ValueError(message)
    note = "Listed by rules, which compute nothing."
    return "\n".join([*dict.fromkeys(found[:MAX_FIGURES]), "", note])


def check_facts(needed: Mapping[str, str]) -> str:
    """Compare each claim of the text that a step needs with the passages that it cites.

    Raises:
        ValueError: It needs no text with claims, or no findings.
    """
    passages = passages_of(merged(findings_in(needed.values())))
    claims = claims_of(needed)
    if not claims or not passages:
        message = f"there is no text with findings to check among {', '.join(needed) or 'no results'}"
        raise ValueError(message)
    return "\n".join(_compared(claim, passages) for claim in claims)


def _compared(claim: Claim, passages: Mapping[str, list[str]]) -> str:
    cited = [text for place in claim.citations for text in passages.get(place, [])]
    places = "".join(f" [{place}]" for place in claim.citations)
    if not cited:
        return f"- not found: {claim.text}{places}"
    against = min((complaints(claim.text, text) for text in cited), key=len)
    if not against:
        return f"- supported: {claim.text}{places}"
    verdict = "not found" if against[0].kind == "words" else "contradicted"
    return f"- {verdict}: {claim.text}{places} ({'; '.join(one.text for one in against)})"


def list_for_search(job: str, needed: Mapping[str, str]) -> str:
    """Return the title, description and tags for the text that a step needs, from its own words.

    Raises:
        ValueError: It needs no text, or the text does not have enough for them.
    """
    drafts = drafts_in(needed.values())
    if not drafts:
        message = f"there is no text to list among {', '.join(needed) or 'no results'}"
        raise ValueError(message)
    terms = merged(findings_in(needed.values())).key_terms
    text = drafts[-1].replace(_BY_RULES, f"{RULES_NOTE} {_BY_RULES}", 1)  # no words of a description
    listing = list_post(topic_of(job), text, terms, Site())
    return f"Title: {listing.title}\nDescription: {listing.description}\nTags: {', '.join(listing.tags)}"


def claims_of(needed: Mapping[str, str]) -> list[Claim]:
    """Return the claims of the newest text that a step needs."""
    drafts = drafts_in(needed.values())
    return list(parse(drafts[-1]).claims()) if drafts else []


def check_listed(answer: str) -> None:
    """Check that an answer is a title, a description and tags within their limits.

    Raises:
        ValueError: It is not; the message says by how much.
    """
    found = _LISTED.fullmatch(answer.strip())
    if found is None:
        message = "answer with three lines: Title: …, Description: …, Tags: …, …"
        raise ValueError(message)
    tags = [tag.strip() for tag in found[3].split(",")]
    try:
        Listing(title=found[1], description=found[2], tags=tags)
    except ValidationError as error:
        raise ValueError("; ".join(f"{one['loc'][0]} {one['msg']}" for one in error.errors())) from error


def check_checked(answer: str, needed: Mapping[str, str]) -> None:
    """Check that an answer has a verdict for each claim of the text.

    Raises:
        ValueError: A verdict is missing.
    """
    verdicts, claims = len(_LINE.findall(answer)), len(claims_of(needed))
    if verdicts < max(1, claims):
        message = (
            f"the text has {claims} claims and the answer {verdicts} verdicts: give a line for each, "
            f"- VERDICT: the claim [file:line] (why), with VERDICT one of {', '.join(VERDICTS)}"
        )
        raise ValueError(message)
