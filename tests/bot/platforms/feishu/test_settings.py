"""Feishu's settings: what is refused, and that the refusal says where to look."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bot.manage import identity
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.feishu.settings import FeishuSettings, Mode, Outsiders, check
from bot.platforms.registry import problems
from bot.settings import Platforms
from bot.settings.parameters import Size

FULL: dict[str, Any] = {
    "enabled": True,
    "mode": "webhook",
    "app_id": "cli_a1b2c3d4e5f60718",
    "app_secret": "s3cret-app",
    "encrypt_key": "s3cret-key",
    "verification_token": "s3cret-token",
}


def test_trap_25_no_size_that_may_be_set_is_more_than_feishu_takes() -> None:
    """It refuses a picture of more than 12,000 pixels a side."""
    assert Size.model_json_schema()["properties"]["max"]["maximum"] <= 12_000


def test_defaults_are_the_contract() -> None:
    settings = FeishuSettings.model_validate({})
    assert not settings.enabled
    assert settings.mode is Mode.LONG_CONNECTION
    assert settings.domain == "https://open.feishu.cn"
    assert check(settings) == []


@pytest.mark.parametrize("name", ["app_id", "app_secret", "encrypt_key", "verification_token"])
def test_webhook_needs_all_four_and_says_where_they_stand(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} is empty, find it in the developer console"):
        FeishuSettings.model_validate({**FULL, name: ""})
    FeishuSettings.model_validate({**FULL, name: "", "enabled": False})


def test_long_connection_needs_two_values_only() -> None:
    section = {name: FULL[name] for name in ("enabled", "app_id", "app_secret")}
    settings = FeishuSettings.model_validate(section)
    assert settings.mode is Mode.LONG_CONNECTION
    assert check(settings) == []
    with pytest.raises(ValidationError, match="app_secret is empty"):
        FeishuSettings.model_validate({**section, "app_secret": ""})


@pytest.mark.parametrize(
    ("mode", "packages"),
    [
        ("webhook", {"cryptography": "cryptography"}),
        ("long_connection", {"websockets": "websockets", "lark_oapi": "lark-oapi"}),
    ],
)
def test_missing_package_is_found_before_the_first_event(mode: str, packages: dict[str, str]) -> None:
    settings = FeishuSettings.model_validate({**FULL, "mode": mode})
    for module, package in packages.items():
        (problem,) = check(settings, lambda name, gone=module: None if name == gone else name)  # type: ignore[misc]
        assert f"the package {package} is not installed: pip install 'moqi[feishu]'" in problem
    assert check(settings) == []
    assert check(FeishuSettings.model_validate({}), lambda name: None) == []


@pytest.mark.parametrize(
    ("domain", "kept"),
    [
        ("https://open.larksuite.com", "https://open.larksuite.com"),
        ("https://open.feishu.cn/", "https://open.feishu.cn"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://localhost", "http://localhost"),
        ("http://open.feishu.cn", None),
        ("open.feishu.cn", None),
        ("https://open.feishu.cn/open-apis", None),
        ("", None),
    ],
)
def test_trap_32_domain_is_a_setting(domain: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(ValidationError, match="must be https://host"):
            FeishuSettings.model_validate({**FULL, "domain": domain})
    else:
        assert FeishuSettings.model_validate({**FULL, "domain": domain}).domain == kept


def test_typo_is_an_error_and_no_error_shows_a_secret() -> None:
    with pytest.raises(ValidationError) as refused:
        FeishuSettings.model_validate({**FULL, "encript_key": "s3cret-typo", "app_id": ["s3cret-list"]})
    assert "encript_key" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(FeishuSettings.model_validate(FULL))


@pytest.mark.parametrize(
    ("given", "accounts"),
    [
        ({}, "https://accounts.feishu.cn"),
        ({"domain": "https://open.larksuite.com"}, "https://accounts.larksuite.com"),
        ({"domain": "https://open.larksuite.com/"}, "https://accounts.larksuite.com"),
        (
            {"domain": "https://open.larksuite.com", "accounts_domain": "https://accounts.feishu.cn"},
            "https://accounts.larksuite.com",  # left at its default
        ),
        (
            {"domain": "https://open.larksuite.com", "accounts_domain": "https://accounts.example.com"},
            "https://accounts.example.com",
        ),
        ({"domain": "http://127.0.0.1:9", "accounts_domain": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
    ],
)
def test_trap_32_where_people_log_in_follows_the_domain(given: dict[str, str], accounts: str) -> None:
    assert FeishuSettings.model_validate({**FULL, **given}).accounts_domain == accounts


def test_trap_32_a_pair_of_two_platforms_is_refused() -> None:
    with pytest.raises(
        ValidationError, match="are two platforms: an app belongs to one of them; write accounts_domain"
    ):
        FeishuSettings.model_validate({**FULL, "accounts_domain": "https://accounts.larksuite.com"})


def test_outsiders_are_refused_unless_the_settings_say_otherwise() -> None:
    assert FeishuSettings.model_validate(FULL).external is Outsiders.REFUSE
    allowed = FeishuSettings.model_validate({**FULL, "external": "allow", "allowed_tenants": ["t1", "t2"]})
    assert (allowed.external, allowed.allowed_tenants) == (Outsiders.ALLOW, ("t1", "t2"))
    with pytest.raises(ValidationError, match="'refuse' or 'allow'"):
        FeishuSettings.model_validate({**FULL, "external": "maybe"})


def test_several_apps_have_names_and_addresses_of_their_own() -> None:
    other = {**FULL, "app_id": "cli_other"}
    platforms = Platforms.model_validate({"feishu": FULL, "feishu_apps": {"design": other, "off-1": {}}})
    assert problems(platforms) == []
    opened = [FeishuPlatform(app, name=name) for name, app in platforms.feishu_by_name().items()]
    assert [(app.name, app.path) for app in opened] == [
        ("feishu", "/feishu/events"),
        ("feishu-design", "/feishu/design/events"),
        ("feishu-off-1", "/feishu/off-1/events"),
    ]
    assert str(identity("feishu-design:ou_1")) == "feishu-design:ou_1"
    assert identity("feishu-:ou_1") is None
    assert identity("feishu_design:ou_1") is None


@pytest.mark.parametrize("name", ["", "Design", "a_b", "x" * 21, "设计"])
def test_an_apps_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(ValidationError, match="1 to 20 small letters"):
        Platforms.model_validate({"feishu_apps": {name: {}}})


def test_two_apps_with_one_id_are_refused() -> None:
    twice = {"feishu": FULL, "feishu_apps": {"again": FULL}}
    with pytest.raises(ValidationError, match="name the app cli_a1b2c3d4e5f60718 twice"):
        Platforms.model_validate(twice)
    Platforms.model_validate({**twice, "feishu": {**FULL, "enabled": False}})
