"""Does training follow what fresh networks answer to: trainings along strong, middle and weak directions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from anisotropy._util import checks
from anisotropy.experiments import sweeps
from anisotropy.nads.energies import energies


def follow(
    measured: Callable[[], nn.Module],
    trained: Callable[[], nn.Module],
    directions: Any,
    *,
    store: Path | str,
    each: int = 4,
    networks: int = 8,
    **training: Any,
) -> xr.Dataset:
    """Measure energies along all directions, then train along some of the strong, the middle and the weak third.

    Args:
        measured: factory of the architecture with one output.
        trained: the same with two outputs.
        directions: (K, *shape), orthonormal: a tensor, NADs, `harmonics` or `graph_modes`.
        store: folder of the results.
        each: directions of each third, from its strongest to its weakest in equal steps of the order; at least 2.
        networks: that the energies are means over.
        **training: other arguments of `sweep`, such as seeds.

    Returns:
        The table of the sweep, strongest first, with the coordinates `third` and `energy`.

    Raises:
        TypeError, ValueError: as from `energies` and `sweep`; fewer than 3 * each directions.
    """
    vectors = checks.several(checks.directions(directions))
    if checks.whole(each, "each", 2) > len(vectors) // 3:
        raise ValueError(f"expected at least {3 * each} directions, each={each} of every third, got {len(vectors)}")
    answers = energies(measured, vectors, networks=networks).mean
    thirds = np.array_split(torch.argsort(answers, descending=True).numpy(), 3)
    chosen = np.concatenate([part[np.linspace(0, len(part) - 1, each).round().astype(int)] for part in thirds])
    labels = {"third": np.repeat(["strong", "middle", "weak"], each), "energy": answers[chosen].numpy()}
    return sweeps.run(trained, vectors[chosen], store=store, coordinates=labels, **training)
