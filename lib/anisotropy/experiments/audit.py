"""The audit: lines of the record, drawn at random, are computed again here, and the record stands or does not.

`python -m anisotropy audit --minutes 5` draws lines until their cost, as recorded, fills the time, a kind of line at a
time (network, precision, images or D(v)), so that every kind is reached. A training that costs too much is compared by
the losses of its first 30 steps, a line of the gallery by its first network, which is said and counted apart. `--row
KEY` computes one line whole, whatever it costs.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anisotropy._util import checks, paths, provenance
from anisotropy.experiments import image_sweeps, measured, redundant, units
from anisotropy.experiments.measured import Again
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.nads import naming
from anisotropy.results import columns, engines, record, resumable, stores
from anisotropy.training import loop
from anisotropy.training.recipes import Recipe

AGREES, DIFFERS, IMPOSSIBLE = "agrees", "differs", "not auditable here"

WHOLE, EARLY = "whole", "first steps"

WHOLE_SETS = {"cifar10": {"train": 50_000, "test": 10_000}, "digits": {"train": 1297, "test": 500}}
"""Images of each set; a line with as many is not one of a subset."""

STARTING = 4.0
"""Seconds that a worker and the data of a line take, besides what the line's own seconds say."""

ELSEWHERE = {"float32": (1e-3, 0.05, 0.3), "float64": (1e-3, 0.05, 0.3), "bfloat16": (0.01, 0.2, 0.5)}
"""Largest relative difference of the losses at steps 1, 10 and 30 on another processor, where rounding leads along
another path; chosen, not measured. Smaller changes than these, and than `columns.ACCURACY`, go unseen there."""


@dataclass(frozen=True)
class Draw:
    """A line to be computed again, whole or by its first steps.

    Attributes:
        row: the line.
        part: `WHOLE` or `EARLY`.
        images: folder of CIFAR-10, for lines on images.
        again: how a line that is no training is measured; None for trainings.
    """

    row: dict[str, Any]
    part: str
    images: str = ""
    again: Again | None = None


@dataclass(frozen=True)
class Finding:
    """What came of a line: verdict, and recorded against computed in words."""

    verdict: str
    text: str


def job_of(row: dict[str, Any], store: str, images: str) -> tuple[Any, Any]:
    """Return the job and the unit of a line, built from its identity alone.

    Args:
        row: the line.
        store: folder for a checkpoint, if the training is long.
        images: folder of CIFAR-10.

    Raises:
        ValueError: the line cannot be computed again here; the message says why.
    """
    fields = record.fields_of(row)
    architecture = fields["architecture"]
    if architecture["name"] not in architectures.BUILTIN:
        raise ValueError(f"{architecture['name']} is no network of the paper: its code is not in the repository")
    channels, *size = architecture["input_shape"]
    options = {k: v for k, v in architecture.items() if k not in ("name", "input_shape")}
    make = architectures.factory(architecture["name"], in_channels=channels, image_size=tuple(size), **options)
    recipe = Recipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields["recipe"].items()})
    if recipe.dtype == "bfloat16" and not provenance.has_bfloat16():
        raise ValueError("this processor has no bfloat16 arithmetic, in which the line was made")
    if "ratio" in fields:
        job: Any = redundant.Job(
            make, architecture, recipe, *(fields[n] for n in ("sigma", "train_samples", "test_samples")), store
        )
        pair = torch.stack([naming.made_from(fields[name], tuple(fields["shape"])) for name in ("first", "second")])
        unit: Any = (units.rounded(pair), fields["ratio"], fields["seed"])
    elif "direction" in fields:
        vector = naming.made_from(fields["direction"], tuple(fields["shape"]))
        names = ("epsilon", "sigma", "convention", "train_samples", "test_samples")
        job = units.Job(make, architecture, recipe, *(fields[name] for name in names), store, "cpu")
        unit = (0, units.rounded(vector[None])[0], fields["seed"])
    else:
        job = image_sweeps.Job(make, architecture, _source(fields["images"], images), recipe, store, "cpu")
        unit = (_arm(fields["arm"]), fields["seed"])
    if stores.digest(job.fields(unit)) != row["key"]:
        raise ValueError("it was made by another version of the code, which numbers its results otherwise")
    return job, unit


def _source(spec: dict[str, Any], images: str) -> cifar.Source:
    if spec["name"] == "cifar10" and not images:
        raise ValueError("it needs CIFAR-10, whose folder was not given (--cifar)")
    whole = WHOLE_SETS[spec["name"]]
    counts = {split: None if spec[split] == whole[split] else spec[split] for split in whole}
    return cifar.Source(spec["name"], images or "data/cifar10", download=False, **counts)


def _arm(identity: dict[str, Any]) -> arms.Arm:
    """Return the arm of an identity; a basis of which only a hash is recorded cannot be made again."""
    kind = identity["kind"]
    if kind == "clean":
        return arms.clean()
    if kind == "rotated":
        return arms.rotated(identity["size"], seed=identity["seed"])
    plain = {"flipped": arms.flipped, "flipped pixels": arms.flipped_pixels}
    drawn = {"signed": arms.signed, "permuted": arms.permuted}
    carried = {"poisoned": arms.poisoned, "scrambled": arms.scrambled, "carriers alone": arms.carriers_alone}
    if kind not in plain | drawn | carried:
        raise ValueError(f"its condition {kind!r} is not one that is computed again")
    basis = naming.basis_from(json.dumps(identity["basis"]))
    if kind in plain:
        return plain[kind](basis)
    if kind in drawn:
        return drawn[kind](basis, seed=identity["seed"])
    numbers = {name: identity[name] for name in ("classes", "erase") if name in identity}
    return carried[kind](basis, identity["index"], identity["epsilon"], label=kind, **numbers)


def drawn(
    lines: list[dict[str, Any]],
    seconds: float,
    *,
    generator: np.random.Generator,
    images: str = "",
    ways: Mapping[str, Again] = measured.WAYS,
) -> list[Draw]:
    """Draw lines until their cost fills the time, from each kind in turn, so that every kind is reached.

    Args:
        lines: of the record.
        seconds: of processor time.
        generator: source of randomness.
        images: folder of CIFAR-10, passed on.
        ways: as `measured.WAYS`, passed on.

    Returns:
        Draws without repetition; a line that would take more than what is left, or than a fifth of all, is drawn for
        its first steps, or its first network where that fits; measured numbers are drawn whole or not at all.
    """
    kinds = defaultdict(list)
    for row in lines:
        name = record.experiment(row)
        kind = (row.get("measure"),) if name in ways else (row["architecture.name"], row["recipe.dtype"])
        kinds[name, *kind].append(row)
    for group in kinds.values():
        generator.shuffle(group)
    left, draws = seconds, []
    while left > 0 and any(kinds.values()):
        for group in (g for g in kinds.values() if g):
            row = group.pop()
            again = ways.get(record.experiment(row))
            cost, part = row["seconds"] + STARTING, WHOLE
            if cost > min(left, max(seconds / 5, 60.0)):
                if "measure" in row:
                    continue
                cost, part = (_cost_of_first_network if again else _cost_of_first_steps)(row), EARLY
                if again and cost > left:
                    continue
            left -= cost
            draws.append(Draw(row, part, images, again))
            if left <= 0:
                break
    return draws


def _cost_of_first_steps(row: dict[str, Any]) -> float:
    """Seconds of the first 30 steps of a training, if all of its time were steps."""
    samples = row.get("train_samples") or row.get("images.train") or 50_000
    steps = row["recipe.epochs"] * math.ceil(samples / row["recipe.batch_size"])
    return STARTING + row["seconds"] * max(loop.EARLY) / max(steps, max(loop.EARLY))


def _cost_of_first_network(row: dict[str, Any]) -> float:
    """Seconds of one network, if looking for the read-out takes as long as four of them."""
    return STARTING + row["seconds"] * 5 / (4 + row["networks"])


def compute(draw: Draw) -> Finding:
    """Compute a line again and compare."""
    if draw.again:
        return _measured_again(draw, draw.again)
    with tempfile.TemporaryDirectory() as folder:  # for the checkpoint of a long training
        return _compared(draw, folder)


def _compared(draw: Draw, folder: str) -> Finding:
    row = draw.row
    try:
        job, unit = job_of(row, folder, draw.images)
    except (ValueError, FileNotFoundError) as error:
        return Finding(IMPOSSIBLE, str(error))
    made = record.made_columns(provenance.made("cpu"))
    if draw.part == WHOLE:
        (outcome,) = job.compute([unit])
        again = row | outcome | made
        if difference := columns.disagreement(row, again):
            return Finding(DIFFERS, difference)
        if not columns.same_arithmetic(row, made) and (difference := _far(row, again["early"])):
            return Finding(DIFFERS, difference)
        shown = f"test accuracy {row['test_accuracy']:.4f} recorded, {again['test_accuracy']:.4f} computed"
        return Finding(AGREES, f"{shown}, {_tolerance(row, made)}")
    with resumable.one_thread("cpu"):
        early = job.first_steps(unit)
    exact = columns.same_arithmetic(row, made)
    difference = columns.disagreement({"early": row["early"]}, {"early": early}) if exact else _far(row, early)
    if difference:
        return Finding(DIFFERS, difference)
    return Finding(AGREES, f"losses {_losses(row['early'])} recorded, {_losses(early)} computed")


def _measured_again(draw: Draw, again: Again) -> Finding:
    """Compare a line that is no training with the same, or the same of its first network."""
    row = draw.row
    try:
        new = again(row, draw.part == WHOLE)
    except (ValueError, FileNotFoundError) as error:
        return Finding(IMPOSSIBLE, str(error))
    old = row | {"energies": row["energies"][: len(new["energies"])]} if "energies" in row else row
    if difference := columns.disagreement(old, new):
        return Finding(DIFFERS, difference)
    same = columns.same_arithmetic(row, new)
    how = "equal to rounding" if same else "another processor or version, within bounds"
    return Finding(AGREES, f"{measured.amount(row, new)}, {how}")


def _far(row: dict[str, Any], early: list[float | None]) -> str:
    for step, old, new, most in zip(loop.EARLY, row["early"], early, ELSEWHERE[row["recipe.dtype"]], strict=True):
        if old is not None and not (new is not None and math.isclose(old, new, rel_tol=most)):
            return f"loss at step {step}: {old} recorded, {new} computed, more than {most:.1%} apart"
    return ""


def _tolerance(row: dict[str, Any], made: dict[str, Any]) -> str:
    same = columns.same_arithmetic(row, made)
    return "equal to rounding" if same else f"from another processor or version, within {columns.ACCURACY}"


def _losses(early: list[float | None]) -> str:
    return ", ".join("none" if loss is None else f"{loss:.6f}" for loss in early)


def label(row: dict[str, Any]) -> str:
    """What a line is, in words."""
    if (kind := record.experiment(row)) in ("gallery", "discrimination"):
        names = ("architecture.name", "network", "response.name", "predictor.name")
        what = ", ".join(str(row[name]) for name in names if name in row)
        return f"{kind}, {what}, {row['networks']} networks, seed {row['seed']}"
    if kind == "measures":
        return measured.label(row)
    width = row.get("architecture.width", 1.0)
    what = row["architecture.name"] + ("" if width == 1 else f" x {width}")
    if "images.name" in row:
        return f"{what}, {row['images.name']}, {row['arm.kind']}, seed {row['seed']}"
    if "ratio" in row:
        return f"{what}, NADs {row['first.index']} and {row['second.index']}, ratio {row['ratio']}, seed {row['seed']}"
    names = ("ky", "kx", "phase", "network", "index", "hash")
    where = " ".join(str(row[f"direction.{name}"]) for name in names if f"direction.{name}" in row)
    return f"{what}, {row['direction.kind']} {where}, seed {row['seed']}, {row['recipe.dtype']}"


def run(draws: list[Draw], workers: int) -> int:
    """Compute draws in worker processes, print each, and return how many differ."""
    verdicts = defaultdict(int)
    for number, finding in engines.run(f"local:{workers}", compute, draws):
        draw = draws[number]
        if isinstance(finding, engines.Failure):
            finding = Finding(DIFFERS, f"it cannot be computed any more: {finding.traceback.strip().splitlines()[-1]}")
        verdicts[finding.verdict, draw.part] += 1
        name = f"{draw.row['key'][:12]} {label(draw.row)} ({draw.part})"
        print(f"{finding.verdict:18s} {name}: {finding.text}", flush=True)
    whole, early = (verdicts[AGREES, part] + verdicts[DIFFERS, part] for part in (WHOLE, EARLY))
    impossible, wrong = (sum(n for (v, _), n in verdicts.items() if v == verdict) for verdict in (IMPOSSIBLE, DIFFERS))
    text = f"of {whole} results computed whole, {verdicts[AGREES, WHOLE]} agree"
    text += f"; of {early} by their first steps or network, {verdicts[AGREES, EARLY]}" if early else ""
    print(text + (f"; {impossible} not auditable here" if impossible else ""))
    return wrong


def main(
    arguments: list[str] | None = None, more: Callable[[str, str], Mapping[str, Again]] = lambda published, images: {}
) -> int:
    """Draw lines of the record, compute them again, and say whether the record stands."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy audit", description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of the clock, about (default 5)")
    parser.add_argument("--only", default="", help="lines whose description contains this, such as 'vgg11'")
    parser.add_argument("--row", default="", help="one line, by the beginning of its key, computed whole")
    parser.add_argument("--seed", type=int, default=None, help="of the draw; printed, so that it can be repeated")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--cifar", default="data/cifar10", help="folder of CIFAR-10, for lines on images")
    parser.add_argument("--published", default="", help="checkout of the authors' repository, for lines on Fig. 1")
    chosen = parser.parse_args(arguments)
    if not chosen.minutes > 0 or chosen.workers < 1:
        parser.error(f"expected --minutes and --workers above 0, got {chosen.minutes} and {chosen.workers}")
    images = str(paths.resolve(chosen.cifar)) if paths.resolve(chosen.cifar).is_dir() else ""
    ways = measured.WAYS | more(chosen.published, images)
    there = [name for name in record.experiments() if name in (*record.TRAININGS, *ways)]
    read = {name: record.read(record.folder() / f"{name}.jsonl") for name in there}
    problems = [problem for found in read.values() for problem in found.problems]
    lines = [row for found in read.values() for row in found.rows.values()]
    lines = [row for row in lines if chosen.only in label(row) and row["key"].startswith(chosen.row)]
    if not lines:
        print("no line of the record answers to this", file=sys.stderr)
        return 1
    seed = chosen.seed if chosen.seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
    checks.whole(seed, "--seed", 0)
    if chosen.row:
        draws = [Draw(row, WHOLE, images, ways.get(record.experiment(row))) for row in lines]
    else:
        seconds = 60 * chosen.minutes * chosen.workers
        draws = drawn(lines, seconds, generator=np.random.default_rng(seed), images=images, ways=ways)
        print(f"{len(draws)} of {len(lines)} lines drawn with --seed {seed}")
    torch.set_num_threads(1)
    wrong = run(draws, chosen.workers)
    print("\n".join(problems))
    return 1 if wrong or problems else 0
