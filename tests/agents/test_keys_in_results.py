"""A key of a provider in what a tool returns: no model reads it, and no record has it."""

import json
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Runner, ScriptedModel, tool
from graphengine.models import OpenAIChatModel, Response, Router, calls

KEY = "sk-proj-0123456789abcdef"
GIVEN = "gateway-key-of-mine-42"


def environment() -> str:
    """Return the environment."""
    return f"OPENAI_API_KEY={KEY}\nHOME=/root\n{json.dumps({'key': GIVEN})} ollama"


def broken() -> str:
    """Fail."""
    raise ValueError(f"401 for {KEY}")


@pytest.mark.parametrize("effect", [None, "once"])
async def test_no_model_reads_a_key_of_a_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effect: str | None
) -> None:
    """Keys of the environment and of the agent's models are struck out of results and errors, also in the records."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OLLAMA_API_KEY", "ollama")
    keyed = OpenAIChatModel("m", base_url="http://127.0.0.1:1/v1", api_key=GIVEN)
    seen: list[str] = []

    def say(request: object) -> Response:
        seen.extend(each.text for each in request.messages if each.role == "tool")  # type: ignore[attr-defined]
        return calls(("environment", {}), ("broken", {})) if not seen else Response("Done.")

    class Scripted(ScriptedModel):
        def __keys__(self) -> tuple[str, ...]:
            return tuple(Router([keyed]).__keys__())

    tools: list[Any] = [tool(environment, effect=effect), broken]  # type: ignore[arg-type]
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.run(Agent("a", model=Scripted(say), tools=tools), question="x", run_id="r")
        text = str(await runner.history("r"))
    assert seen == ['OPENAI_API_KEY=[secret]\nHOME=/root\n{"key": "[secret]"} ollama', "ValueError: 401 for [secret]"]
    assert KEY not in text
    assert GIVEN not in text
