"""How close two estimates of NADs are, and what sampling noise alone would look like.

Where eigenvalues are (nearly) equal, single eigenvectors are arbitrary within their eigenspace: two perfect estimates
of logistic regression's NADs have nothing in common vector by vector. So compare subspaces (`overlap`) or whole
covariances (`alignment`), or ask how much of a reference covariance the leading directions hold (`energy_captured`),
never vector with vector.
"""

import math
import warnings

import torch
from torch import Tensor

from anisotropy._util import checks


def overlap(first: Tensor, second: Tensor, k: int) -> float:
    """Overlap |U_k W_k^T|_F^2 / k of the subspaces of the first k rows: 1 the same, k/D for random ones.

    Args:
        first: orthonormal rows (K, D) or (K, C, H, W), or NADs.
        second: the same.
        k: dimension of the subspaces.

    Raises:
        ValueError: k is not between 1 and the number of rows, or the rows differ in length.

    Example:
        >>> import torch
        >>> overlap(torch.eye(4), torch.eye(4)[[0, 2, 1, 3]], 2)
        0.5
    """
    first, second = checks.directions(first), checks.directions(second)
    u, w = first.flatten(1), second.flatten(1)
    k = checks.whole(k, "k")
    if min(first.ndim, second.ndim) > 2 and first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"expected directions of one shape, got {tuple(first.shape[1:])} and {tuple(second.shape[1:])}"
        )
    if u.shape[1] != w.shape[1]:
        raise ValueError(f"expected directions in the same space, got D = {u.shape[1]} and D = {w.shape[1]}")
    if not 1 <= k <= min(len(u), len(w)):
        raise ValueError(f"expected 1 <= k <= {min(len(u), len(w))}, the number of directions, got {k}")
    return float((u[:k].double() @ w[:k].double().T).square().sum() / k)


def overlap_with_truth(split_half: float) -> tuple[float, float]:
    """Range in which the overlap of an estimate with the truth lies, given the overlap s of its two halves.

    With P the mean of the projector onto the top k over many estimates from half of the data, independent halves
    overlap as s = tr(P^2) / k, and each overlaps with the truth as c = tr(P U U^T) / k <= sqrt(s) (Cauchy and Schwarz),
    and c >= s where P weighs the true directions in their order. The whole is no worse than its halves, so s is the
    lower end. The upper one takes the best halves, c = sqrt(s), and with twice the data half of the odds (1 - c) / c
    against it: 2 sqrt(s) / (1 + sqrt(s)). Both are means over estimates; one pair of halves is one draw.

    Args:
        split_half: overlap of the halves, from 0 to 1.

    Example:
        >>> overlap_with_truth(0.64)
        (0.64, 0.88...)
    """
    half = max(split_half, 0.0) ** 0.5
    return split_half, 2 * half / (1 + half)


def energy_captured(directions: Tensor, covariance: Tensor, k: int) -> float:
    """Share of a covariance's energy that the first k directions hold: tr(U_k C U_k^T) / tr(C).

    Args:
        directions: orthonormal rows (K, D) or (K, C, H, W).
        covariance: reference C (D, D), positive semi-definite.
        k: how many directions.

    Raises:
        ValueError: shapes do not fit, or k is out of range.
    """
    u = directions.flatten(1).double()
    if covariance.shape != (u.shape[1], u.shape[1]):
        raise ValueError(f"expected a covariance of shape {(u.shape[1],) * 2}, got {tuple(covariance.shape)}")
    if not 1 <= k <= len(u):
        raise ValueError(f"expected 1 <= k <= {len(u)}, the number of directions, got {k}")
    c = covariance.double()
    return float(((u[:k] @ c) * u[:k]).sum() / c.diagonal().sum())


def alignment(first: Tensor, second: Tensor) -> float:
    """Correlation of the anisotropic parts of two covariances: cosine of C - tr(C)/D I and C' - tr(C')/D I.

    1 where they prefer the same directions to the same degree, about 0 where their preferences are unrelated; unlike
    the overlap of leading subspaces it does not suffer where many eigenvalues nearly coincide.

    Args:
        first: covariance (D, D).
        second: the same.

    Returns:
        The cosine; NaN, with a warning, where one of them prefers no direction at all, as logistic regression's does.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape or first.dim() != 2 or first.shape[0] != first.shape[1]:
        raise ValueError(f"expected two (D, D) matrices, got {tuple(first.shape)} and {tuple(second.shape)}")
    parts = []
    for covariance in (first.double(), second.double()):
        mean = covariance.diagonal().mean()
        part = covariance - mean * torch.eye(len(covariance), dtype=torch.float64)
        if float(part.norm()) <= 1e-6 * float(covariance.norm()):  # of float32, 2e-8 is left
            warnings.warn(
                "one of the covariances is a multiple of the identity: it prefers no direction, as of logistic "
                "regression, so that there is nothing to align with (NaN)",
                stacklevel=3,
            )
            return math.nan
        parts.append(part / part.norm())
    return float((parts[0] * parts[1]).sum())


def anisotropy(first: Tensor, second: Tensor) -> float:
    """How far covariances are from a multiple of the identity: D tr(A B) / (tr A tr B).

    1 where no direction is preferred, D / r where r directions share the response and the others get none. A and B are
    two estimates of one covariance from independent networks, so that their noise, which is a preference in each of
    them, is none in the product.

    Args:
        first: A (D, D), symmetric, positive semidefinite, not 0.
        second: B (D, D), likewise.

    Raises:
        ValueError: the shapes differ, or one of them has no trace.

    Example:
        >>> anisotropy(torch.eye(4), 3 * torch.eye(4)), anisotropy(*2 * [torch.diag(torch.tensor([1.0, 1, 0, 0]))])
        (1.0, 2.0)
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[0] != first.shape[1]:
        raise ValueError(f"expected two covariances (D, D), got {tuple(first.shape)} and {tuple(second.shape)}")
    size = float(first.trace() * second.trace())
    if not 0 < size < float("inf"):
        raise ValueError(f"expected covariances with a finite, positive trace, got traces whose product is {size}")
    return float(len(first) * (first * second).sum() / size)


def plain_networks(eigenvalues: Tensor, variance: Tensor, k: int, *, samples: int = 10_000) -> float:
    """How many plain samples s s^T would know the top-k subspace as well as an estimate of known variance does.

    To first order the overlap of an estimated top-k subspace with the true one falls short of 1 by

        (1/k) sum_{i <= k < j} Var(u_i^T C u_j) / (lambda_i - lambda_j)^2,

    and for n plain samples Var(u_i^T C u_j) = E[(u_i^T s)^2 (u_j^T s)^2] / n >= lambda_i lambda_j / n, with equality
    where the components of s are independent. So n is at least the ratio of the two sums. Gaps smaller than the noise
    of `samples` plain samples, where first order fails, count as that noise.

    Args:
        eigenvalues: (D,) in decreasing order.
        variance: (D, D), of the entries u_i^T C u_j of the estimate.
        k: dimension of the subspace, below D.
        samples: plain samples whose noise limits the gaps.

    Returns:
        The number of plain samples, a conservative one; infinity where the estimate has no variance.
    """
    if not 1 <= k < len(eigenvalues):
        raise ValueError(f"expected 1 <= k < {len(eigenvalues)}, the number of eigenvalues, got {k}")
    one, other = eigenvalues[:k, None], eigenvalues[None, k:]
    product = one * other
    weight = 1 / ((one - other).square() + 4 * product / samples).clamp(min=1e-300)
    ours = float((weight * variance[:k, k:]).sum())
    return float((weight * product).sum()) / ours if ours > 0 else math.inf


def marchenko_pastur_band(samples: int, dimension: int, variance: float = 1.0) -> tuple[float, float]:
    """Edges of the eigenvalues of a sample covariance whose true covariance is `variance` times the identity.

    variance * (1 -+ sqrt(D / n))^2 (Marchenko and Pastur, 1967), the limit of large D and n; the lower edge is 0
    where n <= D. A spectrum that stays inside shows no anisotropy that n samples can tell from noise.

    Example:
        >>> low, high = marchenko_pastur_band(10_000, 1_024)
        >>> round(high / low, 2)
        3.77
    """
    if samples < 1 or dimension < 1 or variance < 0:
        raise ValueError(
            f"expected samples and dimension >= 1 and variance >= 0, got {samples}, {dimension}, {variance}"
        )
    root = math.sqrt(dimension / samples)
    return variance * max(0.0, 1 - root) ** 2, variance * (1 + root) ** 2
