"""The review loop with models whose servers misbehave, on three wires: bad answers, refusals, 429, hanging, a kill."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from graphengine.cli import driving
from graphengine.cli.main import main
from graphs.review_loop import example
from nodes.citing import KNOWLEDGE, Passage, Quotations
from tests.cli.programs import ROOT, call, document, start
from tests.conformance.model_scenes import Babbles, Counted, Fails, Received, Says, Scene
from tests.kit.extras import skip_without
from tests.kit.review_team import answers, asked
from tests.models.adapters import NAMES as WIRES
from tests.models.edge_server import EdgeServer

skip_without("anthropic", "openai", "genai_prices")

LOOP = str(ROOT / "graphs" / "review_loop.py")
TEXTS = answers(example())
REFUSAL = "I'm sorry, but I can't help with that."


def run(folder: Path, *words: str) -> Result:
    """Call the command line in this process."""
    return CliRunner().invoke(main, [*words, "--store", str(folder / "runs.db")])


class Team:
    """Answers each agent's calls in order, after some scenes of its own; keeps which agents were asked."""

    def __init__(self, **first: list[Scene]) -> None:
        self.asked: list[str] = []
        self._left: dict[str, Iterator[Scene]] = {
            name: iter([*first.get(name, []), *map(Says, texts)]) for name, texts in TEXTS.items()
        }

    def __call__(self, received: Received) -> Scene:
        self.asked.append(asked(received))
        return next(self._left[self.asked[-1]])


@pytest.mark.parametrize("model", WIRES)
def test_bad_answers_are_sent_back_and_a_refusal_is_never_the_brief(
    provider: EdgeServer, tmp_path: Path, model: str
) -> None:
    """Malformed and fenced JSON, chatter around it, a refusal, half a document, and an overloaded server."""
    found, judged = TEXTS["researcher"][0], TEXTS["reviewer"][0]
    team = Team(
        researcher=[Says(found[:40]), Babbles("torn_json"), Fails("overloaded"), Says(f"Sure!\n```json\n{found}\n```")],
        writer=[Says(REFUSAL), Says(f"Here is your brief:\n\n{TEXTS['writer'][0]}")],
        reviewer=[Says(f"{judged}\nLet me know if you need more.")],
    )
    provider.answer(team)
    done = run(tmp_path, "run", LOOP, "--model", model, "-o", str(tmp_path / "brief.md"))
    assert done.exit_code == 0, done.stderr
    brief = (tmp_path / "brief.md").read_text("utf-8")
    assert brief.startswith("# ")
    assert REFUSAL not in brief
    assert team.asked.count("writer") > 2


@pytest.mark.parametrize(
    ("model", "place", "note"),
    [(WIRES[0], "https://tides.example", ""), (WIRES[2], KNOWLEDGE, "Written from what the model knows")],
)
def test_a_key_and_a_task_are_enough(provider: EdgeServer, tmp_path: Path, model: str, place: str, note: str) -> None:
    """With a provider that searches its pages are cited; without a search the brief says what it rests on."""
    found = Quotations(quotations=[Passage(text="The moon pulls the sea.", file="https://tides.example")])

    def answer(received: Received) -> Scene:
        question = received.turns[0].text
        if "At most 350 words." in question:
            return Says(f"# Tides\n\nThe moon does it [{place}].")
        return Says(TEXTS["reviewer"][1] if "Draft:" in question else found.model_dump_json())

    provider.answer(answer)
    done = run(tmp_path, "run", LOOP, "--model", model, "--input", "task=Tides")
    assert done.exit_code == 0, done.stderr
    assert f"The moon does it [{place}]" in done.stdout
    assert note in done.stdout


@pytest.mark.parametrize("model", WIRES)
def test_a_brief_that_is_cut_is_kept_and_says_so(provider: EdgeServer, tmp_path: Path, model: str) -> None:
    """What was paid for is the brief, with a note; the reviewer sees the fault, and no draft is asked for twice."""
    text = TEXTS["writer"][0]
    short = f"{text[: text.index(']') + 1]}\n\nThe log is the"
    cut = Says(short, stop="cut", counted=Counted(output_tokens=8_192))
    team = Team(writer=[cut], reviewer=[Says(TEXTS["reviewer"][-1])])
    provider.answer(team)
    done = run(tmp_path, "run", LOOP, "--model", model)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{short}\n")
    assert "To be mended: it breaks off in a sentence." in done.stdout
    assert team.asked.count("writer") == 1


def test_a_refusal_for_ever_fails_the_run_and_says_what_is_wrong(provider: EdgeServer, tmp_path: Path) -> None:
    """It is asked three times, and can be resumed with another model."""
    provider.answer(Team(writer=[Says(REFUSAL)] * 3))
    failed = run(tmp_path, "run", LOOP, "--model", WIRES[0], "--run-id", "r")
    assert failed.exit_code == 1
    assert "it has no title" in failed.stderr
    assert run(tmp_path, "resume", "r", "--graph", LOOP, "--model", "rules").exit_code == 0


@pytest.mark.parametrize(("model", "trouble"), [(WIRES[0], "hangs"), (WIRES[1], "429 for ever"), (WIRES[2], "hangs")])
def test_a_limit_of_seconds_stops_a_call_that_does_not_end(
    provider: EdgeServer, tmp_path: Path, model: str, trouble: str
) -> None:
    """What was answered before is kept: only the writer is asked again."""
    busy = Says("word", held=True) if trouble == "hangs" else Fails("rate_limit", retry_after_seconds=9)
    team = Team(writer=[busy] * 20)
    provider.answer(team)
    stopped = run(tmp_path, "run", LOOP, "--model", model, "--run-id", "r", "--limit", "seconds=3")
    assert stopped.exit_code == 4
    assert "stopped: seconds 3" in stopped.stderr
    provider.release()
    provider.answer(again := Team(researcher=[Says(TEXTS["researcher"][1])]))
    done = run(tmp_path, "resume", "r", "--graph", LOOP, "--model", model, "--limit", "seconds=60")
    assert done.exit_code == 0, done.stderr
    assert again.asked == ["writer", "reviewer", "researcher", "writer", "reviewer"]


def test_sigterm_ends_a_call_that_hangs_within_the_grace_time(
    provider: EdgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is released, and continues with the call that was cut."""
    monkeypatch.setattr(driving, "GRACE_SECONDS", 0.1)
    team = Team(writer=[Says("word", held=True)])

    def answer(received: Received) -> Scene:
        if asked(received) == "writer":
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return team(received)

    provider.answer(answer)
    released = run(tmp_path, "run", LOOP, "--model", WIRES[0], "--run-id", "r")
    assert released.exit_code == 4
    assert "released: asked by SIGTERM" in released.stderr
    provider.release()
    provider.answer(Team(researcher=[Says(TEXTS["researcher"][1])]))
    assert run(tmp_path, "resume", "r", "--graph", LOOP, "--model", WIRES[0]).exit_code == 0


async def test_nothing_answered_is_asked_again_after_a_kill(provider: EdgeServer, tmp_path: Path) -> None:
    """After kill -9 during the reviewer's call only that one is repeated."""
    held = Team(reviewer=[Says("word", held=True)])
    provider.answer(held)
    words = ("--model", WIRES[2], "--store", "runs.db")
    process = start(tmp_path, "run", LOOP, "--run-id", "r", *words)
    await provider.arrived(3)
    process.kill()
    process.communicate()
    provider.answer(again := Team(researcher=[Says(TEXTS["researcher"][1])]))
    done = call(tmp_path, "resume", "r", "--graph", LOOP, *words, "--json")
    assert (done.returncode, document(done.stdout)["status"]) == (0, "finished")
    assert [*held.asked, *again.asked] == ["researcher", "writer", "reviewer", "reviewer", *TEXTS]
