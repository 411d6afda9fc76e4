"""Compare a claim with the passage that it cites: figures, names, negations, bounds, and words put in or left out.

The words are compared, nothing is understood: a remark names what a reader should look at, and is no proof. A literal
quotation gets none, and a paraphrase only those on figures and names.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

from nodes.citing import Passage, claims
from nodes.words import FORM, FUNCTION, alike, subject, words

QUOTED: Final = (
    0.65  # a claim with this share of its words in the order of the passage quotes it: all differences count
)
FEWEST: Final = 3  # words of a quotation
UNRELATED: Final = 0.1  # a claim with a smaller share of its words in the passage has little to do with it
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
no not never nobody none nor neither nothing without cannot nt unless except hardly kein keine keinen keinem keiner
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
_EXACT: Final = 1e-9
_UNIVERSAL: Final = ("all", "every", "always", "only", "alle", "immer", "siempre", "todos")
_NAME: Final = re.compile(r"(?<![.!?:…]\s)(?<!^)(?<=[\s(“\"'«])[A-ZÀ-Þ][\w-]*[^\W\d_]\w*")


def doubtful(draft: str, findings: Sequence[Passage]) -> list[str]:
    """Return the sentences of a brief that differ from what they cite, as far as their words show it, with remarks."""
    texts: dict[str, list[str]] = {}
    for finding in findings:
        texts.setdefault(finding.place, []).append(finding.text)
    found = []
    for claim in claims(draft):
        passages = [text for place in claim.places for text in texts.get(place, ())]
        if passages and claim.text.strip(" .") not in (passage.strip(" .") for passage in passages):
            where = f"“{claim.text}” [{', '.join(claim.places)}]"
            found += [f"{where}: {why}" for why in remarks(claim.text, " ".join(passages))]
    return found


def remarks(claim: str, passage: str) -> list[str]:
    """Return what a claim says and the passage that it cites does not, as far as their words show it."""
    said, known = _tokens(claim), _tokens(passage)
    pairs = SequenceMatcher(None, known, said, autojunk=False)
    quotes = len(said) >= FEWEST and sum(block.size for block in pairs.get_matching_blocks()) >= QUOTED * len(said)
    found = [
        f"the figure {figure} is not in the cited passage"
        for figure in filter(_is_figure, said)
        if figure not in known and (quotes or not _follows(figure, known))
    ]
    found += _names(claim, passage)
    found += _differences(pairs, known, said) if quotes else _denials(said, known)
    told = [word for word in said if word not in FUNCTION]
    if told and sum(any(alike(word, other) for other in set(known)) for word in told) < UNRELATED * len(told):
        found.append("it has little in common with the cited passage")
    return list(dict.fromkeys(found))


def _tokens(text: str) -> list[str]:
    """Return the words; numbers in one form: 1,364 and 1.364 as 1364, 3,1 as 3.1, twelve as 12; isn't as is and nt."""
    found = []
    for word in words(re.sub(r"(\w)n['\u2019]t\b", r"\1 nt", text)):
        if re.fullmatch(r"\d{1,3}([.,]\d{3})+", word):
            word = re.sub("[.,]", "", word)  # noqa: PLW2901 - the same number
        found.append(_VALUES.get(word, word.replace(",", ".") if re.fullmatch(r"\d+,\d+", word) else word))
    return found


def _is_figure(word: str) -> bool:
    return any(map(str.isdigit, word))


def _follows(figure: str, known: Sequence[str]) -> bool:
    """Return whether a figure is the sum, difference or product of two of a passage."""
    if not re.fullmatch(r"\d+(\.\d+)?", figure):
        return False
    numbers = [float(word) for word in known if re.fullmatch(r"\d+(\.\d+)?", word)][:12]
    pairs = ((a, b) for at, a in enumerate(numbers) for b in numbers[at + 1 :])
    return any(abs(float(figure) - made) < _EXACT for a, b in pairs for made in (a + b, abs(a - b), a * b))


def _names(claim: str, passage: str) -> Iterator[str]:
    """Yield remarks on names, unless the passage is in a language or style that writes more than these in capitals."""
    known = set(_tokens(passage))
    if len(_NAME.findall(passage)) <= 0.25 * len(_tokens(passage)):
        for name in _NAME.findall(claim):
            if not any(alike(part, word) >= FORM for part in _tokens(name) for word in known):
                yield f"the name {name} is not in the cited passage"


def _denials(said: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """Yield remarks on a claim in other words: denials near the words that it shares with the passage, and "all"."""
    denied = next((word for word in said if word in _NEGATIONS), "")
    places = [at for at, word in enumerate(known) if word in _NEGATIONS]
    if denied and not places:
        yield f"the cited passage does not deny, and the claim does: “{denied}”"
    for at in [] if denied else places:
        scope = subject(" ".join(known[at + 1 : at + 6]))[:3]
        shared = [word for word in scope if any(alike(word, other) for other in said)]
        if len(shared) > 1 or (shared and len(scope) == 1):
            yield f"the cited passage denies, and the claim does not: “{' '.join(known[at : at + 4])}”"
    yield from (f"“{word}” is not in the cited passage" for word in _UNIVERSAL if word in said and word not in known)


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
    if word in known or _is_figure(word) or (word in FUNCTION and word not in _BOUNDS):
        return False
    return not any(alike(word, other) >= FORM for other in there)
