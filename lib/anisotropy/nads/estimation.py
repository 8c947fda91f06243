"""Measuring NADs: random networks in, one `Nads` out. Streaming, repeatable, resumable, on one core or several."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.models import identity, vetting
from anisotropy.nads import definitions, readouts
from anisotropy.nads.compare import overlap, plain_networks
from anisotropy.nads.covariances import DenseCovariance, LowRankCovariance
from anisotropy.nads.definitions import Gradient, Mixed, Secant
from anisotropy.nads.result import Nads
from anisotropy.nads.running import Rows, Run
from anisotropy.nads.symmetry import channels, probing, spatial

DENSE_LIMIT = 4096
"""Largest D whose D x D covariance is kept; above it the leading `rank` directions are sketched."""

OVERLAPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Dimensions k at which the split-half overlap is measured."""


RENAMED = {
    "factory": "make",
    "input_shape": "shape",
    "method": "response=Secant(), Gradient() or Mixed()",
    "step": "response=Secant(step=...)",
    "at": "response=Secant(at=...), and so for Gradient and Mixed",
    "integrate_readout": "response=Secant(integrate_readout=...) or Gradient(integrate_readout=...)",
    "readout_draws": "response=Gradient(draws=...)",
    "probes": "response=Mixed(probes=...)",
    "chunk": "response=Secant(chunk=...) or Gradient(chunk=...)",
    "dtype": "response=Secant(dtype=...), and so for Gradient and Mixed",
    "target": "networks=Until(k=..., overlap=...)",
    "max_networks": "networks=Until(most=...)",
    "progress": "nothing: the bar shows on a terminal only, and TQDM_DISABLE=1 in the environment hides it",
}
"""Arguments of `estimate` in 0.1.0 -> what takes their place."""


@dataclass(frozen=True)
class Until:
    """How long `estimate` goes on: until the top-k subspaces of the two halves of the networks overlap this much.

    Attributes:
        k: dimension of the subspaces; where channels are alike it is raised to a multiple of their number.
        overlap: that is aimed at, up to 1.
        most: networks after which it gives up, with a warning.

    Raises:
        ValueError: a setting out of range.
    """

    k: int = 10
    overlap: float = 0.95
    most: int = 2000

    def __post_init__(self):
        checks.whole(self.k, "k")
        checks.whole(self.most, "most", 2)
        if not 0 < checks.number(self.overlap, "overlap") <= 1:
            raise ValueError(f"expected 0 < overlap <= 1, got {self.overlap}")


def estimate(
    make: Callable[[], nn.Module],
    shape: tuple[int, ...] | None = None,
    response: Secant | Gradient | Mixed = Secant(),
    *,
    networks: int | Until = 50,
    symmetry: Literal["auto", "none"] | tuple[str, ...] = "auto",
    rank: int | None = None,
    seed: int = 0,
    state: str | Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    **renamed: Any,
) -> Nads:
    """NADs of an architecture.

    Args:
        make: zero-argument callable that makes a fresh network with one output (`architectures.factory`, or yours).
        shape: of one input: (C, H, W) of an image, (1, length) or (length,) of a sequence, (nodes, features) of a
            graph; may be left out for an `architectures.factory`, which knows it.
        response: what is measured of each network: `Secant(step=100)`, the finite difference of the released code;
            `Gradient()`, Section 3's definition; `Mixed()`, right singular vectors of d2f / dtheta dx (Lemma 2).
        networks: how many random networks to average over, or `Until` their halves agree.
        symmetry: "auto" averages over the grid symmetries that pass `spatial.verified`, and over the channels where
            `channels.verified` finds them alike, as far as an image given as `at` has these symmetries too; "none"; or
            their names, whatever the image. Inputs of one or two axes have none that are looked for.
        rank: leading directions to return. Needed (default 50) where D is above 4,096: the covariance is sketched.
        seed: draws the networks, the evaluation point and the probes.
        state: file that the running sums are saved to; a killed run called again with the same arguments goes on from
            it with the same result, and a larger `networks` adds to it.
        device: where the networks run.
        workers: processes, each with one thread; networks are added in order, so the number changes no result beyond
            the rounding of a forward pass.
        **renamed: arguments of earlier versions, which are refused with their new form.

    Returns:
        The NADs, with uncertainty and settings.

    Raises:
        TypeError: the factory is none, the response is none, or an argument of an earlier version.
        ValueError: an argument out of range, a network that refuses the inputs or has no scalar output, a state file
            of another estimate.
        FloatingPointError: a network's response is not finite.

    Example:
        >>> from anisotropy.models import architectures
        >>> measured = estimate(architectures.factory("logreg", image_size=4), networks=2)
        >>> bool((measured.eigenvalues * 3 * 16 - 1).abs().max() < 1e-3)  # C = I / (3 D): no preferred direction
        True
    """
    _refuse(renamed)
    method = definitions.named(response, Secant, Gradient, Mixed)
    checks.factory(make)
    shape = _shape(make, shape)
    networks if isinstance(networks, Until) else checks.whole(networks, "networks (or Until())")
    checks.whole(workers, "workers")
    rank is None or checks.whole(rank, "rank")
    checks.seed(seed)
    checks.device(device)
    step = definitions.finite_step(response)
    size = math.prod(shape)
    kept = min(rank or 50, size) if rank is not None or size > DENSE_LIMIT else None  # None: the whole covariance
    if kept is not None and isinstance(networks, Until) and networks.k > kept:
        raise ValueError(f"expected Until(k) with k <= rank = {kept}, got k = {networks.k}")
    point = definitions.point(response, shape, seed)
    fresh = vetting.measured(make, point, seed)
    readout = readouts.examine(make, shape, seed=seed) if response.integrate_readout else None
    rows = Rows(response, point, readout, str(device), seed, copy=not fresh)
    group = _group(symmetry, make, shape, point if isinstance(response.at, Tensor) else None, seed, step)
    covariance = (
        DenseCovariance(shape, group) if kept is None else LowRankCovariance(shape, group, rank=kept, seed=seed)
    )
    settings = {
        "architecture": identity.by_code(make, shape),
        "input_shape": list(shape),
        "method": method,
        "step": step,
        "at": response.at if isinstance(response.at, str) else "image",
        "symmetry": list(group),
        "readout": asdict(readout) if readout else None,
        "readout_draws": getattr(response, "draws", None),
        "probes": getattr(response, "probes", None),
        "seed": seed,
        "dtype": str(definitions.precision(response)).removeprefix("torch."),
        "rank": kept,
        "torch": torch.__version__,
    }
    settings |= {"sigma": response.sigma} if response.at == "normal" and response.sigma != 1 else {}
    run = Run(covariance, rows, settings, Path(state) if state else None)
    run.resume(make, point)
    _advance(run, make, networks, workers)
    settings |= {"seconds": round(run.seconds, 3), "workers": workers, "device": str(device)}
    return _finish(run, settings)


def _advance(run: Run, make, networks: int | Until, workers: int) -> None:
    """Add networks to a run: as many as asked for, or until the halves agree."""
    until = networks if isinstance(networks, Until) else None
    if until:
        alike = run.covariance.alike  # subspaces of whole colours: single ones are a convention
        k = min(-(-until.k // alike) * alike, math.prod(run.covariance.shape))
        goals = [g for g in _checkpoints(until.most) if g >= run.count] or [run.count]
    elif run.count > networks:
        raise ValueError(
            f"{run.state} holds {run.count} networks, and networks={networks} were asked for: ask for at least as "
            "many, or name another state file"
        )
    else:
        goals = [networks]
    begin = time.monotonic() - run.seconds
    for goal in goals:
        run.advance(make, goal, workers, begin)
        if until and run.count == goal:
            halves = [run.covariance.eigen(slice(h, None, 2)).directions for h in (0, 1)]
            run.curve.append((goal, round(time.monotonic() - begin, 3), overlap(*halves, k)))
            if run.curve[-1][2] >= until.overlap:
                break
    else:
        if until:
            warnings.warn(
                f"the top-{k} overlap of two halves is {run.curve[-1][2]:.3f} after {run.count} networks, "
                f"below the target of {until.overlap}: raise Until(most=...)",
                stacklevel=3,
            )
    run.seconds = time.monotonic() - begin


def _finish(run: Run, settings: dict[str, Any]) -> Nads:
    covariance, count = run.covariance, run.count
    eigen = covariance.eigen()
    largest = eigen.directions.abs().argmax(1, keepdim=True)
    directions = eigen.directions * eigen.directions.gather(1, largest).sign()
    errors, halves, plain = None, {}, {}
    if count >= 2:
        first, second = (covariance.eigen(slice(h, None, 2)).directions for h in (0, 1))
        known = [k * covariance.alike for k in OVERLAPS]
        halves = {k: overlap(first, second, k) for k in known if k <= min(len(first), len(second))}
        variance = covariance.spread(directions)
        if isinstance(covariance, DenseCovariance):
            errors = variance.diagonal().sqrt()
            plain = {k: plain_networks(eigen.eigenvalues, variance, k) for k in known if k < len(variance)}
        else:
            errors = variance.sqrt()
    return Nads(
        eigenvalues=eigen.eigenvalues.cpu(),
        directions=directions.float().view(-1, *covariance.shape).cpu(),
        networks=count,
        eigenvalue_errors=errors,
        split_half=halves,
        plain_networks=plain,
        curve=run.curve,
        settings=settings,
        trace=None if math.isnan(covariance.trace) else covariance.trace,
    )


def _checkpoints(most: int) -> list[int]:
    """4, 6, 8, 12, 16, 24, 32, ...: the networks after which `Until` looks at the overlap."""
    points = sorted({p for e in range(2, 32) for p in (2**e, 3 * 2 ** (e - 1)) if p < most} | {most})
    return [p for p in points if p >= min(4, most)]


def _group(symmetry, make, shape, image: Tensor | None, seed: int, step: float | None) -> tuple[str, ...]:
    """Symmetries to average over; the covariance at one image has those of the networks that the image has too."""
    if len(shape) < 3:
        if symmetry not in ("auto", "none"):
            raise ValueError(
                f'expected symmetry "auto" or "none" for inputs of shape {shape}, got {symmetry!r}: symmetries are '
                "those of the pixels of images (C, H, W)"
            )
        return ("",)
    if symmetry == "auto":
        size = probing.SMALL if step is None else step
        group = spatial.verified(make, shape, seed=seed, step=size)
        group = group if image is None else spatial.shared(group, image)
        black = image is None or not bool(image.any())
        alike = black and channels.verified(make, shape, seed=seed, step=size)
        return (*group, channels.ALIKE) if alike else group
    if symmetry == "none":
        return ("",)
    given = () if isinstance(symmetry, str) or symmetry is None else tuple(dict.fromkeys(("", *symmetry)))
    group = tuple(name for name in given if name != channels.ALIKE)
    if set(group) not in map(set, spatial.SUBGROUPS):
        raise ValueError(
            'expected symmetry "auto", "none", or names of grid symmetries that form a group, one of '
            f'{spatial.SUBGROUPS}, and "{channels.ALIKE}" where channels are alike, got {symmetry!r}'
        )
    if shape[1] != shape[2] and any("t" in name for name in group):
        raise ValueError(f"expected symmetries without a transposition for images of shape {shape}, got {symmetry!r}")
    return given if shape[0] > 1 else group


def _shape(make, given) -> tuple[int, ...]:
    known = getattr(make, "input_shape", None)
    if given is None and known is None:
        raise ValueError(f"expected shape={checks.SHAPES}: this factory does not know it")
    shape = checks.shape(given if given is not None else known)
    if known is not None and tuple(known) != shape:
        raise ValueError(f"the factory makes networks for inputs of shape {tuple(known)}, got shape={shape}")
    return shape


def _refuse(renamed: dict[str, Any]) -> None:
    for name in renamed:
        if name not in RENAMED:
            raise TypeError(f"estimate() has no argument {name!r}")
        raise TypeError(f"estimate() has no argument {name!r} any more: it is {RENAMED[name]}")
