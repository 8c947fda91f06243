"""A table of training runs, one network per direction and seed: Fig. 1, 2, 3 and 6 of the paper. Resumable."""

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import nn
from tqdm import tqdm

from anisotropy import architectures, engines, separable, stacked, stores, training
from anisotropy.training import Recipe

NUMERICS = [1, separable.NUMERICS, training.NUMERICS]
"""Versions of the code that the stored numbers come from: of this module, of the data, of the training."""

RESULTS = ("test_accuracy", "train_accuracy", "test_loss", "train_loss", "steps_to_threshold", "diverged", "seconds")
STACK = 64
"""Networks trained at once on a GPU, where they can be stacked; the data of 64 at 32 x 32 take 5 GB."""


class SweepFailed(RuntimeError):
    """Some units of a sweep could not be computed; a script that does not catch it ends with a non-zero status.

    Attributes:
        dataset: the results of all others, NaN where a unit failed.
        failures: (direction, seed, traceback) of each unit that failed.
    """

    def __init__(self, dataset: xr.Dataset, failures: list[tuple[int, int, str]]):
        self.dataset, self.failures = dataset, failures
        shown = "\n".join(f"direction {k}, seed {seed}:\n{text}" for k, seed, text in failures[:3])
        more = f"\n... and {len(failures) - 3} more, in .failures" if len(failures) > 3 else ""
        super().__init__(
            f"{len(failures)} of {dataset.test_accuracy.size} units failed; the others are stored and in .dataset, and "
            f"a rerun computes only what is missing.\n{shown}{more}"
        )


@dataclass(frozen=True)
class Job:
    """What the units of a sweep have in common; see `run`."""

    factory: Callable[[], nn.Module]
    architecture: dict
    recipe: Recipe
    epsilon: float
    sigma: float
    convention: str
    train_samples: int
    test_samples: int
    store: str
    device: str

    def fields(self, direction: torch.Tensor, seed: int) -> dict:
        """Return all that the numbers of a unit depend on: not the engine, not the device, not the place."""
        return {
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "epsilon": self.epsilon,
            "sigma": self.sigma,
            "convention": self.convention,
            "train_samples": self.train_samples,
            "test_samples": self.test_samples,
            "direction": _digest(direction),
            "shape": list(direction.shape),
            "seed": seed,
            "numerics": NUMERICS,
        }


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
        directions: (K, C, H, W), unit norm.
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
        block: units per task of the engine; by default 1, and 64 where a GPU trains a stack at once.
        progress: show a bar on stderr with the time left, if it is a terminal.

    Returns:
        Dataset with dimensions (direction, seed) and variables test_accuracy, train_accuracy (fractions), test_loss,
        train_loss (nats), steps_to_threshold (NaN: never), diverged, seconds (of computing); scalar coordinates
        architecture, sigma, epsilon, convention, train_samples, test_samples; and the recipe, versions and store in
        its attributes. Also written to the store as one netCDF file, named in the attribute `file`.

    Raises:
        ValueError: if an argument is out of range.
        SweepFailed: after everything else is done, if units failed; it carries the dataset.
    """
    job = Job(
        factory,
        _architecture(factory, name),
        recipe or Recipe(),
        float(epsilon),
        float(sigma),
        convention,
        int(train_samples),
        int(test_samples),
        str(store),
        device,
    )
    rows = _rows(directions)
    seeds = [int(seed) for seed in seeds]
    coordinates = _check(job, rows, seeds, engine, coordinates)
    results, failures = {}, []
    place = stores.Store(store)
    place.clean()
    units = [(k, seed) for seed in seeds for k in range(len(rows))]
    missing = []
    for k, seed in units:
        found = place.read(stores.digest(job.fields(rows[k], seed)))
        if found is None:
            missing.append((k, rows[k], seed))
        else:
            results[k, seed] = found
    size = block or (STACK if device.startswith("cuda") and _stacks(job) else 1)
    blocks = [missing[i : i + size] for i in range(0, len(missing), size)]
    hidden = None if progress else True  # None: tqdm shows itself only on a terminal
    with tqdm(
        total=len(units), initial=len(results), disable=hidden, unit="network", desc=job.architecture["name"]
    ) as bar:
        for number, outcome in engines.run(engine, _Compute(job), blocks):
            if isinstance(outcome, engines.Failure):  # the whole block: its worker died
                outcome = [outcome] * len(blocks[number])
            for (k, direction, seed), result in zip(blocks[number], outcome, strict=True):
                if isinstance(result, engines.Failure):
                    stored = place.read(stores.digest(job.fields(direction, seed)))  # done before its worker died?
                    if stored is None:
                        failures.append((k, seed, result.traceback))
                        continue
                    result = stored
                results[k, seed] = result
            bar.update(len(blocks[number]))
    dataset = _dataset(job, rows, seeds, coordinates, results)
    if failures:
        raise SweepFailed(dataset, sorted(failures))
    return dataset


class _Compute:
    """The function that an engine applies to a block of units."""

    def __init__(self, job: Job):
        self.job = job

    def __call__(self, block: list[tuple[int, torch.Tensor, int]]) -> list[dict | engines.Failure]:
        job, store = self.job, stores.Store(self.job.store)
        fields = [job.fields(direction, seed) for _, direction, seed in block]
        # another sweep on the same store may have been here since the block was made
        results = [store.read(stores.digest(f)) for f in fields]
        todo = [i for i, result in enumerate(results) if result is None]
        groups = [todo] if len(todo) > 1 and job.device.startswith("cuda") and _stacks(job) else [[i] for i in todo]
        for group in groups:
            outcome = engines.guarded(_train_units, (job, [block[i][1:] for i in group]))
            for position, i in enumerate(group):
                if isinstance(outcome, engines.Failure):
                    results[i] = outcome
                else:
                    results[i] = outcome[position]
                    store.write(fields[i], results[i])
        return results


def _train_units(arguments) -> list[dict]:
    """Train the networks of some units, stacked if there are several, and return plain results."""
    job, units = arguments
    start = time.perf_counter()
    with _one_thread(job.device):
        networks, train_sets, test_sets, generators = [], [], [], []
        for direction, seed in units:
            networks.append(architectures.build(job.factory, _seed("network", direction, seed)))
            for sets, role, count in ((train_sets, "train", job.train_samples), (test_sets, "test", job.test_samples)):
                generator = torch.Generator().manual_seed(_seed(role, direction, seed))
                sets.append(
                    separable.sample(
                        direction,
                        count,
                        epsilon=job.epsilon,
                        sigma=job.sigma,
                        convention=job.convention,
                        generator=generator,
                        device=job.device,
                        dtype=torch.float64 if job.recipe.dtype == "float64" else torch.float32,
                    )
                )
            generators.append(torch.Generator().manual_seed(_seed("order", direction, seed)))
        (x, y), (test_x, test_y) = (
            [torch.stack(part) for part in zip(*sets, strict=True)] for sets in (train_sets, test_sets)
        )
        del train_sets, test_sets
        outcomes = stacked.train_many(
            networks, x, y, job.recipe, generators=generators, test_inputs=test_x, test_labels=test_y
        )
    seconds = (time.perf_counter() - start) / len(units)
    return [
        {name: _plain(getattr(outcome, name)) for name in RESULTS if name != "seconds"}
        | {"history": [_plain(loss) for loss in outcome.history], "seconds": round(seconds, 3)}
        for outcome in outcomes
    ]


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    """Compute on one CPU thread, as worker processes do: the number of threads changes how sums are rounded."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stacks(job: Job) -> bool:
    return stacked.can_stack([architectures.build(job.factory, 0)], job.recipe)


def _rows(directions: torch.Tensor) -> torch.Tensor:
    """Round to multiples of 2^-30 in float64: what is hashed is what is used, whatever the platform's cosine."""
    if directions.ndim != 4 or not len(directions):
        raise ValueError(f"expected directions of shape (K, C, H, W) with K >= 1, got {tuple(directions.shape)}")
    return torch.round(directions.detach().double().cpu() * 2**30) / 2**30 + 0.0  # + 0.0 turns -0 into 0


def _digest(direction: torch.Tensor) -> str:
    return hashlib.sha256(direction.numpy().tobytes()).hexdigest()[:32]


def _seed(role: str, direction: torch.Tensor, seed: int) -> int:
    """Return a 63-bit seed for one use of randomness in a unit."""
    text = f"{role} {seed} {list(direction.shape)} {_digest(direction)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _architecture(factory, name) -> dict:
    spec = getattr(factory, "spec", None)
    if spec is None and name is None:
        raise ValueError(
            "this factory has no .spec to file results under; give name='...', and a new name whenever the network "
            "changes, or make the factory with architectures.factory"
        )
    return dict(spec or {}) | ({"name": name} if name else {})


def _check(job, rows, seeds, engine, coordinates):
    norms = rows.flatten(1).norm(dim=1)
    if (wrong := (norms - 1).abs() >= 1e-3).any():
        k = int(wrong.nonzero()[0])
        raise ValueError(f"expected directions of unit norm; number {k} has norm {float(norms[k]):.4g}")
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"expected at least one seed and none twice, got {seeds}")
    engines.parse(engine)
    for count in (job.train_samples, job.test_samples):
        separable.check(rows[0], count, job.epsilon, job.sigma, job.convention)
    coordinates = dict(coordinates or {})
    for label, values in coordinates.items():
        if len(values) != len(rows):
            raise ValueError(
                f"expected {len(rows)} values of the coordinate {label!r}, one per direction, got {len(values)}"
            )
    return coordinates


def _plain(value):
    """Turn a result into JSON: numbers that are not finite become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _dataset(job, rows, seeds, coordinates, results) -> xr.Dataset:
    def table(name):
        values = np.full((len(rows), len(seeds)), np.nan)
        for (k, seed), result in results.items():
            if result[name] is not None:
                values[k, seeds.index(seed)] = result[name]
        return ("direction", "seed"), values

    scalars = ("sigma", "epsilon", "convention", "train_samples", "test_samples")
    dataset = xr.Dataset(
        {name: table(name) for name in RESULTS},
        coords={
            "direction": np.arange(len(rows)),
            "seed": seeds,
            "architecture": job.architecture["name"],
            **{name: getattr(job, name) for name in scalars},
            **{label: ("direction", np.asarray(values)) for label, values in coordinates.items()},
        },
    )
    dataset["test_accuracy"].attrs["units"] = dataset["train_accuracy"].attrs["units"] = "fraction"
    dataset["test_loss"].attrs["units"] = dataset["train_loss"].attrs["units"] = "nat"
    dataset["seconds"].attrs["units"] = "s"
    keys = [stores.digest(job.fields(row, seed)) for row in rows for seed in seeds]
    dataset.attrs = {
        "title": "Accuracy of networks trained on the linearly separable distribution D(v)",
        "architecture": json.dumps(job.architecture, sort_keys=True),
        "recipe": json.dumps(job.recipe.as_dict(), sort_keys=True),
        "numerics": json.dumps(NUMERICS),
        "versions": json.dumps(
            {p: version(p) for p in ("anisotropy", "torch", "numpy")} | {"python": platform.python_version()}
        ),
        "complete": int(len(results) == len(keys)),
        "file": f"{_slug(job.architecture['name'])}-{stores.digest({'units': keys})[:12]}.nc",
    }
    target = Path(job.store) / dataset.attrs["file"]
    stores.write_atomically(target, bytes(dataset.to_netcdf(engine="scipy")))  # netCDF 3, which needs no HDF5 library
    return dataset


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
