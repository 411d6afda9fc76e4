"""Our own wings: what `graphengine` has besides the core and its records. They use nothing that others cannot."""

from __future__ import annotations

from typing import Final

from graphengine.wings.wing import Command, Door, Wing

_DOORS: Final = "graphengine.serve.service"

BUILT_IN: Final = (
    Wing(name="notify", extension="graphengine.serve.notifications:extension"),
    Wing(
        name="budgets",
        commands={
            "budgets": Command(
                "graphengine.cli.budgets:budgets",
                "Show what the budgets across runs have left.",
                "graphengine.budgets.left:DOCUMENTS",
                "Operate",
                "queues set",
            ),
        },
        extension="graphengine.budgets.settings:extension",
    ),
    Wing(
        name="evaluation",
        commands={
            "eval": Command(
                "graphengine.cli.evaluating:eval_",
                "Run a graph on a data set, and score and compare the results.",
                "graphengine.testing.evaluation.documents:OF_EVAL",
                "Define",
                "render",
            ),
            "whatif": Command(
                "graphengine.cli.whatif:whatif",
                "Compare recorded runs with what they would have come to under a change.",
                "graphengine.testing.evaluation.documents:OF_WHATIF",
                "Define",
                "eval",
            ),
            "suite": Command(
                "graphengine.cli.suite:suite",
                "Export the fewest recorded runs that take all that occurred, as tests.",
                "graphengine.testing.evaluation.documents:OF_SUITE",
                "Define",
                "whatif",
            ),
        },
    ),
    Wing(
        name="serve",
        questions="graphengine.serve.questions:questions",
        doors=(
            Door(
                "ag-ui",
                "AG-UI",
                "front ends by AG-UI",
                "/agui",
                f"{_DOORS}.ag_ui_door",
                more="/GRAPH",
                extra="ag-ui",
                needs="ag_ui",
            ),
            Door(
                "ai-sdk",
                "AI SDK",
                "front ends by useChat of the AI SDK",
                "/ai-sdk",
                f"{_DOORS}.ai_sdk_door",
                more="/GRAPH",
            ),
            Door(
                "a2a",
                "A2A",
                "the graphs as agents of the A2A protocol",
                "/a2a",
                f"{_DOORS}.a2a_door",
                more="/GRAPH",
                extra="a2a",
                needs="a2a",
            ),
            Door("openai", "OpenAI", "the graphs as models of OpenAI's API", "/v1", f"{_DOORS}.openai_door"),
            Door(
                "mcp",
                "MCP",
                "the graphs as tools of an MCP server",
                "/mcp",
                f"{_DOORS}.mcp_door",
                extra="mcp",
                needs="mcp",
            ),
        ),
    ),
)
"""In the order in which they extend a Runner."""

SERVE_OPTIONS: Final = (
    *("model", "store", "otel", "log-format", "log-level", "json", "debug", "host", "port", "token-file", "users"),
    *("queue", "concurrency", "poll", "webhook-secret-env", "pages", "body-bytes", "help"),
)
"""The options of `graphengine serve` besides its doors, whose names no door can have."""

__all__ = ["BUILT_IN", "SERVE_OPTIONS"]
