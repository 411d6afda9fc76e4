"""Rights and tenants are compared in one place, and no route does anything for a caller without a right."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from graphengine import serve
from graphengine.serve.users import User, UsersFile, hash_of, write_users
from tests.serve.test_two_tenants import INSPECTOR, OF_TASKS, SERVICE, about_task, called
from tests.serve.two_tenants import desk, place, request, token_of, user

SERVE: Final = Path(serve.__file__).parent
PLACES: Final = {"callers.py"}
"""The files that compare what a caller may and sees."""
UNGUARDED: Final = {
    "service/app.py": "whether the store works; starts what `starting` allows, and compares it with what was started",
    "service/a2a_door.py": "where clients want notifications, after their task was read",
    "service/openai_door.py": "ends a conversation that its client cannot continue",
}
"""The files that use the Runner without its guard, and for what."""
RUN: Final = "acme/ge:key:desk:k"
OPEN: Final = {
    *(
        "GET /health",
        "GET /openapi.json",
        "GET /v1/models",
        "GET /v1/models/{name:path}",
        "GET /a2a/{graph}/.well-known/agent-card.json",
        "GET /.well-known/agent-card.json",
    ),
    *(f"GET {path}" for path in ("/", "/run", "/compare", "/graph", "/graphs", "/questions", "/today")),
    "GET /static/{name:path}",
    "GET /signed_in",  # where a provider sends users back: the page, without data
    "GET /provider",  # its name, for a button
}
"""The routes that need no right: they name graphs, or have the files of the page."""


def comparisons(source: str) -> Iterator[int]:
    """Yield each line that reads a caller's rights or compares their tenant."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    made = {id(call) for call in calls if getattr(call.func, "id", "") in ("Caller", "_caller", "caller", "require")}
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and id(node.value) in made]
    names = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "rights" and _is_caller(node.value, made, names):
            yield node.lineno
        if isinstance(node, ast.Compare):
            parts = [each for each in ast.walk(node) if isinstance(each, ast.Attribute) and each.attr == "tenant"]
            yield from (each.lineno for each in parts if _is_caller(each.value, made, names))


def _is_caller(node: ast.expr, made: set[int], names: set[str]) -> bool:
    return id(node) in made or (isinstance(node, ast.Name) and node.id in names)


def test_rights_and_tenants_are_compared_in_one_place() -> None:
    """Others ask a `Caller`: `may`, `sees`, `sees_all`; or call `require`, `starting`, `CallersStore`."""
    found = {path: [*comparisons(path.read_text(encoding="utf-8"))] for path in SERVE.rglob("*.py")}
    assert {path.relative_to(SERVE).as_posix() for path, lines in found.items() if lines} <= PLACES
    assert [*comparisons("who = caller()\nif who.tenant is None or 'read' in caller().rights: ...")] == [2, 2]


def test_what_uses_the_runner_without_its_guard_is_listed() -> None:
    """All else goes through `CallersRunner`, each call of which checks a right, and whose run it is."""
    texts = {path: path.read_text(encoding="utf-8") for path in SERVE.rglob("*.py")}
    used = {path.relative_to(SERVE).as_posix() for path, text in texts.items() if ".unguarded" in text}
    assert used == {*UNGUARDED}


async def test_no_route_does_anything_for_a_user_without_a_right(tmp_path: Path) -> None:
    """Neither of the service, nor of its doors, nor of the page; the refusal says which right is missing."""
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        guest = User("guest", [], "acme", hash_of(token_of("guest")))
        write_users(here.users, UsersFile([user("ada", tenant="acme"), guest]))
        begun = await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
        assert begun.json["run_id"] == RUN
        await here.send("ada", "GET", f"/runs/{RUN}?wait=30")
        steps, wrong = await here.runner.history(RUN), list[str]()
        for route, cases in {**SERVICE, **INSPECTOR}.items():
            texts = list[str]()
            for each in cases if route not in OPEN else ():
                method, path, body = each.of(RUN)
                app = here.inspector if route in INSPECTOR else here.service
                path = path.replace("TURN", "resp_MDowOmE")
                until = bool if each.waits else None  # a stream that begins is enough
                got = await request(app, token_of("guest"), method, path, body, until=until, origin="http://localhost")
                texts.append(f"{route} {got.status} {got.text[:200]}")
                wrong += [] if got.status >= 400 or "no right to" in got.text else texts[-1:]
            wrong += texts if texts and not any("no right to" in text for text in texts) else []
        for name in OF_TASKS:
            text = await about_task(here, "guest", name, RUN)
            wrong += [] if "no right to" in text else [f"{name} {text}"]
        text = await called(here, "guest", arguments={"text": "a"})
        wrong += [] if "no right to" in text else [f"mcp {text}"]
        assert not wrong, "\n".join(wrong)
        assert await here.runner.history(RUN) == steps
        assert [info.id for info in await here.runner.runs()] == [RUN]


async def test_who_may_only_read_names_no_place_to_push_to(tmp_path: Path) -> None:
    """What is said goes to a place without being asked for, so that naming one is more than reading."""
    async with place(tmp_path, tmp_path / "runs.db", {"desk": desk()}) as here:
        reader = User("eve", ["read"], "acme", hash_of(token_of("eve")))
        write_users(here.users, UsersFile([user("ada", tenant="acme"), reader]))
        await here.send("ada", "POST", "/graphs/desk/runs", {"text": "a"}, idempotency_key="k")
        for method in ("CreateTaskPushNotificationConfig", "DeleteTaskPushNotificationConfig"):
            assert "no right to answer" in await about_task(here, "eve", method, RUN)
        assert "address" in await about_task(here, "ada", "CreateTaskPushNotificationConfig", RUN)
