"""Commands in chat: what can be said (values), what is allowed (rules), and what was said (parse). All pure."""

from __future__ import annotations

from bot.commands.flags import clip
from bot.commands.names import ADMIN_COMMANDS, COMMANDS, LATER
from bot.commands.parse import parse
from bot.commands.people import account
from bot.commands.rules import SEED_MAX, Bounds, Rules, SizeRule
from bot.commands.values import (
    Ask,
    Ban,
    Cancel,
    Command,
    Conversation,
    Draw,
    Help,
    Jobs,
    New,
    OnReservation,
    Pause,
    Preview,
    QuotaClear,
    QuotaGrant,
    QuotaSet,
    QuotaShow,
    Redo,
    Reserve,
    Resume,
    Retime,
    SetRole,
    Status,
    Unban,
    Until,
    UsageError,
)

__all__ = [
    "ADMIN_COMMANDS",
    "COMMANDS",
    "LATER",
    "SEED_MAX",
    "Ask",
    "Ban",
    "Bounds",
    "Cancel",
    "Command",
    "Conversation",
    "Draw",
    "Help",
    "Jobs",
    "New",
    "OnReservation",
    "Pause",
    "Preview",
    "QuotaClear",
    "QuotaGrant",
    "QuotaSet",
    "QuotaShow",
    "Redo",
    "Reserve",
    "Resume",
    "Retime",
    "Rules",
    "SetRole",
    "SizeRule",
    "Status",
    "Unban",
    "Until",
    "UsageError",
    "account",
    "clip",
    "parse",
]
