"""What somebody looks for among the pictures, from words and fields to a search. Pure."""

from __future__ import annotations

from inference.grounding import captions
from storage.pictures_index import Term


def terms(words: str) -> tuple[Term, ...]:
    """What a picture must have been ordered with. Words of marks alone find nothing in particular: everything."""
    return tuple(Term(text=one.text, begins=one.begins) for one in captions.sought(words))
