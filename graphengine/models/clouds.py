"""Claude on Amazon Bedrock and Google Vertex AI, and OpenAI's models on Azure, through the SDKs' own clients.

Credentials are the cloud's own: the SDK finds those of AWS and Google as their tools do, or takes a key or token.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict, cast

from graphengine.errors import ModelUnavailable
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.hosted import HOSTS
from graphengine.models.openai_calls import Server
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.prices import Prices
from graphengine.models.sdk import Failures, Key, http_client, load
from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

    from graphengine.models.anthropic_forms import Gathered, Json
    from graphengine.models.base import Request
    from graphengine.models.batches import Batches
    from graphengine.models.hosted import HostedTool
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.prices import Price
    from graphengine.models.settings import Settings

_OWN: Final = "credentials-of-the-cloud"
API_VERSION: Final = "2025-04-01-preview"
"""The version of Azure's API if `OPENAI_API_VERSION` is not set."""


class _Others(TypedDict, total=False):
    timeout_seconds: float
    price: Price | None
    limiter: RateLimiter | None


def _needed(model: str, given: str | None, *variables: str) -> str:
    """Return a setting that is given or in the environment.

    Raises:
        ModelUnavailable: It is missing.
    """
    found = given or next(filter(None, map(os.environ.get, variables)), None)
    if found is None:
        message = f"{model} needs {' or '.join(variables)} in the environment, or the argument for it"
        raise ModelUnavailable(message, where=f"model {model}", repair=f"set {variables[0]}")
    return found


class _NoBatches:
    @property
    def batches(self) -> Batches:
        """None: the client has no batches. Raises AttributeError, so that it counts as missing."""
        raise AttributeError("batches")


class _CloudModel(_NoBatches, AnthropicModel):
    """Claude in a cloud, which has not all that Anthropic's own API has.

    Attributes:
        _client: The name of the SDK's client.
        _needs: The module that it needs, of the extra with the name of the API.
        _hosted: The tools that the cloud runs.
    """

    _client: ClassVar[str]
    _needs: ClassVar[str]
    _hosted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: str, key: Key, base_url: str, place: dict[str, str | None], others: _Others) -> None:
        super().__init__(model, api_key=key.value(f"{self._api}:{model}"), base_url=base_url, **others)
        self._base_url = base_url
        self._place = place
        self._key = key
        self._failures = Failures(self.name, self._address, key, self._failures.timeout_seconds)

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the repair for each setting that the cloud does not have, by name."""
        missing = dict(super().lacks(settings))
        if settings.service_tier is not None:
            missing["service_tier"] = "leave it out: only Anthropic's own API has classes of service"
        return missing

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return the repair if the cloud does not run this tool, "" if it does."""
        return super().lacks_tool(tool) if tool.name in self._hosted else HOSTS[tool.name]

    async def _load(self) -> None:
        await load("anthropic", "anthropic")
        if self._place.get("access_token") is None:
            await load(self._needs, self._api)

    def _make_client(self) -> AsyncAnthropic:
        import anthropic  # noqa: PLC0415 - `answer` has loaded it

        http = http_client(anthropic, self._failures.timeout_seconds, self.limiter.calls_at_once)
        made = getattr(anthropic, self._client)(
            **self._place, base_url=self._base_url, timeout=http.timeout, max_retries=0, http_client=http
        )
        return cast("AsyncAnthropic", made)


class BedrockModel(_CloudModel):
    """Claude on Amazon Bedrock, through `AsyncAnthropicBedrock`; needs the extra `bedrock`.

    Args:
        model: Its id on Bedrock, as `anthropic.claude-haiku-4-5-20251001-v1:0`, or of an inference profile.
        region: The region; None for the environment's AWS_REGION.
        api_key: A Bedrock API key; None for AWS_BEARER_TOKEN_BEDROCK, else AWS's credentials as its tools find them.
        base_url: The server's address; None for the region's.
        others: `timeout_seconds`, `price` and `limiter`, as for `AnthropicModel`.

    Raises:
        ModelUnavailable: The region is missing.
    """

    _api = "bedrock"
    _client = "AsyncAnthropicBedrock"
    _needs = "botocore.eventstream"

    def __init__(
        self,
        model: str,
        *,
        region: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        **others: Unpack[_Others],
    ) -> None:
        region = _needed(f"bedrock:{model}", region, "AWS_REGION", "AWS_DEFAULT_REGION")
        address = base_url or f"https://bedrock-runtime.{region}.amazonaws.com"
        key = Key(api_key, "AWS_BEARER_TOKEN_BEDROCK", unless=_OWN)
        super().__init__(model, key, address, {"aws_region": region, "api_key": api_key}, others)
        self._prices = Prices("aws", model, given=others.get("price"), address=self._address)

    async def _streamed(self, client: AsyncAnthropic, sent: Json, request: Request, gathered: Gathered) -> Json:
        """Read a stream through the SDK: it has the form of AWS, not that of server-sent events."""
        with self._failing():
            stream = await client.messages.create(**sent, stream=True)  # type: ignore[call-overload]
        async with stream:
            while True:
                with self._failing():
                    event = await anext(stream, None)
                    if event is None:
                        return gathered.whole()
                    text, thought = gathered.add(event.to_dict(mode="json"))
                if gathered.has_begun:
                    request.began()
                if text:
                    request.emit_text(utf8_text(text))
                if thought:
                    request.emit_thinking(utf8_text(thought))


class VertexModel(_CloudModel):
    """Claude on Google Vertex AI, through `AsyncAnthropicVertex`; needs the extra `vertex`.

    Args:
        model: Its name on Vertex, as `claude-haiku-4-5@20251001`.
        project: The project; None for the environment's ANTHROPIC_VERTEX_PROJECT_ID.
        region: The region; None for the environment's CLOUD_ML_REGION.
        access_token: A token; None for Google's default credentials.
        base_url: The server's address; None for the region's.
        others: `timeout_seconds`, `price` and `limiter`, as for `AnthropicModel`. The price is unknown without one.

    Raises:
        ModelUnavailable: The project or the region is missing.
    """

    _api = "vertex"
    _client = "AsyncAnthropicVertex"
    _needs = "google.auth"
    _hosted = ("web_search",)

    def __init__(
        self,
        model: str,
        *,
        project: str | None = None,
        region: str | None = None,
        access_token: str | None = None,
        base_url: str | None = None,
        **others: Unpack[_Others],
    ) -> None:
        project = _needed(f"vertex:{model}", project, "ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
        region = _needed(f"vertex:{model}", region, "CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION")
        host = "aiplatform" if region == "global" else f"{region}-aiplatform"
        address = base_url or f"https://{host}.googleapis.com/v1"
        place = {"project_id": project, "region": region, "access_token": access_token}
        super().__init__(model, Key(access_token, "", unless=_OWN), address, place, others)
        self._prices = Prices("", model, given=others.get("price"))


class _AzureServer(Server):
    """A resource on Azure."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout_seconds: float,
        limiter: RateLimiter | None = None,
    ) -> None:
        endpoint = _needed(model, base_url, "AZURE_OPENAI_ENDPOINT")
        key = _needed(model, api_key, "AZURE_OPENAI_API_KEY")
        super().__init__(model, api_key=key, base_url=endpoint, timeout_seconds=timeout_seconds, limiter=limiter)
        self.knows_new_names = True

    def _make(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415 - a client is made once the SDK is loaded

        http = http_client(openai, self.failures.timeout_seconds, self.limiter.calls_at_once)
        return openai.AsyncAzureOpenAI(
            azure_endpoint=self.address,
            api_version=os.environ.get("OPENAI_API_VERSION", API_VERSION),
            api_key=self._key.value(self._model),
            timeout=http.timeout,
            max_retries=0,
            http_client=http,
        )


class AzureModel(_NoBatches, OpenAIChatModel):
    """A deployment of a model of OpenAI on Azure, through `AsyncAzureOpenAI`. The arguments are `OpenAIChatModel`'s.

    The `model` is the deployment's name, `base_url` the resource's address (None for AZURE_OPENAI_ENDPOINT), `api_key`
    its key (None for AZURE_OPENAI_API_KEY). The API's version is that of OPENAI_API_VERSION.
    """

    _api = "azure"
    _server_type: ClassVar[type[Server]] = _AzureServer


__all__ = ["AzureModel", "BedrockModel", "VertexModel"]
