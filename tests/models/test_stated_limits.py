"""What servers state in headers is obeyed, through each adapter's HTTP client: limits, and whether to try again."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from graphengine.errors import ModelBusy, ModelError, ModelTransient
from graphengine.models import RateLimiter, Request
from graphengine.models.base import usage_of_failure
from graphengine.models.limiter import MACHINE_CLOCK, limited, limiter_of
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Says
from tests.models import acts
from tests.models.acts import Raw
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer, WireService


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("path", PATHS)
async def test_no_call_begins_when_the_server_says_that_none_is_left(
    edge: EdgeServer, monkeypatch: pytest.MonkeyPatch, path: str, *, streams: bool
) -> None:
    """Neither after a whole answer nor after a streamed one, for as long as the server states."""
    later = (datetime.now(UTC) + timedelta(seconds=50)).isoformat()
    stated = {
        "/v1/messages": {
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": later,
        }
    }.get(path, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "50s"})
    for headers in (acts._JSON, acts._STREAM):  # noqa: SLF001 - the headers of every answer
        for name, value in stated.items():
            monkeypatch.setitem(headers, name, value)
    model = adapter(path, edge.url, limiter=RateLimiter())
    limiter = limiter_of(model)
    assert limiter is not None
    queue = limiter.queue(MACHINE_CLOCK)
    assert queue.is_free(1)
    WireService(edge, path).play(Says("fine"))
    request = Request("tester", "", [question()], on_text=(lambda _: None) if streams else None)
    assert (await limited(model, request)).content == "fine"
    assert not queue.is_free(1)
    await model.close()


async def refused(edge: EdgeServer, path: str, status: int, asked: str) -> ModelError:
    """Return the error of a call that the server refuses, with what it asks of a retry."""
    headers = {"x-should-retry": asked, "retry-after": "2"}
    edge.play(Raw(status, {"error": {"message": "no room"}}, headers=headers))
    model = adapter(path, edge.url, limiter=RateLimiter())
    with pytest.raises(ModelError) as caught:
        await limited(model, Request("tester", "", [question()]))
    await model.close()
    assert "no room" in str(caught.value)
    assert caught.value.retry_after_seconds == 2.0
    error: ModelError = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own, as it crosses processes
    return error


@pytest.mark.parametrize("status", [429, 503, 504])
@pytest.mark.parametrize("path", PATHS)
async def test_a_call_that_a_server_forbids_to_repeat_is_not_repeated(edge: EdgeServer, path: str, status: int) -> None:
    """Neither by its limiter nor by its node; a router calls another model."""
    error = await refused(edge, path, status, "false")
    assert isinstance(error, ModelBusy)
    assert not error.retryable
    assert len(edge.calls) == 1
    assert bool(usage_of_failure(error)) is (status == 504)


@pytest.mark.parametrize("path", PATHS)
async def test_a_call_that_a_server_asks_to_repeat_is_repeated(edge: EdgeServer, path: str) -> None:
    """Also with a status that is not temporary otherwise."""
    error = await refused(edge, path, 400, "true")
    assert type(error) is ModelTransient
    assert error.retryable
