"""The smart robot (智能机器人): groups and direct chats, over a long connection or by callbacks."""
