"""Secrets in texts that are to be written or shown: how to find them, and what replaces them.

Two kinds count as secrets: the value of every environment variable whose name suggests one, and texts in the form of
providers' keys. This is an additional safeguard only: a password that is not in the environment and has no form of its
own is not recognized.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast, get_origin

from pydantic import BaseModel

from graphengine.state.secret import clear_texts

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LEAST: Final = 6
"""Shorter values of variables, in characters, are not hidden: they occur in texts by chance."""

_NAMED: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD", re.IGNORECASE)
_KEY: Final = re.compile(
    r"""
      (?<![A-Za-z0-9]) (?:
        sk-[A-Za-z0-9_-]{6,}                                # Anthropic, OpenAI and those that speak like it
      | (?: gh[pousr]_ | github_pat_ | glpat- | hf_ | gsk_ | xai- | xox[abeprs]- ) (?=[A-Za-z_-]*\d) [A-Za-z0-9_-]{10,}
      | AKIA[0-9A-Z]{12,} | AIza[0-9A-Za-z_-]{20,}          # Amazon, Google
      | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # a JSON Web Token
      )
    | (?<=\bbearer\ ) (?=[^\s"'\\]*\d) [A-Za-z0-9._~+/=-]{8,}  # with a digit: "bearer" also occurs in prose
    """,
    re.VERBOSE | re.IGNORECASE,
)
_USER: Final = re.compile(r".*@", re.DOTALL)
_QUERY: Final = re.compile(r"([?#]).*", re.DOTALL)
_CUT: Final = r"\1…"
_HINTS: Final = (
    "sk-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "hf_",
    "gsk_",
    "xai-",
    "xox",
    "akia",
    "aiza",
    "eyj",
    "bearer ",
)
"""Every key contains one of these, in lower case; searching for them first is cheap."""


def hidden(value: T) -> T:
    """Return a text without secrets, or a JSON value or pydantic instance with every text in it, dict keys included.

    A variable's value is replaced by `[secret NAME]`, a key by `[secret]`.

    Example:
        >>> hidden({"header": "Bearer abcdef123456"})
        {'header': 'Bearer [secret]'}
    """
    return cast("T", _hidden(value, _hider()))


def struck(text: str) -> str:
    """Return a text with an address, without possible credentials: everything up to its last @, and its query.

    Invalid addresses are struck as well: a mistyped one may have a password too.

    Example:
        >>> struck("openai-chat:m@http://me:secret@host/v1"), struck("http://host/v1?key=secret")
        ('openai-chat:m@http://…@host/v1', 'http://host/v1?…')
    """
    before, scheme, rest = text.partition("://")
    if not scheme:
        return hidden(text)
    if "@" in rest and _QUERY.search(rest):  # the @ may be part of the query, or the ? of a password
        return hidden(f"{before}{scheme}…")
    return hidden(f"{before}{scheme}{_USER.sub('…@', _QUERY.sub(_CUT, rest))}")


def _hider() -> Callable[[str], str]:
    """Return a function that hides the secrets of the present environment."""
    names: dict[str, str] = {}
    for name, secret in sorted(os.environ.items()):
        if len(secret) >= LEAST and _NAMED.search(name):
            for form in clear_texts(secret):
                names.setdefault(form, name)
    known = sorted(names.items(), key=lambda item: len(item[0]), reverse=True)

    def hide(text: str) -> str:
        for form, name in known:
            if form in text:  # most texts have none, and this check is cheap
                text = text.replace(form, f"[secret {name}]")
        lower = text.lower()
        return _KEY.sub("[secret]", text) if any(hint in lower for hint in _HINTS) else text

    return hide


def _hidden(value: object, hide: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, BaseModel):
        free = [name for name, info in type(value).model_fields.items() if get_origin(info.annotation) is not Literal]
        return value.model_copy(update={name: _hidden(getattr(value, name), hide) for name in free})
    if isinstance(value, Mapping):
        return {hide(str(key)): _hidden(item, hide) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_hidden(item, hide) for item in value)
    return value
