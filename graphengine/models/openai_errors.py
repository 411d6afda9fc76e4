"""How calls of OpenAI's APIs fail, in our words, whichever server it is.

A failure comes in one of three ways: the SDK raises, an answer with status 200 holds an error object, or an event of a
stream does. All become a `Complaint`, and one function, `kind_of`, decides what it is. Codes tell more than statuses
(an account without credit is a 429 like any other), and words are looked at last, for servers that have no codes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.errors import (
    AnswerRefused,
    AnswerTorn,
    BadRequest,
    ContextFull,
    ModelOverloaded,
    ModelTimeout,
    ModelUnreachable,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.models.openai_parts import text
from graphengine.models.sdk import kind_of_status, nothing_used, retry_after, says_too_long

if TYPE_CHECKING:
    from pydantic import JsonValue

    from graphengine.errors import ModelError
    from graphengine.models.sdk import Failures

_BY_CODE: Final[dict[str, type[ModelError]]] = {
    "account_deactivated": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "billing_not_active": QuotaExceeded,
    "insufficient_quota": QuotaExceeded,
    "payment_required": QuotaExceeded,
    "context_length_exceeded": ContextFull,
    "exceed_context_size_error": ContextFull,
    "bio_policy": AnswerRefused,
    "content_filter": AnswerRefused,
    "content_policy_violation": AnswerRefused,
    "cyber_policy": AnswerRefused,
    "invalid_prompt": AnswerRefused,
    "misalignment_policy_violation": AnswerRefused,
    "authentication_error": NotAuthenticated,
    "invalid_api_key": NotAuthenticated,
    "permission_error": NotAuthenticated,
    "model_not_found": UnknownModel,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "engine_overloaded": ModelOverloaded,
    "internal_error": ModelOverloaded,
    "internal_server_error": ModelOverloaded,
    "overloaded_error": ModelOverloaded,
    "server_error": ModelOverloaded,
    "server_overloaded": ModelOverloaded,
    "service_unavailable": ModelOverloaded,
    "slow_down": ModelOverloaded,
    "timeout": ModelTimeout,
    "vector_store_timeout": ModelTimeout,
    "unsupported_country_region_territory": NotAuthenticated,
    "data_residency_mismatch": BadRequest,
    "invalid_request_error": BadRequest,
    "bad_request_error": BadRequest,
    "request_too_large": BadRequest,
}
_CALLERS_FAULT = re.compile(r"(invalid|missing|unknown|unsupported)_")
"""How codes begin that are about the request; there are too many of them to list."""

_VAGUE: Final = frozenset({BadRequest, ModelOverloaded})
"""What a code can say although the status, or the words, know better."""

_WHAT: Final[dict[type[ModelError], str]] = {
    AnswerRefused: "refused to answer",
    AnswerTorn: "gave an answer that cannot be read",
    BadRequest: "does not accept the request",
    ContextFull: "has no room for a question of this length",
    ModelOverloaded: "is overloaded, or has an error of its own",
    ModelTimeout: "did not answer in time",
    ModelUnreachable: "cannot be reached, or the connection broke",
    NoModelServer: "is not at this address: something else answers there",
    NotAuthenticated: "does not accept the API key, or not for this",
    QuotaExceeded: "refuses, since the account has nothing left to spend",
    RateLimited: "takes no more calls for a moment",
    UnknownModel: "is not a model that the server knows",
}

_TOO_MANY_TO_ANSWER = re.compile(r"max_(completion_|output_)?tokens\W{0,3}.{0,60}too large", re.IGNORECASE)
_OUT_OF_CREDIT = re.compile(r"exceeded your current quota|insufficient (credit|balance|quota|funds)", re.IGNORECASE)
_NEVER_SMALL_ENOUGH = re.compile(r"request too large", re.IGNORECASE)
_PAGE = re.compile(r"\s*(<!doctype|<html|<head|<\?xml)", re.IGNORECASE)
_REFUSED: Final = 400  # from here on statuses are those of the caller's mistakes
_FAILED: Final = 500  # and from here on the server's
_LAST: Final = 599
_BEHIND_PAGES: Final = frozenset({401, 403, 429})  # what a gateway before the API says, with a page of its own


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server says of a failure.

    Attributes:
        status: The HTTP status; 0 where the failure came inside an answer.
        codes: The codes it gives, the more telling one first.
        about: Which part of the request it is about.
        message: Its words.
        retry_after_seconds: For how long it asks to be left alone.
    """

    status: int = 0
    codes: tuple[str, ...] = ()
    about: str = ""
    message: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people, and so none of an API's."""
        return _PAGE.match(self.message) is not None


def complaint(body: JsonValue, status: int = 0, retry_after_seconds: float | None = None) -> Complaint:
    """What an error object says, in any of the forms that servers use.

    Args:
        body: It; the object itself, not what it stands in.
        status: The HTTP status; 0 where there is none of its own. A number as the object's code stands in for that.
        retry_after_seconds: For how long the server asks to be left alone.
    """
    if not isinstance(body, dict):
        return Complaint(status, message=str(body or ""), retry_after_seconds=retry_after_seconds)
    codes = tuple(filter(None, (text(body, "code"), text(body, "type"))))
    number = int(codes[0]) if codes and re.fullmatch(r"[0-9]{3}", codes[0]) else 0
    words = text(body, "message") or text(body, "detail") or text(body, "error")
    return Complaint(
        status or (number if _REFUSED <= number <= _LAST else 0),
        tuple(code for code in codes if not code.isdecimal()),
        text(body, "param"),
        words or (json.dumps(body, ensure_ascii=False) if body else ""),
        retry_after_seconds,
    )


def kind_of(said: Complaint) -> type[ModelError]:
    """The kind of error that a complaint stands for."""
    coded = next(filter(None, map(_of_code, said.codes)), None)
    found = coded if coded is not None and coded not in _VAGUE else _of_status(said, coded)
    if found is RateLimited and _OUT_OF_CREDIT.search(said.message):
        return QuotaExceeded
    if found is RateLimited and _NEVER_SMALL_ENOUGH.search(said.message):
        return BadRequest
    if found in _VAGUE and says_too_long(said.message) and not _TOO_MANY_TO_ANSWER.search(said.message):
        return ContextFull
    return found


def _of_code(code: str) -> type[ModelError] | None:
    return _BY_CODE.get(code) or (BadRequest if _CALLERS_FAULT.match(code) else None)


def _of_status(said: Complaint, coded: type[ModelError] | None) -> type[ModelError]:
    if not said.status:
        return coded or ModelOverloaded
    if said.status < _REFUSED or (said.is_page and said.status < _FAILED and said.status not in _BEHIND_PAGES):
        return NoModelServer
    found = kind_of_status(said.status)
    if found is UnknownModel and "model" not in f"{said.about} {said.message}".lower():
        return NoModelServer
    if found is BadRequest and said.about == "model":
        return UnknownModel
    return found


def failed(said: Complaint, failures: Failures) -> ModelError:
    """The error for a complaint."""
    kind = kind_of(said)
    what = _WHAT[kind] + (f" (HTTP {said.status})" if said.status else "")
    words = "a page of HTML" if said.is_page else said.message
    return told(failures.of(kind, what, words, retry_after_seconds=said.retry_after_seconds), failures)


def told(error: ModelError, failures: Failures) -> ModelError:
    """The error, with what only users of these servers need to know in its repair."""
    if isinstance(error, NoModelServer):
        more = "it must be where the API itself is, which mostly ends in /v1, as http://localhost:11434/v1"
        error.repair = f"{error.repair}; {more}"
    if isinstance(error, AnswerRefused):
        error.repair = "change what is asked, or take another model"
    if isinstance(error, NotAuthenticated) and not failures.key.known():
        variable = failures.key.variable
        error.repair = f"pass api_key=…; {variable} is sent to OpenAI, and to the server of OPENAI_BASE_URL, alone"
    return error


def not_said(failures: Failures, what: str, said: object = "") -> ModelError:
    """The error for what is no answer of this API at all, though it came with status 200."""
    return told(failures.of(NoModelServer, what, said), failures)


def raised(error: Exception, failures: Failures, *, began: bool = False) -> ModelError:
    """The error for what the SDK raised.

    Args:
        error: One of the SDK's, or what reading JSON raises.
        failures: Of the model that was called.
        began: Whether a part of the answer had come.
    """
    import httpx2  # noqa: PLC0415 - loaded with the SDK
    import openai  # noqa: PLC0415 - who has its errors has loaded it

    if isinstance(error, openai.APIStatusError):
        headers = error.response.headers
        return failed(complaint(_json(error.body), error.status_code, retry_after(headers)), failures)
    if isinstance(error, (openai.APIConnectionError, httpx2.HTTPError)):
        return _broken(error, failures, began=began)
    if isinstance(error, openai.APIError) and error.body is not None:
        return failed(complaint(_json(error.body)), failures)
    return failures.of(AnswerTorn, _WHAT[AnswerTorn], f"{type(error).__name__}: {error}")


def _json(body: object) -> JsonValue:
    """What the SDK read, which is JSON, or text where it was none."""
    return body if isinstance(body, (dict, list, str, int, float)) else None


def _broken(error: Exception, failures: Failures, *, began: bool) -> ModelError:
    """The error for a connection that failed; the SDK's own words say nothing, those of what caused it do."""
    import httpx2  # noqa: PLC0415 - loaded with the SDK
    import openai  # noqa: PLC0415 - as above

    cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__
    words = "" if cause is None else f"{type(cause).__name__} {cause}".strip()
    timed_out = isinstance(error, (openai.APITimeoutError, httpx2.TimeoutException))
    if timed_out and not isinstance(cause, httpx2.ConnectTimeout):
        return failures.of(ModelTimeout, _WHAT[ModelTimeout], words)
    if began:
        return failures.of(AnswerTorn, "broke off its answer", words)
    lost = failures.of(ModelUnreachable, _WHAT[ModelUnreachable], words)
    lost.usage = nothing_used(cause)
    return lost


__all__ = ["Complaint", "complaint", "failed", "kind_of", "not_said", "raised", "told"]
