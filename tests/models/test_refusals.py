import pytest
from pydantic import JsonValue

from graphengine.models.errors import (
    AnswerRefused,
    BadRequest,
    ContextFull,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.models.openai_calls import OpenAIServer
from graphengine.models.refusals import complaint, kind_of


def error(
    message: str, code: str | int | None = None, kind: str = "invalid_request_error", param: str = ""
) -> JsonValue:
    """Return an error object as OpenAI writes it."""
    return {"message": message, "type": kind, "param": param, "code": code}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # OpenAI's errors
        (429, error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), QuotaExceeded),
        (429, error("Billing hard limit has been reached", "billing_hard_limit_reached"), QuotaExceeded),
        (429, error("Rate limit reached for gpt-5", "rate_limit_exceeded", "tokens"), RateLimited),
        (429, error("Request too large for gpt-5 on TPM: Limit 9, Requested 99", "rate_limit_exceeded"), BadRequest),
        (400, error("too long", "context_length_exceeded"), ContextFull),
        (400, error("flagged", "content_policy_violation"), AnswerRefused),
        (400, error("flagged", "invalid_prompt"), AnswerRefused),
        (400, error("'temperature' does not fit", "unsupported_parameter", param="temperature"), BadRequest),
        (400, error("invalid model ID", None, param="model"), UnknownModel),
        (400, error("Invalid schema: 'billing_address'", "invalid_json_schema", param="text.format"), BadRequest),
        (403, error("Project does not have access to model", "model_not_found"), UnknownModel),
        (403, error("Country is not supported", "unsupported_country_region_territory"), NotAuthenticated),
        (401, error("Incorrect API key provided", "invalid_api_key"), NotAuthenticated),
        (500, error("The server had an error", None, "server_error"), ModelOverloaded),
        (503, error("Slow down", "slow_down"), ModelOverloaded),
        (409, error("try again", None), ModelOverloaded),
        # other servers' errors
        (404, error("model 'x' not found", None, "not_found_error"), UnknownModel),
        (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, UnknownModel),
        (404, {"detail": "Not Found"}, NoModelServer),
        (404, "404 page not found", NoModelServer),
        (404, "<!DOCTYPE html><html>our model pages</html>", NoModelServer),
        (405, {"detail": "Method Not Allowed"}, NoModelServer),
        (400, "<html><h1>400 Bad Request</h1></html>", NoModelServer),
        (304, "", NoModelServer),
        (401, "<html>log in</html>", NotAuthenticated),
        (502, "<html><h1>502 Bad Gateway</h1></html>", ModelOverloaded),
        (400, {"message": "This model's maximum context length is 4096 tokens.", "code": 400}, ContextFull),
        (400, {"code": 400, "message": "no room", "type": "exceed_context_size_error"}, ContextFull),
        (500, "the request exceeds the available context size", ContextFull),
        (400, error("max_tokens is too large: 9999. This model's maximum context length is 4096"), BadRequest),
        (400, error("x does not support tools", None, "api_error"), BadRequest),
        (422, {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]}, BadRequest),
        (429, error("Insufficient balance", None), QuotaExceeded),
        (402, None, QuotaExceeded),
        (408, "", ModelTimeout),
        (501, error("This server does not support tools", 501, "not_supported_error"), BadRequest),
        (529, None, ModelOverloaded),
        # errors inside an answer with status 200
        (0, error("slow", "rate_limit_exceeded"), RateLimited),
        (0, error("oops", "server_error"), ModelOverloaded),
        (0, error("no", "invalid_image_url"), BadRequest),
        (0, {"message": "bad", "code": 400, "type": "BadRequestError"}, BadRequest),
        (0, {"message": "slow", "code": "429"}, RateLimited),
        (0, error("no room", "context_length_exceeded"), ContextFull),
        (0, "boo", ModelOverloaded),
        (0, None, ModelOverloaded),
    ],
)
def test_errors_of_servers_have_a_class(status: int, body: JsonValue, kind: type[ModelError]) -> None:
    """Codes take precedence over statuses, statuses over messages; pages are not from an API."""
    assert kind_of(complaint(body, status)) is kind


def test_the_error_of_a_missing_key_has_a_repair() -> None:
    """The environment's key is not sent to every server, so the repair names the argument."""
    url = "http://127.0.0.1:1/v1"
    repair = OpenAIServer("openai-chat:x", api_key=None, base_url=url, timeout_seconds=60).refused({}, 401).repair
    assert "pass api_key=" in repair
    assert "sent only to OpenAI" in repair


def test_words_that_are_in_no_known_place_are_shown_whole() -> None:
    """An error object of an unknown form is shown unchanged."""
    assert complaint({"errors": ["a", "b"]}, 400).message == '{"errors": ["a", "b"]}'
