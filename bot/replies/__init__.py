"""Every sentence a person sees, in Chinese and English, as functions from values to replies."""

from __future__ import annotations

from bot.replies.cards import job_reply, practice_remark, shared_reply
from bot.replies.language import Language
from bot.replies.words import Words

__all__ = ["Language", "Words", "job_reply", "practice_remark", "shared_reply"]
