"""Personal data in texts: found by form and, if there is one, by checksum; masked by its kind.

Each kind is searched for in one pass, in time proportional to the length of any text. Names, addresses, dates of birth
and data spelt out in words (`bob at example dot org`) have no form that could be searched for.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Kind: TypeAlias = Literal["email", "iban", "card", "ip", "phone"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""The kinds in the order of the search: an IBAN or a card number is not counted as a phone number too."""

_NAMES: Final[dict[Kind, str]] = {
    "email": "e-mail address",
    "iban": "IBAN",
    "card": "card number",
    "ip": "IP address",
    "phone": "phone number",
}
_GAP: Final = "[ \u00a0\u202f.\u2010\u2011\u2013-]"  # a separator between groups of digits

_EMAIL: Final = re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)++")
_DIGITS: Final = re.compile(rf"(?<![0-9])[0-9]++(?:{_GAP}?[0-9]++)*+")
_GROUP: Final = re.compile(r"[0-9]+")
_IBAN: Final = re.compile(r"(?<![^\W_])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}")
_IPV4: Final = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]*+:[0-9A-Fa-f:.]++")
_PHONE: Final = re.compile(
    r"(?<![\w+])(?:\+|00)1(?:[ \u00a0./()-]{0,3}[0-9]){10}(?![0-9])"  # international: to North America
    r"|(?<![\w+])(?:\+|00)[1-9](?:[ \u00a0./()-]{0,3}[0-9]){6,14}(?![0-9])"  # and anywhere else
    r"|(?<![\w.])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}(?![\w])"  # American
    r"|(?<![\w.,:/-])\(?0[1-9](?:[ \u00a0/()-]{0,3}[0-9]){7,10}(?![\w])"  # with the 0 of a country's own numbers
)

_CARD_DIGITS: Final = range(13, 20)
_CARD_BEGINS: Final = "23456"  # 13 digits that begin with 1 are usually a time in milliseconds
# Source: the register of IBANs that SWIFT keeps for ISO 13616
_IBANS: Final = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 "
    "EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 "
    "IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 "
    "NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 "
    "SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS: Final = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}


def masked(text: str, kinds: Iterable[Kind] = KINDS) -> tuple[str, dict[str, int]]:
    """Return a text with its personal data masked, and how often each kind was found.

    Example:
        >>> masked("Write to ann@example.org.")
        ('Write to [e-mail address].', {'e-mail address': 1})
    """
    found: dict[str, int] = {}
    wanted = set(kinds)
    for kind in KINDS:
        spans = list(_FINDERS[kind](text)) if kind in wanted else []
        if spans:
            found[_NAMES[kind]] = len(spans)
            text = _without(text, spans, f"[{_NAMES[kind]}]")
    return text, found


def _without(text: str, spans: list[tuple[int, int]], mask: str) -> str:
    parts, position = [], 0
    for start, end in spans:
        parts += [text[position:start], mask]
        position = end
    return "".join([*parts, text[position:]])


def _emails(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _EMAIL.finditer(text))


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of adjacent groups of digits that form a card number."""
    for run in _DIGITS.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, run.start(), run.end())]
        first = 0
        while first < len(groups):
            last = _last_of_card(text, groups, first)
            if last is not None:
                yield groups[first][0], groups[last][1]
            first = first + 1 if last is None else last + 1


def _last_of_card(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    if text[groups[first][0]] not in _CARD_BEGINS:
        return None
    digits, found = "", None
    for last in range(first, min(len(groups), first + _CARD_DIGITS.stop)):
        start, end = groups[last]
        if len(digits) + end - start >= _CARD_DIGITS.stop:
            break
        digits += text[start:end]
        if len(digits) in _CARD_DIGITS and _luhn(digits):
            found = last
    return found


def _luhn(digits: str) -> bool:
    """Return whether the last digit checks the others, as on cards (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0  # noqa: PLR2004 - a digit


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    while match := _IBAN.search(text, position):
        end = _end_of_iban(text, match)
        position = end or match.start() + 4
        if end:
            yield match.start(), end


def _end_of_iban(text: str, match: re.Match[str]) -> int | None:
    """Return the end of the IBAN that may begin here, by its country's length; None if its check digits are wrong."""
    wanted = _IBAN_LENGTHS.get(match.group()[:2].upper())
    places = [match.start() + n for n, sign in enumerate(match.group()) if sign.isalnum()]
    if wanted is None or len(places) < wanted:
        return None
    end = places[wanted - 1] + 1
    signs = "".join(text[place] for place in places[:wanted])
    number = int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4]))
    return end if number % 97 == 1 and not text[end : end + 1].isalnum() else None


def _ips(text: str) -> Iterator[tuple[int, int]]:
    spans = [match.span() for match in _IPV4.finditer(text) if _is_ip(match.group())]
    for match in _IPV6.finditer(text):
        start, end = match.span()
        if match.group()[-1] == "." or (match.group()[-1] == ":" and not match.group().endswith("::")):
            end -= 1  # the end of a sentence
        if end - start <= _LONGEST_IP and _is_ip(text[start:end]):
            spans.append((start, end))
    return iter(sorted(spans))


_LONGEST_IP: Final = 45  # an IPv6 address with an IPv4 address in it


def _is_ip(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == 4 or any(sign.isdigit() for sign in text)  # noqa: PLR2004 - IPv4; `a::b` is a name


def _phones(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _PHONE.finditer(text))


_FINDERS: Final[dict[Kind, Callable[[str], Iterator[tuple[int, int]]]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ip": _ips,
    "phone": _phones,
}

__all__ = ["KINDS", "Kind", "masked"]
