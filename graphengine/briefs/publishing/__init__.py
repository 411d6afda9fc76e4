"""Publishing: one protocol for a site, adapters for a folder, WordPress, Ghost, Telegram and a webhook.

cms = cms_at("wordpress:https://example.org")  # WORDPRESS_USER and WORDPRESS_PASSWORD
site = await cms.look()
published = await cms.put(post, key)           # under one key once, also after a kill
"""

from graphengine.briefs.publishing.cms import Cms, PublishFailed, PublishUnavailable
from graphengine.briefs.publishing.folder import Folder, page_of
from graphengine.briefs.publishing.footnotes import with_footnotes
from graphengine.briefs.publishing.ghost import Ghost
from graphengine.briefs.publishing.once import publish_once
from graphengine.briefs.publishing.places import cms_at
from graphengine.briefs.publishing.post import (
    CHARACTERS,
    TAG_CHARACTERS,
    TAGS,
    Listing,
    Post,
    Published,
    Site,
)
from graphengine.briefs.publishing.telegram import Telegram
from graphengine.briefs.publishing.webhook import Webhook
from graphengine.briefs.publishing.wordpress import WordPress

__all__ = [
    "CHARACTERS",
    "TAGS",
    "TAG_CHARACTERS",
    "Cms",
    "Folder",
    "Ghost",
    "Listing",
    "Post",
    "PublishFailed",
    "PublishUnavailable",
    "Published",
    "Site",
    "Telegram",
    "Webhook",
    "WordPress",
    "cms_at",
    "page_of",
    "publish_once",
    "with_footnotes",
]
