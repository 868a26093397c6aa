"""The self-built app (自建应用): a direct chat with each member it is visible to, by encrypted callbacks and calls."""
