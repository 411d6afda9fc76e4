"""The error of drawing."""

from __future__ import annotations

from graphengine.errors import GraphEngineError


class RenderError(GraphEngineError):
    """A drawing cannot be made or written; on the command line, a usage error (exit code 2)."""

    code = "render_error"
