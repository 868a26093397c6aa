"""The gate: what WeCom sent for our app comes in, and nothing else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from bot.platforms.wecom.app import callback, wechat
from bot.platforms.wecom.settings import WecomApp
from bot.platforms.wire import Forged, Malformed, Stale, TooLarge, WireError
from tests.simulators.wecom_crypto import encrypt, key_of, seal, signature

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
KEY = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"
OTHER_KEY = "q1Os1ZMe0nG28KUEx9lg3HjK7V5QyXvi212fzsgDqgz"
TEXT = "<xml><FromUserName>a</FromUserName><MsgType>text</MsgType><Content>猫</Content><MsgId>7</MsgId></xml>"


def settings(key: str = KEY) -> WecomApp:
    return WecomApp(enabled=True, corp_id="ww1", agent_id="1000002", secret="s", token="AppToken", encoding_aes_key=key)


def signed(sealed: str, token: str = "AppToken", at: float = 0.0, **wrong: str) -> dict[str, str]:
    stamp = str(int(NOW.timestamp() + at))
    query = {"timestamp": stamp, "nonce": "n1", "msg_signature": signature(token, stamp, "n1", sealed)}
    return {**query, **wrong}


def posted(xml: str = TEXT, key: str = KEY, receiver: str = "ww1", **wrong: Any) -> tuple[bytes, bytes]:
    """A callback's query and body."""
    sealed = wrong.pop("sealed", seal(key, xml.encode(), receiver))
    body = wrong.pop("body", f"<xml><ToUserName>ww1</ToUserName><Encrypt>{sealed}</Encrypt></xml>".encode())
    return urlencode(signed(sealed, **wrong)).encode(), body


def receive(query: bytes, body: bytes) -> dict[str, Any]:
    return callback.receive(query, body, settings(), NOW).fields


def test_a_genuine_message_comes_in_as_often_as_it_is_sent() -> None:
    query, body = posted()
    assert receive(query, body)["Content"] == "猫"
    assert receive(query, body) == receive(query, body)  # a repetition is answered the same; the inbox knows its id


def with_plus() -> str:
    return next(sealed for sealed in (seal(KEY, b"1234567890", "ww1") for _ in range(1000)) if "+" in sealed)


@pytest.mark.parametrize("key", [KEY, f"{KEY}=", f" {KEY}\n"])
def test_trap_03_an_echo_is_answered_bare_and_decoded_once(key: str) -> None:
    sealed = with_plus()
    for echo in (quote(sealed, safe=""), sealed):  # a + that stands for itself is none of a form's spaces either
        query = f"{urlencode(signed(sealed))}&echostr={echo}".encode()
        assert callback.verify(query, settings(key), NOW).text == "1234567890"


def test_an_echo_with_a_percent_in_it_is_not_decoded_twice() -> None:
    assert callback.parameters(b"echostr=a%252Bb&nonce=1&echostr=second&=&x") == {
        "echostr": "a%2Bb",
        "nonce": "1",
        "": "",
        "x": "",
    }


def test_trap_04_an_app_goes_by_the_organisation_and_not_by_nothing() -> None:
    for receiver in ("", "ww2", "ww11"):
        with pytest.raises(Forged, match=r"corp_id"):
            receive(*posted(receiver=receiver))


def flawed(plain: bytes) -> str:
    """Something made with our key, but not as WeCom makes it."""
    return base64.b64encode(encrypt(key_of(KEY), plain)).decode()


REFUSED: list[tuple[tuple[bytes, bytes], type[WireError]]] = [
    (posted(token="another"), Forged),
    (posted(msg_signature=""), Forged),
    (posted(msg_signature="ä" * 40), Forged),
    (posted(nonce="another"), Forged),
    (posted(key=OTHER_KEY), Forged),
    (posted(at=-601), Stale),
    (posted(at=601), Stale),
    (posted(sealed="AAAA"), Forged),  # signed, and nothing that can be decrypted
    (posted(sealed="not base64 at all!"), Forged),
    (posted(sealed="ÄÖ"), Forged),
    (posted(sealed=flawed(b"")), Forged),
    (posted(sealed=flawed(b"short")), Forged),
    (posted(sealed=flawed(b"0" * 16 + b"\xff\xff\xff\xff" + b"x" * 12)), Forged),
    (posted(sealed=flawed(b"0" * 16 + b"\0\0\0\2\xff\xfeww1")), Forged),  # no UTF-8
    (posted(xml=""), Malformed),
    (posted(xml="no xml"), Malformed),
    (posted(xml="<xml/>"), Malformed),
    (posted(xml="<a><MsgType>text</MsgType></a>"), Malformed),
    (posted(xml="<xml><MsgType/></xml>"), Malformed),
    (posted(xml="<xml><MsgType>event</MsgType></xml>"), Malformed),
    (posted(xml='<!DOCTYPE x [<!ENTITY a "b">]><xml><MsgType>&a;</MsgType></xml>'), Malformed),
    (posted(body=b""), Malformed),
    (posted(body=b"{}"), Malformed),
    (posted(body=b"<xml>"), Malformed),
    (posted(body=b"<xml></xml>"), Malformed),
    (posted(body=b"<xml>text</xml>"), Malformed),
    (posted(body=b"<xml><Encrypt/></xml>"), Malformed),
    (posted(body=b"<xml><Encrypt><a>1</a></Encrypt></xml>"), Malformed),
    (posted(body=b"<xml><Encrypt>1</Encrypt><Encrypt>2</Encrypt></xml>"), Malformed),
    (posted(body=b"\xff\xfe<xml>"), Malformed),
    (posted(body=b'<!DOCTYPE x [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>'), Malformed),
    (posted(body=b"<xml>" + b"<a>" * 20_000 + b"</xml>"), Malformed),
    (posted(body=b"x" * (callback.MAX_BODY + 1)), TooLarge),
    ((b"", posted()[1]), Forged),
    ((b"\xff%zz&&==", posted()[1]), Forged),
]


@pytest.mark.parametrize(("request_", "error"), REFUSED)
def test_anything_else_is_refused(request_: tuple[bytes, bytes], error: type[WireError]) -> None:
    with pytest.raises(error) as refused:
        receive(*request_)
    assert 400 <= refused.value.status < 500
    assert KEY not in str(refused.value)
    assert "AppToken" not in str(refused.value)


def test_a_strangers_thousand_elements_are_not_even_read() -> None:
    with pytest.raises(Malformed, match="far too many"):
        receive(*posted(body=b"<xml>" + b"<a/>" * 100_000 + b"</xml>"))


def test_an_echo_of_somebody_else_is_not_answered() -> None:
    sealed = seal(KEY, b"1", "ww1")
    for wrong in (signed(sealed, token="x"), signed(sealed, at=-601), {}):
        with pytest.raises(WireError):
            callback.verify(urlencode({**wrong, "echostr": sealed}).encode(), settings(), NOW)
    with pytest.raises(Malformed):
        callback.verify(urlencode(signed("")).encode(), settings(), NOW)


def test_nothing_is_decrypted_before_its_signature_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wechat, "decrypt", lambda *_: pytest.fail("decrypted"))
    with pytest.raises(Forged):
        receive(*posted(token="another"))
