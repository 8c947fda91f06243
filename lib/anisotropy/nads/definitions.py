"""Which response of a network is measured: three definitions of NADs, and the finite dipole along given directions.

`Secant`, `Gradient` and `Mixed` have a covariance, whose eigenvectors are NADs (`nads.estimate`); `Secant`, `Gradient`
and `Dipole` have an energy along any direction (`energies`). Infinitely wide networks know all but `Mixed`
(`kernels.infinite_width`, `kernels.energies`). Each holds its own settings and checks them when it is made.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anisotropy._util import checks

Point = Literal["zero", "normal"] | Tensor

ROUNDING = 256
"""Least step of a secant in units of a type's precision. At less the responses of ResNet-18 and VGG-11 in bfloat16 have
up to 7 times the energy of those in float32, at a step of 10 the same to three digits."""


def number(*numbers: int) -> int:
    """One seed from several numbers, such as a stream and an index."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True)
class Gradient:
    """The gradient at one point, grad f(x): Section 3's definition (Eq. 4, 6), the limit of short steps.

    Attributes:
        draws: average over this many random orthogonal read-outs instead of all features; `estimate` only.
        at: x, the evaluation point: "zero" (where networks of ReLUs have a kink); "normal", one x ~ N(0, sigma^2 I)
            drawn from the seed; or an image.
        sigma: standard deviation of a normal x.
        integrate_readout: average over the last linear layer in closed form where there is one (`readouts`).
        dtype: of the networks. "bfloat16" is about twice as fast where the processor has it.
        chunk: read-outs per pass; None chooses by the sizes of network and image.

    Raises:
        TypeError, ValueError: a setting of the wrong kind, or out of range.
    """

    draws: int | None = None
    at: Point = "normal"
    sigma: float = 1.0
    integrate_readout: bool = True
    dtype: torch.dtype | str = "float32"
    chunk: int | None = None

    def __post_init__(self):
        _check(self)
        self.draws is None or checks.whole(self.draws, "draws")
        self.chunk is None or checks.whole(self.chunk, "chunk")


@dataclass(frozen=True)
class Secant:
    """Differences along single pixels, (f(x + h e_i) - f(x - h e_i)) / 2h, as in the released code.

    Attributes:
        step: h, in units of the input; 100 in the released code. Infinity is the limit in which x and all biases are
            forgotten; infinitely wide networks alone know it.
        at: as for `Gradient`, and so the rest.
        sigma: of a normal x.
        integrate_readout: average over the last linear layer.
        dtype: of the networks.
        chunk: pixels per pass.

    Raises:
        TypeError, ValueError: a setting of the wrong kind, or out of range: a step that is lost in the rounding of
            `dtype` measures how activations are rounded.
    """

    step: float = 100.0
    at: Point = "normal"
    sigma: float = 1.0
    integrate_readout: bool = True
    dtype: torch.dtype | str = "float32"
    chunk: int | None = None

    def __post_init__(self):
        _check(self)
        _check_step(self)
        self.chunk is None or checks.whole(self.chunk, "chunk")


@dataclass(frozen=True)
class Dipole:
    """The finite dipole (x - h v, x + h v) of each direction v itself; `energies` only, it has no covariance.

    Attributes:
        step: h, as for `Secant`, and so the rest.
        at: evaluation point.
        sigma: of a normal x.
        integrate_readout: average over the last linear layer.
        dtype: of the networks.

    Raises:
        TypeError, ValueError: as for `Secant`.
    """

    step: float = 1.0
    at: Point = "zero"
    sigma: float = 1.0
    integrate_readout: bool = True
    dtype: torch.dtype | str = "float32"

    def __post_init__(self):
        _check(self)
        _check_step(self)


@dataclass(frozen=True)
class Mixed:
    """Right singular vectors of the mixed derivative d2f / dtheta dx (Lemma 2), sampled by random probes.

    Attributes:
        probes: random parameter directions of each network.
        at: as for `Gradient`.
        sigma: of a normal x.
        dtype: of the networks.

    Raises:
        TypeError, ValueError: a setting of the wrong kind, or out of range.
    """

    probes: int = 4
    at: Point = "normal"
    sigma: float = 1.0
    dtype: torch.dtype | str = "float32"
    integrate_readout = False  # the read-out's weights are among the parameters

    def __post_init__(self):
        _check(self)
        checks.whole(self.probes, "probes")


Response = Secant | Gradient | Mixed | Dipole


def named(response: Response, *kinds: type) -> str:
    """Name of a response, such as "secant", if it is of one of the kinds that are measured here.

    Raises:
        TypeError: another kind, or no response.
    """
    if isinstance(response, kinds):
        return type(response).__name__.lower()
    wanted = " or ".join(f"{kind.__name__}()" for kind in kinds)
    raise TypeError(f"expected a response, {wanted}, got {checks.described(response)}")


def precision(response: Response) -> torch.dtype:
    """Type that the networks compute in."""
    return getattr(torch, response.dtype) if isinstance(response.dtype, str) else response.dtype


def finite_step(response: Response) -> float | None:
    """Step of a secant or dipole, None for the rest.

    Raises:
        ValueError: it is infinite, and no network of finite width can take it.
    """
    step = getattr(response, "step", None)
    return None if step is None else checks.number(step, "step")


def point(response: Response, shape: tuple[int, ...], seed: int) -> Tensor:
    """Evaluation point, float32, of this shape.

    Raises:
        ValueError: an image of another shape, or with NaN.
    """
    at = response.at
    if isinstance(at, Tensor):
        if tuple(at.shape) != tuple(shape):
            raise ValueError(f"expected an evaluation point of shape {tuple(shape)}, got {tuple(at.shape)}")
        return checks.finite(at.detach().float().cpu(), "numbers in the evaluation point")
    if at == "zero":
        return torch.zeros(shape, dtype=torch.float32)
    return response.sigma * torch.randn(
        shape, generator=torch.Generator().manual_seed(number(seed, 2)), dtype=torch.float32
    )


def _check(response: Response) -> None:
    if not isinstance(response.at, str):
        checks.finite(checks.tensor(response.at, "the evaluation point"), "numbers in the evaluation point")
    elif response.at not in ("normal", "zero"):
        raise ValueError(f'expected at="normal", "zero" or an image, got {response.at!r}')
    if not checks.number(response.sigma, "sigma") > 0:
        raise ValueError(f"expected a positive sigma, got {response.sigma}")
    dtype = getattr(torch, response.dtype, None) if isinstance(response.dtype, str) else response.dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f'expected dtype "float32", "float64" or "bfloat16", got {checks.described(response.dtype)}')


def _check_step(response: Secant | Dipole) -> None:
    step, dtype = response.step, precision(response)
    if step == math.inf:
        return
    least = ROUNDING * torch.finfo(dtype).eps
    if not checks.number(step, "step") >= least:
        raise ValueError(
            f"expected a step of at least {least:.2g} in {dtype}, got {step:g}: smaller ones measure how activations "
            "are rounded. Take float32, a larger step, or Gradient()"
        )
