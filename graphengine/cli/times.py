"""Times and durations in readable form, in this machine's time zone."""

from __future__ import annotations

from datetime import datetime


def when(at: float) -> str:
    """Return a time to the second, with the name of this machine's time zone."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()
    except (ValueError, OverflowError, OSError):  # out of the calendar's range
        return f"{at:g} s after 1970"


def short_time(at: float) -> str:
    """Return the shortest clear form of a time: the time if today, month and day if this year, or the date."""
    try:
        local, now = datetime.fromtimestamp(at).astimezone(), datetime.now().astimezone()
    except (ValueError, OverflowError, OSError):
        return when(at)
    if local.date() == now.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%m-%d %H:%M" if local.year == now.year else "%Y-%m-%d")


def age(duration: float) -> str:
    """Return how long ago something was, in its largest unit."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if duration >= unit:
            return f"{int(duration // unit)} {name} ago"
    return f"{max(0, int(duration))} s ago"


def seconds(duration: float) -> str:
    """Return a duration with its unit."""
    if duration < 0.0995:  # noqa: PLR2004 - above it, two digits of seconds suffice
        return f"{max(0.0, duration) * 1000:.0f} ms"
    if duration < 60:  # noqa: PLR2004
        return f"{duration:.1f} s" if duration >= 1 else f"{duration:.2f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"
