"""Claude on Amazon Bedrock and Google Vertex AI, and OpenAI's models on Azure, called with the SDKs' own clients.

The credentials are those of the cloud. The SDK finds the credentials of AWS and Google as their own tools do, or
receives a key or a token.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from graphengine.models.anthropic import PATH, AnthropicModel
from graphengine.models.errors import ModelUnavailable
from graphengine.models.hosted import HOSTS
from graphengine.models.openai_calls import OpenAIServer
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.prices import Prices
from graphengine.models.schema_forms import SchemaForms
from graphengine.models.sdk import Key, http_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.models.anthropic_forms import Gathered
    from graphengine.models.base import Request
    from graphengine.models.batches import Batches
    from graphengine.models.hosted import HostedTool
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.prices import Price
    from graphengine.models.received import JsonObject
    from graphengine.models.settings import Settings

_OWN: Final = "credentials-of-the-cloud"
API_VERSION: Final = "2025-04-01-preview"
"""The version of Azure's API that is used if `OPENAI_API_VERSION` is not set."""


def _require_setting(model: str, given: str | None, *variables: str) -> str:
    """Return a setting of a cloud: the value that the user passed, or else the first of these environment variables.

    Raises:
        ModelUnavailable: The setting was not passed and no variable is set.
    """
    found = given or next(filter(None, map(os.environ.get, variables)), None)
    if found is None:
        message = f"the model {model!r} needs the environment variable {' or '.join(variables)}, which is not set"
        repair = f"set {variables[0]}, or pass its value as an argument of the model object"
        raise ModelUnavailable(message, where=f"model {model}", repair=repair)
    return found


class _NoBatches:
    @property
    def batches(self) -> Batches:
        """Raise AttributeError, because the SDK's clients for clouds do not support batches.

        The base classes for models outside clouds have this attribute. For a model in a cloud,
        `hasattr(model, "batches")` must be false.
        """
        raise AttributeError("batches")


class _CloudModel(_NoBatches, AnthropicModel):
    """Base of the models that call Claude in a cloud. A cloud supports less than Anthropic's own API.

    Attributes:
        _client: The name of the client class in Anthropic's SDK, such as `AsyncAnthropicBedrock`.
        _module: A further module that this client needs. It is installed by the extra of graphengine with the name of
            the API.
        _hosted: The names of the tools that the cloud runs itself, such as `web_search`.
    """

    _client: ClassVar[str]
    _module: ClassVar[str]
    _hosted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: str, place: dict[str, str | None], forms: SchemaForms, *, has_forms: bool) -> None:
        self._model, self._forms, self._has_forms = model, forms, has_forms
        self._place = place

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return which of an agent's settings the cloud does not support, each with advice on what to do instead."""
        missing = dict(super().lacks(settings))
        if settings.service_tier is not None:
            missing["service_tier"] = "leave out this setting, because only Anthropic's own API has classes of service"
        return missing

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return advice for an agent with a hosted tool that the cloud does not run; "" if the cloud runs it."""
        return super().lacks_tool(tool) if tool.name in self._hosted else HOSTS[tool.name]

    def _needs(self) -> list[tuple[str, str]]:
        own = self._place.get("access_token") is None
        return [*super()._needs(), *([(self._module, self._api)] if own else [])]

    def _make_client(self, sdk: Any, common: dict[str, Any]) -> Any:  # noqa: ANN401 - the SDK's module and client
        del common["api_key"]  # the cloud's own credentials are among the place's arguments
        return getattr(sdk, self._client)(**common, **self._place)


class BedrockModel(_CloudModel):
    """Claude on Amazon Bedrock, called with `AsyncAnthropicBedrock`. Needs the extra `bedrock`.

    Args:
        model: The model's id on Bedrock, such as `anthropic.claude-haiku-4-5-20251001-v1:0`, or the id of an inference
            profile.
        region: The region; None for the environment variable AWS_REGION.
        api_key: A Bedrock API key; None for AWS_BEARER_TOKEN_BEDROCK, or else for the credentials that AWS's tools
            find.
        base_url: The server's address; None for the address of the region.
        timeout_seconds: As for `AnthropicModel`.
        price: As for `AnthropicModel`.
        limiter: As for `AnthropicModel`.
        native_schema: As for `AnthropicModel`. None uses the API's own form at the cloud's own address.

    Raises:
        ModelUnavailable: The region is missing.
    """

    _api = "bedrock"
    _client = "AsyncAnthropicBedrock"
    _module = "botocore.eventstream"

    def __init__(  # noqa: PLR0913 - each is an option of the client
        self,
        model: str,
        *,
        region: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        limiter: RateLimiter | None = None,
        native_schema: bool | None = None,
    ) -> None:
        region = _require_setting(f"bedrock:{model}", region, "AWS_REGION", "AWS_DEFAULT_REGION")
        address = base_url or f"https://bedrock-runtime.{region}.amazonaws.com"
        key = Key(api_key, "AWS_BEARER_TOKEN_BEDROCK", unless=_OWN)
        place = {"aws_region": region, "api_key": api_key}
        super().__init__(model, place, SchemaForms(native_schema), has_forms=base_url is None)
        self._set_up(http_address(address), key, timeout_seconds, price, limiter)
        self._prices = Prices("aws", model, given=price, address=self._server.address)

    async def _read_answer_stream(
        self, sent: JsonObject, named: Mapping[str, str], request: Request, gathered: Gathered
    ) -> JsonObject:
        """Read a streamed answer with Anthropic's SDK.

        Bedrock sends the events in AWS's own binary format, which `Server.stream` cannot read.
        """
        async with self._server.connected() as client:
            from anthropic import AsyncStream  # noqa: PLC0415 - loaded by now
            from anthropic.types import Message, RawMessageStreamEvent  # noqa: PLC0415

            kind: Any = AsyncStream[RawMessageStreamEvent]
            body, options = {**sent, "stream": True}, {"headers": dict(named)}
            with self._server.failing():
                stream = await client.post(
                    PATH, cast_to=Message, body=body, options=options, stream=True, stream_cls=kind
                )
            async with stream:
                while True:
                    with self._server.failing():
                        event = await anext(stream, None)
                        if event is None:
                            return gathered.whole()
                        read = event.to_dict(mode="json")
                    self._take(read, request, gathered)


class VertexModel(_CloudModel):
    """Claude on Google Vertex AI, called with `AsyncAnthropicVertex`. Needs the extra `vertex`.

    Args:
        model: The model's name on Vertex, such as `claude-haiku-4-5@20251001`.
        project: The project; None for the environment variable ANTHROPIC_VERTEX_PROJECT_ID.
        region: The region; None for the environment variable CLOUD_ML_REGION.
        access_token: A token; None for Google's default credentials.
        base_url: The server's address; None for the address of the region.
        timeout_seconds: As for `AnthropicModel`.
        price: The price. Without it, the price is unknown.
        limiter: As for `AnthropicModel`.
        native_schema: As for `AnthropicModel`. None uses the API's own form at the cloud's own address.

    Raises:
        ModelUnavailable: The project or the region is missing.
    """

    _api = "vertex"
    _client = "AsyncAnthropicVertex"
    _module = "google.auth"
    _hosted = ("web_search",)

    def __init__(  # noqa: PLR0913 - each is an option of the client
        self,
        model: str,
        *,
        project: str | None = None,
        region: str | None = None,
        access_token: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        limiter: RateLimiter | None = None,
        native_schema: bool | None = None,
    ) -> None:
        project = _require_setting(f"vertex:{model}", project, "ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
        region = _require_setting(f"vertex:{model}", region, "CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION")
        host = "aiplatform" if region == "global" else f"{region}-aiplatform"
        address = base_url or f"https://{host}.googleapis.com/v1"
        place = {"project_id": project, "region": region, "access_token": access_token}
        super().__init__(model, place, SchemaForms(native_schema), has_forms=base_url is None)
        self._set_up(http_address(address), Key(access_token, "", unless=_OWN), timeout_seconds, price, limiter)
        self._prices = Prices("", model, given=price)


class _AzureServer(OpenAIServer):
    def __init__(self, model: str, *, api_key: str | None, base_url: str | None, **more: Any) -> None:  # noqa: ANN401 - the base's
        endpoint = _require_setting(model, base_url, "AZURE_OPENAI_ENDPOINT")
        super().__init__(
            model, api_key=_require_setting(model, api_key, "AZURE_OPENAI_API_KEY"), base_url=endpoint, **more
        )
        self.knows_new_names = True

    def _make(self, sdk: Any, common: dict[str, Any]) -> Any:  # noqa: ANN401 - the SDK's module and client
        endpoint, version = common.pop("base_url"), os.environ.get("OPENAI_API_VERSION", API_VERSION)
        return sdk.AsyncAzureOpenAI(azure_endpoint=endpoint, api_version=version, **common)


class AzureModel(_NoBatches, OpenAIChatModel):
    """An OpenAI model that is deployed on Azure, called with `AsyncAzureOpenAI`.

    Accepts the arguments of `OpenAIChatModel`.

    For an `AzureModel`, these arguments have a special meaning:

    - `model` is the name of the deployment.
    - `base_url` is the address of the Azure resource. If it is None, the environment variable AZURE_OPENAI_ENDPOINT is
      used.
    - `api_key` is the key of the Azure resource. If it is None, the environment variable AZURE_OPENAI_API_KEY is used.

    The version of the API is read from the environment variable OPENAI_API_VERSION.
    """

    _api = "azure"
    _server_type: ClassVar[type[OpenAIServer]] = _AzureServer


__all__ = ["AzureModel", "BedrockModel", "VertexModel"]
