"""The web pages people open in a browser."""
