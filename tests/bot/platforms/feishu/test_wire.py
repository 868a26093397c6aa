"""Who gets in at the gate, and who does not."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.events import ChatEvent, Ignored
from bot.platforms import wire as gate
from bot.platforms.feishu import wire
from bot.platforms.feishu.settings import FeishuSettings
from tests.simulators import feishu_events as events
from tests.simulators.feishu_events import App

APP = App()
SETTINGS = FeishuSettings.model_validate(
    {
        "enabled": True,
        "mode": "webhook",
        "app_id": APP.app_id,
        "app_secret": APP.app_secret,
        "encrypt_key": APP.encrypt_key,
        "verification_token": APP.verification_token,
    }
)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STAMP = NOW.timestamp()
Request = tuple[dict[str, str], bytes]


def receive(request: Request, now: datetime = NOW) -> wire.Received:
    return wire.receive(*request, SETTINGS, now)


def genuine(**more: Any) -> Request:
    return events.signed(APP, events.message(APP, "/draw 猫", message_id="om_1", **more), at=STAMP)


def accepted(received: wire.Received) -> ChatEvent:
    assert isinstance(received, wire.Event)
    return received.event


def test_genuine_message_gets_in() -> None:
    assert accepted(receive(genuine())).text == "/draw 猫"


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title, str])
def test_trap_5_header_names_in_any_case(change: Callable[[str], str]) -> None:
    headers, body = genuine()
    assert accepted(receive(({change(name): value for name, value in headers.items()}, body))).key == "om_1"


def test_trap_5_signature_is_over_the_bytes_as_they_came() -> None:
    headers, body = genuine()
    respaced = json.dumps(json.loads(body), indent=1).encode()
    with pytest.raises(gate.Forged):
        receive((headers, respaced))
    spaced_by_feishu = b" " + body
    assert accepted(receive((events.headers(APP, spaced_by_feishu, STAMP), spaced_by_feishu))).key == "om_1"


def without_signature(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.startswith("X-Lark")}


def altered(app: App = APP, envelope: dict[str, Any] | None = None, **header: Any) -> Request:
    envelope = envelope or events.message(APP, "/draw 猫", **header)
    return events.signed(app, envelope, at=STAMP)


def bare(envelope: dict[str, Any], sign: bool = True) -> Request:
    body = json.dumps(envelope).encode()
    return (events.headers(APP, body, STAMP) if sign else {}, body)


def test_trap_6_without_an_encrypt_key_nobody_gets_in() -> None:
    """A long connection needs no key; with an empty one anybody could encrypt and sign."""
    bare = App(encrypt_key="", verification_token="")
    settings = FeishuSettings.model_validate({"enabled": True, "app_id": APP.app_id, "app_secret": "s"})
    body = json.dumps({"encrypt": _sealed_with_an_empty_key(events.message(bare, "/draw 猫"))}).encode()
    with pytest.raises(gate.Forged, match="encrypt_key is empty"):
        wire.receive(events.headers(bare, body, STAMP), body, settings, NOW)


def _sealed_with_an_empty_key(envelope: dict[str, Any]) -> str:
    from Crypto.Cipher import AES
    from Crypto.Util.Padding import pad

    cipher = AES.new(hashlib.sha256(b"").digest(), AES.MODE_CBC, bytes(16))
    return base64.b64encode(bytes(16) + cipher.encrypt(pad(json.dumps(envelope).encode(), 16))).decode()


def test_trap_6_everything_forged_is_refused() -> None:
    headers, body = genuine()
    cut = json.dumps({"encrypt": json.loads(body)["encrypt"][:-8]}).encode()
    forged: dict[str, Request] = {
        "unsigned": (without_signature(headers), body),
        "no headers": ({}, body),
        "wrong signature": ({**headers, "X-Lark-Signature": "0" * 64}, body),
        "not even ASCII": ({**headers, "X-Lark-Signature": "签名"}, body),
        "empty signature": ({**headers, "X-Lark-Signature": ""}, body),
        "other nonce": ({**headers, "X-Lark-Request-Nonce": "1"}, body),
        "other timestamp": ({**headers, "X-Lark-Request-Timestamp": str(int(STAMP) + 1)}, body),
        "other body under the same signature": (headers, genuine()[1]),
        "signed and sealed with another key": altered(App(encrypt_key="guess")),
        "signed with another key": (events.headers(App(encrypt_key="guess"), body, STAMP), body),
        "wrong token": altered(token="guess"),
        "no token": altered(token=None),
        "token is a number": altered(token=5),
        "another app": altered(app_id="cli_0000000000000000"),
        "no app": altered(app_id=None),
        "plaintext although a key is set": bare(events.message(APP, "/draw 猫")),
        "sealed with nothing": altered(App(encrypt_key=""), events.message(APP, "x")),
        "cut ciphertext, unsigned": ({}, cut[:-3] + b'="}'),
    }
    for name, request in forged.items():
        with pytest.raises((gate.Forged, gate.Malformed)) as refused:
            receive(request)
        assert refused.value.status in (400, 401), name
        if "cut" not in name:
            assert isinstance(refused.value, gate.Forged), name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b'{"encrypt":"',
        b'{"encrypt":"AAAA"}',
        b'{"encrypt":"not base64!"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"encrypt":"' + base64.b64encode(b"x" * 40) + b'"}',
    ],
)
def test_truncated_and_garbage_is_malformed_even_if_signed(body: bytes) -> None:
    with pytest.raises(gate.Malformed) as refused:
        receive((events.headers(APP, body, STAMP), body))
    assert refused.value.status == 400


def test_every_truncation_of_a_genuine_request_is_refused() -> None:
    headers, body = genuine()
    for length in range(0, len(body), 7):
        with pytest.raises(gate.WireError):
            receive((headers, body[:length]))


def test_signed_but_not_json_inside_is_malformed() -> None:
    body = events.sealed(APP, b"hello")
    with pytest.raises(gate.Malformed):
        receive((events.headers(APP, body, STAMP), body))


def test_a_stranger_cannot_tell_wrong_padding_from_wrong_contents() -> None:
    _, body = genuine()
    blob = bytearray(base64.b64decode(json.loads(body)["encrypt"]))
    seen = set()
    for byte in range(256):  # one of these makes the padding valid: the classic oracle
        blob[-17] = byte
        with pytest.raises(gate.WireError) as refused:
            receive(({}, json.dumps({"encrypt": base64.b64encode(bytes(blob)).decode()}).encode()))
        seen.add(refused.value.status)
    garbled = events.sealed(APP, b"not JSON")
    with pytest.raises(gate.WireError) as refused:
        receive(({}, garbled))
    assert seen == {401} == {refused.value.status}


def test_body_beyond_a_megabyte_is_not_even_read() -> None:
    with pytest.raises(gate.TooLarge) as refused:
        receive(({}, b"x" * (wire.MAX_BODY + 1)))
    assert refused.value.status == 413


def test_trap_7_encrypted_challenge_needs_no_signature() -> None:
    body = events.sealed(APP, events.challenge(APP, 'a"b\\c'))
    assert receive(({}, body)) == wire.Challenge(text='a"b\\c')
    assert receive((events.headers(APP, body, STAMP), body)) == wire.Challenge(text='a"b\\c')


def test_challenge_stays_inside_the_gate() -> None:
    refused = [
        bare(events.challenge(APP, "x"), sign=False),  # plaintext although a key is set
        bare(events.challenge(APP, "x")),
        ({}, events.sealed(APP, events.challenge(App(verification_token="guess"), "x"))),
        ({}, events.sealed(App(encrypt_key="guess"), events.challenge(APP, "x"))),
    ]
    for request in refused:
        with pytest.raises(gate.Forged):
            receive(request)


@pytest.mark.parametrize(
    "late", [timedelta(0), timedelta(seconds=15), timedelta(hours=1), timedelta(hours=7, minutes=6)]
)
def test_trap_3_redeliveries_of_the_whole_ladder_get_in(late: timedelta) -> None:
    created = str(int(STAMP * 1000))
    assert accepted(receive(genuine(create_time=created), NOW + late)).key == "om_1"


@pytest.mark.parametrize("late", [timedelta(hours=8, seconds=1), timedelta(days=9000), timedelta(minutes=-11)])
def test_trap_6_replays_beyond_the_ladder_are_stale(late: timedelta) -> None:
    with pytest.raises(gate.Stale) as refused:
        receive(genuine(), NOW + late)
    assert refused.value.status == 401


def test_timestamp_header_of_any_form_is_signed_as_it_stands() -> None:
    envelope = events.message(APP, "x", message_id="om_1", create_time=str(int(STAMP * 1000)))
    go = events.signed(APP, envelope, at="2026-11-21 20:00:00.123456789 +0800 CST m=+1.5")
    assert accepted(receive(go)).key == "om_1"
    with pytest.raises(gate.Stale):
        receive(go, NOW + timedelta(hours=9))
    odd = events.signed(APP, envelope, at="whenever")  # then the event's own time counts
    assert accepted(receive(odd)).key == "om_1"
    with pytest.raises(gate.Stale):
        receive(odd, NOW + timedelta(hours=9))
    with pytest.raises(gate.Stale):
        receive(events.signed(APP, events.message(APP, "x", create_time="never"), at="whenever"))


def test_trap_4_unknown_events_are_acknowledged() -> None:
    received = receive(events.signed(APP, events.envelope(APP, "im.message.message_read_v1", {}), at=STAMP))
    assert isinstance(received, Ignored)
    assert received.event_type == "im.message.message_read_v1"


def test_old_envelope_is_acknowledged_with_its_token_only() -> None:
    old = {"uuid": "u", "token": APP.verification_token, "type": "event_callback", "event": {"type": "message"}}
    assert receive(events.signed(APP, old, at=STAMP)) == Ignored(
        event_type="v1:message", key="u", reason="nobody listens to this event"
    )
    with pytest.raises(gate.Forged):
        receive(events.signed(APP, {**old, "token": "guess"}, at=STAMP))


def test_answer_toast() -> None:
    assert wire.answer_toast("info", "好") == {"toast": {"type": "info", "content": "好"}}
    assert wire.answer_toast("info", "") == {}
    assert wire.answer_toast("success", "好", {"schema": "2.0"})["card"] == {"type": "raw", "data": {"schema": "2.0"}}


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_noise_never_gets_in_and_never_crashes(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(gate.WireError):
        receive((headers, body))


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["message", "sender", "sender_id", "open_id", "content", "mentions", "key", "action", "value", "operator", "message_id", "chat_id", "sender_type"]), inner, max_size=6), max_leaves=20), st.sampled_from(["im.message.receive_v1", "card.action.trigger", "im.message.recalled_v1", "x"]))  # fmt: skip  # noqa: E501
def test_genuine_events_of_any_shape_are_acknowledged(event: Any, kind: str) -> None:
    envelope = events.envelope(APP, kind, {})
    received = receive(events.signed(APP, {**envelope, "event": event}, at=STAMP))
    assert isinstance(received, (wire.Event, Ignored))
