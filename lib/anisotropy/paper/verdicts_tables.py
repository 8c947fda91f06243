"""What the authors' own tables say: Fig. 1, 6, 7 and 8 judged without training anything.

Every function is a measure (`evidence`). The tables have one training for each entry and no spread, so most numbers
are compared as they stand, with bounds that leave room for the 7 points by which two seeds of a half-learnt direction
differ. Intervals over cells of Fig. 1 count orbits of the grid's symmetries, not copies.
"""

import itertools

import numpy as np
from scipy import stats
from scipy.optimize import isotonic_regression

from anisotropy.paper.evidence import Measured, exact, proportion, roc, roc_area, student
from anisotropy.paper.sources import CNNS, NAMES, Sources, energy_at, orbit_of

FIG1, FIG6 = "docs/data/dft_accuracies.csv", "docs/data/nads.csv"
LEARNT = 0.6
"""Test accuracy over which a direction counts as learnt: chance is 0.5, and 10,000 test samples make 0.01 of it."""

GIVEN = {"command": "make statements PUBLISHED=data/published", "full": True}


def _map(found: Measured, network: str, cells: int = 144) -> Measured:
    what = NAMES.get(network, network)
    return found.at(size=f"the authors' {what}: {cells} distinct cells, one training each", files=(FIG1,), **GIVEN)


def _curve(found: Measured, network: str, points: int) -> Measured:
    what = NAMES.get(network, network)
    return found.at(size=f"the authors' {what}: {points} measured NADs, one training each", files=(FIG6,), **GIVEN)


def fig1_range(sources: Sources, network: str) -> Measured:
    """Best minus worst cell of the map, points."""
    accuracies = sources.cells(network)[1]
    return _map(exact(100 * np.ptp(accuracies)), network)


def fig1_worst(sources: Sources, network: str) -> Measured:
    """Accuracy of the worst cell, percent."""
    return _map(exact(100 * sources.cells(network)[1].min()), network)


def fig1_share_learnt(sources: Sources, network: str) -> Measured:
    """Share of the orbits of cells that are learnt, percent."""
    orbits = by_orbit(sources, network)
    learnt = [accuracy > LEARNT for _, accuracy in orbits]
    found = proportion(sum(learnt), len(learnt))
    scaled = found.at(value=100 * found.value, low=100 * found.low, high=100 * found.high)
    return _map(scaled.at(tail=lambda bound: found.tail(bound / 100)), network)


def fig1_rise_with_frequency(sources: Sources, network: str) -> Measured:
    """Largest gain of accuracy from a cell to one of higher frequency, points: 0 where it only falls."""
    frequencies, accuracies = sources.cells(network)
    order = np.argsort(np.hypot(*frequencies.T), kind="stable")
    lowest = np.minimum.accumulate(accuracies[order])
    return _map(exact(100 * (accuracies[order] - lowest).max()), network)


def fig1_unlike(sources: Sources) -> Measured:
    """Mean difference of the two most alike of the four maps, over that of a map from its own mirror image."""
    maps = {network: sources.fourier.accuracy.sel(network=network).values for network in CNNS}
    trained = sources.fourier.trained.values
    apart = min(np.abs(maps[a] - maps[b])[trained].mean() for a, b in itertools.combinations(CNNS, 2))
    same = max(np.abs(m[1:] - m[:0:-1])[:, trained[0]].mean() for m in maps.values())
    return _map(exact(apart / same), "four CNNs")


def by_orbit(sources: Sources, network: str) -> list[tuple[float, float]]:
    """(v'Cv of our NADs, mean accuracy) for every orbit of the authors' map under the network's symmetries."""
    together: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for (ky, kx), accuracy in zip(*sources.cells(network), strict=True):
        values = (energy_at(network, int(ky), int(kx)), float(accuracy))
        together.setdefault(orbit_of(network, int(ky), int(kx)), []).append(values)
    return [tuple(np.mean(values, axis=0)) for values in together.values()]


def fig1_told_by_nads(sources: Sources, network: str) -> Measured:
    """Area under the ROC curve of v'Cv, of our NADs, for learnt orbits against the others."""
    energy, accuracy = np.array(by_orbit(sources, network)).T
    found = roc(energy, accuracy > LEARNT)
    frequencies, accuracies = sources.cells(network)
    every = roc_area([energy_at(network, int(a), int(b)) for a, b in frequencies], accuracies > LEARNT)
    size = f"the authors' {NAMES[network]}: {found.n} orbits of 144 distinct cells, one training each; our NADs"
    return found.at(size=size, files=(FIG1,), note=f"over all cells {every:.3f}", **GIVEN)


def _measured(sources: Sources, network: str) -> tuple[np.ndarray, np.ndarray]:
    table = sources.along_nads
    return table.index.values, table.accuracy.sel(network=network).values


def fig6_largest_rise(sources: Sources, network: str) -> Measured:
    """Largest gain of accuracy from an earlier NAD to a later one, points: 0 where it only falls."""
    index, accuracy = _measured(sources, network)
    rise = accuracy - np.minimum.accumulate(accuracy)
    neighbours = np.diff(accuracy)
    k = int(neighbours.argmax())
    note = f"between neighbours {100 * neighbours[k]:.0f}, from index {index[k]} to {index[k + 1]}"
    return _curve(exact(100 * rise.max()).at(note=note), network, len(index))


def fig6_early_are_learnt(sources: Sources, network: str) -> Measured:
    """Share of pairs of a learnt and an unlearnt NAD in which the learnt one comes first."""
    index, accuracy = _measured(sources, network)
    return _curve(exact(roc_area(-index, accuracy > LEARNT)), network, len(index))


def fig6_explained_by_order(sources: Sources, network: str) -> Measured:
    """Share of the variance of accuracy that the best falling function of the index explains."""
    index, accuracy = _measured(sources, network)
    fitted = isotonic_regression(accuracy, increasing=False).x
    left = ((accuracy - fitted) ** 2).sum() / ((accuracy - accuracy.mean()) ** 2).sum()
    return _curve(exact(1 - left), network, len(index))


def _ranks(sources: Sources) -> list[dict[str, float]]:
    """Two readings of the rank of the covariance: directions with half of its energy, participation ratio."""
    values = {network: sources.their_nads(network).eigenvalues.numpy() for network in CNNS}
    half = {n: float((np.cumsum(v) < v.sum() / 2).sum() + 1) for n, v in values.items()}
    return [half, {n: float(v.sum() ** 2 / (v**2).sum()) for n, v in values.items()}]


def _discordant(first: dict[str, float], second: dict[str, float]) -> int:
    """Pairs of networks that the two order differently."""
    pairs = itertools.combinations(CNNS, 2)
    return sum((first[a] - first[b]) * (second[a] - second[b]) < 0 for a, b in pairs)


def _first_below(sources: Sources, network: str, level: float) -> float:
    index, accuracy = _measured(sources, network)
    return float(index[accuracy < level][0])


def fig6_decay_against_drop(sources: Sources) -> Measured:
    """Pairs of networks, of six, of which the one of lower rank loses accuracy later; the kindest of six readings."""
    levels = (0.85, 0.75, 0.65)
    drops = [{n: _first_below(sources, n, level) for n in CNNS} for level in levels]
    counts = [_discordant(rank, drop) for rank in _ranks(sources) for drop in drops]
    said = ", ".join(f"{NAMES[n]} {drops[1][n]:.0f}" for n in CNNS)
    note = f"{min(counts)} to {max(counts)} by two readings of rank and three levels; first NAD under 75 %: {said}"
    return _curve(exact(min(counts)).at(note=note), "four CNNs", len(sources.along_nads.index))


def fig6_decay_against_depth(sources: Sources) -> Measured:
    """Pairs of networks, of six, of which the one of lower rank falls less steeply; the kindest of two readings."""
    spans = {n: _first_below(sources, n, 0.6) - _first_below(sources, n, 0.9) for n in CNNS}
    counts = [_discordant(rank, spans) for rank in _ranks(sources)]
    note = "indices from 90 to 60 %: " + ", ".join(f"{NAMES[n]} {spans[n]:.0f}" for n in CNNS)
    return _curve(exact(min(counts)).at(note=note), "four CNNs", len(sources.along_nads.index))


def fig6_least_accurate(sources: Sources) -> Measured:
    """Mean accuracy along the NADs, the higher of ResNet-18 and DenseNet-121 minus the lower of the others, points."""
    mean = {n: 100 * float(_measured(sources, n)[1].mean()) for n in CNNS}
    gap = max(mean["resnet18"], mean["densenet121"]) - min(mean["lenet"], mean["vgg11"])
    note = ", ".join(f"{NAMES[n]} {mean[n]:.1f} %" for n in CNNS)
    return _curve(exact(gap).at(note=note), "four CNNs", len(sources.along_nads.index))


def fig1_least_learnt(sources: Sources) -> Measured:
    """Share of learnt cells, the higher of ResNet-18 and DenseNet-121 minus the lower of the others, points."""
    share = {n: 100 * float((sources.cells(n)[1] > LEARNT).mean()) for n in CNNS}
    gap = max(share["resnet18"], share["densenet121"]) - min(share["lenet"], share["vgg11"])
    return _map(exact(gap).at(note=", ".join(f"{NAMES[n]} {share[n]:.0f} %" for n in CNNS)), "four CNNs")


def spectra_fall_faster(sources: Sources) -> Measured:
    """Directions with half of the energy: the more of ResNet-18 and DenseNet-121 over the fewer of the others."""
    half = _ranks(sources)[0]
    ratio = max(half["resnet18"], half["densenet121"]) / min(half["lenet"], half["vgg11"])
    note = ", ".join(f"{NAMES[n]} {half[n]:.0f}" for n in CNNS)
    files = ("NADs/*_eigenvals.npy",)
    return exact(ratio).at(size="the authors' NADs of four CNNs", files=files, note=note, **GIVEN)


def _poison(sources: Sources, first: int, last: int) -> np.ndarray:
    points = [(float(row["index"]), float(row["accuracy_percent"])) for row in sources.table("fig7_digitised.csv")]
    return np.array([accuracy for index, accuracy in points if first <= index <= last])


def _unpoisoned(sources: Sources) -> float:
    rows = {row["network"]: row for row in sources.table("fig8_read_off.csv")}
    return float(rows["resnet18"]["original_percent"])


def fig7_lost(sources: Sources, first: int, last: int) -> Measured:
    """Accuracy without poison minus the mean with carriers at these NADs, points; carriers as a sample of the range."""
    found = student(_unpoisoned(sources) - _poison(sources, first, last))
    size = f"the authors' ResNet-18, {found.n} carriers from {first} to {last}, one training each, read off the picture"
    return found.at(size=size, files=("fig7_digitised.csv", "fig8_read_off.csv"), **GIVEN)


def fig7_rises(sources: Sources) -> Measured:
    """Rank correlation of the carrier's index and accuracy, with Fisher's interval."""
    rows = sources.table("fig7_digitised.csv")
    value = stats.spearmanr([float(r["index"]) for r in rows], [float(r["accuracy_percent"]) for r in rows])[0]
    error = 1.06 / np.sqrt(len(rows) - 3)  # Fieller, Hartley and Pearson (1957)
    low, high = np.tanh(np.arctanh(value) + np.array([-1.96, 1.96]) * error)
    found = Measured(float(value), float(low), float(high), len(rows))

    def tail(bound: float) -> float:
        return float(2 * stats.norm.sf(abs(np.arctanh(value) - np.arctanh(bound)) / error))

    size = f"the authors' ResNet-18, {len(rows)} carriers, one training each, read off the picture"
    return found.at(tail=tail, size=size, files=("fig7_digitised.csv",), **GIVEN)


def fig8_lost(sources: Sources, network: str) -> Measured:
    """Accuracy of the original images minus that of the flipped, points."""
    rows = {row["network"]: row for row in sources.table("fig8_read_off.csv")}
    lost = float(rows[network]["original_percent"]) - float(rows[network]["flipped_percent"])
    size = f"the authors' {NAMES[network]}, one number each, read off the picture"
    return exact(lost).at(size=size, files=("fig8_read_off.csv",), **GIVEN)
