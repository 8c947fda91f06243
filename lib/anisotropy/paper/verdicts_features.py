"""Which features a network uses (Sec. 4.2): Fig. 7 taken apart, and two signals of which either suffices.

Rows are those of the campaign, whose measures and bounds were fixed before any of them was trained.
"""

from collections import defaultdict

import numpy as np

from anisotropy import nads
from anisotropy.paper.evidence import Measured, Missing, resampled
from anisotropy.paper.sources import Sources
from anisotropy.paper.verdicts_record import all_of, condition, rows_of, sized

DRAWS = 2_000


def follows_earlier(sources: Sources, item: str) -> Measured:
    """Share of networks that follow the earlier NAD of a pair where both signals have the same amplitude.

    A network follows the earlier one if it does in most of the samples in which the two disagree. The interval comes
    from drawing pairs.
    """
    rows = all_of(sources, item)
    by_pair = defaultdict(list)
    for row in (row for row in rows if row["ratio"] == 1):
        by_pair[row["first.index"], row["second.index"]].append(row["probe_accuracy"] > 0.5)
    shares = np.array([np.mean(found) for found in by_pair.values()])
    generator = np.random.default_rng(0)
    draws = [shares[generator.integers(len(shares), size=len(shares))].mean() for _ in range(DRAWS)]
    found = resampled(float(shares.mean()), draws, len(shares))
    return sized(found, rows, [item], f"{len(shares)} pairs of NADs")


def change_over(ratios: list[float], follows: list[float]) -> float | None:
    """Return the ratio of amplitudes at which half of the answers follow either signal, None where none is crossed.

    Args:
        ratios: amplitude of the second signal over that of the first, increasing.
        follows: share of answers that follow the first, at each.

    Returns:
        Where a line between neighbours crosses 1/2, on a logarithmic scale of ratios; the first crossing.
    """
    logs = np.log(ratios)
    for k in range(len(ratios) - 1):
        above, below = follows[k] - 0.5, follows[k + 1] - 0.5
        if above > 0 >= below:
            return float(np.exp(logs[k] + (logs[k + 1] - logs[k]) * above / (above - below)))
    return None


def changes_over_as_responses(sources: Sources, item: str) -> Measured:
    """Slope of log change-over ratio on log sqrt(lambda_i / lambda_j), over pairs, means over seeds.

    1 where the network takes the signal to which fresh networks answer more strongly. The interval comes from drawing
    pairs; one without a change-over within the ratios is left out.
    """
    rows = all_of(sources, item)
    values = nads.load(rows[0]["first.network"]).eigenvalues.double()
    curves: dict[tuple, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        curves[row["first.index"], row["second.index"]][row["ratio"]].append(row["probe_accuracy"])
    points = []
    for (i, j), curve in curves.items():
        ratios = sorted(curve)
        at = change_over(ratios, [float(np.mean(curve[ratio])) for ratio in ratios])
        if at is not None:
            points.append((0.5 * float((values[i] / values[j]).log()), np.log(at)))
    if len(points) < 3:
        raise Missing(f"{len(points)} pairs that change over, needs three")
    x, y = np.array(points).T
    generator, draws = np.random.default_rng(0), []
    while len(draws) < DRAWS:
        chosen = generator.integers(len(x), size=len(x))
        if np.ptp(x[chosen]) > 0:
            draws.append(np.polyfit(x[chosen], y[chosen], 1)[0])
    found = resampled(float(np.polyfit(x, y, 1)[0]), draws, len(x))
    return sized(found, rows, [item], f"{len(x)} of {len(curves)} pairs of NADs change over")


def told_by_what_is_missing(sources: Sources, item: str, strengths: str, carrier: int = 0) -> Measured:
    """By how much a weak carrier harms less than a strong one, carriers added, minus the same as released; points.

    Args:
        sources: where rows lie.
        item: of the plan; says size and network.
        strengths: of the plan, its rows with other epsilons.
        carrier: index of the NAD.
    """
    known = {
        (condition(row), row["arm.epsilon"]): row for row in rows_of(sources, strengths) if row["arm.index"] == carrier
    }
    wanted = [(how, epsilon) for how in ("added", "poisoned") for epsilon in (0.0125, 0.2)]
    if absent := [pair for pair in wanted if pair not in known]:
        raise Missing(f"rows of {strengths}: {absent}")
    gains = [known[how, 0.0125]["test_accuracy"] - known[how, 0.2]["test_accuracy"] for how in ("added", "poisoned")]
    value = 100 * (gains[0] - gains[1])
    return sized(Measured(value, value, value), [known[pair] for pair in wanted], [item], f"carrier {carrier}")
