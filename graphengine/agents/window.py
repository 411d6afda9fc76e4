from dataclasses import dataclass

INSTRUCTIONS = ""


@dataclass(frozen=True)
class Window:
    max_tokens: int
    keep: int = 8
    model: object = None


def effective(messages):
    return list(messages)


def cut(messages, window):
    return None


def summary_request_text(m):
    return ""


def with_summary(m, t, c):
    return None
