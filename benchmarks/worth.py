"""How many plain networks one network of ours is worth, by the read-outs or probes that are taken of it.

All amounts are cut from the rows of the same networks: the first R of 64 orthogonal random read-outs are R of them, and
the first P of 64 probes are P. They are judged in the basis of the largest amount, which knows it best. An amount that
costs more backward passes is worth more and takes longer; the one of least cost for the same precision is chosen.
"""

import math
from statistics import median

import torch
from anisotropy.nads.compare import plain_networks
from anisotropy.nads.covariances import DenseCovariance
from measuring import PLAIN
from ways import Subject, ours, sums_seconds

AMOUNTS = {"gradient": (1, 4, 16, 64), "mixed": (1, 4, 16)}
"""Read-outs and probes that are compared; of small networks also 64 probes."""

ALL = "all"
"""All features: as many backward passes as the read-out has inputs."""


def compare(subject: Subject, networks: int, few: int, k: int) -> list[dict]:
    """Cost and worth of each amount.

    Args:
        subject: network and method.
        networks: how many the worth of the amounts is measured on.
        few: on how many that of all features, where that takes hundreds of passes of a large network.
        k: dimension of the subspace whose precision counts.

    Returns:
        One row for each amount, with seconds of a network and the plain networks that it is worth.
    """
    features = subject.readout.features if subject.readout else math.inf
    listed = AMOUNTS[subject.method if not subject.small else "gradient"]
    amounts = [a for a in listed if a < features]
    covariances = {a: DenseCovariance(subject.shape, subject.group) for a in amounts}
    for index in range(networks):
        _, rows = ours(subject, index, amount=amounts[-1])
        for a, covariance in covariances.items():
            covariance.add(rows[:a] * math.sqrt(amounts[-1] / a))
    counts = dict.fromkeys(amounts, networks)
    seconds = {}
    for a in amounts:
        repeats = 7 if subject.small else 3
        ours(subject, 0, amount=a)
        times = [ours(subject, index, amount=a)[0] for index in range(repeats)]
        seconds[a] = {part: median(t[part] for t in times) for part in times[0]}
    if subject.method == "gradient":
        amounts.append(ALL)
        covariances[ALL] = DenseCovariance(subject.shape, subject.group)
        counts[ALL] = networks if subject.small else few
        times = []
        for index in range(counts[ALL]):
            spent, rows = ours(subject, index)
            covariances[ALL].add(rows)
            times.append(spent)
        seconds[ALL] = {part: median(t[part] for t in times) for part in times[0]}
    best = covariances[amounts[-1]] if subject.small else covariances[max(a for a in amounts if a != ALL)]
    eigen = best.eigen()
    found = []
    for a in amounts:
        added, _ = sums_seconds(features if a == ALL else a, subject.shape, subject.group)
        spread = covariances[a].spread(eigen.directions)
        total = plain_networks(eigen.eigenvalues, spread, k) if float(spread.sum()) > 0 else math.inf
        each = min(total / counts[a], PLAIN)  # one network that is worth more cannot be had for less than its cost
        cost = seconds[a]["weights"] + seconds[a]["passes"] + added
        found.append(
            {"amount": a, "networks": counts[a], "worth": each, **seconds[a], "covariance": added, "seconds": cost}
        )
    return found


def cheapest(compared: list[dict]) -> dict:
    """The amount of least cost for the precision of `PLAIN` plain networks, of which whole ones are needed."""
    return min(compared, key=lambda row: math.ceil(PLAIN / row["worth"]) * row["seconds"])


def gap(eigenvalues: torch.Tensor, k: int) -> float:
    """Relative gap behind the k-th eigenvalue; below 0.02 the noise of 10,000 plain samples closes it."""
    return float((eigenvalues[k - 1] - eigenvalues[k]) / eigenvalues[k - 1])
