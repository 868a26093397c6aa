"""The settings in force. A reload takes them as a whole or leaves the old ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from bot.settings import Settings, SettingsError, load

log = logging.getLogger("moqi.settings")

#: Files whose values are built into what is open, and what of it waits for a restart.
AT_START = {"model": "all of it", "platforms": "all of it", "interface": "the web page"}


class Current:
    """Holds the settings; everything that may change while running asks here each time."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ
        self._refused = ""  # the last refusal, logged once

    async def reload(self) -> list[str]:
        """Read the folder again; returns what was wrong with it, one line per problem."""
        try:
            fresh = await asyncio.to_thread(load, self.settings.folder, self._environ)
        except SettingsError as error:
            if str(error) != self._refused:
                log.error("settings refused, the old ones stay:\n%s", error, extra={"action": "settings-refused"})
            self._refused = str(error)
            return str(error).splitlines()
        self._refused = ""
        if fresh != self.settings:
            self._adopt(fresh)
        return []

    def _adopt(self, fresh: Settings) -> None:
        for name, what in AT_START.items():
            if getattr(fresh, name) != getattr(self.settings, name):
                action = {"action": "settings-restart"}
                log.warning("%s.yaml changed: restart Moqi to apply it (%s)", name, what, extra=action)
        log.info("settings %s in force", fresh.hash, extra={"action": "settings-applied"})
        self.settings = fresh
