"""The self-built app (自建应用): direct chats by encrypted callbacks, push to anyone in scope, the directory."""
