"""Keys of recorded work. This is the only module that prints and reads them.

A key names the place of a piece of work among the recorded work of its visit. A piece of work is a call, a wait, or a
group of work such as the conversation of an agent, which contains more work. A single piece is printed as
`name|input|number`. If a piece is inside a group, the key of the group and "/" come first: `agent writer|0f3c|1/tool
find|2.0|1`. Names and inputs are arbitrary texts. The separators in them are written as `%2F` and `%7C`, and `%` as
`%25`, so that reading a key gives the same parts with which it was made.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

WorkKind: TypeAlias = Literal["agent", "turn", "tool", "summary", "child", "other"]
"""The kind of a piece of recorded work.

- `agent`: the conversation of an agent.
- `turn`: inside a conversation, a turn of the agent's model. Its input is the number of the turn, from 1.
- `tool`: inside a conversation, a call of a tool. Its input contains the number of the turn and the index of the call
  in the turn.
- `summary`: inside a conversation, the summary before a turn.
- `child`: the end of a child run.
- `other`: anything else.
"""
AGENT: Final = "agent "
"""The beginning of the name of a conversation. The name of the agent follows."""
TOOL: Final = "tool "
"""The beginning of the name of a tool call. The name of the tool follows."""
CHILD: Final = "child "
"""The beginning of the name of the end of a child run. The id of the child run follows."""
STARTS: Final = "start a run"
"""The name of the work of a node that started a run. The record contains the `run_id` of the started run."""
OF_NODE: Final = "ge:node "
"""The beginning of the input of the call that is a node itself, for a node with `effect="transaction"`."""


class WorkKey(NamedTuple):
    """The parts of the key under which a node finds a recorded result again, such as the result of a call.

    Attributes:
        around: The printed key of the group that contains the work, such as an agent's conversation; "" if it is in no
            group.
        name: The name of the work: the name of a function, or a kind and a name, such as `tool find`.
        input: The part that distinguishes the work from other work with the same name: a digest of arguments, or a
            text.
        number: 1 for the first of several equal pieces of work, 2 for the second, and so on; 0 if the text is not a
            key.
    """

    around: str
    name: str
    input: str
    number: int

    @staticmethod
    def read(text: str) -> WorkKey:
        """Split the text of a key into its parts. A text that is not a key gets the number 0.

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
        """Return the key under which one model response of a conversation is recorded."""
        return f"{conversation}/turn|{turn}|1"

    @staticmethod
    def of_call(conversation: str, tool: str, turn: int, index: int) -> str:
        """Return the key under which the result of an agent's tool call is recorded.

        `turn` is the number of the model response that made the call, and `index` counts the calls of that response.
        """
        return str(WorkKey(conversation, f"{TOOL}{tool}", f"{turn}.{index}", 1))

    def __str__(self) -> str:
        return numbered(self.stem, self.number)

    @property
    def stem(self) -> str:
        """The key without its number, which is the same for all equal calls of a node."""
        return stem_of(self.around, self.name, self.input)

    @property
    def of(self) -> str:
        """The name of the agent, tool or child run, such as `find` in `tool find`; "" if the name has no such part."""
        return self.name.partition(" ")[2]

    @property
    def kind(self) -> WorkKind:
        """The kind of work that this key stands for.

        It is `agent`, `child` (a child run), `turn` (a model response), `tool` (a tool call), `summary` or `other`.
        Only work directly inside an agent's conversation can be a model response. A call of a function that happens to
        be named `turn` is `other`.
        """
        if self.name.startswith((AGENT, CHILD)):
            return "agent" if self.name.startswith(AGENT) else "child"
        if not self.around or not WorkKey.read(self.around).name.startswith(AGENT):
            return "other"
        if self.name.startswith(TOOL):
            return "tool"
        return "turn" if self.name == "turn" else "summary" if self.name == "summary" else "other"

    @property
    def place(self) -> tuple[int, int]:
        """The place of a tool call in its conversation: the number of the model response, and the call's index in it.

        For the key of a model response, the index is 0. Both are 0 if the key belongs to other work.
        """
        turn, _, index = self.input.partition(".")
        return _parse_number(turn), _parse_number(index)


def stem_of(around: str, name: str, what: str) -> str:
    own = f"{_escape_marks(name)}|{_escape_marks(what)}"
    return f"{around}/{own}" if around else own


def numbered(stem: str, number: int) -> str:
    """Return the key of the first, second, … call among equal calls of a node, which differ only in this number."""
    return f"{stem}|{number}"


def _escape_marks(text: str) -> str:
    if "/" in text or "|" in text or "%" in text:
        return text.replace("%", "%25").replace("/", "%2F").replace("|", "%7C")
    return text


def _unescape_marks(text: str) -> str:
    return text.replace("%7C", "|").replace("%2F", "/").replace("%25", "%") if "%" in text else text


def _parse_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else 0


_PARTS: Final = 3
_DIGITS: Final = 16  # The maximum number of digits of a number, because a file from elsewhere may contain any number.
