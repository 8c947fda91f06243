"""What the runs committed under `figures/` say: LeNet, narrow networks, fewer images; every function a measure.

They were made by older notebooks, so each names the commit that made it. Seeds are the independent measurements.
"""

from pathlib import Path

import numpy as np

from anisotropy._util import paths
from anisotropy.paper import fourier_bias
from anisotropy.paper.evidence import Measured, Missing, exact, from_error, student
from anisotropy.paper.sources import Sources


def _of(found: Measured, sources: Sources, notebook: str, name: str, size: str, paper: dict | None) -> Measured:
    """Fill in size, files and command; `paper` are the parameters of the paper's size, None where the run is smaller.

    `size` may name the run's parameters in braces: "{samples:,} samples".
    """
    run = sources.run(notebook)
    parameters, preset = run["parameters"], run["preset"]
    notebook = notebook.rpartition("/")[2]
    if notebook == "01_fourier_bias":
        parameters = fourier_bias.named(parameters)
    place = paths.of_preset(Path("figures"), preset) / notebook / name
    chosen = "" if preset == paths.READING else f"PRESET={preset} "
    return found.at(
        size=size.format(**parameters),
        full=paper is not None and all(parameters.get(key) == value for key, value in paper.items()),
        files=(place.as_posix(),),
        command=f"make reproduce {chosen}ONLY={notebook}",
        minutes=max(run["wall_seconds"], (run["unit_seconds"] or 0) / 2) / 60,
        note=f"run of {run['commit']['hash'][:7]}",
    )


def claim(
    sources: Sources, notebook: str, statement: str, size: str, paper: dict | None = None, scale: float = 1.0
) -> Measured:
    """A number of a run's claims, with its spread over seeds.

    Args:
        sources: where the run lies.
        notebook: such as "05_poisoning"; "laptop/05_poisoning" for the run under that preset.
        statement: of the claim, as `claims.json` has it.
        size: in words, see `_of`.
        paper: parameters that the paper's size would have; None where the run is smaller in any case.
        scale: multiplies the number: 100 for points.

    Raises:
        Missing: the run, or the claim in it, is not there.
    """
    found = [row for row in sources.run(notebook)["claims"] if row["statement"] == statement]
    if not found or found[0]["measured"] is None:
        raise Missing(f"the claim {statement!r} of the run of {notebook}")
    row = found[0]
    value = scale * row["measured"]
    if row["spread"]:  # without n it is an error over the cells of a map: of 45 orbits
        measured = from_error(value, scale * row["spread"], row["n"] or 45)
    else:
        measured = exact(value)  # the claim states no spread
    return _of(measured, sources, notebook, "claims.json", size, paper)


def slowest_over_fastest(sources: Sources, network: str, size: str) -> Measured:
    """Steps to a small training loss: slowest over fastest frequency, per seed; those cut off count as the largest
    number that was seen, so that the ratio is a lower bound.
    """
    table = sources.data("01_fourier_bias", "training_time.json")
    steps = np.array([[np.nan if s == "NaN" else float(s) for s in row] for row in table[network]])
    found = student(np.nanmax(steps, axis=0) / np.nanmin(steps, axis=0))
    cut = int(np.isnan(steps).any(1).sum())
    done = _of(found, sources, "01_fourier_bias", "training_time.json", size, None)
    return done.at(note=f"{done.note}; a lower bound: {cut} of {len(steps)} frequencies were not over when it ended")


def gained_without_pooling(sources: Sources, network: str, frequencies: list[int], size: str) -> Measured:
    """Mean accuracy over frequencies without pooling minus with it, points, per seed."""
    table = sources.data("01_fourier_bias", "without_pooling.json")
    named = table["lenet_kx" if network == "LeNet" else "resnet18_kx"]
    chosen = [named.index(f) for f in frequencies]
    gain = 100 * (np.array(table[f"{network}, no pooling"]) - np.array(table[network]))[chosen].mean(0)
    return _of(student(gain), sources, "01_fourier_bias", "without_pooling.json", size, None)


def range_without_pooling(sources: Sources, network: str, size: str) -> Measured:
    """Best minus worst frequency without pooling over that with it, per seed."""
    table = sources.data("01_fourier_bias", "without_pooling.json")
    with_it, without = (np.ptp(np.array(table[name]), axis=0) for name in (network, f"{network}, no pooling"))
    found = student(without / with_it)
    done = _of(found, sources, "01_fourier_bias", "without_pooling.json", size, None)
    note = f"{done.note}; range with pooling {100 * with_it.mean():.1f} points, without {100 * without.mean():.1f}"
    return done.at(note=note)


def share_left_by_signs(sources: Sources, notebook: str, network: str, size: str) -> Measured:
    """Share of what flipping costs that random signs cost too, which keep data and NADs aligned; per seed."""
    table = sources.data(notebook, "accuracy.csv")
    original, flipped, signs = (
        np.array(table[f"{network}, {name}"]) for name in ("original", "NADs flipped", "random signs")
    )
    found = student((original - signs) / (original - flipped))
    return _of(found, sources, notebook, "accuracy.csv", size, None)


def training_error(sources: Sources, notebook: str, network: str, size: str) -> Measured:
    """Training error, the larger of original and flipped images, percent, per seed."""
    table = sources.data(notebook, "accuracy.csv")
    both = [100 * (1 - np.array(table[f"{network}, {name}, train"])) for name in ("original", "NADs flipped")]
    found = student(max(both, key=lambda errors: errors.mean()))
    return _of(found, sources, notebook, "accuracy.csv", size, None)


def lost_to_carrier(sources: Sources, notebook: str, network: str, carriers: list[int], size: str) -> Measured:
    """Accuracy without poison minus the mean with these carriers, points, per seed."""
    table = sources.data(notebook, "accuracy_along_nads.json")
    accuracy = dict(zip(table["arm"], np.array(table[f"{network}_test_accuracy"], dtype=float), strict=True))
    poisoned = np.mean([accuracy[f"NAD {carrier}"] for carrier in carriers], axis=0)
    found = student(100 * (accuracy["clean"] - poisoned))
    return _of(found, sources, notebook, "accuracy_along_nads.json", size, None)


def largest_rise(sources: Sources, network: str, size: str) -> Measured:
    """Largest gain of accuracy from an earlier NAD to a later one, points, per seed."""
    table = sources.data("04_accuracy_along_nads", "accuracy_along_nads.json")
    curves = 100 * np.array(table[f"accuracy_{network}"])
    rises = (curves - np.minimum.accumulate(curves, axis=0)).max(0)
    return _of(student(rises), sources, "04_accuracy_along_nads", "accuracy_along_nads.json", size, None)


def carriers_alone(sources: Sources, network: str, carriers: list[int], size: str) -> Measured:
    """Accuracy on clean images of a network that was trained on the carriers alone, the best of these, as it stands."""
    table = sources.data("05_poisoning", "controls.json")
    accuracy = dict(zip(table[f"arm_{network}"], table[network], strict=True))
    found = exact(max(accuracy[f"alone {carrier}"][0] for carrier in carriers))
    return _of(found, sources, "05_poisoning", "controls.json", size, None)
