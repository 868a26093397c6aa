"""Settings files as written against what they become, or the line that says why not."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter, ValidationError

from bot.settings import Environment, Platforms, Settings, SettingsError, json_schema, load
from bot.settings.knowledge import Part, Readers, part
from bot.settings.source import read
from inference.grounding.chunk import STANDARD, VERSION
from storage.records import Allowance, Role, Unit

SHIPPED = Path(__file__).parents[2] / "deploy" / "config"


def loaded(folder: Path, environ: dict[str, str] | None = None, **files: str) -> Settings:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load(folder, environ or {})


def complaints(folder: Path, environ: dict[str, str] | None = None, **files: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, environ, **files)
    return str(caught.value).splitlines()


def test_no_files_means_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.model.image.engine == "auto"
    assert settings.policy.limits.concurrency == 3
    assert settings.policy.limits.count == 2


def test_the_shipped_files_say_the_defaults(tmp_path: Path) -> None:
    shipped, bare = load(SHIPPED, {}), load(tmp_path, {})
    for name in ("model", "parameters", "interface", "policy", "knowledge"):
        assert getattr(shipped, name) == getattr(bare, name), name
    assert shipped.platforms.web == bare.platforms.web
    assert not shipped.platforms.feishu.enabled


def test_the_shipped_schemas_are_current() -> None:
    schemas = json_schema()
    assert sorted(p.name for p in (SHIPPED / "schema").iterdir()) == sorted(f"{name}.schema.json" for name in schemas)
    for name, schema in schemas.items():
        committed = json.loads((SHIPPED / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
        assert committed == schema, f"{name}: write it again with `moqi config schema deploy/config/schema`"


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"does not exist: run `moqi init`, or set MOQI_CONFIG"):
        load(tmp_path / "nowhere", {})


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "model",
            "image:\n  enginee: auto",
            "model.yaml:2: image.enginee: unknown key, did you mean engine? allowed: e",
        ),
        ("model", "imagery: {}", "model.yaml:1: imagery: unknown key, did you mean image? allowed: image, text, embed"),
        ("model", "image:\n  xyz: 1", "model.yaml:2: image.xyz: unknown key; allowed: engine, id, path"),
        (
            "model",
            "image:\n\n  dtype: float8",
            "model.yaml:3: image.dtype: must be 'bfloat16', 'float16', 'float32' (now",
        ),
        (
            "model",
            "image:\n  offload: off",
            "model.yaml:2: image.offload: must be 'auto', 'none', 'model', 'group' (now: off)",
        ),
        ("model", "image: 3", "model.yaml:1: image: must be a group of `key: value` lines (now: 3)"),
        ("model", "image:\n  compile: maybe", "model.yaml:2: image.compile: must be 'auto', True, False (now: maybe)"),
        (
            "model",
            "image:\n  memory_fraction: 2",
            "model.yaml:2: image.memory_fraction: must be auto, or more than 0 and at most 1 (now: 2)",
        ),
        (
            "model",
            "image:\n  engine: auto\n  engine: zimage",
            "model.yaml:3: image.engine: written twice (first in line 2)",
        ),
        ("model", "fleet: ray", "model.yaml:1: fleet: ray comes with a later version; allowed now: local"),
        (
            "model",
            "text:\n  engine: vllm",
            "model.yaml:1: text: engine vllm needs path, the folder of the checkpoint",
        ),
        (
            "model",
            "image:\n  adapters:\n    a: {path: x, weight: 9}",
            "model.yaml:3: image.adapters.a.weight: must be 4.0 or less (now: 9)",
        ),
        ("model", "embedding:\n  engine: local", "model.yaml:1: embedding: engine local needs path"),
        ("model", "embedding:\n  next: {engine: local}", "model.yaml:2: embedding.next: engine local needs path"),
        (
            "model",
            "embedding:\n  engine: openai\n  base_url: http://x",
            "model.yaml:1: embedding: engine openai needs base_url, the server's address, and id",
        ),
        (
            "model",
            "embedding:\n  reranker: {engine: openai, id: a}",
            "model.yaml:2: embedding.reranker: engine openai needs base_url",
        ),
        ("model", "- a\n- b", "model.yaml:1: must consist of `key: value` lines"),
        ("model", "image: {", "model.yaml:1: not valid YAML: "),
        ("model", "a: b: c", "model.yaml:1: not valid YAML: mapping values are not allowed here"),
        (
            "model",
            "fleet: !!python/name:os.system x",
            "model.yaml:1: fleet: the tag tag:yaml.org,2002:python/name:os.system",
        ),
        ("model", "image: &a\n  x: *a", "model.yaml:2: image.x: refers to itself"),
        ("model", "? [a, b]\n: 1", "model.yaml:1: keys must be plain words"),
        ("parameters", "steps:\n  max: 4\n  default: 8", "parameters.yaml:1: steps: default 8 is not allowed: 1..4"),
        ("parameters", "steps:\n  min: 60", "parameters.yaml:1: steps: min 60 is above max 50: swap them"),
        ("parameters", "steps:\n  choices: [4, 80]", "parameters.yaml:1: steps: choice 80 is outside 1..50"),
        ("parameters", "steps:\n  default: 1.5", "parameters.yaml:2: steps.default: must be a whole number (now: 1.5)"),
        (
            "parameters",
            "size:\n  default: 1000x1000",
            "parameters.yaml:1: size: default 1000x1000 is not allowed: sides 64..20",
        ),
        (
            "parameters",
            "size:\n  default: large",
            "parameters.yaml:2: size.default: must look like 1024x1024 (now: large)",
        ),
        (
            "parameters",
            "size:\n  default: 1024x1024\n  choices: [512x512]",
            "parameters.yaml:1: size: default 1024x1024 is not allowed: sides 64..2048, multiples of 16, one of 512",
        ),
        ("parameters", "size:\n  choices: [500x500]", "parameters.yaml:1: size: choice 500x500 is not allowed"),
        (
            "parameters",
            "size:\n  min: 250\n  max: 250",
            "parameters.yaml:1: size: default 256x256 is not allowed: sides 250",
        ),
        ("parameters", "seed:\n  default: -1", "parameters.yaml:2: seed.default: must be 0 or more (now: -1)"),
        ("interface", "language: fr", "interface.yaml:1: language: must be 'zh', 'en' (now: fr)"),
        (
            "interface",
            "features:\n  enhancement: true",
            "interface.yaml:2: features.enhancement: comes with a later version",
        ),
        ("interface", "title: ''", "interface.yaml:1: title: must have 1 characters or more (now: )"),
        (
            "platforms",
            "wecom:\n  app:\n    enabled: yes",
            "platforms.yaml:2: wecom.app: corp_id is empty, find it in the admin console (管理后台) > 我的企业",
        ),
        (
            "platforms",
            "wecom:\n  app: {enabled: yes, corp_id: ww1, agent_id: '2', secret: s, token: t}",
            "platforms.yaml:2: wecom.app: encoding_aes_key is empty, find it in",
        ),
        (
            "platforms",
            "wecom:\n  app: {enabled: yes, corp_id: ww1, agent_id: mine, secret: s}",
            "platforms.yaml:2: wecom.app: agent_id is a number, find it in",
        ),
        (
            "platforms",
            "wecom:\n  aibot: {enabled: yes, bot_id: b}",
            "platforms.yaml:2: wecom.aibot: secret is empty, find it in the robot's API settings",
        ),
        (
            "platforms",
            "wecom:\n  aibot: {encoding_aes_key: short}",
            "platforms.yaml:2: wecom.aibot.encoding_aes_key: an EncodingAESKey has 43 letters and digits",
        ),
        (
            "platforms",
            "wecom:\n  aibot: {ws_url: 'ws://elsewhere'}",
            "platforms.yaml:2: wecom.aibot.ws_url: must be wss://host (plain ws only on this machine)",
        ),
        (
            "platforms",
            "wecom:\n  webhooks: {a b: c}",
            "platforms.yaml:2: wecom.webhooks.a b: a group robot's name has 1 to 20 letters, digits, _ and -",
        ),
        (
            "platforms",
            "wecom:\n  webhooks: {a: 'https://h/cgi-bin/webhook/send'}",
            "platforms.yaml:2: wecom.webhooks.a: has no key: copy the whole webhook address",
        ),
        (
            "platforms",
            "feishu:\n  mode: off",
            "platforms.yaml:2: feishu.mode: must be 'long_connection', 'webhook' (now: off)",
        ),
        ("platforms", "web:\n  enabled:\n    - 1", "platforms.yaml:2: web.enabled: must be true or false"),
        (
            "policy",
            "timezone: Mars/Base",
            "policy.yaml:1: timezone: is no time zone: write a name such as Asia/Shanghai",
        ),
        ("policy", "timezone: ../../etc/passwd", "policy.yaml:1: timezone: is no time zone"),
        ("policy", "quotas:\n  user:\n    draw: 50", "policy.yaml:3: quotas.user.draw: write units per period: 50/day"),
        ("policy", "quotas:\n  user:\n    draw: 5/hour", "policy.yaml:3: quotas.user.draw: write units per period"),
        ("policy", "quotas:\n  user:\n    draw: []", "policy.yaml:3: quotas.user.draw: write units per period"),
        (
            "policy",
            "quotas:\n  user:\n    draw: [5/day, 9/day]",
            "policy.yaml:3: quotas.user.draw: write each period once",
        ),
        (
            "policy",
            "quotas:\n  group:\n    oc_1: {draw: 5/day}",
            "policy.yaml:3: quotas.group.oc_1: write <platform>:<chat id>, for example feishu:oc_123",
        ),
        (
            "policy",
            "quotas:\n  department:\n    设计部:\n      draw: lots",
            "policy.yaml:4: quotas.department.设计部.draw: write units per period: 50/day",
        ),
        ("policy", "quotas:\n  warn_at: 101", "policy.yaml:2: quotas.warn_at: must be 100 or less (now: 101)"),
        (
            "policy",
            "roles:\n  alice: admin",
            "policy.yaml:2: roles.alice: write <platform>:<user id>, for example feishu:ou_123",
        ),
        (
            "policy",
            "roles:\n  web:alice: king",
            "policy.yaml:2: roles.web:alice: must be 'admin', 'reviewer', 'user' (now: king)",
        ),
        (
            "policy",
            "naming: '{date}_{who}'",
            "policy.yaml:1: naming: knows no field {who}; allowed: project, date, seq",
        ),
        ("policy", "limits:\n  concurrency: 0", "policy.yaml:2: limits.concurrency: must be 1 or more (now: 0)"),
        (
            "policy",
            "limits:\n  rate: {user: 30/fortnight}",
            "policy.yaml:2: limits.rate.user: write orders per period: 30/minute, 200/hour, 1000/day (now: 30/fort",
        ),
        (
            "policy",
            "limits:\n  rate: 5",
            "policy.yaml:2: limits.rate: must be a group of `key: value` lines (now: 5)",
        ),
        ("policy", "hours:\n  interactive: [mon-fry 9:00-18:00]", "policy.yaml:2: hours.interactive.0: must look like"),
        ("policy", "hours:\n  exempt: [boss]", "policy.yaml:2: hours.exempt.0: must be 'admin', 'reviewer', 'user'"),
        (
            "policy",
            "hours:\n  reserved: [night]",
            "policy.yaml:2: hours.reserved.0: must look like 22:00-07:00 or mon-fri 09:00-18:00 (now: night)",
        ),
        ("knowledge", "sources:\n  - path: a\n  - kind: b", "knowledge.yaml:3: sources.1.kind: unknown key; allowed"),
        (
            "knowledge",
            "sources:\n  - readers: [everyone]",
            "knowledge.yaml:2: sources.0: needs one of path (a folder or file), url and feishu_wiki",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki:\n      spaces: ['70']",
            "knowledge.yaml:2: sources.0.feishu_wiki.readers: is missing: add it",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki:\n      spaces: ['70']\n      readers: []",
            "knowledge.yaml:4: sources.0.feishu_wiki.readers: must name 1 or more",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki:\n      spaces: ['70']\n      readers: [staff]",
            "knowledge.yaml:4: sources.0.feishu_wiki.readers.0: write everyone, role:admin, role:reviewer, dept:<",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki:\n      spaces: ['70']\n      readers: [everyone, dept:x]",
            "knowledge.yaml:4: sources.0.feishu_wiki.readers: everyone already holds the others",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki:\n      spaces: [the handbook]\n      readers: [everyone]",
            "knowledge.yaml:3: sources.0.feishu_wiki.spaces.0: write the id of a space (digits), the address of a page",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki:\n      spaces: ['70']\n      readers: [everyone]\n      every: soon",
            "knowledge.yaml:5: sources.0.feishu_wiki.every: write a time such as 90s, 15m, 2h or 1d (now: soon)",
        ),
        (
            "knowledge",
            "sources:\n  - feishu_wiki: &same {spaces: ['70'], readers: [everyone]}\n  - feishu_wiki: *same",
            "knowledge.yaml:1: two sources name the same part of the wiki",
        ),
        (
            "knowledge",
            "sources:\n  - path: a\n    folder: b",
            "knowledge.yaml:3: sources.0.folder: unknown key; allowed: name, path, url, hosts, private, http, readers",
        ),
        (
            "knowledge",
            "sources:\n  - path: a\n    url: https://a.cn",
            "knowledge.yaml:2: sources.0: needs one of path",
        ),
        (
            "knowledge",
            "sources:\n  - url: a.cn/x",
            "knowledge.yaml:2: sources.0.url.0: write an address that begins",
        ),
        (
            "knowledge",
            "sources:\n  - url: https://a.cn/#x",
            "knowledge.yaml:2: sources.0.url.0: leave out what",
        ),
        (
            "knowledge",
            "sources:\n  - url: http://a.cn",
            "knowledge.yaml:2: sources.0: http://a.cn: http is not",
        ),
        (
            "knowledge",
            "sources:\n  - url: https://a.cn/x\n    hosts: [b.cn]",
            "knowledge.yaml:2: sources.0: https://a.cn/x: a.cn is not among the source's `hosts`",
        ),
        (
            "knowledge",
            "sources:\n  - url: https://a.cn\n    hosts: [https://a.cn]",
            "knowledge.yaml:3: sources.0.hosts.0: write the name of a host such as docs.acme.cn",
        ),
        (
            "knowledge",
            "sources:\n  - url: https://a.cn\n    private: [0.0.0.0/0]",
            "knowledge.yaml:3: sources.0.private.0: 0.0.0.0/0 would open everything",
        ),
        (
            "knowledge",
            "sources:\n  - path: a\n    hosts: [a.cn]",
            "knowledge.yaml:2: sources.0: hosts, private and http belong to url",
        ),
        (
            "knowledge",
            "sources:\n  - url: [https://a.cn]\n  - url: https://a.cn\n    readers: [role:admin]",
            "knowledge.yaml:1: two sources name the same address",
        ),
        ("knowledge", "access:\n  rules: {'*': []}", "knowledge.yaml:2: access.rules.*: must name 1 or more"),
        (
            "knowledge",
            "access:\n  rules: {'*': [staff]}",
            "knowledge.yaml:2: access.rules.*.0: write everyone, role",
        ),
        ("knowledge", "access:\n  default: nobody", "knowledge.yaml:2: access.default: must be 'everyone', 'admins'"),
        (
            "knowledge",
            "chunking:\n  overlap: 400",
            "knowledge.yaml:1: chunking: overlap 400 is more than half of size 500",
        ),
        ("polcy", "", "polcy.yaml:1: no settings file has this name: rename it to policy.yaml; allowed: model.yaml"),
        ("kustomize", "", "kustomize.yaml:1: no settings file has this name: remove it"),
    ],
)
def test_errors_say_where_and_what_is_allowed(tmp_path: Path, file: str, text: str, expected: str) -> None:
    lines = complaints(tmp_path, None, **{file: text})
    assert any(line.startswith(expected) for line in lines), lines


def test_everything_wrong_is_said_at_once_in_order(tmp_path: Path) -> None:
    lines = complaints(tmp_path, model="fleeet: x\nimage: {dtype: y}", policy="limits: {count: 0, queue: z}")
    assert [line.split(" ")[0] for line in lines] == [
        "model.yaml:1:",
        "model.yaml:2:",
        "policy.yaml:1:",
        "policy.yaml:1:",
    ]


def test_files_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_bytes(b"\xff\xfe\x00")
    assert complaints(tmp_path)[0].startswith("model.yaml:1: cannot be read")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, model=text).model == loaded(tmp_path).model


def test_words_that_yaml_1_1_would_take_for_something_else(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: off\nb: 22:00\nc: 2026-01-01\nd: 007\ne: yes\nf: 1_0\ng: .5\nh: 1e3\ni: 0x1f")
    data = read(tmp_path / "x.yaml", {}).data
    assert data == {
        "a": "off",
        "b": "22:00",
        "c": "2026-01-01",
        "d": "007",
        "e": "yes",
        "f": 10,
        "g": 0.5,
        "h": 1000.0,
        "i": "0x1f",
    }


def test_on_and_off_work_where_a_switch_is_meant(tmp_path: Path) -> None:
    assert loaded(tmp_path, platforms="web: {enabled: off}").platforms.web.enabled is False


def test_values_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    settings = loaded(
        tmp_path,
        {"ID": "cli_1", "PORT": "512", "HOST": "open.example.cn"},
        platforms="feishu:\n  app_id: ${ID}\n  app_secret: ${file:secret}\n  domain: https://${HOST}",
        model="text: {max_model_len: '${PORT}', api_key: 'a$${b}'}",
    )
    assert settings.platforms.feishu.app_id == "cli_1"
    assert settings.platforms.feishu.app_secret.get_secret_value() == "s3cret"
    assert settings.platforms.feishu.domain == "https://open.example.cn"
    assert settings.model.text.max_model_len == 512
    assert settings.model.text.api_key.get_secret_value() == "a${b}"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${NOPE}", "the environment variable NOPE is not set: set it"),
        ("x-${NOPE}-y", "the environment variable NOPE is not set"),
        ("${file:/no/such/file}", "the file /no/such/file does not exist: create it"),
        ("${file:.}", "the file . cannot be read"),
        ("${file:binary}", "the file binary is not UTF-8 text"),
        ("${a b}", "${a b} is not a reference: write ${NAME} or ${file:/path}"),
        ("${}", "${} is not a reference"),
    ],
)
def test_a_missing_value_names_key_and_file(tmp_path: Path, value: str, expected: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xff")
    line = complaints(tmp_path, platforms=f"feishu:\n  app_secret: {value}")[0]
    assert line.startswith(f"platforms.yaml:2: feishu.app_secret: {expected}")


def test_a_reference_cannot_change_the_structure(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"X": "a\nfleet: ray"}, model="image: {id: '${X}'}")
    assert settings.model.image.id == "a\nfleet: ray"
    assert settings.model.fleet == "local"


@pytest.mark.parametrize(
    "text",
    [
        "feishu: {domain: '${X}'}",
        "feishu: {app_secret: [hunter2]}",
        "web: {session_days: '${X}'}",
        "wecom: {app: {secret: {a: hunter2}}}",
    ],
)
def test_secrets_never_stand_in_an_error(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in "\n".join(complaints(tmp_path, {"X": "hunter2"}, platforms=text))


def test_a_feishu_that_is_enabled_needs_its_credentials(tmp_path: Path) -> None:
    assert "app_id is empty" in complaints(tmp_path, platforms="feishu: {enabled: true, mode: webhook}")[0]


def test_a_parameter_may_be_written_in_part(tmp_path: Path) -> None:
    steps = loaded(tmp_path, parameters="steps: {max: 12}").parameters.steps
    assert (steps.min, steps.max, steps.description.en[:9]) == (1, 12, "Denoising")


def test_quotas_of_groups_and_departments_limit_what_they_name(tmp_path: Path) -> None:
    text = """
quotas:
  user: {draw: [50/day, 500/month]}
  group: {"feishu:oc_1": {draw: 100/week}}
  department: {设计部: {draw: 1000/month, ask: [9/day, 90/week]}}
  warn_at: 0
"""
    queue = loaded(tmp_path, policy=text).policy.queue()
    assert queue.allowances[Unit.DRAW] == (Allowance(amount=50, period="day"), Allowance(amount=500, period="month"))
    assert queue.shared == {
        "group:feishu:oc_1": {Unit.DRAW: (Allowance(amount=100, period="week"),)},
        "dept:设计部": {
            Unit.DRAW: (Allowance(amount=1000, period="month"),),
            Unit.ASK: (Allowance(amount=9, period="day"), Allowance(amount=90, period="week")),
        },
    }
    assert (queue.warn_at, queue.answer_tokens) == (0, 2000)


def test_how_documents_are_cut(tmp_path: Path) -> None:
    assert loaded(tmp_path, knowledge="chunking: {}").knowledge.chunking.cutting == STANDARD
    cutting = loaded(tmp_path, knowledge="chunking:\n  size: 800\n  overlap: 120").knowledge.chunking.cutting
    assert (cutting.size, cutting.overlap, str(cutting)) == (800, 120, f"{VERSION} (800/120)")


def test_the_policy_becomes_the_queues(tmp_path: Path) -> None:
    text = "timezone: UTC\nquotas: {user: {draw: 5/week}}\nlimits: {queue: 9, weights: {admin: 2}, ageing: 30}"
    queue = loaded(tmp_path, policy=text).policy.queue()
    assert queue.timezone == ZoneInfo("UTC")
    assert queue.allowances == {
        Unit.DRAW: (Allowance(amount=5, period="week"),),
        Unit.ASK: (Allowance(amount=200, period="day"),),
    }
    assert (queue.queue_total, queue.concurrency) == (9, 3)
    assert (queue.share(Role.ADMIN), queue.share(Role.USER), queue.ageing) == (2.0, 1.0, timedelta(minutes=30))


def test_the_hash_tells_files_apart_and_holds_no_secret(tmp_path: Path) -> None:
    text = "feishu: {app_secret: '${S}'}"
    first, second = loaded(tmp_path, {"S": "a"}, platforms=text), loaded(tmp_path, {"S": "b"}, platforms=text)
    assert first.hash == second.hash
    assert loaded(tmp_path, {"S": "a"}, platforms=text, interface="language: en").hash != first.hash


def test_paths_are_relative_to_the_settings_folder(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.path("../knowledge") == tmp_path.resolve().parent / "knowledge"
    assert settings.path("/srv/x") == Path("/srv/x")


def test_settings_cannot_be_changed_after_loading(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(tmp_path).policy.limits.count = 9  # type: ignore[misc]


def test_the_environment() -> None:
    plain = Environment.read({"MOQI_CONFIG": "", "MOQI_DATA": ""})
    assert (plain.config.as_posix().endswith("config"), plain.data) == (True, Path("data"))
    environ = {"MOQI_CONFIG": "/c", "MOQI_DATA": "/d", "MOQI_DATABASE_URL": "postgresql+psycopg://u:hunter2@h/db"}
    named = Environment.read(environ)
    assert (named.config, named.data) == (Path("/c"), Path("/d"))
    assert named.database_url.endswith("@h/db")
    assert "hunter2" not in repr(named)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("7034502641455497244", Part(space="7034502641455497244")),
        ("wikcnKQ1k3pcuo5uSK4t8VN6kVf", Part(node="wikcnKQ1k3pcuo5uSK4t8VN6kVf")),
        ("https://acme.feishu.cn/wiki/wikcnKQ1?from=x#y", Part(node="wikcnKQ1", host="acme.feishu.cn")),
        ("https://acme.larksuite.com/wiki/space/7034502641/", Part(space="7034502641", host="acme.larksuite.com")),
        ("https://acme.feishu.cn/wiki/settings/7034502641", Part(space="7034502641", host="acme.feishu.cn")),
    ],
)
def test_what_is_meant_by_a_part_of_the_wiki(written: str, expected: Part) -> None:
    assert part(written) == expected


def test_a_source_in_the_wiki(tmp_path: Path) -> None:
    text = """sources:
  - path: ../knowledge
    readers: ["dept:设计部 "]
  - feishu_wiki:
      spaces: [7034502641455497244, https://acme.feishu.cn/wiki/wikcnKQ1k3]
      readers: [dept:人事部, user:feishu:ou_1, group:feishu-lark:oc_1]
      every: 2h
"""
    (tmp_path / "knowledge.yaml").write_text(text, encoding="utf-8")
    found = load(tmp_path, {}).knowledge
    assert [(one.path, one.readers) for one in found.folders] == [("../knowledge", ("dept:设计部",))]
    assert [(one.app, one.every, one.readers) for one in found.wikis] == [
        ("feishu", timedelta(hours=2), ("dept:人事部", "user:feishu:ou_1", "group:feishu-lark:oc_1"))
    ]
    assert [one.key for one in found.wikis[0].parts] == ["7034502641455497244", "wikcnKQ1k3"]


@pytest.mark.parametrize(
    ("web", "enabled", "names", "accounts"),
    [
        ({}, False, True, False),
        ({}, True, True, True),
        ({"public_url": "https://moqi.example"}, False, True, False),
        ({"public_url": "https://moqi.example"}, True, False, True),
        ({"login": "both", "public_url": "https://moqi.example"}, True, True, True),
        ({"login": "both"}, False, True, False),
        ({"login": "feishu"}, True, False, True),
        ({"login": "name", "public_url": "https://moqi.example"}, True, True, False),
    ],
)
def test_who_may_come_in_at_the_web_page(web: dict[str, str], enabled: bool, names: bool, accounts: bool) -> None:
    feishu = {"enabled": enabled, "app_id": "cli_1", "app_secret": "s"}
    found = Platforms.model_validate({"web": web, "feishu": feishu})
    assert (found.takes_names, found.takes_accounts) == (names, accounts)


@pytest.mark.parametrize(
    ("web", "feishu", "wecom", "names", "accounts"),
    [
        ({}, False, True, True, ("wecom",)),
        ({}, True, True, True, ("feishu", "wecom")),
        ({"public_url": "https://moqi.example"}, False, True, False, ("wecom",)),
        ({"public_url": "https://moqi.example"}, True, True, False, ("feishu", "wecom")),
        ({"login": "both", "public_url": "https://moqi.example"}, True, True, True, ("feishu", "wecom")),
        ({"login": "wecom"}, True, True, False, ("wecom",)),
        ({"login": "feishu"}, True, True, False, ("feishu",)),
        ({"login": "name", "public_url": "https://moqi.example"}, True, True, True, ()),
    ],
)
def test_whose_accounts_open_the_web_page(
    web: dict[str, str], feishu: bool, wecom: bool, names: bool, accounts: tuple[str, ...]
) -> None:
    sections = {
        "web": web,
        "feishu": {"enabled": feishu, "app_id": "cli_1", "app_secret": "s"},
        "wecom": {"app": {"enabled": wecom, "corp_id": "ww1", "agent_id": "1", "secret": "s"}},
    }
    found = Platforms.model_validate(sections)
    assert (found.takes_names, found.account_platforms) == (names, accounts)


def test_the_robot_alone_opens_no_page() -> None:
    """Nobody can log in with it: its people are known to the robot only."""
    robot = {"aibot": {"enabled": True, "bot_id": "aib1", "secret": "s"}}
    found = Platforms.model_validate({"web": {"public_url": "https://moqi.example"}, "wecom": robot})
    assert (found.takes_names, found.account_platforms) == (True, ())
    with pytest.raises(ValidationError, match=r"web\.login is wecom, but wecom\.app is not enabled"):
        Platforms.model_validate({"web": {"login": "wecom"}, "wecom": robot})


def test_one_app_stands_once() -> None:
    app = {"enabled": True, "app_id": "cli_1", "app_secret": "s"}
    with pytest.raises(ValidationError, match="name the app cli_1 twice"):
        Platforms.model_validate({"feishu": app, "feishu_apps": {"other": app}})
    further = Platforms.model_validate({"web": {"login": "feishu"}, "feishu_apps": {"other": app}})
    assert further.takes_accounts
    assert not further.takes_names


def test_a_web_page_that_nobody_could_enter_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"web\.login is feishu, but feishu is not enabled"):
        Platforms.model_validate({"web": {"login": "feishu"}})


@pytest.mark.parametrize("address", ["moqi.example", "https://moqi.example/chat", "https://moqi.example?x", "ftp://x"])
def test_the_public_address_is_an_address(address: str) -> None:
    with pytest.raises(ValidationError, match="must be https://host without a path"):
        Platforms.model_validate({"web": {"public_url": address}})


def test_readers_on_a_platform_without_case_are_named_as_they_are_kept() -> None:
    readers = TypeAdapter(Readers).validate_python(["user:wecom:ZhangSan", "user:feishu:ou_A", "group:wecom:wrAbC"])
    assert readers == ("user:wecom:zhangsan", "user:feishu:ou_A", "group:wecom:wrAbC")
