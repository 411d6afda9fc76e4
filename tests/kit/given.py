"""What a session gives to the Python of its page; for type checkers, since it exists only while a page is played."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from graphengine import Runner, ScriptedModel
from tests.kit.session_page import Lines

runner: Runner
database: Path
model: Callable[..., ScriptedModel]
process: Callable[..., Awaitable[None]]
after: Callable[..., Awaitable[Lines]]
