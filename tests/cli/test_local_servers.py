"""What is said to somebody who has no key: which texts, which models, and which server on this machine."""

from pathlib import Path

import pytest

from graphengine.cli import models
from tests.cli.programs import Invoke
from tests.models.edge_server import EdgeServer

ROOT = Path(__file__).resolve().parents[2]
LOOP = str(ROOT / "graphs" / "review_loop.py")


def test_a_task_without_texts_is_refused_with_what_helps(
    edge: EdgeServer, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before the run starts: the option for texts, the sets of models, and the server that answers."""
    edge.models, address = {"data": [{"id": "qwen3:8b"}]}, edge.openai_url
    monkeypatch.setattr(models, "SERVERS", {"ollama": address, "gone": "http://127.0.0.1:1/v1"})
    found = invoke("run", LOOP, "--input", "task=Why?", "--store", str(tmp_path / "runs.db"))
    assert found.exit_code == 2
    said = " ".join(found.stderr.split())
    assert "the field 'sources' is empty, and the model 'rules' cannot answer without a value" in said
    assert "--input sources=@FILE" in said
    assert not (tmp_path / "runs.db").exists()
    assert f"--model anthropic, --model openai, --model openai-chat:qwen3:8b@{address}" in said
    assert "rules or placeholders answered" not in said


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": []}', b'{"data": [{}]}', b'{"data": 3}'])
def test_another_server_on_that_port_is_none(
    body: bytes, edge: EdgeServer, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hint then has an example."""
    edge.models = body
    monkeypatch.setattr(models, "SERVERS", {"ollama": edge.openai_url})
    found = invoke("run", LOOP, "--input", "task=Why?", "--store", str(tmp_path / "runs.db"))
    assert "--model openai-chat:NAME@http://127.0.0.1:11434/v1" in " ".join(found.stderr.split())
