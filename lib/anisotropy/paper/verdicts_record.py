"""What rows of the record say: trainings of the campaign, whose bounds were fixed before any of them was seen.

Every function is a measure. Rows of an item of the plan are found by their columns. A verdict that was fixed waits for
all rows of its items; others wait for half of them, and say how many that is.
"""

import functools
import math
from collections.abc import Iterable

import numpy as np
from scipy import stats

from anisotropy._util import paths
from anisotropy.experiments import campaign
from anisotropy.paper.evidence import Measured, Missing, over_range, proportion, resampled, roc_area, student
from anisotropy.paper.sources import NAMES, Sources, energy_at
from anisotropy.paper.verdicts_tables import FIG1, LEARNT
from anisotropy.results import stores

SURE = 0.75
"""Accuracy over which a direction of ResNet-18 counts as learnt, as the plan has it."""


@functools.cache
def items() -> dict[str, campaign.Item]:
    """Return the items of the plan by name."""
    return {item.name: item for item in campaign.plan(paths.root() / campaign.PLAN)}


@functools.cache
def _keys(name: str) -> tuple[str, ...]:
    """Keys of all rows of an item over directions, in the plan's order."""
    return tuple(row.key for row in campaign.rows([items()[name]], "", ""))


def expected(name: str) -> int:
    """Return the number of rows of an item."""
    item = items()[name]
    carried = len(set(item.conditions) & set(campaign.CARRIED))
    kinds = len(item.frequencies or item.nads or item.conditions) - carried
    kinds += carried * len(item.carriers) * len(item.epsilons) + len(item.pairs) * len(item.ratios)
    return kinds * len(item.seeds) * len(item.dtypes)


def condition(row: dict) -> str:
    """Condition of a row on images, in the words of the plan."""
    plain = {"clean": "original", "flipped": "flipped", "signed": "signs"}
    carried = {pair: name for name, pair in campaign.CARRIED.items()}
    return plain.get(row["arm.kind"]) or carried.get((row["arm.kind"], row.get("arm.erase", "own")), "")


def rows_of(sources: Sources, name: str) -> list[dict]:
    """Return the rows of an item that the record holds."""
    item = items()[name]
    if not item.conditions:
        known = {row["key"]: row for row in sources.rows("redundant" if item.pairs else "directions")}
        return [known[key] for key in _keys(name) if key in known]
    wanted = {
        "architecture.name": item.network,
        "architecture.width": item.width,
        "recipe.epochs": item.epochs,
        "recipe.schedule": item.schedule,
        **{f"recipe.{name}": value for name, value in item.changes().items()},
    }

    def fits(row: dict) -> bool:
        known = all(row.get(column) == value for column, value in wanted.items())
        same = row.get("images.name") == "cifar10" and row.get("images.train") == item.images
        return known and same and row["recipe.dtype"] in item.dtypes and row["seed"] in item.seeds

    places = {None, *item.carriers}, {None, *item.epsilons}
    return [
        row for row in sources.rows("images")
        if fits(row) and condition(row) in item.conditions and row.get("arm.index") in places[0]
        and row.get("arm.epsilon") in places[1]
    ]  # fmt: skip


def all_of(sources: Sources, *names: str) -> list[dict]:
    """Return all rows of these items; raise Missing where the record lacks one."""
    found = [row for name in names for row in rows_of(sources, name)]
    wanted = sum(expected(name) for name in names)
    if len(found) < wanted:
        raise Missing(f"{len(found)} of {wanted} rows of {', '.join(names)}")
    return found


def _some(sources: Sources, *names: str) -> list[dict]:
    """Rows of these items, at least half of those of the plan: the first few decide nothing."""
    found = [row for name in names for row in rows_of(sources, name)]
    wanted = sum(expected(name) for name in names)
    if 2 * len(found) < wanted:
        raise Missing(f"{len(found)} of {wanted} rows of {', '.join(names)}, needs half")
    return found


def sized(measured: Measured, rows: Iterable[dict], names: Iterable[str], what: str) -> Measured:
    """Fill in size, files, command, cost and commits of what was measured, from the rows themselves."""
    rows, names = list(rows), list(names)
    item = items()[names[0]]
    parts = [NAMES[item.network] + (f" x {item.width:g}" if item.width != 1 else "")]
    if item.conditions:
        parts += [f"{item.images:,} images", f"{item.epochs} epochs"]
        full = item.width == 1 and item.images == 50_000 and item.epochs == 50
    else:
        parts += [f"{item.samples:,} samples", f"{item.epochs} epochs", f"sigma = {item.sigma:g}"]
        full = item.width == 1 and item.samples == 10_000 and (item.epochs == 20 or item.stop_at_threshold)
    seeds = len({row["seed"] for row in rows})
    parts += [what, f"{seeds} seed" + ("s" if seeds > 1 else "")]
    kind = "images" if item.conditions else "redundant" if item.pairs else "directions"
    return measured.at(
        size=", ".join(parts),
        full=full,
        files=(f"results/{kind}.jsonl",),
        command=f"make campaign HOURS=24 ONLY={names[0]}",
        minutes=sum(row["seconds"] for row in rows) / 120,
        commits=tuple(sorted({row["made.commit"] for row in rows})),
    )


def _frequency(row: dict) -> tuple[int, int]:
    return row["direction.ky"], row["direction.kx"]


def difference_of_precisions(sources: Sources) -> Measured:
    """Accuracy in bfloat16 minus float32, points, paired by direction and seed."""
    names = ("precision-lenet", "precision-vgg11")
    pairs: dict[str, dict[str, float]] = {}
    rows = all_of(sources, *names)
    for row in rows:
        same = {k: v for k, v in row.items() if k.startswith(("architecture", "direction", "seed"))}
        pairs.setdefault(stores.digest(same), {})[row["recipe.dtype"]] = 100 * row["test_accuracy"]
    found = student([pair["bfloat16"] - pair["float32"] for pair in pairs.values()])
    return sized(found, rows, names, "and VGG-11; 4 cells")


def _published(sources: Sources, network: str, row: dict) -> float:
    """The authors' accuracy at a row's frequency; either member of the conjugate pair, as they trained it."""
    table = sources.fourier
    for sign in (1, -1):
        ky, kx = ((sign * f + 16) % 32 - 16 for f in _frequency(row))
        if ky in table.ky.values and kx in table.kx.values and bool(table.trained.sel(ky=ky, kx=kx)):
            return float(table.accuracy.sel(network=network, ky=ky, kx=kx))
    raise Missing(f"the authors' accuracy at {_frequency(row)}")


def same_cells_learnt(sources: Sources, item: str, strata: list[list[int]]) -> Measured:
    """Share of the drawn frequencies that are learnt here exactly if they are in the published map.

    Args:
        sources: where rows and tables lie.
        item: of the plan.
        strata: (number of orbits, number drawn) of each stratum of ranks of v'Cv; the share is averaged over them.
    """
    rows, network = all_of(sources, item), items()[item].network
    ranked = sorted(rows, key=lambda row: -energy_at(network, *_frequency(row)))
    right = [(row["test_accuracy"] > LEARNT) == (_published(sources, network, row) > LEARNT) for row in ranked]
    share, start, total = 0.0, 0, sum(orbits for orbits, _ in strata)
    for orbits, drawn in strata:
        share += orbits / total * np.mean(right[start : start + drawn])
        start += drawn
    found = proportion(round(share * len(rows)), len(rows))
    done = sized(found.at(value=share), rows, [item], f"{len(rows)} of 45 orbits of cells")
    return done.at(files=(*done.files, FIG1))


def difference_from_published(sources: Sources, item: str, whole: bool = True) -> Measured:
    """Mean absolute difference from the published accuracies, points, over the rows of an item, as they stand."""
    rows, network = (all_of if whole else _some)(sources, item), items()[item].network
    gaps = []
    for row in rows:
        if row["direction.kind"] == "fourier" and any(f % 2 for f in _frequency(row)):
            continue  # a frequency that the authors do not have
        if row["direction.kind"] == "fourier" and row["direction.phase"] == "sin":
            continue
        gaps.append(100 * abs(row["test_accuracy"] - _published(sources, network, row)))
    if not gaps:
        raise Missing("rows at the authors' frequencies")
    value = float(np.mean(gaps))
    done = sized(Measured(value, value, value), rows, [item], f"{len(gaps)} of 144 cells")
    return done.at(files=(*done.files, FIG1))


def told_by_nads(sources: Sources, item: str) -> Measured:
    """Area under the ROC curve of v'Cv for learnt here against not, bootstrap over orbits."""
    rows, network = all_of(sources, item), items()[item].network
    scores = np.array([energy_at(network, *_frequency(row)) for row in rows])
    learnt = np.array([row["test_accuracy"] > LEARNT for row in rows])
    value, generator, draws = roc_area(scores, learnt), np.random.default_rng(0), []
    while len(draws) < 2_000:
        chosen = generator.integers(len(rows), size=len(rows))
        if 0 < learnt[chosen].sum() < len(rows):
            draws.append(roc_area(scores[chosen], learnt[chosen]))
    return sized(resampled(value, draws, len(rows)), rows, [item], f"{len(rows)} of 45 orbits of cells")


FORETOLD = {(-3, 4): True, (2, 7): False, (12, 12): True, (-2, 10): False,
            (0, 3): True, (-13, 10): False, (12, 8): True, (-10, 2): False}  # fmt: skip
"""Frequencies of the item `fig1-resnet18`: whether v'Cv is over 0.14 of its mean, as its head in the plan says."""


def foretold(sources: Sources, item: str) -> Measured:
    """Number of the eight frequencies that are learnt exactly if v'Cv foretold it."""
    rows = all_of(sources, item)
    right = float(sum((row["test_accuracy"] > SURE) == FORETOLD[_frequency(row)] for row in rows))
    return sized(Measured(right, right, right, len(rows)), rows, [item], f"{len(rows)} frequencies, four not theirs")


def steps_ratio(sources: Sources, item: str) -> Measured:
    """Steps at (0, 12), (0, 14), (0, 16) over those at (0, 0), (0, 2), (0, 4): geometric means, published as learnt.

    A training that was cut off counts as having ended there: then the ratio is a lower bound, its upper end unknown.
    """
    rows = all_of(sources, item)
    network, ratios, cut = items()[item].network, [], 0
    steps = math.ceil(items()[item].samples / 128) * items()[item].epochs
    learnt = {row["key"] for row in rows if _published(sources, network, row) > LEARNT}
    for seed in sorted({row["seed"] for row in rows}):
        logs: dict[bool, list[float]] = {True: [], False: []}
        for row in (row for row in rows if row["seed"] == seed and row["key"] in learnt):
            kx = abs(row["direction.kx"])
            if kx in (0, 2, 4, 12, 14, 16):
                cut += row["steps_to_threshold"] is None
                logs[kx >= 12].append(math.log(row["steps_to_threshold"] or steps))
        if not (logs[True] and logs[False]):
            raise Missing("frequencies of both kinds that the published map shows as learnt")
        ratios.append(math.exp(np.mean(logs[True]) - np.mean(logs[False])))
    found = over_range(ratios)
    found = found.at(high=math.inf) if cut else found
    done = sized(found, rows, [item], "at most six cells")
    return done.at(files=(*done.files, FIG1), note=f"{cut} trainings cut off after {steps} steps")


def steps_against_accuracy(sources: Sources, item: str) -> Measured:
    """Rank correlation of steps with the published accuracy, over the frequencies of an item, per seed (range)."""
    rows, values = all_of(sources, item), []
    for seed in sorted({row["seed"] for row in rows}):
        mine = [row for row in rows if row["seed"] == seed]
        steps = [row["steps_to_threshold"] or math.inf for row in mine]
        values.append(stats.spearmanr(steps, [_published(sources, items()[item].network, r) for r in mine])[0])
    done = sized(over_range(values), rows, [item], f"{len(rows) // len(values)} cells")
    return done.at(files=(*done.files, FIG1))


def least_training_accuracy(sources: Sources, items: list[str]) -> Measured:
    """Least training accuracy over the rows of these items, percent, as it stands."""
    rows = _some(sources, *items)
    value = 100 * min(row["train_accuracy"] for row in rows)
    cells = len({_frequency(row) for row in rows})
    return sized(Measured(value, value, value), rows, items, f"{cells} of 144 cells")


def range_of_cells(sources: Sources, items: list[str]) -> Measured:
    """Best minus worst frequency among the rows of these items, points, as it stands: at least the map's range."""
    rows = _some(sources, *items)
    accuracies = [row["test_accuracy"] for row in rows]
    cells = len({_frequency(row) for row in rows})
    if cells < 2:
        raise Missing("1 frequency, needs two")
    value = 100 * float(np.ptp(accuracies))
    return sized(Measured(value, value, value), rows, items, f"{cells} of 144 cells")


def _conditions(sources: Sources, item: str, *kinds: str) -> tuple[list[dict], list[dict[str, dict]]]:
    """Rows of an item, and for each seed the rows of these conditions."""
    rows, by_seed = rows_of(sources, item), {}
    for row in rows:
        by_seed.setdefault(row["seed"], {})[row["arm.kind"]] = row
    whole = [found for found in by_seed.values() if set(kinds) <= set(found)]
    if not whole:
        raise Missing(f"{len(rows)} of {expected(item)} rows of {item}")
    return rows, whole


def lost_by_flipping(sources: Sources, item: str) -> Measured:
    """Accuracy of the original images minus that of the flipped, points, paired by seed."""
    all_of(sources, item)
    rows, pairs = _conditions(sources, item, "clean", "flipped")
    lost = [100 * (pair["clean"]["test_accuracy"] - pair["flipped"]["test_accuracy"]) for pair in pairs]
    return sized(student(lost), rows, [item], "original and flipped")


def share_left_by_signs(sources: Sources, item: str) -> Measured:
    """Share of what flipping costs that random signs cost too, which keep data and NADs aligned, paired by seed."""
    rows, triples = _conditions(sources, item, "clean", "flipped", "signed")
    shares = []
    for found in triples:
        original, flipped, signs = (found[kind]["test_accuracy"] for kind in ("clean", "flipped", "signed"))
        shares.append((original - signs) / (original - flipped))
    return sized(student(shares), rows, [item], "original, flipped, random signs")


def training_error(sources: Sources, item: str) -> Measured:
    """Training error, the larger of original and flipped images, percent, over seeds."""
    rows, pairs = _conditions(sources, item, "clean", "flipped")
    errors = [100 * (1 - min(pair[kind]["train_accuracy"] for kind in ("clean", "flipped"))) for pair in pairs]
    return sized(student(errors), rows, [item], "original and flipped")


def lost_to_carrier(sources: Sources, item: str, clean: str, carrier: int, how: str = "poisoned") -> Measured:
    """Accuracy without poison minus that with a carrier, points, one seed: as it stands. `how`: the condition."""
    rows = [row for row in rows_of(sources, item) if row.get("arm.index") == carrier and condition(row) == how]
    base = [row for row in rows_of(sources, clean) if row["arm.kind"] == "clean"]
    if not rows or not base:
        raise Missing(f"carrier {carrier} of {item} and the original of {clean}")
    value = 100 * (base[0]["test_accuracy"] - rows[0]["test_accuracy"])
    return sized(Measured(value, value, value), [rows[0], base[0]], [item], f"carrier {carrier}")


def _along(sources: Sources, item: str, whole: bool) -> tuple[list[dict], dict[int, float]]:
    rows = (all_of if whole else _some)(sources, item)
    together: dict[int, list[float]] = {}
    for row in rows:
        together.setdefault(row["direction.index"], []).append(row["test_accuracy"])
    return rows, {index: float(np.mean(values)) for index, values in sorted(together.items())}


def rank_along_nads(sources: Sources, item: str) -> Measured:
    """Rank correlation of index and accuracy, as it stands."""
    rows, curve = _along(sources, item, True)
    value = float(stats.spearmanr(list(curve), list(curve.values()))[0])
    return sized(Measured(value, value, value), rows, [item], f"{len(curve)} of 1,024 NADs")


def checkerboards_against_20(sources: Sources, item: str) -> Measured:
    """Accuracy at the worse of NADs 4 and 5, the checkerboards of our basis, minus that at 20, points."""
    rows, curve = _along(sources, item, True)
    value = 100 * (min(curve[4], curve[5]) - curve[20])
    return sized(Measured(value, value, value), rows, [item], "NADs 4, 5 and 20")


def largest_rise(sources: Sources, item: str) -> Measured:
    """Largest gain of accuracy from an earlier NAD to a later one, points, means over seeds, as it stands."""
    rows, curve = _along(sources, item, True)
    values = 100 * np.array(list(curve.values()))
    value = float((values - np.minimum.accumulate(values)).max())
    return sized(Measured(value, value, value), rows, [item], f"{len(curve)} of 1,024 NADs")
