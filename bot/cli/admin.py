"""To come."""

import typer


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
