"""When and whether work runs."""
