"""The searching researcher by rules: it searches sources for a topic instead of reading them whole.

It searches for the topic, for its words, and for the terms of the first results.
"""

from collections.abc import Sequence

from graphengine.briefs.article import Findings
from graphengine.briefs.researcher import compose
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.library import MAX_HITS, Library
from graphengine.briefs.text.relation import unrelated
from graphengine.briefs.text.terms import key_terms
from graphengine.briefs.text.words import subject_words
from graphengine.media import TextFile

MAX_SEARCHES = 16
NEXT_TERMS = 8  # of the first results, to search for next


@in_language_of("sources")
def find(task: str, sources: Sequence[TextFile]) -> Findings:
    """Search the sources for a topic, by rules.

    Args:
        task: The topic, in words.
        sources: The texts to search.

    Returns:
        Findings from the search results alone; empty, with a note, if there are none.

    Raises:
        ValueError: There is no source, or none has a statement that can be quoted.
    """
    library = Library(task, sources)
    if why := unrelated(task, library.survey):
        return Findings(sources=[source.path for source in sources], notes=[why])
    words = subject_words(task)
    first = _found(library, [" ".join(words), *words][:MAX_SEARCHES])
    texts = [library.survey.statements[at].text for at in first]
    terms = key_terms(texts, [library.survey.weights[at] for at in first])[:NEXT_TERMS]
    places = [*first, *_found(library, terms[: MAX_SEARCHES - len(words) - 1])] if first else []
    paths = [source.path for source in sources]
    if not places:
        return Findings(sources=paths, notes=["no sentence of the sources has a word of the topic"])
    found = library.survey.only(set(places))
    findings = compose(task, found, paths)
    all_of_them = len(library.survey.statements)
    note = f"searches found {len(found.statements)} of the {all_of_them} sentences of the sources; no other was read"
    return findings.model_copy(update={"notes": [*findings.notes, note]})


def _found(library: Library, queries: Sequence[str]) -> list[int]:
    return list(dict.fromkeys(at for query in queries for at in library.places(query)[:MAX_HITS]))
