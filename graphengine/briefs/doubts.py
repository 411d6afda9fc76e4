"""The sceptic by rules alone: what the sources say against their subject; and how doubts join the facts.

Limits and objections are statements like any other: word for word, with file and line. They are recognised by their
wording, so a doubt in plain affirmative words is not found.
"""

import re
from collections.abc import Sequence

from graphengine.briefs.article import Doubts, Fact, Findings
from graphengine.briefs.draft import CAVEATS_TITLE
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.relation import on_task
from graphengine.briefs.text.survey import survey
from graphengine.media import TextFile
from graphengine.state.failure import Failure

MAX_LIMITS = 4
MAX_OBJECTIONS = 3  # a brief has room for the most central ones only
MAX_CAVEATS = 8  # of findings, from both researchers

_LIMIT = re.compile(
    r"\b(?:must not|cannot|can't|can not|may not|should not|does not|do not|don't|never|unless|except|"
    r"only if|only when|not guarantee\w*|beware|caution|warning|limit(?:s|ation|ations)|drawback|pitfall|deprecated|"
    r"avoid|risk\w*|fails?|unsafe|wrong|mistake\w*|misconception\w*|contrary to|no longer)\b",
    re.IGNORECASE,
)
_OBJECTION = re.compile(
    r"\b(?:however|although|though|whereas|nevertheless|on the other hand|(?:in|by) contrast|rather than|instead of|"
    r"at the (?:cost|price|expense) of|trade-?offs?|slower|costly|expensive|overhead|disadvantages?|downsides?)\b",
    re.IGNORECASE,
)


def is_limit(text: str) -> bool:
    """Return whether a statement limits, warns or names an exception."""
    return _LIMIT.search(text) is not None


def is_objection(text: str) -> bool:
    """Return whether a statement contrasts two things, or names a cost."""
    return _OBJECTION.search(text) is not None


@in_language_of("sources")
def doubt(task: str, sources: Sequence[TextFile]) -> Doubts:
    """Look for what limits a subject and what speaks against it.

    Args:
        task: The subject, in words.
        sources: The texts to read.

    Returns:
        The most central of both; a statement that is both counts as a limit. Unrelated sources give none.

    Raises:
        ValueError: There is no source, or none has a statement that can be quoted.
    """
    found, why = on_task(task, survey(task, sources))
    if why:
        return Doubts(notes=[why])
    texts = {at: found.statements[at].text for at in found.order}
    limits = [at for at, text in texts.items() if is_limit(text)]
    objections = [at for at, text in texts.items() if is_objection(text) and not is_limit(text)]
    return Doubts(
        limits=[found.fact(at) for at in limits[:MAX_LIMITS]],
        objections=[found.fact(at) for at in objections[:MAX_OBJECTIONS]],
    )


def merge(findings: Findings, doubts: Doubts, errors: Sequence[Failure]) -> Findings:
    """Combine the results of two researchers; if one of them failed, the other's are used.

    Args:
        findings: The facts; empty if their researcher failed.
        doubts: Limits and objections; empty if their researcher failed.
        errors: The failures so far; listed in the notes, so that a reader knows what is missing.

    Returns:
        The findings with the doubts among their caveats. Without facts the doubts become an area of their own, so that
        there is something to write about.
    """
    lacking = [f"{error.path} gave no usable result ({error.kind})" for error in errors]
    notes = list(dict.fromkeys([*findings.notes, *doubts.notes, *lacking]))
    caveats = _once([*findings.caveats, *doubts.all_facts()])[:MAX_CAVEATS]
    if findings.key_areas or not caveats:
        return findings.model_copy(update={"caveats": caveats, "notes": notes})
    files = list(dict.fromkeys([*findings.sources, *(fact.file for fact in caveats)]))
    return Findings(key_areas=[CAVEATS_TITLE], facts={CAVEATS_TITLE: caveats}, sources=files, notes=notes)


def _once(facts: Sequence[Fact]) -> list[Fact]:
    """Return each sentence once, the most central first; two researchers can rank it differently."""
    known: dict[tuple[str, int, str], Fact] = {}
    for fact in facts:
        known.setdefault(fact.key, fact)
    return sorted(known.values(), key=lambda fact: fact.rank)
