"""Digests, keys and derived ids are a format: a process of a later version finds by them what this one recorded.

A value that changes here makes a version that repeats recorded work, starts a child or a delivery twice, or loses the
place of a trace. So none is changed; what must be computed in another way gets another name and stands beside it.
"""

from collections.abc import Callable

import pytest

from graphengine.agents.conversation import _digest as digest_of_request
from graphengine.databases.checksums import message_place, sum_of
from graphengine.databases.sqlite.texts import digest_of as digest_of_text
from graphengine.models.dialects import _short as short_call_id
from graphengine.models.openai_parts import call_id
from graphengine.models.recorded import _digest as digest_of_media
from graphengine.runner.call_records import digest_of_call
from graphengine.runner.ids import derived_id, tenants_id
from graphengine.serve.service.turns import digest as digest_of_turn
from graphengine.serve.signatures import signed
from graphengine.state.immutable import digest_of
from graphengine.telemetry.place import Ids

NAMES: dict[str, tuple[Callable[[], object], object]] = {
    "a call": (
        lambda: digest_of_call("mod.act", ["first", 2, 1.5], {"b": None, "a": {"z": [True]}}),
        "e2f836bca7050fb25b",
    ),
    "a request": (lambda: digest_of_request(b'{"system":"s"}'), "ec47d5ab451d1f9430"),
    "a value of a tracker": (lambda: digest_of({"b": [1, 2.0, "x"], "a": {3, 1, 2}}), "59d08f1c1abd170c6a239419"),
    "a derived id": (
        lambda: derived_id("chat", "ada lovelace", "a/b", tenant="acme"),
        "acme/ge:chat:ada%20lovelace:a%2Fb",
    ),
    "a long derived id": (
        lambda: derived_id("chat", "x" * 200),
        "ge:chat:0b891c5f3197e8ff6a295bbe8b6eb37390b2e264961f1004b90417483b496841",
    ),
    "an id of a tenant": (lambda: tenants_id("a b", "order-7"), "a%20b/order-7"),
    "a text of SQLite": (lambda: digest_of_text(b"Ants").hex(), "865930bcd5104b2072d2abf2c9538aec"),
    "a row's checksum": (
        lambda: (sum_of(4294967298, b"{}"), sum_of(message_place(1, "answer", "k"), b"true")),
        (3974572420, 3137283336),
    ),
    "a turn of a door": (lambda: digest_of_turn(["ada", {"text": "h\u00e9"}]), "8e9196550cf745714120"),
    "a recorded file": (lambda: digest_of_media("aGk="), "d9d2d5dc340606f8d9a696d0e0b4b3ce16c3"),
    "a call's id at OpenAI": (lambda: call_id("x" * 80), "call_d929cdeea7e6a0f46b59448d36a6fd49"),
    "a call's id at Mistral": (lambda: short_call_id("call-1"), "5d7963c4f"),
    "a webhook's signature": (
        lambda: signed(b"key", "msg_1", 1000.0, b"{}")["webhook-signature"],
        "v1,Wa83KvVw5CCkKgwz6XgcvWo/fPiV2rrXdTkgHJ1Ll5g=",
    ),
    "a trace": (
        lambda: f"{(ids := Ids.of('r', 1000.5)).trace:032x} {ids.span('attempt', 'work', 1):016x}",
        "572c15a95f4e2211a70ac4d5d1765eaa f8f945ddef8a2397",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_as_it_was(name: str) -> None:
    """It is the same in every version, process and Python."""
    make, kept = NAMES[name]
    assert make() == kept
