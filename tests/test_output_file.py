"""Files that a user names: what is replaced, what is written into, and what stays as it was."""

import ast
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphengine.output_file import write_file
from tests.kit.syntax import walked

PACKAGE = Path(__file__).resolve().parent.parent / "graphengine"
OLD, NEW = b"the old content, which is longer", b"new"


def mode_of(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[None]:
    """A umask of 027."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe, and its open end for reading."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, end
    os.close(end)


def test_what_is_no_regular_file_is_written_into(pipe: tuple[Path, int], tmp_path: Path) -> None:
    """A pipe stays one, also behind a link, and gets the content."""
    path, end = pipe
    (tmp_path / "link").symlink_to(path)
    for name in ("pipe", "link"):
        write_file(tmp_path / name, NEW)
        assert os.read(end, 100) == NEW
    assert path.is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "pipe"]


def test_links_are_followed(tmp_path: Path) -> None:
    """A link stays one: its file is replaced, or made if there is none."""
    (tmp_path / "real").write_bytes(OLD)
    for link, target in (("link", "real"), ("hanging", "missing")):
        (tmp_path / link).symlink_to(target)
        write_file(tmp_path / link, NEW)
        assert (tmp_path / link).readlink() == Path(target)
        assert (tmp_path / target).read_bytes() == NEW


@pytest.mark.usefixtures("umask")
def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    """A private file is readable by its owner only if it is new: who made it otherwise has decided so."""
    write_file(tmp_path / "new", NEW)
    write_file(tmp_path / "private", NEW, is_private=True)
    assert (mode_of(tmp_path / "new"), mode_of(tmp_path / "private")) == (0o640, 0o600)
    for is_private in (False, True):
        (tmp_path / "new").chmod(0o664)
        write_file(tmp_path / "new", NEW, is_private=is_private)
        assert mode_of(tmp_path / "new") == 0o664


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_owner_stays(tmp_path: Path) -> None:
    """A file that root replaces still belongs to its owner."""
    (tmp_path / "file").write_bytes(OLD)
    os.chown(tmp_path / "file", 12345, 23456)
    write_file(tmp_path / "file", NEW)
    found = (tmp_path / "file").stat()
    assert (found.st_uid, found.st_gid) == (12345, 23456)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk loses nothing, and leaves no draft."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_bytes(OLD)
    monkeypatch.setattr("os.fsync", full)
    for name in ("file", "new"):
        with pytest.raises(OSError, match="No space"):
            write_file(tmp_path / name, NEW)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [OLD]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY])
def test_a_file_that_cannot_be_replaced_is_overwritten(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file mounted into a container, or one in a folder of somebody else, gets the content where it is."""

    def refused(draft: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    file = tmp_path / "file"
    file.write_bytes(OLD)
    monkeypatch.setattr(Path, "replace", refused)
    write_file(file, NEW)
    assert file.read_bytes() == NEW
    assert [*tmp_path.iterdir()] == [file]


def test_an_open_stream_is_written_into(tmp_path: Path) -> None:
    """A file that a stream leads to keeps what was written before, and what is written after."""
    file = tmp_path / "file"
    with file.open("wb") as stream:
        stream.write(OLD)
        stream.flush()
        write_file(f"/dev/fd/{stream.fileno()}", NEW)
        stream.write(OLD)
    assert file.read_bytes() == OLD + NEW + OLD


DATABASES = "databases/sqlite/"
"""Writes databases, which are not files of a user."""


PROOF = ("cli/proof_process.py", "cli/prove.py")
"""The requests and answers of the processes of `graphengine prove` are in a temporary folder."""
MADE_ONCE = "serve/inspector/token.py"
"""Makes a file that must not be there yet, for its owner alone."""


LEDGER = "testing/executor_calls.py"
"""Adds a line to what a test keeps of the calls of an executor."""


WRITERS = {"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile"}


def writes(source: str) -> Iterator[int]:
    """Yield the line of each call that can overwrite a file."""
    for node in walked(source, {"open", *WRITERS}):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
                words = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                is_open = name == "open" and words & {"w", "wb", "a", "ab"}
                if is_open or name in WRITERS:
                    yield node.lineno


def test_one_function_writes_all_files() -> None:
    """No other code of the package overwrites a file."""
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := [*writes(path.read_text("utf-8"))])
    }
    others = {name: lines for name, lines in found.items() if not name.startswith(DATABASES)}
    assert [*others] == [*PROOF, "output_file.py", MADE_ONCE, LEDGER]
