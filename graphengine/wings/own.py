"""Graphengine's own wings, for everything except the core and its records.

They use the same interface as the wings of other packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.wings.wing import Command, Door, Wing

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_SERVE: Final = "graphengine.serve.documents"
_CHECK: Final = {"check": ("check", "List the errors and warnings of graphs, by file and line.", "DOCUMENTS")}
_RENDER: Final = {"render": ("render", "Draw a graph or a run.", "DOCUMENTS")}
_EVALUATE: Final = {
    "eval": ("evaluating", "Run a graph on a data set, and score and compare the results.", "EVAL"),
    "whatif": ("whatif", "Show how recorded runs would have ended under a change.", "WHATIF"),
    "suite": ("suite", "Export as tests the fewest recorded runs that cover everything that occurred.", "SUITE"),
    "prove": ("prove", "Check whether failed runs go through under an older commit and the working tree.", "PROVE"),
}
_INSPECT: Final = {"inspect": ("inspect", "Show the runs of a database live in a browser.", "INSPECT")}
_WORK: Final = {
    "worker": ("worker", "Continue the due runs of a database until stopped.", "WORKER"),
    "workers": ("worker", "List the processes that drive runs, and what they drive.", "WORKERS"),
    "queues list": ("worker", "List the queues with runs that are queued or driven.", "QUEUES"),
    "queues set": ("worker", "Set the limits of a queue.", "QUEUES"),
    "schedule list": ("schedule", "List the schedules.", "SCHEDULES"),
    "schedule add": ("schedule", "Create a schedule, or change it.", "SCHEDULES"),
    "schedule pause": ("schedule", "Pause a schedule.", "SCHEDULES"),
    "schedule resume": ("schedule", "Resume a schedule at its next time.", "SCHEDULES"),
    "schedule remove": ("schedule", "Remove a schedule.", "SCHEDULES"),
}
_SERVE: Final = {
    "serve": ("serve", "Serve graphs over HTTP, so that clients can start, answer and follow runs.", "SERVE"),
    "mcp": ("mcp", "Serve graphs as tools of an MCP server over stdio.", ""),
    "webhook-secret": ("serve", "Print the secret with which a sender signs webhooks for one address.", "WEBHOOK"),
}
_ABOUT_ERASE: Final = "Erase a user: their runs, everything that the runs produced, and their memories."
_MEMORY: Final = {"erase": ("erase", _ABOUT_ERASE, "DOCUMENTS")}
_BUDGETS: Final = {"budgets": ("budgets", "Show what is spent and left of each budget across runs.", "DOCUMENTS")}
_USERS: Final = {
    "users list": ("users", "List the users of a server.", "USERS"),
    "users add": ("users", "Add a user, and print their token.", "USERS"),
    "users remove": ("users", "Remove a user.", "USERS"),
    "users oidc": ("users", "Let users authenticate with tokens of an OpenID provider.", "USERS"),
}

_AT: Final = "graphengine.serve.service"
# The last three arguments are the path that clients add, the extra that the door needs, and the extra's module.
_DOORS: Final = (
    Door("ag-ui", "AG-UI", "front ends by AG-UI", "/agui", f"{_AT}.ag_ui_door", "/GRAPH", "ag-ui", "ag_ui"),
    Door("ai-sdk", "AI SDK", "front ends by useChat of the AI SDK", "/ai-sdk", f"{_AT}.ai_sdk_door", "/GRAPH"),
    Door("a2a", "A2A", "the graphs as agents of the A2A protocol", "/a2a", f"{_AT}.a2a_door", "/GRAPH", "a2a", "a2a"),
    Door("openai", "OpenAI", "the graphs as models of OpenAI's API", "/v1", f"{_AT}.openai_door"),
    Door("mcp", "MCP", "the graphs as tools of an MCP server", "/mcp", f"{_AT}.mcp_door", "", "mcp", "mcp"),
)


def _commands(section: str, after: str, documents: str, rows: Mapping[str, tuple[str, str, str]]) -> dict[str, Command]:
    """Make the commands of one section of `--help`, in the order in which they are listed.

    Args:
        section: The title of the section.
        after: The command after which the first of these commands is listed.
        documents: The module that defines the JSON documents of these commands.
        rows: For each command its module, its description, and the name of its documents in that module; "" for none.
    """
    found: dict[str, Command] = {}
    for name, (module, about, written) in rows.items():
        load = f"graphengine.cli.{module}:{name.replace(' ', '_').replace('-', '_').replace('eval', 'eval_')}"
        found[name] = Command(load, about, written and f"{documents}:{written}", section, after)
        after = name
    return found


BUILT_IN: Final = (
    Wing(name="agents", events="graphengine.agents.live_events:AGENT_EVENTS"),
    Wing(name="checks", commands=_commands("Define", "graphs", "graphengine.testing.checked", _CHECK)),
    Wing(name="render", commands=_commands("Define", "check", "graphengine.render.documents", _RENDER)),
    Wing(
        name="worker",
        commands=_commands("Operate", "replay", "graphengine.worker.documents", _WORK),
        groups={"queues": "List the queues, and set their limits.", "schedule": "Start runs at given times."},
    ),
    Wing(name="executors", settings="graphengine.executors.settings:executors_in"),
    Wing(name="retention", settings="graphengine.worker.retention:retention_in"),
    Wing(name="notify", extension="graphengine.serve.notifications:extension", runs=("notifications",)),
    Wing(name="memory", commands=_commands("Operate", "prune", "graphengine.memory.documents", _MEMORY)),
    Wing(
        name="budgets",
        commands=_commands("Operate", "queues set", "graphengine.budgets.left", _BUDGETS),
        settings="graphengine.budgets.settings:budgets_in",
        extension="graphengine.budgets.settings:extension",
        tables="graphengine.budgets.settings:tables",
    ),
    Wing(
        name="evaluation",
        commands=_commands("Define", "render", "graphengine.testing.evaluation.documents", _EVALUATE),
    ),
    Wing(
        name="serve",
        commands=_commands("Look", "watch", _OF_SERVE, _INSPECT)
        | _commands("Operate", "worker", _OF_SERVE, _SERVE)
        | _commands("Operate", "schedule remove", _OF_SERVE, _USERS),
        groups={"users": "Manage the users of a server, with their tenants and rights."},
        questions="graphengine.serve.questions:questions",
        doors=_DOORS,
    ),
)
"""The wings, in the order in which they extend a Runner."""

SERVE_OPTIONS: Final = (
    *("model", "store", "otel", "log-format", "log-level", "json", "debug", "host", "port", "token-file", "users"),
    *(
        "queue",
        "concurrency",
        "poll",
        "webhook-secret-env",
        "a2a-root",
        "live-text",
        "pages",
        "origin",
        "body-bytes",
        "help",
    ),
)
"""The options of `graphengine serve` besides its doors. A door cannot have one of these names."""

__all__ = ["BUILT_IN", "SERVE_OPTIONS"]
