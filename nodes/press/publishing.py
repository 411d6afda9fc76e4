"""Publishing a post once: as a file in a folder, or sent to a webhook.

A file has a name of its own, made of the key of the node's visit: an attempt that is repeated because the process died
finds it. A call of a webhook cannot be looked up, so the node that makes it has `on_resume="ask"`: after a crash a
person says whether it is to be made again. Every call has the key too, so that a receiver can tell a repetition.
"""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import urlsplit

from graphengine import Context, TextFile
from graphengine.output_file import write_file
from nodes.citing import KNOWLEDGE
from nodes.passages import Passage
from nodes.press.pieces import Listing, Post

TIMEOUT_SECONDS: Final = 30.0
TOKEN: Final = "WEBHOOK_TOKEN"  # noqa: S105 - the name of a variable
SLUG: Final = 48  # characters; even with four bytes each below the 255 bytes of a file's name
OURS: Final = ("localhost", "127.0.0.1", "::1")
_CITED: Final = re.compile(r"\s*\[([^\[\]]+)\](?!\()")
_BUSY: Final = (429, 503)
_FAILED: Final = 300


class NotSent(ConnectionError):
    """A webhook could not be reached, or turned the call away for now: nothing was published, and it may be tried again."""


class WebhookFailed(Exception):
    """A webhook refused a post, or broke off, in which case it may have taken it."""


# --- what readers get -------------------------------------------------------------------------------------------------


def post_of(
    result: Listing | None, draft: str, findings: Sequence[Passage], sources: Sequence[TextFile]
) -> Post | None:
    """Return a piece as readers get it: they have none of the files that it cites, so footnotes name their titles."""
    if result is None:
        return None
    titles = {source.path: _title(source) for source in sources}
    names = {
        name: "" if finding.file == KNOWLEDGE else titles.get(finding.file, finding.file)
        for finding in findings
        for name in (finding.place, finding.file)
    }
    body, cited = with_footnotes(re.sub(r"\A\s*# .*\n", "", draft).strip(), names)
    if findings and all(finding.file == KNOWLEDGE for finding in findings):
        body += "\n\n> Written from what a model knows; nothing was looked up."
    return Post(**dict(result), body=body, sources=cited)


def with_footnotes(text: str, names: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a text whose citations are footnotes, and what these name, in order.

    Args:
        text: The text, as Markdown.
        names: What a footnote says for each place that the text can cite; "" for no footnote.
    """
    cited: list[str] = []

    def footnotes(found: re.Match[str]) -> str:
        places = [place.strip() for place in re.split("[,;]", found[1])]
        if any(place not in names for place in places):
            return found[0]  # not a citation
        told = [name for name in dict.fromkeys(names[place] for place in places) if name]
        cited.extend(name for name in told if name not in cited)
        return "".join(f"[^{cited.index(name) + 1}]" for name in told)

    body = _CITED.sub(footnotes, text)
    notes = "\n".join(f"[^{number}]: {name}" for number, name in enumerate(cited, start=1))
    return f"{body}\n\n{notes}" if notes else body, cited


def page_of(post: Post, seconds: float) -> str:
    """Return the file of a post: front matter, whose values are JSON and so YAML too, then the text."""
    listed = {**post.model_dump(exclude={"body"}), "published_at": _time(seconds)}
    rows = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in listed.items()]
    return "\n".join(["---", *rows, "---", "", post.body, ""])


def _title(source: TextFile) -> str:
    heading = re.search(r"^# +(.+?)[ #]*$", source.text, re.MULTILINE)
    return heading[1] if heading else PurePath(source.path).stem.replace("_", " ").capitalize()


# --- a folder ---------------------------------------------------------------------------------------------------------


def titles_in(folder: str) -> list[str]:
    """Return the titles of the posts in a folder."""
    pages = [path.read_text("utf-8", errors="replace") for path in sorted(Path(folder).glob("*.md"))]
    found = [re.match(r'---\n(?:.*\n)*?title: *["\']?(.*?)["\']?\n', page) for page in pages]
    return [each[1] for each in found if each]


def publish_file(post: Post, site: str, ctx: Context) -> str:
    """Write a post into a folder, and return its file."""
    return save(site, post.title, page_of(post, ctx.now()), ctx.idempotency_key)


def save(folder: str, title: str, page: str, key: str) -> str:
    """Write a file, whole or not at all, and return its path: for each key one, whose name has it."""
    name = re.sub(r"[\W_]+", "-", title.casefold()).strip("-")[:SLUG].rstrip("-") or "post"
    path = Path(folder) / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:10]}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_file(path, page.encode())
    return str(path)


# --- a webhook --------------------------------------------------------------------------------------------------------


def is_address(site: str) -> bool:
    """Return whether a site is the address of a webhook, and no folder."""
    return site.startswith(("https://", "http://"))


def check_site(site: str) -> str:
    """Return the name of a site.

    Raises:
        ValueError: It is an address to which the post and the token would be sent unencrypted.
    """
    if site.startswith("http://") and urlsplit(site).hostname not in OURS:
        raise ValueError("a webhook of another machine needs an address with https://")
    return site


async def publish_webhook(post: Post, site: str, ctx: Context) -> str:
    """Send a post to a webhook as JSON, and return the address.

    Raises:
        NotSent: It may be tried again.
        WebhookFailed: A person has to look.
    """
    body = json.dumps({**post.model_dump(), "published_at": _time(ctx.now())})
    await asyncio.to_thread(_send, site, body.encode(), ctx.idempotency_key)
    return site


def _send(address: str, body: bytes, key: str) -> None:
    url = urlsplit(address)
    make = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = make(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    if token := os.environ.get(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.connect()
    except OSError as error:
        raise NotSent(f"{url.netloc} cannot be reached: {error}") from error
    try:
        connection.request("POST", f"{url.path or '/'}{'?' if url.query else ''}{url.query}", body, headers)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        message = f"{url.netloc} broke off ({error}) and may have the post: look there before you resume this run"
        raise WebhookFailed(message) from error
    finally:
        connection.close()
    if status in _BUSY:
        raise NotSent(f"{url.netloc} is busy: status {status}")
    if status >= _FAILED:
        raise WebhookFailed(f"{url.netloc} did not take the post: status {status}")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
