"""`python -m bot.cli`: the same as `moqi`."""

from bot.cli import main

main()
