"""The practice checkpoint that ships with Moqi, and the script that rebuilds it."""
