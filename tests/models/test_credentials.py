"""Credentials in a model's address are neither shown nor recorded."""

from __future__ import annotations

import traceback

import pytest

from graphengine.cli.models import _where  # pyright: ignore[reportPrivateUsage]
from graphengine.errors import DefinitionError
from graphengine.models import Request
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.errors import ModelError, ModelUnavailable, ModelUnreachable
from graphengine.models.hiding import struck
from graphengine.models.names import model_of
from graphengine.models.openai_chat import OpenAIChatModel
from tests.conformance.model_kit import question
from tests.models.test_conformance import free_address

NAMES = (
    "openai-chat:m@http://me:secret@host/v1",
    "openai-chat:m@http://me:se/cret@secret@host/v1",
    "openai-chat:m@http://host/v1?key=secret",
    "openai-chat:m@http://host/v1#secret",
    "openai-chat:m@htp://me:secret@host/v1",
    "openai:m@http://me:secret@",
    "anthropic:m@https://:secret@host",
    "ollama:m@http://me:secret@host/v1",
    "me:secret://me:secret@host?key=secret",
)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_name_with_credentials_is_refused_without_them(name: str) -> None:
    """Names are recorded and appear in suggested commands; the error does not contain the credentials."""
    with pytest.raises(ModelUnavailable) as caught:
        model_of(name)
    assert "secret" not in str(caught.value)
    assert caught.value.repair


@pytest.mark.parametrize("name", NAMES[:-1])
def test_the_place_of_an_error_has_no_credentials(name: str) -> None:
    """An error's place has no credentials, as on the command line."""
    assert "secret" not in _where(f"writer={name}")


def test_other_names_are_unchanged() -> None:
    """A plain name is shown unchanged."""
    name = "openai-chat:llama3.3@http://127.0.0.1:11434/v1"
    assert struck(name) == name


@pytest.mark.parametrize(
    "address", ["htp://me:secret@host", "http://host/v1?key=secret", "me:secret@host", "http://h#secret"]
)
def test_an_address_that_is_refused_is_struck(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in a refused address are struck, also if it comes from the environment."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    for make in (AnthropicModel, OpenAIChatModel):
        with pytest.raises(DefinitionError) as caught:
            make("m")
        assert "secret" not in str(caught.value)


async def test_a_failed_call_shows_the_address_without_them() -> None:
    """A user and a password in `base_url` of an object are used, but not shown."""
    address = free_address().replace("http://", "http://me:secret@")
    for model in (AnthropicModel("m", api_key="k", base_url=address), OpenAIChatModel("m", base_url=address)):
        with pytest.raises(ModelUnreachable) as caught:
            await model.answer(Request("tester", "", [question()]))
        await model.close()
        assert "127.0.0.1" in str(caught.value)
        assert "secret" not in "".join(traceback.format_exception(caught.value))
        assert isinstance(caught.value, ModelError)
