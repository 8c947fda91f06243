"""Activations whose Gaussian second moments have a closed form.

For jointly Gaussian (u, v) of mean 0, variances a, b and covariance k,

    E[phi(u) phi(v)] = m(a) m(b) f(r),    r = k / (n(a) n(b)),

with m = n = sqrt(a) and f(r) = (sqrt(1 - r^2) + (pi - arccos r) r) / 2 pi for ReLU (Cho and Saul, 2009), and with
m = 1, n = sqrt(1/2 + a) and f(r) = (2 / pi) arcsin r for the error function (Williams, 1997). This form is all that
the kernel, its slopes and its second derivatives need.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rectifier:
    """ReLU, max(u, 0); positively homogeneous, so that the size of a step from black does not matter."""

    homogeneous = True
    steepest = 0.5
    """E[phi'(u) phi'(v)] at most."""

    def module(self) -> nn.Module:
        """The layer in torch."""
        return nn.ReLU()

    def scales(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """m and n at each variance."""
        root = variance.clamp(min=0).sqrt()
        return root, root

    def growth(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """d log m / da and d log n / da; 0 where the variance is 0."""
        half = torch.where(variance > 0, 0.5 / variance.clamp(min=1e-300), 0.0)
        return half, half

    def moment(self, r: Tensor) -> Tensor:
        """f; overwrites r. E[u_+ v_+] of unit variances."""
        r.clamp_(-1, 1)
        sine = torch.addcmul(torch.ones((), dtype=r.dtype), r, r, value=-1).sqrt_()
        return sine.addcmul_(r, torch.arccos(r), value=-1).add_(r, alpha=math.pi).mul_(0.5 / math.pi)

    def slope(self, r: Tensor) -> Tensor:
        """f', the probability that both are positive."""
        return torch.arccos(r.clamp(-1, 1)).neg_().add_(math.pi).div_(2 * math.pi)

    def curvature(self, r: Tensor) -> Tensor:
        """f''; 0 at |r| = 1, where it is infinite but multiplies squares of slopes that vanish faster."""
        rest = 1 - r.clamp(-1, 1).square()
        return torch.where(rest > 1e-12, rest.clamp(min=1e-12).rsqrt() / (2 * math.pi), 0.0)


@dataclass(frozen=True)
class SingleTap(Rectifier):
    """ReLU of a first layer that reads one lit pixel, so that u is one weight, uniform as torch draws it.

    Two such are equal, opposite or independent: r is 1, -1 or 0. A uniform u has E|u| = sqrt(3 a) / 2 where a Gaussian
    has sqrt(2 a / pi), so that f(0) is 3 / 16, not 1 / 2 pi; f(1) and f(-1) are the same for all symmetric weights.
    """

    def moment(self, r: Tensor) -> Tensor:
        """f; overwrites r, which is -1, 0 or 1."""
        independent = 1 - r.abs().clamp(max=1)
        return super().moment(r).add_(independent, alpha=3 / 16 - 0.5 / math.pi)


@dataclass(frozen=True)
class ErrorFunction:
    """erf(u), a smooth odd activation like tanh."""

    homogeneous = False
    steepest = 4 / math.pi
    """E[phi'(u) phi'(v)] at most."""

    def module(self) -> nn.Module:
        """The layer in torch."""
        return Erf()

    def scales(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """m and n at each variance."""
        return torch.ones_like(variance), (variance + 0.5).sqrt()

    def growth(self, variance: Tensor) -> tuple[Tensor, Tensor]:
        """d log m / da and d log n / da."""
        return torch.zeros_like(variance), 0.5 / (variance + 0.5)

    def moment(self, r: Tensor) -> Tensor:
        """f; overwrites r."""
        return r.clamp_(-1, 1).arcsin_().mul_(2 / math.pi)

    def slope(self, r: Tensor) -> Tensor:
        """f'."""
        return (1 - r.square()).clamp(min=1e-300).rsqrt() * (2 / math.pi)

    def curvature(self, r: Tensor) -> Tensor:
        """f''."""
        return r * (1 - r.square()).clamp(min=1e-300).pow(-1.5) * (2 / math.pi)


Activation = Rectifier | ErrorFunction


class Erf(nn.Module):
    """The error function as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """erf of each entry."""
        return torch.erf(x)
