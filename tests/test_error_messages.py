"""How the errors of the package speak."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1] / "graphengine"
ERROR: Final = re.compile(r"(Error|Refused|Problem)$")


def shown(message: ast.expr) -> str:
    """Return a message with V for each value in it, or "" if it is made elsewhere."""
    if isinstance(message, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "V" for part in message.values)
    return message.value if isinstance(message, ast.Constant) and isinstance(message.value, str) else ""


def called(call: ast.Call) -> str:
    """Return the last name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def messages() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each message that is written where an error of ours is made."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ERROR.search(called(node)):
                message = node.args[2:3] if called(node) == "Problem" else node.args[:1]
                yield from ((f"{path.relative_to(PACKAGE)}:{node.lineno}", shown(text)) for text in message)


def test_a_message_says_more_than_what_was_called() -> None:
    """A message such as "Retry(attempts='3')" leaves the reader to guess that something is wrong with the call."""
    found = list(messages())
    assert len(found) > 500
    echoes = [(place, text) for place, text in found if re.fullmatch(r"[\w.…]*(\(.*\)|=\S+)", text)]
    assert echoes == []
