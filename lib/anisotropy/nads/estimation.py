"""Measuring NADs: random networks in, one `Nads` out. Streaming, repeatable, resumable, on one core or several."""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.models import identity, vetting
from anisotropy.nads import readouts
from anisotropy.nads.compare import overlap, plain_networks
from anisotropy.nads.covariances import DenseCovariance, LowRankCovariance
from anisotropy.nads.result import Nads
from anisotropy.nads.running import Response, Run, number
from anisotropy.nads.symmetry import channels, probing, spatial

DENSE_LIMIT = 4096
"""Largest D whose D x D covariance is kept; above it the leading `rank` directions are sketched."""

ROUNDING = 256
"""Least step of a secant in units of a type's precision. At less the responses of ResNet-18 and VGG-11 in bfloat16 have
up to 7 times the energy of those in float32, at a step of 10 the same to three digits."""

OVERLAPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Dimensions k at which the split-half overlap is measured."""


def estimate(
    factory: Callable[[], nn.Module],
    input_shape: tuple[int, int, int] | None = None,
    *,
    networks: int | Literal["auto"] = 50,
    method: Literal["secant", "gradient", "mixed"] = "secant",
    step: float = 100.0,
    at: Literal["normal", "zero"] | Tensor = "normal",
    integrate_readout: bool = True,
    symmetry: Literal["auto", "none"] | tuple[str, ...] = "auto",
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    dtype: torch.dtype | str | None = None,
    progress: bool = True,
    target: tuple[int, float] = (10, 0.95),
    max_networks: int = 2000,
    readout_draws: int | None = None,
    probes: int = 4,
    rank: int | None = None,
    chunk: int | None = None,
    state: str | Path | None = None,
) -> Nads:
    """NADs of an architecture.

    Args:
        factory: zero-argument callable that makes a fresh network with one output (`architectures.factory`, or yours).
        input_shape: (C, H, W); may be left out for an `architectures.factory`, which knows it.
        networks: how many random networks to average over, or "auto": until `target` is reached.
        method: "secant", the finite dipole of the released code; "gradient", Section 3's definition; "mixed", right
            singular vectors of d2f / dtheta dx (Lemma 2).
        step: half the size h of the secant's dipole, in units of the input (100 in the released code).
        at: evaluation point: "normal", one x ~ N(0, I) drawn from the seed; "zero"; or an image (C, H, W).
        integrate_readout: average over the last linear layer in closed form where there is one (`readouts`); the
            mixed derivative does not use it, since the read-out's weights are among its parameters.
        symmetry: "auto" averages over the grid symmetries that pass `spatial.verified`, and over the channels where
            `channels.verified` finds them alike, as far as an image given as `at` has these symmetries too; "none"; or
            their names, whatever the image.
        seed: draws the networks, the evaluation point and the probes.
        device: where the networks run.
        workers: processes, each with one thread; networks are added in order, so the number changes no result beyond
            the rounding of a forward pass.
        dtype: of the networks; None is float32. "bfloat16" is about twice as fast where the processor has it.
        progress: a progress bar, on a terminal only.
        target: (k, overlap): "auto" stops when the top-k subspaces of the two halves overlap this much; where channels
            are alike k is raised to a multiple of their number.
        max_networks: where "auto" gives up, with a warning.
        readout_draws: gradient only: average over this many random orthogonal read-outs instead of all features.
        probes: mixed only: random parameter directions per network.
        rank: leading directions to return. Needed (default 50) where D is above 4,096: the covariance is sketched.
        chunk: pixels (secant) or read-outs (gradient) per pass; None chooses by the sizes of network and image.
        state: file that the running sums are saved to; a killed run called again with the same arguments goes on from
            it with the same result, and a larger `networks` adds to it.

    Returns:
        The NADs, with uncertainty and settings.

    Raises:
        TypeError: the factory is none, or the evaluation point no tensor.
        ValueError: an argument out of range, a network that refuses the images or has no scalar output, a state file
            of another estimate.
        FloatingPointError: a network's response is not finite.

    Example:
        >>> from anisotropy.models import architectures
        >>> measured = estimate(architectures.factory("logreg", image_size=4), networks=2)
        >>> bool((measured.eigenvalues * 3 * 16 - 1).abs().max() < 1e-3)  # C = I / (3 D): no preferred direction
        True
    """
    checks.factory(factory)
    shape = _input_shape(factory, input_shape)
    _check(networks, method, at, shape, target)
    for name, value in {"workers": workers, "probes": probes, "max_networks": max_networks}.items():
        checks.whole(value, name, 2 if name == "max_networks" else 1)
    for name, value in {"rank": rank, "readout_draws": readout_draws, "chunk": chunk}.items():
        value is None or checks.whole(value, name)
    checks.seed(seed)
    checks.number(step, "step")
    checks.device(device)
    size = shape[0] * shape[1] * shape[2]
    dtype = _precision(dtype, method, step)
    kept = min(rank or 50, size) if rank is not None or size > DENSE_LIMIT else None  # None: the whole covariance
    if kept is not None and networks == "auto" and target[0] > kept:
        raise ValueError(f"expected a target (k, overlap) with k <= rank = {kept}, got k = {target[0]}")
    point = _point(at, shape, seed)
    fresh = vetting.measured(factory, point, seed)
    averaged = integrate_readout and method != "mixed"
    response = Response(
        method=method,
        step=float(step),
        point=point,
        readout=readouts.examine(factory, shape, seed=seed) if averaged else None,
        draws=readout_draws,
        probes=probes,
        chunk=chunk,
        dtype=dtype,
        device=str(device),
        seed=seed,
        copy=not fresh,
    )
    group = _group(symmetry, factory, shape, point if isinstance(at, Tensor) else None, seed, step, method)
    covariance = (
        DenseCovariance(shape, group) if kept is None else LowRankCovariance(shape, group, rank=kept, seed=seed)
    )
    called = None if hasattr(factory, "spec") else getattr(factory, "__qualname__", type(factory).__name__)
    settings = {
        "architecture": identity.architecture(factory, called, shape),
        "input_shape": list(shape),
        "method": method,
        "step": float(step) if method == "secant" else None,
        "at": at if isinstance(at, str) else "image",
        "symmetry": list(group),
        "readout": asdict(response.readout) if response.readout else None,
        "readout_draws": readout_draws if method == "gradient" else None,
        "probes": probes if method == "mixed" else None,
        "seed": seed,
        "dtype": str(dtype).removeprefix("torch."),
        "rank": kept,
        "torch": torch.__version__,
    }
    run = Run(covariance, response, settings, Path(state) if state else None)
    run.resume(factory, point)
    _advance(run, factory, networks, target, max_networks, workers, progress)
    settings |= {"seconds": round(run.seconds, 3), "workers": workers, "device": str(device)}
    return _finish(run, settings)


def _advance(run: Run, factory, networks: int | str, target: tuple[int, float], most: int, workers, progress) -> None:
    """Add networks to a run: as many as asked for, or until the halves agree."""
    if networks == "auto":
        goals = [g for g in _checkpoints(most) if g >= run.count] or [run.count]
    elif run.count > networks:
        raise ValueError(
            f"{run.state} holds {run.count} networks, and networks={networks} were asked for: ask for at least as "
            "many, or name another state file"
        )
    else:
        goals = [networks]
    alike = run.covariance.alike  # subspaces of whole colours: single ones are a convention
    k = min(-(-target[0] // alike) * alike, math.prod(run.covariance.shape))
    begin = time.monotonic() - run.seconds
    for goal in goals:
        run.advance(factory, goal, workers, progress, begin)
        if networks == "auto" and run.count == goal:
            halves = [run.covariance.eigen(slice(h, None, 2)).directions for h in (0, 1)]
            run.curve.append((goal, round(time.monotonic() - begin, 3), overlap(*halves, k)))
            if run.curve[-1][2] >= target[1]:
                break
    else:
        if networks == "auto":
            warnings.warn(
                f"the top-{k} overlap of two halves is {run.curve[-1][2]:.3f} after {run.count} networks, "
                f"below the target of {target[1]}: raise max_networks",
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
    """4, 6, 8, 12, 16, 24, 32, ...: the networks after which "auto" looks at the overlap."""
    points = sorted({p for e in range(2, 32) for p in (2**e, 3 * 2 ** (e - 1)) if p < most} | {most})
    return [p for p in points if p >= min(4, most)]


def _point(at: str | Tensor, shape: tuple[int, int, int], seed: int) -> Tensor:
    if isinstance(at, Tensor):
        return at.detach().float().cpu()
    if at == "zero":
        return torch.zeros(shape, dtype=torch.float32)
    return torch.randn(shape, generator=torch.Generator().manual_seed(number(seed, 2)), dtype=torch.float32)


def _group(symmetry, factory, shape, image: Tensor | None, seed: int, step: float, method: str) -> tuple[str, ...]:
    """Symmetries to average over; the covariance at one image has those of the networks that the image has too."""
    if symmetry == "auto":
        size = abs(float(step)) if method == "secant" else probing.SMALL
        group = spatial.verified(factory, shape, seed=seed, step=size)
        group = group if image is None else spatial.shared(group, image)
        black = image is None or not bool(image.any())
        alike = black and channels.verified(factory, shape, seed=seed, step=size)
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


def _input_shape(factory, given) -> tuple[int, int, int]:
    known = getattr(factory, "input_shape", None)
    if given is None and known is None:
        raise ValueError("expected input_shape=(C, H, W): this factory does not know it")
    try:
        shape = tuple(checks.whole(s, "a side") for s in (given if given is not None else known))
    except (TypeError, ValueError):
        shape = ()
    if len(shape) != 3:
        raise ValueError(f"expected input_shape=(C, H, W), three positive whole numbers, got {given!r}")
    if known is not None and tuple(known) != shape:
        raise ValueError(f"the factory makes networks for images of shape {tuple(known)}, got input_shape={shape}")
    return shape


def _precision(dtype: torch.dtype | str | None, method: str, step: float) -> torch.dtype:
    """Type of the networks, if the step is not lost in its rounding."""
    dtype = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype or torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError('expected dtype "float32", "float64" or "bfloat16"')
    least = ROUNDING * torch.finfo(dtype).eps
    if method == "secant" and 0 < step < least:
        raise ValueError(
            f"expected a step of at least {least:.2g} in {dtype}, got {step:g}: smaller ones measure how activations "
            'are rounded. Take dtype float32, a larger step, or method="gradient"'
        )
    return dtype


def _check(networks, method, at, shape, target) -> None:
    if networks != "auto":
        checks.whole(networks, 'networks (or "auto")')
    if method not in ("secant", "gradient", "mixed"):
        raise ValueError(f'expected method "secant", "gradient" or "mixed", got {method!r}')
    if isinstance(at, Tensor):
        if tuple(at.shape) != shape:
            raise ValueError(f"expected an evaluation point of shape {shape}, got {tuple(at.shape)}")
        checks.finite(at, "numbers in the evaluation point")
    elif not isinstance(at, str):
        checks.tensor(at, "the evaluation point")
    elif at not in ("normal", "zero"):
        raise ValueError(f'expected at="normal", "zero" or an image of shape {shape}, got {at!r}')
    if not isinstance(target, (tuple, list)) or len(target) != 2:
        raise ValueError(f"expected target=(k, overlap), got {target!r}")
    if not (checks.whole(target[0], "k of the target") and 0 < checks.number(target[1], "overlap of the target") <= 1):
        raise ValueError(f"expected target=(k, overlap) with k >= 1 and 0 < overlap <= 1, got {target!r}")
