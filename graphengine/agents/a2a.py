"""A2A: a remote agent as a node of a graph, or as a tool of an agent.

`remote_agent("https://…")` returns an async function, which sends a message to the remote agent and waits until the
agent's task ends. The id of the message is derived from the idempotency key of the call, and the id of the task is
recorded before the wait. A crash therefore has one of two consequences:

1. The process dies after the remote agent has received the message, and before the task is recorded. The same message
   is sent again with the same id. Agents that recognise the id, such as those of `graphengine serve --a2a`, do not
   start a second task.
2. The process dies later. The recorded task is followed, and no other task is started.

If the remote agent asks a question, it becomes a question of the run. While a task takes long, the run is stored as
waiting.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from graphengine.addresses import is_http
from graphengine.errors import DefinitionError, GraphEngineError
from graphengine.kernel.extension import Context  # noqa: TC001 - the agent reads the annotations of tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from a2a import types
    from a2a.client import Client


_POLL_SECONDS: Final = 1.0
_HELD: Final = 30
"""How many times a task is checked before the run is stored as waiting.

Each time, the run waits longer than before.
"""
_LONGEST_SLEEP: Final = 600.0
_TIMEOUT_SECONDS: Final = 60.0
ROUNDED: Final = 2**53
"""From this number on, a data part rounds whole numbers, because its numbers are doubles."""


class RemoteAgentFailed(GraphEngineError):
    """A task of a remote agent failed, was cancelled or rejected, or requires an authorization."""

    code = "remote_agent_failed"


def remote_agent(url: str, *, headers: Mapping[str, str] | None = None) -> Callable[..., Awaitable[Any]]:
    """Return an async function that lets a remote A2A agent work on a message, for `add_node` or `tool`.

    The function that `remote_agent` returns has one argument, `message`, which is a text or an object. An object is
    sent as a data part of the A2A message. The remote agent works on a task and delivers artifacts. The function
    returns all texts of these artifacts as one text, or their data if the artifacts contain no text.

    The run records the calls of a `remote_agent`. If the node is run again, for example after a crash, it therefore
    follows the task that it has already started at the remote agent.

    Args:
        url: The address of the agent. The agent's card is found below it, at `/.well-known/agent-card.json`.
        headers: Headers of each request, such as `Authorization`.

    Raises:
        DefinitionError: `url` is not an HTTP address.

    Example:
        >>> ask_editor = remote_agent("https://agents.example/a2a/editor", headers={"Authorization": "Bearer …"})
        >>> graph = Graph("remote", Count)
        >>> graph.add_node("edit", ask_editor, inputs={"message": "n"}, writes="n")
    """
    if not is_http(url):
        text = f"remote_agent({url!r}) needs an address, but the text is not an http or https address"
        raise DefinitionError(text, repair="give the address of the remote agent: remote_agent('https://…')")
    remote = _Remote(url, headers or {})

    async def ask_agent(message: Any, ctx: Context) -> Any:  # noqa: ANN401 - a text, or JSON
        """Send a message to the remote agent, follow its task until the task is completed, and return the result."""
        task = await ctx.call(remote.send, message, effect="idempotent")
        pause, checks, answered = 1.0, 0, ""
        while task["state"] != "completed":
            if task["state"] == "input-required" and task["asked"] != answered:
                answered, answer = task["asked"], await ctx.ask(task["text"] or f"{url} asks for more")
                task = await ctx.call(remote.send, answer, task["id"], task["context"], effect="idempotent")
            elif checks:
                await ctx.sleep(pause)
                pause = min(pause * 2, _LONGEST_SLEEP)
            checks += 1
            task = await ctx.call(remote.follow, task["id"], answered, checks, effect="read")
        return task["result"]

    return ask_agent


def exact(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Replace large whole numbers in a JSON value by texts, so that A2A does not round them.

    A data part of A2A stores every number as a double. A double cannot represent each whole number from 2**53 on.
    """
    if isinstance(value, dict):
        return {name: exact(part) for name, part in value.items()}
    if isinstance(value, list):
        return list(map(exact, value))
    return str(value) if isinstance(value, int) and abs(value) >= ROUNDED else value


class _Remote:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers

    async def send(
        self,
        message: Any,  # noqa: ANN401 - JSON
        task: str = "",
        context: str = "",
        *,
        idempotency_key: str = "",
    ) -> dict[str, Any]:
        """Send a message to the remote agent, and return a record of the task that the agent started for it.

        The task may still be running. The id of the message is derived from `idempotency_key`, so an agent that
        recognises the id does not start a second task if the message is sent again after a crash.
        """
        from a2a import types  # noqa: PLC0415 - an extra, and slow
        from a2a.helpers.proto_helpers import get_artifact_text, new_data_part, new_text_part  # noqa: PLC0415 - the same

        part = new_text_part(message) if isinstance(message, str) else new_data_part(exact(message))
        name = str(uuid5(NAMESPACE_URL, idempotency_key))
        message_to_send = types.Message(message_id=name, role=types.Role.ROLE_USER, parts=[part])
        message_to_send.task_id, message_to_send.context_id = task, context
        async with self._open_client() as client:
            async for event in client.send_message(types.SendMessageRequest(message=message_to_send)):
                if event.HasField("task"):
                    return self._record_of_task(event.task)
                text = get_artifact_text(types.Artifact(parts=event.message.parts))
                return {"id": event.message.message_id, "state": "completed", "result": text, "text": "", "asked": ""}
        text = "the remote agent ended the call without an answer"
        raise RemoteAgentFailed(text, where=self._url, repair="ask the operators of the remote agent for the reason")

    async def follow(self, task: str, answered: str, looked: int) -> dict[str, Any]:
        """Check a task of the remote agent repeatedly until it completes or asks a question, and return its record.

        After 30 checks the record is returned even if the task is still running. The node then sleeps for a while and
        calls this method again, so that a long task does not keep a process busy.

        `answered` is the id of the agent's question that was answered last. The remote agent may repeat this question
        until it has read the answer, so a question with this id is ignored.
        """
        del looked  # each look is recorded
        from a2a import types  # noqa: PLC0415 - the same

        found: dict[str, Any] = {}
        async with self._open_client() as client:
            for _ in range(_HELD):
                found = self._record_of_task(await client.get_task(types.GetTaskRequest(id=task)))
                is_asking = found["state"] == "input-required" and found["asked"] != answered
                if is_asking or found["state"] == "completed":
                    break
                await asyncio.sleep(_POLL_SECONDS)
        return found

    @asynccontextmanager
    async def _open_client(self) -> AsyncIterator[Client]:
        import httpx  # noqa: PLC0415 - the SDK needs it
        from a2a.client import ClientConfig, ClientFactory  # noqa: PLC0415 - an extra, and slow

        async with httpx.AsyncClient(headers=dict(self._headers), timeout=_TIMEOUT_SECONDS) as http:
            factory = ClientFactory(ClientConfig(httpx_client=http, streaming=False, polling=True))
            yield await factory.create_from_url(self._url)

    def _record_of_task(self, task: types.Task) -> dict[str, Any]:
        """Convert a task of the A2A SDK to the JSON record that the run keeps.

        Raises:
            RemoteAgentFailed: The task failed. The failure is not recorded, so that a resumed run checks the task
                again.
        """
        from a2a import types  # noqa: PLC0415 - the same
        from a2a.helpers.proto_helpers import get_artifact_text, get_data_parts, get_message_text  # noqa: PLC0415 - too

        state = types.TaskState.Name(task.status.state).removeprefix("TASK_STATE_").lower().replace("_", "-")
        status_message = task.status.message
        if state not in ("submitted", "working", "input-required", "completed"):
            said = get_message_text(status_message)
            text = f"the task {task.id!r} of the remote agent has no result, because its state is {state!r}: {said}"
            repair = "continue the task at the remote agent. Then resume the run, which looks at the task again"
            raise RemoteAgentFailed(text, where=self._url, repair=repair)
        texts = [text for text in map(get_artifact_text, task.artifacts) if text]
        data = [value for artifact in task.artifacts for value in get_data_parts(artifact.parts)]
        return {
            "id": task.id,
            "context": task.context_id,
            "state": state,
            "text": get_message_text(status_message),
            "asked": status_message.message_id,
            "result": "\n".join(texts) if texts or not data else data[0] if len(data) == 1 else data,
        }


__all__ = ["RemoteAgentFailed", "remote_agent"]
