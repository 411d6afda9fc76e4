"""Relation: whether sources are about a task at all.

A word of the task is evidence if it is in a heading or a file name, in two statements, or in one statement with another
word of the task. One shared word, as "holes" in a text on walls, is none; a name of an English task is. Sources with
evidence for less than half of the words are unrelated, unless most of several words are in some statement each.

If a task names a version, as 3.4.0, sections headed by another one do not answer it.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath

from graphengine.briefs.text.language import ENGLISH, detect
from graphengine.briefs.text.survey import Survey
from graphengine.briefs.text.wording import specific_words
from graphengine.briefs.text.words import mentions, stem_sequence, subject_words

RELATED_SHARE = 0.5  # of the words that name the subject of a task
UNRELATED = "The sources seem unrelated to the task"
SEVERAL, MOST = 3, 0.75  # words that are in one statement each are evidence if there are so many of them
_VERSION = re.compile(r"(?<![\w.,-])v?(\d{1,4}(?:\.\d{1,5})+)(?![\w-]|[.,]\d)")
_RANGE = re.compile(r"\b(?:since|from|after|before|until|up to|than|between|seit|ab|bis|von|nach|vor)\b", re.IGNORECASE)
_RELEASED = re.compile(rf"\b(?:version|release|(?:changed?|changes|new) in)\s+(?={_VERSION.pattern})", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]+")


def on_task(task: str, found: Survey) -> tuple[Survey, str]:
    """Return the statements that can answer a task, and why there are none; "" if there are some.

    Args:
        task: The task.
        found: The statements of the sources.
    """
    asked = set(_VERSION.findall(task))
    headed = [{one for each in statement.headings for one in _VERSION.findall(each)} for statement in found.statements]
    is_headed = any(_is_on(asked, each, "") for each in headed if each)
    if _RANGE.search(task) or not (is_headed or _RELEASED.search(task)):  # "since 3.3"; "Python 3.9" of a changelog
        asked = set()
    kept = [at for at, versions in enumerate(headed) if _is_on(asked, versions, found.statements[at].text)]
    if asked and not kept:
        others = ", ".join(sorted(set().union(*headed)))
        return found.only(()), f"{UNRELATED}: they have nothing on {', '.join(sorted(asked))}, only on {others}."
    found = found.only(kept)
    answered = bool(asked) and is_headed and not specific_words(task)  # "What is new in 4.2.0?"
    return found, "" if answered else unrelated(task, found)


def _is_on(asked: set[str], headed: set[str], text: str) -> bool:
    """Return whether a statement is on one of the versions asked for: 4.2.1 is on 4.2."""
    if not asked or not headed:
        return True
    said = headed | set(_VERSION.findall(text))
    return any(f"{one}.".startswith(f"{version}.") for one in said for version in asked)


def unrelated(task: str, found: Survey) -> str:
    """Return why sources are not about a task, in a sentence; "" if they are.

    Args:
        task: The task; one without a word that names a subject fits all sources.
        found: The statements of the sources.
    """
    asked = specific_words(task) or subject_words(task)
    texts = [stem_sequence(one.text) for one in found.statements]
    paths = {PurePath(one.file) for one in found.statements}
    named = {part for one in found.statements for part in one.headings}
    named |= {part for path in paths for part in (path.name, _NO_WORD.sub(" ", path.stem))}
    above = [stem_sequence(each) for each in sorted(named)]
    holders = {word: [at for at, text in enumerate(texts) if mentions(text, word)] for word in asked}
    named_words = _names(task, asked)
    lacking = [
        word
        for word in asked
        if not any(mentions(each, word) for each in above)
        and not _counts(word, holders)
        and not (word in named_words and holders[word])
    ]
    found_at_all = sum(bool(at) for at in holders.values())
    if len(asked) - len(lacking) >= RELATED_SHARE * len(asked) or found_at_all >= max(SEVERAL, MOST * len(asked)):
        return ""
    words = ", ".join(f"\u201c{word}\u201d" for word in lacking)
    return f"{UNRELATED}: they hold little or nothing on {words}. They can also be in another language."


def _names(task: str, asked: Sequence[str]) -> set[str]:
    """Return the names in an English task that has other words in lower case too."""
    first = task.split(maxsplit=1)[0] if task.strip() else ""
    names = {word for word in asked if word[:1].isupper() and word not in first}
    return names if detect(task) == ENGLISH and len(names) < len(asked) else set()


def _counts(word: str, holders: dict[str, list[int]]) -> bool:
    own = set(holders[word])
    others = [set(at) for other, at in holders.items() if other != word]
    return len(own) > 1 or (bool(own) and not others) or any(own & other for other in others)
