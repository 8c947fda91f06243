"""A table of training runs, one network per direction and seed: Fig. 1, 2, 3 and 6 of the paper. Resumable."""

import json
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import nn

from anisotropy._util import checks
from anisotropy.directions import separable
from anisotropy.experiments.units import NUMERICS, RESULTS, STACK, Job, rounded
from anisotropy.models import identity, vetting
from anisotropy.results import engines, netcdf, resumable, stores
from anisotropy.training.recipes import Recipe

SCALARS = ("sigma", "epsilon", "convention", "train_samples", "test_samples")
"""Scalar coordinates of the table."""


class SweepFailed(RuntimeError):
    """Some units of a sweep could not be computed; a script that does not catch it ends with a non-zero status.

    Attributes:
        dataset: the results of all others, NaN where a unit failed.
        failures: (number of the direction or arm, seed, traceback) of each unit that failed.
    """

    def __init__(self, dataset: xr.Dataset, failures: list[tuple[int, int, str]], what: str = "direction"):
        self.dataset, self.failures = dataset, failures
        shown = "\n".join(f"{what} {k}, seed {seed}: {_last(text)}\n{text}" for k, seed, text in failures[:3])
        more = f"\n... and {len(failures) - 3} more, in .failures" if len(failures) > 3 else ""
        super().__init__(
            f"{len(failures)} of {dataset.test_accuracy.size} units failed; the others are stored and in .dataset, and "
            f"a rerun computes only what is missing.\n{shown}{more}{_advice(failures)}"
        )


def _last(text: str) -> str:
    """The line of a traceback that says what happened."""
    return text.strip().splitlines()[-1] if text.startswith("Traceback") else ""


def _advice(failures: list[tuple[int, int, str]]) -> str:
    """What to do about failures of a known kind."""
    short = ("MemoryError", "out of memory", "can't allocate memory")
    if any(word in text for _, _, text in failures for word in short):
        return (
            "\nIf memory ran out: fewer workers at a time (engine='local:1' or 'serial'), fewer samples, or a smaller "
            "batch_size; then run it again"
        )
    return ""


def run(
    factory: Callable[[], nn.Module],
    directions: torch.Tensor,
    *,
    recipe: Recipe | None = None,
    epsilon: float = 1.0,
    sigma: float = 3.0,
    convention: str = "text",
    train_samples: int = 10_000,
    test_samples: int = 10_000,
    seeds: Sequence[int] = (0,),
    engine: str = "serial",
    store: Path | str,
    device: str = "cpu",
    name: str | None = None,
    coordinates: Mapping[str, Sequence] | None = None,
    block: int | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Train one fresh network on D(v) for each direction v and seed, and return a labelled table of the results.

    A unit of work is one direction and one seed. Its initialisation and its data follow from these two alone, drawn
    on the CPU, so that they are the same for every engine and device and shared by sweeps that differ in
    architecture, recipe, epsilon or sigma. Its result goes to its own file under `store`, written whole or not at
    all; what is there already is not computed again, and several sweeps may use one store at once. A unit that fails
    does not stop the others.

    Args:
        factory: makes fresh networks with two outputs, see `architectures.factory`.
        directions: (K, *shape), unit norm, a tensor or an array; or NADs. A shape has one to three axes: (C, H, W),
            (1, length), (nodes, features).
        recipe: how the networks are trained; the default is that of the released code.
        epsilon: size of the informative component, see `separable.sample`.
        sigma: standard deviation of the noise.
        convention: "text" or "code".
        train_samples: n of training.
        test_samples: n of the test set, drawn apart.
        seeds: one repetition each.
        engine: "serial", "local:N" (N processes of one thread: best on CPU cores) or "dask:FILE"; see `engines`.
        store: folder of the results. With "dask", one that all workers see.
        device: "cpu", "cuda", "cuda:1".
        name: of the architecture, needed where the factory has no `.spec` to tell it from others in the store.
        coordinates: labels of the directions, K values each, such as {"ky": ..., "kx": ..., "phase": ...}.
        block: units per task of the engine; by default 1, and where a GPU trains a stack at once 64. What its memory
            does not hold is computed in halves.
        progress: show a bar on stderr with the time left, if it is a terminal.

    Returns:
        Dataset with dimensions (direction, seed) and variables test_accuracy, train_accuracy (fractions), test_loss,
        train_loss (nats), steps_to_threshold (NaN: never), diverged, seconds (of computing); scalar coordinates
        architecture, sigma, epsilon, convention, train_samples, test_samples; and the recipe, versions and store in
        its attributes. Also written to the store as one netCDF file, named in the attribute `file`.

    Raises:
        TypeError: if the factory is none, or the directions are no tensor.
        ValueError: if an argument is out of range.
        OSError: if the store cannot be written; what is stored by then is used by the next call.
        SweepFailed: after everything else is done, if units failed; it carries the dataset.

    Warns:
        UserWarning: networks diverged; their accuracies are those of a broken network.
    """
    seeds = checks.seeds(seeds)
    rows = rounded(directions)
    suits(checks.factory(factory), tuple(rows.shape[1:]), 2)
    job = Job(
        factory,
        identity.architecture(factory, name, tuple(rows.shape[1:])),
        recipe_of(recipe, Recipe()),
        checks.number(epsilon, "epsilon"),
        checks.number(sigma, "sigma"),
        convention,
        checks.whole(train_samples, "train_samples"),
        checks.whole(test_samples, "test_samples"),
        checks.folder(store, "store"),
        device_of(device, engine),
    )
    block is None or checks.whole(block, "block")
    coordinates = _check(job, rows, seeds, engine, coordinates)
    units = [(k, rows[k], seed) for seed in seeds for k in range(len(rows))]
    size = block or (STACK if job.together() else 1)
    found, failed = resumable.complete(job, units, engine=engine, block=size, progress=progress)
    results = {(units[i][0], units[i][2]): result for i, result in found.items()}
    failures = [(units[i][0], units[i][2], text) for i, text in failed.items()]
    dataset = _dataset(job, rows, seeds, coordinates, results)
    warn_of_divergence(dataset)
    if failures:
        raise SweepFailed(dataset, sorted(failures))
    return dataset


def recipe_of(recipe: Recipe | None, default: Recipe) -> Recipe:
    """Return the recipe, or the default for None.

    Raises:
        ValueError: if it is something else.
    """
    if recipe is not None and not isinstance(recipe, Recipe):
        raise ValueError(f"expected a training.Recipe(...) or None, got {checks.described(recipe)}")
    return default if recipe is None else recipe


def device_of(device: str, engine: str) -> str:
    """Return a device that is there; on a cluster it is the workers that must have it, and nothing is looked at.

    Raises:
        ValueError: if the device or the engine is unknown.
    """
    return str(device) if engines.parse(engine)[0] == "dask" else checks.device(device)


def suits(factory: Callable[[], nn.Module], shape: tuple[int, ...], classes: int) -> None:
    """Check that a factory which knows its input shape and outputs makes networks for these images.

    Raises:
        ValueError: if it does not.
    """
    if getattr(factory, "spec", None) is None:
        vetting.trained(factory, shape, classes)
    made_for = getattr(factory, "input_shape", None)
    if made_for is not None and tuple(made_for) != shape:
        raise ValueError(f"the factory makes networks for inputs of shape {tuple(made_for)}, got inputs {shape}")
    outputs = (getattr(factory, "spec", None) or {}).get("num_outputs")
    if outputs is not None and outputs < classes:
        raise ValueError(
            f"expected networks with at least {classes} outputs, one per class, got {outputs}: make the factory with "
            f"num_outputs={classes}"
        )


def warn_of_divergence(dataset: xr.Dataset) -> None:
    """Warn where the training loss of networks became infinite or NaN: an accuracy near chance then says nothing."""
    count = int((dataset.diverged == 1).sum())
    if count:
        warnings.warn(
            f"{count} of {dataset.diverged.size} networks diverged (their training loss became NaN or infinite): their "
            "accuracies say nothing about the data; see .diverged, and try a smaller learning rate, or look for NaN in "
            "the network",
            stacklevel=3,
        )


def _check(job, rows, seeds, engine, coordinates):
    norms = rows.flatten(1).norm(dim=1)
    if (wrong := ~((norms - 1).abs() < 1e-3)).any():  # so that NaN is wrong
        k = int(wrong.nonzero()[0])
        raise ValueError(
            f"expected directions of unit norm; number {k} has norm {float(norms[k]):.4g}; divide each by its norm"
        )
    engines.parse(engine)
    for count in (job.train_samples, job.test_samples):
        separable.check(rows[0], count, job.epsilon, job.sigma, job.convention)
    coordinates = dict(coordinates or {})
    for label, values in coordinates.items():
        if label in (*RESULTS, *SCALARS, "direction", "seed", "architecture"):
            raise ValueError(f"expected a coordinate of another name, {label!r} is one of the table's own")
        if np.ndim(values) != 1:
            raise ValueError(
                f"expected the coordinate {label!r} as {len(rows)} values, one per direction, got "
                f"{checks.described(values)}; of frequencies, give ky and kx apart"
            )
        if len(values) != len(rows):
            raise ValueError(
                f"expected {len(rows)} values of the coordinate {label!r}, one per direction, got {len(values)}"
            )
    return coordinates


def _dataset(job, rows, seeds, coordinates, results) -> xr.Dataset:
    def table(name):
        values = np.full((len(rows), len(seeds)), np.nan)
        for (k, seed), result in results.items():
            if result[name] is not None:
                values[k, seeds.index(seed)] = result[name]
        return ("direction", "seed"), values

    dataset = xr.Dataset(
        {name: table(name) for name in RESULTS},
        coords={
            "direction": np.arange(len(rows)),
            "seed": seeds,
            "architecture": job.architecture["name"],
            **{name: getattr(job, name) for name in SCALARS},
            **{label: ("direction", np.asarray(values)) for label, values in coordinates.items()},
        },
    )
    dataset["test_accuracy"].attrs["units"] = dataset["train_accuracy"].attrs["units"] = "fraction"
    dataset["test_loss"].attrs["units"] = dataset["train_loss"].attrs["units"] = "nat"
    dataset["seconds"].attrs["units"] = "s"
    keys = [stores.digest(job.fields((k, row, seed))) for k, row in enumerate(rows) for seed in seeds]
    dataset.attrs = {
        "title": "Accuracy of networks trained on the linearly separable distribution D(v)",
        "architecture": json.dumps(job.architecture, sort_keys=True),
        "recipe": json.dumps(job.recipe.as_dict(), sort_keys=True),
        **versions(NUMERICS),
        "complete": int(len(results) == len(keys)),
        "file": file_name(job.architecture["name"], keys, coordinates),
    }
    netcdf.write(dataset, job.store)
    return dataset


def versions(numerics: list) -> dict[str, str]:
    """Return what made the numbers of a sweep, as attributes of its dataset."""
    packages = {p: version(p) for p in ("anisotropy", "torch", "numpy")}
    return {
        "numerics": json.dumps(numerics),
        "versions": json.dumps(packages | {"python": platform.python_version()}),
    }


def file_name(architecture: str, keys: list[str], coordinates: Mapping[str, Sequence] | None = None) -> str:
    """Return the name of the netCDF file of a sweep with units of these keys, whose directions have these labels."""
    slug = "".join(c if c.isalnum() else "_" for c in architecture)[:60]  # a file name may have 255 bytes
    arrays = {str(label): np.asarray(values) for label, values in (coordinates or {}).items()}
    labels = {label: [values.dtype.kind, *map(str, values.tolist())] for label, values in arrays.items()}
    return f"{slug}-{stores.digest({'units': keys} | ({'labels': labels} if labels else {}))[:12]}.nc"
