"""The mock server from npm answers the providers' SDKs; without it, these tests are skipped with a message."""

import json
from pathlib import Path

import pytest

from tests.models.aimock_server import FOLDER, REPAIR, Aimock, missing


async def test_both_sdks_are_answered(aimock: Aimock) -> None:
    """One fixture answers on all three wires, and the journal shows the requests."""
    import anthropic  # noqa: PLC0415 - the SDKs take 1.5 s, of each process that collects these tests
    import openai  # noqa: PLC0415

    async with anthropic.AsyncAnthropic(api_key="k", base_url=aimock.url, max_retries=0) as claude:
        message = await claude.messages.create(
            model="m", max_tokens=9, system="be brief", messages=[{"role": "user", "content": "say hello"}]
        )
    async with openai.AsyncOpenAI(api_key="k", base_url=aimock.openai_url, max_retries=0) as gpt:
        response = await gpt.responses.create(model="m", input="say hello")
        completion = await gpt.chat.completions.create(model="m", messages=[{"role": "user", "content": "say hello"}])

    text = "Hello there, how are you?"
    assert message.content[0].type == "text"
    assert (message.content[0].text, response.output_text, completion.choices[0].message.content) == (text, text, text)
    paths = [entry["path"] for entry in aimock.journal()]
    assert paths == ["/v1/messages", "/v1/responses", "/v1/chat/completions"]


async def test_a_question_it_does_not_know_is_an_error(aimock: Aimock) -> None:
    """It is strict: a question without a fixture is an error."""
    import openai  # noqa: PLC0415

    async with openai.AsyncOpenAI(api_key="k", base_url=aimock.openai_url, max_retries=0) as gpt:
        with pytest.raises(openai.InternalServerError):
            await gpt.responses.create(model="m", input="something else")


def test_missing_software_is_reported_with_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Node.js, with an old one, or without the package, the reason to skip has the repair."""
    monkeypatch.setattr("tests.models.aimock_server.PROGRAM", tmp_path / "cli.js")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing() == f"aimock needs Node.js, which is not on PATH: {REPAIR}"
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.19.1\n", encoding="utf-8")
    node.chmod(0o755)
    assert missing() == f"aimock needs a newer Node.js than v18.19.1: {REPAIR}"
    node.write_text("#!/bin/sh\necho v22.0.0\n", encoding="utf-8")
    assert missing() == f"aimock is not installed: {REPAIR}"
    (tmp_path / "cli.js").touch()
    assert missing() == ""


def test_its_lock_names_no_registry() -> None:
    """The lock file has versions and checksums, but no addresses of a registry."""
    lock = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))
    (package,) = [entry for name, entry in lock["packages"].items() if name]
    assert "resolved" not in package
    assert package["integrity"].startswith("sha512-")
    assert "://" not in json.dumps(lock)
