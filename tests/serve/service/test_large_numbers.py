"""Whole numbers beyond 2**53 come through each door with all their digits, as numbers or as texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.serve.service.a2a_flows import picking
from tests.serve.service.conftest import Services
from tests.serve.service.front_ends import ag_ui, ai_sdk
from tests.serve.service.test_mcp import accepted, serving

pytest.importorskip("ag_ui.core")
LARGE, LARGER = 2**53 + 1, 10**30 + 1
GIVEN = {"ids": [LARGE, str(LARGER)]}
READ = {"ids": [LARGE, LARGER]}
BOTH = pytest.mark.parametrize("answer", [LARGE, str(LARGE)], ids=["number", "text"])


@BOTH
def test_by_http_and_front_ends(services: Services, tmp_path: Path, answer: Any) -> None:
    """The service, AG-UI and the AI SDK."""
    flows = str(Path(__file__).with_name("a2a_flows.py"))
    service = services("--ag-ui", tmp_path / "runs.db", "--ai-sdk", graphs=flows)
    assert service.start("picking", GIVEN, "?run_id=r")[0] == 201
    run = service.settled("r")
    asked, wait_id = run["seq"], run["waits"][0]["id"]
    assert service.call("POST", "/runs/r/answer", {"id": wait_id, "value": answer})[0] == 202

    assert service.settled("r", after=asked)["state"] == {**READ, "chosen": LARGE}

    events = ag_ui(service, "t", graph="picking", state=GIVEN).all()
    (snapshot,) = [each["snapshot"] for each in events if each["type"] == "STATE_SNAPSHOT"]
    assert snapshot == {**READ, "chosen": 0}
    (pending,) = events[-1]["outcome"]["interrupts"]
    given = [{"interruptId": pending["id"], "status": "resolved", "payload": answer}]
    assert str(LARGE) in json.dumps(ag_ui(service, "t", graph="picking", resume=given).all()[-1]["result"])

    chunks = ai_sdk(service, "s", graph="picking", state=GIVEN).all()
    (question,) = [each["data"] for each in chunks if each["type"] == "data-question"]
    said = [{"id": chunks[0]["messageId"], "role": "assistant", "parts": []}]
    done = ai_sdk(service, "s", graph="picking", answers={question["id"]: answer}, messages=said).all()
    assert [each["data"] for each in done if each["type"] == "data-state"][-1] == {**READ, "chosen": LARGE}


@BOTH
async def test_by_mcp(answer: Any) -> None:
    """The arguments of a tool, a form, and the result."""
    async with serving(picking) as tools, tools.client(lambda *_: accepted(answer=answer)) as client:
        result = await client.call_tool("picking", GIVEN)
    assert result.structured_content == {**READ, "chosen": LARGE}
    assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
