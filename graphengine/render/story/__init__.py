"""The story of a run, or of two, as one file to send: it reads like a page, not like a record.

    store → parts → run  ┬→ sheet: .html
                  → duel ┘

`parts` reads a run and has what both stories share, `prose` sets texts and values.
"""

from __future__ import annotations

from graphengine.render.story.run import story_of

__all__ = ["story_of"]
