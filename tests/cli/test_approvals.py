"""Approval of tool calls on the command line: what is shown, and the answers to paste."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.programs import Invoke

MAILING = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, tool
from graphengine.models import Request, Response
from graphengine.models.scripted import calls

class State(BaseModel):
    said: str = ""

class Clerk:
    name = "clerk"

    async def answer(self, request: Request) -> Response:
        results = [message.text for message in request.messages if message.role == "tool"]
        text = "Dear Ada,\\n\\nhello \\x1b[2K"
        return Response(results[0]) if results else calls(("mail", {"to": "Ada", "text": text}))

def mail(to: str, text: str) -> str:
    return f"sent to {to}"

graph = Graph("mailing", State, result="said")
graph.add_node("mail", Agent("clerk", prompt="Mail.", tools=[tool(mail, approve=True)], model=Clerk()), writes="said")
graph.add_path(START, "mail", END)
"""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("yes", "sent to Ada"),
        ('{"refuse":"the reason"}', "refused it. The reason: the reason"),
        ('{"arguments":{"to":"Bob"}}', "sent to Bob"),
    ],
)
def test_a_tool_call_is_shown_as_a_table_and_answered(answer: str, said: str, project: Path, invoke: Invoke) -> None:
    """The answers that are shown can be pasted; control characters of a model's text do not reach the terminal."""
    (project / "mailing.py").write_text(MAILING, encoding="utf-8")
    shown = invoke("run", "mailing.py", "--run-id", "r")
    assert shown.exit_code == 3
    assert "\x1b" not in shown.output
    lines = [line.rstrip() for line in shown.output.splitlines()]
    at = lines.index("  mail: May clerk call mail?")
    assert lines[at + 1 : at + 4] == ["", "    to    Ada", "    text  Dear Ada,"]
    (command,) = (line.strip().removeprefix("answer: ") for line in lines if line.strip().startswith("answer: "))
    words, others = command.split("  (or ")
    assert shlex.split(words)[2:4] == ["r", "yes"]
    assert others.startswith("""no, '{"refuse":"the reason"}', '{"arguments":{"to":"Ada",""")
    wrong = invoke("answer", "r", '{"arguments": {"to": 3}}', "--graph", "mailing.py")
    assert "arguments.to: 3 is not a text" in wrong.output
    done = invoke("answer", "r", answer, "--graph", "mailing.py")
    assert done.exit_code == 0
    assert said in re.sub(r"\s+", " ", done.output)
