"""Platforms of the outside world, simulated on 127.0.0.1."""
