"""Measuring NADs: random networks in, one `Nads` out. Streaming, repeatable, resumable, on one core or several."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anisotropy import dipoles, readouts, symmetries
from anisotropy.architectures import build
from anisotropy.basis import Nads, read_tensors, write_tensors
from anisotropy.covariances import DenseCovariance, LowRankCovariance
from anisotropy.subspaces import overlap

DENSE_LIMIT = 4096
"""Largest D whose D x D covariance is kept; above it the leading `rank` directions are sketched."""

OVERLAPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Dimensions k at which the split-half overlap is measured."""

SAVE_EVERY = 20.0
"""Seconds between two saved states."""


@dataclass(frozen=True)
class Response:
    """How one network's rows are made; the same for every network of an estimate."""

    method: str
    step: float
    point: Tensor
    readout: readouts.Readout | None
    draws: int | None
    probes: int
    chunk: int
    dtype: torch.dtype
    device: str
    seed: int

    def rows(self, make: Callable[[], nn.Module], index: int) -> Tensor:
        """Rows (R, D) of network number `index`."""
        network = dipoles.prepare(build(make, self.seed, index), self.dtype, self.device)
        point = self.point.to(self.device)
        generator = torch.Generator().manual_seed(_seed(self.seed, index, 1))
        try:
            if self.method == "secant":
                return dipoles.secant_rows(network, point, step=self.step, readout=self.readout, chunk=self.chunk)
            if self.method == "gradient":
                return dipoles.gradient_rows(
                    network, point, readout=self.readout, draws=self.draws, generator=generator, chunk=self.chunk
                )
            return dipoles.mixed_rows(network, point, probes=self.probes, generator=generator)
        except FloatingPointError as error:
            raise FloatingPointError(f"network {index} of seed {self.seed}: {error}") from None


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
    chunk: int = 64,
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
        symmetry: "auto" averages over the grid symmetries that pass `symmetries.verified`; "none"; or their names.
        seed: draws the networks, the evaluation point and the probes.
        device: where the networks run.
        workers: processes, each with one thread; networks are added in order, so the number changes no result beyond
            the rounding of a forward pass.
        dtype: of the networks; None is float32. "bfloat16" is about twice as fast where the processor has it.
        progress: a progress bar, on a terminal only.
        target: (k, overlap): "auto" stops when the top-k subspaces of the two halves overlap this much.
        max_networks: where "auto" gives up, with a warning.
        readout_draws: gradient only: average over this many random orthogonal read-outs instead of all features.
        probes: mixed only: random parameter directions per network.
        rank: leading directions to return. Needed (default 50) where D is above 4,096: the covariance is sketched.
        chunk: pixels (secant) or read-outs (gradient) per pass.
        state: file that the running sums are saved to; a killed run called again with the same arguments goes on from
            it with the same result, and a larger `networks` adds to it.

    Returns:
        The NADs, with uncertainty and settings.

    Raises:
        ValueError: an argument out of range, a network without a scalar output, a state file of another estimate.
        FloatingPointError: a network's response is not finite.

    Example:
        >>> from anisotropy import architectures
        >>> measured = estimate(architectures.factory("logreg", image_size=4), networks=2)
        >>> bool((measured.eigenvalues * 3 * 16 - 1).abs().max() < 1e-3)  # C = I / (3 D): no preferred direction
        True
    """
    shape = _input_shape(factory, input_shape)
    _check(networks, method, at, shape, workers, target, probes, rank)
    size = shape[0] * shape[1] * shape[2]
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype or torch.float32
    point = _point(at, shape, seed)
    _try(factory, point, seed)
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
    )
    if symmetry == "auto":
        group = symmetries.verified(factory, shape, seed=seed)
    else:
        group = ("",) if symmetry == "none" else tuple(dict.fromkeys(("", *symmetry)))
        if group not in symmetries.SUBGROUPS and set(group) not in map(set, symmetries.SUBGROUPS):
            raise ValueError(f"expected symmetries that form a group, one of {symmetries.SUBGROUPS}, got {group}")
    low_rank = rank is not None or size > DENSE_LIMIT
    covariance = (
        LowRankCovariance(shape, group, rank=min(rank or 50, size), seed=seed)
        if low_rank
        else DenseCovariance(shape, group)
    )
    settings = {
        "architecture": getattr(factory, "spec", {"name": getattr(factory, "__qualname__", type(factory).__name__)}),
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
        "rank": covariance.rank if low_rank else None,
        "torch": torch.__version__,
    }
    run = _Run(covariance, response, settings, Path(state) if state else None)
    run.resume(factory, point)
    goals = [networks] if networks != "auto" else _checkpoints(max_networks)
    curve = run.curve
    begin = time.monotonic() - run.seconds
    for goal in goals:
        run.advance(factory, goal, workers, progress, begin)
        if networks == "auto" and run.count == goal:
            k = min(target[0], size)
            halves = [covariance.eigen(slice(h, None, 2)).directions for h in (0, 1)]
            curve.append((goal, round(time.monotonic() - begin, 3), overlap(*halves, k)))
            if curve[-1][2] >= target[1]:
                break
    else:
        if networks == "auto":
            warnings.warn(
                f"the top-{target[0]} overlap of two halves is {curve[-1][2]:.3f} after {run.count} networks, below "
                f"the target of {target[1]}: raise max_networks",
                stacklevel=2,
            )
    settings |= {"seconds": round(time.monotonic() - begin, 3), "workers": workers, "device": str(device)}
    return _finish(run, settings)


class _Run:
    """The running sums of one estimate, with their state on disk."""

    def __init__(self, covariance, response: Response, settings: dict[str, Any], state: Path | None):
        self.covariance, self.response, self.settings, self.state = covariance, response, settings, state
        self.count, self.seconds, self.curve = 0, 0.0, []
        self.plain = self.ours = 0.0  # sums of squared Frobenius norms of one network's s s^T and of our C_i

    def advance(self, factory, goal: int, workers: int, progress: bool, begin: float) -> None:
        saved = time.monotonic()
        bar = tqdm(total=goal, initial=self.count, unit="network", disable=None if progress else True, leave=False)
        rows = _stream(factory, self.response, range(self.count, goal), workers)
        try:
            for new in rows:
                self.covariance.add(new)
                self._measure(new)
                self.count += 1
                self.seconds = time.monotonic() - begin
                bar.update()
                if self.state and time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()
        finally:  # an interrupt or a failing network leaves what was computed
            bar.close()
            rows.close()
            if self.state and self.count:
                self.save()

    def _measure(self, rows: Tensor) -> None:
        """Add up E|s s^T|^2 and |C_i|^2 of this network, whose ratio says how many plain networks it is worth."""
        rows = rows.double()
        gram = rows @ rows.T
        kurtosis = self.response.readout.kurtosis if self.response.readout else 1.0  # one row: w = 1
        diagonal = gram.diagonal()
        self.plain += float(diagonal.sum() ** 2 + 2 * gram.square().sum() + (kurtosis - 3) * diagonal.square().sum())
        group, shape = self.covariance.group, self.covariance.shape
        for symmetry in group:
            moved = symmetries.act(rows.view(-1, *shape), symmetry).reshape(rows.shape)
            self.ours += float((rows @ moved.T).square().sum()) / len(group)

    def save(self) -> None:
        known = {"settings": self.settings, "count": self.count, "seconds": self.seconds, "curve": self.curve}
        known |= {"plain": self.plain, "ours": self.ours}
        try:
            write_tensors(self.state, {**self.covariance.state(), "probe": self.probe}, known)
        except OSError as error:  # a full disk must not stop the measurement itself
            warnings.warn(f"the state could not be saved to {self.state} ({error}); the run goes on", stacklevel=2)

    def resume(self, factory, point: Tensor) -> None:
        """Go on from the state on disk, if it is of this estimate: the same settings and the same first network."""
        with torch.no_grad():
            self.probe = torch.cat([point.flatten(), build(factory, self.response.seed)(point[None]).flatten()])
        if self.state is None or not self.state.exists():
            return
        try:
            tensors, known = read_tensors(self.state)
        except ValueError as error:
            warnings.warn(f"{error}; starting afresh", stacklevel=3)
            return
        theirs, ours = known["settings"], {k: list(v) if isinstance(v, tuple) else v for k, v in self.settings.items()}
        different = [k for k in ours if theirs.get(k) != ours[k]]
        same = tensors["probe"].shape == self.probe.shape and torch.allclose(tensors["probe"], self.probe, rtol=1e-4)
        if different or not same:
            what = ", ".join(f"{k} (there {theirs.get(k)!r}, here {ours[k]!r})" for k in different)
            raise ValueError(
                f"{self.state} holds another estimate: it differs in {what or 'the network or the evaluation point'}. "
                "Name another state file, or delete this one"
            )
        self.covariance.restore(tensors)
        self.count, self.seconds, self.plain, self.ours = (known[k] for k in ("count", "seconds", "plain", "ours"))
        self.curve = [tuple(c) for c in known["curve"]]


def _finish(run: _Run, settings: dict[str, Any]) -> Nads:
    covariance, count = run.covariance, run.count
    eigen = covariance.eigen()
    largest = eigen.directions.abs().argmax(1, keepdim=True)
    directions = eigen.directions * eigen.directions.gather(1, largest).sign()
    errors, halves = None, {}
    if count >= 2:
        quotients = covariance.quotients(directions)
        errors = quotients.std(0) / len(quotients) ** 0.5
        first, second = (covariance.eigen(slice(h, None, 2)).directions for h in (0, 1))
        halves = {k: overlap(first, second, k) for k in OVERLAPS if k <= min(len(first), len(second))}
    equivalent = None
    exact = run.response.method == "secant" or (run.response.method == "gradient" and run.response.draws is None)
    if exact and count >= 4:
        square = covariance.half_product()
        ours = run.ours / count - square
        if ours > 1e-9 * square:  # else every network gives the same covariance, as for logistic regression
            equivalent = count * (run.plain / count - square) / ours
    return Nads(
        eigenvalues=eigen.eigenvalues.cpu(),
        directions=directions.float().view(-1, *covariance.shape).cpu(),
        networks=count,
        eigenvalue_errors=errors,
        split_half=halves,
        equivalent_networks=equivalent,
        curve=run.curve,
        settings=settings,
    )


def _stream(factory, response: Response, indices: range, workers: int) -> Iterator[Tensor]:
    """Rows of the networks in order, from this process or from several with one thread each."""
    if workers == 1 or len(indices) < 2:
        yield from (response.rows(factory, index) for index in indices)
        return

    def work(index: int) -> np.ndarray:
        torch.set_num_threads(1)
        return response.rows(factory, index).numpy()

    pool = joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs", max_nbytes=None)
    for rows in pool(joblib.delayed(work)(index) for index in indices):
        yield torch.from_numpy(rows)


def _checkpoints(most: int) -> list[int]:
    """4, 6, 8, 12, 16, 24, 32, ...: the networks after which "auto" looks at the overlap."""
    points = sorted({p for e in range(2, 32) for p in (2**e, 3 * 2 ** (e - 1)) if p < most} | {most})
    return [p for p in points if p >= min(4, most)]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _try(factory, point: Tensor, seed: int) -> None:
    """One output per image, and other weights each time."""
    with torch.no_grad():
        first, second = (dipoles.scalar(build(factory, seed, i)(point[None])) for i in (0, 1))
    parameters = (torch.cat([p.flatten() for p in build(factory, seed, i).parameters()]) for i in (0, 1))
    if torch.equal(first, second) and torch.equal(*parameters):
        raise ValueError(
            "the factory returned the same weights twice: expected a callable that makes a freshly initialised network "
            "each time, such as lambda: MyNetwork(), drawn by torch's generator"
        )


def _point(at: str | Tensor, shape: tuple[int, int, int], seed: int) -> Tensor:
    if isinstance(at, Tensor):
        return at.detach().float().cpu()
    if at == "zero":
        return torch.zeros(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(_seed(seed, 2)))


def _input_shape(factory, given) -> tuple[int, int, int]:
    known = getattr(factory, "input_shape", None)
    if given is None and known is None:
        raise ValueError("expected input_shape=(C, H, W): this factory does not know it")
    shape = tuple(int(s) for s in (given if given is not None else known))
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"expected input_shape=(C, H, W), three positive numbers, got {given}")
    if known is not None and tuple(known) != shape:
        raise ValueError(f"the factory makes networks for images of shape {tuple(known)}, got input_shape={shape}")
    return shape


def _check(networks, method, at, shape, workers, target, probes, rank) -> None:
    if networks != "auto" and (not isinstance(networks, int) or networks < 1):
        raise ValueError(f'expected networks >= 1 or "auto", got {networks!r}')
    if method not in ("secant", "gradient", "mixed"):
        raise ValueError(f'expected method "secant", "gradient" or "mixed", got {method!r}')
    if isinstance(at, Tensor):
        if tuple(at.shape) != shape:
            raise ValueError(f"expected an evaluation point of shape {shape}, got {tuple(at.shape)}")
    elif at not in ("normal", "zero"):
        raise ValueError(f'expected at="normal", "zero" or an image of shape {shape}, got {at!r}')
    if workers < 1 or probes < 1 or (rank is not None and rank < 1):
        raise ValueError(f"expected workers, probes and rank >= 1, got {workers}, {probes}, {rank}")
    if len(target) != 2 or not (target[0] >= 1 and 0 < target[1] <= 1):
        raise ValueError(f"expected target=(k, overlap) with k >= 1 and 0 < overlap <= 1, got {target!r}")
