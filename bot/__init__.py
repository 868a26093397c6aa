"""Who speaks, and the place where the whole program is put together."""
