"""Find the JSON in the text of an answer, without guessing.

Text that is JSON is parsed strictly. Text that is nearly JSON is repaired. Models without native JSON output put JSON
into code fences or below a sentence, leave trailing commas, or use the wrong quotes. The json-repair library can read
all of this, but it also guesses: it turns `{"approved": true but no}` into `{"approved": true}`. Its result is
therefore only accepted if it contains exactly the words, numbers and brackets of the text, in the same order.

A sentence may contain brackets that are not an answer, as in "I found nothing in source [3]." Other text is therefore
only accepted around a single fenced block, or before an object that ends the text and has the keys of an answer.

A repair runs in Python and is about a thousand times slower than parsing JSON. It therefore belongs in a thread, and
the amount of its work is limited.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Final, SupportsIndex

from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydantic_core import ErrorDetails

NOTHING: Final = object()
"""The result for a text that is not JSON."""

_GUESSED: Final = "its JSON has mistakes that cannot be repaired without guessing"
_AMONG: Final = "its JSON stands among other text, so it may not be meant as the answer"
_NO_JSON: Final = "there is no JSON in it"
_MOST_CHARACTERS: Final = 100_000  # the longest text that is searched for JSON or repaired
_MOST_READS: Final = 16  # how often each character may be read, on average; ordinary mistakes need up to 10 reads
# Additional reads for the whole text: json-repair before 0.63 searches for the end of the text at each single quote.
_MORE_READS: Final = 400_000
_COPIED: Final = 256  # copying so many characters takes as long as one read
_JSON: Final = re.compile(r"[{\[](?:.*[{}\[\]])?", re.DOTALL)  # from the first opening bracket to the last of any kind
_CLOSING: Final = {"{": "}", "[": "]"}
_THOUGHTS: Final = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCED: Final = re.compile(r"(```|~~~)[ \t]*+(?:\w*+[ \t\r]*+\n|json\b)?+(.*)\1", re.DOTALL)
_FENCED_BEFORE: Final = re.compile(r"(```|~~~)[ \t]*+\w*+[ \t]*+\n(.*)\n[ \t]*+\1", re.DOTALL)
_FENCE: Final = re.compile(r"^[ \t]*+(?:```|~~~)[ \t]*+(\w*+)[ \t\r]*+$", re.MULTILINE)
_FENCE_BEFORE: Final = re.compile(r"\A(?:```|~~~)[ \t]*+\w*+\s*+")
_FENCE_AFTER: Final = re.compile(r"\n[ \t]*+(?:```|~~~)\Z")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_TOKEN: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^\W\d_]+|[^\s\"'“”\u2018\u2019,:\\]")
_NUMBERS: Final = ("int_type", "float_type", "decimal_type")  # pydantic's errors for a value that is not a number
_UNCOUNTABLE: Final = re.compile(rb"\b(?:true|false)\b|\"\s*[+-]?(?:nan|inf|infinity)\s*\"", re.IGNORECASE)
_LARGE_FLOAT: Final = re.compile(rb"\d\.?[eE]\+?\d|\d{16}(?:\.\d|\.?[eE])")
LEAST_ROUNDED: Final = 2**53
ROUNDED: Final = "a whole number beyond 2**53 that is written as a float may be rounded: send it as a text"
_NO_NUMBER: Final = re.compile(r"\s*[+-]?(?:nan|inf|infinity)\s*", re.IGNORECASE)
_WORDS: Final = {"true": "true", "false": "false", "null": "null", "none": "null"}
_OPENS: Final = re.compile(r"[{\[,:\n]\s{0,99}+[\"'“]")  # a quote that may begin a text
_CLOSES: Final = re.compile(r"[\"'”]\s{0,99}?[,:}\]\n]")  # a quote that may end a text
_HOLE: Final = re.compile(r"[{\[:,]\s*+,|:\s*+[}\]]")  # a place where a value is missing
_LONE: Final = re.compile(r"[{\[,:\n]\s{0,99}+[\"'“]\s{0,99}+[,:}\]\n]")  # a quote that may begin or end a text
_SWALLOWED: Final = re.compile(r"""(?:\\"|')\s*+[:,+}\]]|[:,{\[]\s*+(?:\\"|')|\\"[^"]*":""")
"""JSON inside a text, or a quote inside a key; both show that a repair has swallowed a part of the structure."""


class UnreadableJson(ValueError):
    """Raised for a text without JSON that can be read without guessing. The message tells the model the reason."""


def strict(text: str) -> object:
    """Parse a text as JSON; return `NOTHING` if the text is not JSON.

    Raises:
        UnreadableJson: An object in the text has a duplicate key.
    """
    try:
        return json.loads(text, object_pairs_hook=_build_unique_object, parse_constant=_no_number)
    except UnreadableJson:
        raise
    except (ValueError, RecursionError):
        return NOTHING


def is_json(text: str) -> bool:
    """Return whether a model's answer is pure JSON, apart from leading `<think>` text.

    All versions of this package read pure JSON in the same way, but later versions can read more of the other answers.
    A record therefore contains the version of the reading rules only if its answer is not pure JSON.
    """
    try:
        return strict(without_thoughts(text)) is not NOTHING
    except UnreadableJson:
        return True


def unfenced(text: str, *, as_before: bool = False) -> str:
    """Remove the `<think>` text and the code fence that some models write around their answer.

    Args:
        text: The answer.
        as_before: Whether to recognise only those fences that earlier versions of this package recognised. Answers that
            these versions recorded, without a field `reading`, are read again in this way.
    """
    text = without_thoughts(text).strip()
    found = (_FENCED_BEFORE if as_before else _FENCED).fullmatch(text)
    return found.group(2).strip() if found and found.group(1) not in found.group(2) else text


def without_thoughts(text: str) -> str:
    found = _THOUGHTS.match(text)
    return text[found.end() :] if found else text


def tolerant(text: str, keys: Collection[str]) -> object:
    """Parse the JSON object or list that an answer consists of or clearly ends with, and repair its punctuation.

    Args:
        text: The answer. It may be the object or list itself, contain the object or list in its only fenced block, or
            end with an object.
        keys: The keys that an object at the end of other text must have. If `keys` is empty, such an object is not
            accepted.

    Raises:
        UnreadableJson: The text contains no such object or list, was cut off, or could only be repaired by guessing.

    Example:
        >>> tolerant("Of the sources I read: {'answer': [3],}", {"answer"})
        {'answer': [3]}
    """
    text = _check_length(text).strip()
    found = _JSON.search(text)
    if found is None:
        raise UnreadableJson(_NO_JSON)
    is_among = _FENCE_BEFORE.sub("", text)[0] not in _CLOSING or _begins_with_json(found.group())
    why = _AMONG if is_among else _GUESSED
    bare, block, last = unfenced(text), _find_fenced(text), _find_last_object(text)
    for piece in dict.fromkeys((bare, block, last)):
        if piece[-1:] != _CLOSING.get(piece[:1], "no end"):
            continue
        try:
            value = strict(piece)
            value = _repair_quoted(piece) if value is NOTHING else value
        except UnreadableJson as error:
            why = str(error)
            continue
        if piece in (bare, block) or (isinstance(value, dict) and keys and value.keys() >= {*keys}):
            return value
    raise UnreadableJson(why)


def tolerant_of_prose(text: str) -> object:
    """Parse the only JSON object or list in an answer, wherever it stands among other text.

    Answers that earlier versions recorded without a `reading` are read in this way.

    Raises:
        UnreadableJson: The text contains no object or list, contains several, was cut off, or could only be repaired by
            guessing.
    """
    found = _JSON.search(_check_length(text))
    if found is None:
        raise UnreadableJson(_NO_JSON)
    value = strict(found.group())
    return _repair_piece(found.group()) if value is NOTHING else value


def _check_length(text: str) -> str:
    """Remove the `<think>` text of a model's answer, and check that the rest is not too long to be searched for JSON.

    Raises:
        UnreadableJson: The text is too long.
    """
    text = without_thoughts(text)
    if len(text) > _MOST_CHARACTERS:
        raise UnreadableJson("the text is not JSON, and it is too long to be searched for JSON")
    return text


def _find_fenced(text: str) -> str:
    """Return the content of the only fenced code block of an answer; "" if the answer has none or several.

    The result is also "" if the text around the block contains an object, or a list beside a block with a list. The
    block may then be a draft, and the text around it may contain the actual answer.
    """
    fences = [*islice(_FENCE.finditer(text), 3)]
    if len(fences) != 2 or fences[1].group(1):  # noqa: PLR2004 - one opens the block, one closes it
        return ""
    block = text[fences[0].end() : fences[1].start()].strip()
    around = text[: fences[0].start()] + text[fences[1].end() :]
    return "" if "{" in around or (block.startswith("[") and "[" in around) else block


def _find_last_object(text: str) -> str:
    """Return the JSON object with which an answer ends; "" if there is no such object.

    An object that may be an item of a list does not count. For example, the list in `The answers: [{"answer": 1}` was
    cut off, and its first item must not be taken as the answer.
    """
    bare = _FENCE_AFTER.sub("", text)
    before, opening, after = bare.partition("{")
    is_inside = any(before.count(first) != before.count(last) for first, last in ("[]", "()")) or before.count('"') % 2
    return "" if is_inside or not bare.endswith("}") else opening + after


def _begins_with_json(text: str) -> bool:
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def no_numbers(body: bytes, strictly: Callable[[bytes], object]) -> list[ErrorDetails]:
    """Find values in JSON that pydantic would accept as a number although they are another value.

    - true, false and the text "NaN": pydantic accepts them as 1, 0 and NaN.
    - Floats beyond 2**53 where a whole number is wanted: they may have been rounded when they were written or read.

    Args:
        body: JSON that fits a type.
        strictly: Validates the JSON without conversions.
    """
    if _UNCOUNTABLE.search(body) is None and _LARGE_FLOAT.search(body) is None:
        return []
    try:
        strictly(body)
    except ValidationError as error:
        found = error.errors(include_url=False)
        rounded: list[ErrorDetails] = [{**item, "msg": ROUNDED} for item in found if _is_rounded(item)]
        return [item for item in found if item["type"] in _NUMBERS and _is_uncountable(item["input"])] + rounded
    return []


def _is_rounded(item: ErrorDetails) -> bool:
    value = item["input"]
    return item["type"] == "int_type" and isinstance(value, float) and abs(value) >= LEAST_ROUNDED


def _is_uncountable(value: object) -> bool:
    """Return whether pydantic would convert a value to a number although it is not one, such as True or "NaN"."""
    return isinstance(value, bool) or (isinstance(value, str) and _NO_NUMBER.fullmatch(value) is not None)


def _build_unique_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dict of the pairs that a JSON parser found in an object.

    Raises:
        UnreadableJson: A key occurs twice, so either of its values may be meant.
    """
    unique = dict(pairs)
    if len(unique) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise UnreadableJson(f"an object in it has the key {twice!r} twice")
    return unique


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not a number in JSON")


def repair_json(text: str, *, strict: bool = False) -> object:
    """Parse malformed JSON with the json-repair library.

    Returns `NOTHING` if the library finds no value, or would need too much time.

    Args:
        text: The text.
        strict: Whether the text is known not to be JSON. Mistakes in its structure are then not repaired.
    """
    import json_repair  # noqa: PLC0415 - only texts that are not JSON need it

    try:
        # Dump and parse the value again: its texts are parts of the metered text, and have to become plain texts.
        value = json_repair.loads(metered(text), skip_json_loads=strict, strict=strict)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError, _TooMuch):
        return NOTHING


class _TooMuch(Exception):
    """Stops a repair that would take too long. The json-repair library does not catch this class of errors."""


class Metered(str):
    """A text that raises an error after it was read a certain number of times, so that a JSON repair cannot take long.

    The limit is shared by all parts of the text. An example of a text that needs the limit:

    1. A model writes `{"x": ((((…`.
    2. At each bracket, the library searches the rest of the text for its end and calls itself.
    3. Without a limit, a text of 20,000 characters would be read 245 times, which takes seconds.
    """

    __slots__ = ("left",)
    left: list[int]
    """How often it may still be read: one number, which its parts share."""

    def part(self, text: str) -> Metered:
        limited = Metered(text)
        limited.left = self.left
        return limited

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        found = super().__getitem__(key)
        self.left[0] -= 1 + len(found) // _COPIED
        if self.left[0] < 0:
            raise _TooMuch
        return self.part(found) if isinstance(key, slice) else found

    def __add__(self, other: str) -> str:
        return self.part(super().__add__(other))


def metered(text: str) -> Metered:
    limited = Metered(text)
    limited.left = [_MORE_READS + _MOST_READS * len(text)]
    return limited


def _repair_piece(piece: str) -> object:
    """Parse a text that is nearly JSON, and make sure that the repair neither dropped nor added anything.

    Raises:
        UnreadableJson: The repaired value does not contain the whole text, for example because the text was cut off.
    """
    value = repair_json(piece, strict=True)
    if value is NOTHING or not _is_all_of(json.dumps(value, ensure_ascii=False), piece):
        raise UnreadableJson(_GUESSED)
    return value


def _repair_quoted(piece: str) -> object:
    """Parse a text that is nearly JSON, and refuse a sentence in brackets, such as `[I found nothing]`.

    Raises:
        UnreadableJson: As for `_repair_piece`; or a text in a list has no quotes; or the text may have been cut off
            after a quote.
    """
    value, bare = _repair_piece(piece), _ESCAPE.sub("", piece)
    texts = [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
    if len(texts) > len(_OPENS.findall(bare)) or _LONE.search(bare):
        raise UnreadableJson(_GUESSED)
    return value


def _is_all_of(repaired: str, piece: str) -> bool:
    """Return whether repaired JSON has exactly the words, numbers and brackets of the original text.

    This shows that the repair neither lost nor invented anything. The result is also False if a text inside the
    repaired JSON contains JSON itself, because the repair has then taken a part of the structure for text.
    """
    bare = _ESCAPE.sub("", piece)
    return (
        _split_tokens(repaired) == _split_tokens(piece)
        and len(_OPENS.findall(bare)) == len(_CLOSES.findall(bare))
        and _HOLE.search(bare) is None
        and _SWALLOWED.search(repaired) is None
    )


def _split_tokens(text: str) -> list[str]:
    text = _ESCAPE.sub(lambda m: chr(int(m.group(1), 16)) if m.group(1) else _ESCAPED.get(m.group(2), m.group(2)), text)
    return [_normalise_token(token) for token in _TOKEN.findall(text)]


def _normalise_token(token: str) -> str:
    if token[-1].isdecimal() and not token.lstrip("-").isdecimal():
        return repr(float(token))
    return _WORDS.get(token.casefold(), token)


__all__ = [
    "NOTHING",
    "UnreadableJson",
    "is_json",
    "no_numbers",
    "repair_json",
    "strict",
    "tolerant",
    "tolerant_of_prose",
    "unfenced",
]
