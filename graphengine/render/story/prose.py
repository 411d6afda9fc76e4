"""Texts and values as HTML that people read: Markdown, fields by name, lists, and what differs word by word.

A text is the work of strangers. It passes `said` on its way, or the renderer below, which writes no HTML that a text
has, loads no image, and makes a link only of what leads to the web.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Final

from graphengine.models.hiding import hide_secrets
from graphengine.records.words import counted
from graphengine.render.text import clean, one_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from graphengine.kernel.extension import JsonValue

_SECRET: Final = "$secret"  # noqa: S105 - the mark of a record
_SET_FIELDS: Final = "__fields_set__"
"""What the record of a model has beside its fields."""
_WHOLE: Final = 60_000
"""Characters of a text; what is after them is left out."""
_SHOWN: Final = 2400
"""Characters of a text that stand open."""
_LINE: Final = 160
_ITEMS: Final = 5
_SHORT: Final = 40
_NAME: Final = 24
"""Characters of a name that stands in a narrow column."""
_PAIRS: Final = 12
"""Of items that differ, how many are compared."""
_DEEP: Final = 3
_OF_HEADING: Final = 3
"""Tokens of a heading."""
_WEB: Final = ("http://", "https://")
_CITED: Final = re.compile(r"\[([\w./-]+:\d+)\]")
_INDEX: Final = re.compile(r"\[(-?\d+|[^\]]*)\]")
_MARKED: Final = re.compile(r"^#{1,6} |\n|\*\*|^[-*] |`")
_WORDS: Final = re.compile(r"\s*\[[\w./-]+:\d+\]|\s*\w+|\s*[^\w\s]|\s+")
_ALIKE: Final = 34
"""From so many words on, what is alike in two texts is folded to those beside a difference."""
_BESIDE: Final = 12
_MOST_CHARACTERS: Final = 30_000
"""Of a text that is compared; longer ones stand one below the other."""
_PARTS: Final = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )")
"""Between the paragraphs and list items of a text."""
_LISTED: Final = re.compile(r"\s*(?:[-*]|\d+\.) ")
_MOST_PARTS: Final = 600
_MOST_PAIRS: Final = 300_000
"""Of equal words, one in each of two paragraphs: a comparison takes time for each."""
_HEADING: Final = re.compile(r"(#{1,6}) ")
_SIGNS: Final = re.compile(r"^#{1,6} |^> |\*\*|`", re.MULTILINE)
"""Of Markdown, which a comparison of words leaves out."""


def as_html(text: str) -> str:
    """Return a text as HTML, without what looks like a secret and without control codes."""
    return escape(clean(hide_secrets(text)))


def is_full(value: JsonValue) -> bool:
    """Return whether a value says something."""
    return value not in ("", None, [], {}, False) or (value == 0 and value is not False)


def as_words(name: str) -> str:
    """Return a name as words.

    >>> as_words("final_score"), as_words("_has_ended"), as_words("deskChat")
    ('final score', 'has ended', 'deskChat')
    """
    return " ".join(re.split(r"[_\s]+", name.strip("_"))) or name.replace("_", " ")


def heading(name: str) -> str:
    """Return a name as a heading.

    >>> heading("final_score")
    'Final score'
    """
    words = as_words(name)
    return words[:1].upper() + words[1:]


def place(path: str, visit: int = 0) -> str:
    """Return the path of a node as words.

    >>> place("article/write_up", 2), place("pieces[1]/write")
    ('article: write up 2', 'pieces, item 2: write')
    """
    parts = (_INDEX.sub(_word_item, as_words(part)) for part in path.split("/"))
    return ": ".join(parts) + (f" {visit}" if visit > 1 else "")


def _word_item(found: re.Match[str]) -> str:
    return f", item {int(found[1]) + 1}" if found[1].isdecimal() else f" ({found[1]})"


def path_words(path: str) -> str:
    """Return a path of the state as words.

    >>> path_words("reviews[-1].score"), path_words("final_score"), path_words("views[editor]")
    ('score of the last review', 'final score', 'editor of views')
    """
    words = ""
    for part in re.findall(r"\[[^\]]*\]|[^.\[\]]+", path):
        if part[0] != "[":
            words = (
                f"{as_words(part)} of {'the ' if words[:4] in ('last', 'firs') else ''}{words}"
                if words
                else as_words(part)
            )
        elif part in ("[-1]", "[0]"):
            one = words[:-1] if words.endswith("s") and not words.endswith("ss") else words
            words = f"{'last' if part == '[-1]' else 'first'} {one}"
        else:
            words = f"{as_words(part[1:-1])} of {words}"
    return words


# --- Values ----------------------------------------------------------------------------------------------------------


def in_brief(value: JsonValue, limit: int = _LINE) -> str:
    """Return a value in a few words, which are no HTML yet.

    >>> in_brief({"score": 8.0, "notes": [], "ok": None}), in_brief([{"a": 1}] * 9), in_brief('{"n": 1}')
    ('score: 8.0', '9 items', 'n: 1')
    """
    text = one_line(_brief(value, 0))
    return text if len(text) <= limit else f"{text[:limit].rstrip()}…"


def _brief(value: JsonValue, deep: int) -> str:
    inner = parsed(value) if isinstance(value, str) else value
    if isinstance(inner, Mapping):
        if _SECRET in inner:
            return "secret"
        members = [(as_words(name), each) for name, each in inner.items() if name != _SET_FIELDS and is_full(each)]
        if deep > 1:
            return counted(len(members), "field")
        words = (", " if deep else "; ").join(_member(name, each, deep + 1) for name, each in members)
        return (f"({words})" if deep else words) or "empty"
    if isinstance(inner, list):
        return ", ".join(_brief(each, deep + 1) for each in inner) if _is_short(inner) else counted(len(inner), "item")
    if isinstance(inner, str):
        return _SIGNS.sub("", inner[:_WHOLE])
    return str(inner) if _is_number_not_bool(inner) else "yes" if inner else "none" if inner is None else "no"


def _is_short(values: Sequence[JsonValue]) -> bool:
    """Return whether the items of a list stand in a line."""
    return 0 < len(values) <= _ITEMS and not any(isinstance(each, (Mapping, list)) for each in values)


def _is_number_not_bool(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _member(name: str, value: JsonValue, deep: int) -> str:
    """Return a field in a few words: a list of objects as their number."""
    if isinstance(value, list) and not _is_short(value):
        return f"{len(value)} {name}"
    words = _brief(value, deep)
    return f"{name} {words}" if words.startswith("(") else f"{name}: {words}"


def parsed(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return the object or list that a text is the JSON of; else the text."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text[:_WHOLE])
        except (ValueError, RecursionError):
            return text
    return text


def value_html(value: JsonValue, deep: int = 0) -> str:
    """Return a value as HTML: a text as Markdown, an object by its fields, of many items the first."""
    inner = parsed(value) if isinstance(value, str) else value
    if isinstance(inner, str):
        return text_html(inner) if inner.strip() else '<span class="soft">empty</span>'
    if isinstance(inner, Mapping) and _SECRET not in inner and deep < _DEEP:
        members = [(name, each) for name, each in inner.items() if name != _SET_FIELDS and is_full(each)]
        return fields(members, deep + 1) if members else '<span class="soft">empty</span>'
    if isinstance(inner, list) and inner and deep < _DEEP:
        return _format_items(inner, deep + 1)
    return f'<span class="plain">{as_html(in_brief(inner))}</span>'


def fields(members: Sequence[tuple[str, JsonValue]], deep: int = 0) -> str:
    """Return fields with their values as HTML."""
    return _format_fields([(name, value_html(each, deep)) for name, each in members])


def _format_fields(members: Sequence[tuple[str, str]]) -> str:
    """Return fields with what is said of each, which is HTML; names that are sentences have most of the room."""
    made = (f"<dt>{as_html(heading(name))}</dt><dd>{html}</dd>" for name, html in members)
    is_wide = any(len(name) > _NAME for name, _ in members)
    return f"<dl{' class=wide' if is_wide else ''}>{''.join(made)}</dl>"


def _format_items(values: Sequence[JsonValue], deep: int) -> str:
    if all(not isinstance(each, (Mapping, list)) and len(str(each)) <= _SHORT for each in values):
        line = ", ".join(_brief(each, 1) for each in values[: 8 * _ITEMS])
        return as_html(line) + (f" and {len(values) - 8 * _ITEMS} more" if len(values) > 8 * _ITEMS else "")
    made = [f"<li>{item(each, deep)}</li>" for each in values[: 20 * _ITEMS]]
    shown, rest = made[:_ITEMS], made[_ITEMS:]
    html = f"<ul>{''.join(shown)}</ul>"
    if rest:
        html += folded(f"and {len(values) - _ITEMS} more", f"<ul>{''.join(rest)}</ul>")
    return html


def item(value: JsonValue, deep: int = 0) -> str:
    """Return an item of a list as HTML: its longest text, and the rest of its fields in a line below."""
    if not isinstance(value, Mapping) or _SECRET in value:
        return value_html(value, deep)
    members = {name: each for name, each in value.items() if name != _SET_FIELDS and is_full(each)}
    texts = {name: each for name, each in members.items() if isinstance(each, str)}
    longest = max(texts, key=lambda name: len(texts[name]), default="")
    lead = value_html(texts[longest], deep) if longest else ""
    rest = [(name, each) for name, each in members.items() if name != longest]
    if any(isinstance(each, (Mapping, list)) or len(str(each)) > _SHORT for _, each in rest):
        return f'{lead}<div class="small">{fields(rest, deep)}</div>'
    beside = " · ".join(f"{as_words(name)}: {in_brief(each)}" for name, each in rest)
    return lead + (f'<span class="beside">{as_html(beside)}</span>' if beside else "")


def folded(words: str, html: str) -> str:
    """Return what opens with a click; on paper only its words are seen."""
    return f"<details><summary>{as_html(words)}</summary>{html}</details>"


# --- Texts -----------------------------------------------------------------------------------------------------------


def text_html(text: str) -> str:
    """Return a text as HTML: as Markdown if it has any, and the end of a long one folded."""
    safe = clean(hide_secrets(text[:_WHOLE])).strip()
    if len(safe) < _LINE and not _MARKED.search(safe):
        return _set_off_citations(safe)
    parser = _parser()
    tokens = parser.parse(safe)
    lines = safe.split("\n")
    size, cut = 0, len(tokens)
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0 and token.map:
            if size > _SHOWN:
                is_after_heading = tokens[index - 1].type == "heading_close"  # which does not stand by itself
                cut = index - _OF_HEADING if is_after_heading and index > _OF_HEADING else index
                break
            size += sum(len(line) + 1 for line in lines[token.map[0] : token.map[1]])
    made = f'<div class="text">{_render_tokens(parser, tokens[:cut])}'
    if cut < len(tokens):
        rest = _render_tokens(parser, tokens[cut:])
        made += folded(f"the rest, {len(safe[_SHOWN:].split()):,} words", rest)
    return f"{made}</div>"


def _render_tokens(parser: MarkdownIt, tokens: Sequence[Token]) -> str:
    return str(parser.renderer.render(tokens, parser.options, {}))


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only a story needs it

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: url.lower().startswith(_WEB)  # type: ignore[method-assign]
    parser.core.ruler.push("story", _lower_headings)
    parser.add_render_rule("text", _render_text_token)
    parser.add_render_rule("image", _image)
    return parser


def _render_text_token(_: object, tokens: Sequence[Token], index: int, *more: object) -> str:
    del more
    return _set_off_citations(tokens[index].content)


def _image(_: object, tokens: Sequence[Token], index: int, *more: object) -> str:
    del more
    return escape(f"{tokens[index].content} ({tokens[index].attrs['src']})")


def _lower_headings(state: Any) -> None:  # noqa: ANN401 - the parser's own
    """Put the headings of a text below those of the page, and let its links tell nothing."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer nofollow")


def _set_off_citations(text: str) -> str:
    """Return a safe text as HTML, with its places in sources, as `[notes.md:12]`, set off."""
    return _CITED.sub(r'<span class="cite">\1</span>', escape(text))


# --- What differs ----------------------------------------------------------------------------------------------------


def duel(before: JsonValue, after: JsonValue, deep: int = 0) -> str:
    """Return how a value differs from another as HTML: texts word by word, lists by item, objects by field."""
    if isinstance(before, str) and isinstance(after, str) and before.strip() and after.strip():
        return _texts_apart(clean(hide_secrets(before[:_WHOLE])), clean(hide_secrets(after[:_WHOLE])))
    if isinstance(before, list) and isinstance(after, list) and deep < _DEEP:
        return _items_apart(before, after, deep + 1)
    if isinstance(before, Mapping) and isinstance(after, Mapping) and deep < _DEEP:
        return _fields_apart(before, after, deep + 1)
    if not is_full(before) and before is not False:
        return f'<div class="new">{item(after, deep)}</div>' if is_full(after) or after is False else "none"
    if not is_full(after) and after is not False:
        return f'<div class="gone">{item(before, deep)}</div>'
    return f"<del>{as_html(in_brief(before))}</del> → <ins>{as_html(in_brief(after))}</ins>{_say_change(before, after)}"


def _say_change(before: JsonValue, after: JsonValue) -> str:
    if not _is_number_not_bool(before) or not _is_number_not_bool(after):
        return ""
    return f' <span class="soft">({after - before:+g})</span>'  # type: ignore[operator]


def _fields_apart(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue], deep: int) -> str:
    names = [*before, *(name for name in after if name not in before)]
    apart = [name for name in names if name != _SET_FIELDS and before.get(name) != after.get(name)]
    return _format_fields([(name, duel(before.get(name), after.get(name), deep)) for name in apart])


def _items_apart(before: Sequence[JsonValue], after: Sequence[JsonValue], deep: int) -> str:
    keys = [[json.dumps(each, sort_keys=True) for each in values[: 40 * _ITEMS]] for values in (before, after)]
    made: list[str] = []
    codes = SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes()
    apart = [code for code in codes if code[0] != "equal"]
    gone = Counter(key for _, first, until, _, _ in apart for key in keys[0][first:until])
    moved = gone & Counter(key for _, _, _, start, end in apart for key in keys[1][start:end])
    if moved:  # both have them
        made.append(f'<p class="soft">{counted(moved.total(), "item")} in another place</p>')
        before, after = (
            [value for value, key in zip(values, names, strict=False) if key not in moved]
            for values, names in ((before, keys[0]), (after, keys[1]))
        )
        keys = [[key for key in names if key not in moved] for names in keys]
        codes = SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes()
    for kind, first, until, start, end in codes:
        if kind == "equal":
            made.append(f'<p class="soft">{counted(until - first, "item")} alike</p>')
            continue
        both = min(until - first, end - start)
        made += [
            f'<div class="item"><span class="beside">no. {first + at + 1}</span>'
            f"{duel(before[first + at], after[start + at], deep)}</div>"
            for at in range(min(both, _PAIRS))
        ]
        made += [f'<p class="soft">and {both - _PAIRS} more differ</p>'] if both > _PAIRS else []
        made += [*_format_lone_items("gone", "only in A", before[first + both : until], deep)]
        made += [*_format_lone_items("new", "only in B", after[start + both : end], deep)]
    return "".join(made)


def _format_lone_items(kind: str, words: str, values: Sequence[JsonValue], deep: int) -> Iterator[str]:
    if values:
        yield f'<p class="soft">{counted(len(values), "item")} {words}</p>'
    shown = [f'<div class="item {kind}">{item(each, deep)}</div>' for each in values]
    yield "".join(shown[:_ITEMS])
    if len(shown) > _ITEMS:
        yield folded(f"and {len(shown) - _ITEMS} more", "".join(shown[_ITEMS : 20 * _ITEMS]))


def _texts_apart(before: str, after: str) -> str:
    """Return how two texts differ, paragraph by paragraph, as they are read."""
    one, other = ([part for part in _PARTS.split(text) if part.strip()] for text in (before, after))
    if max(len(before), len(after)) > _MOST_CHARACTERS or len(one) + len(other) > _MOST_PARTS:
        return f"<p><b>A</b></p>{text_html(before)}<p><b>B</b></p>{text_html(after)}"
    made: list[str] = []
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    apart = [code for code in codes if code[0] != "equal"]
    gone = {part for _, first, until, _, _ in apart for part in one[first:until]}
    moved = gone & {part for _, _, _, start, end in apart for part in other[start:end]}
    for kind, first, until, start, end in codes:
        if kind == "equal":
            made.append(_alike(one[first:until]))
        else:
            made += _pair_paragraphs([part for part in one[first:until] if part not in moved], other[start:end], moved)
    return f'<div class="text apart">{"".join(made)}</div>'


def _alike(parts: Sequence[str]) -> str:
    words = sum(len(part.split()) for part in parts)
    whole = "".join(part if _LISTED.match(part) else f"\n{part}" for part in (f"{each}\n" for each in parts))
    return text_html(whole) if words < _ALIKE else f'<p class="gap">{words:,} words alike</p>'


def _format_added(part: str, moved: Collection[str]) -> str:
    """Return a paragraph that only the second text has here; one that the first has elsewhere stands there no more."""
    if part in moved:
        return f'<div class="moved"><span class="beside">moved here</span>{text_html(part)}</div>'
    return f'<div class="new">{text_html(part)}</div>'


def _pair_paragraphs(one: Sequence[str], other: Sequence[str], moved: Collection[str]) -> Iterator[str]:
    """Yield paragraphs that differ: each beside the one that it became, if there is one."""
    at, gone = 0, list[str]()
    for part in one:
        near = (index for index in range(at, len(other)) if other[index] not in moved and _is_near(part, other[index]))
        found = next(near, None)
        if found is None:
            gone.append(f'<div class="gone">{text_html(part)}</div>')
            continue
        yield from _fold_gone(gone)
        gone.clear()
        yield from (_format_added(each, moved) for each in other[at:found])
        yield _words_apart(part, other[found])
        at = found + 1
    yield from _fold_gone(gone)
    yield from (_format_added(each, moved) for each in other[at:])


def _fold_gone(gone: Sequence[str]) -> Iterator[str]:
    """Yield paragraphs in a row that only the first text has: of many the first, and the others folded."""
    shown = gone if len(gone) <= _ITEMS else gone[: _ITEMS - 2]
    yield from shown
    if len(shown) < len(gone):
        yield folded(f"and {len(gone) - len(shown)} more paragraphs that only A has", "".join(gone[len(shown) :]))


def _is_near(one: str, other: str) -> bool:
    if _HEADING.match(one) and _HEADING.match(other):
        return True
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).quick_ratio() > 0.4  # noqa: PLR2004 - of 1


def _words_apart(before: str, after: str) -> str:
    depth = _HEADING.match(after)
    one, other = (_WORDS.findall(_SIGNS.sub("", text)) for text in (before, after))
    counts = Counter(one), Counter(other)
    if sum(times * counts[1][word] for word, times in counts[0].items()) > _MOST_PAIRS:
        return f'<div class="gone">{text_html(before)}</div><div class="new">{text_html(after)}</div>'
    made: list[str] = []
    bare = [[word.strip() for word in words] for words in (one, other)]
    codes = _join_differences(SequenceMatcher(None, bare[0], bare[1], autojunk=False).get_opcodes(), one)
    for number, (kind, first, until, start, end) in enumerate(codes):
        if kind == "equal":
            words = [*other[start:end]]  # with the blank before it that either text has
            words[0] = one[first] if one[first][:1].isspace() else words[0]
            made.append(_fold_alike(words, is_first=not number, is_last=number == len(codes) - 1))
            continue
        made.append(_mark_words("".join(one[first:until]), "".join(other[start:end])))
    tag = f"h{min(6, len(depth[1]) + 2)}" if depth is not None else "p"
    return f'<{tag} class="apart">{"".join(made)}</{tag}>'


def _mark_words(gone: str, new: str) -> str:
    """Return what is only in the first text, and only in the second; the blank before it is in both."""
    blank = next((each[: len(each) - len(each.lstrip())] for each in (new, gone) if each), "")
    parts = (("del", gone.lstrip()), ("ins", new.lstrip()))
    return escape(blank) + "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in parts if text)


_Code = tuple[str, int, int, int, int]


def _join_differences(codes: Sequence[_Code], words: Sequence[str]) -> list[_Code]:
    """Return the parts with those that differ joined over blanks and lone signs, so that phrases stay whole."""
    found: list[_Code] = []
    for number, (kind, first, until, start, end) in enumerate(codes):
        is_small = number < len(codes) - 1 and not any(word.strip().isalnum() for word in words[first:until])
        if found and found[-1][0] != "equal" and (kind != "equal" or is_small):
            found[-1] = ("replace", found[-1][1], until, found[-1][3], end)
        else:
            found.append((kind, first, until, start, end))
    return found


def _fold_alike(words: Sequence[str], *, is_first: bool, is_last: bool) -> str:
    """Return what is alike, of which a long part is folded."""
    head, tail = (0 if is_first else _BESIDE), (0 if is_last else _BESIDE)
    between = words[head : len(words) - tail]
    number = sum(word.strip().isalnum() for word in between)
    if number < _ALIKE:
        return _set_off_citations("".join(words))
    gap = f'<span class="gap">{number:,} words alike</span>'
    return (
        _set_off_citations("".join(words[:head]))
        + f" {gap} "
        + _set_off_citations("".join(words[len(words) - tail :] if tail else ()))
    )
