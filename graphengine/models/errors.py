"""The errors of model calls, with one class for each case that a program may want to distinguish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.errors import NodeError, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping


class ModelError(NodeError):
    """A call of a model failed. The subclass says why. Trying again can only help if `retryable` is true.

    Args:
        message: The description of the failure.
        where: The place of the failure.
        repair: What the user can do about the failure.
        retry_after_seconds: How long the provider asks to wait. No attempt is made before that.

    Attributes:
        usage: The usage of the failed call as far as its provider reported it, with the names that steps record; {} for
            no usage, None if it is unknown.
        unread_call: The tool call that the model wrote and the server could not parse; "" if there was no such call.
    """

    code = "model_error"
    retryable = False
    usage: Mapping[str, object] | None = None
    unread_call = ""

    def __init__(
        self, message: str, *, where: str = "", repair: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message, where=where, repair=repair)
        self.retry_after_seconds = retry_after_seconds


class ModelTransient(ModelError, Transient):
    """A model call failed for a reason that may pass. The node of an agent repeats such a call by default."""

    code = "model_transient"
    retryable = True


class RateLimited(ModelTransient):
    """The provider accepts no more calls for now."""

    code = "rate_limited"


class ModelOverloaded(ModelTransient):
    """The provider is overloaded or has an internal error."""

    code = "model_overloaded"


class ModelBusy(ModelTransient):
    """The provider refused the call for longer than the rate limiter's patience, or asked not to be called again."""

    code = "model_busy"
    retryable = False  # the call was already retried for the allowed time


class ModelUnreachable(ModelTransient):
    """The provider's server cannot be reached, or the connection broke."""

    code = "model_unreachable"


class ModelTimeout(ModelTransient, TimeoutError):
    """The provider did not answer in time."""

    code = "model_timeout"


class AnswerTorn(ModelTransient):
    """The connection broke before the answer was complete, or the answer cannot be parsed."""

    code = "answer_torn"


class ModelNotReady(ModelError):
    """No call of this model can succeed until somebody fixes a key, an account, a name, an address or a limit.

    After a `ModelNotReady` error, the run fails, and can be resumed where it stopped. Patterns that usually continue
    when one of their parts fails do not continue after this error, because every other call of the model would fail in
    the same way.
    """

    code = "model_not_ready"


class QuotaExceeded(ModelNotReady):
    """The account has used up its quota or its credit."""

    code = "quota_exceeded"


class NotAuthenticated(ModelNotReady):
    """The provider rejects the API key, or the key lacks the permission."""

    code = "not_authenticated"


class BadRequest(ModelError):
    """The provider rejects the request as invalid."""

    code = "bad_request"


class UnknownModel(ModelNotReady):
    """The provider has no model with this name."""

    code = "unknown_model"


class NoModelServer(ModelNotReady):
    """The server at this address is not a model API."""

    code = "no_model_server"


class ContextFull(ModelError):
    """The prompt is larger than the model's context window."""

    code = "context_full"


class AnswerRefused(ModelError):
    """The model, or its provider, refused to answer."""

    code = "answer_refused"


class AnswerCut(ModelError):
    """The answer was cut off at the token limit."""

    code = "answer_cut"


class PriceUnknown(ModelNotReady):
    """The run has a cost limit, but the price of the model is unknown, so the limit cannot be enforced."""

    code = "price_unknown"


class ModelUnavailable(ModelNotReady):
    """The agent's model cannot be used on this machine: the API key or SDK is missing, or the provider is unknown."""

    code = "model_unavailable"
    of_set_up = True
