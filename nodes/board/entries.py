"""What the specialists at the research board write for one another, and how findings of several rounds are combined.

`Findings` grow and never shrink: results of a later search are added, and a search that finds nothing new changes
nothing, so that it wakes no specialist.
"""

from collections.abc import Sequence
from itertools import zip_longest

from pydantic import BaseModel, ConfigDict, Field

from graphengine import Failure, TextFile
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.endings import with_note


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Doubt(_Frozen):
    """A sentence of the sources that limits or contradicts a fact.

    Args:
        fact: The text of the fact.
        against: The sentence that contradicts it, or limits where it holds.
    """

    fact: str
    against: Fact


class Gap(_Frozen):
    """Something that was looked for and not found.

    Args:
        about: What to look for, in a few words; for an unused source, its path.
        why: What is missing, in a sentence.
    """

    about: str = Field(min_length=1)
    why: str = ""


def add_findings(old: Findings, new: Findings) -> Findings:
    """Add new findings to old ones; return `old` itself if nothing is new.

    Args:
        old: The findings so far; their ranks stay, and new facts are ranked after them.
        new: The new findings.
    """
    known = {fact.key for fact in old.all_facts()}
    fresh = [fact for fact in new.all_facts() if fact.key not in known]
    if not fresh and old != Findings():
        return old
    last = max((fact.rank for fact in old.all_facts()), default=0)
    ranked = {fact.key: fact.model_copy(update={"rank": last + at}) for at, fact in enumerate(fresh, start=1)}
    facts = {name: list(old.facts.get(name, [])) for name in dict.fromkeys([*old.key_areas, *new.key_areas])}
    for name in new.key_areas:
        facts[name] += [ranked[fact.key] for fact in new.facts.get(name, []) if fact.key in ranked]
    return Findings(
        key_areas=[name for name, found in facts.items() if found],
        key_terms=list(dict.fromkeys([*old.key_terms, *new.key_terms])),
        facts={name: found for name, found in facts.items() if found},
        caveats=[*old.caveats, *(ranked[fact.key] for fact in new.caveats if fact.key in ranked)],
        sources=list(dict.fromkeys([*old.sources, *new.sources])),
        notes=list(dict.fromkeys([*old.notes, *new.notes])),
    )


def with_doubts(findings: Findings, doubts: Sequence[Doubt]) -> Findings:
    """Return the findings with the doubts among their caveats, which a writer has to cover."""
    known = {fact.key for fact in findings.caveats}
    more = {doubt.against.key: doubt.against for doubt in doubts if doubt.against.key not in known}
    return findings.model_copy(update={"caveats": [*findings.caveats, *more.values()]})


def written(draft: str, errors: Sequence[Failure], sources: Sequence[TextFile]) -> str:
    """Return the draft that a team of agents has written, with a note of what was not read whole.

    Args:
        draft: The draft.
        errors: The failures of agents.
        sources: What they read.

    Raises:
        ValueError: There is no draft; the message has the failures.
    """
    if not draft.strip():
        reasons = "; ".join(f"{failure.path}: {failure.message}" for failure in errors)
        message = f"nothing was written: {reasons or 'no agent failed, and none wrote a draft'}"
        raise ValueError(message)
    return with_note(draft, sources)


def by_turns(lists: Sequence[Sequence[Fact]]) -> list[Fact]:
    """Return the facts of several lists in turns: the first of each, then the second of each, and so on."""
    return [fact for row in zip_longest(*lists) for fact in row if fact is not None]
