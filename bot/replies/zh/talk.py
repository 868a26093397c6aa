"""Conversation: small talk, suggestions, answers for one alone, in Chinese."""

from __future__ import annotations

TABLE: dict[str, str] = {
    "about.greeting": "你好，我是墨契。",
    "about.text": "我会两件事：\n1. **查资料回答**，附出处：直接问，如 `年假怎么休？`\n"
    "2. **画图**：直接说，如 `画一只戴红围巾的熊猫`；定时也行：`每天早上九点画一张日历封面`\n全部命令：/help",
    "note.chat": "内容由 AI 生成 · 闲聊，没有查资料",
    "suggest.title": "要画这张吗？",
    "suggest.price": "{cost}，确认后才计",
    "suggest.note": "这是大模型听出来的；直接说“画……”就马上画，不用确认",
    "suggested.draw": "好，这就画",
    "suggested.ask": "好，当问题回答",
    "button.suggest_draw": "画",
    "button.suggest_ask": "不画，当问题回答",
    "hint.suggest_draw": "要画，就发：`{command}`",
    "refusal.suggestion_gone": "这张卡片已经失效。想画就直接发 `/draw 描述`。",
    "refusal.not_yours_suggestion": "这是别人说的话，由本人决定画不画。想画就自己发 `/draw 描述`。",
    "ask.privately": "好，按你自己的权限再答一次，结果在和你的单聊里。",
    "button.ask_privately": "私下用我的权限回答",
    "hint.ask_privately": "要按你自己的权限回答，请在和我的单聊里再问一次",
    "refusal.private_answer_here": "这里没法主动私下发给你。请打开和我的单聊，把问题再问一次。",
    "refusal.question_gone": "这个问题已按团队的保留规则在 {days} 天后清除，请重新问一次。",
    "refusal.unknown_kb": "没有叫“{given}”的资料来源。{hint}",
    "refusal.unknown_kb.there": "可用：{names}。也可以去掉 --kb，在全部资料里找。",
    "refusal.unknown_kb.none": "请去掉 --kb，在全部资料里找。",
    "cleared": "（已按保留规则清除）",
    "cleared.text": "这次的问题和回答已按团队的保留规则在 {days} 天后清除。",
}
