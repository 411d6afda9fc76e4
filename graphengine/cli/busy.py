"""A transient line on the terminal during long work: what it does, how far it is, and for how long.

It appears after a moment, so that quick work shows nothing, disappears at the end, and is never written to a pipe. A
thread shows it, so that the work does not have to yield.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.cli.session import Session
    from graphengine.cli.terminal import Channel

_AGAIN_SECONDS: Final = 0.25


class Busy:
    """The description of the current work.

    Args:
        channel: The channel that shows it.
        what: The work, e.g. `replaying`.
    """

    def __init__(self, channel: Channel, what: str) -> None:
        self._channel = channel
        self._since = time.monotonic()
        self._over = threading.Event()
        self._text = what

    def update(self, what: str, done: int = 0, total: int = 0, which: str = "") -> None:
        """Replace the description.

        Args:
            what: The work.
            done: How much of it is done.
            total: How much there is in all; 0 if unknown.
            which: The current item.
        """
        far = f" {done:,} of {total:,}" if total else ""
        self._text = f"{what}{far}{': ' if far and which else ' ' if which else ''}{which}"

    def show(self) -> None:
        """Show the description periodically until the work is over; runs on a thread of its own."""
        while not self._over.wait(_AGAIN_SECONDS):
            took = int(time.monotonic() - self._since)
            self._channel.transient("", f"{self._text} … {f'{took} s' if took else ''}", keeps_end=False)

    def ends(self) -> None:
        """Stop showing it."""
        self._over.set()


@contextmanager
def busy(session: Session, what: str) -> Iterator[Busy]:
    """Show on the terminal what is being done, until the block ends.

    Args:
        session: The call.
        what: The work, until `Busy.update` replaces it.
    """
    work = Busy(session.err, what)
    if not session.err.is_live:
        yield work
        return
    thread = threading.Thread(target=work.show, name="graphengine busy", daemon=True)
    thread.start()
    try:
        yield work
    finally:
        work.ends()
        thread.join()
        session.err.wipe()
