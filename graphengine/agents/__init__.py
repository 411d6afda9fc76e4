"""Agents: nodes that ask a language model and return its answer as a Python value.

This package turns a prompt, a model and a type of answer into an `Agent`. An agent can run on its own or be a node of a
graph. During one call of an agent, the model may call tools, and the answer is read, checked and, if it does not fit,
sent back to the model with the reason.

The main types:

- `Agent` describes an agent: its prompt, model, tools, guards and output type.
- `Conversation` (in `conversation.py`) carries out one call of an agent, turn by turn.
- `Tool` is a function that the model may call. A `ToolSource` lists tools that are only known when it is opened, such
  as the tools of an MCP server.
- `AgentRuntime` (in `runtime.py`) connects an agent with the run in which it is called, or with nothing if it runs
  alone.
- `Guard` checks questions, answers and tool results. `Hooks` wrap calls of models and tools.
- `Approval` lets a person decide whether a tool call is made.
- `Window` limits the size of a conversation by summarising its older messages.

Words that this package uses in its own sense:

- A *turn* is one request to the model together with the tool calls of its answer.
- A *record* is the JSON value that the store keeps of a turn or of a tool call. A resumed run reads the record and does
  not repeat the work.
- A call has *begun* when its start may have had an effect, even if no result is recorded yet.
- The values that are *given* to a tool are the arguments that the run supplies, such as resources and `ctx`. The model
  supplies the others.
- An agent runs *alone* when no run surrounds it, as in `await agent.run(…)` in a script.
- The *kit* of an agent is its list of tools and tool sources.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
