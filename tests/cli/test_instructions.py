"""`branch --instructions`: other instructions for an agent, as text or from a file."""

from __future__ import annotations

from pathlib import Path

from tests.cli.programs import Invoke, document

WRITER = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ScriptedModel
class Piece(BaseModel):
    draft: str = ""
model = ScriptedModel(lambda request: request.system)
graph = Graph("write", Piece, result="draft")
graph.add_node("draft", Agent("writer", system="Short.", prompt="Go", model=model), writes="draft")
graph.add_path(START, "draft", END)
"""


def test_branch_takes_other_instructions(invoke: Invoke, tmp_path: Path) -> None:
    """They are recorded, and `diff` names whose were replaced; what names nobody is wrong usage."""
    (tmp_path / "write.py").write_text(WRITER)
    (tmp_path / "long.txt").write_text("Write long.")
    flow = str(tmp_path / "write.py")
    assert invoke("run", flow, "--run-id", "first").exit_code == 0
    said = [f"writer=@{tmp_path / 'long.txt'}", "writer=Longer."]
    for number, text in enumerate(said):
        child = f"child{number}"
        words = ("branch", "first", "--at", "1", "--graph", flow, "--run-id", child, "--instructions", text, "--json")
        assert document(invoke(*words).stdout)["state"]["draft"] == ("Write long.", "Longer.")[number]
    assert "instructions of writer: replaced" in invoke("diff", "first", "child0").stdout
    for wrong, part in (("writer", "names nobody"), ("writr=x", "unknown agent"), ("writer=@no.txt", "no.txt")):
        found = invoke("branch", "first", "--at", "1", "--graph", flow, "--instructions", wrong)
        assert (found.exit_code, part in found.stderr) == (2, True)
