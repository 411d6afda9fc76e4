"""Keys of recorded work: the one place that prints and reads them.

A key says where a piece of work is among the recorded work of its visit: a call, a wait, or a group of work such as the
conversation of an agent, inside which there is more. Printed, each of these is `name|input|number`, and "/" stands
between one and what is inside it: `agent writer|0f3c|1/tool find|2.0|1`. Names and inputs are anybody's texts; what
separates is written in them as `%2F` and `%7C`, and `%` as `%25`, so a key is read as it was made.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

WorkKind: TypeAlias = Literal["agent", "turn", "tool", "summary", "child", "other"]
"""What recorded work is: the conversation of an agent; in one a turn of its model, of which the input is the number,
from 1, a call of a tool, with its turn and its index in that, or the summary before a turn; the end of a child run; or
anything else."""
AGENT: Final = "agent "
"""How the name of a conversation begins, which ends with the agent's."""
TOOL: Final = "tool "
"""How the name of a tool's call begins, which ends with the tool's."""
CHILD: Final = "child "
"""How the name of a child's end begins, which ends with the run's id."""
STARTS: Final = "start a run"
"""The name of the work of a node that started a run, whose record has its `run_id`."""
OF_NODE: Final = "ge:node "
"""How the input of the call begins that is a node itself, with `effect="transaction"`."""


class WorkKey(NamedTuple):
    """A key of recorded work, as its parts.

    Attributes:
        around: The key of the work that it is inside, printed; "" for none.
        name: What is done: a function's name, or a kind and a name, as `tool find`.
        input: What distinguishes it from other work of its name: a digest of arguments, or a text.
        number: Its number among equal work, from 1; 0 if this is no key.
    """

    around: str
    name: str
    input: str
    number: int

    @staticmethod
    def read(text: str) -> WorkKey:
        """Return the parts of a key. One that nothing here printed has number 0.

        >>> WorkKey.read("agent writer|0f|1/tool find|2.0|1")
        WorkKey(around='agent writer|0f|1', name='tool find', input='2.0', number=1)
        >>> WorkKey.read(str(WorkKey("", "fetch", "a/b", 1))).input
        'a/b'
        """
        around, _, own = text.rpartition("/")
        parts = own.split("|")
        if len(parts) != _PARTS:
            return WorkKey(around, _unescape_marks(parts[0]), _unescape_marks("|".join(parts[1:])), 0)
        return WorkKey(around, _unescape_marks(parts[0]), _unescape_marks(parts[1]), _parse_number(parts[2]))

    @staticmethod
    def of_turn(conversation: str, turn: int) -> str:
        """Return the key of a turn of a conversation that has this key."""
        return f"{conversation}/turn|{turn}|1"

    @staticmethod
    def of_call(conversation: str, tool: str, turn: int, index: int) -> str:
        """Return the key of a call of a tool, from its turn in a conversation, and its index in that."""
        return str(WorkKey(conversation, f"{TOOL}{tool}", f"{turn}.{index}", 1))

    def __str__(self) -> str:
        """Return it as it is recorded."""
        return numbered(self.stem, self.number)

    @property
    def stem(self) -> str:
        """What equal work has in common: the key without its number."""
        return stem_of(self.around, self.name, self.input)

    @property
    def of(self) -> str:
        """The name of the agent, the tool, or the child, without its kind; "" if its name is one word."""
        return self.name.partition(" ")[2]

    @property
    def kind(self) -> WorkKind:
        """Its kind. Only what is directly in a conversation is a turn: a function that is called so is none."""
        if self.name.startswith((AGENT, CHILD)):
            return "agent" if self.name.startswith(AGENT) else "child"
        if not self.around or not WorkKey.read(self.around).name.startswith(AGENT):
            return "other"
        if self.name.startswith(TOOL):
            return "tool"
        return "turn" if self.name == "turn" else "summary" if self.name == "summary" else "other"

    @property
    def place(self) -> tuple[int, int]:
        """The number of the turn that it is, or is for, and its index in that; 0 for each that it has not."""
        turn, _, index = self.input.partition(".")
        return _parse_number(turn), _parse_number(index)


def stem_of(around: str, name: str, what: str) -> str:
    """Return a key without its number."""
    own = f"{_escape_marks(name)}|{_escape_marks(what)}"
    return f"{around}/{own}" if around else own


def numbered(stem: str, number: int) -> str:
    """Return the key with a number among equal work."""
    return f"{stem}|{number}"


def _escape_marks(text: str) -> str:
    if "/" in text or "|" in text or "%" in text:
        return text.replace("%", "%25").replace("/", "%2F").replace("|", "%7C")
    return text


def _unescape_marks(text: str) -> str:
    return text.replace("%7C", "|").replace("%2F", "/").replace("%25", "%") if "%" in text else text


def _parse_number(text: str) -> int:
    """Return a number that is written in a key; 0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else 0


_PARTS: Final = 3
_DIGITS: Final = 16  # of a number: a file from elsewhere may have any
