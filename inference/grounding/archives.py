"""Archives (Word, Excel, PowerPoint, books) opened only when they will not unfold too far. Used in the child only."""

from __future__ import annotations

import io
import zipfile

from inference.grounding.parse import OLE, Locked, TooLarge, Unreadable, old_office

#: Honest archives unfold at most 32-fold, bombs several hundred-fold.
UNFOLDED = 200 * 1024**2
FOLD = 100
FOLD_FROM = 1024**2  # bytes: smaller members do no harm
MOST_MEMBERS = 10_000


def opened(data: bytes, name: str) -> zipfile.ZipFile:
    """The archive, none of which is unfolded yet. Raises `Unreadable` or `TooLarge`."""
    if data.startswith(OLE):
        raise old_office(data, name)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        problem = f"{name} is damaged, or of another kind than its name says."
        raise Unreadable(problem, "Open it, save it anew, and try again.") from error
    members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise Locked(f"{name} is locked with a password.", "Save it without a password.")
    folded = any(m.file_size > FOLD_FROM and m.file_size > FOLD * max(m.compress_size, 1) for m in members)
    if folded or len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > UNFOLDED:
        raise TooLarge(f"{name} would unfold to too much data.", "Split it.")
    return archive
