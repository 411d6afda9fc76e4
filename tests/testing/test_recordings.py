"""`recordings`: test models that are called once, through a provider's own SDK, and then answer from a file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.testing.recordings import file_of
from tests.conformance.model_scenes import Says
from tests.models.edge_server import EdgeServer
from tests.testing.test_plugin import output_of, run

pytest_plugins = ("pytester",)

KEY = "sk-test-0123456789abcdef"
TEST = """
import os
from graphengine.models import AnthropicModel

def asked(url):
    return AnthropicModel("claude-haiku-4-5", api_key=os.environ.get("EDGE_KEY", "none"), base_url=url)

async def test_it(runner, recordings):
    runner.use(models={{"*": recordings(asked({url!r}))}})
    result = await runner.start(writing, {{"n": {n}, "draft": ""}}).result()
    assert result.state.draft == {draft!r}
"""


@pytest.fixture
def edge() -> Iterator[EdgeServer]:
    """A provider's server."""
    server = EdgeServer()
    server.start()
    yield server
    server.stop()


def recorded(pytester: pytest.Pytester) -> list[Path]:
    """Return the recordings next to the tests."""
    return sorted(pytester.path.rglob("recordings/**/*.jsonl"))


def test_a_test_is_recorded_once_and_replayed_without_its_server(
    pytester: pytest.Pytester, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test is recorded through the real SDK, and replayed with the server gone and no key."""
    edge.play(Says(f"a draft, signed {KEY}"))
    monkeypatch.setenv("EDGE_KEY", KEY)
    source = TEST.format(url=edge.url, n=1, draft=f"a draft, signed {KEY}")
    run(pytester, source, "--graphengine-record").assert_outcomes(passed=1)
    assert len(edge.received()) == 1
    [file] = recorded(pytester)
    assert file.relative_to(pytester.path).parts[0] == "recordings"
    assert file.name == "test_it.jsonl"
    body = file.read_text(encoding="utf-8")
    assert KEY not in body
    assert json.loads(body)["response"]["content"] == "a draft, signed [secret EDGE_KEY]"
    monkeypatch.delenv("EDGE_KEY")
    gone = TEST.format(url="http://127.0.0.1:9", n=1, draft="a draft, signed [secret EDGE_KEY]")
    run(pytester, gone).assert_outcomes(passed=1)
    assert len(edge.received()) == 1
    run(pytester, gone, "--graphengine-record").assert_outcomes(passed=1)  # nothing is missing, so no model is called


def test_a_missing_recording_names_the_test_and_the_option(pytester: pytest.Pytester) -> None:
    """Without a file no model is called: the test fails with the file and the recording command."""
    result = run(pytester, TEST.format(url="http://127.0.0.1:9", n=7, draft=""))
    result.assert_outcomes(failed=1)
    output = output_of(result)
    assert "bad_recording: there is no file " in output
    assert "::test_it calls the model" in output
    assert "pytest --graphengine-record " in output
    assert not recorded(pytester)


def test_a_changed_prompt_is_shown(pytester: pytest.Pytester, edge: EdgeServer) -> None:
    """If a request is not in the file, the error shows it and how to record it."""
    edge.play(Says("a draft"))
    run(pytester, TEST.format(url=edge.url, n=1, draft="a draft"), "--graphengine-record").assert_outcomes(passed=1)
    result = run(pytester, TEST.format(url=edge.url, n=2, draft="a draft"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not_recorded: *test_it.jsonl has no answer left to this request of agent writer*"])
    result.stdout.fnmatch_lines(["*pytest --graphengine-record *::test_it*existing recordings are kept*"])
    assert len(edge.received()) == 1


def test_two_models_of_one_test_have_two_files(pytester: pytest.Pytester, edge: EdgeServer) -> None:
    """`name=` gives two models of one test two files."""
    edge.play(Says("a draft"))
    source = TEST.format(url=edge.url, n=1, draft="a draft").replace(
        f"asked({edge.url!r})", f"asked({edge.url!r}), name='the critic'"
    )
    run(pytester, source, "--graphengine-record").assert_outcomes(passed=1)
    [file] = recorded(pytester)
    assert file.name.startswith("test_it.the-critic-")


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("tests/test_a.py::test_x", "test_x.jsonl"),
        ("tests/test_a.py::TestAll::test_x", "TestAll.test_x.jsonl"),
        ("tests/test_a.py::test_x[a-1]", "test_x-a-1-"),
        ("tests/test_a.py::test_x[../../etc]", "test_x-..-..-etc-"),
        ("tests/test_a.py::test_x[" + "long " * 100 + "]", "test_x-long-long-"),
    ],
)
def test_a_recording_has_the_name_of_its_test(tmp_path: Path, test: str, name: str) -> None:
    """Classes and parameters are part of the name; invalid characters are replaced, and a digest is added."""
    file = file_of(tmp_path / "test_a.py", test)
    assert file.parent == tmp_path / "recordings" / "test_a"
    assert file.name.startswith(name)
    assert len(file.name) < 150


def test_names_with_different_invalid_characters_have_different_files(tmp_path: Path) -> None:
    """Two parameters that look alike in a file name have two files."""
    module = tmp_path / "test_a.py"
    assert file_of(module, "m::t[a b]") != file_of(module, "m::t[a/b]")
