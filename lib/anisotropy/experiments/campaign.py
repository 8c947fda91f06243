"""The campaign: rows of the record that are computed in the background, in an order fixed before any of them was seen.

`params/campaign.yaml` lists the rows, and for each statement of the paper that they decide the measure and the bound.
`python -m anisotropy campaign` computes what is missing, in order, in two processes at the lowest priority, from a
clean copy of the commit that is checked out, so that every row names code that exists and editing never disturbs it. It
stops when its time is over and goes on where it was: a training from its last checkpoint.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from anisotropy import nads
from anisotropy._util import checks, paths, processes
from anisotropy.directions import bases
from anisotropy.experiments import image_sweeps, redundant, units
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.results import engines, record, resumable, stores
from anisotropy.training.recipes import Recipe

PLAN = "params/campaign.yaml"
CARRIED = {
    "poisoned": ("poisoned", "own"),
    "added": ("poisoned", "none"),
    "written": ("poisoned", "all"),
    "scrambled": ("scrambled", "all"),
}
"""Conditions with carriers: kind of the arm, and what of the images is erased (see `interventions.poison`)."""

CONDITIONS = ("original", "flipped", "signs", *CARRIED)


@dataclass(frozen=True)
class Item:
    """Rows of one kind. What a plan may say of them, and what holds where it says nothing.

    Attributes:
        name: of the item.
        figure: of the paper that the rows belong to.
        network: one of the paper's.
        width: multiplies its channels.
        pooling: False for the network without pooling (Fig. 3).
        strides: False takes the strides of ResNet-18 away as well.
        frequencies: Fourier directions, [ky, kx, phase] each with phase "cos", "sin" or "real".
        nads: or indices of the NADs of `network` that the package carries.
        conditions: or conditions of CIFAR-10, out of `CONDITIONS`.
        carriers: indices of the carriers of the conditions in `CARRIED`.
        epsilons: strengths of these carriers.
        pairs: or pairs of indices of NADs, of two redundant signals (see `redundant`).
        ratios: amplitudes of the second signal of a pair, that of the first being 1.
        learning_rate: if not that of the released recipe.
        images: training images of CIFAR-10.
        samples: training samples of D(v), and as many for the test.
        sigma: standard deviation of the noise of D(v).
        epochs: passes over the training set.
        dtypes: precisions, one row each.
        seeds: one row each.
        schedule: of the learning rate, see `Recipe`.
        stop_at_threshold: end when the training loss is small (Fig. 2).
    """

    name: str
    figure: str
    network: str
    width: float = 1.0
    pooling: bool = True
    strides: bool = True
    frequencies: tuple = ()
    nads: tuple = ()
    conditions: tuple = ()
    carriers: tuple = ()
    epsilons: tuple = (0.05,)
    pairs: tuple = ()
    ratios: tuple = ()
    learning_rate: float | None = None
    images: int = 50_000
    samples: int = 10_000
    sigma: float = 3.0
    epochs: int = 20
    dtypes: tuple = ("bfloat16",)
    seeds: tuple = (0,)
    schedule: str = "linear"
    stop_at_threshold: bool = False

    def __post_init__(self):
        kinds = [kind for kind in ("frequencies", "nads", "conditions", "pairs") if getattr(self, kind)]
        if len(kinds) != 1:
            raise ValueError(
                f"item {self.name!r}: expected one of frequencies, nads, conditions and pairs, got {kinds}"
            )
        if unknown := set(self.conditions) - set(CONDITIONS):
            raise ValueError(f"item {self.name!r}: expected conditions out of {CONDITIONS}, got {sorted(unknown)}")

    def changes(self) -> dict[str, float]:
        """What of the recipe the item changes."""
        return {} if self.learning_rate is None else {"learning_rate": self.learning_rate}


@dataclass(frozen=True)
class Row:
    """One row to be computed: a job, its unit, and the file of the record that it belongs to."""

    item: str
    label: str
    experiment: str
    job: Any
    unit: Any

    @property
    def key(self) -> str:
        """Key of the row in store and record."""
        return stores.digest(self.job.fields(self.unit))


def plan(path: Path) -> list[Item]:
    """Read the items of a plan.

    Raises:
        ValueError: the file is no plan, or an item has a key that is not known or lacks one that must be there.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("items"), list):
        raise ValueError(f"{path.name}: expected a mapping with a list of items, got {checks.described(content)}")
    known, items = {field.name for field in fields(Item)}, []
    for entry in content["items"]:
        if not isinstance(entry, dict) or (set(entry) - known) or not {"name", "figure", "network"} <= set(entry):
            raise ValueError(
                f"{path.name}: expected name, figure, network and keys out of {sorted(known)}, got {entry}"
            )
        items.append(Item(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}))
    return items


def rows(items: list[Item], store: str, images: str) -> Iterator[Row]:
    """Rows of a plan, in its order.

    Args:
        items: see `plan`.
        store: folder of finished units.
        images: folder of CIFAR-10; rows that need it are left out where it is empty.
    """
    for item in items:
        for dtype in item.dtypes:
            if item.conditions:
                yield from _on_images(item, dtype, store, images) if images else ()
            else:
                yield from _on_directions(item, dtype, store)


def _on_directions(item: Item, dtype: str, store: str) -> Iterator[Row]:
    recipe = Recipe(
        epochs=item.epochs,
        dtype=dtype,
        schedule=item.schedule,
        stop_at_threshold=item.stop_at_threshold,
        **item.changes(),
    )
    make = _factory(item, in_channels=1, num_outputs=2)
    if item.pairs:
        yield from _on_pairs(
            item, redundant.Job(make, make.spec, recipe, item.sigma, item.samples, item.samples, store)
        )
        return
    job = units.Job(
        make, make.spec, recipe, 1.0, item.sigma, "text", item.samples, item.samples, store, "cpu"
    )  # fmt: skip
    if item.frequencies:
        vectors = [bases.wave(32, 32, *f)[None] for f in item.frequencies]
        labels = [f"frequency ({f[0]}, {f[1]}) {f[2]}" for f in item.frequencies]
    else:
        vectors = [nads.load(item.network).directions[i] for i in item.nads]
        labels = [f"NAD {i}" for i in item.nads]
    for seed in item.seeds:
        for k, vector in enumerate(vectors):
            unit = (k, units.rounded(vector[None])[0], seed)
            yield Row(item.name, f"{item.network} {labels[k]}, seed {seed}, {dtype}", "directions", job, unit)


def _on_pairs(item: Item, job: redundant.Job) -> Iterator[Row]:
    rows_of_nads = units.rounded(nads.load(item.network).directions)
    for seed in item.seeds:
        for pair in item.pairs:
            for ratio in item.ratios:
                label = f"{item.network} NADs {pair[0]} and {pair[1]}, ratio {ratio:g}, seed {seed}"
                yield Row(item.name, label, "redundant", job, (rows_of_nads[list(pair)], float(ratio), seed))


def _on_images(item: Item, dtype: str, store: str, images: str) -> Iterator[Row]:
    make = _factory(item, in_channels=3, num_outputs=10)
    source = cifar.Source("cifar10", images, train=item.images if item.images < 50_000 else None, download=False)
    recipe = Recipe.cifar(epochs=item.epochs, dtype=dtype, **item.changes())
    job = image_sweeps.Job(make, make.spec, source, recipe, store, "cpu")
    basis = nads.load(item.network).directions
    for seed in item.seeds:
        made = {
            "original": [arms.clean()],
            "flipped": [arms.flipped(basis)],
            "signs": [arms.signed(basis, seed=seed)],
        }
        for condition in set(item.conditions) & set(CARRIED):
            kind, erase = CARRIED[condition]
            made[condition] = [
                getattr(arms, kind)(basis, i, e, label=f"{condition}, carrier {i}, epsilon {e:g}", erase=erase)
                for e in item.epsilons
                for i in item.carriers
            ]
        for arm in (arm for condition in item.conditions for arm in made[condition]):
            label = f"{item.network} {arm.label}, {item.images} images, seed {seed}, {dtype}"
            yield Row(item.name, label, "images", job, (arm, seed))


def _factory(item: Item, **shape: int) -> architectures.Factory:
    changes = {} if item.strides else {"strides": False}
    return architectures.factory(item.network, width=item.width, pooling=item.pooling, **shape, **changes)


class TimeOver(Exception):
    """The time of a campaign is over."""


def work(todo: list[Row], workers: int, hours: float) -> int:
    """Compute rows in order until all are there or the time is over; print a line for each; return how many were made.

    A row in hand when the time is over keeps its checkpoint.
    """

    def stop(*_: Any) -> None:
        raise TimeOver

    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, hours * 3600)
    done = 0
    try:
        for number, outcome in engines.run(f"local:{workers}", compute, todo):
            row = todo[number]
            if isinstance(outcome, engines.Failure):
                print(f"failed   {row.item}: {row.label}\n{outcome.traceback}", flush=True)
                continue
            done += 1
            print(f"{outcome['test_accuracy']:8.1%} {row.item}: {row.label}, {outcome['seconds']:.0f} s", flush=True)
    except (TimeOver, KeyboardInterrupt):
        print("the time is over; rows in hand go on from their checkpoints next time", flush=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return done


def compute(row: Row) -> dict:
    """Compute one row in a worker process at the lowest priority, through the store.

    Raises:
        RuntimeError: it could not be computed, or not be stored.
    """
    os.nice(19 - os.nice(0))
    outcome = resumable.Compute(row.job)([row.unit])
    if isinstance(outcome, resumable.Unstored):
        raise RuntimeError(f"the result cannot be kept: {outcome.error[1]}")
    if isinstance(outcome[0], engines.Failure):
        raise RuntimeError(outcome[0].traceback)
    return outcome[0]


def clean_copy() -> Path:
    """Return a work tree of the commit that is checked out, under `data/campaign/`, made if it is not there.

    Raises:
        RuntimeError: this is no git checkout.
    """
    root = paths.root()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
    if not head:
        raise RuntimeError(f"expected a git checkout with a commit in {root}: rows must name the code that made them")
    copy = root / "data" / "campaign" / head[:12]
    if not (copy / ".git").exists():
        subprocess.run(["git", "worktree", "prune"], cwd=root, check=True)
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(copy), head], cwd=root, check=True)
    return copy


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign from a clean copy, or (`--here`) in this tree."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0, help="after which it stops (default 1)")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default 2)")
    parser.add_argument("--store", default="data/sweeps", help="folder of finished results (default data/sweeps)")
    parser.add_argument("--cifar", default="data/cifar10", help="folder of CIFAR-10; rows on images need it")
    parser.add_argument("--only", default="", help="items whose name contains this")
    parser.add_argument("--list", action="store_true", help="say which rows are there and which are missing, and stop")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if not (chosen.hours > 0 and chosen.workers > 0):
        parser.error(f"expected --hours and --workers above 0, got {chosen.hours} and {chosen.workers}")
    places = {"--store": str(paths.resolve(chosen.store)), "--cifar": str(paths.resolve(chosen.cifar))}
    if not (chosen.here or chosen.list):
        copy = clean_copy()
        options = {"--hours": chosen.hours, "--workers": chosen.workers, "--only": chosen.only, **places}
        command = [sys.executable, "-m", "anisotropy", "campaign", "--here"]
        command += [str(text) for pair in options.items() for text in pair]
        environment = os.environ | {"PYTHONPATH": str(copy / "lib")} | processes.SINGLE_THREAD
        return subprocess.run(command, cwd=copy, env=environment).returncode
    images = places["--cifar"] if Path(places["--cifar"]).is_dir() else ""
    started, store = time.monotonic(), places["--store"]
    planned = [r for r in rows(plan(paths.root() / PLAN), store, images) if chosen.only in r.item]
    recorded = record.results([row.key for row in planned])
    stored = {row.key for row in planned if row.key not in recorded and stores.Store(store).read(row.key) is not None}
    todo = [row for row in planned if row.key not in recorded and row.key not in stored]
    print(f"{len(planned)} rows: {len(recorded)} in the record, {len(stored)} in the store, {len(todo)} missing")
    if not images:
        print(f"rows on CIFAR-10 are left out: no folder {chosen.cifar}")
    if chosen.list:
        for row in todo:
            print(f"missing  {row.item}: {row.label}")
        return 0
    done = work(todo, chosen.workers, chosen.hours)
    spent = (time.monotonic() - started) / 3600
    print(f"{done} rows made in {spent:.2f} h, {len(todo) - done} missing; `make record` adds them to the record")
    return 0


if __name__ == "__main__":
    sys.exit(main())
