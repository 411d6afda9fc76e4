"""The tasks extension of MCP (`io.modelcontextprotocol/tasks`): a server answers a call with the id of a task.

The `mcp` package has the frame for extensions, and no client of this one. It is loaded with the package.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from mcp import MCPError, types
from mcp.client.extension import ClientExtension, ResultClaim

from graphengine.agents.mcp_connection import is_closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.client import ClientSession
    from mcp.client.extension import ClaimContext


class TaskFailed(Exception):
    """A task ended without a result, or cannot be followed any more: what it did is not known."""


class CreatedTask(types.Result):
    """The answer to a call that goes on as a task."""

    result_type: Literal["task"] = "task"
    task_id: str
    poll_interval_ms: int | None = None


class Pending(types.Result):
    """What is recorded of a call that is not answered yet.

    Attributes:
        task_id: The task that it goes on as.
        input_requests: What the server requires.
        request_state: What it gets back with the next request.
        poll_interval_ms: How long it wants to be left alone.
    """

    task_id: str | None = None
    input_requests: types.InputRequests | None = None
    request_state: str | None = None
    poll_interval_ms: int | None = None


class _Found(Pending):
    """A task as it is now."""

    status: str
    status_message: str | None = None
    result: dict[str, Any] | None = None
    error: types.ErrorData | None = None


class _TaskParams(types.RequestParams):
    task_id: str
    input_responses: types.InputResponses | None = None


class _TaskRequest(types.Request[_TaskParams, str]):
    name_param = "taskId"


async def task_result(
    session: ClientSession, task_id: str, responses: types.InputResponses | None
) -> types.CallToolResult | Pending:
    """Give a task what it requires, and return its result, or how it is now.

    Raises:
        TaskFailed: It ended without a result, or the server does not know it any more.
        MCPError: The connection is closed.
    """
    try:
        if responses:
            given = _TaskParams(task_id=task_id, input_responses=responses)
            await session.send_request(_TaskRequest(method="tasks/update", params=given), types.EmptyResult)
        request = _TaskRequest(method="tasks/get", params=_TaskParams(task_id=task_id))
        found = await session.send_request(request, _Found)
    except MCPError as error:
        if is_closed(error):
            raise
        raise TaskFailed(f"task {task_id} cannot be followed: {error.error.message}") from error
    if found.status in ("failed", "cancelled"):
        why = found.error.message if found.error is not None else found.status_message
        raise TaskFailed(f"task {task_id} is {found.status}: {why or 'the server does not say why'}")
    return types.CallToolResult.model_validate(found.result) if found.status == "completed" else found


async def _poll_outside_run(task: CreatedTask, ctx: ClaimContext) -> types.CallToolResult:
    """Return the result of a task that no run can wait for."""
    while True:
        found = await task_result(ctx.session, task.task_id, None)
        if isinstance(found, types.CallToolResult):
            return found
        if found.input_requests:
            raise TaskFailed(f"task {task.task_id} requires input, and no person can be asked outside a run")
        await asyncio.sleep((found.poll_interval_ms or 1000) / 1000)


class Tasks(ClientExtension):
    """Says that this client follows tasks."""

    identifier = "io.modelcontextprotocol/tasks"

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """Return the shape of an answer that is a task."""
        return (ResultClaim(result_type="task", model=CreatedTask, resolve=_poll_outside_run),)


__all__ = ["CreatedTask", "Pending", "TaskFailed", "Tasks", "task_result"]
