"""How far random networks of finite width are from the limit, apart from the noise of drawing only some of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anisotropy.nads import estimation
from anisotropy.nads.definitions import Gradient, Secant


@dataclass(frozen=True)
class Distance:
    """Distance of sampled covariances from an exact one, as shares of the norm of its anisotropic part.

    NADs know no scale: all but `trace` compares covariances scaled to the exact trace.

    Attributes:
        trace: mean trace of the sampled covariances over the exact one.
        error: of the mean of all networks.
        noise: the part of the error that comes from the number of networks.
        bias: squared distance of the expectation at this width: the part that more networks would not remove. Unbiased,
            so that it may come out below 0.
        spread: standard error of `bias`.
    """

    trace: float
    error: float
    noise: float
    bias: float
    spread: float

    @property
    def offset(self) -> float:
        """Root of the bias, 0 where it came out negative."""
        return math.sqrt(max(0.0, self.bias))

    @property
    def seen(self) -> bool:
        """Whether the bias is told from 0: more than two standard errors above it."""
        return self.bias > 2 * self.spread


def distance(groups: Tensor, exact: Tensor) -> Distance:
    """Compare covariances of independent groups of networks with the exact one.

        error^2 = |mean_g E_g|^2,   bias = mean over g != h of <E_g, E_h>,   E_g = (C_g / trace - C) / |C - tr(C) / D|

    Errors of two groups share nothing but the bias, so the mean of their products estimates its square without the
    noise. Its standard error is the jackknife's over groups.

    Args:
        groups: (G, D, D), G at least 3.
        exact: C (D, D), anisotropic.

    Raises:
        ValueError: shapes do not fit, too few groups, or an exact covariance without a preferred direction.
    """
    if groups.dim() != 3 or groups.shape[1:] != exact.shape or len(groups) < 3:
        raise ValueError(
            f"expected at least 3 groups (G, D, D) and an exact covariance (D, D), got {tuple(groups.shape)} and "
            f"{tuple(exact.shape)}"
        )
    size = len(exact)
    scale = (exact - exact.trace() / size * torch.eye(size, dtype=exact.dtype)).norm()
    if scale <= 1e-12 * exact.norm():
        raise ValueError("expected an exact covariance with a preferred direction: this one is a multiple of 1")
    trace = float(groups.diagonal(dim1=1, dim2=2).sum(1).mean() / exact.trace())
    errors = ((groups / trace - exact) / scale).flatten(1)
    products = errors @ errors.T

    def bias(kept: Tensor) -> float:
        chosen = products[kept][:, kept]
        return float((chosen.sum() - chosen.trace()) / (len(kept) * (len(kept) - 1)))

    count = len(groups)
    everyone = torch.arange(count)
    without = torch.tensor([bias(everyone[everyone != g]) for g in range(count)], dtype=torch.float64)
    squared, total = bias(everyone), float(products.mean())
    return Distance(
        trace=trace,
        error=math.sqrt(total),
        noise=math.sqrt(max(0.0, total - squared)),
        bias=squared,
        spread=math.sqrt((count - 1) / count * float((without - without.mean()).square().sum())),
    )


def sampled(
    make: Callable[[], nn.Module],
    shape: tuple[int, int, int],
    response: Secant | Gradient,
    *,
    networks: int,
    groups: int = 8,
    seed: int = 0,
) -> Tensor:
    """Covariances of groups of random networks.

    Args:
        make: factory of fresh networks.
        shape: (C, H, W) of an image.
        response: with its evaluation point, the same as for `infinite_width`; a normal one is an image here, so that
            all groups have it.
        networks: in all groups together; each group has at least one.
        groups: how many.
        seed: of the first group; the others follow.

    Returns:
        (G, D, D) float64.
    """
    each = max(1, networks // groups)
    streams = (
        estimation.estimate(make, shape, response, networks=each, symmetry="none", seed=seed + g) for g in range(groups)
    )
    return torch.stack([found.covariance() for found in streams])


def skip_factor(branch: float) -> float:
    """What a Gaussian law of a sum with a rectified skip loses: E[relu(relu(u) + b)^2] over what the recursion has.

    With u ~ N(0, 1) and b ~ N(0, c) independent: where u < 0, with probability 1/2, the sum is b. Where u > 0, it is
    u + b, and u and u + b are Gaussians with correlation r = 1 / sqrt(1 + c), both positive:

        E = c / 4 + (1 + c) (1/4 + (arcsin r + r sqrt(1 - r^2)) / 2 pi),   the recursion has (1/2 + c) / 2.

    Args:
        branch: c, variance of the branch over that of what the skip rectified.

    Example:
        >>> round(skip_factor(0.0), 6), round(skip_factor(1.0), 3)
        (2.0, 1.546)
    """
    r = 1 / math.sqrt(1 + branch)
    exact = branch / 4 + (1 + branch) * (1 / 4 + (math.asin(r) + r * math.sqrt(1 - r**2)) / (2 * math.pi))
    return exact / ((1 / 2 + branch) / 2)
