"""Sites by their names: a folder, or a service and its address, with secrets from the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from graphengine.briefs.publishing.cms import PublishFailed
from graphengine.briefs.publishing.folder import Folder
from graphengine.briefs.publishing.ghost import Ghost
from graphengine.briefs.publishing.telegram import Telegram
from graphengine.briefs.publishing.webhook import Webhook
from graphengine.briefs.publishing.wordpress import WordPress

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.briefs.publishing.cms import Cms

SERVICES: Final = ("wordpress", "ghost", "telegram", "webhook")


def cms_at(site: str) -> Cms:
    """Return the site of this name.

    Args:
        site: A folder; `wordpress:https://…` with WORDPRESS_USER and WORDPRESS_PASSWORD, an application password;
            `ghost:https://…` with GHOST_ADMIN_KEY; `telegram:@channel` with TELEGRAM_TOKEN; `webhook:https://…`, signed
            if there is a WEBHOOK_SECRET.

    Raises:
        PublishFailed: The address is invalid, or a secret is missing.
    """
    name, _, address = site.partition(":")
    makers: dict[str, Callable[[str], Cms]] = {
        "wordpress": lambda at: WordPress(at, _secret("WORDPRESS_USER", site), _secret("WORDPRESS_PASSWORD", site)),
        "ghost": lambda at: Ghost(at, _secret("GHOST_ADMIN_KEY", site)),
        "telegram": lambda at: Telegram(at, _secret("TELEGRAM_TOKEN", site)),
        "webhook": lambda at: Webhook(at, os.environ.get("WEBHOOK_SECRET", "")),
    }
    if name in makers:
        return makers[name](address)
    if "://" in site:
        repair = f"name the service: {', '.join(f'{one}:{site}' for one in SERVICES if one != 'telegram')}"
        raise PublishFailed(f"{site} is an address of an unknown service", where="site", repair=repair)
    return Folder(site)


def _secret(name: str, site: str) -> str:
    found = os.environ.get(name, "").strip()
    if not found:
        raise PublishFailed(f"publishing on {site} needs {name}", where="the environment", repair=f"set {name}")
    return found
