"""Golden pages of exchanges with a provider's server: what is asked, the body that is sent, and what is read.

A page is a title (lines with `#`), Python under `== kit`, and cases. A case is its truth after `==`, lines that begin
with `>`, and after each what happened. `UPDATE_PAGES=1` rewrites the pages.

    > model EXPRESSIONS     the model, from here on, or several: then the lines after it are played with each, and what
                            happened is shown under the name of its API, or once if it was the same with all
    > asks ARGUMENTS        the request, from here on: messages, or options of `Request`; a question if there are none
    > streams ARGUMENTS     the same, streamed
    > continues MESSAGES    the last request with its answer and these messages
    > gets SCENES           the call, which the server answers with these
    > fails SCENES          the same; an error is shown with what its call used

A body that the page has shown is left out, and so is the answer `yes`. Of another body, fields that the page has shown
are only named. Of a list that begins with all items of the one before, the page shows the items that follow. The repair
of an error is left out if the last error of its class had the same one (`as above`).

A line that begins with `>  ` continues the one before.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import pydantic
from pydantic_core import to_jsonable_python

import graphengine
from graphengine import models
from graphengine.errors import DefinitionError
from graphengine.models import AnthropicModel, Message, OpenAIChatModel, OpenAIModel, Request, Response
from graphengine.models.base import usage_of_failure
from graphengine.models.errors import ModelError
from tests.conformance import model_scenes
from tests.kit import golden, page_code
from tests.models import acts, wire
from tests.models.adapters import APIS, KEY
from tests.models.edge_server import Call, EdgeServer

BLANK: Final = Response("")
SAYS_YES: Final = {"content": "yes", "input_tokens": 12, "output_tokens": 5}
"""What is read of the plainest answer, which a page leaves out."""
VARIES: Final = re.compile(r"(RecursionError|JSONDecodeError|RemoteProtocolError): .*? →")  # with the version of Python


async def check_page(path: Path, edge: EdgeServer) -> None:
    """Fail if a page does not read as it should; with `UPDATE_PAGES=1`, write what it should read."""
    golden.check(path, await _Exchange(edge).page(path.read_text(encoding="utf-8")))


class _Turn:
    """A model with the request and the answer that a page has come to."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.api = next(path.split("/")[2] for path, api in APIS.items() if isinstance(model, api.kind))
        self.request = asked()
        self.answer = BLANK

    def said(self) -> Message:
        """Return the last answer as a message."""
        found = self.answer
        said = Message(role="assistant", text=str(found.content), calls=found.calls, native=found.native)
        return Message.model_validate_json(said.model_dump_json())  # as a run records it


class _Exchange:
    """Plays the lines of a page, one after another."""

    def __init__(self, edge: EdgeServer) -> None:
        self.edge = edge
        self.names: dict[str, Any] = {
            name: getattr(module, name)
            for module in (pydantic, graphengine, models, model_scenes, acts, wire)
            for name in dir(module)
            if not name.startswith("_")
        }
        self.names |= {
            "messages": lambda name="claude-haiku-4-5", **more: AnthropicModel(
                name, **{"api_key": KEY, "base_url": edge.url, **more}
            ),
            "responses": lambda name="gpt-5-mini", **more: OpenAIModel(name, **{"base_url": edge.openai_url, **more}),
            "chat": lambda name="qwen3:8b", **more: OpenAIChatModel(name, **{"base_url": edge.openai_url, **more}),
            "url": edge.openai_url,
            "of_anthropic": {"base_url": edge.url.replace("127.0.0.1", "api.anthropic.com")},
            "of_openai": {"base_url": edge.openai_url.replace("127.0.0.1", "api.openai.com"), "api_key": KEY},
        }
        self.turns: list[_Turn] = []
        self.bodies: set[tuple[str, str]] = set()
        self.fields: set[tuple[str, str]] = set()
        self.lists: dict[str, list[Any]] = {}
        self.repairs: dict[type[ModelError], str] = {}

    async def page(self, page: str) -> str:
        """Return a page as it should read."""
        title, *cases = re.split(r"^(?=== )", page, flags=re.MULTILINE)
        shown = [title]
        for case in cases:
            head, _, body = case.partition("\n")
            if head == "== kit":
                page_code.run(body, "page", self.names)
                shown.append(case)
                continue
            shown.append(f"{head}\n")
            for line in re.findall(r"^> .*(?:\n>  .*)*", body, flags=re.MULTILINE):
                outcome = await self.play(re.sub(r"\n>  +", " ", line)[2:])
                shown += [f"{line}\n", *(f"  {each}\n" for each in outcome)]
            shown.append("\n")
        for turn in self.turns:
            await turn.model.close()
        return "".join(shown).rstrip("\n") + "\n"

    async def play(self, line: str) -> list[str]:
        """Play a line with each model; return what happened."""
        verb, _, rest = line.partition(" ")
        if verb == "model":
            for turn in self.turns:
                await turn.model.close()
            self.turns = [_Turn(model) for model in eval(f"[{rest}]", self.names)]  # noqa: S307 - our own page
            return []
        found = [await self.played(turn, verb, rest) for turn in self.turns]
        same = [each for each in found[0] if all(each in others for others in found)]
        lines: list[str] = []
        for turn, each in zip(self.turns, found, strict=True):
            for head, text in each:
                if (head, text) not in same:
                    lines += self.wrapped(f"{turn.api} {head}" if len(self.turns) > 1 else head, text)
        return [*lines, *(line for head, text in same for line in self.wrapped(head, text))]

    async def played(self, turn: _Turn, verb: str, rest: str) -> list[tuple[str, str]]:
        """Play a line with one model; return what happened, each with its first word."""
        try:
            if verb in {"gets", "fails"}:
                return await self.call(turn, eval(f"[{rest}]", self.names), with_usage=verb == "fails")  # noqa: S307
            if verb == "continues":
                more = eval(f"[{rest}]", self.names)  # noqa: S307 - our own page
                turn.request = replace(turn.request, messages=[*turn.request.messages, turn.said(), *more])
            else:
                turn.request = eval(f"asked({rest})", {**self.names, "asked": asked})  # noqa: S307 - our own page
                if verb == "streams":
                    turn.request = replace(turn.request, on_text=lambda _: None)
        except DefinitionError as error:
            return [(type(error).__name__, str(error))]
        return []

    async def call(self, turn: _Turn, scenes: list[Any], *, with_usage: bool) -> list[tuple[str, str]]:
        """Make a call; return what was sent, unless the page has shown it, and what was read."""
        self.edge.play(*scenes)
        before = len(self.edge.calls)
        found: list[tuple[str, str]] = []
        try:
            turn.answer = await turn.model.answer(turn.request)
            answer = read(turn.answer)
            found += [("reads", _json(answer))] if answer != SAYS_YES else []
            if turn.answer.native is not None:
                found.append(("parts", ", ".join(map(repr, turn.said().parts))))
        except ModelError as error:
            repair = "as above" if self.repairs.get(type(error)) == error.repair else error.repair
            self.repairs[type(error)] = error.repair
            found.append((type(error).__name__, f"{error.message} → {repair}"))
            if with_usage:
                found.append(("used", json.dumps(usage_of_failure(error))))
        return [*(each for call in self.edge.calls[before:] for each in self.sent(call)), *found]

    def sent(self, call: Call) -> Iterator[tuple[str, str]]:
        """Yield the body of a call by what the page has not shown."""
        parts = {key: _json(part) for key, part in call.body.items() if key != "model"}
        beta, body = call.headers.get("anthropic-beta", ""), json.dumps(parts)
        if (beta, body) not in self.bodies:
            known = [key for key, part in parts.items() if (key, part) in self.fields]
            new = {key: call.body[key] for key in parts if key not in known}
            as_above = f"{', '.join(known)} as above" if known else ""
            longer = [key for key, part in new.items() if _begins(part, self.lists.get(key, ()))]
            more = [f"{key} as before, then {_json(new.pop(key)[len(self.lists[key]) :])}" for key in longer]
            text = "; ".join(filter(None, [as_above, *more, _json(new) if new else ""]))
            yield (f"sends, for {beta}:" if beta else "sends"), text
            self.lists |= {key: part for key, part in call.body.items() if isinstance(part, list)}
        self.bodies.add((beta, body))
        self.fields |= set(parts.items())

    def wrapped(self, head: str, text: str) -> list[str]:
        """Return a text in lines, without the port of the server."""
        text = " ".join(f"{head} {text}".replace(f":{self.edge.port}", ":PORT").split())
        text = VARIES.sub(r"\1 →", text)
        return textwrap.wrap(text, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _begins(part: object, with_: Sequence[object]) -> bool:
    """Return whether a list goes on after all items of another."""
    return isinstance(part, list) and bool(with_) and part[: len(with_)] == [*with_]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def asked(*messages: Message, system: str = "be brief", **options: Any) -> Request:
    """Return a request: a question, or a conversation."""
    return Request("writer", system, messages or [Message(role="user", text="hi")], **options)


def read(answer: Response) -> Any:
    """Return what an answer has, as of JSON."""
    found: Mapping[str, Any] = {
        field.name: getattr(answer, field.name)
        for field in fields(answer)
        if field.name not in ("model", "id", "server") and getattr(answer, field.name) != getattr(BLANK, field.name)
    }
    return to_jsonable_python(found)
