"""The HTTP service of `graphengine serve`: starts runs of graphs, follows them and answers their questions.

`Service` (`app.py`) contains the endpoints of the service's own HTTP API. Other protocols have a *door*: a module with
a few routes that translates the protocol into calls of `Service`. The doors are `openai_door` (OpenAI's API),
`mcp_door` (MCP), `a2a_door` (A2A), `ag_ui_door` (AG-UI) and `ai_sdk_door` (AI SDK).

These words have a meaning of their own here:

- A run *rests* when it has ended, or when it waits for a person or a message and its inbox contains nothing that it
  will read. A door answers a client when the run rests.
- A *turn* (`Turn`) is a message of a client and everything that the run did until it rested again.
- The *place* of a turn is the number of the step after which its message arrived.
- A *conversation* is a series of runs that a client continues under one name. A *thread* is the single run of a front
  end's chat.

`following.py` follows a run until it rests, `turns.py` delivers each message once, `conversations.py` finds the run
that a client means, `shown.py` turns steps into the events that front ends show, and `text_places.py` decides which
field of a state receives the text of a message.
"""
