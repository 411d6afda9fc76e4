"""Find secrets in texts that are written or shown, and replace them.

Three kinds of texts count as secrets:

- Secrets that the caller names, such as the key of a model.
- The value of every environment variable whose name suggests a secret.
- Texts in the form of providers' keys.

The last two kinds are only an additional safeguard: a password that is not in the environment and has no typical form
is not recognised. Secret fields of a state are handled by `graphengine.state.secret`.

A text that has to be shortened is searched first and cut afterwards. This is not possible if the text is very long,
arrives in pieces, or was cut by other code. In these cases the cut is marked with `…`, and parts of known secrets next
to the mark are hidden as well.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast, get_origin

from pydantic import BaseModel

from graphengine.kernel.inside import clear_texts, screened, scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")

MARK: Final = "[secret]"
"""The text that replaces a secret."""
LEAST: Final = 6
"""Values of variables with fewer characters are not hidden, because they occur in texts by chance."""
_LEAST_KNOWN: Final = 4
"""Shorter keys are not hidden: they are placeholders for servers that need no key, and occur in many words."""
_LEAST_PART: Final = 8
"""Parts of variables next to a cut are not hidden if they are shorter, because they occur in texts by chance."""

_LEAST_WORDLESS: Final = 20
"""Shorter keys without a digit may be ordinary words."""
_OF_PROVIDERS: Final = ("API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK")
"""Ends of the names of environment variables that contain keys of providers."""

_NAMES: Final = "key|token|secret|passw|credential"
_NAMED: Final = re.compile(_NAMES, re.IGNORECASE)
_OPTION: Final = re.compile(rf"(-[\w-]{{0,40}}?(?:{_NAMES}|auth)[\w-]{{0,40}}[= ])\S+", re.IGNORECASE)
_LOGIN: Final = re.compile(r"(?<=://)[^/@\s]+@")
_KEY: Final = re.compile(
    r"""
      (?<![A-Za-z0-9]) (?:
        sk-[A-Za-z0-9_*.-]{5,}[A-Za-z0-9_*-]                # Anthropic, OpenAI and those that speak like it
      | (?: gh[pousr]_ | github_pat_ | glpat- | hf_ | gsk_ | xai- | xox[abeprs]- )
        (?=[A-Za-z_-]{0,100}\d) [A-Za-z0-9_-]{10,}
      | AKIA[0-9A-Z]{12,} | AIza[0-9A-Za-z_-]{20,}          # Amazon, Google
      | eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*  # a JSON Web Token
      )
    | (?<=\bbearer\ ) (?=[^\s"'\\]*\d) [A-Za-z0-9._~+/=*-]{8,}  # with a digit: "bearer" also occurs in prose
    """,
    re.VERBOSE | re.IGNORECASE,
)
_OF_KEYS: Final = string.ascii_letters + string.digits + "-._~+/=*"
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
"""Every key contains one of these texts in lower case. Searching for them first is cheap."""


def hide_secrets(value: T, *, known: Iterable[str] = ()) -> T:
    """Return a copy of a value in which all secrets are replaced: a text, a JSON value, or a pydantic instance.

    The value of an environment variable is replaced by `[secret NAME]`, and any other secret by `[secret]`. Keys of
    dicts are searched as well.

    Args:
        value: The value.
        known: Secrets that the caller knows.

    Example:
        >>> hide_secrets({"header": "Bearer abcdef123456", "key": "my key"}, known=["my key"])
        {'header': 'Bearer [secret]', 'key': '[secret]'}
    """
    return cast("T", _hide_in_value(value, _hider(known)))


def contains_secrets(text: str) -> bool:
    return hide_secrets(text) != text


def names_secret(name: str) -> bool:
    """Return whether the name of an environment variable suggests a secret, such as `DB_PASSWORD`."""
    return _NAMED.search(name) is not None


def forms_of(known: Iterable[str]) -> list[str]:
    """Return all texts as which these secrets can occur, so that they can be found in a longer text.

    A secret can occur as it is, with the escapes of Python or JSON, or encoded as base64. The longest text comes first.
    """
    forms = {form for secret in known if len(secret) >= _LEAST_KNOWN for form in clear_texts(secret)}
    return sorted(forms, key=len, reverse=True)


def forms_of_keys(given: Iterable[str]) -> list[str]:
    """Return the texts by which to find API keys in a text: the given keys, and the keys in the environment.

    A server that needs no key is often given a word such as `ollama` instead. Such words are not treated as keys.
    """
    named = [value for name, value in os.environ.items() if name.upper().endswith(_OF_PROVIDERS)]
    return forms_of(key for key in (*given, *named) if len(key) >= LEAST and _is_key(key))


def _is_key(text: str) -> bool:
    return len(text) >= _LEAST_WORDLESS or any(map(str.isdigit, text)) or text.lower().startswith(_HINTS)


def without(text: str, forms: Sequence[str]) -> str:
    """Remove secrets from a text, including a part of a secret that is left where the text was cut.

    Args:
        text: The text.
        forms: The texts of the secrets, as `forms_of` returns them.
    """
    return str(scrubbed(text, forms, MARK))


def start_of(text: str, most: int) -> str:
    """Shorten a long text so that secrets at the cut can still be found.

    The cut is marked with `…`, by which a part of a known secret is found. An unknown API key is only recognised as a
    whole, so the last word before the cut is left out.
    """
    return text if len(text) <= most else text[: most - 1].rstrip(_OF_KEYS) + "…"


def whole_lines(text: str, hide: Callable[[str], str], forms: Sequence[str], most: int) -> tuple[str, str]:
    """Hide the secrets in a text that arrives in pieces, such as the output of a process.

    Returns the complete lines, and the unfinished last line. The last line may end in the beginning of a secret, so the
    caller keeps it back and puts it before the next piece.

    Args:
        text: The rest that the last call returned, followed by the text that has arrived since.
        hide: Hides the secrets in a text.
        forms: The texts of the known secrets, which may span several lines.
        most: The largest length of the rest. If it is longer, its beginning is dropped.
    """
    end = text.rfind("\n") + 1
    lines, unfinished = screened(text[:end], forms, MARK)
    left = unfinished + text[end:]
    return hide(lines), left if len(left) <= most else "…" + left[-most // 2 :].lstrip(_OF_KEYS)


def without_options(text: str) -> str:
    """Hide the secrets in a command line: values of options such as `--api-key`, and logins in addresses.

    Example:
        >>> without_options("serve --api-key=abc pg://me:abc@host/db")
        'serve --api-key=[secret] pg://[secret]@host/db'
    """
    return _OPTION.sub(rf"\1{MARK}", _LOGIN.sub(f"{MARK}@", text))


def struck(text: str) -> str:
    """Remove possible passwords from an address in a text, before the text is shown in an error.

    Everything in the address up to its last @ is removed, and so is its query. Invalid addresses are treated in the
    same way, because a mistyped address may contain a password, too.

    Example:
        >>> struck("openai-chat:m@http://me:secret@host/v1"), struck("http://host/v1?key=secret")
        ('openai-chat:m@http://…@host/v1', 'http://host/v1?…')
    """
    text = hide_secrets(text)  # before anything is cut off, because the cut could leave a part of a secret
    before, scheme, rest = text.partition("://")
    if "@" in rest and _QUERY.search(rest):  # the @ may be part of the query, or the ? part of a password
        return f"{before}{scheme}…"
    return f"{before}{scheme}{_USER.sub('…@', _QUERY.sub(_CUT, rest))}"


def _hider(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that hides these secrets, and the secrets in environment variables, in a text."""
    passed_forms = forms_of(secrets)
    environment_forms = _find_secret_forms(tuple(os.environ.items()))
    forms = [form for form, _ in environment_forms]

    def hide(text: str) -> str:
        text = without(text, passed_forms)
        for form, name in environment_forms:
            if form in text:  # most texts contain no secret, and this check is cheap
                text = text.replace(form, f"[secret {name}]")
        text = str(scrubbed(text, forms, MARK, _LEAST_PART))
        lower = text.lower()
        return _KEY.sub(MARK, text) if any(hint in lower for hint in _HINTS) else text

    return hide


@lru_cache(maxsize=1)
def _find_secret_forms(variables: tuple[tuple[str, str], ...]) -> Sequence[tuple[str, str]]:
    """Return the texts by which to find the secrets in these environment variables, each with the variable's name.

    The longest text comes first, so that a secret that contains another secret is replaced as a whole.
    """
    names: dict[str, str] = {}
    for name, secret in sorted(variables):
        if len(secret) >= LEAST and names_secret(name):
            for form in clear_texts(secret):
                names.setdefault(form, name)
    return sorted(names.items(), key=lambda item: len(item[0]), reverse=True)


def _hide_in_value(value: object, hide: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, BaseModel):
        free = [name for name, info in type(value).model_fields.items() if get_origin(info.annotation) is not Literal]
        return value.model_copy(update={name: _hide_in_value(getattr(value, name), hide) for name in free})
    if isinstance(value, Mapping):
        return {hide(str(key)): _hide_in_value(item, hide) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_hide_in_value(item, hide) for item in value)
    return value
