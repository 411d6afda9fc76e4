"""A text whose answer breaks off or is refused, as pages of several versions of the AI SDK are told of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.serve.service.client import Service
from tests.serve.service.conftest import Services

NONE: dict[str, Any] = {"type": ""}
FLOWS = str(Path(__file__).with_name("openai_flows.py"))


def said(service: Service, graph: str, version: str) -> list[dict[str, Any]]:
    """Return the parts of a message as `processUIMessageStream` of that version makes them of the chunks."""
    body = {"id": f"c{version}", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "x"}]}]}
    headers = {"X-AI-SDK-Version": version}  # left out if it is ""
    found = service.answer("POST", f"/ai-sdk/{graph}", json.dumps(body).encode(), headers)
    parts: list[dict[str, Any]] = []
    growing: dict[str, dict[str, Any]] = {}
    for line in found.text.splitlines():
        chunk = json.loads(line[6:]) if line.startswith("data: {") else NONE
        match chunk["type"]:
            case "reset-step" if version.startswith("6"):
                raise AssertionError("AI SDK 6 raises AI_TypeValidationError")
            case "reset-step":
                parts.clear()
                growing.clear()
            case "text-start":
                growing[chunk["id"]] = {"text": ""}
                parts.append(growing[chunk["id"]])
            case "text-delta":
                growing[chunk["id"]]["text"] += chunk["delta"]
            case "text-end":
                growing.pop(chunk["id"]).update(chunk.get("providerMetadata", {}))
            case _:
                pass
    assert not growing
    return parts


@pytest.mark.parametrize("graph", ["torn", "checked"])
def test_a_page_can_leave_out_a_text_that_does_not_count(services: Services, tmp_path: Path, graph: str) -> None:
    """AI SDK 7 is told to forget it; a page of 6 finds the mark in its part, and gets no part that it does not know."""
    service = services("--ai-sdk", tmp_path / "runs.db", graphs=FLOWS)
    assert said(service, graph, "") == said(service, graph, "7.0.1") == [{"text": "Whole answer."}]
    first, last = said(service, graph, "6")
    assert (first["graphengine"], last) == ({"dropped": True}, {"text": "Whole answer."})


def test_a_version_that_is_none_is_refused(services: Services, tmp_path: Path) -> None:
    """It is named, with what to send."""
    service = services("--ai-sdk", tmp_path / "runs.db", graphs=FLOWS)
    status, found = service.request("POST", "/ai-sdk/torn", b'{"id": "c", "messages": []}', {"X-AI-SDK-Version": "six"})
    assert status == 422
    assert "'six' is not a version" in json.dumps(found)
