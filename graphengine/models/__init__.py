"""Models: the language models that answer the prompts of agents.

A model is an object with a `name` and an async method `answer(request)`. It receives a `Request` (a conversation, the
tools that may be called, the schema of the answer) and returns one `Response`. Each provider has an adapter in this
package, which is loaded on first use.

The main types:

- `Model` is the protocol. `Request`, `Response`, `Message` and `ToolCall` are the same for every provider.
- `AnthropicModel`, `OpenAIModel` (the Responses API) and `OpenAIChatModel` (the Chat Completions API of OpenAI and most
  other servers) are the adapters. `AzureModel`, `BedrockModel` and `VertexModel` call models in clouds.
- `Router` tries several models in turn. `RateLimiter` limits and repeats the calls of one model.
- `ScriptedModel`, `RulesModel`, `PlaceholderModel` and `RecordedModel` answer without a provider, for tests and for
  rules.
- `Settings` are the options of a call. `Price` is the price of a model.
- `ModelError` and its subclasses are the ways in which a call can fail.

Words that this package uses in its own sense:

- The *native* form of an answer is the provider's own JSON, which that provider must get back unchanged.
- A *hosted* tool is a tool that the provider runs, such as its web search.
- The *form* of a schema is how the schema of an answer is sent: in the API's own way (`native`) or in the instructions
  (`words`).
- A *seal* is a signature or encryption with which a provider protects its thinking. Another key or region may refuse
  it.
- A *dialect* is a way in which a server with a Chat Completions API differs from OpenAI's.
- A *trial* is a single call with which a limiter finds out whether a server that failed is working again.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
