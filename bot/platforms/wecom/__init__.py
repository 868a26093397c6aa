"""WeCom (企业微信): the smart robot, the self-built app, and group webhooks, together one platform."""
