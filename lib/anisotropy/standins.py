"""What a rehearsal puts in the place of trainings and of NADs: results of the right kind that no one can mistake.

Lines that go to the ledger of the rehearsal, each a mapping of plain values:

* of a table of units: `part` (its number), `name`, `device`, `engine`, `keys`, `stored` (whether each is in the
  store), `steps` of a training, `early` (whether it may stop before), `together` (units trained at once), and their
  `data_bytes`;
* of NADs: `part`, `name`, `device`, `method`, `networks` still to do, `most` (whether fewer may do), `workers`,
  `kept` (whether its sums are saved as it goes);
* what they cost, once tried: `of` (the part), `seconds` of one unit or network, `after` (seconds at the end),
  `operations` of one unit where the device is not here, `gpu_bytes`;
* `remark`, a sentence.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anisotropy import engines, ledger, rehearsing, stores, trials, workloads
from anisotropy.basis import Nads, read_tensors
from anisotropy.covariances import DenseCovariance, LowRankCovariance
from anisotropy.estimation import OVERLAPS
from anisotropy.running import Response
from anisotropy.workloads import Workload

OVERLAP = 0.5
"""Overlap of the halves of NADs that were not measured."""


@dataclass(frozen=True)
class _Part:
    """What the notebook asked for in one call: enough to try it later."""

    number: int
    alike: str  # parts with the same text take the same time for each unit
    attempt: Callable[[], dict[str, Any]]
    scale: Callable[[Any], dict[str, Any]]


_asked: list[_Part] = []
_measured_here: list[bool] = []


def results(job: Any, units: list, *, engine: str, block: int) -> dict[int, dict]:
    """Note the units of a sweep; return the stored results, and stand-ins for those that are missing.

    Args:
        job: see `resumable.Job`.
        units: of the sweep.
        engine: where they would run.
        block: units per task.

    Returns:
        Number of the unit -> result.
    """
    rehearsing.goes_on()
    engines.parse(engine)
    keys = [stores.digest(job.fields(unit)) for unit in units]
    place = stores.Store(job.store)
    found = {i: place.read(key) for i, key in enumerate(keys)}
    missing = [i for i, result in found.items() if result is None]
    known = job.workload(units[missing[0] if missing else 0]) if hasattr(job, "workload") and units else None
    part, name = len(_asked), _called(getattr(job, "architecture", {"name": job.name}))
    stored = [found[i] is not None for i in range(len(units))]
    line: dict[str, Any] = {"name": name, "engine": engine, "keys": keys, "stored": stored}
    if known is not None:
        together = min(block, max(1, len(missing))) if known.stacked else 1
        line |= {"device": known.device, "steps": known.steps, "early": known.recipe.stop_at_threshold}
        line |= {"together": together, "data_bytes": together * known.data_bytes}
    else:
        ledger.note(
            remark=f"a unit of {job.name} does not say what it consists of (`Job.workload`): its time is not known"
        )
    ledger.note(part=part, **line)
    if _measured_here:
        ledger.note(remark="units along NADs that the run itself measures count as not stored, whether they are or not")
    if known is not None and missing:
        _asked.append(_training(part, known, together))
    else:
        _asked.append(_Part(part, "", dict, dict))
    return {i: result if result is not None else _result(keys[i], known) for i, result in found.items()}


def _called(spec: dict[str, Any]) -> str:
    """Name of an architecture, with what sets it apart from others of this name."""
    usual = ("name", "in_channels", "num_outputs", "image_size", "input_shape")
    special = [f"{k}={v}" for k, v in spec.items() if k not in usual and v not in (1.0, True)]
    return ", ".join([spec["name"].rpartition(".")[2], *special])


def _result(key: str, workload: Workload | None) -> dict[str, Any]:
    """Accuracies at chance, spread a little since a notebook may rank them, and a name that says what they are."""
    classes = workload.classes if workload else 2
    spread = int(key[:8], 16) / 2**32
    loss = float(torch.tensor(float(classes)).log())
    accuracy, steps = (0.9 + 0.2 * spread) / classes, workload.steps if workload else 1
    return {
        "test_accuracy": accuracy, "train_accuracy": accuracy, "probe_accuracy": accuracy, "test_loss": loss,
        "train_loss": loss, "steps_to_threshold": max(1, int(steps * (0.5 + spread / 2))), "diverged": False,
        "history": [loss], "seconds": 0.0, "stand_in": True,
    }  # fmt: skip


def _training(part: int, workload: Workload, together: int) -> _Part:
    def attempt() -> dict[str, Any]:
        return {"trial": trials.training(workload, together) if trials.here(workload.device) else None}

    def scale(found: dict[str, Any]) -> dict[str, Any]:
        trial = found["trial"]
        if trial is None:
            return {"operations": workloads.operations(workload)}
        line = {"seconds": trial.seconds(workload), "scaled": trial.remark}
        return line | (
            {} if trial.gpu_bytes is None else {"gpu_bytes": together * (trial.gpu_bytes + workload.data_bytes)}
        )

    return _Part(part, json.dumps([workload.alike(), together], sort_keys=True), attempt, scale)


def nads(
    factory: Callable[[], nn.Module],
    response: Response,
    averaged: bool,
    networks: int,
    goals: list[int],
    rank: int | None,
    workers: int,
    state: Path | None,
) -> Nads:
    """Note what an estimate would measure, and return random orthonormal directions.

    Args:
        factory: makes the networks.
        response: how each is measured, without its read-out.
        averaged: whether the read-out is integrated out.
        networks: how many, those of the state included.
        goals: counts at which "auto" looks at the overlap; empty for a given number.
        rank: leading directions of a sketched covariance; None where all are kept.
        workers: processes.
        state: file of an earlier part of the measurement.

    Returns:
        NADs with falling eigenvalues and the settings that name what was asked for, `stand_in` among them.
    """
    rehearsing.goes_on()
    shape = tuple(response.point.shape)
    spec = getattr(factory, "spec", {"name": getattr(factory, "__qualname__", type(factory).__name__)})
    settings = {
        "architecture": spec, "input_shape": list(shape), "method": response.method, "seed": response.seed,
        "step": response.step if response.method == "secant" else None, "dtype": str(response.dtype).split(".")[-1],
    }  # fmt: skip
    part = len(_asked)
    left = max(0, networks - _saved(state, settings))
    ledger.note(part=part, name=_called(spec), device=response.device, method=response.method, networks=left,
                most=bool(goals), workers=workers, kept=state is not None)  # fmt: skip
    _measured_here.append(True)

    def attempt() -> dict[str, Any]:
        if not trials.here(response.device):
            return {"operations": trials.network_operations(factory, response, averaged)}
        kept = DenseCovariance(shape) if rank is None else LowRankCovariance(shape, rank=rank, seed=response.seed)
        one, eigen, scaled = trials.network(factory, response, averaged, kept, 1 if workers > 1 else None)
        return {"seconds": one, "eigen": eigen, "scaled": scaled}

    def scale(found: dict[str, Any]) -> dict[str, Any]:
        return found | {"after": found["eigen"] * (3 + 2 * len(goals))} if "eigen" in found else found

    draws = [response.draws, response.probes, response.chunk, str(response.dtype), response.device]
    alike = json.dumps([spec, list(shape), response.method, averaged, *draws, rank, workers > 1], sort_keys=True)
    if not hasattr(factory, "spec"):  # two functions of a notebook may have one name, or none
        alike += f" {id(factory)}"
    _asked.append(_Part(part, alike if left else "", attempt, scale))
    return _random(shape, rank, networks, goals, settings | {"stand_in": True, "seconds": 0.0, "symmetry": [""]})


def _saved(state: Path | None, settings: dict[str, Any]) -> int:
    """Networks that a state file holds, if it is of this estimate."""
    if state is None or not state.exists():
        return 0
    try:
        known = read_tensors(state)[1]
        if all(known["settings"].get(name) == value for name, value in settings.items()):
            return int(known["count"])
    except (ValueError, KeyError, TypeError):
        pass
    ledger.note(remark=f"{state.name}: a saved state of another estimate or a damaged one counts as none")
    return 0


@lru_cache(maxsize=4)
def _orthonormal(size: int, count: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(size, count, generator=torch.Generator().manual_seed(0)))[0].T.contiguous()


def _random(shape, rank: int | None, networks: int, goals: list[int], settings: dict[str, Any]) -> Nads:
    size = shape[0] * shape[1] * shape[2]
    count = size if rank is None else rank
    digest = hashlib.sha256(json.dumps([settings, networks], sort_keys=True).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    # Another estimate, other directions: equal ones would make units of a sweep seem equal.
    rows = _orthonormal(size, count)[torch.randperm(count, generator=generator)]
    rows = rows[:, torch.randperm(size, generator=generator)]
    rows = rows * rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
    values = torch.logspace(0, -3, count, dtype=torch.float64) / count
    known = sorted({k * each for k in OVERLAPS for each in (1, shape[0]) if k * each < count})  # colours may be alike
    return Nads(
        values, rows.view(-1, *shape), networks, 0.1 * values, dict.fromkeys(known, OVERLAP),
        dict.fromkeys(known, float(networks)), [(goal, 0.0, OVERLAP) for goal in goals], settings,
    )  # fmt: skip


def attempts() -> None:
    """Try what the notebook asked for, each kind of work once, and note what it costs; the last cell of a rehearsal."""
    known: dict[str, dict[str, Any]] = {}
    rehearsing.unlimited()
    for part in _asked:
        if not part.alike:
            continue
        try:
            if part.alike not in known:
                known[part.alike] = part.attempt()
            ledger.note(of=part.number, **part.scale(known[part.alike]))
        except Exception as error:  # the others go on
            ledger.note(remark=f"a trial failed, its time is not known: {type(error).__name__}: {error!s:.200}")


rehearsing.take_place(results=results, nads=nads)
