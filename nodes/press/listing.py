"""The publisher by rules alone: title, description and tags of a post.

Every word of them comes from the text: the title is its heading, the description its own sentences, the tags its key
terms. If the text does not have enough for a description of 150 characters, or for three tags, nothing is padded or
invented: `list_post` raises an error that says what is missing, and the graph falls back to the text.
"""

import re
from collections.abc import Iterator, Sequence

from graphengine import TextFile
from graphengine.briefs.draft import citations, parse
from graphengine.briefs.publishing import CHARACTERS, TAG_CHARACTERS, TAGS, Listing, Site
from graphengine.briefs.text.passages import read
from graphengine.briefs.text.words import is_cjk, stem_sequence, subject_words
from nodes.press.composer import RULES_NOTE

OPENINGS = 3  # sentences at which a description can begin so that it ends with a sentence
_ROW = re.compile(r"[^:;.]+: [^;.]+; [^:;.]+: ")  # a row of a table in words, which does not describe the text
CANDIDATES = 8  # later terms are too weak for a tag, even if the site has it


def list_post(topic: str, text: str, key_terms: Sequence[str], site: Site) -> Listing:
    """Make the listing of a text.

    Args:
        topic: The topic; used as the title if the text has none.
        text: The text, as Markdown.
        key_terms: Its key terms, the most important first.
        site: The published posts: their tags are preferred, their titles are not used again.

    Raises:
        ValueError: The text does not have enough for a description, or for the tags.
    """
    return Listing(
        title=_title(parse(text).title or topic, site.titles),
        description=_description(text),
        tags=_tags([*key_terms, *subject_words(topic)], site.tags),
    )


def _title(heading: str, taken: Sequence[str]) -> str:
    """Return a heading within the limit, with a number if the site has it already."""
    most = CHARACTERS["title"][1]
    used = {title.casefold() for title in taken}
    line = " ".join(heading.replace("`", "").split()) or "Untitled"
    number, title = 1, _cut(line, most)
    while title.casefold() in used:
        number += 1
        ending = f" ({number})"
        title = _cut(line, most - len(ending)) + ending
    return title


def _cut(line: str, most: int) -> str:
    """Return a line of at most this many characters, cut after a word."""
    if len(line) <= most:
        return line
    ends = [at for at in _word_ends(line) if at < most]
    return line[: ends[-1] if ends else most - 1].rstrip(" ,;:.-\u2013\u2014") + "\u2026"


def _description(text: str) -> str:
    """Return sentences of a text that have the right length together, or are cut after a word to have it.

    Raises:
        ValueError: There are none.
    """
    least, most = CHARACTERS["description"]
    sentences = _sentences(text)
    runs = [" ".join(sentences[at:]) for at in range(len(sentences))]
    for at, run in enumerate(runs[:OPENINGS]):
        whole = [end for end in _sentence_ends(sentences[at:]) if least <= end <= most]
        if whole:
            return run[: whole[0]]
    cuts = (f"{run[:at].rstrip(' ,;:')}\u2026" for run in runs for at in reversed(_word_ends(run[:most])))
    for cut in cuts:
        if least <= len(cut) <= most:
            return cut
    held = len(runs[0]) if runs else 0
    raise ValueError(
        f"the text has no description of {least} to {most} characters: it has {held} characters in sentences "
        "that make sense on their own, and nothing is padded"
    )


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text that make sense on their own, without title, citations and list of sources."""
    introduction = parse(text).introduction
    for place in citations(text):
        text = text.replace(f" [{place}]", "").replace(f"[{place}]", "")
    found = [statement.text for statement in read(TextFile(path="text.md", text=text))]
    found = [one for one in found if not _ROW.match(one)]
    return [one for one in found if one not in introduction] if RULES_NOTE in introduction else found


def _sentence_ends(sentences: Sequence[str]) -> Iterator[int]:
    length = -1
    for sentence in sentences:
        length += 1 + len(sentence)
        yield length


def _word_ends(line: str) -> list[int]:
    """Return where words end; Chinese, Japanese and Korean can be cut after any character."""
    return [at for at in range(1, len(line)) if line[at] == " " or is_cjk(line[at])]


def _tags(terms: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the most important terms as tags, those that the site has first.

    Raises:
        ValueError: There are too few.
    """
    least, most = TAGS
    written = {tag.casefold(): tag for tag in reversed(known)}
    once: dict[str, str] = {}
    for term in terms:
        plain = " ".join(term.split()).lower()
        stem = " ".join(part for part in stem_sequence(plain) if part)
        if stem and len(plain) <= TAG_CHARACTERS:
            once.setdefault(stem, written.get(plain, plain))
    found = sorted(list(once.values())[:CANDIDATES], key=lambda tag: tag.casefold() not in written)[:most]
    if len(found) < least:
        raise ValueError(f"the text has {len(found)} key terms, but a post needs at least {least} tags")
    return found
