"""What a server says of another try is obeyed, through each adapter's HTTP client."""

from __future__ import annotations

import pickle

import pytest

from graphengine.models import RateLimiter, Request
from graphengine.models.base import usage_of_failure
from graphengine.models.errors import ModelBusy, ModelError, ModelTransient
from graphengine.models.limiter import limited
from tests.conformance.model_kit import question
from tests.models.acts import Raw
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer


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
