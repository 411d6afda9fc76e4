"""The documents that `graphengine serve`, `inspect`, `users` and `webhook-secret` print under `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from graphengine.records.base_documents import Document, Part
from graphengine.wings import Kind
from graphengine.worker.documents import WORKER


class KnownUser(Part):
    """A user of a server, without the user's token.

    Attributes:
        name: The name of the user.
        tenant: The tenant whose runs the user can see and start; null for the runs of all tenants.
        rights: The rights of the user: `start`, `answer`, `read`, `operate`, or `all`.
    """

    name: str
    tenant: str | None
    rights: Sequence[str]


class UserList(Document):
    """The users in a file of users, as `graphengine users list --json` prints them.

    Attributes:
        users: The users in the file.
        provider: The issuer of the OpenID provider whose tokens are accepted as well; null if there is none.
        token: The token of the user whom this command added; null if the command added no user.
    """

    users: Sequence[KnownUser]
    provider: str | None
    token: str | None


class WebhookSecret(Document):
    """The secret with which a sender of webhooks must sign requests to one address of the service.

    Attributes:
        path: The path of the address, without percent-encoding.
        query: The query of the address.
        secret: The secret to give to the sender.
    """

    path: str
    query: str
    secret: str


class Serving(Document):
    """What `graphengine serve` prints when it begins to accept requests: the addresses of the service, and its graphs.

    Attributes:
        url: The address of the service.
        doors: The address for each protocol: `http`, and the protocols that options opened.
        database: The database that contains the runs.
        graphs: The graphs whose runs the service starts.
        queue: The queue in which the service starts runs.
        token: The token, if this command generated one; null if the user chose the token.
    """

    url: str
    doors: Mapping[str, str]
    database: str
    graphs: Sequence[str]
    queue: str
    token: str | None


class Inspected(Document):
    """The address of the page that `graphengine inspect` serves until Ctrl-C.

    Attributes:
        url: The address of the page, with the token that opens it.
        database: The database that the page shows.
        read_only: Whether the page can only show runs, but not change them.
    """

    url: str
    database: str
    read_only: bool


SERVE: Final = (Kind(Serving, "when the service accepts requests", lines=True), *WORKER)
INSPECT: Final = (Kind(Inspected),)
USERS: Final = (Kind(UserList),)
WEBHOOK: Final = (Kind(WebhookSecret),)
