"""The simulated wiki is faithful: the unmodified lark-oapi client reads it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import App


@pytest.fixture(scope="module")
def sdk() -> Iterator[SimpleNamespace]:
    """lark-oapi, imported in a thread: the import takes the thread's event loop, not the one of other tests."""
    first = "lark_oapi" not in sys.modules
    with ThreadPoolExecutor(1) as pool:
        found, client = pool.submit(_imported).result()
    yield found
    if first:  # the loop was made by the import and is never closed: it would complain at the very end
        client.loop.close()


def _imported() -> tuple[SimpleNamespace, Any]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lark_oapi
        from lark_oapi.api.docs import v1 as docs
        from lark_oapi.api.docx import v1 as docx
        from lark_oapi.api.drive import v1 as drive
        from lark_oapi.api.wiki import v2 as wiki
        from lark_oapi.ws import client
    return SimpleNamespace(lark=lark_oapi, docs=docs, docx=docx, drive=drive, wiki=wiki), client


def client_of(sdk: SimpleNamespace, feishu: FeishuSimulator) -> Any:
    app = feishu.app
    return sdk.lark.Client.builder().app_id(app.app_id).app_secret(app.app_secret).domain(feishu.url).build()


def titles_of(sdk: SimpleNamespace, client: Any, space: str) -> list[str]:
    """As the documentation says: until there is no more, whatever a page of the list holds."""
    titles, token, more = [], "", True
    while more:
        ask = sdk.wiki.ListSpaceNodeRequest.builder().space_id(space).page_size(50)
        answer = client.wiki.v2.space_node.list((ask.page_token(token) if token else ask).build())
        assert answer.success(), (answer.code, answer.msg)
        titles += [item.title for item in answer.data.items or ()]
        more, token = answer.data.has_more, answer.data.page_token
    return titles


def test_the_unmodified_sdk_reads_the_wiki(sdk: SimpleNamespace) -> None:
    # The SDK keeps tokens per app id for the whole process: each simulator needs an app of its own.
    with FeishuSimulator(App(app_id="cli_00000000000000ee")) as feishu:
        wiki, client = feishu.wiki, client_of(sdk, feishu)
        space, wiki.cap = wiki.space("制度"), 2
        pages = [wiki.add(space, f"第{n}章", f"内容{n}") for n in range(5)]
        file = wiki.add(space, "手册.txt", kind="file", data="手册".encode(), parent=pages[0])
        assert titles_of(sdk, client, space) == [page.title for page in pages]

        asked = sdk.wiki.GetNodeSpaceRequest.builder().token(pages[0].token).build()
        node = client.wiki.v2.space.get_node(asked).data.node
        assert (node.title, node.has_child, node.obj_token) == ("第0章", True, pages[0].obj)

        raw = sdk.docx.RawContentDocumentRequest.builder().document_id(pages[1].obj).lang(0).build()
        assert client.docx.v1.document.raw_content(raw).data.content == "内容1"

        asked = sdk.docs.GetContentRequest.builder().doc_token(pages[1].obj).doc_type("docx").content_type("markdown")
        assert client.docs.v1.content.get(asked.build()).data.content == "# 第1章\n\n内容1"

        got = client.drive.v1.file.download(sdk.drive.DownloadFileRequest.builder().file_token(file.obj).build())
        assert (got.file.read().decode(), got.file_name) == ("手册", "手册.txt")


def test_the_unmodified_sdk_hears_the_refusals(sdk: SimpleNamespace) -> None:
    with FeishuSimulator(App(app_id="cli_00000000000000ef")) as feishu:
        wiki, client = feishu.wiki, client_of(sdk, feishu)
        space = wiki.space("制度")
        page, gone = wiki.add(space, "薪酬", "保密。"), wiki.add(space, "旧")
        wiki.locked.add(page.obj)
        wiki.trash(gone)
        raw = sdk.docx.RawContentDocumentRequest.builder().document_id(page.obj).build()
        assert client.docx.v1.document.raw_content(raw).code == 1770032

        docs = [sdk.drive.RequestDoc.builder().doc_token(one.obj).doc_type("docx").build() for one in (page, gone)]
        body = sdk.drive.MetaRequest.builder().request_docs(docs).with_url(False).build()
        answer = client.drive.v1.meta.batch_query(sdk.drive.BatchQueryMetaRequest.builder().request_body(body).build())
        failed = {one.token: one.code for one in answer.data.failed_list}
        assert failed == {page.obj: 970003, gone.obj: 970005}

        wiki.strangers.add(space)
        listed = client.wiki.v2.space_node.list(sdk.wiki.ListSpaceNodeRequest.builder().space_id(space).build())
        assert listed.code == 131006
        codes = {client.docx.v1.document.raw_content(raw).code for _ in range(6)}
        assert 99991400 in codes
