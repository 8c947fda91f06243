"""Which trainings succeed, told from networks that were never trained: areas under the ROC curve.

A cell of the authors' Fig. 1 is learnt where its trained network passes `LEARNT`. A predictor gives each cell a number;
the area under its ROC curve is the probability that a learnt cell has a larger one than a cell that is not learnt: 1
where no mistake is made, 1/2 by chance. Cells that the grid's symmetries exchange are no independent evidence, so
intervals come from drawing whole orbits of cells.

`python -m anisotropy discrimination --published FOLDER` adds what it measures to `results/discrimination.jsonl`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from anisotropy import directions, kernels, nads
from anisotropy._util import paths, provenance
from anisotropy.experiments import campaign
from anisotropy.models import architectures
from anisotropy.nads import energies
from anisotropy.paper import published
from anisotropy.results import record

LEARNT = 0.6
"""Test accuracy above which a cell counts as learnt."""

BOUND = 0.14
"""Exact energy of ResNet-18, over the mean, above which frequencies of our own are foretold to be learnt: read off the
gap between learnt and failed cells of the authors, before any of ours was trained."""

COUNTS = {"lenet": (1, 2, 4, 8, 32), "vgg11": (1, 2, 4, 8), "resnet18": (1, 2, 4, 8), "densenet121": (1, 2, 4)}
"""Networks averaged over, for each architecture."""

TABLE = "docs/data/dft_accuracies.csv"


@dataclass(frozen=True)
class Predictor:
    """What foretells a cell: "nads", v'Cv of the NADs that come with the package; "frequency", how low it is; "dipole",
    "gradient", energies of fresh networks (`energies`) at zero or at one x ~ N(0, sigma^2 I); and of infinitely wide
    networks "exact", v'Cv of secants, "exact dipole" and "exact gradient"."""

    name: str
    step: float | None = None
    at: str | None = None
    sigma: float | None = None

    def response(self) -> energies.Dipole | energies.Gradient:
        """As `energies.energies` takes it."""
        point = {"at": self.at, "sigma": self.sigma or 1.0}
        return energies.Gradient(**point) if self.name.endswith("gradient") else energies.Dipole(self.step, **point)


PREDICTORS = (
    Predictor("frequency"),
    Predictor("nads"),
    Predictor("dipole", 1.0, "zero"),
    Predictor("dipole", 100.0, "zero"),
    Predictor("dipole", 1.0, "normal", 3.0),
    Predictor("dipole", 10.0, "normal", 3.0),
    Predictor("dipole", 100.0, "normal", 3.0),
    Predictor("gradient", None, "normal", 1.0),
    Predictor("gradient", None, "normal", 3.0),
)

DIPOLES = tuple(Predictor("exact dipole", step, "normal", 3.0) for step in (1.0, 10.0, 100.0, 1000.0))
"""Exact energies at an x as noisy as the images of D(v), for longer and longer steps."""

_AT_ZERO, _GRADIENT = Predictor("exact dipole", 1.0, "zero"), Predictor("exact gradient", None, "normal", 1.0)

EXACT = {
    "resnet18": (Predictor("exact"), _AT_ZERO, *DIPOLES, _GRADIENT),
    "densenet121": (_AT_ZERO, _GRADIENT),
}
"""Predictors that draw no network, for networks without max-pooling; DenseNet-121's secants take too much, and its
dipoles a second a direction."""


@dataclass(frozen=True)
class Told:
    """How well numbers tell learnt cells from the others.

    Attributes:
        area: under the ROC curve.
        low: lower end of its interval over orbits.
        high: upper end. Where no cell is told wrong, no choice of cells shows one, and the interval is a point.
        right: share of cells told right when as many are called learnt as are.
    """

    area: float
    low: float
    high: float
    right: float


def told(learnt, values, orbits, *, level: float = 0.95, draws: int = 1000, seed: int = 0) -> Told:
    """Area under the ROC curve, with a percentile interval from orbits drawn with replacement.

    Args:
        learnt: (n,) whether each cell was learnt.
        values: (n,) what the predictor gives it, larger where it is expected to be learnt.
        orbits: (n,) labels; cells of one label are drawn together.
        level: of the interval.
        draws: of orbits.
        seed: of the draws.

    Raises:
        ValueError: the lengths differ, or all cells are learnt, or none.

    Example:
        >>> told([True, True, False, False], [4, 2, 3, 1], [0, 1, 2, 3]).area
        0.75
    """
    learnt, values, orbits = np.asarray(learnt, bool), np.asarray(values, float), np.asarray(orbits)
    if not learnt.ndim == 1 or not len(learnt) == len(values) == len(orbits) or learnt.all() or not learnt.any():
        raise ValueError(
            f"expected n cells, learnt and not, with n values and n orbits, got {learnt.sum()} learnt of "
            f"{len(learnt)}, {len(values)} values and {len(orbits)} orbits"
        )
    _, labels = np.unique(orbits, return_inverse=True)
    count = labels.max() + 1
    random = np.random.default_rng(seed)
    times = np.stack([np.bincount(random.integers(count, size=count), minlength=count) for _ in range(draws)])
    more, less = times[:, labels[learnt]], times[:, labels[~learnt]]  # how often each cell was drawn
    pairs = more.sum(1) * less.sum(1)
    difference = np.sign(values[learnt][:, None] - values[~learnt])
    won = np.einsum("da,ab,db->d", more, (1 + difference) / 2, less, optimize=True)
    areas = won[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(areas, [(1 - level) / 2, (1 + level) / 2])
    called = np.zeros(len(learnt), bool)
    called[np.argsort(-values, kind="stable")[: learnt.sum()]] = True
    return Told(float(roc_auc_score(learnt, values)), float(low), float(high), float((called == learnt).mean()))


@dataclass(frozen=True)
class Cells:
    """The cells of the published Fig. 1 that were trained.

    Attributes:
        accuracies: network -> (n,) fractions.
        frequencies: (n, 2), ky and kx.
        rows: (n,) which of `basis` is each cell's direction; (ky, 0) and (-ky, 0) share one.
        basis: (K, 1, 32, 32), the directions.
        sha256: of the authors' table.
    """

    accuracies: dict[str, np.ndarray]
    frequencies: np.ndarray
    rows: np.ndarray
    basis: torch.Tensor
    sha256: str

    @property
    def orbits(self) -> np.ndarray:
        """Label (n,) of the cells that flips and transposition of the grid exchange."""
        ordered = np.sort(np.abs(self.frequencies), axis=1)
        return np.unique(ordered, axis=0, return_inverse=True)[1].ravel()


def cells(folder: Path | str) -> Cells:
    """Read the trained cells of Fig. 1 from a checkout of the authors' repository (`published.fourier_accuracies`)."""
    table = published.fourier_accuracies(folder)
    trained = table.trained.to_numpy()
    ky, kx = np.meshgrid(table.ky, table.kx, indexing="ij")
    frequencies = np.stack([ky[trained], kx[trained]], 1)
    fourier = directions.fourier(2 * len(table.ky), 2 * len(table.kx))
    rows, inverse = np.unique([fourier.index(*k) for k in frequencies], return_inverse=True)
    accuracies = {str(n): table.accuracy.sel(network=n).to_numpy()[trained] for n in table.network.to_numpy()}
    digest = sha256((Path(folder) / TABLE).read_bytes()).hexdigest()
    return Cells(accuracies, frequencies, inverse.ravel(), fourier.pictures()[rows], digest)


def maps(folder: Path | str, networks: Iterable[str]) -> dict[str, np.ndarray]:
    """The authors' accuracies of networks on their grid, (16, 16) each; nothing where no folder is given."""
    table = published.where_given(published.fourier_accuracies, str(folder))
    return {} if table is None else {name: table.accuracy.sel(network=name).to_numpy() for name in networks}


@dataclass(frozen=True)
class Own:
    """A frequency that we fixed, and foretold, before a network was trained on it.

    Attributes:
        name: such as "(-3, 4) cos".
        energy: v'Cv of the exact covariance as a multiple of the mean over all directions.
        accuracy: of the trained network, None as long as the record holds none.
    """

    name: str
    energy: float
    accuracy: float | None

    @property
    def learnt(self) -> bool:
        """Whether it was foretold as learnt: on the upper side of the gap between the authors' cells."""
        return self.energy > BOUND


def own(exact: nads.Nads) -> list[Own]:
    """Item `fig1-resnet18` of the campaign: what the exact NADs of ResNet-18 say of it, and what the record holds."""
    plan = [item for item in campaign.plan(paths.root() / campaign.PLAN) if item.name == "fig1-resnet18"]
    rows = list(campaign.rows(plan, store="", images=""))
    energies = exact.energy(torch.stack([row.unit[1] for row in rows]).view(-1, 1, 32, 32)) / exact.eigenvalues.mean()
    trained = record.results([row.key for row in rows])
    names = (row.label.removeprefix("resnet18 frequency ").split(", seed")[0] for row in rows)
    return [
        Own(name, float(energy), trained.get(row.key, {}).get("test_accuracy"))
        for name, energy, row in zip(names, energies, rows, strict=True)
    ]


def picture(energy: Callable[[torch.Tensor], torch.Tensor], frequencies: Sequence[int], size: int = 32) -> np.ndarray:
    """Energies of a grid of frequencies, as multiples of their mean, of a network that treats rows and columns alike.

    A frequency and its opposite are one direction, and transposed ones have one energy, so that about a quarter of the
    grid is asked for.

    Args:
        energy: of directions (K, 1, size, size).
        frequencies: (n,) of rows and of columns.
        size: pixels a side.

    Returns:
        (n, n).
    """
    fourier = directions.fourier(size, size)
    pairs = [tuple(sorted((fourier.index(a, b), fourier.index(b, a)))) for a in frequencies for b in frequencies]
    asked, inverse = np.unique(pairs, axis=0, return_inverse=True)
    values = energy(fourier.pictures()[asked[:, 0]]).numpy()[inverse.ravel()].reshape(len(frequencies), -1)
    return values / values.mean()


def samples(network: str, predictor: Predictor, there: Cells, count: int, seed: int) -> torch.Tensor:
    """What a predictor gives the directions, (N, K): one row a network, or one row in all where it draws none."""
    if predictor.name == "frequency":
        size = np.zeros(len(there.basis))
        size[there.rows] = np.square(there.frequencies).sum(1)
        return -torch.from_numpy(size)[None]
    make = architectures.factory(network)
    if predictor.name == "exact":
        return kernels.infinite_width(make).energy(there.basis)[None]
    if predictor.name == "exact gradient":
        return kernels.infinite_width(make, response=predictor.response(), seed=seed).energy(there.basis)[None]
    if predictor.name == "exact dipole":
        return kernels.energies(make, there.basis, response=predictor.response(), seed=seed)[None]
    if predictor.name == "nads":
        return nads.load(network).energy(there.basis.float())[None]
    return energies.energies(make, there.basis, response=predictor.response(), networks=count, seed=seed).samples


def lines(network: str, predictor: Predictor, there: Cells, seed: int) -> list[dict]:
    """Lines of the record: one for each number of networks in `COUNTS`.

    `area`, `low`, `high` and `right` are those of the first networks of the stream, `least` and `most` the smallest and
    largest area of all the groups of as many that the stream can be cut into. `seconds` is what the first took.
    """
    counts = COUNTS[network]
    begin = time.process_time()
    drawn = samples(network, predictor, there, max(counts), seed)
    seconds = (time.process_time() - begin) / len(drawn)
    if len(drawn) == 1:
        counts = (nads.load(network).networks if predictor.name == "nads" else 0,)
    learnt = there.accuracies[network] > LEARNT
    found = []
    for count in counts:
        groups = [group.mean(0).numpy()[there.rows] for group in drawn.split(count or 1) if len(group) in (1, count)]
        areas = [float(roc_auc_score(learnt, group)) for group in groups]
        identity = {
            "network": network,
            "predictor": asdict(predictor),
            "networks": count,
            "seed": seed,
            "figure": "Fig. 1",
            "threshold": LEARNT,
            "cells": len(learnt),
            "learnt": int(learnt.sum()),
            "published": there.sha256,
        }
        result = asdict(told(learnt, groups[0], there.orbits)) | {"least": min(areas), "most": max(areas)}
        result["seconds"] = seconds * max(1, min(count, len(drawn)))
        result = {name: round(value, 4) for name, value in result.items()}
        found.append(record.line(identity, result, provenance.made("cpu")))
    return found


def again(folder: str, row: dict, whole: bool) -> dict:
    """Measure a line once more, from its identity and the authors' table; `whole` says nothing here.

    Raises:
        ValueError: no folder, another table, or code that numbers its results otherwise.
    """
    if not folder:
        raise ValueError("it needs the authors' repository, whose folder was not given (--published)")
    fields, there = record.fields_of(row), cells(folder)
    if there.sha256 != fields["published"]:
        raise ValueError(f"it was made with another table of the authors than the one in {folder}")
    new = lines(fields["network"], Predictor(**fields["predictor"]), there, fields["seed"])
    found = next((line for line in new if line["key"] == row["key"]), None)
    if found is None:
        raise ValueError("it was made by another version of the code, which numbers its results otherwise")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure what tells the learnt cells of the published Fig. 1, and add it to the record."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy discrimination", description=main.__doc__)
    parser.add_argument("--published", required=True, metavar="FOLDER", help="checkout of the authors' repository")
    parser.add_argument("--network", action="append", choices=list(COUNTS), help="one of them; all if not given")
    parser.add_argument("--exact", action="store_true", help="only what draws no network")
    parser.add_argument("--seed", type=int, default=0, help="of the random networks")
    parser.add_argument("--dry-run", action="store_true", help="print what is measured, and add nothing")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    provenance.made("cpu")  # of the code as it is now
    there = cells(chosen.published)
    for network in chosen.network or COUNTS:
        for predictor in (() if chosen.exact else PREDICTORS) + EXACT.get(network, ()):
            new = lines(network, predictor, there, chosen.seed)
            for row in new:
                step = "" if predictor.step is None else f"h = {predictor.step:g}"
                at = {"normal": f"x ~ N(0, {predictor.sigma}^2)", "zero": "x = 0"}.get(predictor.at, "")
                print(
                    f"{network:12s} {predictor.name:14s} {step:8s} {at:15s} {row['networks']:4d} networks: area "
                    f"{row['area']:.3f} ({row['low']:.3f} to {row['high']:.3f}), right {row['right']:.1%}, "
                    f"{row['seconds']:.1f} s",
                    flush=True,
                )
            try:
                chosen.dry_run or record.add("discrimination", new)
            except ValueError as error:
                print(error, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
