"""An answer that nobody watches is read in larger parts, and is the same answer, or the same failure."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine import Agent, Runner
from graphengine.agents import TextDelta
from graphengine.models import OpenAIChatModel, connections
from graphengine.models.base import Request, Response, ToolCall, usage_of_failure
from graphengine.models.connections import Connection
from graphengine.models.errors import ModelError, ModelTimeout
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Fails, Says
from tests.models.adapters import PATHS, Made, adapter
from tests.models.edge_server import WIRES
from tests.models.wire import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PLACES: Final = {path: path.removeprefix("/v1") for path in PATHS}
_MADE_UP: Final = re.compile(r"call_[0-9a-f]{32}")


@dataclass(slots=True)
class Watching:
    """Somebody who begins to watch when asked for the n-th time; None for nobody."""

    begins: int | None
    asked: int = 0
    call: Callable[[], None] | None = None

    def is_watched(self) -> bool:
        """Return whether somebody watches, who tells so first."""
        self.asked += 1
        began = self.begins is not None and self.asked > self.begins
        if began and self.call is not None:
            self.call()
        return began

    def when_watched(self, call: Callable[[], None] | None) -> None:
        """Keep what is called then."""
        self.call = call


@dataclass(slots=True)
class Serving:
    """A server that answers the next call with these bytes, cut in these parts, and then perhaps goes away.

    Attributes:
        parts: The bytes of the answer, each in a packet.
        stays: Whether the connection stays open.
        then: What follows when it may go on.
        sent: Set when the parts were sent.
        goes_on: Set when it may go on.
    """

    parts: Sequence[bytes] = ()
    stays: bool = False
    then: bytes = b""
    port: int = 0
    ends: list[asyncio.StreamWriter] = field(default_factory=list)
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of one connection."""
        self.ends.append(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = re.search(r"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                for part in self.parts:
                    writer.write(part)
                    for _ in range(3):  # so that it is read before the next one is sent
                        await asyncio.sleep(0)
                self.sent.set()
                if self.then:
                    await self.goes_on.wait()
                    writer.write(self.then)
                if not self.stays:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Serving]:
    """Serve on a free port."""
    serves = Serving()
    server = await asyncio.start_server(serves.answer, "127.0.0.1", 0, ssl=context)
    serves.port = server.sockets[0].getsockname()[1]
    yield serves
    server.close()
    for end in serves.ends:
        end.close()


@contextmanager
def loop_of(*paths: str) -> Iterator[tuple[asyncio.Runner, Serving, dict[str, Made]]]:
    """Run a loop with a server and a model of each API."""
    with asyncio.Runner() as loop:
        server = serving()
        serves = loop.run(server.__aenter__())
        models = {path: adapter(path, f"http://127.0.0.1:{serves.port}", timeout_seconds=20.0) for path in paths}
        try:
            yield loop, serves, models
        finally:
            for model in models.values():
                loop.run(model.close())
            loop.run(server.__aexit__(None, None, None))


async def seen(model: Made, watch: Watching | None) -> dict[str, Any]:
    """Call a model, and return all that its caller sees."""
    text: list[str] = []
    thinking: list[str] = []
    request = Request("tester", "", [question()], on_text=text.append, on_thinking=thinking.append, watch=watch)
    found: dict[str, Any] = {}
    try:
        response: Response | ModelError = await asyncio.wait_for(model.answer(request), 60)
    except ModelError as error:
        found["error"] = (type(error).__name__, str(error), error.repair, usage_of_failure(error))
        found["wait"] = error.retry_after_seconds
    else:
        found["response"] = _MADE_UP.sub("call_…", repr(response))
    return {**found, "text": "".join(text), "thinking": "".join(thinking)}


def chunked(body: bytes, cuts: Sequence[int]) -> bytes:
    """Return a body in chunks that end at these places."""
    edges = [0, *sorted({cut % (len(body) + 1) for cut in cuts}), len(body)]
    parts = [body[start:end] for start, end in pairwise(edges) if end > start]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def in_parts(whole: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return the packets of an answer, cut at these places."""
    edges = [0, *sorted({cut % (len(whole) + 1) for cut in cuts}), len(whole)]
    return [whole[start:end] for start, end in pairwise(edges) if end > start]


WORDS: Final = st.lists(
    st.sampled_from(["one", "two", '"error"', "\\n", "é", "\u2028", "[DONE]", "<think>", "</think>", "\n", "{", "😀"])
    | st.text(max_size=5),
    max_size=8,
).map(" ".join)
CALLS: Final = st.lists(st.sampled_from(['{"a": 1}', "{}", '{"b": "\\"error\\""}']), max_size=2).map(
    lambda found: tuple(ToolCall(id=f"call_{n}", name="tool", arguments=each) for n, each in enumerate(found))
)


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """Draw the body of an answer: whole, with an error or a strange event in it, or cut off."""
    wire = WIRES[path]
    says = Says(draw(WORDS), calls=draw(CALLS))
    events = wire.events(says)
    at = draw(st.integers(0, len(events)))
    odd = draw(st.sampled_from(["", "", "error", "message", "list", "torn", "comment", "no json"]))
    if odd == "error":
        events[at:at] = [wire.error_event(Fails("rate_limit", message="later"))]
    elif odd:
        strange = {"message": '{"message": "boom"}', "list": '[{"error": {"message": "no", "code": 429}}]'}
        strange |= {"torn": '{"a', "comment": "\n\n: ping\n\ndata: {}", "no json": "hello"}
        events[at:at] = [Event(strange[odd])]
    body = b"".join(each.encode() for each in events)
    ending = draw(st.sampled_from([b"\n", b"\n", b"\r\n"]))
    body = body.replace(b"\n", ending)
    return body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) and draw(st.booleans()) else body


@pytest.mark.parametrize("path", PATHS)
def test_what_a_call_finds_does_not_depend_on_who_watches(path: str) -> None:
    """Every body of an answer, cut anywhere, is the same result and the same text, or the same error and usage."""
    with loop_of(path) as (loop, serves, models):

        @settings(max_examples=120, deadline=None)
        @given(st.data())
        def tries(data: st.DataObject) -> None:
            body = data.draw(bodies(path))
            sent = HEAD + chunked(body, data.draw(st.lists(st.integers(0, 5000), max_size=6)))
            sent = sent[: len(sent) - data.draw(st.sampled_from([0, 0, 0, 3, 40]))]  # its end may be missing
            serves.parts = in_parts(sent, data.draw(st.lists(st.integers(0, 5000), max_size=6)))
            ways = [None, Watching(None), Watching(data.draw(st.integers(0, 6)))]
            plain, *others = [loop.run(seen(models[path], watch)) for watch in ways]
            for found in others:
                assert found == plain

        tries()


class Plugged:
    """A transport that notes what a connection does."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.log.append(name)


def arrives(at: Connection, data: bytes) -> None:
    """Bring bytes, as asyncio does."""
    at.get_buffer(-1)[: len(data)] = data
    at.buffer_updated(len(data))


async def test_what_is_gathered_is_read_at_a_mark_or_when_somebody_watches() -> None:
    """Nothing is read before; a mark counts also if it arrives in two parts, and the end of the chunks is one."""
    for last in (b"[DONE]", b'"error"', b"\r\n0\r\n\r\n", None):
        at = Connection()
        at.connection_made(Plugged())  # type: ignore[arg-type]
        at.gather([b"[DONE]", b'"error"'])
        reading = asyncio.ensure_future(at.read(65_536, 60))
        for piece in (b"one ", b"two "):
            await asyncio.sleep(0)
            arrives(at, piece)
        await asyncio.sleep(0)
        assert not reading.done()
        if last is None:
            at.gather(None)
        else:
            arrives(at, last[:3])
            await asyncio.sleep(0)
            assert not reading.done()
            arrives(at, last[3:])
        assert await reading == b"one two " + (last or b"")
        await at.aclose()


async def test_what_is_gathered_is_read_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without any mark is read too: an unknown end, or an unknown error, is found then."""
    monkeypatch.setattr(connections, "GATHERED_SECONDS", 0.0)
    at = Connection()
    at.connection_made(Plugged())  # type: ignore[arg-type]
    at.gather([b"[DONE]"])
    reading = asyncio.ensure_future(at.read(65_536, 60))
    await asyncio.sleep(0)
    arrives(at, b"one")
    assert await reading == b"one"
    await at.aclose()


async def test_much_is_read_at_once_and_more_stops_the_server() -> None:
    """What is gathered has a limit, and what nobody reads another, from which on nothing is taken from the server."""
    at, plugged = Connection(), Plugged()
    at.connection_made(plugged)  # type: ignore[arg-type]
    at.gather([b"[DONE]"])
    reading = asyncio.ensure_future(at.read(65_536, 60))
    await asyncio.sleep(0)
    for _ in range(5):
        arrives(at, b"x" * 16_384)
    assert len(await reading) == 65_536
    for _ in range(80):
        arrives(at, b"x" * 16_384)
    assert "pause_reading" in plugged.log
    while len(await at.read(65_536, 60)) == 65_536:
        pass
    assert plugged.log[-1] == "resume_reading"
    await at.aclose()


@pytest.mark.parametrize("watch", [None, Watching(None)])
async def test_silence_ends_a_call(watch: Watching | None) -> None:
    """A server that sends nothing for the time that is given has failed, and what came before is not lost."""
    async with serving() as serves:
        body = b"".join(each.encode() for each in WIRES["/v1/chat/completions"].events(Says("one two"))[:2])
        serves.parts = [HEAD + b"%x\r\n%s\r\n" % (len(body), body)]
        serves.stays = True
        model = adapter("/v1/chat/completions", f"http://127.0.0.1:{serves.port}", timeout_seconds=0.05)
        text: list[str] = []
        with pytest.raises(ModelTimeout, match=re.escape("sent nothing for 0.05 s")):
            await model.answer(Request("tester", "", [question()], on_text=text.append, watch=watch))
        assert text == ["one "]
        await model.close()


async def test_a_connection_is_used_again_and_a_closed_one_is_not() -> None:
    """The next call uses the same connection, unless the server has closed it meanwhile."""
    async with serving() as serves:
        events = b"".join(each.encode() for each in WIRES["/v1/chat/completions"].events(Says("one two")))
        serves.parts, serves.stays = [HEAD + chunked(events, ())], True
        model = adapter("/v1/chat/completions", f"http://127.0.0.1:{serves.port}")
        for watch in (None, Watching(None), None):
            assert (await seen(model, watch))["text"] == "one two"
        assert len(serves.ends) == 1
        serves.ends[0].close()
        await serves.ends[0].wait_closed()
        assert (await seen(model, Watching(None)))["text"] == "one two"
        assert len(serves.ends) == 2
        await model.close()


def test_the_form_of_pieces_is_json() -> None:
    """No text of a piece has a mark in its JSON: a quote within it follows a backslash."""
    assert b'"error"' not in json.dumps({"content": 'say "error"'}).encode()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(*pem))
    return files


async def test_the_same_holds_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer over TLS is the same, watched or not; a certificate that nobody vouches for is refused."""
    chain = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*chain)
    events = b"".join(each.encode() for each in WIRES["/v1/chat/completions"].events(Says("one two three")))
    async with serving(context) as serves:
        serves.parts, serves.stays = in_parts(HEAD + chunked(events, [100, 500]), range(0, 2000, 90)), True
        address = f"https://127.0.0.1:{serves.port}"
        refusing = adapter("/v1/chat/completions", address)
        assert "CERTIFICATE_VERIFY_FAILED" in str((await seen(refusing, None))["error"])
        await refusing.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(chain[0]))
        model = adapter("/v1/chat/completions", address)
        found = [await seen(model, watch) for watch in (None, Watching(None), Watching(2))]
        assert found[0]["text"] == "one two three"
        assert found == [found[0]] * 3
        assert len(serves.ends) == 1
        await model.close()


@pytest.mark.real_models
async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where calls go through a proxy, the SDK's own transport makes them, whose answers are read as they arrive."""
    events = b"".join(each.encode() for each in WIRES["/v1/chat/completions"].events(Says("one two")))
    async with serving() as serves:
        serves.parts = [HEAD + chunked(events, ())]
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{serves.port}")
        model = adapter("/v1/chat/completions", "http://models.invalid")
        assert (await seen(model, Watching(None)))["text"] == "one two"
        await model.close()


async def test_a_late_watcher_of_a_run_gets_the_text_so_far() -> None:
    """What was gathered while nobody watched is shown first, before the answer ends, and nothing of it twice."""
    whole = b"".join(each.encode() for each in WIRES["/v1/chat/completions"].events(Says("one two three four")))
    some = b"".join(each.encode() for each in WIRES["/v1/chat/completions"].events(Says("one two three four"))[:3])
    async with serving() as serves, Runner() as runner:
        serves.parts = [HEAD + b"%x\r\n%s\r\n" % (len(some), some)]
        serves.then = chunked(whole[len(some) :], ())
        model = OpenAIChatModel("m", base_url=f"http://127.0.0.1:{serves.port}/v1")
        running = asyncio.ensure_future(runner.run(Agent("teller", model=model), "Tell.", run_id="told"))
        await serves.sent.wait()
        for _ in range(20):  # what was sent has arrived
            await asyncio.sleep(0)
        text: list[str] = []
        async for event in runner.get("told").events():
            if isinstance(event, TextDelta):
                text.append(event.text)
                if "".join(text) == "one two ":
                    serves.goes_on.set()
        assert "".join(text) == "one two three four"
        assert await running == "one two three four"
