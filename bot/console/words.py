"""The labels and error sentences of the web page itself. What the bot says is in bot/replies.py.

`of` hands the same dictionary to the templates, the scripts and the routes, so a page speaks one language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ZH = {
    "tagline": "说一句，画一幅；问一句，答有据。",
    "name_label": "你的名字",
    "name_placeholder": "怎么称呼你？",
    "name_hint": "1–32 个字符，别人会看到它。不需要密码。",
    "enter": "进入",
    "have_code": "我有登录码",
    "code_label": "登录码",
    "code_placeholder": "粘贴登录码",
    "have_name": "取一个新名字",
    "have_neither": "返回",
    "platform_feishu": "飞书",
    "platform_wecom": "企业微信",
    "platform_any": "聊天平台",
    "platform_or": "或",
    "login_with": "用{platform}登录",
    "login_or": "或",
    "login_hint": "和{platform}里的你是同一个人：额度、任务、图都在。",
    "sign_out": "退出",
    "sign_out_confirm": "退出后，要用登录码才能以“{name}”的身份回来。确定退出吗？",
    "theme_auto": "外观：跟随系统",
    "theme_light": "外观：浅色",
    "theme_dark": "外观：深色",
    "input_label": "消息",
    "input_placeholder": "画点什么，或问点什么…",
    "send": "发送",
    "attach": "附一张图片，照着它画（--from）",
    "attached": "附上的图片",
    "detach": "不附图片了",
    "keys": "Enter 发送 · Shift+Enter 换行 · / 命令 · ↑ 上一条",
    "ai_notice": "内容由 AI 生成，请注意核实",
    "empty_title": "从这里开始",
    "empty_hint": "点一条放进输入框，改一改再发。",
    "example_draw": "/draw 一只戴红围巾的熊猫，水墨 --size 512x512 --seed 7",
    "example_draw_note": "画一幅画",
    "example_ask": "/ask 年假怎么休？",
    "example_ask_note": "从手册里找答案，附出处",
    "example_help": "/help",
    "example_help_note": "看看还能做什么",
    "older": "更早的消息",
    "history_label": "对话",
    "commands_label": "命令",
    "you": "你",
    "bot": "墨契",
    "state_queued": "排队中",
    "state_running": "进行中",
    "state_drawing": "正在画",
    "preview": "还没画完的预览",
    "state_writing": "正在写",
    "state_review": "等待审核",
    "state_done": "已完成",
    "state_failed": "未完成",
    "state_cancelled": "已取消",
    "place": "第 {n} 位",
    "about_seconds": "约 {n} 秒",
    "about_minutes": "约 {n} 分钟",
    "about_hours": "约 {n} 小时",
    "wait_rough": "{time}（样本还少，可能不准）",
    "wait_unknown": "还没测过速度，说不准多久",
    "steps": "第 {done} / {total} 步",
    "sources": "出处",
    "original": "打开原文",
    "open_picture": "放大：{alt}",
    "picture_gone": "图片取不到了，请用“重画”再画一次。",
    "download": "下载",
    "like": "有帮助",
    "dislike": "没有帮助",
    "close": "关闭",
    "send_failed": "没有发出去。",
    "retry": "重发",
    "offline": "连接断开了，正在重新连接…",
    "back_online": "已重新连接",
    "jump": "最新消息",
    "passage_of": "文档",
    "passage_cited": "被引用的段落",
    "back": "返回对话",
    # errors: code -> sentence with the next step
    "error_no_names": "这里不能自己取名，请用{platform}登录；没有账号的话，请向管理员要一个登录码。",
    "error_login_cancelled": "你在{platform}里取消了登录。想进来的话再点一次“用{platform}登录”。",
    "error_login_expired": "{platform}给的登录凭据过期了或已经用过。请再点一次“用{platform}登录”。",
    "error_login_replayed": "这次登录已失效：等得太久、用过一次，或不是在这个浏览器里开始的。"
    "请再点一次“用{platform}登录”。",
    "error_login_outsider": "你的{platform}账号属于另一家公司，墨契只给本公司的人用。请换成本公司的账号，"
    "或联系管理员。",
    "error_login_no_member": "{platform}说你不是本公司的成员，墨契只给本公司的人用。请换成本公司的账号，或联系管理员。",
    "error_login_not_available": "你还没有使用这个{platform}应用的权限。请联系管理员，把你加进应用的可用范围。",
    "error_login_nobody": "{platform}说这个账号不存在、被冻结或已离职。请换一个账号，或联系管理员。",
    "error_login_misconfigured": "{platform}登录还没有配置好。请联系管理员：运行 moqi doctor，看日志里的原因。",
    "error_login_unavailable": "{platform}现在没有回应。请稍后再点一次“用{platform}登录”。",
    "error_signed_out": "还没有登录，或登录已过期。请重新取个名字，或用登录码回来。",
    "error_bad_name": "这个名字不能用：要 1–32 个可见字符。换一个试试。",
    "error_name_taken": "“{name}”已经有人在用。请换一个名字；如果那就是你，请向管理员要一个登录码。",
    "error_bad_code": "登录码不对、用过了或已过期。请向管理员要一个新的。",
    "error_banned": "这个账号已被停用。请联系管理员。",
    "error_forged": "这个请求不是从本页面发出的，已拒绝。请刷新页面再试。",
    "error_empty": "消息是空的。写点什么再发送。",
    "error_too_long": "消息太长了（最多 {limit} 个字符）。请缩短后再发送。",
    "error_too_large": "请求太大了，已拒绝。请缩短内容再试。",
    "error_invalid": "请求的格式不对。请刷新页面再试。",
    "error_picture_format": "这个文件不是能用的图片。请选 PNG、JPEG、WebP、GIF 或 BMP。",
    "error_picture_large": "图片太大。请缩小后再选。",
    "error_picture_small": "图片太小或太细长，没法参考。请换一张。",
    "error_picture_broken": "图片损坏了，读不出来。请重新保存后再选。",
    "error_not_found": "找不到，或者你没有查看的权限。",
    "error_unavailable": "暂时存不下这条消息，请稍后再发一次。",
}

_EN = {
    "tagline": "Say it and it is drawn; ask and it answers with sources.",
    "name_label": "Your name",
    "name_placeholder": "What shall we call you?",
    "name_hint": "1–32 characters, visible to others. No password needed.",
    "enter": "Enter",
    "have_code": "I have a login code",
    "code_label": "Login code",
    "code_placeholder": "Paste the login code",
    "have_name": "Choose a new name",
    "have_neither": "Back",
    "platform_feishu": "Feishu",
    "platform_wecom": "WeCom",
    "platform_any": "your chat",
    "platform_or": " or ",
    "login_with": "Log in with {platform}",
    "login_or": "or",
    "login_hint": "You are the same person as in {platform}: with your quota, your jobs, your pictures.",
    "sign_out": "Sign out",
    "sign_out_confirm": "After signing out you need a login code to come back as “{name}”. Sign out?",
    "theme_auto": "Appearance: system",
    "theme_light": "Appearance: light",
    "theme_dark": "Appearance: dark",
    "input_label": "Message",
    "input_placeholder": "Draw something, or ask something…",
    "send": "Send",
    "attach": "Attach a picture to draw from (--from)",
    "attached": "The attached picture",
    "detach": "Attach no picture",
    "keys": "Enter sends · Shift+Enter new line · / commands · ↑ previous",
    "ai_notice": "Made by AI; please check before you rely on it",
    "empty_title": "Start here",
    "empty_hint": "Click one to put it into the input, change it, send it.",
    "example_draw": "/draw a panda with a red scarf, ink wash --size 512x512 --seed 7",
    "example_draw_note": "Draw a picture",
    "example_ask": "/ask How does annual leave work?",
    "example_ask_note": "Answers from the handbook, with sources",
    "example_help": "/help",
    "example_help_note": "See what else there is",
    "older": "Older messages",
    "history_label": "Conversation",
    "commands_label": "Commands",
    "you": "You",
    "bot": "Moqi",
    "state_queued": "Queued",
    "state_running": "Running",
    "state_drawing": "Drawing",
    "preview": "Preview, not finished yet",
    "state_writing": "Writing",
    "state_review": "Waiting for review",
    "state_done": "Done",
    "state_failed": "Not done",
    "state_cancelled": "Cancelled",
    "place": "No. {n} in line",
    "about_seconds": "about {n} s",
    "about_minutes": "about {n} min",
    "about_hours": "about {n} h",
    "wait_rough": "{time} (measured too rarely to be sure)",
    "wait_unknown": "not measured yet, no telling how long",
    "steps": "step {done} / {total}",
    "sources": "Sources",
    "original": "Open the original",
    "open_picture": "Enlarge: {alt}",
    "picture_gone": "The picture cannot be fetched; use “redo” to draw it again.",
    "download": "Download",
    "like": "Good",
    "dislike": "Not good",
    "close": "Close",
    "send_failed": "Not sent.",
    "retry": "Send again",
    "offline": "Connection lost, reconnecting…",
    "back_online": "Connected again",
    "jump": "Latest",
    "passage_of": "Document",
    "passage_cited": "Cited passage",
    "back": "Back to the chat",
    "error_no_names": "Names cannot be chosen here: log in with {platform}, or ask an admin for a login code.",
    "error_login_cancelled": "You cancelled the login in {platform}. To come in, log in with {platform} once more.",
    "error_login_expired": "What {platform} gave for the login has lapsed or was used. Log in with {platform} once "
    "more.",
    "error_login_replayed": "This login does not count any more: it took too long, was used before, or began in "
    "another browser. Log in with {platform} once more.",
    "error_login_outsider": "Your {platform} account belongs to another organisation, and Moqi serves its own only. "
    "Switch to an account of this one, or ask an admin.",
    "error_login_no_member": "{platform} says that you are no member of this organisation, and Moqi serves its own "
    "only. Switch to an account of this one, or ask an admin.",
    "error_login_not_available": "You have no right to use this {platform} app yet. Ask an admin to add you to its "
    "availability range.",
    "error_login_nobody": "{platform} says that this account does not exist, is frozen, or has left. Take "
    "another one, or ask an admin.",
    "error_login_misconfigured": "The login with {platform} is not set up yet. Ask an admin to run moqi doctor "
    "and to look into the log.",
    "error_login_unavailable": "{platform} does not answer just now. Log in with {platform} once more in a moment.",
    "error_signed_out": "You are not signed in, or it has lapsed. Choose a name again, or use a login code.",
    "error_bad_name": "This name cannot be used: it takes 1–32 visible characters. Try another.",
    "error_name_taken": "“{name}” is taken. Choose another name; if that is you, ask an admin for a login code.",
    "error_bad_code": "The login code is wrong, used or lapsed. Ask an admin for a new one.",
    "error_banned": "This account is switched off. Please ask an admin.",
    "error_forged": "This request did not come from this page and was refused. Reload the page and try again.",
    "error_empty": "The message is empty. Write something first.",
    "error_too_long": "The message is too long (at most {limit} characters). Please shorten it.",
    "error_too_large": "The request is too large and was refused. Please shorten it.",
    "error_invalid": "The request is malformed. Reload the page and try again.",
    "error_picture_format": "This file is no picture that can be used. Choose PNG, JPEG, WebP, GIF or BMP.",
    "error_picture_large": "The picture is too large. Make it smaller first.",
    "error_picture_small": "The picture is too small or too narrow. Choose another one.",
    "error_picture_broken": "The picture is damaged. Save it anew and choose it again.",
    "error_not_found": "Not found, or not yours to see.",
    "error_unavailable": "The message could not be kept just now. Please send it again in a moment.",
}


#: While the built-in practice model draws: what it is, and an example that it can draw.
_ZH_PRACTICE = {
    "practice": "现在画图的是内置练习模型，会画简单图形：颜色、形状、大小、位置、一到四个、背景。"
    "想画别的，请管理员装上 Z-Image-Turbo：model.yaml 的 image.path，见 README。",
    "example_draw": "/draw 左边红色的圆，右边绿色的星 --seed 7",
}

_EN_PRACTICE = {
    "practice": "The built-in practice model is drawing. It knows simple figures: colours, shapes, sizes, places, one "
    "to four, backgrounds. For anything else an admin installs Z-Image-Turbo: image.path in model.yaml, see README.",
    "example_draw": "/draw a red circle on the left, a green star on the right --seed 7",
}


def of(language: str, *, practice: bool = False) -> Mapping[str, str]:
    """The words of a language, Chinese unless English is asked for; `practice`: the built-in model draws."""
    words, more = (_EN, _EN_PRACTICE) if language == "en" else (_ZH, _ZH_PRACTICE)
    return {**words, **more} if practice else words


def kind(platform: str) -> str:
    """What sort of platform this is: feishu of feishu-design."""
    return platform.partition("-")[0]


def called(words: Mapping[str, str], platforms: Iterable[str]) -> str:
    """What people call these platforms: 飞书或企业微信."""
    names = dict.fromkeys(words.get(f"platform_{kind(one)}", words["platform_any"]) for one in platforms)
    return words["platform_or"].join(names) or words["platform_any"]
