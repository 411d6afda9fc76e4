"""What docs/use/machines.md and postgres.md say about standbys and backups, as tests run it."""

import re
import shlex
from pathlib import Path
from typing import Final

from tests.kit.postgres import PostgresServer, execute

_USE: Final = Path(__file__).resolve().parents[2] / "docs" / "use"
DATA: Final = "/var/lib/postgresql/data"
BACKUP: Final = "/backup/2026-11-21"
"""The folders that the page names."""


def blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the blocks of a language below a heading of a page."""
    _, _, text = (_USE / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    return re.findall(rf"^```{language}\n(.*?)^```", text.partition("\n## ")[0], re.MULTILINE | re.DOTALL)


_ROLE, _NAMES, _PROMOTION = (
    [statement for statement in block.splitlines() if statement]
    for block in blocks("machines.md", "A synchronous standby", "sql")
)
_CONSOLE = blocks("machines.md", "A synchronous standby", "console")[0]


def base_backup(heading: str, primary: PostgresServer) -> list[str | Path]:
    """Return the words of the page that copy the data of a server, and make the role that they use."""
    if not execute(primary.address(), "SELECT 1 FROM pg_roles WHERE rolname = 'replicator'"):
        execute(primary.address(), *_ROLE)
    (command,) = blocks("machines.md", heading, "sh")
    return [*shlex.split(command.replace("host=primary", f"host={primary.folder}")), "--no-sync"]


def standby_of(primary: PostgresServer) -> PostgresServer:
    """Start a standby of a server."""
    words = base_backup("A synchronous standby", primary)
    return PostgresServer(primary.template, is_safe=True, copied=(words, DATA))


def wait_for_standby(primary: PostgresServer) -> None:
    """Let commits of a server wait for its standby."""
    execute(primary.address(), *_NAMES)


def promote(standby: PostgresServer) -> None:
    """Make a standby the primary server."""
    for statement in _PROMOTION:
        execute(standby.address(), statement)


def address_of(primary: PostgresServer, standby: PostgresServer) -> str:
    """Return the address for workers."""
    (address,) = re.findall(r'--store "(.*?)"', _CONSOLE)
    hosts = ",".join(str(server.folder).replace("/", "%2F") for server in (primary, standby))
    return str(address).replace("app@primary,standby1,standby2/runs", f"tester@{hosts}/postgres")


def archived(archive: Path) -> list[str]:
    """Return the settings of a server that writes an archive."""
    return _settings(0, archive)


def restoring(archive: Path, until: str) -> list[str]:
    """Return the settings of a server that restores an archive up to a time."""
    return [re.sub("(_time=).*", rf"\g<1>{until}", line) for line in _settings(1, archive)]


def _settings(number: int, archive: Path) -> list[str]:
    block = blocks("machines.md", "Backups", "ini")[number]
    return [re.sub(" = '?(.*?)'?$", r"=\1", line).replace("/archive", str(archive)) for line in block.splitlines()]


def dump_and_restore(schema: str, file: Path, source: str, server: PostgresServer) -> None:
    """Dump a schema and restore it into another database, as postgres.md does."""
    commands = [
        block for block in blocks("postgres.md", "Moving runs, backups, checks", "console") if "pg_dump" in block
    ]
    for command in commands[0].replace("$ ", "").splitlines()[:3]:
        own = (
            command.replace("-n graphengine", f"-n {schema}")
            .replace("runs.dump", str(file))
            .replace("-h db.example -U me restored", f"-h {server.folder} -U tester db_{schema}")
            .replace("postgresql://me@db.example/runs", source)
            .replace("postgresql://me@db.example/restored", server.address(database=f"db_{schema}"))
        )
        program, *words = shlex.split(own)
        server.run(program, *words)
