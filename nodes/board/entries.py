"""What the specialists at the research board write for one another, and how findings of several rounds become one.

`Findings` grow and never shrink: what a later search adds is put beside what is there, and a search that finds nothing
new changes nothing, so that nobody at the board is woken for it.
"""

from collections.abc import Sequence
from itertools import zip_longest

from pydantic import BaseModel, ConfigDict, Field

from graphengine import Failure
from nodes.review.article import Fact, Findings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Doubt(_Frozen):
    """A sentence of the sources that limits or contradicts a fact.

    Args:
        fact: the text of the fact.
        against: what speaks against it, or says where it does not hold.
    """

    fact: str
    against: Fact


class Gap(_Frozen):
    """Something that is wanted and was not found.

    Args:
        about: what to look for, in a few words; for a source that nothing was taken from, its path.
        why: what is missing, in a sentence.
    """

    about: str = Field(min_length=1)
    why: str = ""


def add_findings(old: Findings, new: Findings) -> Findings:
    """Put new findings beside old ones; `old` itself where nothing in them is new.

    Args:
        old: what was found so far; its ranks stay, and what is new stands behind it.
        new: what was found now.
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
    """The findings with what speaks against them among their caveats, which a writer has to treat."""
    known = {fact.key for fact in findings.caveats}
    more = {doubt.against.key: doubt.against for doubt in doubts if doubt.against.key not in known}
    return findings.model_copy(update={"caveats": [*findings.caveats, *more.values()]})


def written(draft: str, errors: Sequence[Failure]) -> str:
    """The draft that a team of agents has written.

    Args:
        draft: what they wrote.
        errors: why agents gave up.

    Raises:
        ValueError: there is no draft; says why agents gave up.
    """
    if not draft.strip():
        reasons = "; ".join(f"{failure.path}: {failure.message}" for failure in errors)
        message = f"nothing was written: {reasons or 'nobody had anything to say'}"
        raise ValueError(message)
    return draft


def by_turns(lists: Sequence[Sequence[Fact]]) -> list[Fact]:
    """The facts of several lists by their place in them: all that are first, then all that are second, and so on."""
    return [fact for row in zip_longest(*lists) for fact in row if fact is not None]
