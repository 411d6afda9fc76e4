"""Reading the premise of an episode: its events and people, the past, and what the season needs from it.

It goes by the form of the words alone, so every result is a guess for people to check: a person is a name, or one of
`person_words.txt` after an article or a possessive; the turn of a story is a sentence with one of `turn_words.txt`.
English is read best. In other languages sentences, names, numbers and "6 of 8" are still found; if every noun has a
capital, as in German, nouns count as names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from nodes.text.ranking import rank
from nodes.text.sentences import split
from nodes.text.words import STOP_WORDS, count_words, is_stop_word, stem, stems, word_list, words

MAX_EVENTS = 12  # more than an episode can show
MAX_PEOPLE = 6
EVENT_WORDS = 40  # longer sentences are cut
MAX_CHARACTERS = 20_000  # the rest is ignored
NOTHING = "nothing that could be read"
TITLE_WORDS = 3
TITLE_CHARACTERS = 24  # of a word: a sentence without blanks is no title
LIKE_NAMES = 4  # letters; shorter names that differ in one letter are different names

_NUMBER_WORDS = "an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|forty|fifty|few|some|many"
_LABEL = re.compile(r"^\s*(?:premise|logline|story|idea)\s*[:\u2014-]\s*", re.IGNORECASE)
_EPISODE = re.compile(
    r"\b(?:season\s*(?P<season>\d{1,2}),?\s*|s(?P<s>\d{1,2})\s?(?=e))?"
    r"(?:episode|ep\.?|e|folge|\u00e9pisode|episodio|\u7b2c)\s?(?P<number>\d{1,3})"
    r"(?:\s*(?:of|von|de|sur|/)\s*(?P<of>\d{1,3}))?(?:\b|[\u8a71\u96c6\u56de])[:.\u3002]?",
    re.IGNORECASE,
)
_DUTY = re.compile(
    r"^(?:(?:it|this|the (?:episode|story|room)|we)\s+)?(?:must|has to|have to|needs? to|should|ought to)\b\s*",
    re.IGNORECASE,
)
_PAST = re.compile(
    rf"\b(?:(?:(?:\d+|{_NUMBER_WORDS})[ -])?(?:years?|months?|weeks?|seasons?|decades?|episodes?)"
    r" (?:ago|earlier|before)"
    r"|long ago|last (?:season|episode|year|month|summer|winter|spring|autumn)|back (?:in|when)\b[^,.;]*"
    r"|(?:in|since|of) (?:1[5-9]|20)\d\d|used to)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r";\s+|\s+\u2014\s+|,?\s+(?:but|and then|while|until|only to)\s+|,\s+(?:and|so|then)\s+")
_NO_PROSE = re.compile(r"^[ \t]*(?:#{1,6} |\||---).*$", re.MULTILINE)  # headings, tables and rules of Markdown
_COUNTED = re.compile(r"\b([\w-]+)\s+(years?|months?|weeks?|days?) (ago|old|earlier|later)\b", re.IGNORECASE)
_DEAD = re.compile(r"\b(?:died|dies|dead|was killed|was murdered|is buried)\b", re.IGNORECASE)
_PERSONS = word_list("person_words.txt")
_PERSON = re.compile(
    rf"\b(?:our|my|his|her|their|its|the|an?|[^\W\d_]+'s)\s+(?:(?!{'|'.join(sorted(_PERSONS))})[a-z][\w-]*\s+){{0,2}}?"
    rf"((?:{'|'.join(sorted(_PERSONS, key=len, reverse=True))})s?)\b",
    re.IGNORECASE,
)
_TURNS = frozenset(stem(word) for word in word_list("turn_words.txt"))
_CALENDAR = word_list("calendar_words.txt")


@dataclass(frozen=True, slots=True)
class Premise:
    """The content of a premise.

    Args:
        events: What happens, in the order of the premise; never empty.
        central: The event that everything turns on.
        people: The people, in order of appearance.
        duties: What the episode has to do for the season.
        past: What happened before the episode, in the words of the premise.
        number, of: Its place in the season, if the premise has it.
        doubts: Possible contradictions in the premise.
    """

    events: tuple[str, ...]
    central: str
    people: tuple[str, ...]
    duties: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    number: int | None = None
    of: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def lead(self) -> str:
        """The main person, or "the lead" if no person is named."""
        return self.people[0] if self.people else "the lead"

    @property
    def other(self) -> str:
        """The main person's opponent."""
        return self.people[1] if len(self.people) > 1 else "the other side"

    @property
    def episode(self) -> str:
        """Its place in the season, in words."""
        if self.number is None:
            return ""
        return f"Episode {self.number}" + (f" of {self.of}" if self.of is not None else "")

    @property
    def title(self) -> str:
        """Up to three adjacent words of the central event that name neither a person nor a time."""
        return _title(self.central, self.people)


@lru_cache(maxsize=64)
def read_premise(text: str) -> Premise:
    """Read a premise.

    Args:
        text: Running text of any length; a label such as "Premise:" before it is skipped.
    """
    text = _LABEL.sub("", text[:MAX_CHARACTERS].replace("\u2019", "'"))
    found = _EPISODE.search(text)
    number, of = (int(found["number"]), int(found["of"]) if found["of"] else None) if found else (None, None)
    sentences = _sentences(_EPISODE.sub("", text, count=1) if found else text)
    duties = tuple(sentence for sentence in sentences if _DUTY.match(sentence))
    story = [sentence for sentence in sentences if sentence not in duties] or sentences or [" ".join(text.split())]
    events = _events(story) or [NOTHING]
    people = _people(story)
    return Premise(
        events=tuple(events),
        central=next((event for event in events if _TURNS & set(stems(event))), events[0]),
        people=tuple(people),
        duties=tuple(_DUTY.sub("", duty) for duty in duties),
        past=tuple(dict.fromkeys(match[0] for sentence in story for match in _PAST.finditer(sentence))),
        number=number,
        of=of,
        doubts=tuple(_doubts(story, people, number, of)),
    )


def _sentences(text: str) -> list[str]:
    """Return the sentences without their final punctuation, each once; a list item counts as one too."""
    text = _NO_PROSE.sub("", text) if _NO_PROSE.sub("", text).strip() else text
    paragraphs = re.split(r"\n\s*\n|\n\s*(?:[-*\u2022]|\d+[.)])\s+", text)
    found = [sentence for paragraph in paragraphs for _, sentence in split(" ".join(paragraph.split()))]
    bare = [sentence.strip(" .!\u3002-*#\u2022") for sentence in found]
    return list(dict.fromkeys(sentence for sentence in bare if any(map(str.isalnum, sentence))))


def _events(sentences: Sequence[str]) -> list[str]:
    """Return the clauses if there are few enough, or the most central sentences."""
    clauses = [clause.strip(" ,") for sentence in sentences for clause in _clauses(sentence)]
    events = clauses if len(clauses) <= MAX_EVENTS else list(sentences)
    if len(events) > MAX_EVENTS:
        each = [stems(event) for event in events]
        weights = rank(each, [1.0 + len(_TURNS & set(one)) for one in each])
        best = sorted(range(len(events)), key=lambda at: (at != 0, -round(weights[at], 9), at))[:MAX_EVENTS]
        events = [events[at] for at in sorted(best)]
    return [_short(event) for event in events]


def _clauses(sentence: str) -> list[str]:
    """Split a sentence into clauses, unless one of them would be too short."""
    parts = [part for part in _CLAUSE.split(sentence) if part]
    return parts if all(count_words(part) > TITLE_WORDS for part in parts) else [sentence]


def _short(event: str) -> str:
    if count_words(event) > EVENT_WORDS:
        event = " ".join(event.split()[:EVENT_WORDS])
    return event if len(event) <= EVENT_WORDS * 10 else event[: EVENT_WORDS * 10].rstrip() + "\u2026"


def _people(sentences: Sequence[str]) -> list[str]:
    """Return names, and persons by their role, in order of appearance."""
    found: dict[str, str] = {}
    for sentence in sentences:
        here: list[tuple[int, str]] = list(_names(sentence))
        named = {place for place, _ in here}
        here += [
            (match.start(), f"the {match[1].lower()}")
            for match in _PERSON.finditer(sentence)
            if match.end() + 1 not in named  # "her brother Tom" is Tom
        ]
        for _, person in sorted(here):
            found.setdefault(person.lower(), person)
    return [person for key, person in found.items() if not _is_part(key, found)][:MAX_PEOPLE]


def _is_part(name: str, names: dict[str, str]) -> bool:
    """Return whether a name is part of a longer one: "Quist" and "Nora Quist"."""
    return any(other != name and f" {name} " in f" {other} " for other in names)


def _names(sentence: str) -> list[tuple[int, str]]:
    """Return runs of capitalised words with their positions; a sentence's first word only if it can be a name."""
    found: list[tuple[int, str]] = []
    run: list[str] = []
    start = 0
    tokens = [(match.start(), match[0]) for match in re.finditer(r"[^\W\d_][\w'-]*|\S", sentence)]
    for at, (place, token) in enumerate([*tokens, (len(sentence), "")]):
        plain = token.removesuffix("'s")
        is_name = plain[:1].isupper() and plain.lower() not in STOP_WORDS | _CALENDAR | _PERSONS and len(plain) > 1
        if is_name and (at > 0 or token != plain or (len(tokens) > 1 and _opens_as_name(tokens[1][1]))):
            start = start if run else place
            run.append(plain)
        if run and (not is_name or token.endswith("'s")):
            found.append((start, " ".join(run)))
            run = []
    return found


def _opens_as_name(following: str) -> bool:
    """Return whether a sentence's first word can be a name, judging by what follows it."""
    return following[:1].isupper() or following in ",'" or following.lower().endswith("s") or is_stop_word(following)


def _title(central: str, people: Sequence[str]) -> str:
    persons = {part for person in people for part in person.lower().split()} | _PERSONS
    runs: list[list[str]] = [[]]
    for word in words(_PAST.sub(" and ", central)):
        plain = word.lower().removesuffix("'s")
        if is_stop_word(word) or plain in persons or plain in _CALENDAR:
            runs.append([])
        else:
            runs[-1].append(word)
    best = max(reversed(runs), key=lambda run: min(len(run), TITLE_WORDS))
    chosen = best[-TITLE_WORDS:] or words(central)[:TITLE_WORDS] or ["Untitled"]
    return " ".join(word[:1].upper() + word[1:TITLE_CHARACTERS] for word in chosen)


def _doubts(sentences: Sequence[str], people: Sequence[str], number: int | None, of: int | None) -> list[str]:
    doubts: list[str] = []
    if number is not None and of is not None and number > of:
        doubts.append(f"episode {number} of a season of {of}")
    spans: dict[str, dict[str, None]] = {}
    for match in _COUNTED.finditer(" ".join(sentences).lower()):
        spans.setdefault(f"{match[2].rstrip('s')} {match[3]}", {})[match[0]] = None
    doubts += [
        f"several times are given, for one thing or for several: {', '.join(times)}"
        for times in spans.values()
        if len(times) > 1
    ]
    doubts += [
        f"{one} and {other}: two people, or one name in two spellings"
        for one, other in combinations(people, 2)
        if min(len(one), len(other)) >= LIKE_NAMES and _one_letter_apart(one.lower(), other.lower())
    ]
    return doubts + [f"{person} is dead, and does something later" for person in people if _revenant(person, sentences)]


def _revenant(person: str, sentences: Sequence[str]) -> bool:
    """Return whether a sentence begins with a person whose death an earlier sentence reports."""
    death = next((at for at, one in enumerate(sentences) if person in one and _DEAD.search(one)), len(sentences))
    return any(one.startswith(f"{person} ") for one in sentences[death + 1 :])


def _one_letter_apart(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    shorter, longer = sorted((one, other), key=len)
    at = next((at for at, letter in enumerate(shorter) if letter != longer[at]), len(shorter))
    return shorter[at:] == longer[at + 1 :] or (len(one) == len(other) and shorter[at + 1 :] == longer[at + 1 :])
