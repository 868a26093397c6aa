"""The NVIDIA cards that this process would compute on, as nvidia-smi tells: no torch is imported, nothing is taken."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

MIB = 2**20
QUERY = "index,uuid,name,memory.total,memory.reserved,memory.used"
FIELDS = len(QUERY.split(","))
UNRESERVED = 0.985  # of the memory that a card has: what CUDA can give where an old driver does not say
PATIENCE = 5.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One card. Memory in bytes."""

    index: int  # as torch and vLLM count: the first that this process sees is 0
    name: str
    total: int  # what CUDA calls its memory: shares are fractions of it
    used: int = 0  # by whoever runs there now
    uuid: str = ""

    def empty(self) -> Card:
        """The same with nobody on it."""
        return replace(self, used=0)


def cards(
    environ: Mapping[str, str], run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
) -> tuple[Card, ...]:
    """The cards that this process sees, in its order; none where there is no driver or it does not answer."""
    if shutil.which("nvidia-smi") is None:
        return ()
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = parsed(answer.stdout) if answer.returncode == 0 else []
    return visible(found, environ.get("CUDA_VISIBLE_DEVICES"))


def parsed(text: str) -> list[Card]:
    """What nvidia-smi printed. A card that does not say how much memory it has is left out."""
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != FIELDS or not (fields[0].isdigit() and fields[3].isdigit()):
            continue
        total = int(fields[3])
        usable = total - int(fields[4]) if fields[4].isdigit() else int(total * UNRESERVED)
        used = int(fields[5]) if fields[5].isdigit() else 0
        card = Card(index=int(fields[0]), uuid=fields[1], name=fields[2], total=usable * MIB, used=used * MIB)
        found.append(card)
    return found


def visible(found: Sequence[Card], wanted: str | None) -> tuple[Card, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves, counted anew from 0. CUDA stops at the first that it does not know."""
    if wanted is None:
        return tuple(found)
    chosen: list[Card] = []
    for name in (part.strip() for part in wanted.split(",")):
        card = next((one for one in found if name and (str(one.index) == name or one.uuid.startswith(name))), None)
        if card is None:
            break
        chosen.append(card)
    return tuple(replace(card, index=place) for place, card in enumerate(chosen))
