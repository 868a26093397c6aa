"""Connected regions of a black and white picture, and what is left when their holes are filled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]


def label(mask: Mask) -> tuple[Labels, int]:
    """Number the 4-connected regions 1, 2, ... (0 where the mask is false), and how many there are."""
    starts, ends, rows = _runs(mask)
    parent = list(range(len(rows)))
    _join_rows(parent, starts, ends, rows)
    roots = [_root(parent, run) for run in range(len(parent))]
    names = {root: number for number, root in enumerate(dict.fromkeys(roots), start=1)}
    labels = np.zeros(mask.shape, np.int32)
    for run, root in enumerate(roots):
        labels[rows[run], starts[run] : ends[run]] = names[root]
    return labels, len(names)


def _runs(mask: Mask) -> tuple[list[int], list[int], list[int]]:
    """First column, end column and row of every horizontal run of true pixels."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    return starts.tolist(), ends.tolist(), rows.tolist()


def _join_rows(parent: list[int], starts: list[int], ends: list[int], rows: list[int]) -> None:
    """Unite runs of neighbouring rows that touch; both rows are walked from left to right once."""
    above = 0
    for run, row in enumerate(rows):
        while rows[above] < row - 1 or (rows[above] == row - 1 and ends[above] <= starts[run]):
            above += 1
        other = above
        while rows[other] == row - 1 and starts[other] < ends[run]:
            parent[_root(parent, other)] = _root(parent, run)
            other += 1


def _root(parent: list[int], run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


def filled(mask: Mask) -> Mask:
    """The mask with every hole closed: what does not reach the edge of the picture is inside."""
    outside, _ = label(~np.pad(mask, 1))
    return np.asarray(outside != outside[0, 0])[1:-1, 1:-1]
