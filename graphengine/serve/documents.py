"""The documents of the commands about the servers and their users under `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from graphengine.records.base_documents import Document, Part
from graphengine.wings import Kind
from graphengine.worker.documents import WORKER


class KnownUser(Part):
    """A user.

    Attributes:
        name: The name.
        tenant: The tenant whose runs the user can see and start; null for the runs of all tenants.
        rights: The rights of the user.
    """

    name: str
    tenant: str | None
    rights: Sequence[str]


class UserList(Document):
    """The users of a file.

    Attributes:
        users: The users.
        provider: The issuer whose tokens are accepted as well; null if there is none.
        token: The token of the user who was added; null otherwise.
    """

    users: Sequence[KnownUser]
    provider: str | None
    token: str | None


class WebhookSecret(Document):
    """The secret with which a sender of webhooks signs requests to one address.

    Attributes:
        path: The path of the address, decoded.
        query: The query of the address.
        secret: The secret.
    """

    path: str
    query: str
    secret: str


class Serving(Document):
    """A service that answers requests until it is stopped.

    Attributes:
        url: The address of the service.
        doors: The address for each protocol: `http`, and the protocols that options opened.
        database: The database of the runs.
        graphs: The graphs whose runs the service starts.
        queue: The queue of the runs that the service starts.
        token: The token, if it was generated; null if it was given.
    """

    url: str
    doors: Mapping[str, str]
    database: str
    graphs: Sequence[str]
    queue: str
    token: str | None


class Inspected(Document):
    """A local page that is served until Ctrl-C.

    Attributes:
        url: The address of the page, with the token that opens it.
        database: The database that the page shows.
        read_only: Whether the page cannot change anything.
    """

    url: str
    database: str
    read_only: bool


SERVE: Final = (Kind(Serving, "when the service accepts requests", lines=True), *WORKER)
INSPECT: Final = (Kind(Inspected),)
USERS: Final = (Kind(UserList),)
WEBHOOK: Final = (Kind(WebhookSecret),)
