"""A model whose answers are recorded in a file, and replayed from it without another call of a provider.

A `RecordedModel` with an underlying model calls it for requests that are not in the file, and records the answers. One
without only replays, as in tests without a key or a network. A request that has changed since is an error that shows
what changed. `graphengine.models.recording` defines the file's format.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import re
import textwrap
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.errors import ModelError
from graphengine.models.base import Closes, EstimatesCosts, KnowsPrices, KnowsWindow
from graphengine.models.hosted import lacking
from graphengine.models.lane import lane_of
from graphengine.models.names import as_model
from graphengine.models.recording import LASTING, Answered, Asked, BadRecording, Exchange, Failed, Recording
from graphengine.models.scripted import stream
from graphengine.models.settings import ChecksSettings

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.models.base import Model, Request, Response
    from graphengine.models.batches import Batches
    from graphengine.models.hosted import HostedTool
    from graphengine.models.lane import Lane
    from graphengine.models.settings import Settings

_Part: TypeAlias = "tuple[str, ...]"

_DIFF_LINES: Final = 40
_LINE: Final = 100
_COMPARED: Final = 300  # lines of one part; the time of the comparison is quadratic in them
_WORD: Final = re.compile(r"\w+")
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+")


class NotRecorded(ModelError):
    """A recorded model has no answer to the request in its file, and no underlying model to call."""

    code = "not_recorded"


class RecordedModel:
    """Answers from a file of recorded answers. Calls another model, if it has one, for the rest, and records it.

    A request is identified by its agent, instructions, messages, schema, tools and settings. If equal requests were
    recorded several times, the n-th call gets the n-th answer. Answers are recorded, and errors that depend on the
    request (refused, cut, too large for the context window), but not errors that pass, nor those of keys and accounts.

    A replayed answer has its model's name and its numbers of tokens, costs 0.0, and is marked `offline`, as nothing is
    spent now. The file has its original cost. Secrets are hidden in the file: values of environment variables with KEY,
    TOKEN, SECRET or PASSWORD in their name, and texts that look like keys. Another value of the same variable makes an
    equal request. Two requests of one process that differ only in a secret are refused, since the file could not
    distinguish them.

    Args:
        file: The recording. With a model, neither it nor its folder need exist.
        model: The model to call for requests that are not in the file, as an object or a name; None to only replay.

    Example:
        >>> RecordedModel("tests/recordings/review.json").name
        'recorded:tests/recordings/review.json'
    """

    def __init__(self, file: str | os.PathLike[str], model: Model | str | None = None) -> None:
        self._model = None if model is None else as_model(model)
        self._recording = Recording(Path(file).expanduser(), new=model is not None)
        self._asked: Counter[str] = Counter()
        self._in_clear: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        """`recorded:` and the file."""
        return f"recorded:{self._recording.path}"

    async def answer(self, request: Request) -> Response:
        """Return the recorded answer, or a new one after recording it.

        Raises:
            NotRecorded: There is no answer, and no underlying model; the message shows how the request differs from the
                nearest recorded one. Or the request differs from another one only in a secret.
            BadRecording: The file is missing, damaged or too new, or cannot be written. Errors of the underlying model
                are raised too.
        """
        if not self._recording.loaded:
            await asyncio.to_thread(self._recording.load)
        clear = Asked.of(request)
        asked = clear.without_secrets()
        self._refuse_ambiguous(asked, clear)
        key = asked.key
        if not self._recording.count(key) and self._recording.count(clear.key):
            asked, key = clear, clear.key  # it was recorded when this text was not a secret
        index = self._asked[key]
        self._asked[key] += 1
        found = self._recording.get(key, index)
        if found is None:
            return await self._record(request, asked)
        return _replayed(found, request)

    @property
    def lane(self) -> Lane | None:
        """The lane of the underlying model; None without one, as replayed answers need not wait."""
        return None if self._model is None else lane_of(self._model)

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the repair for each setting that the underlying model does not have, by name."""
        model: object = self._model
        return model.lacks(settings) if isinstance(model, ChecksSettings) else {}

    @property
    def batches(self) -> Batches | None:
        """None: answers are replayed at once, and recorded by calls."""
        return None

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return the repair if the underlying model does not have this tool, "" if it has it, or there is none."""
        return "" if self._model is None else next((repair for _, repair in lacking(self._model, [tool])), "")

    @property
    def reports_usage(self) -> bool:
        """Whether the underlying model reports what its calls used."""
        return getattr(self._model, "reports_usage", False)

    async def knows_price(self) -> bool:
        """Return whether the underlying model knows its price; True without one, as replayed answers cost nothing."""
        model: object = self._model
        return await model.knows_price() if isinstance(model, KnowsPrices) else True

    async def window_tokens(self) -> int | None:
        """Return the underlying model's window; None if it is unknown, or there is no model."""
        model: object = self._model
        return await model.window_tokens() if isinstance(model, KnowsWindow) else None

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the underlying model's estimate; 0.0 without one, as replayed answers cost nothing."""
        model: object = self._model
        if model is None:
            return 0.0
        return await model.price_of(input_tokens, output_tokens) if isinstance(model, EstimatesCosts) else None

    async def close(self) -> None:
        """Close the underlying model's connections."""
        if isinstance(self._model, Closes):
            await self._model.close()

    async def _record(self, request: Request, asked: Asked) -> Response:
        if self._model is None:
            raise self._not_recorded(asked)
        await asyncio.to_thread(self._recording.check_writable)
        try:
            response = await self._model.answer(request)
        except LASTING as error:
            await asyncio.to_thread(self._recording.add, Exchange(request=asked, error=Failed.of(error)))
            raise
        response = replace(response, model=response.model or self._model.name)
        await asyncio.to_thread(self._recording.add, Exchange(request=asked, response=Answered.of(response)))
        return response

    def _refuse_ambiguous(self, asked: Asked, clear: Asked) -> None:
        """Refuse a request that differs from an earlier one only in a secret."""
        if asked == clear:
            return
        digest = hashlib.blake2b(clear.key.encode()).digest()
        if self._in_clear.setdefault(asked.key, digest) != digest:
            raise NotRecorded(
                f"two requests of agent {asked.agent} differ only in a secret, which is not recorded",
                where=str(self._recording.path),
                repair="keep secrets out of prompts and tools' results, or make the requests differ in something else",
            )

    def _not_recorded(self, asked: Asked) -> NotRecorded:
        file = self._recording.path
        exchanges = self._recording.exchanges
        equals = self._recording.count(asked.key)
        model = ""
        if equals:
            answers = "one answer" if equals == 1 else f"{equals} answers"
            text = f"{file} has {answers} to this request of agent {asked.agent}, which is now made once more:"
            lines = _cut([line for part in _parts(asked) for line in part], _DIFF_LINES)
        elif not exchanges:
            text = f"{file} has no answers; the request of agent {asked.agent}:"
            lines = _cut([line for part in _parts(asked) for line in part], _DIFF_LINES)
        else:
            nearest = _nearest(asked, exchanges)
            model = nearest.response.model if nearest.response is not None else ""
            text = (
                f"{file} has no answer to this request of agent {asked.agent}. The nearest one was (-), and now is (+):"
            )
            lines = _difference(nearest.request, asked)
        name = model if ":" in model else "anthropic:MODEL"
        return NotRecorded(
            "\n".join([text, *(f"    {line}" for line in lines)]),
            where=f"agent {asked.agent}",
            repair=f"record it: RecordedModel({str(file)!r}, model={name!r}) calls it for what the file does not have; "
            "delete the file first to record everything again",
        )


def _replayed(found: Exchange, request: Request) -> Response:
    if found.error is not None:
        raise found.error.error()
    response = (found.response or Answered(model="")).response()
    if isinstance(response.content, str):
        stream(response.content, request)
    return response


def _nearest(asked: Asked, exchanges: Sequence[Exchange]) -> Exchange:
    """Return the exchange whose request has most words in common with this one; of the same agent if possible."""
    same = [exchange for exchange in exchanges if exchange.request.agent == asked.agent] or exchanges
    words = _words(asked)

    def likeness(exchange: Exchange) -> float:
        others = _words(exchange.request)
        return 2 * (words & others).total() / (words.total() + others.total())

    return max(same, key=likeness)


def _words(asked: Asked) -> Counter[str]:
    return Counter(_WORD.findall(asked.key))


def _difference(recorded: Asked, asked: Asked) -> list[str]:
    """Return how two requests differ, part by part (a message, a tool, a setting), in at most a screen of lines."""
    lines: list[str] = []
    for before, after in _paired(_parts(recorded), _parts(asked), whole=True):
        lines += [line for old, new in _paired(before, after, whole=False) for line in _changed(old, new)]
    return _cut(lines, _DIFF_LINES)


def _paired(old: Sequence[_Part], new: Sequence[_Part], *, whole: bool) -> Iterator[tuple[list[_Part], list[_Part]]]:
    """Yield the stretches of parts that correspond: whole parts that differ, or else parts paired by their titles."""
    before, after = ([part if whole else part[:1] for part in parts] for parts in (old, new))
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            yield list(old[i1:i2]), list(new[j1:j2])
        elif not whole:
            yield from (([was], [now]) for was, now in zip(old[i1:i2], new[j1:j2], strict=True))


def _changed(before: list[_Part], after: list[_Part]) -> Iterator[str]:
    """Yield the lines of a part that changed, or of parts that were added or removed."""
    old = [line for part in before for line in part][:_COMPARED]
    new = [line for part in after for line in part][:_COMPARED]
    for number, group in enumerate(difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(2)):
        if group[0][1] > 0:
            yield f"  {old[0]}" if number == 0 else "  …"
        for kind, i1, i2, j1, j2 in group:
            yield from (f"{'  ' if kind == 'equal' else '- '}{line}" for line in old[i1:i2])
            yield from (f"+ {line}" for line in new[j1:j2] if kind != "equal")


def _cut(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"… and {len(lines) - most} lines more"]


def _parts(asked: Asked) -> list[_Part]:
    """Return a request's parts, each a title and lines to compare, long ones split at sentences to limit diffs."""
    parts: list[_Part] = [(f"agent: {asked.agent}",)]
    if asked.system:
        parts.append(("system:", *_lines(asked.system)))
    for message in asked.messages:
        role = message.role + (f" {message.call_id}" if message.call_id else "") + (" (error)" * message.is_error)
        shown = [f"  media {one.type} {one.name} {one.digest}" for one in message.media]
        wanted = [f"  calls {call.name} {call.arguments} as {call.id}" for call in message.calls]
        parts.append((f"{role}:", *_lines(message.text), *shown, *wanted))
    parts += [
        (f"tool {tool.name}:", *_lines(tool.description), *_lines(_pretty(tool.parameters))) for tool in asked.tools
    ]
    parts += [(f"hosted {_canonical_line(tool)}",) for tool in asked.hosted]
    if asked.form is not None:
        parts.append((f"wants {asked.output}:", *_lines(_pretty(asked.form))))
    settings = asked.model_dump(include={"max_tokens", "temperature", "effort"}, exclude_none=True) | asked.settings
    return parts + [(f"{name}: {value}",) for name, value in settings.items()]


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n") if text else ():
        for sentence in _SENTENCE.split(line) if len(line) > _LINE else [line]:
            yield from (f"  {part}" for part in textwrap.wrap(sentence, _LINE, drop_whitespace=False) or [""])


def _canonical_line(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


__all__ = ["BadRecording", "NotRecorded", "RecordedModel"]
