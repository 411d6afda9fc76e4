from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphengine import Agent, Runner, ScriptedModel
from graphengine.agents.chats import TurnFailed
from graphengine.agents.window import (
    Window,
    count_tokens,
    cut,
    effective,
    fixed_tokens,
    messages_to_send,
    size,
    to_summarise,
    with_summary,
    without_tools,
)
from graphengine.errors import DefinitionError
from graphengine.models.base import Message, Request, Response, ToolCall, ToolSpec
from graphengine.models.errors import ContextFull


def user(text: str = "question") -> Message:
    """Return a user's message."""
    return Message(role="user", text=text)


def answer(text: str = "answer", tokens: int | None = None, calls: str = "") -> Message:
    """Return an answer of the model, or its calls of tools with these ids."""
    made = tuple(ToolCall(id=one, name="look", arguments='{"a": 1}') for one in calls)
    return Message(role="assistant", text=text, tokens=tokens, calls=made)


def summary(text: str, covers: int) -> Message:
    """Return the message with a summary of the first messages."""
    return with_summary(Response(text), [], covers, None)


def result(call: str, text: str = "result") -> Message:
    """Return a tool's result."""
    return Message(role="tool", call_id=call, text=text)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Return questions, answers, tools with results in any order, repeated ids, and summaries as `cut` makes them.

    Calls before a later question or answer do not get a result any more.
    """
    messages: list[Message] = []
    open_: list[str] = []
    for n in range(draw(st.integers(0, 25))):
        kinds = ["user", "assistant", "calls", "summary"] + ["tool"] * 4 * bool(open_)
        match draw(st.sampled_from(kinds)):
            case "user":
                messages.append(user(f"u{n} " + "x" * draw(st.integers(0, 200))))
                open_ = []
            case "assistant":
                messages.append(answer(f"a{n}", draw(st.none() | st.integers(0, 500))))
                open_ = []
            case "calls":
                open_ = list(draw(st.sampled_from(["1", "2", "12", "3"])))
                messages.append(answer(f"c{n}", calls="".join(open_)))
            case "tool":
                messages.append(result(open_.pop(draw(st.integers(0, len(open_) - 1))), f"t{n}"))
            case _:
                covers = cut(messages, Window(1, keep=draw(st.integers(1, 4))))
                if covers is not None:
                    messages.append(summary(f"s{n}", covers))
    return messages


def parted(messages: list[Message]) -> list[Message]:
    """Return the results whose call does not precede them."""
    called: set[str] = set()
    found = []
    for message in messages:
        called.update(call.id for call in message.calls)
        if message.role == "tool":
            found += [] if message.call_id in called else [message]
            called.discard(message.call_id)
    return found


def texts(messages: list[Message]) -> list[str]:
    """Return the texts in order."""
    return [message.text for message in messages]


@given(conversations())
def test_no_result_is_ever_parted_from_its_call(messages: list[Message]) -> None:
    """Whatever was summarised, and however often."""
    assert not parted(effective(messages))


@given(conversations())
def test_what_is_sent_is_the_newest_summary_and_an_end_of_the_conversation(messages: list[Message]) -> None:
    """A window sends the newest summary and the end of the conversation, in order, without gaps or additions."""
    sent = texts(effective(messages))
    rest = [message.text for message in messages if message.role != "summary"]
    summaries = [message.text for message in messages if message.role == "summary"]
    if summaries:
        assert sent[0] == summaries[-1]
        assert sent[1:] == rest[len(rest) - len(sent) + 1 :]
        assert len(sent) < len(messages)
    else:
        assert sent == texts(messages)


@given(conversations())
def test_sending_twice_is_sending_once(messages: list[Message]) -> None:
    """The messages that are sent form a conversation of the same size, of which the same is sent."""
    sent = effective(messages)
    assert effective(sent) == sent
    assert size(sent) == size(messages)


@given(conversations(), st.integers(1, 500), st.integers(1, 10))
def test_a_cut_keeps_the_newest_and_makes_it_shorter(messages: list[Message], most: int, keep: int) -> None:
    """The kept messages were sent before, and the summarised ones are the sent ones that are not kept."""
    window = Window(most, keep=keep)
    covers = cut(messages, window)
    if covers is None:
        left = [each.model_copy(update={"tokens": None}) for each in effective(messages) if each.role != "summary"]
        assert size(messages)[0] <= most or len(left) <= keep or not parted(left)
        return
    before = effective(messages)
    newest = [message for message in messages if message.role != "summary"][-keep:]
    after = effective([*messages, summary("s", covers)])
    kept = texts(after)[1:]
    assert texts(before)[-len(kept) :] == kept
    assert kept
    assert len(kept) >= keep or size(newest, window)[0] > most // 8
    assert len(after) <= len(before)
    assert not parted(after)
    assert texts(to_summarise(messages, covers)) + kept == texts(before)
    again = [*messages, summary("s", covers)]
    assert cut(again, window) is None


@example(
    window=Window(1000, keep=33),
    letters=[(100, 100)] * 60,
    fixed=0,
    per_letter=0.25,
    per_fixed=0.25,
    is_tool=False,
    hidden=0,
)
@example(
    window=Window(1000, keep=10),
    letters=[(100, 100)] * 60,
    fixed=0,
    per_letter=0.9,
    per_fixed=0.25,
    is_tool=False,
    hidden=0,
)
@example(
    window=Window(4000, keep=6),
    letters=[(100, 100)] * 60,
    fixed=0,
    per_letter=0.25,
    per_fixed=0.25,
    is_tool=False,
    hidden=5000,
)
@given(
    window=st.builds(Window, st.integers(3000, 9000), keep=st.integers(1, 50)),
    letters=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=40, max_size=80),
    fixed=st.sampled_from([0, 40, 40_000, 400_000]),
    is_tool=st.booleans(),
    per_letter=st.floats(0.1, 0.9),
    per_fixed=st.floats(0.1, 0.9),
    hidden=st.sampled_from([0, 0, 2000, 20_000]),
)
def test_a_summary_is_paid_for_what_was_said_since_the_last(  # noqa: PLR0913
    window: Window,
    letters: list[tuple[int, int]],
    fixed: int,
    per_letter: float,
    per_fixed: float,
    is_tool: bool,  # noqa: FBT001
    hidden: int,
) -> None:
    """However large instructions, tools and kept messages are, and whatever is counted: never one each turn."""
    request = Request("a", "" if is_tool else "x" * fixed, [], tools=[ToolSpec("look", "x" * fixed, {})] * is_tool)
    messages: list[Message] = []
    said, paid = 0, 0
    for asked, answered in letters:
        messages.append(user("x" * asked))
        covers = cut(messages, window)
        if covers is not None:
            paid += 1
            messages.append(summary("in short", covers))
        text = "y" * answered
        shown = messages_to_send(messages, window)
        tokens = int(per_letter * sum(len(each.text) + 10 for each in shown) + per_fixed * fixed) + hidden
        response = Response(text, input_tokens=tokens, output_tokens=int(per_letter * answered))
        messages.append(answer(text, count_tokens(response, shown, fixed_tokens(request))))
        said += int(max(per_letter, 0.25) * (asked + answered + 20))
    assert paid <= 1 + (24 if hidden else 4) * said // window.max_tokens


def test_results_of_tools_take_at_most_half_of_a_window() -> None:
    """Their beginnings and ends are sent; small ones are whole, and the messages themselves are unchanged."""
    large = [result("1", "a" * 5000 + "b" * 200_000 + "c" * 5000), result("2", "é" * 100_000), result("3", "small")]
    messages = [user(), answer(calls="123"), *large]
    window = Window(10_000)
    shown = messages_to_send(messages, window)
    assert size(messages, window)[0] <= 5100
    assert cut(messages, window) is None
    assert shown[2].text.startswith("aaa")
    assert shown[2].text.endswith("ccc")
    assert "characters are left out here: the conversation may have 10,000 tokens" in shown[3].text
    assert shown[4] == large[2]
    assert messages_to_send([*messages, answer(), user()], window)[:5] == shown
    assert messages_to_send(messages, None) == messages
    assert texts(messages_to_send([*messages, answer(calls="4"), result("4", "x" * 8000)], window))[-1] == "x" * 8000


async def test_a_handoff_takes_the_chosen_history() -> None:
    """The other agent gets the customer's words once, without the first one's tools; the memory keeps all."""
    said: list[Message] = [
        Message(role="user", text="My bill is wrong."), answer("", calls="1"), result("1", "customer 7"),
        answer("Billing will look at it."),
    ]  # fmt: skip
    billing = Agent("billing", prompt="Take over.", messages="messages", history=without_tools)
    model = ScriptedModel(["It is repaid."])
    reply = await billing.but(model=model).answer(messages=said)
    assert texts(list(model.requests[0].messages)) == ["My bill is wrong.", "Billing will look at it.", "Take over."]
    assert texts(list(reply.messages)) == ["Take over.", "It is repaid."]
    with pytest.raises(DefinitionError, match="history= function of agent 'billing' returned str"):
        await billing.but(model=model, history=lambda _: "all").run(messages=said)


async def test_instructions_and_tools_larger_than_a_window_need_no_summary() -> None:
    """In a chat, after a hand-over to an agent with others, and in a native window, whose provider counts them too."""

    class Counts(ScriptedModel):
        def compacts(self, tokens: int) -> bool:
            return tokens > 1000

    def count(request: Request) -> Response:
        size = len(request.system) + sum(len(str(tool.schema)) + len(tool.description) for tool in request.tools)
        return Response("yes", input_tokens=size // 3 + 10 * len(request.messages), output_tokens=3)

    def look(x: int) -> str:
        return str(x)

    look.__doc__ = "Look. " + "word " * 3000
    model = Counts(count)
    first = Agent("first", system="x" * 9000, window=Window(1000, keep=2), model=model)
    second = Agent("second", prompt="on", tools=[look], window=Window(1000, keep=2), model=model, messages="messages")
    async with Runner() as runner:
        for number in range(8):
            assert await runner.run(first, chat="c", question=f"{number}?") == "yes"
    kept: list[Message] = []
    for _ in range(4):
        kept += (await second.answer(messages=kept)).messages
    assert not any(message.role == "summary" for request in model.requests for message in request.messages)
    assert size(kept)[0] < 100
    native = second.but(window=Window(1001, native=True))
    await native.answer(messages=kept)
    assert (model.requests[-1].compact_from or 0) > 4000


class Small:
    """A model with less room than the window of its agent says; it writes summaries too."""

    name = "small"

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []

    async def answer(self, request: Request) -> Response:
        """Answer, if the conversation has room."""
        length = sum(len(message.text) for message in request.messages)
        self.asked.append(len(request.messages))
        if length > self.room and not request.messages[-1].text.startswith("<conversation"):
            raise ContextFull("there is no room")
        return Response("word " * 40 if request.messages[-1].role == "user" else "?")


async def test_a_turn_for_which_the_model_has_no_room_is_asked_again_shortened(tmp_path: Path) -> None:
    """A chat goes on where the window is larger than the model's, also in another process, with what was recorded."""
    model = Small(3_000)
    agent = Agent("a", model=model, window=Window(50_000, keep=2))
    for number in range(8):
        async with Runner(tmp_path / "runs.db") as runner:
            answered = await runner.run(agent, chat="c", question=f"{number} " + "talk " * 150)
            assert answered.startswith("word")
    assert max(model.asked) < 10
    async with Runner(tmp_path / "runs.db") as runner:
        text = "too long " * 600
        with pytest.raises(TurnFailed, match="there is no room"):
            await runner.run(agent, chat="c", question=text)
