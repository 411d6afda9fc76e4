"""Words of any language, and how alike two of them are, by their letters alone."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from nodes.citing import WIDE

FORM: Final = 0.8  # how alike two forms of a word are, such as "write" and "writes"
PART: Final = 0.5  # and a word and one that it is part of, such as "page" and "homepage"
SHORTEST: Final = 4  # letters that forms of a word have in common
LONGEST_ENDING: Final = 5
FUNCTION_WORDS: Final = """
a about after all also am an and any are as at be because been before being both but by can cannot could did do does
done during each either else etc for from get give go had has have having he her here him his how i if in into is it its
just let lets like many may me might more most much must my neither no nor not of off on once one only or other our out
over own per please shall she should so some such than that the their them then there these they this those through to
too under until up upon us use very was we were what when where whether which while who whom whose why will with within
without would yes yet you your explain describe summarise summarize summary list tell say said show text file document
article page source sources
aber alle als am auch auf aus bei beim bin bis da dann das dass dem den denn der des die dies diese dieser doch du durch
ein eine einem einen einer er es für gibt haben hat hatte ich ihr im ist ja kann können man mehr mit muss nach nicht
noch nun nur ob oder ohne schon sehr sein sich sie sind über um und uns unter vom von vor wann war warum weil welche
welchen welchem welcher welches wenn wer werden wie wieso wir wird wo woher wurde wurden zu zum zur zwischen fasse
zusammen datei dokument artikel
al algo ante como con cual cuál cuáles cuando cuándo cuánto cuánta cuántos de del desde donde dónde dos e el ella en
entre era esta está este esto ha han hasta hay la las le les lo los más mi muy ni o para pero por porque que qué quien
quién se según ser si sin sobre son su sus también te tiene un una uno unos y ya resume texto archivo documento
au aux avec ce ces cette comment combien dans du elle elles est et été eux il ils je leur lui mais mes moi ne nous ou où
par pas plus pourquoi qu quand quel quelle quels qui sa sans ses sont sur ta tu une vos votre vous à
"""
_WORD: Final = re.compile(r"[^\W_]+(?:[.,:]\d+)*")


def words(text: str) -> list[str]:
    """Return the words of a text, without case and accents; pairs of characters in scripts without blanks."""
    if text.isascii():
        return _WORD.findall(text.lower())
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(each))
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFC", plain)):
        found += [word[at : at + 2] for at in range(max(1, len(word) - 1))] if WIDE.search(word) else [word]
    return found


FUNCTION: Final = frozenset(words(FUNCTION_WORDS))


def subject(text: str) -> list[str]:
    """Return the words of a text that say what it is about, once each."""
    return [word for word in dict.fromkeys(words(text)) if word not in FUNCTION and (len(word) > 1 or word.isdigit())]


@lru_cache(100_000)
def alike(one: str, other: str) -> float:
    """Return how far two words are forms of one: 1 if they are equal, 0 if they are unrelated."""
    if one == other:
        return 1.0
    short, long = sorted((one, other), key=len)
    if short[0].isdigit() or len(short) < SHORTEST - 1:
        return 0.0
    if len(short) < SHORTEST:
        return FORM if long in (f"{short}s", f"{short}e", f"{short}n") else 0.0
    same = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if same >= max(SHORTEST, 0.75 * len(short)) and len(long) - same <= LONGEST_ENDING:
        return FORM
    is_part = (len(short) > SHORTEST and long.endswith(short)) or (len(short) > SHORTEST + 1 and short[:-1] in long)
    return PART if is_part else 0.0
