"""A line on the terminal while a command works on something that takes long: what it does, how far it is, since when.

It comes after a moment, so that quick work shows nothing; it goes away at the end, and is never seen in a pipe. A
thread shows it, so that the work need not think of it.
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
    """What is being done.

    Args:
        channel: Where that is shown.
        what: In words, as `replaying`.
    """

    def __init__(self, channel: Channel, what: str) -> None:
        self._channel = channel
        self._since = time.monotonic()
        self._over = threading.Event()
        self._text = what

    def says(self, what: str, done: int = 0, total: int = 0, which: str = "") -> None:
        """From now on this is done.

        Args:
            what: In words.
            done: How much of it.
            total: How much there is in all; 0 where nobody knows.
            which: What is its turn now.
        """
        far = f" {done:,} of {total:,}" if total else ""
        self._text = f"{what}{far}{': ' if far and which else ' ' if which else ''}{which}"

    def show(self) -> None:
        """Show it now and then until it is over; on a thread of its own."""
        while not self._over.wait(_AGAIN_SECONDS):
            took = int(time.monotonic() - self._since)
            self._channel.passing("", f"{self._text} … {f'{took} s' if took else ''}", keeps_end=False)

    def ends(self) -> None:
        """It is over."""
        self._over.set()


@contextmanager
def busy(session: Session, what: str) -> Iterator[Busy]:
    """As long as this lasts, say on the terminal what is being done.

    Args:
        session: The call.
        what: In words, until `Busy.says` gives others.
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
