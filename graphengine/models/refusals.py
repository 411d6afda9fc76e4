"""Interpret a provider's refusal: the class of error, what happened, a repair, and how long to wait.

A call fails in one of three forms: the SDK raises an error, an answer with status 200 contains an error object, or an
event of a stream contains one. Each of them is converted to a `Complaint`, and `kind_of` decides its error class. A
code is more precise than a status (an account without credit has the status 429, as a rate limit has). Messages are
examined last, for servers that send no codes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Final

from graphengine.kernel.extension import clipped, utf8_text
from graphengine.models.base import usage_of_failure
from graphengine.models.errors import (
    AnswerRefused,
    AnswerTorn,
    BadRequest,
    ContextFull,
    ModelBusy,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelTransient,
    ModelUnreachable,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.models.hiding import hide_secrets, start_of
from graphengine.models.received import inside, list_at, text
from graphengine.models.server_words import ANSWER_TOO_LONG, SAYS_NO_MODEL, SAYS_REFUSED_SCHEMA, SAYS_TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

LONGEST_WAIT_SECONDS: Final = 3600.0
"""The limit of `retry-after`. A longer time is the result of a wrong clock."""

SHOWN_CHARACTERS: Final = 600
"""The largest number of characters that an error shows of a text from outside."""

WHAT: Final[dict[type[ModelError], str]] = {
    AnswerRefused: "refused to answer",
    AnswerTorn: "returned an answer that is incomplete or unreadable",
    BadRequest: "does not accept the request",
    ContextFull: "received a question that is longer than its context window",
    ModelOverloaded: "is overloaded, or has an internal error",
    ModelTimeout: "did not answer in time",
    ModelUnreachable: "cannot be reached, or the connection broke",
    NoModelServer: "was not found at this address, where another kind of server answers",
    NotAuthenticated: "does not accept the API key, or the key does not allow this request",
    QuotaExceeded: "refuses the request, because the account has no credit or quota left",
    RateLimited: "limits the rate of calls",
    UnknownModel: "is not a model that the server knows",
}
"""What happened, by the class of the error; used by `Server.error`."""

REPAIRS: Final[dict[type[ModelError], str]] = {
    AnswerRefused: "change the prompt, or use another model",
    AnswerTorn: "try again. If the error happens again, check the proxies between this machine and {address}",
    BadRequest: "change the part of the request that the provider names. The agent's settings and output type are in "
    "the request",
    ContextFull: "send less: a shorter prompt, fewer messages in memory, smaller results of tools. Or use a model "
    "with a larger context window",
    ModelOverloaded: "try again later, or add another model: Router([...])",
    ModelTimeout: "try again, increase timeout_seconds=, or ask for less",
    ModelUnreachable: "check that the server runs and can be reached from this machine. The address is {address}",
    NoModelServer: "check base_url= of the model. The address is {address}",
    NotAuthenticated: "check the API key in {variable} or api_key=, and the permissions of the key",
    QuotaExceeded: "check the account's credit and limits. Trying again does not help",
    RateLimited: "make fewer calls at a time, or add another model: Router([...])",
    UnknownModel: "check the model's name, and whether this account may use it",
}
"""What to do, by the class of the error. `{address}` and `{variable}` are filled in for the server."""


_READ_CHARACTERS: Final = 10 * SHOWN_CHARACTERS


def shorten_outside_text(text: object, *keys: str) -> str:
    """Prepare a text of a server for an error message: one line, at most 600 characters, without keys, valid as UTF-8.

    Example:
        >>> shorten_outside_text("Incorrect API key provided: sk-ant-12345678")
        'Incorrect API key provided: [secret]'
    """
    start = hide_secrets(utf8_text(start_of(str(text), _READ_CHARACTERS)), known=keys)  # the text may have megabytes
    return clipped(" ".join(start.split()), SHOWN_CHARACTERS)


_BY_STATUS: Final[dict[int, type[ModelError]]] = {
    401: NotAuthenticated,
    402: QuotaExceeded,
    403: NotAuthenticated,
    404: UnknownModel,
    405: NoModelServer,
    408: ModelTimeout,
    409: ModelOverloaded,
    413: ContextFull,
    425: ModelOverloaded,
    429: RateLimited,
    499: ModelOverloaded,
    501: BadRequest,
    504: ModelTimeout,
}


def kind_of_status(status: int) -> type[ModelError]:
    """Return the error class for an HTTP status, for a response that says nothing more precise."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ModelOverloaded if status >= 500 else BadRequest  # noqa: PLR2004 - HTTP's own border


_BY_CODE: Final[dict[str, type[ModelError]]] = {
    "account_deactivated": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "billing_not_active": QuotaExceeded,
    "insufficient_quota": QuotaExceeded,
    "payment_required": QuotaExceeded,
    "context_length_exceeded": ContextFull,
    "exceed_context_size_error": ContextFull,
    "model_max_prompt_tokens_exceeded": ContextFull,
    "request_too_large": ContextFull,
    "tokens_limit_reached": ContextFull,
    "bio_policy": AnswerRefused,
    "content_filter": AnswerRefused,
    "content_policy_violation": AnswerRefused,
    "cyber_policy": AnswerRefused,
    "data_inspection_failed": AnswerRefused,
    "flagged_input": AnswerRefused,
    "invalid_prompt": AnswerRefused,
    "misalignment_policy_violation": AnswerRefused,
    "billing_error": QuotaExceeded,
    "authentication_error": NotAuthenticated,
    "invalid_api_key": NotAuthenticated,
    "permission_error": NotAuthenticated,
    "model_not_found": UnknownModel,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "api_key_invalid": NotAuthenticated,
    "permission_denied": NotAuthenticated,
    "unauthenticated": NotAuthenticated,
    "resource_exhausted": RateLimited,
    "deadline_exceeded": ModelTimeout,
    "internal": ModelOverloaded,
    "unavailable": ModelOverloaded,
    "api_error": ModelOverloaded,
    "engine_overloaded": ModelOverloaded,
    "internal_error": ModelOverloaded,
    "internal_server_error": ModelOverloaded,
    "overloaded_error": ModelOverloaded,
    "server_error": ModelOverloaded,
    "server_overloaded": ModelOverloaded,
    "service_unavailable": ModelOverloaded,
    "slow_down": ModelOverloaded,
    "timeout": ModelTimeout,
    "timeout_error": ModelTimeout,
    "vector_store_timeout": ModelTimeout,
    "unsupported_country_region_territory": NotAuthenticated,
    "data_residency_mismatch": BadRequest,
    "invalid_request_error": BadRequest,
    "bad_request_error": BadRequest,
}
_CALLERS_FAULT = re.compile(r"(invalid|missing|unknown|unsupported)_")
"""The prefixes of codes for invalid requests. There are too many codes to list them all."""

_VAGUE: Final = frozenset({BadRequest, ModelOverloaded})
"""Classes that a code may name although the status or the message is more precise."""

_OUT_OF_CREDIT = re.compile(
    r"exceeded your current quota|insufficient (credit|balance|quota|funds)|spend(ing)?[ _]limit", re.IGNORECASE
)
_NO_MONEY = re.compile(r"credit balance|usage limits?\b|spend(ing)?[ _]limit|billing", re.IGNORECASE)
"""Texts about missing credit in a refusal whose status means a bad request or a bad key."""
_TOO_FAST = re.compile(r"\brate[ _-]?limit|too many requests|throttl", re.IGNORECASE)
"""Texts about too many calls in a refusal whose status means a bad request or a bad key."""
_BAD_KEY = re.compile(
    r"\bapi[ _-]?key\b.{0,12}\b(not valid|invalid|incorrect|not found|expired|missing)"
    r"|\b(invalid|incorrect|expired|missing|no) api[ _-]?key\b",
    re.IGNORECASE,
)
"""Texts about a refused key in a refusal whose status means a bad request."""
_FLAGGED = re.compile(
    r"\b(input|output|prompt|content|messages?) (was|were|is|are|has been|have been) flagged"
    r"|\b(input|output|prompt|content|messages?) (that |may |might )?violates? "
    r"(our |the |\w+'s )?(content|usage|safety)\b"
    r"|\bcontent exists risk|\bblocked by (our |the |a )?content[ _-](filter|moderation|polic)"
    r"|\b(input|output)( data| text)? may contain inappropriate content\b",
    re.IGNORECASE,
)
"""Texts with which moderation refuses this one question or answer, and not an account, a key or a setting."""
_OF_MODERATION: Final = frozenset({0, 400, 403})
"""The statuses that moderation uses. 0 is a failure inside an answer. A 422 may quote the question itself."""
_OF_ANSWER = re.compile(r"\bmax_?(completion_?|output_?|new_?)?tokens\b", re.IGNORECASE)
_MOST = re.compile(r"(?:>|at most|maximum[^.\d]*|up to|less than or equal to|limit of)\s*`?(\d[\d,]*)", re.IGNORECASE)
_OF_LIMIT: Final = {
    "requests": re.compile(r"\brequests?[ -](?:per|limit|rate)|\bRP[MD]\b", re.IGNORECASE),
    "tokens": re.compile(r"\btokens?[ -](?:per|limit|rate)|\bTP[MD]\b", re.IGNORECASE),
}
"""The texts of refusals that name a rate limit, by the kind of limit in OpenAI's headers."""
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME: Final = r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)"
_WAIT = re.compile(
    rf"\b(?:try again|retry|wait)(?: (?:in|after|for|about|at least))*:?\s+((?:{_TIME}\b\s*,?\s*|{_TIME}(?=\d))+)",
    re.IGNORECASE,
)
_NEVER_SMALL_ENOUGH = re.compile(r"request too large", re.IGNORECASE)
"""The text about a request that alone has more tokens than the account may send in a minute.

Waiting does not help in this case, but a shorter request does.
"""
_CALL = re.compile(r"error parsing tool call: raw='(.*)', err=|^Failed to parse input at pos \d+: (.+)", re.DOTALL)
"""The texts with which Ollama and llama.cpp report that they cannot parse the model's tool call."""
_PAGE = re.compile(r"\s*(<!doctype|<html|<head|<\?xml)", re.IGNORECASE)
_REFUSED: Final = 400  # statuses from here on are errors of the caller
_FAILED: Final = 500  # statuses from here on are errors of the server
_LAST: Final = 599
_MAY_BE_CALLERS: Final = frozenset({0, 500})
"""Statuses with which a server may report a fault of the request. 0 is a failure inside an answer."""
_TOO_LARGE: Final = 413
_IS_LOADING: Final = 503  # with this status a server may say that its model is not loaded yet
_BEHIND_PAGES: Final = frozenset(
    {401, 403, _TOO_LARGE, 429}
)  # statuses for which a gateway in front of the API sends an HTML page


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server reported about a call that failed, read from an error response or from an error inside an answer.

    Attributes:
        status: The HTTP status; 0 if the failure was inside an answer.
        codes: The server's codes, the more specific one first.
        about: The part of the request to which the failure refers.
        message: The server's message.
        wait_seconds: How long the message asks to wait; None if it does not ask.
        call: A tool call that the model wrote and the server could not parse; "" if there is none.
    """

    status: int = 0
    codes: tuple[str, ...] = ()
    about: str = ""
    message: str = ""
    wait_seconds: float | None = None
    call: str = ""

    @property
    def is_page(self) -> bool:
        """Whether the server's message is an HTML page.

        Such a page comes from a web server or a gateway, and not from the API of a model.
        """
        return _PAGE.match(self.message) is not None


NO_COMPLAINT: Final = Complaint()


def complaint(body: JsonValue, status: int = 0) -> Complaint:
    """Read the error object of a response. Servers use several forms, all of which are understood.

    Args:
        body: The value of the field `error`, not the object that contains the field.
        status: The HTTP status; 0 if it is unknown. If the object's code is a number, it is used instead.
    """
    if not isinstance(body, dict):
        words = str(body or "")
        return Complaint(
            status, message=words, wait_seconds=_read_asked_seconds(words), call=_extract_unread_call(words)
        )
    details = [inside(body, "details"), *list_at(body, "details")]
    named = [text(each, key) for each in details for key in ("error_code", "reason")]
    metadata = inside(body, "metadata")  # OpenRouter's; its moderation sends no code, only the flagged input
    named.append("flagged_input" if "flagged_input" in metadata else "")
    codes = tuple(filter(None, (*named, text(body, "code"), text(body, "type"), text(body, "status").lower())))
    number = int(codes[0]) if codes and re.fullmatch(r"[0-9]{3}", codes[0]) else 0
    words = text(body, "message") or text(body, "detail") or text(body, "error")
    if raw := text(metadata, "raw"):  # OpenRouter's own message only says that its provider refused
        words = f"{words}: {raw}"
    return Complaint(
        status or (number if _REFUSED <= number <= _LAST else 0),
        tuple(code for code in codes if not code.isdecimal()),
        text(body, "param"),
        words or (json.dumps(body, ensure_ascii=False) if body else ""),
        _read_asked_seconds(f"retry in {text(details[-1], 'retryDelay')}") or _read_asked_seconds(words),
        text(body, "failed_generation") if "tool_use_failed" in codes else _extract_unread_call(words),
    )


def _read_asked_seconds(words: str) -> float | None:
    """Find in a message how many seconds the server asks to wait; None if it does not ask.

    Example:
        >>> said = ["Please try again in 6m0.5s.", "Please retry after 26 seconds.", "Try again later."]
        >>> tuple(_read_asked_seconds(words) for words in said)
        (360.5, 26.0, None)
    """
    found = _WAIT.search(words)
    seconds = _read_duration(found[1]) if found else None
    return None if seconds is None else min(seconds, LONGEST_WAIT_SECONDS)


def _read_duration(words: str) -> float | None:
    """Convert a duration such as `6m0.5s` to seconds; None if the text contains no duration."""
    times = re.findall(_TIME, words)
    seconds = 0.0
    for number, unit in times:
        seconds += float(number) * _UNITS["ms" if unit.lower().startswith(("ms", "mil")) else unit[0].lower()]
    return seconds if times else None


def _extract_unread_call(words: str) -> str:
    """Return the model's tool call that the server could not parse, if its message quotes the call; otherwise ""."""
    found = _CALL.search(words)
    return "" if found is None else next(filter(None, found.groups()), "")


def kind_of(report: Complaint) -> type[ModelError]:  # noqa: PLR0911 - a rule each
    """Decide which class of `ModelError` to raise for the error that a server reported."""
    kinds = (
        _BY_CODE.get(code.lower()) or (BadRequest if _CALLERS_FAULT.match(code) else None) for code in report.codes
    )
    coded = next(filter(None, kinds), None)
    found = coded if coded is not None and coded not in _VAGUE else _of_schema(report, coded)
    words = " ".join((*report.codes, report.message))
    is_vague = found in {BadRequest, NotAuthenticated} and not report.about
    if found is RateLimited and _OUT_OF_CREDIT.search(words) and report.wait_seconds is None:
        return QuotaExceeded
    if is_vague and _NO_MONEY.search(words):
        return QuotaExceeded
    if is_vague and _TOO_FAST.search(words):
        return RateLimited
    if is_vague and _BAD_KEY.search(report.message):
        return NotAuthenticated
    if found is RateLimited and (report.status == _TOO_LARGE or _NEVER_SMALL_ENOUGH.search(report.message)):
        return ContextFull
    if found in _VAGUE and SAYS_TOO_LONG.search(report.message) and not ANSWER_TOO_LONG.search(report.message):
        return ContextFull
    if found in _VAGUE and report.status != _IS_LOADING and SAYS_NO_MODEL.search(report.message):
        return UnknownModel
    may_be_flagged = is_vague and coded is not NotAuthenticated and report.status in _OF_MODERATION
    return AnswerRefused if may_be_flagged and _FLAGGED.search(report.message) else found


def _of_schema(report: Complaint, coded: type[ModelError] | None) -> type[ModelError]:
    """Return the class for a status, or BadRequest if the server failed because it cannot use a schema."""
    found = _of_status(report, coded)
    may_be_schema = found is ModelOverloaded and report.status in _MAY_BE_CALLERS and not report.call
    return BadRequest if may_be_schema and SAYS_REFUSED_SCHEMA.search(report.message) else found


def _of_status(report: Complaint, coded: type[ModelError] | None) -> type[ModelError]:
    if not report.status:
        return coded or ModelOverloaded
    if report.status < _REFUSED or (report.is_page and report.status < _FAILED and report.status not in _BEHIND_PAGES):
        return NoModelServer
    found = kind_of_status(report.status)
    if found is UnknownModel and "model" not in f"{report.about} {report.message}".lower():
        return NoModelServer
    if found is BadRequest and report.about == "model":
        return UnknownModel
    return found


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read from the headers of a response how many seconds the server asks to wait; None if it does not ask.

    `retry-after-ms` is more precise than `retry-after` and is therefore read first.

    Args:
        headers: A response's headers. The mapping decides whether names are case-sensitive.
    """
    seconds = _parse_finite_number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        text = headers.get("retry-after")
        seconds = _parse_finite_number(text)
        if seconds is None:
            seconds = _seconds_until(text)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def seconds_until_reset(headers: Mapping[str, str], report: Complaint) -> float | None:
    """Read from OpenAI's headers when the limit that refused a call is reset; None if the headers do not say.

    A provider limits both the number of requests and the number of tokens, and a response says when each of the two
    limits is reset. The limit that refused the call is the one that the refusal names. Otherwise it is the one that is
    used up, or of which the smaller share remains. A limit can refuse a call although some of it remains: a call that
    needs 900 tokens is refused if 17 tokens remain.

    Args:
        headers: A response's headers. The mapping decides whether names are case-sensitive.
        report: What the server reported about the refused call.

    Example:
        >>> headers = {"x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "6m0s"}
        >>> seconds_until_reset(headers, Complaint(429, message="Limit reached on requests per min (RPM): Limit 3"))
        0.012
        >>> seconds_until_reset(headers, Complaint(429, message="Limit reached on tokens per min (TPM): Limit 9000"))
        360.0
    """
    resets: dict[str, float] = {}
    for kind in ("requests", "tokens"):
        text = headers.get(f"x-ratelimit-reset-{kind}") or ""
        seconds = _parse_finite_number(text)  # Azure sends seconds without a unit
        seconds = _read_duration(text) if seconds is None else seconds
        if seconds is not None:
            resets[kind] = min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
    if not resets:
        return None
    named = [kind for kind in resets if kind in report.codes or _OF_LIMIT[kind].search(report.message)]
    shares = {kind: _remaining_share(headers, kind) for kind in resets}
    chosen = named if len(named) == 1 else [kind for kind in resets if shares[kind] == min(shares.values())]
    return max(resets[kind] for kind in chosen)


def _remaining_share(headers: Mapping[str, str], kind: str) -> float:
    """Return which share of a limit remains: 0.0 if it is used up, 1.0 if the headers do not say."""
    remaining = _parse_finite_number(headers.get(f"x-ratelimit-remaining-{kind}"))
    most = _parse_finite_number(headers.get(f"x-ratelimit-limit-{kind}"))
    if not remaining:
        return 1.0 if remaining is None else 0.0
    return remaining / most if most else 1.0


def repaired(error: ModelError, report: Complaint) -> ModelError:
    """If the server refused a request because of the length of the answer, advise the user to change `max_tokens`.

    Returns the same error, with the advice in its `repair`.
    """
    if _OF_ANSWER.search(f"{report.about} {report.message}"):
        most = None if SAYS_TOO_LONG.search(report.message) else _MOST.search(report.message)
        repair = f"give Settings(max_tokens={most[1].replace(',', '') if most else '…'}), the limit for an answer"
        if isinstance(error, BadRequest):
            error.repair = repair
        elif isinstance(error, ContextFull):
            error.repair = f"{error.repair}; or {repair}"
    return error


def advised(error: ModelError, headers: Mapping[str, str], report: Complaint = NO_COMPLAINT) -> ModelError:
    """Set when a refused call may be repeated, from the headers of the server's response, and return the error.

    If the headers do not ask to wait, temporary errors get the time that the server's message names. Otherwise an error
    about a rate limit gets the time until the limit is reset.

    The header `x-should-retry` decides whether the error counts as temporary, even against the HTTP status. Errors for
    which another attempt cannot help, such as a wrong key, stay permanent.
    """
    error.retry_after_seconds = retry_after(headers)
    if error.retry_after_seconds is None and isinstance(error, ModelTransient):
        error.retry_after_seconds = report.wait_seconds
    if error.retry_after_seconds is None and isinstance(error, RateLimited):
        error.retry_after_seconds = seconds_until_reset(headers, report)
    advice = headers.get("x-should-retry")
    kind: type[ModelError] | None = None
    if advice == "false" and isinstance(error, ModelTransient):
        kind = ModelBusy
    elif advice == "true" and type(error) in {BadRequest, ModelError}:
        kind = ModelTransient
    if kind is None:
        return error
    asks = f"; the server asks {'' if advice == 'true' else 'not '}to try again"
    found = kind(error.message + asks, where=error.where, repair=error.repair)
    found.retry_after_seconds, found.usage = error.retry_after_seconds, usage_of_failure(error)
    return found


def _parse_finite_number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None


def _seconds_until(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()


__all__ = [
    "REPAIRS",
    "WHAT",
    "Complaint",
    "advised",
    "complaint",
    "kind_of",
    "kind_of_status",
    "repaired",
    "retry_after",
    "seconds_until_reset",
    "shorten_outside_text",
]
