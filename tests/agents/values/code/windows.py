from graphengine import Message, Window
from graphengine.agents.window import (
    cut,
    effective,
    messages_to_send,
    newest,
    size,
    summary_request_text,
    to_summarise,
    with_summary,
)
from graphengine.models import Response, ToolCall


def user(text="question"):
    return Message(role="user", text=text)


def answer(text="answer", tokens=None, calls=""):
    """Return an answer of the model, or its calls of tools with these ids."""
    made = tuple(ToolCall(id=each, name="look", arguments='{"a": 1}') for each in calls)
    return Message(role="assistant", text=text, tokens=tokens, calls=made)


def result(call, text="result"):
    return Message(role="tool", call_id=call, text=text)


def summary(covers, text="before"):
    return Message(role="summary", text=text, covers=covers)


def written(text, *replaced, stop="end", window=None):
    """Return the message with a model's summary of these messages."""
    return with_summary(Response(text, stop=stop), replaced, len(replaced), window).text


def texts(messages):
    return [message.text for message in messages]


def lengths(messages):
    return [len(message.text) for message in messages]


def cuts(messages, *windows):
    """Return before which message each window cuts: its most tokens, and how many messages it keeps."""
    return [cut(messages, Window(most, keep=keep)) for most, keep in windows]


COUNTED = answer(tokens=101)
SHORT = [user("x" * 36), answer("x" * 36)]
LONG = [user("x" * 1000), answer("y" * 1000)]
LOOP = [user(), *(each for _ in range(4) for each in (answer("y" * 400, calls="1"), result("1", "z" * 400)))]
TURNS = [user(), answer(calls="12"), result("2"), result("1"), answer(calls="1"), result("1"), COUNTED]
OPEN = [user(), answer(calls="12"), result("2")]
ASKED = [user(), answer(tokens=90), user(), answer(tokens=200)]
EARLY = [user("x" * 4000), answer(tokens=1000), user("ab"), answer("cd", tokens=1100), summary(2, "s")]
TALK = [user("a"), answer("b"), user("c"), answer("d"), summary(2, "ab"), user("e")]
