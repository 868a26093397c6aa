"""The simulated directory, accounts and console are faithful: the unmodified lark-oapi client reads them."""

# ruff: noqa: F811 - the fixture is the one of test_feishu.py
from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bot.platforms.feishu.login import challenge
from bot.platforms.feishu.requirements import CALLBACKS, EVENTS, SCOPES
from tests.simulators.feishu import FeishuSimulator
from tests.simulators.feishu_events import App
from tests.simulators.test_feishu import lark_client, sdk  # noqa: F401

BACK = "http://127.0.0.1:8080/login/feishu"
VERIFIER = "v" * 64


def agreed(feishu: FeishuSimulator, **more: str) -> dict[str, str]:
    """What the browser comes back with after the page of the accounts."""
    asked = {"client_id": feishu.app.app_id, "response_type": "code", "redirect_uri": BACK, "state": "s", **more}
    answer = httpx.get(f"{feishu.url}/open-apis/authen/v1/authorize", params=asked)
    assert answer.status_code == 302, answer.text
    address = urlsplit(answer.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == BACK
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def test_sdk_reads_people_departments_and_the_organisation(sdk: SimpleNamespace) -> None:
    from lark_oapi.api.contact import v3
    from lark_oapi.api.tenant import v2

    with FeishuSimulator(App(app_id="cli_00000000000000d1")) as feishu:
        feishu.directory.open("od-1", "研发部")
        feishu.directory.open("od-2", "平台组", "od-1")
        feishu.directory.join("ou_alice", "王小墨", "od-2", primary="od-2")
        feishu.directory.join("ou_other", "外人", tenant_key="other")
        client = lark_client(sdk, feishu)
        request = v3.BatchUserRequest.builder().user_ids(["ou_alice", "ou_other"]).user_id_type("open_id")
        found = client.contact.v3.user.batch(request.department_id_type("open_department_id").build())
        assert found.success(), (found.code, found.msg)
        assert [(one.name, one.union_id, one.department_ids) for one in found.data.items] == [
            ("王小墨", "on_alice", ["od-2"])
        ]
        assert found.data.items[0].orders[0].is_primary_dept is True
        one = client.contact.v3.user.get(
            v3.GetUserRequest.builder().user_id("ou_alice").user_id_type("open_id").build()
        )
        assert one.data.user.name == "王小墨"
        none = client.contact.v3.user.get(
            v3.GetUserRequest.builder().user_id("ou_other").user_id_type("open_id").build()
        )
        assert none.code == 41050
        places = client.contact.v3.department.batch(
            v3.BatchDepartmentRequest.builder()
            .department_ids(["od-2"])
            .department_id_type("open_department_id")
            .build()
        )
        assert [(place.name, place.parent_department_id) for place in places.data.items] == [("平台组", "od-1")]
        tenant = client.tenant.v2.tenant.query(v2.QueryTenantRequest.builder().build())
        assert tenant.data.tenant.tenant_key == "tenant"
        feishu.console.granted.discard("tenant:tenant:readonly")
        refused = client.tenant.v2.tenant.query(v2.QueryTenantRequest.builder().build())
        assert refused.code == 99991672
        assert "tenant:tenant:readonly" in refused.msg


def test_sdk_reads_what_is_set_in_the_console(sdk: SimpleNamespace) -> None:
    """The addresses that doctor asks exist in the SDK's models, with these fields."""
    from lark_oapi.api.application import v6

    with FeishuSimulator(App(app_id="cli_00000000000000d2")) as feishu:
        application = lark_client(sdk, feishu).application.v6
        scopes = application.scope.list(v6.ListScopeRequest.builder().build())
        assert scopes.success(), (scopes.code, scopes.msg)
        assert {need.name for need in SCOPES} <= {
            one.scope_name for one in scopes.data.scopes if one.grant_status == 1 and one.scope_type == "tenant"
        }
        app = application.application.get(v6.GetApplicationRequest.builder().app_id("me").lang("zh_cn").build())
        assert app.data.app.callback_info.subscribed_callbacks == [need.name for need in CALLBACKS]
        assert app.data.app.callback_info.callback_type == "webhook"
        versions = application.application_app_version.list(
            v6.ListApplicationAppVersionRequest.builder().app_id("me").lang("zh_cn").page_size(10).build()
        )
        live = next(one for one in versions.data.items if one.status == 1)
        assert {one.event_type for one in live.event_infos} == {need.name for need in EVENTS}


def test_sdk_logs_somebody_in(sdk: SimpleNamespace) -> None:
    from lark_oapi.api.authen import v1
    from lark_oapi.core.model import RequestOption

    with FeishuSimulator(App(app_id="cli_00000000000000d3")) as feishu:
        feishu.directory.join("ou_alice", "王小墨")
        lark = sdk.lark.Client.builder().app_id(feishu.app.app_id).app_secret(feishu.app.app_secret)
        client = lark.domain(feishu.url).oauth_base_url(feishu.url).enable_set_token(True).build()

        def exchange(code: str, verifier: str | None = VERIFIER, back: str = BACK) -> Any:
            return client.access_token.retrieve_by_authorization_code(code, redirect_uri=back, code_verifier=verifier)

        pkce = {"code_challenge": challenge(VERIFIER), "code_challenge_method": "S256"}
        code = agreed(feishu, **pkce)["code"]
        token = exchange(code)
        option = RequestOption.builder().user_access_token(token.access_token).build()
        info = client.authen.v1.user_info.get(v1.GetUserInfoRequest.builder().build(), option)
        assert (info.data.name, info.data.open_id, info.data.tenant_key) == ("王小墨", "ou_alice", "tenant")

        def refused(code: str, **how: Any) -> int:
            with pytest.raises(sdk.lark.core.exception.AccessTokenException) as error:
                exchange(code, **how)
            return int(error.value.code)

        assert refused(code) == 20065  # a code works once
        assert refused("no-such-code") == 20003
        assert refused(agreed(feishu, **pkce)["code"], verifier="x" * 64) == 20049
        assert refused(agreed(feishu)["code"]) == 20049  # PKCE is enforced both ways
        assert refused(agreed(feishu, **pkce)["code"], back="http://127.0.0.1:8080/elsewhere") == 20071
        late = agreed(feishu, **pkce)["code"]
        feishu.advance(301)
        assert refused(late) == 20004
        feishu.accounts.unavailable.add("ou_alice")
        assert refused(agreed(feishu, **pkce)["code"]) == 20010
        feishu.accounts.cancels = True
        assert agreed(feishu, **pkce) == {"error": "access_denied", "state": "s"}
