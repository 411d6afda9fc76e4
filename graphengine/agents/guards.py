from typing import Any

Guard = Any


def as_guards(guards):
    return tuple(guards)


def check_text(guards, text, on):
    return text


def check_value(guards, value, reader):
    return value
