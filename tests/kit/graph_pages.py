"""Golden pages of graphs with agents: a graph, its input, its agents' answers, and all that its agents were asked.

A page is a title (lines with `#`), Python under `== kit`, and cases. A case is its truth after `==`, lines that begin
with `>`, and the outcome: the last message of each request, with its hosted tools and most tokens, the labels of the
edges, the end, and what else the run wrote into the state. What happened in parallel is in the order of
`tests.kit.places`.

    > graph EXPRESSION    the graph, which is only compiled in a case without a `> given`
    > given KEYWORDS      its input
    > AGENT: ANSWERS      the answers of an agent in order
    > AGENT = FUNCTION    one that answers all its requests
    > answers DICT        those of several agents; `None` leaves agents their own models and rules
    > start OPTIONS, > answer VALUE, > stop, > resume OPTIONS
                          the life of a run, in place of `> given`: its steps and usage are shown then, and of each
                          request all messages since the agent's last answer; a resume may follow another `> graph`
    > show EXPRESSION     a text, whose lines are shown
    > wait SECONDS        lets time pass

A page shows a long text once, with a hash. When the text comes again, the page names it (`09e57f, as above`). Of a text
that is much like it, the page shows the words that differ (`as 09e57f but for: … [-gone-] {+new+}`). Of an outcome that
is much like that of the case before, only the lines that differ are shown, by their numbers, after `as before, but`.

A line that begins with `> ` continues the one before. `UPDATE_PAGES=1` rewrites the pages.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import operator
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

import graphengine
from graphengine import CompileError, Result, Run, RunFailed, Runner, ScriptedModel, models, patterns
from graphengine.engine.steps import Step
from graphengine.errors import DefinitionError, InputError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import Request, Response
from graphengine.reducers import append
from tests.kit import golden, page_code
from tests.kit.facts import said
from tests.kit.places import Place, in_order, place_here, steps_in_order

SHORT: Final = 200
AROUND: Final = 4
"""How many words are shown before a change of a text."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_LINE: Final = re.compile(r"> (\w+)(:| =|) ?(.*)")


async def check_page(path: Path, *modules: ModuleType) -> None:
    """Fail if a page does not read as it should; with `UPDATE_PAGES=1`, write what it should read."""
    golden.check(path, await play_page(path.read_text(encoding="utf-8"), modules))


async def play_page(page: str, modules: Sequence[ModuleType]) -> str:
    """Return a page as it should read; its Python has the names of these modules too."""
    title, *cases = re.split(r"^(?=== )", page, flags=re.MULTILINE)
    names: dict[str, Any] = {"Annotated": Annotated, "Literal": Literal, "Enum": Enum, "append": append}
    for module in (pydantic, models, graphengine, patterns, *modules):
        names |= {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    shown, asked, before = [title], dict[str, list[str]](), list[str]()
    for case in cases:
        head, _, body = case.partition("\n")
        if head == "== kit":
            page_code.run(body, "page", names)
            shown.append(case)
            continue
        given = [line for line in body.splitlines() if line.startswith(">")]
        lines = re.sub(r"\n>  +", " ", "\n".join(given)).splitlines()
        found = await _outcome(lines, names, asked)
        shown.append("\n".join([head, *given, *(f"  {line}" for line in golden.but(before, found)), "\n"]))
        before = found
    return "".join(shown).rstrip("\n") + "\n"


async def _outcome(lines: list[str], names: dict[str, Any], asked: dict[str, list[str]]) -> list[str]:
    """Return what a case does, as lines."""
    acts: list[tuple[str, str]] = []
    answers: dict[str, Any] = {}
    scripted = "> answers None" not in lines
    for line in lines:
        word, mark, rest = _LINE.fullmatch(line).groups()  # type: ignore[union-attr]
        if word == "answers":
            answers |= eval(rest, names) or {}  # noqa: S307 - our own page
        elif mark:
            answers[word] = eval(f"[{rest}]" if mark == ":" else rest, names)  # noqa: S307 - our own page
        else:
            acts.append((word, rest))
    try:
        if len(acts) == 1:
            eval(acts[0][1], names).compile()  # noqa: S307 - our own page
            return ["compiles"]
        with PlacedModel(answers) as model:
            clock = FakeClock(start=0.0)
            async with Runner(models={"*": model} if scripted else {}, clock=clock, threads=1) as runner:
                played = _Played(runner, clock, model, names, asked)
                return [line for act in acts for line in await played.act(*act)]
    except (DefinitionError, CompileError) as error:
        return _wrapped("refused", str(error))


class PlacedModel(ScriptedModel):
    """A scripted model that notes at which place of which run each request was made."""

    def __init__(self, answers: Any) -> None:
        super().__init__(answers)
        self.places: list[tuple[str, Place]] = []

    async def answer(self, request: Request) -> Response:
        self.places.append(place_here())
        return await super().answer(request)

    def asked(self, before: int = 0) -> list[Request]:
        """Return the requests in the canonical order, without the first ones."""
        placed = list(zip(self.places, self.requests, strict=True))[before:]
        return [request for _, request in in_order(placed, operator.itemgetter(0))]


class _Played:
    """The run of a case, act by act."""

    def __init__(
        self, runner: Runner, clock: FakeClock, model: PlacedModel, names: dict[str, Any], asked: dict[str, list[str]]
    ) -> None:
        self.runner, self.clock, self.model, self.names, self.asked = runner, clock, model, names, asked
        self.graph: Any = None
        self.given: Mapping[str, Any] = {}
        self.requests = self.steps = 0

    async def act(self, verb: str, rest: str) -> list[str]:
        """Do what a line says; return what happened."""
        if verb == "graph":
            self.graph = eval(rest, self.names)  # noqa: S307 - our own page
        elif verb == "answer":
            try:
                await eval(f"answer('r', {rest})", self.names | {"answer": self.runner.answer})  # noqa: S307
            except InputError as error:
                return _wrapped("refused", error.message)
        elif verb == "wait":
            self.clock.move(float(rest))
        elif verb == "show":
            return str(eval(rest, self.names)).splitlines()  # noqa: S307 - our own page
        elif verb == "stop":
            await self.runner.stop("r")
        else:
            options = eval(f"dict({rest})", self.names)  # noqa: S307 - our own page
            if verb == "resume":
                return await self.followed(self.runner.resume("r", self.graph, **options), shows_steps=True)
            self.given, options = (options, {}) if verb == "given" else ({}, options)
            run = self.runner.start(self.graph, self.given, run_id="r", **options)
            return await self.followed(run, shows_steps=verb == "start")
        return []

    async def followed(self, run: Run[Any], *, shows_steps: bool) -> list[str]:
        """Return what a run asked, did and came to."""
        try:
            result = await run.result()
        except RunFailed as error:
            result = error.result
        requests = self.model.asked(self.requests)
        found = [line for each in requests for line in (sent if shows_steps else _asked)(each, self.asked)]
        steps = steps_in_order(await self.runner.history("r"), self.steps)
        self.requests, self.steps = len(self.model.requests), self.steps + len(steps)
        if shows_steps:
            return [*found, *ended(result, steps, self.given, self.asked)]
        if edges := [said(step)["edge"] for step in steps if said(step).get("edge")]:
            found += _wrapped("edges", ", ".join(edges))
        for wait in result.waits:
            found += _named("asks", f"{wait.name}: {wait.question}", self.asked)
        return [*found, *_ending(self.given, result, self.asked)]


def ended(
    result: Result[Any],
    steps: Sequence[Step],
    given: Mapping[str, Any] = NOTHING,
    asked: dict[str, list[str]] | None = None,
) -> list[str]:
    """Return the steps of a run, its edges, what it asks, what it used if that cost something, and how it ended."""
    found = _wrapped("steps", ", ".join(map(_step, steps)))
    if edges := [said(step)["edge"] for step in steps if said(step).get("edge")]:
        found += _wrapped("edges", ", ".join(edges))
    for wait in result.waits:
        found += _named("asks", f"{wait.name}: {wait.question}", asked)
    usage = result.usage
    known = usage.priced_usd if usage.cost_usd is None else usage.cost_usd
    used = [f"usage: {usage.calls} calls, {usage.unknown_calls} of unknown cost, {known} USD"]
    return [*found, *(used if known or usage.unknown_calls else []), *_ending(given, result, asked)]


def _step(step: Step) -> str:
    """Return a step in a few words."""
    facts = said(step)
    if step.kind == "recorded":
        value, usage = facts["value"], facts.get("usage", {})
        text = _text(value.get("text", "") if isinstance(value, dict) else value)
        return f"{facts['name']} {text}" + (f" for {usage['cost_usd']} USD" if usage.get("cost_usd") else "")
    if step.kind == "begun":
        return f"begun {facts['name']} {_text(facts.get('arguments'))} with key {facts.get('idempotency_key')}"
    if step.kind == "attempt":
        return f"attempt, again in {facts.get('due_at', step.at) - step.at:g} s"
    return step.kind


def sent(request: Request, asked: dict[str, list[str]] | None = None) -> list[str]:
    """Return what a request has that the agent's last answer had not seen, and the number of all its messages."""
    new = itertools.takewhile(lambda message: message.role != "assistant", reversed(request.messages))
    texts = [f"error {message.text}" if message.is_error else message.text for message in new]
    return _named(f"{_who(request)}, {len(request.messages)} messages", " | ".join(reversed(texts)), asked)


def _who(request: Request) -> str:
    """Return an agent with its hosted tools and settings."""
    settings = request.settings
    most = [f"{settings.max_tokens} tokens"] if settings.max_tokens else []
    most += [f"tools: {settings.tool_choice}"] if settings.tool_choice else []
    return ", ".join([request.agent, *(tool.name for tool in request.hosted), *most])


def _asked(request: Request, asked: dict[str, list[str]]) -> list[str]:
    """Return what an agent was asked."""
    return _named(_who(request), request.prompt, asked)


def _named(head: str, text: str, shown: dict[str, list[str]] | None) -> list[str]:
    """Return a text as lines; a long one that the page has shown before, or one much like it, by the other's hash."""
    if shown is None or len(text) < SHORT:
        return _wrapped(head, text)
    name = hashlib.sha256(text.encode()).hexdigest()[:6]
    if name in shown:
        return [f"{head}: {name}, as above"]
    words = text.split()
    changes = {other: _changes(before, words) for other, before in shown.items()}
    like = min(changes, key=lambda other: len(changes[other]), default="")
    shown[name] = []  # unless it is shown whole, no other text is shown by its difference from this one
    if like and 2 * len(changes[like]) < len(" ".join(words)):
        return _wrapped(f"{head}: {name}, as {like} but for", changes[like])
    shown[name] = words
    return _wrapped(f"{head}: {name}", text)


def _changes(before: Sequence[str], words: Sequence[str]) -> str:
    """Return what differs in a text from the one before: `[-gone-]` and `{+new+}`, each after some words of both."""
    found: list[str] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, before, words, autojunk=False).get_opcodes():
        if kind != "equal":
            gone, new = " ".join(before[i:j]), " ".join(words[k:m])
            found += [
                "…",
                *words[max(k - AROUND, 0) : k],
                *([f"[-{gone}-]"] if gone else []),
                *([f"{{+{new}+}}"] if new else []),
            ]
    return " ".join(found)


def _ending(given: Mapping[str, Any], result: Result[Any], asked: dict[str, list[str]] | None) -> Iterator[str]:
    """Yield how a run ended, and what of its state was neither given nor is a default."""
    state: BaseModel = result.state
    begun = type(state).model_validate({**given})
    shown = state if result.error is not None or isinstance(result.output, BaseModel) else result.output
    if result.error is not None:
        yield from _wrapped("failed", result.error.message)
    else:
        yield from [result.status] if shown is state else _named(result.status, _text(shown), asked)
    if result.usage.cost_usd and given:
        yield f"cost: {result.usage.cost_usd} USD"
    for name, value in state:
        if name == "errors":
            for each in value:
                yield from _wrapped("error", f"{each.path} {each.kind}: {each.message}")
        elif value not in (getattr(begun, name), shown):
            yield from _named(name, _text(value), asked)


def _text(value: object) -> str:
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def _wrapped(head: str, text: str) -> list[str]:
    words = f"{head}: {' '.join(text.split())}"
    return textwrap.wrap(words, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
