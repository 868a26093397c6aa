"""`moqi init`: from a few answers to settings files that pass `moqi config check`. What is not asked keeps its default.

SetupError: the answers do not make settings that could be used; the text names the file and what is allowed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.settings import SettingsError, load

#: Secrets by the variable that holds each, and where its platform shows it.
FEISHU_SECRETS = {"FEISHU_APP_SECRET": "developer console: Credentials & Basic Info > App Secret"}
#: Further ones, where events are to come by webhook.
WEBHOOK_SECRETS = {
    "FEISHU_ENCRYPT_KEY": "developer console: Events & Callbacks > Encryption Strategy > Encrypt Key",
    "FEISHU_VERIFICATION_TOKEN": "developer console: Events & Callbacks > Encryption Strategy > Verification Token",
}
#: Of WeCom's smart robot, of its self-built app, and of the app where members write to it.
ROBOT_SECRETS = {"WECOM_BOT_SECRET": "WeCom: 工作台 > 智能机器人 > the robot > API 模式 > 使用长连接 > Secret"}
APP_SECRETS = {"WECOM_APP_SECRET": "WeCom admin console (管理后台): 应用管理 > the app > Secret"}
CALLBACK_SECRETS = {
    "WECOM_APP_TOKEN": "WeCom admin console (管理后台): 应用管理 > the app > 接收消息 > 设置API接收 > Token",
    "WECOM_APP_AES_KEY": "WeCom admin console (管理后台): 应用管理 > the app > 接收消息 > 设置API接收 > EncodingAESKey",
}
_ALL = {**FEISHU_SECRETS, **WEBHOOK_SECRETS, **ROBOT_SECRETS, **APP_SECRETS, **CALLBACK_SECRETS}
#: What stands for a secret that is still to come: an EncodingAESKey has 43 letters and digits.
_TO_COME = {name: "0" * 43 if name.endswith("_AES_KEY") else "to come" for name in _ALL}


class SetupError(Exception):
    """The answers do not make settings that could be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What an operator chose."""

    title: str = "墨契"
    language: str = "zh"  # zh | en
    timezone: str = "Asia/Shanghai"
    web: bool = True
    feishu_app_id: str = ""  # empty = without Feishu
    feishu_webhook: bool = False  # Feishu posts to a public address, instead of a connection that we open
    wecom_bot_id: str = ""  # empty = without a smart robot
    wecom_bot_name: str = ""  # as people mention it
    wecom_corp_id: str = ""  # of the self-built app; it counts with an agent_id
    wecom_agent_id: str = ""  # empty = without an app
    wecom_listens: bool = False  # members write to the app, and WeCom posts that to a public address

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets that are to come: variable, and where its platform shows it."""
        wanted = (
            (FEISHU_SECRETS, self.feishu_app_id),
            (WEBHOOK_SECRETS, self.feishu_app_id and self.feishu_webhook),
            (ROBOT_SECRETS, self.wecom_bot_id),
            (APP_SECRETS, self.wecom_agent_id),
            (CALLBACK_SECRETS, self.wecom_agent_id and self.wecom_listens),
        )
        return {name: where for secrets, needed in wanted if needed for name, where in secrets.items()}

    model: str = ""  # folder of a checkpoint; empty = the built-in practice model
    knowledge: str = "../knowledge"  # folder of documents, relative to the settings folder; empty = none
    draw: str = "50/day"
    ask: str = "200/day"


def files(answers: Answers) -> dict[str, str]:
    """File name -> text of the settings. Pure."""
    return {
        "interface.yaml": _interface(answers),
        "platforms.yaml": _platforms(answers),
        "model.yaml": _model(answers),
        "policy.yaml": _policy(answers),
        "knowledge.yaml": _knowledge(answers),
    }


def check(made: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Read the settings as the server would, secrets that are still to come filled in. Raises `SetupError`."""
    with tempfile.TemporaryDirectory(prefix="moqi-init-") as name:
        for file, text in made.items():
            (Path(name) / file).write_text(text, encoding="utf-8")
        try:
            load(Path(name), {**_TO_COME, **environ})
        except SettingsError as error:
            raise SetupError(str(error)) from error


def present(folder: Path, made: Mapping[str, str]) -> list[Path]:
    """The files that writing would replace by something else."""
    paths = [folder / name for name in made]
    return [path for path in paths if path.exists() and path.read_bytes() != made[path.name].encode()]


def write(folder: Path, made: Mapping[str, str]) -> list[Path]:
    """Write the files; what was there before is kept beside them as NAME.bak."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in present(folder, made):
        path.replace(path.with_name(f"{path.name}.bak"))
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in made]


def _interface(answers: Answers) -> str:
    return f"""# How Moqi looks and speaks.

title: {_text(answers.title)}
theme: auto           # auto | light | dark
language: {_text(answers.language)}       # zh | en
"""


def _platforms(answers: Answers) -> str:
    return f"""# Where people talk to Moqi. Secrets belong into the environment (${{NAME}}) or into files (${{file:…}}).

web:
  enabled: {_flag(answers.web)}
  first_is_admin: true  # the first person who chooses a name becomes admin; turn off on a shared network

feishu:
  enabled: {_flag(bool(answers.feishu_app_id))}
  {_MODES[answers.feishu_webhook]}
  domain: https://open.feishu.cn              # Lark: https://open.larksuite.com
{_feishu(answers)}
wecom:
  aibot:                # a smart robot (智能机器人) in groups and direct chats
    enabled: {_flag(bool(answers.wecom_bot_id))}
    mode: long_connection # we dial out, no public address is needed
{_robot(answers)}  app:                  # a self-built app (自建应用): push, names, departments, login
    enabled: {_flag(bool(answers.wecom_agent_id))}
{_app(answers)}"""


_MODES = {
    False: "mode: long_connection # we dial out, no public address is needed",
    True: "mode: webhook         # events come to https://<your host>/feishu/events",
}


def _feishu(answers: Answers) -> str:
    """The credentials; without an app they stay comments, for later."""
    lines = [f"app_id: {_text(answers.feishu_app_id or 'cli_…')}"]
    secrets = {**FEISHU_SECRETS, **(WEBHOOK_SECRETS if answers.feishu_webhook else {})}
    lines += [f"{name.removeprefix('FEISHU_').lower()}: ${{{name}}}" for name in secrets]
    return _lines(lines, bool(answers.feishu_app_id), "  ")


def _robot(answers: Answers) -> str:
    lines = [
        f"name: {_text(answers.wecom_bot_name or answers.title)}",
        f"bot_id: {_text(answers.wecom_bot_id or 'aib…')}",
        "secret: ${WECOM_BOT_SECRET}",
    ]
    return _lines(lines, bool(answers.wecom_bot_id), "    ")


def _app(answers: Answers) -> str:
    lines = [
        f"corp_id: {_text(answers.wecom_corp_id or 'ww…')}",
        f"agent_id: {_text(answers.wecom_agent_id or '1000002')}",
        "secret: ${WECOM_APP_SECRET}",
    ]
    callback = ["token: ${WECOM_APP_TOKEN}", "encoding_aes_key: ${WECOM_APP_AES_KEY}"]
    enabled = bool(answers.wecom_agent_id)
    return (
        _lines(lines, enabled, "    ")
        + "    # Where members also write to the app, whose callbacks come to https://<your host>/wecom/app:\n"
        + _lines(callback, enabled and answers.wecom_listens, "    ")
    )


def _lines(lines: Iterable[str], counts: bool, indent: str) -> str:
    """Lines of settings; as comments while they do not count."""
    return "".join(f"{indent}{'' if counts else '# '}{line}\n" for line in lines)


def _model(answers: Answers) -> str:
    return f"""# Which models compute. A change here needs a restart.

image:
  engine: auto          # auto = the checkpoint in `path`, else the built-in practice model
  path: {_text(answers.model)}

text:
  engine: auto
"""


def _policy(answers: Answers) -> str:
    return f"""# Who may do how much.

timezone: {_text(answers.timezone)}   # where days, weeks and months begin

quotas:
  user:                 # everybody who has no quota of their own (moqi quota set WHO 5/day)
    draw: {_text(answers.draw)}    # pictures a day, week or month
    ask: {_text(answers.ask)}    # answers
"""


def _knowledge(answers: Answers) -> str:
    sources = f"\n  - path: {_text(answers.knowledge)}" if answers.knowledge else " []"
    return f"""# What answers are made from.

sources:{sources}
"""


def _text(value: str) -> str:
    """A quoted value; `${` in it stands for itself."""
    return json.dumps(value.replace("${", "$${"), ensure_ascii=False)


def _flag(value: bool) -> str:
    return "true" if value else "false"
