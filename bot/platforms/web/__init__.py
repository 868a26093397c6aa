"""The web chat as a platform: history in our own table, live news through an in-process feed."""
