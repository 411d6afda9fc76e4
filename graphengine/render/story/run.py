"""The story of a run, or of two, as one file to send: how it came to its result, what that cost, and what was lost.

It needs no server, loads nothing, has no script, which its own policy forbids, and prints on two pages. Fields that are
declared secret are left out, and what looks like a secret is struck from texts. A cost that is unknown is said to be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, UnsetType
from pydantic_core import to_json

from graphengine.agents.approval import question_about
from graphengine.kernel.extension import clipped
from graphengine.kernel.reader import Message, Recorded, show, status_of, waits_of
from graphengine.models.base import ToolCall
from graphengine.records.account import account_of_step
from graphengine.records.step_queries import ops_of
from graphengine.records.work_records import CallRecord, TurnRecord, turn_record, work_record
from graphengine.render.story.duel import duel_of
from graphengine.render.story.parts import figures, moment, picture, rows, spent, steps_table, times, told_run, verdict
from graphengine.render.story.prose import (
    as_html,
    as_words,
    fields,
    folded,
    heading,
    in_brief,
    is_full,
    parsed,
    place,
    text_html,
    value_html,
)
from graphengine.render.story.sheet import sheet
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Wait
    from graphengine.kernel.store import Store
    from graphengine.records.work_records import CalledTool
    from graphengine.render.story.parts import Told

_SECRET: Final = "$secret"  # noqa: S105 - the mark of a record
_WRAPPED: Final = re.compile(r"^<(\w+)>\n?(.*?)\n?</\1>$", re.DOTALL)
"""A question as agents are sent it."""
_SAID: Final = 40
"""Messages of a conversation that are shown."""
_OF_CHATS: Final = ("turn", "messages", "answer", "question")
_SHORT: Final = 400
"""Characters of a value that stands open beside an answer."""
_ASKED: Final = 160
_FAILED: Final = 8
_KINDS: Final = {"string": "a text", "integer": "a whole number", "number": "a number", "array": "a list"}


async def story_of(store: Store, run_id: str, other: str | None, now: float) -> str:
    """Return the story of a run, or of two as a comparison.

    Args:
        store: The store that has them.
        run_id: The run.
        other: The other one; None for none.
        now: When it is written, epoch seconds.

    Raises:
        UnknownRun, StoreError.
    """
    told = await told_run(store, run_id)
    body = [*_run_sections(told)] if other is None else await duel_of(store, told, await told_run(store, other))
    words = " ".join(filter(None, (run_id, other)))
    return sheet(told.title, body, f"graphengine render {words} -o story.html", now)


def _run_sections(told: Told) -> Iterator[str]:
    """Yield the parts of the story of one run."""
    info, snapshot, values = told.info, told.snapshot, told.snapshot.root.values
    messages = _as_messages(values)
    what = "A run of" if messages is None else "A conversation with"
    graph = info.graph if messages is None else info.graph.removesuffix("-chat")
    yield f'<p class="kicker">{what} <b>{as_html(heading(graph))}</b> · {moment(info.created_at)}</p>'
    yield f"<h1>{as_html(told.title)}</h1>{verdict(told)}{figures(told)}"
    given: dict[str, JsonValue] = {op[1]: op[-1] for op in ops_of(told.steps[0])} if told.steps else {}
    waits = [wait for wait in waits_of(snapshot) if wait.answered is None] if status_of(info) == "waiting" else []
    if messages is None:
        yield from _tell_questions(told, waits)
        yield from _tell_fields("The question", _drop_empty_inputs(given), said_above=told.title)
    else:
        yield from _conversation(told, messages, is_over=all(wait.kind == "receive" for wait in waits))
        yield from _tell_questions(told, [wait for wait in waits if wait.kind != "receive"])
    yield from _what_failed(told)
    final = {name: value for name, value in values.items() if is_full(value) and given.get(name) != value}
    if messages is not None:
        final = {name: value for name, value in final.items() if name not in _OF_CHATS}
    yield from _tell_fields(
        "The answer" if info.status == "finished" else "What it has so far", final, _last_fields(told)
    )
    if pictures := picture(told) + times(told):
        yield f"<h2>The way it took</h2>{pictures}"
    yield "<h2>How it came to this</h2>"
    told_of = rows(told)
    if messages is not None:  # what was said is above
        told_of = [row for row in told_of if row.what and row.account.kind != "message"]
    yield from steps_table(told_of)
    yield from spent(told.steps, info)
    if told.losses:
        yield f"<h2>Losses</h2><p>{as_html(told.losses)}</p>"


def _what_failed(told: Told) -> Iterator[str]:
    """Yield why the run failed, and which runs below it did."""
    failure = told.snapshot.failure
    if failure is not None:
        yield f'<h2>Why it failed</h2><div class="card failed"><p><b>{as_html(place(failure.path))}</b> '
        yield f'<span class="soft">{as_html(failure.kind)}</span></p>{text_html(show(failure.message))}</div>'
    if told.failed:
        yield "<h2>What failed below</h2><ul>"
        for each in told.failed[:_FAILED]:
            reason = each.summary.reason if each.summary is not None else ""
            yield f"<li><b>{as_html(each.title or each.id)}</b> {as_html(clipped(reason, _ASKED))}</li>"
        more = len(told.failed) - _FAILED
        yield "</ul>" + (f"<p class=soft>and {more} more</p>" if more > 0 else "")


# --- What went in, and what came out ---------------------------------------------------------------------------------


def _drop_empty_inputs(given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in given.items() if is_full(value)}


def _last_fields(told: Told) -> frozenset[str]:
    """Return the fields that the last visit of the run's own graph wrote."""
    last = next((step for step in reversed(told.steps) if step.kind == "node" and not step.frame), None)
    return frozenset(op[1] for op in ops_of(last)) if last is not None else frozenset()


def _tell_fields(
    title: str, values: Mapping[str, JsonValue], first: frozenset[str] = frozenset(), *, said_above: str = ""
) -> Iterator[str]:
    """Yield fields: the longest text by itself, among those that come first; then the others, long ones folded.

    Args:
        title: The heading.
        values: The fields.
        first: Those among which the text is sought first.
        said_above: A text that the page begins with, which is not said twice.
    """
    texts = {name: value for name, value in values.items() if isinstance(value, str) and value.strip()}
    last = {name: text for name, text in texts.items() if name in first}
    longest = max(last or texts, key=lambda name: len(texts[name]), default="")
    rest = {name: value for name, value in values.items() if name != longest and value != texts.get(longest)}
    is_known = longest != "" and one_line(texts[longest]) == one_line(said_above)
    if is_known and not rest:
        return
    name = "" if is_known or not longest else f" <span>{as_html(as_words(longest))}</span>"
    if longest or rest:
        yield f"<h2>{title}{name}</h2>"
    if longest and not is_known:
        yield f'<div class="lead">{value_html(texts[longest])}</div>'
    opened = [(name, value) for name, value in rest.items() if not _is_long(value)]
    yield f'<div class="rest">{fields(opened)}</div>' if opened else ""
    for name, value in rest.items():
        if _is_long(value):
            number = f" · {len(value)}" if isinstance(value, (list, dict)) else f" · {len(str(value).split()):,} words"
            yield f'<div class="rest">{folded(heading(name) + number, value_html(value))}</div>'


def _is_long(value: JsonValue) -> bool:
    return isinstance(value, (list, Mapping, str)) and _length_of_value(value) > _SHORT


def _length_of_value(value: JsonValue) -> int:
    return 0 if isinstance(value, Mapping) and _SECRET in value else len(to_json(value))


# --- What it waits for -----------------------------------------------------------------------------------------------


def _tell_questions(told: Told, waits: Sequence[Wait]) -> Iterator[str]:
    """Yield what a run waits for: each question with what one must know to answer it."""
    if not waits:
        return
    yield "<h2>What it waits for</h2>"
    for wait in waits:
        kinds = {"sleep": "waits for a time", "receive": "waits for a message"}
        due = f" · until {moment(wait.due_at)}" if wait.due_at is not None else ""
        what = f"{as_html(place(wait.name))} {kinds.get(wait.kind, 'asks')}{due}"
        yield f'<div class="card waiting"><p class="soft">{what}</p>'
        agent, call = _find_asked_call(told, wait)
        is_short = len(wait.question) <= _ASKED and "\n" not in wait.question
        if call is not None:
            yield f"<h3>May {as_html(as_words(agent))} call {as_html(as_words(call.name))}?</h3>"
            yield _tell_proposed(_merge_arguments(wait, call), UNSET)
        else:
            yield f"<h3>{as_html(wait.question)}</h3>" if is_short else text_html(wait.question)
        if wait.facts:
            yield fields([(name.rpartition(".")[2], value) for name, value in wait.facts.items()])
        if wait.proposed is not UNSET:
            yield _tell_proposed(wait.proposed, wait.old)
        if options := _options(wait.schema or {}, wait.schema or {}):
            yield f'<div class="options">{options}</div>'
        yield "</div>"


def _find_asked_call(told: Told, wait: Wait) -> tuple[str, CalledTool | None]:
    """Return the call that a question is about, and the agent that makes it; None if it is about none."""
    for step in reversed(told.steps):
        record = turn_record(step.data) if isinstance(step.data, Recorded) else None
        agent = account_of_step(step).agent if record is not None else ""
        for call in record.calls if record is not None else ():
            made = ToolCall(id=call.id, name=call.name, arguments=call.arguments)
            if wait.question == question_about(agent, made) or wait.question.startswith(
                f"May {agent} call {call.name}?\n"
            ):
                return agent, call
        if record is not None:
            break
    return "", None


def _merge_arguments(wait: Wait, call: CalledTool) -> Mapping[str, JsonValue]:
    """Return the arguments of a call: those that are written, and the defaults that stand beside them."""
    forms = [each.get("properties", {}).get("arguments", {}) for each in (wait.schema or {}).get("anyOf", ())]
    beside = {
        name: each["default"]
        for form in forms
        for name, each in form.get("properties", {}).items()
        if "default" in each
    }
    written = parsed(call.arguments)
    return {**(written if isinstance(written, Mapping) else {"": written}), **beside}


def _tell_proposed(proposed: JsonValue | UnsetType, was: JsonValue | UnsetType) -> str:
    """Return what is proposed, beside what it would replace."""
    now, old = ({} if each is UNSET else each if isinstance(each, Mapping) else {"": each} for each in (proposed, was))
    if was is UNSET:
        return fields([(str(name), each) for name, each in now.items()])
    rows = ""
    for name in dict.fromkeys([*old, *now]):
        rows += f"<tr><td>{as_html(heading(str(name)))}</td><td>{as_html(in_brief(old.get(name)))}</td>"
        rows += f"<td><b>{as_html(in_brief(now.get(name)))}</b></td></tr>"
    return f"<table><tr><th></th><th>was</th><th>proposed</th></tr>{rows}</table>"


def _options(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """Return the answers that a schema takes, as HTML; titles and descriptions instead of names."""
    if isinstance(schema.get("$ref"), str):
        schema = {**root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), **schema}
    if schema.get("type") == "boolean":
        return "<span>yes</span><span>no</span>"
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        return "".join(f"<span>{as_html(in_brief(each))}</span>" for each in values)
    unions = [each for each in schema.get("anyOf") or schema.get("oneOf") or () if each.get("type") != "null"]
    if unions:
        clicks = "".join(_options(each, root) for each in unions if not each.get("properties"))
        return clicks or "".join(_options(each, root) for each in unions)
    members = ""
    for name, each in schema.get("properties", {}).items():
        title, about = str(each.get("title") or heading(name)), str(each.get("description", ""))
        kind = _options(each, root) or _KINDS.get(str(each.get("type")), "")
        members += (
            f"<dt>{as_html(title)}</dt><dd>{kind}"
            + (f'<i class="beside">{as_html(about)}</i>' if about else "")
            + "</dd>"
        )
    return f"<dl>{members}</dl>" if members else ""


# --- Conversations ---------------------------------------------------------------------------------------------------


def _as_messages(values: Mapping[str, JsonValue]) -> Sequence[Mapping[str, Any]] | None:
    """Return the messages of a conversation; None if a run is none."""
    for value in values.values():
        if isinstance(value, list) and any(_is_spoken_message(each) for each in value):
            return [each for each in value if isinstance(each, Mapping)]
    return None


def _is_spoken_message(value: JsonValue) -> bool:
    return isinstance(value, Mapping) and value.get("role") in ("user", "assistant") and "text" in value


def _conversation(told: Told, messages: Sequence[Mapping[str, Any]], *, is_over: bool) -> Iterator[str]:
    """Yield a conversation as it was said, and of a turn that is not over what was said so far."""
    results = {each.get("call_id"): each for each in messages if each.get("role") == "tool"}
    yield '<h2>The conversation</h2><div class="chat">'
    if len(messages) > _SAID:
        yield f"<p class=soft>{len(messages) - _SAID} earlier messages are left out</p>"
    for each in messages[-_SAID:]:
        role, text = each.get("role"), str(each.get("text", ""))
        if role in ("user", "assistant"):
            yield _bubble(str(role), text, str(each.get("agent", "")))
        for call in each.get("calls", ()):
            result = results.get(call.get("id"), {})
            yield _did(
                str(call.get("name")),
                call.get("arguments", ""),
                str(result.get("text", "")),
                bool(result.get("is_error")),
            )
    yield from () if is_over else _tell_last_turn(told)
    yield "</div>"


def _tell_last_turn(told: Told) -> Iterator[str]:
    """Yield what was said since the last message."""
    begins = next((step for step in reversed(told.steps) if isinstance(step.data, Message)), None)
    if begins is None or not isinstance(begins.data, Message):
        return
    payload: Any = begins.data.payload
    given = payload.get("given", {}) if isinstance(payload, Mapping) else {"": payload}
    yield from (_bubble("user", text, "") for text in given.values() if isinstance(text, str))
    for step in told.steps[begins.seq :]:
        record = work_record(step.data) if isinstance(step.data, Recorded) else None
        account = account_of_step(step)
        if isinstance(record, TurnRecord) and record.text:
            yield _bubble("assistant", record.text, account.agent)
        elif isinstance(record, CallRecord):
            yield _did(account.name.removeprefix("tool "), record.arguments or "", record.text, record.error)


def _bubble(role: str, text: str, agent: str) -> str:
    plain = _WRAPPED.sub(r"\2", text.strip())
    if not plain.strip():
        return ""
    who = f"<small>{as_html(as_words(agent))}</small>" if role == "assistant" and agent else ""
    return f'<div class="{role}">{who}<div class="text">{text_html(plain)}</div></div>'


def _did(name: str, arguments: str, result: str, has_failed: bool) -> str:  # noqa: FBT001
    given = f" ({in_brief(arguments, _ASKED)})" if arguments and arguments != "{}" else ""
    found = parsed(result)
    if isinstance(found, Mapping) and not has_failed and len(found) > 1:
        return f'<div class="did"><p>{as_html(f"{as_words(name)}{given}")}</p>{value_html(found)}</div>'
    came = f"{' failed:' if has_failed else ' →'} {in_brief(result, _ASKED)}" if result else ""
    return f'<p class="soft">{as_html(f"{as_words(name)}{given}{came}")}</p>'


__all__ = ["story_of"]
