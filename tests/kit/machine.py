"""What a machine has besides Python and make: servers, a browser, fonts, programs. `BARE=1` hides all of it.

A newcomer's machine has none of them. Tests that need one are skipped there; the same tests must be skipped, and all
others must pass, with `BARE=1` on a machine that has them. `pytest --skipped` then runs what was skipped.
"""

import os
import re
import tempfile
from pathlib import Path

IS_BARE = os.environ.get("BARE") == "1"
_HIDDEN = re.compile(
    r"actionlint|node|npm|npx|corepack|chrom.*|google-chrome.*|dot|neato|postgres|pgbouncer|psql|initdb|pg_.*|cc|gcc|clang|curl|sqlite3|ray"
)


def bare_path() -> Path:
    """Make a folder with a link to each program on PATH except the hidden ones, and make it the PATH.

    Returns:
        The folder, for its removal.
    """
    folder = Path(tempfile.mkdtemp(prefix="bare-"))
    folder.chmod(0o755)  # other users run programs too
    for each in os.get_exec_path():
        for program in Path(each).iterdir() if Path(each).is_dir() else ():
            link = folder / program.name
            if not _HIDDEN.fullmatch(program.name) and not link.is_symlink():
                link.symlink_to(program)
    os.environ["PATH"] = str(folder)
    return folder
