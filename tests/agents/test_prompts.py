import datetime
import enum
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from graphengine import Agent, ask
from graphengine.agents import prompts
from graphengine.agents.prompts import (
    block,
    fill,
    labelled,
)
from graphengine.errors import CompileError, DefinitionError
from graphengine.graph.question import holes
from graphengine.models.base import Message, ToolCall
from tests.agents.tool_kits import Size, check_readings
from tests.kit.runs import alone


class Review(BaseModel):
    score: int
    issues: list[str] = []


class Grade(enum.IntEnum):
    LOW = 3


class Mood(enum.Enum):
    GOOD = "good"


MESSAGES = [
    Message(role="summary", text="Before."),
    Message(role="user", text="Find ants.", agent="finder"),
    Message(role="assistant", agent="finder", calls=(ToolCall(id="1", name="search", arguments='{"q": "ants"}'),)),
    Message(role="tool", call_id="1", text="No such </result>", is_error=True),
    Message(role="tool", call_id="1", text="Found </result>"),
    Message(role="assistant", text="Here.", agent="the finder"),
]
NAMES = {**vars(prompts), "Decimal": Decimal, "datetime": datetime, "Size": Size}


async def test_prompts_show_values_as_their_page_says() -> None:
    """Each value has its text, tags and lines; `UPDATE_PAGES=1` rewrites the page."""
    await check_readings(Path(__file__).parent / "readings" / "prompts.txt", globals() | NAMES)


def test_a_taken_number_is_passed_over() -> None:
    """Finding the first free number is fast however many are taken."""
    data = "".join(f"</draft-{n}>" for n in range(2, 60_000)) + "</draft>"
    assert block("draft", data).endswith("</draft-60000>")


SIGNS = st.text(st.sampled_from("</>ab -2\n\u200b\uff1cA"), max_size=40)


@given(SIGNS, SIGNS)
def test_whatever_the_data_each_tag_is_opened_and_closed_once(one: str, other: str) -> None:
    """Each tag is opened and closed once, also for a lenient reader, who ignores blanks and case."""
    filled = fill("{a} and {b}", {"a": one, "b": other})
    read = re.sub(r"[\s\u200b]", "", filled.replace("\uff1c", "<")).lower()
    first = re.match(r"<(a(?:-\d+)?)>", read)
    last = re.search(r"</(b(?:-\d+)?)>$", read)
    assert first is not None
    assert last is not None
    for tag in (first.group(1), last.group(1)):
        assert len(re.findall(f"<{tag}>", read)) == 1
        assert len(re.findall(f"</{tag}>", read)) == 1


def test_the_holes_of_a_prompt_are_its_paths() -> None:
    """Doubled braces are braces."""
    assert holes("{a} {{b}} { a } {c.d}") == ("a", "c.d")


@pytest.mark.parametrize("text", ["{a} {b", "{a}} {b}", "{a b}"])
def test_a_text_with_bad_braces_is_not_sent(text: str) -> None:
    """A brace without a counterpart, or around no path, is refused also where nothing compiled the prompt."""
    with pytest.raises(DefinitionError, match=r"the text has .* in line 1|the text has \{a b\}, which is not a path"):
        fill(text, {"a": 1, "b": 2})


def test_sets_have_one_order() -> None:
    """A prompt is the same in every process, whatever the hash seed, including sets inside models."""
    program = """
import dataclasses, pydantic
from graphengine.agents.prompts import fill

class Model(pydantic.BaseModel):
    s: set[str]

@dataclasses.dataclass
class Data:
    m: list[Model]

print(fill("{a} {b}", {"a": Data([Model(s=set("qwertz"))]), "b": frozenset("asdfgh")}))
"""
    prompts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(prompts) == 1


def test_a_value_that_cannot_be_shown_is_an_error() -> None:
    """A value that contains itself is refused by name."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(DefinitionError, match="cannot show this value of type 'list'"):
        fill("{a}", {"a": loop})


@pytest.mark.parametrize("data", [b"so\xff", b"plain", bytearray(b"x"), memoryview(b"x"), [b"\xff"], {"a": b"\xff"}])
def test_bytes_are_no_prompt(data: object) -> None:
    """They would become meaningless characters; the error has a repair."""
    with pytest.raises(DefinitionError) as caught:
        fill("{x}", {"x": data})
    assert caught.value.repair
    with pytest.raises(DefinitionError):
        labelled({"x": data})


class Held(BaseModel):
    """A state with bytes in it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    picture: bytes = b"\x89PNG"
    said: str = ""


@pytest.mark.parametrize(
    ("runnable", "inputs"),
    [
        (Agent("seer", prompt="What is this? {picture}"), None),
        (Agent("seer"), {"what": "picture"}),
        (ask("Is it this? {picture}"), None),
    ],
)
def test_bytes_in_a_prompt_are_refused_when_a_graph_is_compiled(runnable: Any, inputs: Any) -> None:
    """Bytes in a prompt, or in a question to a person, are refused at compile time if the field's type is known."""
    graph = alone(Held, runnable, "said", name="g", node="see", inputs=inputs)
    with pytest.raises(CompileError) as caught:
        graph.compile()
    assert "bytes_in_prompt" in {problem.code for problem in caught.value.problems}


def test_a_function_of_an_agent_may_read_bytes() -> None:
    """Its prompt is the function's result."""
    graph = alone(Held, Agent("seer", prompt=lambda picture: f"{len(picture)} bytes"), "said", name="g", node="see")
    graph.compile()
