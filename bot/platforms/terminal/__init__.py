"""The terminal as a chat: `moqi draw`, `moqi ask`."""
