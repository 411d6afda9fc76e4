from graphengine.models.openai_calls import OpenAIServer
from graphengine.models.refusals import complaint, kind_of, retry_after


def kind(status, body):
    return kind_of(complaint(body, status)).__name__


def error(status, message, code=None, kind_="invalid_request_error", param=""):
    """Return the class of an error as OpenAI writes it."""
    return kind(status, {"message": message, "type": kind_, "param": param, "code": code})


def shown(found):
    return f"{found.message}\n  repair: {found.repair}"


SERVER = OpenAIServer("openai-chat:x", api_key=None, base_url="http://127.0.0.1:1/v1", timeout_seconds=60)
GEMINI_KEY = {
    "code": 400,
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}
GEMINI_QUOTA = {
    "code": 429,
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}],
}
WAITS = [
    "Please try again in 2.2s. Visit …",
    "Please try again in 6m0.5s.",
    "Please try again in 120ms.",
    "Please retry after 26 seconds.",
    "Please wait 2 minutes before retrying",
    "Try again later",
]


def reset(*words, status=429, **headers):
    """Return how long a refused call waits, whose headers say when a rate limit is reset."""
    texts = dict(zip(("message", "type"), words, strict=False))
    named = {name if name == "retry-after" else f"x-ratelimit-{name}": value for name, value in headers.items()}
    return SERVER.refused(texts, status, named).retry_after_seconds
