"""What every model must do, as tests that anybody can run on an adapter of their own.

A model under test talks to a server that the test commands. Subclass `ModelConformance`, say how the server and the
model are made, and let pytest collect the subclass:

    class TestMyModel(ModelConformance):
        def make_service(self) -> Service:
            return MyService(...)

        def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
            return MyModel("some-model", api_key=key, base_url=service.url, timeout_seconds=timeout_seconds)

        def make_lost_model(self, *, key: str) -> Model:
            return MyModel("some-model", api_key=key, base_url="http://127.0.0.1:9")

A `Service` (see `model_scenes.py`) answers calls with the scenes it is given, as the provider would say them, and tells
what it was asked. A scene that the provider has no words for is refused with `unittest.SkipTest` and skips the test.
Each test is a plain function that runs an event loop of its own, so no plugin is needed. The truth each test states is
a sentence of `models/base.py` or `errors.py`. What concerns failing is in `failing_models.py`.
"""
# ruff: noqa: S101, PLR2004  # these are tests, though they are part of the product

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from graphengine.models.base import Closes, KnowsPrices, Message, ToolCall
from graphengine.testing.failing_models import FailingModels
from graphengine.testing.model_kit import (
    ADD,
    KEY,
    NOW,
    PATIENCE_SECONDS,
    REVIEW,
    TALLY,
    ask,
    call,
    closing,
    question,
    result,
    said,
    scenario,
    text_of,
    watched,
)
from graphengine.testing.model_scenes import Counted, Says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.models.base import Model, Response
    from graphengine.testing.model_scenes import Heard, Service, Turn

WORDS = "one two\nthree  four, fünf, 六, 🐝"


class ModelConformance(FailingModels):
    """All the tests; a subclass says how the server and the model are made."""

    # -- text

    @scenario
    async def test_an_answer_comes_as_it_was_said(self, service: Service, model: Model) -> None:
        """A text comes back whole, ends by itself, and comes from a language model."""
        service.play(Says(WORDS))
        response = await model.answer(ask())
        assert (response.content, response.calls, response.stop) == (WORDS, (), "end")
        assert (response.why, response.offline) == ("", False)

    @scenario
    async def test_a_question_arrives_as_it_was_asked(self, service: Service, model: Model) -> None:
        """System, question, the most tokens and the key reach the server; nothing is streamed unless wanted."""
        service.play(Says("yes"))
        await model.answer(replace(ask(question(WORDS), system="Be brief."), max_tokens=321))
        (heard,) = service.heard()
        assert "Be brief." in heard.system
        assert _spoken(heard) == [("user", WORDS)]
        assert heard.max_tokens == 321
        assert heard.key in {KEY, None}
        assert not heard.tools

    @scenario
    async def test_a_conversation_arrives_in_order(self, service: Service, model: Model) -> None:
        """Each message keeps its role and place."""
        service.play(Says("c"))
        await model.answer(ask(question("a?"), said("a."), question("b?"), said("b."), question("c?")))
        expected = [("user", "a?"), ("assistant", "a."), ("user", "b?"), ("assistant", "b."), ("user", "c?")]
        assert _spoken(service.heard()[0]) == expected

    @scenario
    async def test_a_summary_is_sent_as_a_users_message(self, service: Service, model: Model) -> None:
        """What stands for earlier messages is said, before what comes after it, and a question may follow at once."""
        service.play(Says("yes"))
        await model.answer(ask(Message(role="summary", text="They spoke of bees.", covers=4), question("And wasps?")))
        (heard,) = service.heard()
        assert {turn.role for turn in heard.turns} == {"user"}
        together = "\n".join(turn.text for turn in heard.turns)
        assert 0 <= together.find("They spoke of bees.") < together.find("And wasps?")

    @scenario
    async def test_an_empty_message_does_no_harm(self, service: Service, model: Model) -> None:
        """A conversation that holds an empty answer can go on."""
        service.play(Says("yes"))
        await model.answer(ask(question("first"), said(""), question("second")))
        spoken = _spoken(service.heard()[0])
        assert [turn for turn in spoken if turn[1].strip()] in (
            [("user", "first"), ("user", "second")],
            [("user", "first\nsecond")],
            [("user", "first\n\nsecond")],
        )

    @scenario
    async def test_settings_that_a_model_lacks_are_passed_over(self, service: Service, model: Model) -> None:
        """Temperature, effort and cache are never a reason to fail."""
        service.play(Says("yes"))
        request = replace(ask(system="Be brief.", tools=[ADD]), temperature=0.2, effort="low", cache=True)
        assert (await model.answer(request)).content == "yes"

    @scenario
    async def test_an_empty_answer_is_an_empty_text(self, service: Service, model: Model) -> None:
        """A model that says nothing has said "", whole or streamed."""
        service.play(Says(""), Says(""))
        whole = await model.answer(ask())
        streamed, pieces = await watched(model, ask())
        assert (whole.content, whole.stop, streamed.content, streamed.stop) == ("", "end", "", "end")
        assert "".join(pieces) == ""

    @scenario
    async def test_a_lone_surrogate_is_sent_or_refused_by_name(self, service: Service, model: Model) -> None:
        """Half a character, in a question or in a tool's result, is sent as something that UTF-8 can carry."""
        service.play(Says("yes"), Says("yes"))
        await model.answer(ask(question("a\ud83db"), system="x\udc00y"))
        await model.answer(ask(question(), said("", call("c1", a=1, b=2)), result("c1", "r\ud800s"), said("\ude00")))
        for heard in service.heard():
            json.dumps(heard.body, ensure_ascii=False).encode()
        assert _spoken(service.heard()[0])[0][1] not in {"", "ab"}

    @scenario
    async def test_a_lone_surrogate_in_an_answer_can_be_stored(self, service: Service, model: Model) -> None:
        """What a model says is a text that UTF-8 can carry, whatever the server sent."""
        scene = Says("a\ud83db", (ToolCall(id="c1", name="add", arguments='{"a": "\\ud800"}'),))
        service.play(scene, scene)
        whole = await model.answer(ask(tools=[ADD]))
        streamed, pieces = await watched(model, ask(tools=[ADD]))
        for response in (whole, streamed):
            assert text_of(response) not in {"", "ab"}
            repr(response.calls).encode()
            json.dumps(response.native, ensure_ascii=False).encode()
        "".join(pieces).encode()

    # -- why it ends

    @scenario
    async def test_an_answer_that_was_cut_says_so(self, service: Service, model: Model) -> None:
        """An answer that reached `max_tokens` has what there is of it."""
        service.play(Says("one two", stop="cut"), Says("one two", stop="cut"))
        whole = await model.answer(ask())
        streamed, _ = await watched(model, ask())
        assert (whole.content, whole.stop, streamed.content, streamed.stop) == ("one two", "cut", "one two", "cut")

    @scenario
    async def test_a_refusal_says_why(self, service: Service, model: Model) -> None:
        """A refusal is told apart from an answer, with the provider's words."""
        service.play(*[Says("", stop="refused", why="that would be harmful")] * 2)
        whole = await model.answer(ask())
        streamed, _ = await watched(model, ask())
        for response in (whole, streamed):
            assert response.stop == "refused"
            assert "that would be harmful" in response.why

    @scenario
    async def test_a_window_that_fills_up_says_so(self, service: Service, model: Model) -> None:
        """An answer that stops because the context window is full is told apart from one that was cut."""
        service.play(Says("one two", stop="full"), Says("one two", stop="full"))
        whole = await model.answer(ask())
        streamed, _ = await watched(model, ask())
        assert (whole.stop, streamed.stop) == ("full", "full")

    # -- structured output

    @scenario
    async def test_a_schema_arrives(self, service: Service, model: Model) -> None:
        """The form of an answer is asked for, natively or in words, and the answer comes as its JSON text."""
        service.play(Says('{"score": 7, "issues": []}'))
        response = await model.answer(replace(ask(system="Judge."), schema=REVIEW, output="Review"))
        assert json.loads(text_of(response)) == {"score": 7, "issues": []}
        (heard,) = service.heard()
        asked = json.dumps(heard.schema) if heard.schema is not None else json.dumps(heard.body)
        assert "score" in asked
        assert "issues" in asked

    @scenario
    async def test_a_schema_that_cannot_be_held_to_is_asked_for_anyway(self, service: Service, model: Model) -> None:
        """A schema with keys of any name, or values of any kind, is no reason to fail."""
        service.play(Says('{"counts": {"bee": 2}}'))
        response = await model.answer(replace(ask(), schema=TALLY, output="Tally"))
        assert json.loads(text_of(response)) == {"counts": {"bee": 2}}
        assert "counts" in json.dumps(service.heard()[0].body)

    @scenario
    async def test_a_schema_and_tools_go_together(self, service: Service, model: Model) -> None:
        """An agent with an output type may call tools first."""
        service.play(Says(calls=(call("c1", a=2, b=3),)))
        response = await model.answer(replace(ask(tools=[ADD]), schema=REVIEW, output="Review"))
        assert [each.name for each in response.calls] == ["add"]
        assert "add" in service.heard()[0].tools

    # -- tools

    @scenario
    async def test_tools_arrive_and_are_called(self, service: Service, model: Model) -> None:
        """Tools reach the server with the schemas of their arguments; a call comes with its id, name and arguments."""
        service.play(Says(calls=(call("c1", a=2, b=3),)))
        response = await model.answer(ask(tools=[ADD, NOW]))
        assert (response.content, response.stop) == ("", "tools")
        assert _called(response.calls) == [("add", {"a": 2, "b": 3})]
        assert response.calls[0].id
        tools = service.heard()[0].tools
        assert list(tools) == ["add", "now"]
        properties = tools["add"]["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == {"a", "b"}

    @scenario
    async def test_several_calls_come_at_once(self, service: Service, model: Model) -> None:
        """Calls of one turn come in order, each with an id of its own, with the text that was said beside them."""
        scene = Says("let me see", (call("c1", a=1, b=2), call("c2", "now"), call("c3", a=3, b=4)))
        service.play(scene, scene)
        whole = await model.answer(ask(tools=[ADD, NOW]))
        streamed, pieces = await watched(model, ask(tools=[ADD, NOW]))
        for response in (whole, streamed):
            assert (response.content, response.stop) == ("let me see", "tools")
            assert _called(response.calls) == [("add", {"a": 1, "b": 2}), ("now", {}), ("add", {"a": 3, "b": 4})]
            assert len({each.id for each in response.calls}) == 3
        assert "".join(pieces) == "let me see"

    @scenario
    async def test_results_go_back_to_their_calls(self, service: Service, model: Model) -> None:
        """What tools gave arrives behind the calls, each under its call's id."""
        service.play(Says(calls=(call("c1", a=1, b=2), call("c2", a=3, b=4))), Says("3 and 7"))
        first = await model.answer(ask(question("add"), tools=[ADD]))
        ids = [each.id for each in first.calls]
        results = [result(ids[0], "3"), result(ids[1], "7")]
        answered = said(text_of(first), *first.calls, native=first.native)
        response = await model.answer(ask(question("add"), answered, *results, tools=[ADD]))
        assert response.content == "3 and 7"
        asked, called, *given = service.heard()[1].turns
        assert (asked.role, asked.text, called.role) == ("user", "add", "assistant")
        assert _called(called.calls) == [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]
        sent = [each.id for each in called.calls]
        assert [(turn.role, turn.call_id, turn.text) for turn in given] == [
            ("tool", sent[0], "3"),
            ("tool", sent[1], "7"),
        ]

    @scenario
    async def test_a_tools_error_goes_back_as_one(self, service: Service, model: Model) -> None:
        """That a tool failed, and how, reaches the model; an empty result is a result too."""
        service.play(Says("sorry"))
        failed = [result("c1", "no such number", is_error=True), result("c2", "")]
        calls = said("", call("c1", a=1, b=2), call("c2", "now"))
        await model.answer(ask(question(), calls, *failed, tools=[ADD, NOW]))
        first, second = _results(service.heard()[0])
        assert "no such number" in first.text
        assert first.is_error in {True, None}
        assert second.is_error in {False, None}

    @scenario
    async def test_arguments_that_are_no_json_can_be_sent_back(self, service: Service, model: Model) -> None:
        """A call whose arguments cannot be read stays in the conversation, so that its error has a place."""
        service.play(Says("again"))
        torn = said(
            "", ToolCall(id="c1", name="add", arguments='{"a": 2,'), ToolCall(id="c2", name="now", arguments="")
        )
        given = [result("c1", "the arguments are no JSON", is_error=True), result("c2", "noon")]
        await model.answer(ask(question(), torn, *given, tools=[ADD, NOW]))
        heard = service.heard()[0]
        called = next(turn for turn in heard.turns if turn.role == "assistant")
        assert [each.name for each in called.calls] == ["add", "now"]
        assert [turn.call_id for turn in _results(heard)] == [each.id for each in called.calls]

    @scenario
    async def test_any_id_of_a_call_will_do(self, service: Service, model: Model) -> None:
        """Calls that another provider named keep to their results, and are told apart."""
        service.play(Says("yes"))
        ids = ["call:ä/1", "call:ä/2", "x" * 200, ""]
        calls = [ToolCall(id=each, name="now") for each in ids]
        await model.answer(ask(question(), said("", *calls), *(result(each, f"r{each}") for each in ids), tools=[NOW]))
        heard = service.heard()[0]
        called = next(turn for turn in heard.turns if turn.role == "assistant")
        sent = [each.id for each in called.calls]
        assert len(set(sent)) == len(ids)
        assert [(turn.call_id, turn.text) for turn in _results(heard)] == [
            (new, f"r{old}") for new, old in zip(sent, ids, strict=True)
        ]

    # -- what a provider wants back

    @scenario
    async def test_its_own_form_goes_back_as_it_was(self, service: Service, model: Model) -> None:
        """What a provider sealed comes back to it unchanged, after having been stored as JSON, and nothing twice."""
        scene = Says("let me add", (call("c1", a=2, b=3),), thinking="c2VhbGVkIHRob3VnaHQ=")
        service.play(scene, scene, Says("5"), Says("5"))
        streamed, _ = await watched(model, ask(question("2 and 3?"), tools=[ADD]))
        for first in (await model.answer(ask(question("2 and 3?"), tools=[ADD])), streamed):
            stored = Message.model_validate_json(
                said(text_of(first), *first.calls, native=first.native).model_dump_json()
            )
            await model.answer(ask(question("2 and 3?"), stored, result(first.calls[0].id, "5"), tools=[ADD]))
            (called,) = [turn for turn in service.heard()[-1].turns if turn.role == "assistant"]
            assert called.thinking == ("c2VhbGVkIHRob3VnaHQ=",)
            assert (called.text, _called(called.calls)) == ("let me add", [("add", {"a": 2, "b": 3})])

    @scenario
    async def test_another_providers_form_is_passed_over(self, service: Service, model: Model) -> None:
        """A conversation begun elsewhere goes on here: its text and calls are sent, its own form is not."""
        service.play(Says("yes"))
        foreign = said("I add", call("c1", a=2, b=3), native={"provider": "elsewhere", "content": [{"sealed": "xyz"}]})
        await model.answer(ask(question(), foreign, result("c1", "5"), tools=[ADD]))
        heard = service.heard()[0]
        called = next(turn for turn in heard.turns if turn.role == "assistant")
        assert (called.text, _called(called.calls)) == ("I add", [("add", {"a": 2, "b": 3})])
        assert "xyz" not in json.dumps(heard.body)

    # -- streams

    @scenario
    async def test_pieces_join_to_the_text(self, service: Service, model: Model) -> None:
        """Who watches gets the text piece by piece, and the answer is the same as if nobody did."""
        service.play(Says(WORDS), Says(WORDS))
        whole = await model.answer(ask())
        streamed, pieces = await watched(model, ask())
        assert "".join(pieces) == WORDS
        assert replace(streamed, native=None) == replace(whole, native=None)

    @scenario
    async def test_pieces_come_while_the_answer_is_made(self, service: Service, model: Model) -> None:
        """The first piece is there before the server has said the rest."""
        service.play(Says("one two three", held=True))
        pieces, first = list[str](), asyncio.Event()

        def watch(piece: str) -> None:
            pieces.append(piece)
            first.set()

        task = asyncio.create_task(model.answer(replace(ask(), on_text=watch)))
        await first.wait()
        assert "".join(pieces).strip() == "one"
        service.go_on()
        assert (await task).content == "one two three"

    # -- many, and none any more

    @scenario
    async def test_calls_run_side_by_side(self, service: Service, model: Model) -> None:
        """Each of many calls at once gets an answer of its own."""
        texts = [f"answer {number}" for number in range(24)]
        service.play(*[Says(text) for text in texts])
        responses = await asyncio.gather(*[model.answer(ask(question(text))) for text in texts])
        assert sorted(text_of(response) for response in responses) == sorted(texts)
        assert sorted(_spoken(heard)[0][1] for heard in service.heard()) == sorted(texts)

    @scenario
    async def test_a_call_can_be_cancelled(self, service: Service, model: Model) -> None:
        """A call that is cancelled lets go of the server at once, and the next one is answered."""
        service.play(Says("never", held=True), Says("yes"))
        task = asyncio.create_task(model.answer(ask()))
        await service.arrived(1)
        await _cancelled(task)
        await service.left()
        assert (await model.answer(ask())).content == "yes"

    @scenario
    async def test_a_stream_can_be_cancelled(self, service: Service, model: Model) -> None:
        """The same amid an answer: no piece comes after that."""
        service.play(Says("one two three", held=True), Says("yes"))
        pieces, first = list[str](), asyncio.Event()

        def watch(piece: str) -> None:
            pieces.append(piece)
            first.set()

        task = asyncio.create_task(model.answer(replace(ask(), on_text=watch)))
        await first.wait()
        await _cancelled(task)
        await service.left()
        service.go_on()
        assert (await model.answer(ask())).content == "yes"
        assert "".join(pieces).strip() == "one"

    @scenario
    async def test_a_closed_model_can_be_used_again(self, service: Service, model: Model) -> None:
        """Closing twice, and calling afterwards, is fine."""
        service.play(Says("one"), Says("two"))
        await model.answer(ask())
        if isinstance(model, Closes):
            await model.close()
            await model.close()
        assert (await model.answer(ask())).content == "two"

    def test_a_model_serves_one_event_loop_after_another(self) -> None:
        """A model object may live longer than an event loop: scripts call `asyncio.run` more than once."""
        service = self.make_service()
        service.play(Says("one"), Says("two"))
        model = self.make_model(service, key=KEY, timeout_seconds=PATIENCE_SECONDS)

        async def once() -> object:
            async with closing(model):
                return (await model.answer(ask())).content

        assert [asyncio.run(once()), asyncio.run(once())] == ["one", "two"]

    # -- usage

    @scenario
    async def test_usage_is_told_in_our_sense(self, service: Service, model: Model) -> None:
        """Tokens of the question hold those of the cache, tokens of the answer those of thinking; streamed, too."""
        counted = Counted(3084, 1024, 2048, 70, 30)
        service.play(Says("yes", counted=counted), Says("yes", counted=counted))
        whole = await model.answer(ask())
        streamed, _ = await watched(model, ask())
        for response in (whole, streamed):
            assert _used(response) == counted
            assert response.cost_usd is None or response.cost_usd > 0
        assert whole.cost_usd == streamed.cost_usd

    @scenario
    async def test_plain_usage_is_told(self, service: Service, model: Model) -> None:
        """Without a cache and thinking, there are tokens of question and answer."""
        service.play(Says("yes", counted=Counted(40, 0, 0, 9, 0)))
        assert _used(await model.answer(ask())) == Counted(40, 0, 0, 9, 0)

    @scenario
    async def test_usage_that_is_not_told_costs_an_unknown_amount(self, service: Service, model: Model) -> None:
        """Where the server does not say what a call used, its cost is unknown, not nothing."""
        service.play(Says("yes", counted=None), Says("yes", counted=None))
        whole = await model.answer(ask())
        streamed, _ = await watched(model, ask())
        for response in (whole, streamed):
            assert (response.content, response.cost_usd) == ("yes", None)
            assert _used(response) == Counted(0, 0, 0, 0, 0)

    @scenario
    async def test_a_known_price_is_asked(self, service: Service, model: Model) -> None:
        """A model that says it knows its price tells what an answer cost."""
        service.play(Says("yes", counted=Counted(1000, 0, 0, 1000, 0)))
        known = await model.knows_price() if isinstance(model, KnowsPrices) else None
        response = await model.answer(ask())
        assert known is None or known is (response.cost_usd is not None)


def _spoken(heard: Heard) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in heard.turns]


def _results(heard: Heard) -> list[Turn]:
    return [turn for turn in heard.turns if turn.role == "tool"]


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


async def _cancelled(task: asyncio.Task[Response]) -> None:
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    message = "a cancelled call was answered"
    raise AssertionError(message)
