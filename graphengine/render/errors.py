"""What drawing can fail with."""

from __future__ import annotations

from graphengine.errors import GraphEngineError


class RenderError(GraphEngineError):
    """The drawing cannot be made or written; in the command line a mistake of usage (exit code 2)."""

    code = "render_error"
