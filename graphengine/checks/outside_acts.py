"""Which calls act outside a run, or return another value each time, by the qualified name of the function.

A qualified name is the module and the name of a function or class, such as `httpx.post` or `uuid.uuid4`. A method of an
object has brackets after the class or function that made the object, if this is known: `sqlite3.connect().cursor`.
"""

from __future__ import annotations

import ast
import random
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType, ModuleType
from typing import Final, Literal, cast

_ACTING: Final = frozenset(
    """
    aiohttp http.client httpcore httpx requests urllib.request urllib3 websocket websockets xmlrpc.client
    aio_pika aiokafka aiosmtplib confluent_kafka ftplib imaplib kafka nats paramiko pika poplib smtplib
    aiosqlite asyncpg duckdb elasticsearch motor MySQLdb mysql oracledb psycopg psycopg2 pymongo pymysql pyodbc redis
    sqlite3 aioboto3 anthropic boto3 botocore celery docker google.cloud minio openai sendgrid slack_sdk stripe telegram
    twilio asyncio.streams asyncio.subprocess fabric multiprocessing playwright selenium socket subprocess webbrowser
    """.split()  # noqa: SIM905 - a list has a line for each
)
"""Modules of which every function and method counts.

The creation of an object such as `httpx.Client()` does not count.
"""
_CONNECT: Final = frozenset(["subprocess.Popen", "smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP", "imaplib.IMAP4_SSL"])
"""Classes of those modules that act as soon as an object is created."""
_FUNCTIONS: Final = frozenset(
    [f"shutil.{name}" for name in ("copy", "copy2", "copyfile", "copytree", "make_archive", "move", "rmtree")]
    + [f"os.{name}" for name in ("kill", "link", "popen", "remove", "removedirs", "rename", "renames", "replace")]
    + [f"os.{name}" for name in ("rmdir", "startfile", "symlink", "system", "truncate", "unlink", "write")]
    + [f"asyncio.{name}" for name in ("threads.to_thread", "to_thread", "open_connection", "create_subprocess_exec")]
    + ["asyncio.create_subprocess_shell", "json.dump", "pickle.dump"]
)
_PATH_METHODS: Final = frozenset(
    ["rename", "replace", "rmdir", "symlink_to", "hardlink_to", "touch", "unlink", "write_bytes", "write_text"]
)
_METHODS: Final = frozenset(
    ["commit", "execute", "executemany", "executescript", "run_in_executor", "unlink", "write_bytes", "write_text"]
)
"""Methods that count for any object, such as the methods of a database cursor or a path."""
_VALUES: Final = frozenset(
    [f"uuid.uuid{number}" for number in (1, 4, 6, 7, 8)]
    + [f"uuid_utils.uuid{number}" for number in (1, 4, 6, 7, 8)]
    + ["os.urandom", "os.getrandom", "time.time", "time.time_ns", "nanoid.generate", "shortuuid.uuid", "ulid.ULID"]
    + ["datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"]
    + ["pendulum.now", "arrow.now", "arrow.utcnow", "pandas.Timestamp.now", "django.utils.timezone.now"]
)
_OF_NOW: Final = {"time.localtime": 0, "time.gmtime": 0, "time.ctime": 0, "time.asctime": 0, "time.strftime": 1}
"""Functions that use the present time if they are called with this number of arguments."""
_CLOCKS: Final = frozenset(
    f"time.{name}{unit}" for name in ("monotonic", "perf_counter", "process_time") for unit in ("", "_ns")
)
_ROOTS: Final = {
    "posix": "os",
    "nt": "os",
    "_io": "io",
    "_sqlite3": "sqlite3",
    "_socket": "socket",
    "_random": "random",
}
_CHANCE: Final = ("random", "random.SystemRandom", "secrets", "numpy.random")

Deed = Literal["acts", "value", "clock", ""]


def find_qualified_name(owner: object) -> str:
    """Return the qualified name of a module, class or function, such as `asyncio.sleep`.

    Any other object gets the name of its class, followed by `()`.

    Only types are examined. No attribute of another object is read, so that a proxy object runs no code of the user.
    """
    kind = type(owner)
    if issubclass(kind, ModuleType):
        return str(ModuleType.__getattribute__(cast("ModuleType", owner), "__name__"))
    if not issubclass(kind, type | FunctionType | BuiltinFunctionType | MethodType | MethodDescriptorType):
        return f"{find_qualified_name(kind)}()"
    bound = getattr(owner, "__self__", getattr(owner, "__objclass__", None))
    if bound is getattr(random, "_inst", owner):  # random.choice and the others are methods of one generator
        return f"random.{getattr(owner, '__name__', '')}"
    if bound is not None and not issubclass(kind, type) and not issubclass(type(bound), ModuleType):
        return f"{find_qualified_name(bound)}.{getattr(owner, '__name__', '')}"
    module = bound.__name__ if isinstance(bound, ModuleType) else getattr(owner, "__module__", "")
    root, dot, rest = str(module).partition(".")
    return f"{_ROOTS.get(root, root)}{dot}{rest}.{getattr(owner, '__qualname__', '')}"


def find_deed(name: str, call: ast.Call, *, makes: bool) -> Deed:
    """Return whether a call in a node's source acts outside the run, or may return something else when it is repeated.

    Args:
        name: The qualified name of the called object; "" if the name is unknown.
        call: The call.
        makes: Whether a class is called, so that the call creates an object.

    Returns:
        `acts` for a call that acts outside the run, `value` for a call that returns an identifier, a random number or
        the time, `clock` for a call that reads a clock for durations, and "" for any other call.
    """
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    is_chance = name.rpartition(".")[0] in _CHANCE and not (name == "random.Random" and call.args)
    if name in _CLOCKS or name in _VALUES or is_chance or _OF_NOW.get(name, -1) == len(call.args):
        return "clock" if name in _CLOCKS else "" if name.endswith((".seed", ".compare_digest")) else "value"
    if name in ("io.open", "codecs.open") or (name.startswith("pathlib.") and method == "open"):
        return "acts" if _opens_to_write(call, 0 if name.startswith("pathlib.") else 1) else ""
    parts = name.split(".")
    if makes and name not in _CONNECT:
        return ""
    is_acting = (
        name in _FUNCTIONS
        or any(".".join(parts[:count]).removesuffix("()") in _ACTING for count in range(1, len(parts)))
        or (name.startswith("pathlib.") and method in _PATH_METHODS)
        or (method in _METHODS and not name.startswith("builtins."))
        or (method in ("mkdir", "makedirs") and not any(each.arg == "exist_ok" for each in call.keywords))
    )
    return "acts" if is_acting else ""


def _opens_to_write(call: ast.Call, place: int) -> bool:
    modes = [*call.args[place : place + 1], *(each.value for each in call.keywords if each.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and {*str(mode.value)} & {*"wax+"} for mode in modes)


__all__ = ["Deed", "find_deed", "find_qualified_name"]
