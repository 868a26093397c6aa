"""WeCom's smart robot (智能机器人)."""
