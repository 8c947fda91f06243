"""A table of training runs on images, one network per arm and seed: Fig. 7 and 8 of the paper. Resumable."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import nn

from anisotropy._util import checks
from anisotropy.experiments import sweeps
from anisotropy.images import cifar
from anisotropy.images.arms import Arm, prepare
from anisotropy.models import architectures, identity, networks
from anisotropy.results import netcdf, resumable, stores
from anisotropy.training import loop
from anisotropy.training.recipes import Recipe

NUMERICS = [1, networks.NUMERICS, loop.NUMERICS]
"""Versions of the numbers that the code makes, see `units.NUMERICS`."""

RESULTS = ("test_accuracy", "train_accuracy", "test_loss", "train_loss", "probe_accuracy", "diverged", "seconds")

Unit = tuple[Arm, int]


@dataclass(frozen=True)
class Job:
    """What the units of a sweep have in common; see `run` and `resumable.Job`."""

    factory: Callable[[], nn.Module]
    architecture: dict
    source: cifar.Source | cifar.Tensors
    recipe: Recipe
    store: str
    device: str

    @property
    def name(self) -> str:
        """Name of the architecture."""
        return self.architecture["name"]

    @cached_property
    def _data(self) -> dict:
        return self.source.spec

    def fields(self, unit: Unit) -> dict:
        """Return all that the numbers of a unit depend on."""
        arm, seed = unit
        return {
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "images": self._data,
            "arm": arm.identity,
            "seed": seed,
            "numerics": NUMERICS,
        }

    def together(self) -> bool:
        """Return False: each network has the device for itself."""
        return False

    def compute(self, units: list[Unit]) -> list[dict]:
        """Train and measure the networks of some units, one after the other."""
        return [self._one(unit) for unit in units]

    def first_steps(self, unit: Unit) -> list[float | None]:
        """Return the losses of the steps `loop.EARLY` of a unit."""
        arm, seed = unit
        with resumable.one_thread(self.device):
            data = _to(self.device, prepare(arm, self.source).train)
            network, order = architectures.build(self.factory, seed), torch.Generator().manual_seed(seed)
            return loop.train(network, *data, self.recipe, generator=order, at_most=max(loop.EARLY)).early

    def _one(self, unit: Unit) -> dict:
        arm, seed = unit
        start = resumable.clock(self.device)
        place = stores.Store(self.store)
        path = place.checkpoint(stores.digest(self.fields(unit)))
        with resumable.one_thread(self.device):
            data = prepare(arm, self.source)
            (x, y), test = _to(self.device, data.train), _to(self.device, data.test)
            network = architectures.build(self.factory, seed)
            outcome = loop.train(
                network,
                x,
                y,
                self.recipe,
                generator=torch.Generator().manual_seed(seed),
                test_inputs=test[0],
                test_labels=test[1],
                checkpoint=path,
            )
            probe = math.nan
            if data.probe is not None:
                probe = loop.evaluate(network, *_to(self.device, data.probe), self.recipe)[0]
        found = {name: getattr(outcome, name) for name in set(RESULTS) - {"probe_accuracy", "seconds"}}
        found |= {"probe_accuracy": probe, "seconds": round(resumable.clock(self.device) - start, 3)}
        return {name: resumable.plain(value) for name, value in found.items()} | resumable.losses(outcome)


def run(
    factory: Callable[[], nn.Module],
    source: cifar.Source | cifar.Tensors,
    arms: Sequence[Arm],
    *,
    recipe: Recipe | None = None,
    seeds: Sequence[int] = (0,),
    engine: str = "serial",
    store: Path | str,
    device: str = "cpu",
    name: str | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Train one fresh network for each arm and seed, and return a labelled table of the results.

    A unit of work is one arm and one seed. Initialisation and order of the samples follow from the seed alone, so that
    arms are compared network by network. Units are stored, resumed and reported as in `sweeps.run`; a long training
    also leaves a checkpoint in the store, at most once a minute, and goes on from it after a kill.

    Args:
        factory: makes fresh networks, see `architectures.factory`; as many outputs as there are classes.
        source: which images; `cifar.Tensors` for your own.
        arms: what is done to them, see `arms`.
        recipe: how the networks are trained; the default is `Recipe.cifar()`. It has no `mean` and `std`, since the
            images come normalised.
        seeds: one repetition each.
        engine: "serial", "local:N" or "dask:FILE", see `engines`.
        store: folder of the results. With "dask", one that all workers see.
        device: "cpu", "cuda", "cuda:1".
        name: of the architecture, needed where the factory has no `.spec`.
        progress: show a bar on stderr with the time left, if it is a terminal.

    Returns:
        Dataset with dimensions (arm, seed) and variables test_accuracy, train_accuracy, probe_accuracy (fractions; the
        last is NaN for arms without a probe), test_loss, train_loss (nats), diverged, seconds (of the process that
        finished the unit); recipe, images and versions in its attributes. Also written to the store as one netCDF
        file, named in the attribute `file`.

    Raises:
        TypeError: if the factory is none.
        ValueError: if an argument is out of range, or the images are not intact.
        FileNotFoundError: if the images are not there, and not all results are.
        OSError: if the store cannot be written; what is stored by then is used by the next call.
        SweepFailed: after everything else is done, if units failed; it carries the dataset.

    Warns:
        UserWarning: networks diverged; their accuracies are those of a broken network.
    """
    recipe = sweeps.recipe_of(recipe, Recipe.cifar())
    if recipe.mean:
        raise ValueError("expected a recipe without mean and std: the images come normalised by their training set")
    if not isinstance(source, (cifar.Source, cifar.Tensors)):
        raise ValueError(
            "expected images as a cifar.Source(...), or as cifar.Tensors(name, train=(images, labels), test=...), got "
            f"{checks.described(source)}"
        )
    if not isinstance(arms, Sequence) or not all(isinstance(arm, Arm) for arm in arms):
        raise ValueError(f"expected a list of arms, such as [arms.clean()], got {checks.described(arms)}")
    labels = [arm.label for arm in arms]
    seeds = checks.seeds(seeds)
    if not labels or len(set(labels)) != len(labels):
        raise ValueError(f"expected at least one arm, and none twice, got arms {labels}")
    place, device = checks.folder(store, "store"), sweeps.device_of(device, engine)
    shape, classes = source.form
    sweeps.suits(checks.factory(factory), shape, classes)
    architecture = identity.architecture(factory, name, shape)
    job = Job(factory, architecture, source, recipe, place, device)
    units = [(arm, seed) for seed in seeds for arm in arms]
    found, failed = resumable.complete(job, units, engine=engine, progress=progress, first=lambda: source.load("train"))
    table = (len(seeds), len(labels))
    columns = {}
    for result in RESULTS:
        values = [found[i][result] if i in found else None for i in range(len(units))]
        columns[result] = (("seed", "arm"), np.array(values, dtype=float).reshape(table))
    dataset = xr.Dataset(
        columns, coords={"arm": labels, "seed": seeds, "architecture": job.name, "images": source.name}
    ).transpose("arm", "seed")
    keys = [stores.digest(job.fields(unit)) for unit in units]
    dataset.attrs = {
        "title": "Accuracy of networks trained on images after an intervention",
        "architecture": json.dumps(job.architecture, sort_keys=True),
        "recipe": json.dumps(recipe.as_dict(), sort_keys=True),
        "images_spec": json.dumps(source.spec, sort_keys=True),
        "arms": json.dumps([arm.identity for arm in arms], sort_keys=True),
        "complete": int(len(found) == len(units)),
        **sweeps.versions(NUMERICS),
        "file": sweeps.file_name(job.name, keys, {"arm": labels}),
    }
    netcdf.write(dataset, store)
    sweeps.warn_of_divergence(dataset)
    if failed:
        failures = [(labels.index(units[i][0].label), units[i][1], text) for i, text in failed.items()]
        raise sweeps.SweepFailed(dataset, sorted(failures), what="arm")
    return dataset


def _to(device: str, part):
    return part[0].to(device), part[1].to(device)
