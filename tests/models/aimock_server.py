"""aimock, a third-party mock server of models' APIs, started for tests.

It comes from npm: `make servers` installs the version in `aimock/package-lock.json`. Without Node.js or the package,
tests that need it are skipped with a message. `aimock/fixtures.json` has its answers for every test; `add` adds more.
"""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest import SkipTest

from tests.conformance.model_scenes import Fails, Received, Says, Scene, Turn
from tests.models.wire import Json
from tests.models.wire_chat import ChatWire

FOLDER: Final = Path(__file__).resolve().parent / "aimock"
PROGRAM: Final = FOLDER / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
OLDEST_NODE: Final = (20, 15)
REPAIR: Final = "install Node.js 20.15 or newer, then run `npm ci --prefix tests/models/aimock` (or `make servers`)"
_ADDRESS: Final = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")


def missing() -> str:
    """Return what aimock needs but is missing, with a repair; "" if it can be started."""
    node = shutil.which("node")
    if node is None:
        return f"aimock needs Node.js, which is not on PATH: {REPAIR}"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_NODE:
        return f"aimock needs a newer Node.js than {version.strip() or 'the one here'}: {REPAIR}"
    if not PROGRAM.exists():
        return f"aimock is not installed: {REPAIR}"
    return ""


class Aimock:
    """The server. `url` is the base_url for Anthropic's SDK, `openai_url` the one for OpenAI's."""

    def start(self) -> None:
        """Start it on a free port of 127.0.0.1, with the answers of `fixtures.json`."""
        node = shutil.which("node")
        assert node is not None
        command = [node, str(PROGRAM), "--port", "0", "--fixtures", str(FOLDER / "fixtures.json"), "--strict"]
        clean = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=FOLDER, env=clean
        )
        assert self._process.stdout is not None
        lines: list[str] = []
        for line in self._process.stdout:
            lines.append(line)
            found = _ADDRESS.search(line)
            if found is not None:
                self.url = found[1]
                self.openai_url = f"{self.url}/v1"
                return
        self.stop()
        raise AssertionError("aimock did not start: " + "".join(lines))

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.communicate(timeout=20)

    def reset(self, *, empty: bool = False) -> None:
        """Remove calls and added answers, and also those of `fixtures.json` if it is to be empty."""
        self._control("POST", "reset")
        if not empty:
            self._control("POST", "fixtures", json.loads((FOLDER / "fixtures.json").read_text(encoding="utf-8")))

    def add(self, *fixtures: Json) -> None:
        """Add answers in aimock's own form, `{"match": …, "response": …}`."""
        self._control("POST", "fixtures", {"fixtures": list(fixtures)})

    def journal(self) -> list[Json]:
        """Return all calls so far. Bodies are in the form of Chat Completions, on every wire."""
        found: list[Json] = self._control("GET", "journal")
        return found

    def _control(self, method: str, what: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.url}/__aimock/{what}", data, method=method)  # noqa: S310 - our own
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - as above
            return json.loads(answer.read())


HOLDS_NOTHING = "aimock holds no answer back, so no test of it may wait for one"


class AimockService:
    """aimock as the `Service` of the conformance suite; scenes that it cannot play are skipped."""

    def __init__(self, aimock: Aimock) -> None:
        self._aimock = aimock
        self._played = 0
        aimock.reset(empty=True)

    def play(self, *scenes: Scene) -> None:
        """Answer the next calls with these, in order."""
        for scene in scenes:
            match = {"endpoint": "chat", "sequenceIndex": self._played}
            self._aimock.add({"match": match, **_fixture(scene)})
            self._played += 1

    def received(self) -> list[Received]:
        """Return all calls so far."""
        calls = [ChatWire().read(entry["headers"], entry["body"]) for entry in self._aimock.journal()]
        return [replace(call, key=None, turns=_joined(call.turns)) for call in calls]

    async def arrived(self, count: int) -> None:
        """Refuse to be called: no answer is held."""
        raise AssertionError(HOLDS_NOTHING)

    async def disconnected(self) -> None:
        """Refuse to be called: no answer is held."""
        raise AssertionError(HOLDS_NOTHING)

    def release(self) -> None:
        """Refuse to be called: no answer is held."""
        raise AssertionError(HOLDS_NOTHING)


def _joined(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Join the items of one answer into one turn: the journal has several for the Responses API."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role == "assistant":
            found[-1] = replace(turn, text=found[-1].text + turn.text, calls=found[-1].calls + turn.calls)
        else:
            found.append(turn)
    return tuple(found)


def _fixture(scene: Scene) -> Json:
    """Return a scene in aimock's form."""
    if isinstance(scene, Fails) and scene.trouble in {"rate_limit", "server_error"} and not scene.in_stream:
        limited = scene.trouble == "rate_limit"
        kind = "rate_limit_error" if limited else "server_error"
        wait = {} if scene.retry_after_seconds is None else {"retryAfter": scene.retry_after_seconds}
        return {"response": {"error": {"message": "no", "type": kind}, "status": 429 if limited else 500, **wait}}
    plain = isinstance(scene, Says) and not (scene.held or scene.lingers or scene.thinking or len(scene.text) > 10_000)
    if not isinstance(scene, Says) or not plain or scene.stop not in {"end", "tools", "cut"}:
        raise SkipTest(f"aimock cannot play this: {scene!r:.300}")
    if scene.counted is None or scene.counted.cache_read_tokens or scene.counted.reasoning_tokens:
        raise SkipTest("aimock always reports question and answer tokens, and no others")
    counted = scene.counted
    response: Json = {
        "usage": {
            "prompt_tokens": counted.input_tokens,
            "completion_tokens": counted.output_tokens,
            "total_tokens": counted.input_tokens + counted.output_tokens,
        }
    }
    if scene.text or not scene.calls:
        response["content"] = scene.text
    if scene.calls:
        response["toolCalls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in scene.calls
        ]
    if scene.stop == "cut":
        response["finishReason"] = "length"
    return {"response": response, "chunkSize": 5}
