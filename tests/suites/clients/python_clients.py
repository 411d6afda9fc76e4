"""Python clients that we did not write, in an environment of their own: `python_clients.py NAME URL`.

Each prints a line for each thing that holds, or does not.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKEN = os.environ["GRAPHENGINE_TOKEN"]


def say(name: str, holds: object, found: object = "") -> None:
    """Print whether something holds."""
    print(f"PASS {name}" if holds else f"FAIL {name}: {str(found)[:300]}", flush=True)


def got(url: str, path: str) -> Any:
    """Return what the service has there."""
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def made(url: str, work: Callable[[], object]) -> tuple[int, str]:
    """Return how many runs of `broken` some work makes, and its error."""
    before, error = len(got(url, "/runs?graph=broken&limit=500")["runs"]), ""
    try:
        work()
    except Exception as caught:
        error = type(caught).__name__
    return len(got(url, "/runs?graph=broken&limit=500")["runs"]) - before, error


def litellm(url: str) -> None:
    """LiteLLM, and its proxy with its defaults."""
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": f"sk-{TOKEN}"}
    import litellm as library  # type: ignore[import-not-found]

    words: Any = {"api_base": f"{url}/v1", "api_key": TOKEN, "messages": [{"role": "user", "content": "Hi"}]}
    done = library.completion(model="openai/helper-chat", **words)
    say("a completion", done.choices[0].message.content == "You said: Hi", done)
    pieces = library.completion(model="openai/echo", stream=True, **words)
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    say("a stream", text == "You said: Hi", text)
    found = made(url, lambda: library.completion(model="openai/broken", num_retries=2, **words))
    say("a failed run is made once", found[0] == 1, found)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        names = ("echo", "broken", "helper-chat")
        given = {"api_base": f"{url}/v1", "api_key": TOKEN}
        models = [{"model_name": each, "litellm_params": {"model": f"openai/{each}", **given}} for each in names]
        Path(folder, "config.yaml").write_text(json.dumps({"model_list": models}))
        port = free.getsockname()[1]
        free.close()
        command = [str(Path(sys.executable).parent / "litellm"), "--config", "config.yaml", "--port", str(port)]
        log = Path(folder, "log").open("w")
        proxy = subprocess.Popen([*command, "--host", "127.0.0.1"], cwd=folder, stdout=log, stderr=log)
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness").close()
                    break
                except OSError:
                    assert proxy.poll() is None, Path(folder, "log").read_text()
                    time.sleep(0.1)
            from openai import OpenAI

            client = OpenAI(base_url=f"http://127.0.0.1:{port}", api_key=f"sk-{TOKEN}", max_retries=2)
            reply = client.chat.completions.create(model="echo", messages=words["messages"])
            say("the proxy: a completion", reply.choices[0].message.content == "You said: Hi", reply)
            found = made(url, lambda: client.chat.completions.create(model="broken", messages=words["messages"]))
            say("the proxy: a failed run is made once", found[0] == 1, found)
        finally:
            proxy.terminate()
            proxy.wait()


def fastmcp(url: str) -> None:
    """The client of fastmcp."""
    from fastmcp import Client  # type: ignore[import-not-found]
    from fastmcp.exceptions import ToolError  # type: ignore[import-not-found]

    async def person(message: str, *_: Any) -> Any:
        from fastmcp.client.elicitation import ElicitResult  # type: ignore[import-not-found]

        return ElicitResult(action="accept", content={"answer": True})

    async def main() -> None:
        async with Client(f"{url}/mcp", auth=TOKEN) as client:
            say("tools", {"echo", "broken", "posts"} <= {tool.name for tool in await client.list_tools()})
            found = await client.call_tool("echo", {"text": "hi"})
            say("a result", found.structured_content == {"result": "You said: hi"}, found)
            try:
                await client.call_tool("broken", {"text": "x"})
                say("a failed run", False)
            except ToolError as error:
                say("a failed run", "cannot say x" in str(error), error)
        async with Client(f"{url}/mcp", auth=TOKEN, elicitation_handler=person) as client:
            found = await client.call_tool("posts", {"title": "T"})
            say("a question", found.structured_content == {"result": True}, found)

    asyncio.run(main())


def schemathesis(url: str) -> None:
    """Hostile requests made from the description, each answer held against it."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {TOKEN}", "--checks", "all"]
    expected = Path(__file__).parent.parent.joinpath("expected.toml").read_text(encoding="utf-8")
    left_out = tomllib.loads(expected)["left out of schemathesis"]
    command += ["--exclude-checks", ",".join(left_out["checks"]), "--max-examples"]
    command += [os.environ.get("EXAMPLES", "25"), "--seed", "1", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    say("all checks", done.returncode == 0, "\n" + done.stdout[-6000:] + done.stderr[-500:])


def openapi_client(url: str) -> None:
    """A client that openapi-python-client makes from the description."""
    with tempfile.TemporaryDirectory() as folder:
        made = str(Path(sys.executable).parent / "openapi-python-client")
        path = Path(folder, "openapi.json")
        path.write_text(json.dumps(got(url, "/openapi.json")))
        command = [made, "generate", "--path", str(path), "--output-path", f"{folder}/made", "--meta", "none"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        say("nothing is left out", done.returncode == 0 and "Unable" not in text, text)
        sys.path.insert(0, folder)
        from made import AuthenticatedClient  # type: ignore[import-not-found]
        from made.api.default import get_run, start_echo  # type: ignore[import-not-found]
        from made.models.text import Text  # type: ignore[import-not-found]

        client = AuthenticatedClient(url, TOKEN)
        begun = start_echo.sync(client=client, body=Text(text="hi"))
        over = get_run.sync(begun.run_id, client=client, wait=30)
        say("a run", (over.status, over.output) == ("finished", "You said: hi"), over)


if __name__ == "__main__":
    {each.__name__: each for each in (litellm, fastmcp, schemathesis, openapi_client)}[sys.argv[1]](sys.argv[2])
