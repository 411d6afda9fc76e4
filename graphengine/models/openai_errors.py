"""The errors of OpenAI's APIs as `ModelError`s, for any server that implements them.

A call fails in one of three forms: the SDK raises, an answer with status 200 holds an error object, or an event of a
stream does. Each becomes a `Complaint`, and `kind_of` decides its class. A code is more precise than a status (an
account without credit is a 429 like any other). Messages are examined last, for servers that send no codes.
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
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.models.openai_parts import text
from graphengine.models.sdk import WHAT, advised, kind_of_status, says_too_long

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
"""The prefixes of codes for invalid requests; there are too many of them to list."""

_VAGUE: Final = frozenset({BadRequest, ModelOverloaded})
"""Classes that a code can name although the status or the message is more precise."""

_TOO_MANY_TO_ANSWER = re.compile(r"max_(completion_|output_)?tokens\W{0,3}.{0,60}too large", re.IGNORECASE)
_OUT_OF_CREDIT = re.compile(r"exceeded your current quota|insufficient (credit|balance|quota|funds)", re.IGNORECASE)
_NEVER_SMALL_ENOUGH = re.compile(r"request too large", re.IGNORECASE)
_PAGE = re.compile(r"\s*(<!doctype|<html|<head|<\?xml)", re.IGNORECASE)
_REFUSED: Final = 400  # statuses from here on are the caller's errors
_FAILED: Final = 500  # and from here on the server's
_LAST: Final = 599
_BEHIND_PAGES: Final = frozenset({401, 403, 429})  # statuses for which a gateway before the API sends an HTML page


@dataclass(frozen=True, slots=True)
class Complaint:
    """A server's report of a failure.

    Attributes:
        status: The HTTP status; 0 if the failure was inside an answer.
        codes: The server's codes, the more specific one first.
        about: The part of the request that it is about.
        message: The server's message.
    """

    status: int = 0
    codes: tuple[str, ...] = ()
    about: str = ""
    message: str = ""

    @property
    def is_page(self) -> bool:
        """Whether the message is an HTML page, and so not from an API."""
        return _PAGE.match(self.message) is not None


def complaint(body: JsonValue, status: int = 0) -> Complaint:
    """Read an error object, in any of the forms that servers use.

    Args:
        body: The error object itself, not its container.
        status: The HTTP status; 0 if it has none of its own. A number as the object's code then takes its place.
    """
    if not isinstance(body, dict):
        return Complaint(status, message=str(body or ""))
    codes = tuple(filter(None, (text(body, "code"), text(body, "type"))))
    number = int(codes[0]) if codes and re.fullmatch(r"[0-9]{3}", codes[0]) else 0
    words = text(body, "message") or text(body, "detail") or text(body, "error")
    return Complaint(
        status or (number if _REFUSED <= number <= _LAST else 0),
        tuple(code for code in codes if not code.isdecimal()),
        text(body, "param"),
        words or (json.dumps(body, ensure_ascii=False) if body else ""),
    )


def kind_of(report: Complaint) -> type[ModelError]:
    """Return the error class for a complaint."""
    coded = next(filter(None, map(_of_code, report.codes)), None)
    found = coded if coded is not None and coded not in _VAGUE else _of_status(report, coded)
    if found is RateLimited and _OUT_OF_CREDIT.search(report.message):
        return QuotaExceeded
    if found is RateLimited and _NEVER_SMALL_ENOUGH.search(report.message):
        return BadRequest
    if found in _VAGUE and says_too_long(report.message) and not _TOO_MANY_TO_ANSWER.search(report.message):
        return ContextFull
    return found


def _of_code(code: str) -> type[ModelError] | None:
    return _BY_CODE.get(code) or (BadRequest if _CALLERS_FAULT.match(code) else None)


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


def failed(report: Complaint, failures: Failures) -> ModelError:
    """Return the error for a complaint."""
    kind = kind_of(report)
    what = WHAT[kind] + (f" (HTTP {report.status})" if report.status else "")
    words = "a page of HTML" if report.is_page else report.message
    return _with_repair(failures.of(kind, what, words), failures)


def _with_repair(error: ModelError, failures: Failures) -> ModelError:
    """Return the error with a repair that is specific to these servers."""
    if isinstance(error, NoModelServer):
        more = "it must be the address of the API itself, which usually ends in /v1, as http://localhost:11434/v1"
        error.repair = f"{error.repair}; {more}"
    if isinstance(error, NotAuthenticated) and not failures.key.known():
        variable = failures.key.variable
        error.repair = f"pass api_key=…; {variable} is sent only to OpenAI and to the server of OPENAI_BASE_URL"
    return error


def not_this_api(failures: Failures, what: str, words: object = "") -> ModelError:
    """Return the error for a response with status 200 that is not an answer of this API."""
    return _with_repair(failures.of(NoModelServer, what, words), failures)


def raised(error: Exception, failures: Failures, *, began: bool = False) -> ModelError:
    """Return the error for an exception of the SDK.

    Args:
        error: The SDK's exception, or one of reading JSON.
        failures: Makes the errors of the called model.
        began: Whether a part of the answer had arrived.
    """
    import httpx2  # noqa: PLC0415 - loaded with the SDK
    import openai  # noqa: PLC0415 - loaded already, since it raised the error

    if isinstance(error, openai.APIStatusError):
        return advised(failed(complaint(_json(error.body), error.status_code), failures), error.response.headers)
    if isinstance(error, (openai.APIConnectionError, httpx2.HTTPError)):
        # The SDK's own message is general; its cause has the details.
        return failures.lost(error if isinstance(error, httpx2.HTTPError) else error.__cause__, began=began)
    if isinstance(error, openai.APIError) and error.body is not None:
        return failed(complaint(_json(error.body)), failures)
    return failures.of(AnswerTorn, WHAT[AnswerTorn], f"{type(error).__name__}: {error}")


def _json(body: object) -> JsonValue:
    """Return a body that the SDK parsed as JSON, or kept as text; None for any other value."""
    return body if isinstance(body, (dict, list, str, int, float)) else None


__all__ = ["Complaint", "complaint", "failed", "kind_of", "not_this_api", "raised"]
