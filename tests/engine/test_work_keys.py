"""Keys of recorded work: they are read as they were made, whatever the names and the texts in them hold."""

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from graphengine.engine.work_keys import WorkKey
from tests.kit.syntax import walked

TEXTS = st.text(st.sampled_from("/|%.~[]: 12F7Caä\n")) | st.text()
NAMES = TEXTS | st.sampled_from(
    ["turn", "summary", "agent a/b", "tool x|1", "child 7", "begun ", "ask", "<locals>.turn"]
)
KEYS = st.builds(WorkKey, st.just(""), NAMES, TEXTS, st.integers(1, 10**9))
PACKAGE = Path(__file__).resolve().parents[2] / "graphengine"


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_a_key_is_read_as_it_was_made(parts: list[WorkKey]) -> None:
    """With any names and texts, at any depth; and different work never has the same key."""
    key = ""
    for each in parts:
        made = each._replace(around=key)
        assert WorkKey.read(str(made)) == made
        assert str(made) == f"{made.stem}|{made.number}"
        key = str(made)
    found = list[WorkKey]()
    while key:
        found.append(WorkKey.read(key))
        key = found[-1].around
    assert [each._replace(around="") for each in reversed(found)] == parts


@given(TEXTS | st.text(st.sampled_from("/|.0123456789²"), max_size=30))
def test_any_text_can_be_read(text: str) -> None:
    """A file from elsewhere can have any: what is no key has the number 0, and nothing raises."""
    found = WorkKey.read(text)
    assert found.number >= 0
    assert found.kind in ("agent", "turn", "tool", "summary", "child", "other")
    assert all(number >= 0 for number in found.place)


@given(NAMES, TEXTS, st.integers(1, 99), st.integers(0, 9))
def test_only_what_is_in_a_conversation_is_a_turn_or_a_call(name: str, text: str, turn: int, index: int) -> None:
    """A tool that calls a function named `turn` with the key "1" records no turn."""
    conversation = str(WorkKey("", f"agent {name}", text, 1))
    assert WorkKey.read(conversation).kind == "agent"
    assert WorkKey.read(conversation).of == name
    asked = WorkKey.read(WorkKey.of_turn(conversation, turn))
    called = WorkKey.read(WorkKey.of_call(conversation, name, turn, index))
    assert (asked.kind, asked.place, asked.around) == ("turn", (turn, 0), conversation)
    assert (called.kind, called.of, called.place, called.around) == ("tool", name, (turn, index), conversation)
    assert WorkKey.read(WorkKey.of_turn(str(called), 1)).kind == "other"
    assert WorkKey.read(WorkKey.of_turn("", 1)[1:]).kind == "other"


def test_keys_are_read_in_one_place() -> None:
    """No other module of the package takes apart what stands between "|"."""
    found = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.name not in _OTHER
        if any(map(_splits, walked(path.read_text(encoding="utf-8"), {"split(", "partition("})))
    ]
    assert found == []


_OTHER = ("work_keys.py", "mermaid.py", "text.py", "foreign.py", "selection.py")


def _splits(node: ast.AST) -> bool:
    """Return whether it is a call such as `text.split("|")`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    separates = node.func.attr in ("split", "rsplit", "partition", "rpartition")
    return separates and any(isinstance(each, ast.Constant) and "|" in str(each.value) for each in node.args)
