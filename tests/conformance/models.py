"""The requirements of the `Model` protocol, as tests for any adapter.

A model under test talks to a server that the test controls. Subclass `ModelConformance`, define how the server and the
model are made, and let pytest collect the subclass:

    class TestMyModel(ModelConformance):
        def make_service(self) -> Service:
            return MyService(...)

        def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
            return MyModel("some-model", api_key=key, base_url=service.url, timeout_seconds=timeout_seconds)

        def make_lost_model(self, *, key: str) -> Model:
            return MyModel("some-model", api_key=key, base_url="http://127.0.0.1:9")

A `Service` (see `model_scenes.py`) answers calls with the scenes it is given, in the provider's format, and returns the
requests it received. It refuses a scene that the provider cannot express with `unittest.SkipTest`, which skips the
test. The tables `ANSWERS` and, in `models_failing.py`, `NO_ANSWERS` list what a server says and what every model reads
of it, whole and streamed; a model whose errors differ names them in `other_errors`. Each other test is a plain function
that runs an event loop of its own, so no plugin is needed. Each test's docstring is a sentence of `models/base.py` or
`errors.py`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphengine.models.base import Closes, KnowsPrices, Message, ToolCall
from graphengine.models.settings import Settings
from tests.conformance.model_kit import (
    ADD,
    KEY,
    NOW,
    PATIENCE_SECONDS,
    REVIEW,
    TALLY,
    answered,
    ask,
    call,
    closing,
    question,
    result,
    scenario,
    text_of,
    watched,
)
from tests.conformance.model_scenes import Counted, Says
from tests.conformance.models_failing import FailingModels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.models.base import Model, Response
    from tests.conformance.model_scenes import Received, Service, Turn

WORDS = "one two\nthree  four, fünf, 六, 🐝"

COUNTED = Counted(3084, 1024, 2048, 70, 30)
SEVERAL = Says("let me see", (call("c1", a=1, b=2), call("c2", "now"), call("c3", a=3, b=4)))

ANSWERS: Mapping[str, tuple[Says, Mapping[str, object]]] = {
    "a text": (Says(WORDS), {"text": WORDS, "stop": "end", "why": "", "offline": False, "calls": []}),
    "an empty text": (Says(""), {"text": "", "stop": "end"}),
    "a text that reached max_tokens": (Says("one two", stop="cut"), {"text": "one two", "stop": "cut"}),
    "a text whose context window is full": (Says("one two", stop="full"), {"text": "one two", "stop": "full"}),
    "a refusal": (Says("", stop="refused", why="that would harm"), {"stop": "refused", "why": "that would harm"}),
    "several calls": (
        SEVERAL,
        {
            "text": "let me see",
            "stop": "tools",
            "calls": [("add", {"a": 1, "b": 2}), ("now", {}), ("add", {"a": 3, "b": 4})],
            "ids": 3,
        },
    ),
    "tokens of a cache and of reasoning": (Says("yes", counted=COUNTED), {"counted": COUNTED}),
    "tokens of question and answer": (
        Says("yes", counted=Counted(40, 0, 0, 9, 0)),
        {"counted": Counted(40, 0, 0, 9, 0)},
    ),
    "no report of tokens": (Says("yes", counted=None), {"counted": Counted(0, 0, 0, 0, 0), "cost_usd": None}),
}
"""What a server says, and what each model reads of it, streamed or not: input tokens include those of the cache, output
tokens those of reasoning; a cost that is not reported is unknown, not 0."""


class ModelConformance(FailingModels):
    """All tests; a subclass defines how the server and the model are made."""

    # -- answers

    @pytest.mark.parametrize("name", ANSWERS)
    def test_an_answer_is_read(self, name: str) -> None:
        """An answer of the table is read as the table says, streamed or not; its pieces join to its text."""
        scenario(_is_read)(self, *ANSWERS[name])

    @scenario
    async def test_a_question_arrives_unchanged(self, service: Service, model: Model) -> None:
        """The instructions, the question, `max_tokens` and the key reach the server."""
        service.play(Says("yes"))
        await model.answer(replace(ask(question(WORDS), system="Be brief."), settings=Settings(max_tokens=321)))
        (received,) = service.received()
        assert "Be brief." in received.system
        assert _texts(received) == [("user", WORDS)]
        assert received.max_tokens == 321
        assert received.key in {KEY, None}
        assert not received.tools

    @scenario
    async def test_a_conversation_arrives_in_order(self, service: Service, model: Model) -> None:
        """Each message keeps its role and place."""
        service.play(Says("c"))
        await model.answer(ask(question("a?"), answered("a."), question("b?"), answered("b."), question("c?")))
        expected = [("user", "a?"), ("assistant", "a."), ("user", "b?"), ("assistant", "b."), ("user", "c?")]
        assert _texts(service.received()[0]) == expected

    @scenario
    async def test_a_summary_is_sent_as_a_users_message(self, service: Service, model: Model) -> None:
        """A summary of earlier messages is sent before the later ones, and a question may follow it directly."""
        service.play(Says("yes"))
        await model.answer(ask(Message(role="summary", text="They spoke of bees.", covers=4), question("And wasps?")))
        (received,) = service.received()
        assert {turn.role for turn in received.turns} == {"user"}
        conversation = "\n".join(turn.text for turn in received.turns)
        assert 0 <= conversation.find("They spoke of bees.") < conversation.find("And wasps?")

    @scenario
    async def test_an_empty_message_does_no_harm(self, service: Service, model: Model) -> None:
        """A conversation that contains an empty answer can continue."""
        service.play(Says("yes"))
        await model.answer(ask(question("first"), answered(""), question("second")))
        texts = _texts(service.received()[0])
        assert [turn for turn in texts if turn[1].strip()] in (
            [("user", "first"), ("user", "second")],
            [("user", "first\nsecond")],
            [("user", "first\n\nsecond")],
        )

    @scenario
    async def test_settings_that_a_model_lacks_are_ignored(self, service: Service, model: Model) -> None:
        """A call never fails because of temperature, effort or cache."""
        service.play(Says("yes"))
        settings = Settings(temperature=0.2, effort="low", cache=True)
        request = replace(ask(system="Be brief.", tools=[ADD]), settings=settings)
        assert (await model.answer(request)).content == "yes"

    @scenario
    async def test_a_lone_surrogate_is_sent_as_valid_utf_8(self, service: Service, model: Model) -> None:
        """Half a character, in a question or in a tool's result, is replaced by something that UTF-8 can encode."""
        service.play(Says("yes"), Says("yes"))
        await model.answer(ask(question("a\ud83db"), system="x\udc00y"))
        call_of_tool = answered("", call("c1", a=1, b=2))
        await model.answer(ask(question(), call_of_tool, result("c1", "r\ud800s"), answered("\ude00")))
        for received in service.received():
            json.dumps(received.body, ensure_ascii=False).encode()
        assert _texts(service.received()[0])[0][1] not in {"", "ab"}

    @scenario
    async def test_a_lone_surrogate_in_an_answer_can_be_stored(self, service: Service, model: Model) -> None:
        """An answer is a text that UTF-8 can encode, whatever the server sent."""
        scene = Says("a\ud83db", (ToolCall(id="c1", name="add", arguments='{"a": "\\ud800"}'),))
        service.play(scene, scene)
        whole = await model.answer(ask(tools=[ADD]))
        streamed, pieces = await watched(model, ask(tools=[ADD]))
        for response in (whole, streamed):
            assert text_of(response) not in {"", "ab"}
            repr(response.calls).encode()
            json.dumps(response.native, ensure_ascii=False).encode()
        "".join(pieces).encode()

    # -- structured output

    @scenario
    async def test_a_schema_arrives(self, service: Service, model: Model) -> None:
        """The schema of the answer is sent, natively or in the prompt, and the answer is its JSON text."""
        service.play(Says('{"score": 7, "issues": []}'))
        response = await model.answer(replace(ask(system="Judge."), schema=REVIEW, output="Review"))
        assert json.loads(text_of(response)) == {"score": 7, "issues": []}
        (received,) = service.received()
        sent = json.dumps(received.schema) if received.schema is not None else json.dumps(received.body)
        assert "score" in sent
        assert "issues" in sent

    @scenario
    async def test_a_schema_that_cannot_be_enforced_is_sent_anyway(self, service: Service, model: Model) -> None:
        """A call does not fail because of a schema with arbitrary keys or values."""
        service.play(Says('{"counts": {"bee": 2}}'))
        response = await model.answer(replace(ask(), schema=TALLY, output="Tally"))
        assert json.loads(text_of(response)) == {"counts": {"bee": 2}}
        assert "counts" in json.dumps(service.received()[0].body)

    @scenario
    async def test_a_schema_and_tools_can_be_combined(self, service: Service, model: Model) -> None:
        """An agent with an output type may call tools first."""
        service.play(Says(calls=(call("c1", a=2, b=3),)))
        response = await model.answer(replace(ask(tools=[ADD]), schema=REVIEW, output="Review"))
        assert [each.name for each in response.calls] == ["add"]
        assert "add" in service.received()[0].tools

    # -- tools

    @scenario
    async def test_tools_arrive_and_are_called(self, service: Service, model: Model) -> None:
        """Tools reach the server with the schemas of their arguments; a call has its id, name and arguments."""
        service.play(Says(calls=(call("c1", a=2, b=3),)))
        response = await model.answer(ask(tools=[ADD, NOW]))
        assert (response.content, response.stop) == ("", "tools")
        assert _called(response.calls) == [("add", {"a": 2, "b": 3})]
        assert response.calls[0].id
        tools = service.received()[0].tools
        assert list(tools) == ["add", "now"]
        properties = tools["add"]["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == {"a", "b"}

    @scenario
    async def test_results_are_sent_with_the_ids_of_their_calls(self, service: Service, model: Model) -> None:
        """Results of tools arrive after the calls, each with its call's id."""
        service.play(Says(calls=(call("c1", a=1, b=2), call("c2", a=3, b=4))), Says("3 and 7"))
        first = await model.answer(ask(question("add"), tools=[ADD]))
        ids = [each.id for each in first.calls]
        results = [result(ids[0], "3"), result(ids[1], "7")]
        turn = answered(text_of(first), *first.calls, native=first.native)
        response = await model.answer(ask(question("add"), turn, *results, tools=[ADD]))
        assert response.content == "3 and 7"
        asked, called, *results_sent = service.received()[1].turns
        assert (asked.role, asked.text, called.role) == ("user", "add", "assistant")
        assert _called(called.calls) == [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]
        sent = [each.id for each in called.calls]
        assert [(turn.role, turn.call_id, turn.text) for turn in results_sent] == [
            ("tool", sent[0], "3"),
            ("tool", sent[1], "7"),
        ]

    @scenario
    async def test_a_tools_error_is_sent_as_an_error(self, service: Service, model: Model) -> None:
        """The error of a tool reaches the model; an empty result is not an error."""
        service.play(Says("sorry"))
        failed = [result("c1", "no such number", is_error=True), result("c2", "")]
        calls = answered("", call("c1", a=1, b=2), call("c2", "now"))
        await model.answer(ask(question(), calls, *failed, tools=[ADD, NOW]))
        first, second = _results(service.received()[0])
        assert "no such number" in first.text
        assert first.is_error in {True, None}
        assert second.is_error in {False, None}

    @scenario
    async def test_arguments_that_are_invalid_json_can_be_sent_back(self, service: Service, model: Model) -> None:
        """A call whose arguments cannot be parsed stays in the conversation, so that its error can follow it."""
        service.play(Says("again"))
        torn = answered(
            "", ToolCall(id="c1", name="add", arguments='{"a": 2,'), ToolCall(id="c2", name="now", arguments="")
        )
        given = [result("c1", "the arguments are not JSON", is_error=True), result("c2", "noon")]
        await model.answer(ask(question(), torn, *given, tools=[ADD, NOW]))
        received = service.received()[0]
        called = next(turn for turn in received.turns if turn.role == "assistant")
        assert [each.name for each in called.calls] == ["add", "now"]
        assert [turn.call_id for turn in _results(received)] == [each.id for each in called.calls]

    @scenario
    async def test_a_call_can_have_any_id(self, service: Service, model: Model) -> None:
        """Calls with ids of another provider keep their results and have different ids."""
        service.play(Says("yes"))
        ids = ["call:ä/1", "call:ä/2", "x" * 200, ""]
        calls = [ToolCall(id=each, name="now") for each in ids]
        results = [result(each, f"r{each}") for each in ids]
        await model.answer(ask(question(), answered("", *calls), *results, tools=[NOW]))
        received = service.received()[0]
        called = next(turn for turn in received.turns if turn.role == "assistant")
        sent = [each.id for each in called.calls]
        assert len(set(sent)) == len(ids)
        assert [(turn.call_id, turn.text) for turn in _results(received)] == [
            (new, f"r{old}") for new, old in zip(sent, ids, strict=True)
        ]

    # -- the provider's own form

    @scenario
    async def test_the_providers_own_form_is_sent_back_unchanged(self, service: Service, model: Model) -> None:
        """Encrypted content is sent back unchanged after being stored as JSON, and nothing is sent twice."""
        scene = Says("let me add", (call("c1", a=2, b=3),), thinking="c2VhbGVkIHRob3VnaHQ=")
        service.play(scene, scene, Says("5"), Says("5"))
        streamed, _ = await watched(model, ask(question("2 and 3?"), tools=[ADD]))
        for first in (await model.answer(ask(question("2 and 3?"), tools=[ADD])), streamed):
            stored = Message.model_validate_json(
                answered(text_of(first), *first.calls, native=first.native).model_dump_json()
            )
            await model.answer(ask(question("2 and 3?"), stored, result(first.calls[0].id, "5"), tools=[ADD]))
            (called,) = [turn for turn in service.received()[-1].turns if turn.role == "assistant"]
            assert called.thinking == ("c2VhbGVkIHRob3VnaHQ=",)
            assert (called.text, _called(called.calls)) == ("let me add", [("add", {"a": 2, "b": 3})])

    @scenario
    async def test_another_providers_form_is_ignored(self, service: Service, model: Model) -> None:
        """A conversation can change its provider: text and calls are sent, the first provider's own form is not."""
        service.play(Says("yes"))
        native = {"provider": "elsewhere", "content": [{"sealed": "xyz"}]}
        foreign = answered("I add", call("c1", a=2, b=3), native=native)
        await model.answer(ask(question(), foreign, result("c1", "5"), tools=[ADD]))
        received = service.received()[0]
        called = next(turn for turn in received.turns if turn.role == "assistant")
        assert (called.text, _called(called.calls)) == ("I add", [("add", {"a": 2, "b": 3})])
        assert "xyz" not in json.dumps(received.body)

    # -- streams

    @scenario
    async def test_pieces_arrive_before_the_answer_is_complete(self, service: Service, model: Model) -> None:
        """The first piece arrives before the server has sent the rest."""
        service.play(Says("one two three", held=True))
        task, pieces = await _streaming(model)
        assert "".join(pieces).strip() == "one"
        service.release()
        assert (await task).content == "one two three"

    @scenario
    async def test_a_complete_answer_does_not_wait_for_its_connection(self, service: Service, model: Model) -> None:
        """A stream ends with its last event, whether or not the server then closes the connection."""
        service.play(Says("one two", lingers=True))
        response, pieces = await watched(model, ask())
        assert (response.content, "".join(pieces)) == ("one two", "one two")
        await service.disconnected()

    @scenario
    async def test_a_long_line_is_read(self, service: Service, model: Model) -> None:
        """An answer of ten megabytes may come in one event: the time to read it grows with its length, not faster."""
        service.play(Says("x" * 10_000_000))
        response, _ = await watched(model, ask())
        assert len(text_of(response)) == 10_000_000

    # -- concurrency and cancellation

    @scenario
    async def test_calls_run_concurrently(self, service: Service, model: Model) -> None:
        """Each of many concurrent calls gets its own answer; with more calls than connections the others wait."""
        texts = [f"answer {number}" for number in range(250)]
        service.play(*[Says(text) for text in texts])
        responses = await asyncio.gather(*[model.answer(ask(question(text))) for text in texts])
        assert sorted(text_of(response) for response in responses) == sorted(texts)
        assert sorted(_texts(received)[0][1] for received in service.received()) == sorted(texts)

    @scenario
    async def test_a_call_can_be_cancelled(self, service: Service, model: Model) -> None:
        """A cancelled call disconnects from the server at once, and the next one is answered."""
        service.play(Says("never", held=True), Says("yes"))
        task = asyncio.create_task(model.answer(ask()))
        await service.arrived(1)
        await _cancelled(task)
        await service.disconnected()
        assert (await model.answer(ask())).content == "yes"

    @scenario
    async def test_a_stream_can_be_cancelled(self, service: Service, model: Model) -> None:
        """A cancelled stream disconnects too, and no piece arrives afterwards."""
        service.play(Says("one two three", held=True), Says("yes"))
        task, pieces = await _streaming(model)
        await _cancelled(task)
        await service.disconnected()
        service.release()
        assert (await model.answer(ask())).content == "yes"
        assert "".join(pieces).strip() == "one"

    @scenario
    async def test_a_closed_model_can_be_used_again(self, service: Service, model: Model) -> None:
        """A model can be closed twice, and called afterwards."""
        service.play(Says("one"), Says("two"))
        await model.answer(ask())
        if isinstance(model, Closes):
            await model.close()
            await model.close()
        assert (await model.answer(ask())).content == "two"

    def test_a_model_serves_one_event_loop_after_another(self) -> None:
        """A model can outlive an event loop, since scripts call `asyncio.run` more than once."""
        service = self.make_service()
        service.play(Says("one"), Says("two"))
        model = self.make_model(service, key=KEY, timeout_seconds=PATIENCE_SECONDS)

        async def once() -> object:
            async with closing(model):
                return (await model.answer(ask())).content

        assert [asyncio.run(once()), asyncio.run(once())] == ["one", "two"]

    @scenario
    async def test_a_known_price_gives_a_cost(self, service: Service, model: Model) -> None:
        """A model whose `knows_price` is true reports the cost of an answer."""
        service.play(Says("yes", counted=Counted(1000, 0, 0, 1000, 0)))
        known = await model.knows_price() if isinstance(model, KnowsPrices) else None
        response = await model.answer(ask())
        assert known is None or known is (response.cost_usd is not None)


async def _is_read(
    _: ModelConformance, service: Service, model: Model, says: Says, expected: Mapping[str, object]
) -> None:
    service.play(says, says)
    whole = await model.answer(ask(tools=[ADD, NOW]))
    streamed, pieces = await watched(model, ask(tools=[ADD, NOW]))
    for response in (whole, streamed):
        why = str(expected.get("why", ""))
        found = {
            "text": text_of(response),
            "stop": response.stop,
            "why": why if why and why in response.why else response.why,  # a model may say more
            "offline": response.offline,
            "calls": _called(response.calls),
            "ids": len({each.id for each in response.calls}),
            "counted": _used(response),
            "cost_usd": response.cost_usd,
        }
        assert {key: found[key] for key in expected} == expected
        assert response.cost_usd is None or response.cost_usd > 0
    assert "".join(pieces) == whole.content
    assert replace(streamed, native=None, calls=()) == replace(whole, native=None, calls=())


def _texts(received: Received) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in received.turns]


def _results(received: Received) -> list[Turn]:
    return [turn for turn in received.turns if turn.role == "tool"]


def _called(calls: Sequence[ToolCall]) -> list[tuple[str, object]]:
    return [(each.name, json.loads(each.arguments or "{}")) for each in calls]


def _used(response: Response) -> Counted:
    return Counted(
        response.input_tokens,
        response.cache_read_tokens,
        response.cache_write_tokens,
        response.output_tokens,
        response.reasoning_tokens,
    )


async def _streaming(model: Model) -> tuple[asyncio.Task[Response], list[str]]:
    """Begin a streamed call. Return it with its pieces once the first one has arrived."""
    pieces, first = list[str](), asyncio.Event()

    def watch(piece: str) -> None:
        pieces.append(piece)
        first.set()

    task = asyncio.create_task(model.answer(replace(ask(), on_text=watch)))
    await first.wait()
    return task, pieces


async def _cancelled(task: asyncio.Task[Response]) -> None:
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    message = "a cancelled call was answered"
    raise AssertionError(message)
