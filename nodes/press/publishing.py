"""Publishing a post at most once: as a file in a folder, or sent to a webhook.

A file has a name of its own, made of the key of the node's visit: an attempt that is repeated because the process died
finds it. What was sent cannot be looked up, so the node that sends has `effect="once"`: if nobody knows whether it was
sent, a person says so. Every call has the key too, by which a receiver can tell a repetition.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from graphengine import Context, NotDone, TextFile, write_file
from nodes.citing import CITED, FROM_KNOWLEDGE, KNOWLEDGE, Passage, named

CHARACTERS: Final = {"title": (1, 69), "description": (150, 160)}  # search engines show some 160
TAGS: Final = (3, 5)
TIMEOUT_SECONDS: Final = 30.0
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
SLUG: Final = 48  # characters; even with four bytes each below the 255 bytes of a file's name
_BUSY: Final = (429, 503)
_FAILED: Final = 300


class NotTaken(NotDone):
    """A webhook refused a post, and would again."""

    retryable = False


class Listing(BaseModel):
    """The publisher's result: how a post is listed. A check counts the characters, as models cannot."""

    model_config = ConfigDict(frozen=True)

    title: str = Field(json_schema_extra={"maxLength": 69})
    description: str = Field(json_schema_extra={"minLength": 150, "maxLength": 160})
    tags: list[str] = Field(min_length=TAGS[0], max_length=TAGS[1])


class Post(Listing):
    """What readers get: the text without its title, with footnotes, which name these sources."""

    body: str
    sources: list[str]


def post_of(
    result: Listing | None, draft: str, findings: Sequence[Passage], sources: Sequence[TextFile]
) -> Post | None:
    """Return a piece as readers get it: they have none of its sources, so footnotes name these by their titles."""
    if result is None:
        return None
    titles = {source.path: _title(source) for source in sources} | {KNOWLEDGE: ""}
    names = {name: titles.get(each.file, each.file) for each in findings for name in (each.place, each.file)}
    body, cited = with_footnotes(re.sub(r"\A\s*# .*\n", "", draft).strip(), names)
    is_known = bool(findings) and all(each.file == KNOWLEDGE for each in findings)
    return Post(**dict(result), body=body + (f"\n\n> {FROM_KNOWLEDGE}" if is_known else ""), sources=cited)


def with_footnotes(text: str, names: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a text whose citations are footnotes with the names of their places, and the names; "" gets none."""
    cited: list[str] = []

    def footnotes(found: re.Match[str]) -> str:
        if not (places := named(found[1], names)):
            return found[0]  # brackets of another kind
        told = [name for name in dict.fromkeys(names[place] for place in places) if name]
        cited.extend(name for name in told if name not in cited)
        return "".join(f"[^{cited.index(name) + 1}]" for name in told)

    body = CITED.sub(footnotes, text)
    notes = "\n".join(f"[^{number}]: {name}" for number, name in enumerate(cited, start=1))
    return f"{body}\n\n{notes}" if notes else body, cited


def page_of(post: Post, seconds: float) -> str:
    """Return the file of a post: front matter, whose values are JSON and so YAML too, then the text."""
    listed = {**post.model_dump(exclude={"body"}), "published_at": _time(seconds)}
    rows = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in listed.items()]
    return "\n".join(["---", *rows, "---", "", post.body, ""])


def publish_file(post: Post, site: str, ctx: Context) -> str:
    """Write a post into a folder, and return its file."""
    return save(site, post.title, page_of(post, ctx.now()), ctx.idempotency_key)


def save(folder: str, title: str, page: str, key: str) -> str:
    """Write a file, whole or not at all, and return its path; for each key there is one, whose name has it."""
    name = re.sub(r"[\W_]+", "-", title.casefold()).strip("-")[:SLUG].rstrip("-") or "post"
    path = Path(folder) / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:10]}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_file(path, page.encode())
    return str(path)


def is_address(site: str) -> bool:
    """Return whether a site is the address of a webhook, and no folder."""
    return site.startswith(("https://", "http://"))


def checked_site(site: str) -> str:
    """Return a site as it is.

    Raises:
        ValueError: It is an address, but would send posts in clear over a network, or a password that no header takes.
    """
    if "://" not in site:
        return site
    url = urlsplit(site)
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOCAL)
    if not is_address(site) or not is_safe or not url.hostname or url.username is not None or url.port == 0:
        message = "a webhook has an https:// address without a user, or an http:// address on this machine"
        raise ValueError(message)
    return site


async def publish_webhook(post: Post, site: str, ctx: Context) -> str:
    """Send a post to a webhook as JSON, and return the address; after a NotDone it can be sent again."""
    body = json.dumps({**post.model_dump(), "published_at": _time(ctx.now())})
    await asyncio.to_thread(_send, site, body.encode(), ctx.idempotency_key)
    return site


def _send(address: str, body: bytes, key: str) -> None:
    url = urlsplit(address)
    make = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = make(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.connect()
    except OSError as error:
        raise NotDone(f"{url.hostname} cannot be reached: {error}") from error
    try:
        target = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("POST", target, body, {"Content-Type": "application/json", "Idempotency-Key": key})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        message = f"{url.hostname} broke off ({error}) and may have the post: look there before you resume this run"
        raise RuntimeError(message) from error
    finally:
        connection.close()
    if status in _BUSY:
        raise NotDone(f"{url.hostname} is busy: status {status}")
    if status >= _FAILED:
        raise NotTaken(f"{url.hostname} did not take the post: status {status}")


def _title(source: TextFile) -> str:
    heading = re.search(r"^# +(.+)", source.text, re.MULTILINE)
    return heading[1].rstrip(" #") if heading else PurePath(source.path).stem.replace("_", " ").capitalize()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
