"""What all workflows on a task have in common: the task with its sources, sets of models, retries, and an example."""

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field

from graphengine import Retry, TextFile, failed
from graphengine.models import ModelNotReady, ModelTransient

AGAIN: Final = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))
UNUSABLE: Final = failed(Exception) & ~failed(ModelNotReady, ModelTransient)  # those fail the run, and can be resumed


class Task(BaseModel):
    """What is to be written, and from what; without sources, from what a model finds on the web, or knows."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []


def models(*strong: str, default: str = "placeholder") -> dict[str, dict[str, str]]:
    """Return the sets of models of a workflow: strong ones for these agents, cheap ones for the others."""
    return {
        "default": {"*": default},
        "anthropic": {"*": "anthropic:claude-haiku-5-5", **dict.fromkeys(strong, "anthropic:claude-opus-5-5")},
        "openai": {"*": "openai:gpt-5-mini", **dict.fromkeys(strong, "openai:gpt-6.1-sol")},
    }


def sample(**others: object) -> dict[str, Any]:
    """Return the task and the sources of the example, but for others."""
    folder = Path(__file__).parent / "samples" / "write_ahead_log"
    texts = [TextFile(path=file.name, text=file.read_text("utf-8")) for file in sorted(folder.glob("*.md"))]
    return {"task": (folder / "task.txt").read_text("utf-8").strip(), "sources": texts, **others}
