"""Graph networks on the pixel grid: what they answer to, in modes of the grid and in Fourier waves; what they learn."""

import tempfile
from typing import Any

import torch
from scipy.stats import spearmanr

from anisotropy import directions
from anisotropy.directions import modes
from anisotropy.experiments import follows
from anisotropy.models import graphs
from anisotropy.nads.energies import energies
from anisotropy.results import measures
from anisotropy.training import loop
from anisotropy.training.recipes import Recipe

VERSIONS = (1, loop.NUMERICS)
"""Of the numbers of this module and of trainings."""

PARTS = 8
"""Bands of a spectrum, from slow to fast, each with as many directions."""

THIRDS = ("strong", "middle", "weak")


def bands(values: torch.Tensor) -> list[float]:
    """Means of values (K,) in `PARTS` bands, over their mean."""
    values = values.double()
    return [float(part.mean() / values.mean()) for part in torch.tensor_split(values, PARTS)]


@measures.kept("graphs.grid", version=VERSIONS, bound=0.1, digits=4)
def grid(
    kind: str,
    *,
    readout: str,
    side: int = 16,
    hidden: int = 16,
    networks: int = 8,
    each: int = 4,
    seeds: int = 2,
    epochs: int = 8,
    samples: int = 1000,
    sigma: float = 1.0,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Answers of fresh graph networks on a grid of pixels, and accuracies along strong, middle and weak modes.

    Args:
        kind: of `graphs.KINDS`.
        readout: of `graphs.READOUTS`.
        side: of the grid.
        hidden: channels, in two layers.
        networks: that energies are means over.
        each: directions of each third that are trained along.
        seeds: trainings of each.
        epochs: of training, batches of 64.
        samples: to train on, and as many to test on.
        sigma: noise.
        seed: of the networks that are measured, and of the first training.

    Returns:
        `graph`, `fourier`: mean energy in eight bands of the grid's modes and of Fourier waves, slow to fast, over the
        mean of all; `accuracy`, `error`: mean test accuracy and its standard error over directions, along the strong,
        the middle and the weak third of the modes; `correlation`: rank correlation of energy and accuracy.
    """
    edges = modes.grid(side, side)
    fresh, trained = (graphs.factory(kind, edges, hidden=hidden, readout=readout, num_outputs=n) for n in (1, 2))
    along = modes.graph_modes(edges)
    waves = directions.fourier(side, side).vectors.reshape(side * side, side * side, 1).float()
    how = {"networks": networks, "seed": seed}
    recipe = Recipe(epochs=epochs, batch_size=64)
    amount: dict[str, Any] = {"recipe": recipe, "sigma": sigma, "train_samples": samples, "test_samples": samples}
    with tempfile.TemporaryDirectory() as store:
        amount |= {"seeds": tuple(range(seed, seed + seeds)), "store": store}
        table = follows.follow(fresh, trained, along, each=each, networks=networks, **amount)
    accuracy = table.test_accuracy.mean("seed").values
    parts = [accuracy[table.third.values == third] for third in THIRDS]
    return {
        "graph": bands(energies(fresh, along, **how).mean),
        "fourier": bands(energies(fresh, waves, **how).mean),
        "accuracy": [float(part.mean()) for part in parts],
        "error": [float(part.std(ddof=1) / len(part) ** 0.5) for part in parts],
        "correlation": [float(spearmanr(table.energy.values, accuracy)[0])],
    }
