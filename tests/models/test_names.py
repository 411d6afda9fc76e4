"""Models by name: the meaning of each form, and the errors of invalid names."""

import subprocess
import sys

import pytest

from graphengine.models import (
    Closes,
    Message,
    Request,
    model_of,
)
from tests.conformance.model_scenes import Says
from tests.models.edge_server import EdgeServer

CHEAP = """
import sys
import graphengine
from graphengine.models import *
for name in ("rules", "recorded:x.json", "anthropic:claude-x", "openai:gpt-x", "openai-chat:m@http://127.0.0.1:1/v1"):
    model_of(name)
Router(["anthropic:claude-x", "openai:gpt-x"])
print([name for name in ("anthropic", "openai", "genai_prices", "httpx", "httpx2") if name in sys.modules])
"""


def test_no_sdk_is_imported_to_make_a_model() -> None:
    """Making a model, or importing the package, imports no SDK; each is loaded at its first call."""
    done = subprocess.run([sys.executable, "-c", CHEAP], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai-chat"])
async def test_a_name_leads_to_its_server(provider: str, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name leads to its server with or without the /v1, which only one of the SDKs expects."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-a-test")
    edge.play(Says("here"), Says("there"))
    urls = [edge.openai_url, edge.url] if provider == "anthropic" else [edge.openai_url, f"{edge.openai_url}/"]
    for url in urls:
        model = model_of(f"{provider}:some-model@{url}")
        assert isinstance(model, Closes)
        try:
            response = await model.answer(Request("writer", "", [Message(role="user", text="where?")]))
        finally:
            await model.close()
        assert response.content in {"here", "there"}
        assert response.model.startswith(f"{provider}:")
    assert len(edge.received()) == 2
