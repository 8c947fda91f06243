"""Computing in halves what the memory of a GPU does not hold at once.

What fits is found out, not foretold: how much a network, its autograd and the libraries below them hold at a time is
known to nobody before it runs. Callers begin with as much as pays on a GPU, which a large one holds, and pay for a
smaller one with a failed first pass of each block.
"""

from collections.abc import Callable, Sequence

import torch


def in_halves(compute: Callable[[Sequence], list], items: Sequence) -> list:
    """Return `compute(items)`; where a GPU has no memory for it, the results of each half, one after the other.

    Args:
        compute: returns a list, of whatever length; called again with a part of what it failed at.
        items: a sequence or a tensor, at least one.

    Raises:
        torch.OutOfMemoryError: not even a single item fits.
    """
    try:
        return compute(items)
    except torch.OutOfMemoryError:
        if len(items) == 1:
            raise
    torch.cuda.empty_cache()  # here, where the error and what it held on to are gone
    half = len(items) // 2
    return in_halves(compute, items[:half]) + in_halves(compute, items[half:])
