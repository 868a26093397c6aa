"""Feishu (飞书): events by webhook, answers as cards."""
