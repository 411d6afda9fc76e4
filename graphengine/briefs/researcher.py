"""The researcher by rules alone: from a topic and source texts to findings.

It splits the sources into statements, weighs them by a PageRank that favours the topic, groups them into areas named by
the sources' headings, and keeps the best of each with file and line. It writes no words of its own.
"""

from collections.abc import Sequence

from graphengine.briefs.areas import name_areas
from graphengine.briefs.article import Findings
from graphengine.briefs.doubts import is_limit
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.passages import Statement
from graphengine.briefs.text.relation import on_task
from graphengine.briefs.text.survey import Survey, survey
from graphengine.briefs.text.terms import key_terms
from graphengine.briefs.text.words import mentions, stem_sequence, subject_words
from graphengine.media import TextFile

MAX_AREAS = 6  # a brief with more sections is no longer brief
FACTS_PER_AREA = 12  # more than a section can use, so that the writer has a choice
MAX_CAVEATS = 4  # the main ones; the sceptic looks for more


@in_language_of("sources")
def research(task: str, sources: Sequence[TextFile]) -> Findings:
    """Pick the sentences and terms that are important for a task.

    Args:
        task: The topic, in words; it biases the choice.
        sources: The texts to read.

    Returns:
        Areas, terms, facts and caveats; `notes` says what was left out and why. Unrelated sources give no facts.

    Raises:
        ValueError: There is no source, or none has a statement that can be quoted.
    """
    found, why = on_task(task, survey(task, sources))
    paths = [source.path for source in sources]
    if why:
        return Findings(sources=paths, notes=[*found.notes, why])
    return compose(task, found, paths)


def compose(task: str, found: Survey, paths: Sequence[str]) -> Findings:
    """Make findings from a survey: its most important areas, and the most important statements of each.

    Args:
        task: The topic; each of its words that a statement has appears in the findings.
        found: The statements to choose from.
        paths: The files that were read.
    """
    terms = key_terms([statement.text for statement in found.statements], found.weights)
    names = name_areas(found.statements, terms)
    facts = _pick(found.weights, names)
    _add_asked(facts, task, found.order, found.statements, names)
    findings = Findings(
        key_areas=sorted(facts, key=names.index),
        facts={name: [found.fact(at) for at in facts[name]] for name in sorted(facts, key=names.index)},
        caveats=[found.fact(at) for at in found.order if is_limit(found.statements[at].text)][:MAX_CAVEATS],
        sources=list(paths),
        notes=list(found.notes),
    )
    known = [stem_sequence(fact.text) for fact in findings.all_facts()]
    usable = [term for term in terms if any(mentions(text, term) for text in known)]
    return findings.model_copy(update={"key_terms": usable})


def _add_asked(
    facts: dict[str, list[int]],
    task: str,
    order: Sequence[int],
    statements: Sequence[Statement],
    names: Sequence[str],
) -> None:
    """Add the best statement for each word of the task that no picked fact has, so that no answer is lost."""
    texts = {at: stem_sequence(statements[at].text) for at in order}
    for word in subject_words(task):
        holders = [at for at in order if mentions(texts[at], word)]
        if holders and not any(at in members for at in holders for members in facts.values()):
            best = next((at for at in holders if names[at] in facts), holders[0])
            facts.setdefault(names[best], []).append(best)


def _pick(weights: Sequence[float], names: Sequence[str]) -> dict[str, list[int]]:
    """Return the most important areas, each with its most important statements."""
    members: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        members.setdefault(name, []).append(at)
    for name, found in members.items():
        members[name] = sorted(found, key=lambda at: (-round(weights[at], 9), at))[:FACTS_PER_AREA]
    strength = {name: sum(sorted((weights[at] for at in found), reverse=True)[:3]) for name, found in members.items()}
    best = sorted(members, key=lambda name: (-round(strength[name], 9), min(members[name])))[:MAX_AREAS]
    return {name: members[name] for name in best}
