"""Calls of the app against a simulated WeCom that misbehaves: every defect of wechatpy 1.8.18 that is mended."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest

from bot.platforms.base import TOO_LARGE, PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.app.codes import Busy, MediaGone
from bot.platforms.wecom.settings import WecomApp
from tests.bot.platforms.wecom.app.conftest import Clock
from tests.simulators.wecom import WecomSimulator

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


async def look_up(client: WecomClient, user: str = "alice") -> str:
    return str((await client.call("GET", "user/get", {"userid": user}))["name"])


def text(content: str) -> dict[str, object]:
    return {"touser": "alice", "agentid": 1000002, "msgtype": "text", "text": {"content": content}}


def tokens(wecom: WecomSimulator) -> int:
    return wecom.calls.count("GET /cgi-bin/gettoken")


async def test_sixteen_calls_at_once_ask_for_one_token(client: WecomClient, wecom: WecomSimulator) -> None:
    wecom.fail("slow", "gettoken", seconds=0.2)
    names = await asyncio.gather(*(look_up(client) for _ in range(16)))
    assert set(names) == {"爱丽丝"}
    assert tokens(wecom) == 1


async def test_trap_17_a_token_is_asked_for_when_it_is_needed_and_shortly_before_its_end(
    client: WecomClient, wecom: WecomSimulator, clock: Clock
) -> None:
    await look_up(client)
    clock.advance(7200 - 301)
    await look_up(client)
    assert tokens(wecom) == 1
    clock.advance(2)  # five minutes before its end
    await look_up(client)
    assert tokens(wecom) == 2


@pytest.mark.parametrize("code", [40001, 40014, 41001, 42001])
async def test_a_refused_token_is_renewed_once(client: WecomClient, wecom: WecomSimulator, code: int) -> None:
    await look_up(client)
    wecom.revoke_tokens(code)
    assert await asyncio.gather(*(look_up(client) for _ in range(4))) == ["爱丽丝"] * 4
    assert tokens(wecom) == 2


async def test_a_token_that_stays_refused_is_no_endless_loop(client: WecomClient, wecom: WecomSimulator) -> None:
    wecom.refuse_tokens(*[40014, 42001] * 5)
    with pytest.raises(Unconfigured) as refused:
        await look_up(client)
    assert refused.value.code == 42001
    assert tokens(wecom) == 2


async def test_a_wrong_secret_is_for_the_operator_and_asked_with_once(
    settings: WecomApp, wecom: WecomSimulator, clock: Clock
) -> None:
    wecom.app.secret = "another"
    client = WecomClient(settings, clock=clock.monotonic)
    for _ in range(3):
        with pytest.raises(Unconfigured, match="the app's secret is not valid"):
            await look_up(client)
    assert tokens(wecom) == 1
    wecom.app.secret = settings.secret.get_secret_value()
    clock.advance(6)
    assert await look_up(client) == "爱丽丝"  # set right, it works without a restart
    await client.close()


@pytest.mark.parametrize("kind", ["close", "reset", "torn", "html", "500", "garbage", "empty"])
async def test_an_answer_that_never_came_is_worth_another_try(
    client: WecomClient, wecom: WecomSimulator, kind: str
) -> None:
    await look_up(client)
    wecom.fail(kind, "user/get")
    with pytest.raises(Retry):
        await look_up(client)
    wecom.fail(kind, "gettoken")
    wecom.revoke_tokens()
    with pytest.raises(Retry):
        await look_up(client)


async def test_no_call_waits_for_ever(settings: WecomApp, wecom: WecomSimulator) -> None:
    client = WecomClient(settings, timeout=0.2)
    wecom.fail("slow", "gettoken", seconds=0.5)
    with pytest.raises(Retry, match="ReadTimeout"):
        await look_up(client)
    await client.close()


async def test_a_limit_of_calls_is_left_alone_for_a_minute(
    client: WecomClient, wecom: WecomSimulator, clock: Clock
) -> None:
    await look_up(client)
    wecom.fail("code", "user/get", code=45009)
    for _ in range(3):
        with pytest.raises(Busy) as busy:
            await look_up(client)
        assert busy.value.after is not None
        assert 50 < busy.value.after <= 60
    assert wecom.calls.count("GET /cgi-bin/user/get") == 1  # the simulator notes what it answers itself
    await client.call("GET", "getcallbackip")  # other calls have their own limit
    clock.advance(61)
    assert await look_up(client) == "爱丽丝"


async def test_an_untrusted_address_is_named(client: WecomClient, wecom: WecomSimulator) -> None:
    wecom.app.trusted_ip = False
    with pytest.raises(Unconfigured, match=r"address 203\.0\.113\.7 is not among .*企业可信IP"):
        await look_up(client)


async def test_trap_18_chinese_is_sent_as_it_is(client: WecomClient, wecom: WecomSimulator) -> None:
    content = "猫" * 682  # 2046 bytes; written as \\uxxxx it would be 4092
    await client.call("POST", "message/send", data=text(content))
    assert wecom.texts("alice") == [content]


async def test_half_a_character_is_refused_here(client: WecomClient, wecom: WecomSimulator) -> None:
    with pytest.raises(Undelivered):
        await client.call("POST", "message/send", data=text("\ud83d"))
    assert wecom.messages == []


async def test_a_file_is_whole_although_its_token_was_renewed(client: WecomClient, wecom: WecomSimulator) -> None:
    await look_up(client)
    wecom.revoke_tokens(42001)
    media = await client.upload("image", "图片.png", PNG, "image/png")
    assert (await client.download(media, 1000)).data == PNG
    await client.call("POST", "message/send", data={**text(""), "msgtype": "image", "image": {"media_id": media}})
    assert wecom.messages[-1].data == PNG


async def test_a_file_is_read_up_to_its_limit(client: WecomClient) -> None:
    media = await client.upload("file", "方案.json", b'{"errcode": 40007}', "application/json")
    found = await client.download(media, 18)
    assert (found.data, found.name) == (b'{"errcode": 40007}', "方案.json")  # JSON in a file is a file
    with pytest.raises(Undelivered) as large:
        await client.download(media, 17)
    assert large.value.code == TOO_LARGE
    with pytest.raises(MediaGone):
        await client.download("nobody's", 100)


async def test_a_redirect_takes_the_secret_nowhere(settings: WecomApp) -> None:
    asked: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    client = WecomClient(settings.model_copy(update={"base_url": f"http://{host}:{port}"}))
    with pytest.raises(Retry):
        await look_up(client)
    assert len(asked) == 1
    await client.close()
    server.close()
    await server.wait_closed()


async def test_a_switched_off_app_is_for_the_operator(client: WecomClient, wecom: WecomSimulator) -> None:
    wecom.app.enabled = False
    with pytest.raises(Unconfigured, match="switched off"):
        await client.call("post", "/cgi-bin/message/send", data=text("x"))


@pytest.mark.parametrize("kind", ["close", "html", "garbage", "code"])
async def test_secret_and_token_are_in_no_error_and_no_log(
    client: WecomClient,
    wecom: WecomSimulator,
    settings: WecomApp,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    for path in ("gettoken", "user/get"):
        wecom.fail(kind, path, code=40013)
        try:
            await look_up(client)
        except PlatformError as error:
            told += "".join(traceback.format_exception(error))
            cause: BaseException | None = error
            while cause is not None:  # what a log would show, and what only stands behind it
                told += f"{cause!r} {vars(cause)}"
                cause = cause.__cause__ or cause.__context__
    assert told
    everything = told + caplog.text
    assert settings.secret.get_secret_value() not in everything
    assert not [token for token in wecom.api.tokens if token in everything]


async def test_what_wecom_says_about_our_secret_is_hidden(client: WecomClient) -> None:
    from bot.platforms.wecom.app.codes import Answer
    from bot.platforms.wecom.app.wechat import hidden

    answer = Answer(code=40001, body={"errmsg": "invalid secret abc for token xyz"})
    assert hidden(answer, ("abc", "xyz", "")).body["errmsg"] == "invalid secret *** for token ***"
