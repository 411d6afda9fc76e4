"""Golden pages of calls that wait: at which moment a model gets which call, what it does, and what calls come to.

A page is a title (lines with `#`) and scenes. A scene is its truth after `==`, lines that begin with `>`, and after
each what happened. Calls are numbered; what happens to several of them at once is one line.

    > model NAME(LIMITS): DOES    a model, its `RateLimiter`, and what it does at each call: it answers with a text,
                                  raises an error, or asks a function for either; then it says "ok"
    > router OPTIONS              a router over all models so far; without one, the last model is called
    > calls N, OPTIONS            so many calls at once; options of `Request`, and the beginning that they share
    > streams N, OPTIONS          the same with a listener
    > asks N, OPTIONS             the same without the limiter of what is called, as another model would
    > lets NAME                   the longest call that this model has `held` goes on
    > cancels N                   the caller of this call goes away
    > at SECONDS                  time passes until then
    > ends                        time passes until all calls have ended

`UPDATE_PAGES=1` rewrites the pages.
"""

from __future__ import annotations

import asyncio
import random
import re
import textwrap
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graphengine.models import Message, Model, RateLimiter, Request, Response, Router, errors
from graphengine.models.limiter import PlainWaits, limited
from graphengine.state.amounts import Usage
from graphengine.testing import FakeClock
from tests.kit import golden
from tests.kit.runs import SOON

_LINE: Final = re.compile(r"> (\w+) ?(.*)")
_MODEL: Final = re.compile(r"(\w+)(?:\((.*?)\))?(?:: (.*))?")


@dataclass
class Held:
    """A call that goes on when the page says so."""

    then: object


@dataclass
class Begins:
    """A call whose answer begins, perhaps with a text."""

    then: object
    text: str = ""


def allows(calls: int, seconds: float) -> Callable[[float], object]:
    """Return a server that allows so many calls in any span, and says how long to wait."""
    answered: deque[float] = deque(maxlen=calls)

    def at(now: float) -> object:
        if len(answered) == calls and answered[0] > now - seconds:
            return errors.RateLimited("slow down", retry_after_seconds=seconds)
        answered.append(now)
        return Response("ok", input_tokens=3, output_tokens=2)

    return at


NAMES: Final[dict[str, Any]] = {
    **vars(errors),
    "Response": Response,
    "held": Held,
    "begins": Begins,
    "allows": allows,
    "DOWN": errors.ModelOverloaded("overloaded"),
}


async def check_page(path: Path) -> None:
    """Fail if a page does not read as it should; with `UPDATE_PAGES=1`, write what it should read."""
    state = random.getstate()  # pauses are spread by chance
    title, *scenes = re.split(r"^(?=== )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown = [title]
    for scene in scenes:
        random.seed(1)
        head, *lines = [line for line in scene.splitlines() if line.startswith(("== ", "> "))]
        played = _Scene()
        shown.append(f"{head}\n")
        for line in lines:
            async with asyncio.timeout(SOON):
                shown += [f"{line}\n", *(f"  {each}\n" for each in await played.act(line))]
        assert all(call.done() for call in played.calls), f"calls are left: {head}"
        shown.append("\n")
    random.setstate(state)
    golden.check(path, "".join(shown).rstrip("\n") + "\n")


class _Model:
    """A model that does what the page says."""

    def __init__(self, scene: _Scene, name: str, limits: RateLimiter, does: list[object]) -> None:
        self.scene, self.name, self.limiter, self.does = scene, name, limits, deque(does)
        self.held: deque[asyncio.Event] = deque()

    async def answer(self, request: Request) -> Response:
        self.scene.note(f"asked of {self.name}", request.prompt)
        now = self.scene.clock.now()
        done = "ok" if not self.does else self.does[0] if callable(self.does[0]) else self.does.popleft()
        await asyncio.sleep(0)
        if callable(done):
            done = done(now)
        while isinstance(done, Held | Begins):
            if isinstance(done, Held):
                self.held.append(asyncio.Event())
                await self.held[-1].wait()
            else:
                request.began()
                request.emit_text(done.text)
                asyncio.get_running_loop().call_soon(request.emit_text, f", {self.name} says late")
            done = done.then
        if isinstance(done, Exception):
            raise done
        return done if isinstance(done, Response) else Response(str(done))


class _Scene:
    """The models and calls of a scene."""

    def __init__(self) -> None:
        self.clock = FakeClock(0.0)
        self.models: dict[str, _Model] = {}
        self.over: list[Model] = []
        self.calls: list[asyncio.Task[None]] = []
        self.happened: dict[tuple[float, str], list[int]] = {}

    def note(self, what: str, number: str) -> None:
        """Note what happens to a call."""
        self.happened.setdefault((self.clock.now(), what), []).append(int(number))

    async def act(self, line: str) -> list[str]:
        """Do what a line says; return what happened."""
        verb, rest = _LINE.fullmatch(line).groups()  # type: ignore[union-attr]
        if verb == "model":
            name, limits, does = _MODEL.fullmatch(rest).groups()  # type: ignore[union-attr]
            limiter = eval(f"RateLimiter({limits or ''})")  # noqa: S307 - our own page
            self.models[name] = _Model(self, name, limiter, eval(f"[{does or ''}]", NAMES))  # noqa: S307
            self.over.append(self.models[name])
        elif verb == "router":
            options = eval(f"dict({rest})", NAMES)  # noqa: S307 - our own page
            self.over = [Router(self.over, **options)]
        elif verb in {"calls", "streams", "asks"}:
            options = eval(f"dict(number={rest or 1})", NAMES)  # noqa: S307 - our own page
            self.begin(verb, **options)
        elif verb == "lets":
            self.models[rest].held.popleft().set()
        elif verb == "cancels":
            self.calls[int(rest) - 1].cancel()
        elif verb == "at":
            await self.clock.sleep_until(float(rest))
        else:
            await asyncio.gather(*self.calls)
        for _ in range(30):
            await asyncio.sleep(0)  # the clock does not move meanwhile
        happened, self.happened = self.happened, {}
        return [line for (at, what), numbers in happened.items() for line in _shown(at, what, numbers)]

    def begin(self, verb: str, number: int, **options: Any) -> None:
        """Begin calls."""
        for _ in range(number):
            self.calls.append(asyncio.create_task(self.call(verb, str(len(self.calls) + 1), **options)))

    async def call(self, verb: str, number: str, beginning: str = "", system: str = "") -> None:
        """Make a call; note what it comes to."""

        def spent(usage: Usage) -> None:
            self.note(f"{usage['unknown_calls']} of unknown cost", number)

        def hear(text: str) -> None:
            self.note(f"hears {text!r}", number)

        waits = PlainWaits(self.clock)
        asked = [Message(role="user", text=number)]
        listener = hear if verb == "streams" else None
        request = Request("writer", system, asked, waits=waits, on_spent=spent, on_text=listener)
        called = self.over[-1]
        try:
            if verb == "asks":
                answer = await called.answer(request)
            else:
                answer = await limited(called, request, beginning=beginning)
            self.note(f"{answer.content!r}{answer.model and f' from {answer.model}'}", number)
        except asyncio.CancelledError:
            self.note("cancelled", number)
        except Exception as error:  # noqa: BLE001 - as a page says
            self.note(_said(error), number)


def _said(error: Exception) -> str:
    """Return what an error says, its cause, whether and when the call may be made again, and the repair."""
    found = f"{type(error).__name__} {getattr(error, 'message', error)}"
    if isinstance(error, errors.ModelError):
        found += f", because of {type(error.__cause__).__name__}" if error.__cause__ else ""
        found += "" if error.retryable else ", not to be retried"
        found += f", again in {error.retry_after_seconds:g} s" if error.retry_after_seconds else ""
        found += f" → {error.repair}" if error.repair else ""
    return " ".join([found, *getattr(error, "__notes__", ())])


def _shown(at: float, what: str, numbers: list[int]) -> Iterator[str]:
    """Yield an event in lines, with the numbers of calls in their order."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    who = ", ".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}" for each in ranges)
    text = " ".join(f"{round(at, 2):g} s, {who}: {what}".split())
    yield from textwrap.wrap(text, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
