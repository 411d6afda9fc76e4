"""The adapters of the providers' APIs, for tests that hold for each of them."""

from graphengine.models import AnthropicModel, OpenAIChatModel, OpenAIModel

Made = AnthropicModel | OpenAIModel | OpenAIChatModel


def api(model: Made) -> str:
    """Return the adapter's name of its API."""
    return model.name.partition(":")[0]
