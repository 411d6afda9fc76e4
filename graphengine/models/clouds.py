"""Claude on Amazon Bedrock and Google Vertex AI, and OpenAI's models on Azure, through the SDKs' own clients.

Credentials are the cloud's own: the SDK finds those of AWS and Google as their tools do, or takes a key or token.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Final, cast

from graphengine.errors import ModelUnavailable
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.hosted import HOSTS
from graphengine.models.lane import lane_for
from graphengine.models.openai_calls import Server
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.prices import Prices
from graphengine.models.sdk import CALLS_AT_ONCE, Failures, Key, http_client, load
from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

    from graphengine.models.anthropic_forms import Gathered, Json
    from graphengine.models.base import Request
    from graphengine.models.batches import Batches
    from graphengine.models.hosted import HostedTool
    from graphengine.models.lane import Lane
    from graphengine.models.prices import Price
    from graphengine.models.settings import Settings

_OWN: Final = "credentials-of-the-cloud"
API_VERSION: Final = "2025-04-01-preview"
"""The version of Azure's API if `OPENAI_API_VERSION` is not set."""


def _needed(model: str, value: str | None, variables: tuple[str, ...], argument: str) -> str:
    """Return a setting that is given or in the environment.

    Raises:
        ModelUnavailable: It is missing.
    """
    found = value or next((os.environ[name] for name in variables if os.environ.get(name)), "")
    if not found:
        message = f"{model} needs {argument}, and {' and '.join(variables)} are not set"
        raise ModelUnavailable(message, where=f"model {model}", repair=f"set {variables[0]}, or pass {argument}=…")
    return found


class _CloudModel(AnthropicModel):
    """Claude in a cloud, which has not all that Anthropic's own API has.

    Attributes:
        _hosted: The tools that the cloud runs.
    """

    _hosted: ClassVar[tuple[str, ...]] = ()

    @property
    def batches(self) -> Batches:
        """None: the client has no batches. Raises AttributeError, so that it counts as missing."""
        raise AttributeError("batches")

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the repair for each setting that the cloud does not have, by name."""
        missing = dict(super().lacks(settings))
        if settings.service_tier is not None:
            missing["service_tier"] = "leave it out: only Anthropic's own API has classes of service"
        return missing

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return the repair if the cloud does not run this tool, "" if it does."""
        return super().lacks_tool(tool) if tool.name in self._hosted else HOSTS[tool.name]


class BedrockModel(_CloudModel):
    """Claude on Amazon Bedrock, through `AsyncAnthropicBedrock`; needs the extra `bedrock`.

    Args:
        model: Its id on Bedrock, as `anthropic.claude-haiku-4-5-20251001-v1:0`, or of an inference profile.
        region: The region; None for the environment's AWS_REGION.
        api_key: A Bedrock API key; None for AWS_BEARER_TOKEN_BEDROCK, else AWS's credentials as its tools find them.
        base_url: The server's address; None for the region's.
        timeout_seconds: As for `AnthropicModel`.
        price: Its price, if the price tables do not have it.
        lane: As for `AnthropicModel`.

    Raises:
        ModelUnavailable: The region is missing.
    """

    _api: ClassVar[str] = "bedrock"

    def __init__(  # noqa: PLR0913 - each is a separate setting of the server
        self,
        model: str,
        *,
        region: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        lane: Lane | None = None,
    ) -> None:
        name = f"bedrock:{model}"
        self._region = _needed(name, region, ("AWS_REGION", "AWS_DEFAULT_REGION"), "region")
        address = base_url or f"https://bedrock-runtime.{self._region}.amazonaws.com"
        super().__init__(
            model, api_key=api_key, base_url=address, timeout_seconds=timeout_seconds, price=price, lane=lane
        )
        self._prices = Prices("aws", model, given=price, address=self._address)
        self._key = Key(api_key, "AWS_BEARER_TOKEN_BEDROCK", unless=_OWN)
        self._failures = Failures(self.name, self._address, self._key, float(timeout_seconds))

    async def _load(self) -> None:
        await load("anthropic", "anthropic")
        await load("botocore.eventstream", "bedrock")

    def _make_client(self) -> AsyncAnthropic:
        import anthropic  # noqa: PLC0415 - `answer` has loaded it

        http = http_client(anthropic, self._failures.timeout_seconds, self.lane.rates.calls_at_once)
        key = self._key.value(self.name)
        made = anthropic.AsyncAnthropicBedrock(  # pyright: ignore[reportPrivateImportUsage] - documented
            aws_region=self._region,
            api_key=None if key == _OWN else key,
            base_url=self._address,
            timeout=http.timeout,
            max_retries=0,
            http_client=http,
        )
        return cast("AsyncAnthropic", made)

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
        timeout_seconds: As for `AnthropicModel`.
        price: Its price, which is unknown otherwise.
        lane: As for `AnthropicModel`.

    Raises:
        ModelUnavailable: The project or the region is missing.
    """

    _api: ClassVar[str] = "vertex"
    _hosted: ClassVar[tuple[str, ...]] = ("web_search",)

    def __init__(  # noqa: PLR0913 - each is a separate setting of the server
        self,
        model: str,
        *,
        project: str | None = None,
        region: str | None = None,
        access_token: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        lane: Lane | None = None,
    ) -> None:
        name = f"vertex:{model}"
        self._project = _needed(name, project, ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"), "project")
        self._region = _needed(name, region, ("CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION"), "region")
        self._token = access_token
        host = "aiplatform" if self._region == "global" else f"{self._region}-aiplatform"
        address = base_url or f"https://{host}.googleapis.com/v1"
        super().__init__(
            model,
            api_key=access_token or _OWN,
            base_url=address,
            timeout_seconds=timeout_seconds,
            price=price,
            lane=lane,
        )
        self._url = address
        self._prices = Prices("", model, given=price)
        self._key = Key(access_token, "", unless=_OWN)

    async def _load(self) -> None:
        await load("anthropic", "anthropic")
        if self._token is None:
            await load("google.auth", "vertex")

    def _make_client(self) -> AsyncAnthropic:
        import anthropic  # noqa: PLC0415 - `answer` has loaded it

        http = http_client(anthropic, self._failures.timeout_seconds, self.lane.rates.calls_at_once)
        made = anthropic.AsyncAnthropicVertex(  # pyright: ignore[reportPrivateImportUsage] - documented
            region=self._region,
            project_id=self._project,
            access_token=self._token,
            base_url=self._url,
            timeout=http.timeout,
            max_retries=0,
            http_client=http,
        )
        return cast("AsyncAnthropic", made)


class _AzureServer(Server):
    """A resource on Azure."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout_seconds: float,
        lane: Lane | None = None,
    ) -> None:
        endpoint = _needed(model, base_url, ("AZURE_OPENAI_ENDPOINT",), "base_url")
        super().__init__(model, api_key=api_key, base_url=endpoint, timeout_seconds=timeout_seconds, lane=lane)
        self.knows_new_names = True
        self._key = Key(api_key, "AZURE_OPENAI_API_KEY")
        self.lane = lane or lane_for((model, self.address, self._key.identity), CALLS_AT_ONCE)
        self.failures = Failures(model, self.address, self._key, float(timeout_seconds))

    def _make(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415 - a client is made once the SDK is loaded

        http = http_client(openai, self.failures.timeout_seconds, self.lane.rates.calls_at_once)
        return openai.AsyncAzureOpenAI(
            azure_endpoint=self.address,
            api_version=os.environ.get("OPENAI_API_VERSION", API_VERSION),
            api_key=self._key.value(self._model),
            timeout=http.timeout,
            max_retries=0,
            http_client=http,
        )


class AzureModel(OpenAIChatModel):
    """A deployment of a model of OpenAI on Azure, through `AsyncAzureOpenAI`. The arguments are `OpenAIChatModel`'s.

    The `model` is the deployment's name, `base_url` the resource's address (None for AZURE_OPENAI_ENDPOINT), `api_key`
    its key (None for AZURE_OPENAI_API_KEY). The API's version is that of OPENAI_API_VERSION.
    """

    _api = "azure"
    _server_type: ClassVar[type[Server]] = _AzureServer

    @property
    def batches(self) -> Batches:
        """None: the client has no batches. Raises AttributeError, so that it counts as missing."""
        raise AttributeError("batches")


__all__ = ["AzureModel", "BedrockModel", "VertexModel"]
