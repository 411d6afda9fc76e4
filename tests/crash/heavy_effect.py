"""An effect in a process of its own: the first call of it hangs, and only its death ends it."""

import os
import threading
from contextlib import suppress
from pathlib import Path


def pay(ledger: str) -> str:
    """Note the process, and hang; in a later call, whether that process is still there, and pay."""
    file = Path(ledger)
    if not file.exists():
        file.write_text(str(os.getpid()), encoding="utf-8")
        threading.Event().wait()
    with suppress(ProcessLookupError):
        os.kill(int(file.read_text(encoding="utf-8")), 0)
        return "paid beside the first one"
    return "paid"
