"""Compare a sentence that quotes a passage with it: every word that was put in, moved, or left out is named.

The words are compared, nothing is understood: a remark names what a reader should look at, and is no proof. A literal
quotation gets none. A paraphrase gets none either: rules judge it no better than chance.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

from nodes.citing import Passage, claims
from nodes.words import FORM, FUNCTION, alike, words

QUOTED: Final = 0.65  # a sentence with this share of its words in the order of the passage quotes it
FEWEST: Final = 3  # words of a quotation
_NUMBERS: Final = """
two zwei dos deux, three drei tres trois, four vier cuatro quatre, five fünf cinco cinq, six sechs seis,
seven sieben siete sept, eight acht ocho huit, nine neun nueve neuf, ten zehn diez dix, eleven elf onze,
twelve zwölf doce douze
"""
_VALUES: Final = {
    **{word: str(value) for value, each in enumerate(_NUMBERS.split(","), start=2) for word in words(each)},
    "half": "0.5",
    "hundred": "100",
}
_NEGATIONS: Final = frozenset(
    words("""
no not never nobody none nor neither nothing without cannot unless except hardly kein keine keinen keinem keiner
keines nicht nie niemals nichts ohne weder außer sin nunca ningún ninguna nada jamás tampoco salvo ne pas jamais aucun
aucune sans rien non senza
""")
)
_BOUNDS: Final = frozenset(
    words("""
only least most up more less than under over above below within before after until maximum minimum must may should all
every always each both höchstens mindestens bis unter über vor nach immer alle nur máximo mínimo menos más hasta solo
todos todas siempre moins plus
""")
)


def doubtful(draft: str, findings: Sequence[Passage]) -> list[str]:
    """Return the sentences of a brief that differ from what they cite, as far as their words show it, with remarks."""
    texts: dict[str, list[str]] = {}
    for finding in findings:
        texts.setdefault(finding.place, []).append(finding.text)
    found: list[str] = []
    for claim in claims(draft, findings):
        passages = [text for place in claim.places for text in texts.get(place, ())]
        if passages and claim.text.strip(" .") not in (passage.strip(" .") for passage in passages):
            where = f"“{claim.text}” [{', '.join(claim.places)}]"
            found += [f"{where}: {why}" for why in remarks(claim.text, " ".join(passages))]
    return found


def remarks(claim: str, passage: str) -> list[str]:
    """Return how a sentence that quotes a passage differs from it."""
    said, known = _tokens(claim), _tokens(passage)
    pairs = SequenceMatcher(None, known, said, autojunk=False)
    same = sum(block.size for block in pairs.get_matching_blocks())
    if len(said) < FEWEST or same < QUOTED * len(said):
        return []
    return list(dict.fromkeys(_differences(pairs, known, said)))


def _tokens(text: str) -> list[str]:
    """Return the words; numbers in one form: 1,364 and 1.364 as 1364, 3,1 as 3.1, twelve as 12; isn't as is and not."""
    found: list[str] = []
    for word in words(re.sub(r"(\w)n['\u2019]t\b", r"\1 not", text)):
        if re.fullmatch(r"\d{1,3}([.,]\d{3})+", word):
            word = re.sub("[.,]", "", word)  # noqa: PLW2901 - the same number
        found.append(_VALUES.get(word, word.replace(",", ".") if re.fullmatch(r"\d+,\d+", word) else word))
    return found


def _differences(pairs: SequenceMatcher[str], known: Sequence[str], said: Sequence[str]) -> Iterator[str]:
    """Yield what a quotation puts in, moves or leaves out."""
    for _, a, b, c, d in (part for part in pairs.get_opcodes() if part[0] != "equal"):
        there, here = known[a:b], said[c:d]
        for word in here:
            if word in _NEGATIONS and here.count(word) > there.count(word):
                yield f"“{word}” was put in"
            elif word in known and word not in there and word not in FUNCTION:
                yield f"“{word}” stands at another place in the cited passage"
            elif _is_new(word, known, there):
                yield f"“{word}” is not in the cited passage" + (f", there: “{' '.join(there)}”" if there else "")
        inside = c > 0 and d < len(said)  # what is left out at an end only shortens
        for word in there:
            counts = (word in _NEGATIONS and (inside or d > c)) or (word in _BOUNDS and inside)
            if counts and word not in here:
                yield f"“{word}” was left out"


def _is_new(word: str, known: Sequence[str], there: Sequence[str]) -> bool:
    if word in known or (word in FUNCTION and word not in _BOUNDS):
        return False
    return not any(alike(word, other) >= FORM for other in there)
