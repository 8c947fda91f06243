r"""The deep linear model of pooling, f(x) = theta^T A (m * phi * x), in closed form (Sec. 2.2, example of Sec. 3).

All quantities are real vectors in the frequency domain, as in the paper: phi (D,) is the response of the convolutions,
m (D,) that of the pooling prefilter, A the (M, D) aliasing matrix with orthonormal rows, theta (M,) the read-out,
M = D / S. So f = S^{-1/2} sum_d theta[d mod M] m[d] phi[d] x[d], and every average below follows from this line with
theta and phi independent, of zero mean and variances sigma_theta^2, sigma_phi^2, and x = epsilon y e_l + w,
w ~ N(0, sigma^2 I):

    E d2J/dphi2       = 2/S sigma_theta^2 diag(m^2 (epsilon^2 e_l + sigma^2))                   Lemma 1 prints no 1/S
    E d2J/dtheta2     = 2/S sigma_phi^2 diag(epsilon^2 m_l^2 e_{l mod M} + sigma^2 sum_k m[t + kM]^2)   (ours; see the
    E d2J/dtheta dphi = -2 S^{-1/2} epsilon m_l at (l mod M, l), else 0                           supplement's B.2)
    E grad f grad f^T = 1/S sigma_theta^2 sigma_phi^2 diag(m^2)                                 Eq. (4) prints no 1/S
    E H^T H           = 1/S (sigma_theta^2 + sigma_phi^2) diag(m^2), H = d2f/d(theta, phi)dx    Eq. (5): see there

with the loss J = (y - f)^2. Functions take `printed=True` for the paper's formula instead of ours.
"""

import math

import torch
from torch import Tensor
from torch.func import grad, hessian, jacrev, vmap

from anisotropy.theory.aliasing import aliasing_matrix, frequency_of, strides_of


def _response(response: Tensor, stride: int) -> Tensor:
    """Real m >= 0 (D,); a complex response stands for its magnitude, since only m^2 occurs."""
    m = torch.as_tensor(response)
    m = m.abs().to(torch.float64) if m.is_complex() else m.to(torch.float64)
    if m.ndim != 1:
        raise ValueError(f"expected a prefilter's response of shape (D,), got {tuple(m.shape)}")
    strides_of(m.shape, stride)
    return m


def _non_negative(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"expected {name} as a finite number of at least 0, got {value!r}")


def output(theta: Tensor, phi: Tensor, x: Tensor, response: Tensor, stride: int) -> Tensor:
    """The network's output f = theta^T A (m * phi * x).

    Args:
        theta: (M,).
        phi: (D,).
        x: spectra (..., D).
        response: m, (D,); a complex response is replaced by its magnitude.
        stride: S.

    Returns:
        (...,)
    """
    m = _response(response, stride).to(x)
    return (m * phi * x) @ (aliasing_matrix(len(m), stride).to(x).T @ theta)


def hessian_phi(
    response: Tensor,
    stride: int,
    frequency: int,
    *,
    epsilon: float,
    sigma: float,
    sigma_theta: float = 1.0,
    printed: bool = False,
) -> tuple[Tensor, Tensor]:
    """Average Hessian of the loss in phi, Lemma 1: diagonals of its signal and its noise term.

    f is linear in phi, so the Hessian is 2 a a^T with a = A^T theta * m * x. E theta theta^T = sigma_theta^2 I gives
    E (A^T theta)_d^2 = sigma_theta^2 / S; entries off the diagonal vanish with E x x^T.

    Args:
        response: m, (D,).
        stride: S.
        frequency: l of the discriminative direction.
        epsilon: margin.
        sigma: standard deviation of the isotropic noise.
        sigma_theta: standard deviation of the read-out.
        printed: Lemma 1 as printed, without 1/S.

    Returns:
        signal (D,), noise (D,): the Hessian is diag(signal + noise).
    """
    m = _response(response, stride)
    (index,) = frequency_of(m.shape, frequency)
    _non_negative(epsilon=epsilon, sigma=sigma, sigma_theta=sigma_theta)
    noise = 2 * sigma**2 * sigma_theta**2 * m**2
    signal = torch.zeros_like(m)
    signal[index] = 2 * epsilon**2 * sigma_theta**2 * m[index] ** 2
    return (signal, noise) if printed else (signal / stride, noise / stride)


def hessian_theta(
    response: Tensor,
    stride: int,
    frequency: int,
    *,
    epsilon: float,
    sigma: float,
    sigma_phi: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Average Hessian of the loss in theta (the paper leaves it to its supplement): diagonals of signal and noise.

    The Hessian is 2 b b^T with b = A (m * phi * x); b_t collects the S aliases of t, each with weight S^{-1/2}.

    Args:
        response: m, (D,).
        stride: S.
        frequency: l of the discriminative direction.
        epsilon: margin.
        sigma: standard deviation of the isotropic noise.
        sigma_phi: standard deviation of the convolutions' response.

    Returns:
        signal (M,), noise (M,): the Hessian is diag(signal + noise).
    """
    m = _response(response, stride)
    (index,) = frequency_of(m.shape, frequency)
    _non_negative(epsilon=epsilon, sigma=sigma, sigma_phi=sigma_phi)
    noise = 2 * sigma**2 * sigma_phi**2 / stride * (m**2).unflatten(0, (stride, -1)).sum(0)
    signal = torch.zeros_like(noise)
    signal[index % len(noise)] = 2 * epsilon**2 * sigma_phi**2 / stride * m[index] ** 2
    return signal, noise


def hessian_cross(response: Tensor, stride: int, frequency: int, *, epsilon: float) -> Tensor:
    """Average mixed Hessian of the loss, d2J / dtheta dphi; the paper does not give it.

    2 b a^T has zero mean (odd in theta and phi); what remains is -2 E[y A (m * x)], one entry. It makes the origin a
    saddle: along it the average loss falls at the rate epsilon |m[l]|, the only first-order trace of the class.

    Args:
        response: m, (D,).
        stride: S.
        frequency: l of the discriminative direction.
        epsilon: margin.

    Returns:
        (M, D), zero except at (l mod M, l).
    """
    m = _response(response, stride)
    (index,) = frequency_of(m.shape, frequency)
    _non_negative(epsilon=epsilon)
    only = torch.zeros(len(m) // stride, len(m), dtype=torch.float64)
    only[index % len(only), index] = -2 * epsilon * m[index] / math.sqrt(stride)
    return only


def zeta(response: Tensor, *, epsilon: float, sigma: float) -> Tensor:
    """Signal curvature over largest noise curvature, zeta(l) = epsilon^2 m[l]^2 / (sigma^2 max m^2), for every l.

    Both terms of Lemma 1 lack the same factor, so the ratio does not depend on it.

    Args:
        response: m, (D,).
        epsilon: margin.
        sigma: standard deviation of the noise, positive.

    Returns:
        (D,)
    """
    m = _response(response, 1)
    _non_negative(epsilon=epsilon)
    if not sigma > 0:
        raise ValueError(f"zeta divides by sigma^2: expected sigma > 0, got {sigma!r}")
    return epsilon**2 * m**2 / (sigma**2 * (m**2).max())


def gradient_covariance(
    response: Tensor, stride: int, *, sigma_theta: float = 1.0, sigma_phi: float = 1.0, printed: bool = False
) -> Tensor:
    """Diagonal of E grad_x f grad_x f^T, Eq. (4); printed, it lacks 1/S.

    Args:
        response: m, (D,).
        stride: S.
        sigma_theta: standard deviation of the read-out.
        sigma_phi: standard deviation of the convolutions' response.
        printed: Eq. (4) as printed.

    Returns:
        (D,); the eigenvectors are the canonical ones, ordered by m^2.
    """
    _non_negative(sigma_theta=sigma_theta, sigma_phi=sigma_phi)
    m = _response(response, stride)
    return (sigma_theta * sigma_phi) ** 2 * m**2 / (1 if printed else stride)


def mixed_derivatives(
    response: Tensor, stride: int, *, sigma_theta: float = 1.0, sigma_phi: float = 1.0, printed: bool = False
) -> Tensor:
    """Diagonal of E H^T H, H = d2f / d(theta, phi) dx, Eq. (5).

    The block of theta is A diag(m * phi), the block of phi diag(m * A^T theta): each carries 1/S, so the sum is
    (sigma_theta^2 + sigma_phi^2) / S. Printed: sigma_theta^2 + sigma_phi^2 / S.

    Args:
        response: m, (D,).
        stride: S.
        sigma_theta: standard deviation of the read-out.
        sigma_phi: standard deviation of the convolutions' response.
        printed: Eq. (5) as printed.

    Returns:
        (D,)
    """
    _non_negative(sigma_theta=sigma_theta, sigma_phi=sigma_phi)
    m = _response(response, stride)
    if printed:
        return (sigma_theta**2 + sigma_phi**2 / stride) * m**2
    return (sigma_theta**2 + sigma_phi**2) / stride * m**2


def simulate(
    quantity: str,
    response: Tensor,
    stride: int,
    *,
    draws: int,
    generator: torch.Generator,
    frequency: int = 0,
    epsilon: float = 1.0,
    sigma: float = 1.0,
    sigma_theta: float = 1.0,
    sigma_phi: float = 1.0,
) -> Tensor:
    """Draws of a diagonal whose mean the formulas above give, by automatic differentiation of f and J alone.

    Whole Jacobians are formed, so D should stay small (32 and 4,000 draws take a second or two).

    Args:
        quantity: "hessian_phi", "hessian_theta", "gradient_covariance" or "mixed_derivatives".
        response: m, (D,).
        stride: S.
        draws: number of independent draws of parameters and data, N.
        generator: source of randomness.
        frequency: l; only the Hessians depend on it.
        epsilon: margin.
        sigma: standard deviation of the noise.
        sigma_theta: standard deviation of the read-out.
        sigma_phi: standard deviation of the convolutions' response.

    Returns:
        (N, D), or (N, M) for "hessian_theta".
    """
    m = _response(response, stride)
    (index,) = frequency_of(m.shape, frequency)

    def normal(width: int, scale: float) -> Tensor:
        return scale * torch.randn(draws, width, generator=generator, dtype=torch.float64)

    theta, phi, x = normal(len(m) // stride, sigma_theta), normal(len(m), sigma_phi), normal(len(m), sigma)
    y = torch.randint(2, (draws,), generator=generator) * 2.0 - 1.0
    x[:, index] += epsilon * y

    def f(theta: Tensor, phi: Tensor, x: Tensor) -> Tensor:
        return output(theta, phi, x, m, stride)

    def loss(theta: Tensor, phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return (y - f(theta, phi, x)) ** 2

    slopes = grad(f, argnums=(0, 1))
    diagonals = {
        "hessian_theta": lambda *at: hessian(loss, argnums=0)(*at).diagonal(),
        "hessian_phi": lambda *at: hessian(loss, argnums=1)(*at).diagonal(),
        "gradient_covariance": lambda *at: grad(f, argnums=2)(*at[:3]) ** 2,
        "mixed_derivatives": lambda *at: sum((h**2).sum(0) for h in jacrev(slopes, argnums=2)(*at[:3])),
    }
    if quantity not in diagonals:
        raise ValueError(f"expected a quantity out of {sorted(diagonals)}, got {quantity!r}")
    return vmap(diagonals[quantity], chunk_size=512)(theta, phi, x, y).detach()


def ratio(draws: Tensor, formula: Tensor) -> tuple[float, float]:
    """Ratio of a simulated diagonal to a formula, averaged over its non-zero entries.

    Args:
        draws: (N, K), from `simulate`.
        formula: (K,).

    Returns:
        The ratio and its standard error over the N draws.

    Raises:
        ValueError: if the shapes differ, a formula is zero everywhere, or there are fewer than 2 draws.
    """
    if draws.ndim != 2 or draws.shape[1:] != formula.shape or len(draws) < 2:
        raise ValueError(
            f"expected draws (N >= 2, K) and a formula (K,), got {tuple(draws.shape)}, {tuple(formula.shape)}"
        )
    known = formula.abs() > 1e-12 * formula.abs().max()
    if not bool(known.any()):
        raise ValueError("expected a formula with a non-zero entry, got zeros")
    one = (draws[:, known] / formula[known]).mean(1)
    return float(one.mean()), float(one.std() / math.sqrt(len(one)))
