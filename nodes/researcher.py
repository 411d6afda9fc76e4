"""The researcher: from a topic and source texts to findings, by rules alone.

It reads the sources into statements, weighs them by a PageRank that leans towards the topic, gathers them
into areas named by the sources' headings, and keeps the best of each with file and line. It never writes a
word of its own.
"""

import re
from collections.abc import Mapping, Sequence

from graphengine import TextFile
from nodes.areas import name_areas
from nodes.article import Fact, Findings
from nodes.passages import Statement, read
from nodes.ranking import rank
from nodes.terms import key_terms
from nodes.words import mentions, stem_sequence, stems, subject_words

MAX_AREAS = 6  # a brief with more sections is no longer brief
FACTS_PER_AREA = 8  # more than a section can use, so that the writer has a choice
MAX_CAVEATS = 4
TOPIC_PULL = 4.0  # a sentence with all words of the topic starts with five times the weight of one with none
HEADING_SHARE = 0.5  # a word of the topic counts this much where only the headings above have it
LEAD_PULL = 1.0  # the first sentence of a section mostly says what the section is about
MAX_STATEMENTS = 400  # ranking compares all pairs; this many take a fraction of a second
MAX_CHARACTERS = 400_000  # of one file; about a book

_CAVEAT = re.compile(
    r"\b(?:must not|cannot|can't|can not|may not|should not|does not|do not|don't|never|unless|except|"
    r"only if|only when|not guarantee\w*|beware|caution|warning|limit(?:s|ation|ations)|drawback|pitfall|deprecated|"
    r"avoid|risk\w*|fails?|unsafe|wrong|mistake\w*|misconception\w*|contrary to|no longer)\b",
    re.IGNORECASE,
)


def research(task: str, sources: Sequence[TextFile]) -> Findings:
    """Pick the sentences and terms that matter for a task.

    Args:
        task: the topic, in words; it biases what is picked.
        sources: the texts to read.

    Returns:
        Areas, terms, facts and caveats; `notes` says what was left out and why.

    Raises:
        ValueError: there is no source, or none holds a statement that can be quoted.
    """
    if not sources:
        message = "no sources were given: pass at least one Markdown or text file"
        raise ValueError(message)
    statements, notes = _read_all(sources)
    if not statements:
        paths = ", ".join(source.path for source in sources)
        message = f"no sentence that can be quoted was found in {paths}: pass files with running text"
        raise ValueError(message)
    bags = [stems(statement.text) for statement in statements]
    weights = rank(bags, _pulls(statements, bags, stems(" ".join(subject_words(task)))))
    terms = key_terms([statement.text for statement in statements], weights)
    names = name_areas(statements, terms)
    facts = _pick(weights, names)
    order = sorted(range(len(statements)), key=lambda at: (-round(weights[at], 9), at))
    _add_asked(facts, task, order, statements, names)
    ranks = {at: place for place, at in enumerate(order, start=1)}
    caveats = [at for at in order if limits(statements[at].text)][:MAX_CAVEATS]
    findings = Findings(
        key_areas=sorted(facts, key=names.index),
        facts={name: [_fact(statements, at, ranks) for at in facts[name]] for name in sorted(facts, key=names.index)},
        caveats=[_fact(statements, at, ranks) for at in caveats],
        sources=[source.path for source in sources],
        notes=notes,
    )
    known = [stem_sequence(fact.text) for fact in findings.all_facts()]
    usable = [term for term in terms if any(mentions(text, term) for text in known)]
    return findings.model_copy(update={"key_terms": usable})


def limits(text: str) -> bool:
    """Return whether a sentence limits or warns, by a word as "cannot", "unless", "risk"."""
    return _CAVEAT.search(text) is not None


def _read_all(sources: Sequence[TextFile]) -> tuple[list[Statement], list[str]]:
    """Read all sources, drop what is said twice word for word, and cut what is too long."""
    notes: list[str] = []
    seen: set[str] = set()
    by_file: list[list[Statement]] = []
    for source in sources:
        text = source.text
        if len(text) > MAX_CHARACTERS:
            notes.append(f"{source.path}: only the first {MAX_CHARACTERS:,} of {len(text):,} characters were read")
            text = text[:MAX_CHARACTERS]
        fresh: list[Statement] = []
        for statement in read(TextFile(path=source.path, text=text)):
            key = " ".join(stem_sequence(statement.text)) or statement.text
            if key not in seen:
                seen.add(key)
                fresh.append(statement)
        if not fresh:
            notes.append(f"{source.path}: no sentence that can be quoted was found")
        by_file.append(fresh)
    return _cap(by_file, notes), notes


def _cap(by_file: Sequence[Sequence[Statement]], notes: list[str]) -> list[Statement]:
    """Keep the first statements of every section of every file, as many rounds as fit."""
    everything = [statement for fresh in by_file for statement in fresh]
    if len(everything) <= MAX_STATEMENTS:
        return everything
    rounds: dict[tuple[str, tuple[str, ...]], int] = {}
    places: list[tuple[int, int]] = []
    for at, statement in enumerate(everything):
        section = (statement.file, statement.headings)
        rounds[section] = rounds.get(section, 0) + 1
        places.append((rounds[section], at))
    kept = sorted(at for _, at in sorted(places)[:MAX_STATEMENTS])
    found = f"the sources hold {len(everything):,} statements"
    notes.append(f"{found}; {MAX_STATEMENTS} were weighed, the first of every section")
    return [everything[at] for at in kept]


def _pulls(statements: Sequence[Statement], bags: Sequence[Sequence[str]], topic: Sequence[str]) -> list[float]:
    """Say how much each statement deserves attention: for words of the topic, and for leading its section."""
    pulls: list[float] = []
    section: tuple[str, tuple[str, ...]] | None = None
    for statement, bag in zip(statements, bags, strict=True):
        headings = stems(" ".join(statement.headings))
        near = sum(1.0 if one in bag else HEADING_SHARE * (one in headings) for one in topic) / max(1, len(topic))
        here = (statement.file, statement.headings)
        pulls.append(1.0 + TOPIC_PULL * near + LEAD_PULL * (here != section))
        section = here
    return pulls


def _add_asked(
    facts: dict[str, list[int]],
    task: str,
    order: Sequence[int],
    statements: Sequence[Statement],
    names: Sequence[str],
) -> None:
    """Add the best statement on each word of the task that no picked fact has, lest the answer be lost."""
    texts = {at: stem_sequence(statements[at].text) for at in order}
    for word in subject_words(task):
        holders = [at for at in order if mentions(texts[at], word)]
        if holders and not any(at in members for at in holders for members in facts.values()):
            best = next((at for at in holders if names[at] in facts), holders[0])
            facts.setdefault(names[best], []).append(best)


def _pick(weights: Sequence[float], names: Sequence[str]) -> dict[str, list[int]]:
    """Return the weightiest areas, each with its weightiest statements."""
    members: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        members.setdefault(name, []).append(at)
    for name, found in members.items():
        members[name] = sorted(found, key=lambda at: (-round(weights[at], 9), at))[:FACTS_PER_AREA]
    strength = {name: sum(sorted((weights[at] for at in found), reverse=True)[:3]) for name, found in members.items()}
    best = sorted(members, key=lambda name: (-round(strength[name], 9), min(members[name])))[:MAX_AREAS]
    return {name: members[name] for name in best}


def _fact(statements: Sequence[Statement], at: int, ranks: Mapping[int, int]) -> Fact:
    found = statements[at]
    return Fact(text=found.text, file=found.file, line=found.line, rank=ranks[at], position=at)
