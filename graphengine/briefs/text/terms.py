"""Key terms: the words and two-word phrases that characterise a collection of texts."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from graphengine.briefs.text.words import stem_sequence, words

MAX_TERMS = 24  # enough for a page of notes
PHRASE_COUNT = 3  # a less frequent pair of neighbours is chance
PHRASE_SHARE = 0.4  # and so is a pair that is seldom together although both words are frequent
PHRASE_BONUS = 1.5  # a phrase says more than a word of the same weight
MIN_LETTERS = 3  # shorter stems are usually variables and units
SHORT_TEXT = 8  # sentences; in shorter texts one occurrence makes a term
VERB_MALUS = 0.5  # "emitted", "including": forms of verbs name a subject less often than nouns do


def key_terms(sentences: Sequence[str], weights: Sequence[float]) -> list[str]:
    """Pick the terms that occur in many important sentences.

    Args:
        sentences: The sentences, in order.
        weights: The centrality of each sentence.

    Returns:
        At most MAX_TERMS terms as written in the texts, the most important first.
    """
    sequences = _meaningful(sentences)
    singles, phrases = _frequencies(sequences)
    least = 2 if len(sentences) >= SHORT_TEXT else 1
    weight: dict[tuple[str, ...], float] = {}
    for sequence, one_weight in zip(sequences, weights, strict=True):
        for single in dict.fromkeys(sequence):
            if single and singles[single] >= least:
                weight[single,] = weight.get((single,), 0.0) + one_weight
        for pair in dict.fromkeys(pairwise(sequence)):
            if pair in phrases:
                weight[pair] = weight.get(pair, 0.0) + one_weight * PHRASE_BONUS
    surfaces = _surfaces(sentences)
    for term in weight:
        if surfaces.get(term[-1], "").endswith(("ed", "ing")):
            weight[term] *= VERB_MALUS
    ordered = sorted(weight, key=lambda term: (-round(weight[term], 9), term))
    chosen: list[tuple[str, ...]] = []
    for term in ordered:
        if not _is_covered(term, chosen, singles, phrases):
            chosen.append(term)
    chosen = [term for term in chosen if len(term) > 1 or not _inside_phrase(term, chosen, singles, phrases)]
    return [" ".join(surfaces.get(part, part) for part in term) for term in chosen[:MAX_TERMS]]


def _meaningful(sentences: Sequence[str]) -> list[list[str]]:
    sequences = [stem_sequence(sentence) for sentence in sentences]
    return [[one if len(one) >= MIN_LETTERS or not one.isascii() else "" for one in sequence] for sequence in sequences]


def _frequencies(sequences: Sequence[Sequence[str]]) -> tuple[Counter[str], dict[tuple[str, str], int]]:
    singles = Counter(one for sequence in sequences for one in dict.fromkeys(sequence) if one)
    pairs = Counter(
        pair for sequence in sequences for pair in dict.fromkeys(pairwise(sequence)) if all(pair) and pair[0] != pair[1]
    )
    phrases = {
        pair: count
        for pair, count in pairs.items()
        if count >= PHRASE_COUNT and count >= PHRASE_SHARE * min(singles[pair[0]], singles[pair[1]])
    }
    return singles, phrases


def _is_covered(
    term: tuple[str, ...],
    chosen: Sequence[tuple[str, ...]],
    singles: Counter[str],
    phrases: dict[tuple[str, str], int],
) -> bool:
    """Return whether a phrase overlaps a chosen one, or a word hardly occurs outside of a chosen phrase."""
    if len(term) > 1:
        return any(len(other) > 1 and set(term) & set(other) for other in chosen)
    return _inside_phrase(term, chosen, singles, phrases)


def _inside_phrase(
    term: tuple[str, ...],
    chosen: Sequence[tuple[str, ...]],
    singles: Counter[str],
    phrases: dict[tuple[str, str], int],
) -> bool:
    return any(
        term[0] in other and phrases[other[0], other[1]] >= 0.6 * singles[term[0]] for other in chosen if len(other) > 1
    )


def _surfaces(sentences: Sequence[str]) -> dict[str, str]:
    """Return for each stem its most frequent spelling, ignoring capitals at the start of sentences."""
    counts: dict[str, Counter[str]] = {}
    for sentence in sentences:
        tokens = words(sentence)
        for at, (token, one) in enumerate(zip(tokens, _stems_by_word(tokens), strict=True)):
            written = token.lower() if at == 0 and not token.isupper() else token
            counts.setdefault(one, Counter())[written] += 1
    return {one: min(found, key=lambda form: (-found[form], len(form), form)) for one, found in counts.items()}


def _stems_by_word(tokens: Sequence[str]) -> list[str]:
    return ["".join(stem_sequence(token)[:1]) for token in tokens]
