"""A service and an inspector in this process, with users of two tenants, and what they send."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from graphengine import END, START, Graph, Runner, ask
from graphengine.api.places import store_at
from graphengine.budgets import Budget
from graphengine.budgets.settings import tables
from graphengine.serve.approvers import Approvers
from graphengine.serve.guard import AccessMiddleware, SharedPageAccess, TokenAccess
from graphengine.serve.inspector import server
from graphengine.serve.inspector.driving import Drivable, Drives
from graphengine.serve.service.app import Service
from graphengine.serve.service.doors import DOORS, Opening
from graphengine.serve.service.public import PublicAccess
from graphengine.serve.users import User, Users, UsersFile, hash_of, write_users
from graphengine.stores.base import Store
from graphengine.wings import Settings, Table
from graphengine.worker.worker import Worker
from tests.serve import exchanges
from tests.serve.exchanges import Answer

MARK = "hunter"
"""A word that only one tenant says."""
TENANTS = ("acme", "globex")


class Post(BaseModel):
    """A post, of which one text can start a run."""

    text: str
    approved: bool = False


def desk() -> Graph[Post]:
    """Return a graph with a question that has what it was started with."""
    graph = Graph("desk", Post)
    graph.add_node("approve", ask("Publish {text}?", bool), writes="approved")
    graph.add_path(START, "approve", END)
    return graph


async def request(  # noqa: PLR0913 - what a request is
    app: ASGIApp,
    token: str,
    method: str,
    path: str,
    body: object = None,
    *,
    until: Callable[[str], bool] | None = None,
    **headers: str,
) -> Answer:
    """Send a request with a token, and return the whole answer, or as much of it as is waited for."""
    given = {"host": "localhost", "content-type": "application/json", "x-graphengine": "1"}
    given |= {name.replace("_", "-"): text for name, text in headers.items()}
    given |= {"authorization": f"Bearer {token}" if token else ""}
    text = b"" if body is None else json.dumps(body).encode()
    return await exchanges.request(app, method, path, text, given, until=until)


@dataclass
class Place:
    """Two servers over one database.

    Attributes:
        service: The service with all doors, guarded.
        inspector: The shared inspector, which drives runs, guarded.
        routes: The method and the path of each of their routes.
        users: The file of users.
        runner: The Runner of the service.
        served: The service itself.
        page: The inspector, without a guard.
    """

    service: ASGIApp
    inspector: ASGIApp
    routes: Mapping[str, set[str]]
    users: Path
    runner: Runner
    served: Service
    page: ASGIApp

    def of(self, path: str) -> ASGIApp:
        """Return the server that has a path."""
        return self.inspector if path.startswith(("/api/", "/static/")) else self.service

    async def send(self, who: str, method: str, path: str, body: object = None, **more: Any) -> Answer:
        """Send a request of a user, whose token is their name and a suffix."""
        return await request(self.of(path), token_of(who), method, path, body, **more)


def token_of(who: str) -> str:
    """Return the token of a user of these tests."""
    return f"{who}-token-of-these-tests" if who else ""


def user(name: str, rights: str = "all", tenant: str | None = None) -> User:
    """Return a user of these tests."""
    return User(name, rights.split(","), tenant, hash_of(token_of(name)))


def routes_of(routes: Any, prefix: str = "") -> set[str]:
    """Return the method and the path of each route."""
    found: set[str] = set()
    for each in routes:
        if isinstance(each, Mount):
            found |= routes_of(each.routes, prefix + each.path) or {f"GET {prefix}{each.path}"}
        elif isinstance(each, Route):
            path = (prefix + each.path).rstrip("/") or "/"  # with a slash at its end it is the same
            found |= {f"{method} {path}" for method in each.methods or ("ANY",) if method != "HEAD"}
        else:
            message = f"a route of another kind: {each}"
            raise TypeError(message)
    return found


async def _budgets(store: Store, tenant: str | None) -> Sequence[Table]:
    """Return what is shown of budgets."""
    settings = [{"name": each.name, "by": each.by, **each.limits} for each in BUDGETS]
    return await tables(store, Settings(settings), tenant)


BUDGETS = (Budget(name="tenants", by="tenant", calls=9), Budget(name="people", by="user", tokens=9))


@asynccontextmanager
async def place(folder: Path, database: Path | str, graphs: Mapping[str, Graph[Any]]) -> AsyncIterator[Place]:
    """Provide both servers, and a worker."""
    path = folder / "users.json"
    people = [user(name, tenant=name) for name in TENANTS]
    write_users(path, UsersFile([*people, user("chief")]))
    users, token = Users(path), "the-token-of-everything"
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(Runner(store_at(database), extensions=[Approvers(users)]))
        worker = Worker(runner, *graphs.values(), queues=("default",), poll_seconds=0.02)
        working = asyncio.create_task(worker.run())
        service = Service(runner, graphs, queue="default", worker=worker, version="1", takes_webhooks=False)
        stack.push_async_callback(_ended, service, worker, working)
        access, doors = TokenAccess(token, users=users), list[BaseRoute]()
        for door in DOORS:
            doors += await door.open(Opening(service, access, "1", token, stack))
        app = service.application(*doors)
        drives = Drives({name: Drivable(graph, "flows.py", lambda: None) for name, graph in graphs.items()}, {})
        reader = store_at(database, read_only=True)
        await reader.open()
        stack.push_async_callback(reader.close)
        command = lambda info, *words: " ".join(["graphengine", *words, *([info.id] if info else [])])  # noqa: E731
        page = server.application(
            server.Settings(database, reader, command, "1", users=users, drives=drives, tables=[_budgets])
        )
        await stack.enter_async_context(page.router.lifespan_context(page))
        yield Place(
            AccessMiddleware(app, PublicAccess.of(access, doors)),
            AccessMiddleware(page, SharedPageAccess(80, users)),
            {"service": routes_of(app.routes), "inspector": routes_of(page.routes)},
            path,
            runner,
            service,
            page,
        )


async def _ended(service: Service, worker: Worker, working: asyncio.Task[None]) -> None:
    service.stop()
    worker.stop()
    await working
