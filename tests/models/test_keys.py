"""Which server a model calls with which key, through each adapter's HTTP client."""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace

import pytest

from graphengine.models import Closes, model_of, sdk
from graphengine.models.errors import ModelUnavailable, ModelUnreachable
from tests.conformance.model_kit import ask
from tests.conformance.model_scenes import Says
from tests.models.adapters import APIS, KEY, PATHS, adapter
from tests.models.edge_server import EdgeServer
from tests.models.test_conformance import free_address

WIRES = pytest.mark.parametrize("path", PATHS)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the providers' variables from the environment."""
    for api in APIS.values():
        monkeypatch.delenv(f"{api.provider}_API_KEY", raising=False)
        monkeypatch.delenv(f"{api.provider}_BASE_URL", raising=False)


@pytest.mark.real_models
@WIRES
async def test_a_missing_key_and_a_missing_sdk_are_named_at_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users learn about a missing key before they install a package, and what else to install; then about that."""
    api = APIS[path]
    monkeypatch.setattr(sdk, "_loaded", {})
    monkeypatch.setitem(sys.modules, api.provider.lower(), None)
    with pytest.raises(ModelUnavailable, match=f"{api.provider}_API_KEY is not set") as caught:
        await api.kind("m").answer(ask())
    assert "api_key=…, and pip install" in caught.value.repair
    assert "Runner(models='rules')" in caught.value.repair
    with pytest.raises(ModelUnavailable, match=rf"graphengine\[{api.provider.lower()}\]"):
        await api.kind("m", api_key=KEY).answer(ask())


@WIRES
async def test_the_server_of_the_environment_gets_its_key(
    path: str, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables belong together, as for the SDK; an address that ends in /v1 is equivalent where one need not."""
    api = APIS[path]
    monkeypatch.setenv(f"{api.provider}_BASE_URL", edge.openai_url)
    monkeypatch.setenv(f"{api.provider}_API_KEY", "from-environment")
    edge.play(Says("yes"))
    model = api.kind("m")
    assert (await model.answer(ask())).content == "yes"
    await model.close()
    assert edge.received()[0].key == "from-environment"


@pytest.mark.parametrize("path", PATHS[1:])
async def test_a_server_of_ones_own_needs_no_key(path: str, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server named in code gets only the key given in code, never the environment's."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    edge.play(Says("a"), Says("b"))
    for given in (None, "its-own-key"):
        model = APIS[path].kind("m", base_url=edge.openai_url, api_key=given)
        await model.answer(ask())
        await model.close()
    assert [each.key for each in edge.received()] == ["not-needed", "its-own-key"]


@WIRES
async def test_a_name_leads_to_its_server(path: str, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name leads to its server with or without the /v1, which only one of the SDKs expects."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    edge.always(Says("here"))
    for url in [edge.openai_url, edge.url if path == PATHS[0] else f"{edge.openai_url}/"]:
        model = model_of(f"{APIS[path].name}:some-model@{url}")
        assert isinstance(model, Closes)
        response = await model.answer(ask())
        await model.close()
        assert response.content == "here"
        assert response.model.startswith(f"{APIS[path].name}:")
    assert [call.path for call in edge.calls] == [path, path]


@pytest.mark.parametrize("stream", [False, True])
@WIRES
async def test_the_error_of_a_server_that_is_down_has_its_address(path: str, stream: bool) -> None:  # noqa: FBT001
    """A refused connection is transient; the error has the address, without the user and the password in it."""
    address = free_address()
    model = adapter(path, address.replace("//", "//user:pass-word@"))
    with pytest.raises(ModelUnreachable) as caught:
        await model.answer(replace(ask(), on_text=print if stream else None))
    await model.close()
    assert address in caught.value.repair
    assert "pass-word" not in "".join(traceback.format_exception(caught.value))
