"""Publishing once from a node, also on a site that cannot look up what was posted."""

from __future__ import annotations

import secrets
from itertools import count
from typing import TYPE_CHECKING

from pydantic import BaseModel

from graphengine.briefs.publishing.cms import PublishUnavailable
from graphengine.briefs.publishing.post import Post, Published

if TYPE_CHECKING:
    from graphengine.briefs.publishing.cms import Cms
    from graphengine.runner import Context


class Sent(BaseModel):
    """The outcome of one sending.

    Attributes:
        published: The post, if it is there.
        refused: Why nothing was sent; "" if something was, or may have been.
    """

    published: Published | None = None
    refused: str = ""


async def publish_once(cms: Cms, post: Post, ctx: Context) -> Published:
    """Publish a post once, in a node that may run again after a crash or an error.

    If the site finds posts by their keys, `put` is repeated. If it does not, the beginning of each sending is recorded
    first; a sending that began and has no recorded outcome may have reached readers, so a person is asked whether it
    did.

    Args:
        cms: The site.
        post: The post, the same in each attempt.
        ctx: The node's context.

    Raises:
        PublishUnavailable, PublishFailed: As for `Cms`.
    """
    if cms.finds:
        return await cms.put(post, ctx.idempotency_key)
    key = ctx.idempotency_key

    async def send(number: int, is_ours: bool) -> Sent:  # noqa: FBT001, ARG001 - recorded by number
        if not is_ours:  # it began in another process, or in an attempt whose outcome is unknown
            return Sent()
        try:
            return Sent(published=await cms.put(post, key))
        except PublishUnavailable as error:
            if error.is_sent:
                raise
            return Sent(refused=error.message)

    for number in count(1):
        token = secrets.token_hex(8)
        begun = await ctx.step(_begin, token, key=f"begin {number}")
        sent = await ctx.step(send, number, begun == token, key=f"send {number}")
        if sent.published is not None:
            return sent.published
        if sent.refused and begun == token:
            error = PublishUnavailable(sent.refused, repair="resume the run later")
            error.is_sent = False
            raise error
        if not sent.refused and await ctx.ask(_question(post), bool, name=f"is_there_{number}"):
            return Published(post=post, path="", was_there=True)
    raise AssertionError  # count has no end


def _begin(token: str) -> str:
    """Return the token, which is recorded before anything is sent."""
    return token


def _question(post: Post) -> str:
    return (
        f"An attempt to publish “{post.title}” broke off, and the site cannot be searched. Is the post there? "
        "true: it counts as published. false: it is sent again."
    )
