"""The simulator is faithful: the unmodified lark-oapi client works against it and believes what it posts."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulators import feishu_events as events
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import App

PNG = b"\x89PNG\r\n\x1a\n\r\n--" + bytes(range(256))
CARD = json.dumps(
    {
        "schema": "2.0",
        "config": {"update_multi": True},
        "body": {"elements": [{"tag": "markdown", "content": "你好"}]},
    },
    ensure_ascii=False,
)


@pytest.fixture
def feishu() -> Iterator[FeishuSimulator]:
    with FeishuSimulator() as simulator:
        yield simulator


class Server:
    """A bot's web server that answers what it is told to and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []  # of the next answers; 200 when there is none
        self.answer: Any = {}
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bot.requests.append((dict(self.headers.items()), body))
                self.send_response(bot.statuses.pop(0) if bot.statuses else 200)
                self.end_headers()
                self.wfile.write(json.dumps(bot.answer).encode())

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/feishu/events"


@pytest.fixture
def bot(feishu: FeishuSimulator) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    feishu.bot_url = server.url
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture(scope="session")
def sdk() -> Iterator[SimpleNamespace]:
    """lark-oapi, imported once (it takes seconds) and with its own warnings left to it."""
    first = "lark_oapi" not in sys.modules
    with ThreadPoolExecutor(1) as pool:  # the import takes the thread's event loop: not the one of other tests
        lark, im, client = pool.submit(_imported).result()
    yield SimpleNamespace(lark=lark, im=im)
    if first:  # the loop was made by the import and is never closed: it would complain at the very end
        client.loop.close()


def _imported() -> tuple[Any, Any, Any]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lark_oapi
        from lark_oapi.api.im import v1
        from lark_oapi.ws import client
    return lark_oapi, v1, client


def lark_client(sdk: SimpleNamespace, feishu: FeishuSimulator) -> Any:
    # The SDK keeps tokens per app id for the whole process: each simulator needs an app of its own.
    return (
        sdk.lark.Client.builder().app_id(feishu.app.app_id).app_secret(feishu.app.app_secret).domain(feishu.url).build()
    )


def test_unmodified_sdk_fetches_what_people_sent(sdk: SimpleNamespace) -> None:
    im = sdk.im
    with FeishuSimulator(App(app_id="cli_00000000000000ab")) as feishu:
        client = lark_client(sdk, feishu).im.v1
        sent = events.message(feishu.app, feishu.resources.image(PNG), kind="image", message_id="om_1")
        paper = events.message(feishu.app, feishu.resources.file(b"text", "手册.md"), kind="file", message_id="om_2")
        for each in (sent, paper):
            feishu.resources.keep(each["event"]["message"])
        got = client.message.get(im.GetMessageRequest.builder().message_id("om_1").build())
        assert got.success(), (got.code, got.msg)
        key = json.loads(got.data.items[0].body.content)["image_key"]

        def fetch(message_id: str, file_key: str, kind: str) -> Any:
            request = im.GetMessageResourceRequest.builder().message_id(message_id).file_key(file_key).type(kind)
            return client.message_resource.get(request.build())

        picture = fetch("om_1", key, "image")
        assert picture.success()
        assert picture.file.read() == PNG
        file = fetch("om_2", json.loads(paper["event"]["message"]["content"])["file_key"], "file")
        assert (file.file.read(), file.file_name) == (b"text", "手册.md")
        assert fetch("om_1", "img_none", "image").code == 234003
        assert fetch("om_card", key, "image").code == 234043


def test_unmodified_sdk_sends_replies_changes_and_uploads(sdk: SimpleNamespace) -> None:
    im = sdk.im
    with FeishuSimulator(App(app_id="cli_00000000000000aa")) as feishu:
        client = lark_client(sdk, feishu).im.v1
        body = im.CreateMessageRequestBody.builder().receive_id("oc_1").msg_type("interactive").content(CARD)
        request = im.CreateMessageRequest.builder().receive_id_type("chat_id")
        first = client.message.create(request.request_body(body.uuid("u1").build()).build())
        assert first.success(), (first.code, first.msg)
        again = client.message.create(request.request_body(body.uuid("u1").build()).build())
        assert again.data.message_id == first.data.message_id

        reply = im.ReplyMessageRequestBody.builder().msg_type("text").content('{"text":"好"}').uuid("u2").build()
        replied = client.message.reply(
            im.ReplyMessageRequest.builder().message_id(first.data.message_id).request_body(reply).build()
        )
        assert replied.data.parent_id == first.data.message_id

        change = im.PatchMessageRequestBody.builder().content(CARD.replace("你好", "再见")).build()
        patched = client.message.patch(
            im.PatchMessageRequest.builder().message_id(first.data.message_id).request_body(change).build()
        )
        assert patched.success()
        got = client.message.get(im.GetMessageRequest.builder().message_id(first.data.message_id).build())
        assert "再见" in got.data.items[0].body.content

        picture = im.CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(PNG)).build()
        uploaded = client.image.create(im.CreateImageRequest.builder().request_body(picture).build())
        assert feishu.images[uploaded.data.image_key] == PNG
        assert [(sent.uuid, len(sent.updates)) for sent in feishu.visible()] == [("u1", 1), ("u2", 0)]


async def test_unmodified_sdk_works_asynchronously(sdk: SimpleNamespace) -> None:
    im = sdk.im
    with FeishuSimulator(App(app_id="cli_00000000000000bb")) as feishu:
        client = lark_client(sdk, feishu).im.v1
        body = im.CreateMessageRequestBody.builder().receive_id("oc_1").msg_type("text").content('{"text":"x"}').build()
        sent = await client.message.acreate(
            im.CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body).build()
        )
        assert sent.success(), (sent.code, sent.msg)
        picture = im.CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(PNG)).build()
        uploaded = await client.image.acreate(im.CreateImageRequest.builder().request_body(picture).build())
        assert feishu.images[uploaded.data.image_key] == PNG


def test_sdk_sees_the_platforms_refusals(sdk: SimpleNamespace) -> None:
    im = sdk.im
    with FeishuSimulator(App(app_id="cli_00000000000000cc")) as feishu:
        client = lark_client(sdk, feishu).im.v1

        def send(chat: str = "oc_1", content: str = '{"text":"x"}', kind: str = "text", uuid: str = "") -> int:
            body = im.CreateMessageRequestBody.builder().receive_id(chat).msg_type(kind).content(content).uuid(uuid)
            request = im.CreateMessageRequest.builder().receive_id_type("chat_id").request_body(body.build()).build()
            return int(client.message.create(request).code)

        feishu.unknown_chats.add("oc_out")
        assert send("oc_out") == 230002
        assert send("oc_2", "not JSON") == 230001
        assert send("oc_2", uuid="u" * 51) == 99992402
        assert send("oc_2", CARD.replace("2.0", "1.0"), "interactive") == 230099
        assert send("oc_3", CARD.replace("你好", "x" * 31_000), "interactive") == 230025
        assert [send("oc_4", uuid=f"q{n}") for n in range(7)].count(230020) >= 1
        feishu.fail("429", seconds=9)
        assert send("oc_5") == 99991400
        for data, code in [(b"", 234010), (b"plain text", 234011), (b"\x89PNG\r\n\x1a\n" + bytes(11 * 2**20), 234006)]:
            picture = im.CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(data)).build()
            assert client.image.create(im.CreateImageRequest.builder().request_body(picture).build()).code == code
        feishu.expire_tokens()
        assert send("oc_6") == 99991663  # the SDK never recovers from this; the bot's own client does


def dispatched(sdk: SimpleNamespace, app: App, given: dict[str, str], body: bytes) -> tuple[int, list[Any]]:
    """What lark-oapi's own dispatcher makes of a request."""
    seen: list[Any] = []

    def pressed(event: Any) -> dict[str, Any]:
        seen.append(event)
        return {}

    handler = (
        sdk.lark.EventDispatcherHandler.builder(app.encrypt_key, app.verification_token)
        .register_p2_im_message_receive_v1(seen.append)
        .register_p2_im_message_recalled_v1(seen.append)
        .register_p2_card_action_trigger(pressed)
        .build()
    )
    request = sdk.lark.RawRequest()
    request.uri, request.body, request.headers = "/feishu/events", body, given
    return handler.do(request).status_code, seen


@pytest.mark.parametrize("name", ["text", "post", "mention", "image", "click", "recall", "challenge"])
def test_sdks_own_dispatcher_accepts_what_is_pushed(
    sdk: SimpleNamespace, feishu: FeishuSimulator, bot: Server, name: str
) -> None:
    app = feishu.app
    envelope = {
        "text": events.message(app, "/draw 一只猫", message_id="om_1"),
        "post": events.post(app, [[{"tag": "text", "text": "/draw"}]], message_id="om_1"),
        "mention": events.message(app, "@_user_1 hi", group=True, mentions=[events.mention(1, "ou_x", "李雷")]),
        "image": events.message(app, {"image_key": "img_v3_x"}, kind="image"),
        "click": events.click(app, {"action": "redo", "job": 17}),
        "recall": events.recalled(app, "om_1"),
        "challenge": events.challenge(app, "x"),
    }[name]
    assert feishu.push(envelope).acknowledged
    ((given, body),) = bot.requests
    assert b"draw" not in body  # encrypted
    status, seen = dispatched(sdk, app, given, body)
    assert status == 200
    if name == "text":
        assert json.loads(seen[0].event.message.content) == {"text": "/draw 一只猫"}
        assert seen[0].header.app_id == app.app_id
    if name == "mention":
        assert seen[0].event.message.mentions[0].id.open_id == "ou_x"
    if name == "click":
        assert seen[0].event.action.value == {"action": "redo", "job": 17}
    if name != "challenge":
        forged = {**given, "X-Lark-Signature": "0" * 64}
        assert dispatched(sdk, app, forged, body) == (500, [])


def test_refused_event_comes_again_along_the_ladder(feishu: FeishuSimulator, bot: Server) -> None:
    bot.statuses = [500] * 9
    pushed = feishu.push(events.message(feishu.app, "x", message_id="om_1", event_id="e"))
    for seconds, tries in [(14, 1), (1, 2), (299, 2), (1, 3), (3600, 4), (21599, 4), (1, 5), (99_999, 5)]:
        feishu.advance(seconds)
        assert len(pushed.statuses) == tries, seconds
    assert pushed.envelope["header"]["event_id"] == "e"
    assert not pushed.acknowledged


def test_event_is_repeated_until_acknowledged_also_under_another_event_id(feishu: FeishuSimulator, bot: Server) -> None:
    bot.statuses = [503, 500]
    pushed = feishu.push(events.message(feishu.app, "x", message_id="om_1", event_id="e"))
    feishu.advance(400, new_event_id=True)
    assert pushed.statuses == [503, 500, 200]
    assert pushed.envelope["header"]["event_id"] != "e"
    assert pushed.envelope["event"]["message"]["message_id"] == "om_1"


def test_nobody_listens(feishu: FeishuSimulator) -> None:
    feishu.bot_url = "http://127.0.0.1:9/feishu/events"
    assert feishu.push(events.message(feishu.app, "x")).statuses == [0]


def test_press_comes_once_and_its_answer_is_judged(feishu: FeishuSimulator, bot: Server) -> None:
    bot.statuses = [500]
    feishu.push(events.click(feishu.app, {"action": "redo"}))
    feishu.advance(99_999)
    assert len(bot.requests) == 1
    bot.answer = {"toast": {"type": "success", "content": "好"}}
    assert feishu.push(events.click(feishu.app, {"action": "redo"})).answer == bot.answer
    bot.answer = {"code": 0}
    with pytest.raises(AssertionError, match="200671"):
        feishu.push(events.click(feishu.app, {"action": "redo"}))


def test_repetitions_may_keep_their_first_stamp(feishu: FeishuSimulator, bot: Server) -> None:
    feishu.restamp = False
    bot.statuses = [500]
    pushed = feishu.push(events.message(feishu.app, "x"))
    pushed.stamp -= 1000  # as if pushed long ago
    feishu.advance(15)
    first, second = (int(given["X-Lark-Request-Timestamp"]) for given, _ in bot.requests)
    assert first - second in (1000, 999, 1001)


def test_uuid_protects_for_an_hour_only(feishu: FeishuSimulator) -> None:
    import httpx

    with httpx.Client(base_url=feishu.url) as http:

        def call(path: str, body: dict[str, Any], token: str = "") -> Any:
            return http.post(
                f"/open-apis{path}", json=body, headers={"Authorization": f"Bearer {token}"} if token else {}
            ).json()

        credentials = {"app_id": feishu.app.app_id, "app_secret": feishu.app.app_secret}
        body = {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"x"}', "uuid": "u"}
        for seconds, messages in [(0, 1), (3500, 1), (200, 2)]:
            feishu.advance(seconds)
            token = call("/auth/v3/tenant_access_token/internal", credentials)["tenant_access_token"]
            assert call("/im/v1/messages?receive_id_type=chat_id", body, token)["code"] == 0
            assert len(feishu.visible("u")) == messages
        feishu.advance(8000)
        assert call("/im/v1/messages?receive_id_type=chat_id", body, token)["code"] == 99991677
        assert call("/im/v1/messages?receive_id_type=chat_id", body)["code"] == 99991661
