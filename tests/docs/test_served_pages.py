"""The pages about what a service speaks: their graphs are served, and their clients use them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.page import USE, blocks, printed_in_fork
from tests.kit import forks
from tests.kit.extras import skip_without
from tests.serve.service.client import TOKEN, Service
from tests.serve.service.front_ends import ai_sdk, text_of

skip_without("a2a", "openai", "uvicorn")
(POSTS,) = blocks(USE / "serve.md", "python")
"""The graph of serve.md, which other pages serve too."""


def written(folder: Path, page: str, *names: str) -> Path:
    """Write the Python blocks of a page as modules of these names, at most 60 lines for two; return the first.

    The module `posts` is that of serve.md.
    """
    sources = blocks(USE / page, "python")
    if names[0] == "posts" and page != "serve.md":
        sources.insert(0, POSTS)
    assert sum(len(source.splitlines()) for source in sources[:2]) <= 60
    for name, source in zip(names, sources, strict=True):
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return folder / f"{names[0]}.py"


def test_the_programs_of_a2a_use_its_agent(tmp_path: Path) -> None:
    """The client is asked and gets the result; the graph asks what its remote agent asks."""
    there = Service(tmp_path / "there.db", "--a2a", graphs=str(written(tmp_path, "a2a.md", "posts", "client", "desk")))
    address = there.opened["doors"]["a2a"] + "/posts"
    assert printed_in_fork(tmp_path, "client.py", address, loads=forks.A2A)[-2:] == [
        "6 Publish Tides? (yes or no)",
        "result: All about Tides",
    ]
    here = Service(tmp_path / "here.db", graphs=str(tmp_path / "desk.py"), AGENT=address)
    run = here.settled(here.start("desk", {"title": "Moon"})[1]["run_id"])
    assert [wait["question"] for wait in run["waits"]] == ["Publish Moon? (yes or no)"]
    here.call("POST", f"/runs/{run['run_id']}/answer", {"id": run["waits"][0]["id"], "value": "yes"})
    assert here.settled(run["run_id"], run["seq"] + 1)["output"] == "All about Moon"
    assert (here.end(), there.end()) == (0, 0)


def test_the_client_of_the_openai_endpoint_talks_to_its_graphs(tmp_path: Path) -> None:
    """It is asked, answers, and continues a response; the same program again gets the same replies."""
    posts = written(tmp_path, "openai_endpoint.md", "posts", "helper", "client")
    service = Service(tmp_path / "runs.db", "--openai", str(tmp_path / "helper.py"), graphs=str(posts))
    for _ in range(2):
        address = service.opened["doors"]["openai"]
        assert printed_in_fork(tmp_path, "client.py", address, loads=("openai",)) == [
            "models: posts helper-chat",
            "Publish Tides? (yes or no)",
            "All about Tides",
            "You said: Again",
        ]
    assert service.end() == 0


@pytest.mark.parametrize("is_http", [False, True])
def test_the_client_of_the_mcp_server_calls_its_tool(tmp_path: Path, *, is_http: bool) -> None:
    """It is asked, shown progress, and gets the result; the second call gets the same run and is asked nothing."""
    graph = written(tmp_path, "mcp_server.md", "posts", "client")
    service = Service(tmp_path / "runs.db", "--mcp", graphs=str(graph)) if is_http else None
    words = [service.opened["doors"]["mcp"]] if service is not None else []
    first, second = (printed_in_fork(tmp_path, "client.py", *words, loads=forks.MCP) for _ in range(2))
    assert first[:2] == ["progress: run tides-1: write", "progress: run tides-1: approve"]
    assert "asked: Publish Tides?" in first
    assert first[-1] == "result: All about Tides"
    assert second == ["result: All about Tides"]
    assert service is None or service.end() == 0


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("curl") is None, reason="no shell, or no curl")
def test_the_requests_of_serve_start_answer_and_follow_a_run(tmp_path: Path) -> None:
    """The page's requests work in its order; the stream ends with the run."""
    service = Service(tmp_path / "runs.db", graphs=str(written(tmp_path, "serve.md", "posts")))
    env = {"URL": service.opened["url"], "AUTH": f"Authorization: Bearer {TOKEN}", "PATH": "/usr/bin:/bin"}
    shown = blocks(USE / "serve.md", "sh")[0].replace("curl ", "curl -sS --fail-with-body ")
    done = subprocess.run(["sh", "-e", "-c", shown], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"question":"Publish Tides?"' in done.stdout
    assert '"graph":"posts","event":"ended","status":"finished"' in done.stdout
    assert service.end() == 0


def test_the_chat_of_front_ends_answers_by_rules(tmp_path: Path) -> None:
    """Without a model the answer comes as a text, too, and to a page that is reloaded."""
    service = Service(tmp_path / "runs.db", "--ai-sdk", graphs=str(written(tmp_path, "front_ends.md", "talk")))
    streams = ai_sdk(service, "ada", "Hello"), ai_sdk(service, "ada")
    assert [text_of(each.all()) for each in streams] == ["You said: Hello"] * 2
    _, messages = service.request("GET", "/ai-sdk/assistant-chat/ada")
    assert [each["parts"][0]["text"] for each in messages] == ["Hello", "You said: Hello"]
    assert service.end() == 0
