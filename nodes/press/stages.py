"""The stages of the press: research, write, edit, list, each a node that reads and adds to a `Piece`.

A researcher or a writer that fails for good fails its node. If the editor fails, the draft is kept as it is; if the
publisher fails, there is no post, and the text is the result.
"""

from collections.abc import Sequence

from graphengine import Agent, Failure, Retry
from graphengine.errors import ModelTransient
from graphengine.graph.definition import Node
from nodes.citing import located, marked
from nodes.passages import Passage
from nodes.press.agents import editor, gather, publisher, writer
from nodes.press.pieces import Edited, Listing
from nodes.press.publishing import post_of

AGAIN = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))
MODELS = {  # cheap ones for the work, a strong one for the text; the researcher can quote sources without a model
    "default": {"*": "placeholder", "researcher": "offline", "searcher": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


def stages(
    writer: Agent[str] = writer, editor: Agent[Edited] = editor, publisher: Agent[Listing] = publisher
) -> dict[str, Node]:
    """Return the stages with these agents."""
    return {
        "research": Node(gather, writes={"findings": located}, retry=AGAIN),
        "write": Node(writer, writes={"draft": ".", "output": written}, retry=AGAIN),
        "edit": Node(
            editor,
            writes={"draft": "text", "changes": "changes", "output": edited},
            retry=AGAIN,
            fallback=unedited,
        ),
        "list": Node(publisher, writes={"post": post_of}, retry=AGAIN, fallback=None),
    }


def written(result: str, findings: Sequence[Passage]) -> str:
    """Return a writer's text with a note on what rests on no source."""
    return marked(result, findings)


def edited(result: Edited, findings: Sequence[Passage]) -> str:
    """Return an editor's text with a note on what rests on no source."""
    return marked(result.text, findings)


def unedited(draft: str, error: Failure) -> Edited:
    """Return the draft as it is, for an editor that failed."""
    return Edited(text=draft, changes=[f"None: the editor failed ({error.kind})."])
