"""Telegram over its Bot API: a post as one message of a channel.

A bot can neither look up what it posted nor name its messages, so a call whose outcome is unknown must not be repeated:
`finds` is False, and `publish_once` asks a person.

Source: https://core.telegram.org/bots/api#sendmessage.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from graphengine.briefs.publishing.cms import PublishFailed, Service, checked_address
from graphengine.briefs.publishing.html import notes_of
from graphengine.briefs.publishing.post import Post, Published, Site

ADDRESS: Final = "https://api.telegram.org"
MOST_CHARACTERS: Final = 4096
_HEADING: Final = re.compile(r"^#+[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_MARK: Final = re.compile(r"\[\^(\d+)\](:?)")


class Telegram:
    """A channel of Telegram.

    Args:
        chat: The channel, as `@name` or its number; the bot must be allowed to post there.
        token: The bot's token.
        address: The address of the Bot API.
    """

    finds = False

    def __init__(self, chat: str, token: str, address: str = ADDRESS) -> None:
        self._chat = chat
        self._api = Service("Telegram", f"{checked_address(address, 'Telegram')}/bot{token}", f"telegram:{chat}")

    async def look(self) -> Site:
        """Return an empty site: a bot cannot read a channel."""
        return Site()

    async def put(self, post: Post, key: str) -> Published:
        """Send a post as one message."""
        del key  # nothing that Telegram would keep
        text, length = message_of(post)
        if length > MOST_CHARACTERS:
            message = f"the post has {length:,} characters, and a message of Telegram at most {MOST_CHARACTERS:,}"
            raise PublishFailed(message, where=f"telegram:{self._chat}", repair="give a smaller word_budget")
        body = {"chat_id": self._chat, "text": text, "parse_mode": "HTML"}
        _, found = await self._api.call("POST", "/sendMessage", body=body)
        result = found["result"] if isinstance(found, dict) else {}
        name, number = result.get("chat", {}).get("username"), result.get("message_id")
        return Published(post=post, path=f"https://t.me/{name}/{number}" if name else f"{self._chat}/{number}")


def message_of(post: Post) -> tuple[str, int]:
    """Return a post in the HTML of Telegram, and its length as Telegram counts it: UTF-16 units without tags."""
    notes = notes_of(post.body)
    tags = " ".join("#" + re.sub(r"\W+", "_", tag).strip("_") for tag in post.tags)
    body = _MARK.sub(lambda found: f"[{found[1]}]" if found[1] in notes else found[0], post.body)
    text = f"# {post.title}\n\n{body.strip()}\n\n{tags}"
    plain = _HEADING.sub(r"\1", text)
    return _HEADING.sub(r"<b>\1</b>", escape(text, quote=False)), len(plain.encode("utf-16-le")) // 2
