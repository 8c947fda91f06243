r"""Lemma 2 and the Markov bound, Eq. (3) and (6) of Sec. 3, for any network, from samples of random networks.

Write s = v^T grad_x f and h = |H v| with H = d2f / d theta dx. Then q = g(|s|) has |grad_theta q| = |g'(|s|)| h, and
|g'(t)| <= alpha t + beta with Cauchy-Schwarz gives

    E |grad_theta q| <= alpha sqrt(E s^2) sqrt(E h^2) + beta E h.

The paper prints alpha^2 in the first term. With alpha >= 1 that bound is true but loose, with alpha < 1 it can fail.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import integrate, special
from torch import Tensor, nn

from anisotropy.theory.aliasing import frequency_of, strides_of


@dataclass(frozen=True)
class Bound:
    """Both sides of Eq. (3).

    Attributes:
        left: E |grad_theta q|, mean over networks.
        left_error: its standard error.
        printed: right-hand side with alpha^2.
        corrected: right-hand side with alpha.
        excess: mean of left minus printed, in standard errors of that difference (positive: violated).
    """

    left: float
    left_error: float
    printed: float
    corrected: float
    excess: float


def lemma2(
    slopes: Tensor,
    mixed: Tensor,
    *,
    alpha: float,
    beta: float = 0.0,
    derivative: Callable[[Tensor], Tensor] | None = None,
) -> Bound:
    """Both sides of Lemma 2, Eq. (3), from one direction's samples over random networks.

    Args:
        slopes: s = v^T grad_x f, (N,).
        mixed: h = |H v|, (N,).
        alpha: of the condition |g'(t)| <= alpha t + beta.
        beta: likewise.
        derivative: g' on t >= 0; alpha t + beta if left out, that is g(t) = alpha t^2 / 2 + beta t.

    Returns:
        Left side, printed and corrected bound.

    Raises:
        ValueError: if alpha or beta is negative, g' breaks its condition on the samples, or the samples do not pair up.
    """
    t = slopes.abs().to(torch.float64)
    h = mixed.to(torch.float64)
    if t.ndim != 1 or t.shape != h.shape or len(t) < 2:
        raise ValueError(f"expected slopes and mixed of one shape (N >= 2,), got {tuple(t.shape)} and {tuple(h.shape)}")
    if not (alpha >= 0 and beta >= 0):
        raise ValueError(f"Lemma 2 needs alpha, beta >= 0, got {alpha} and {beta}")
    allowed = alpha * t + beta
    rate = allowed if derivative is None else derivative(t)
    if not bool((rate.abs() <= allowed * (1 + 1e-9)).all()):  # NaN is not below it either
        worst = int((rate.abs() - allowed).argmax())
        raise ValueError(
            f"|g'({float(t[worst]):.3g})| = {float(rate[worst].abs()):.3g} exceeds alpha t + beta = "
            f"{float(allowed[worst]):.3g}: Lemma 2 does not apply, give a larger alpha or beta"
        )
    left = rate.abs() * h
    product = math.sqrt(float((t**2).mean()) * float((h**2).mean()))
    linear = beta * float(h.mean())
    printed = alpha**2 * product + linear
    # influence of each network on left - printed (delta method for the square roots)
    influence = left - alpha**2 * product / 2 * (t**2 / (t**2).mean() + h**2 / (h**2).mean()) - beta * h
    spread = float(influence.std()) / math.sqrt(len(t))
    gap = float(left.mean()) - printed
    return Bound(
        left=float(left.mean()),
        left_error=float(left.std()) / math.sqrt(len(left)),
        printed=printed,
        corrected=alpha * product + linear,
        excess=gap / spread if spread > 0 else math.copysign(math.inf, gap) if gap else 0.0,
    )


def smallest_valid_alpha(sigma_theta: float = 1.0, sigma_phi: float = 1.0) -> float:
    """The alpha below which the printed Lemma 2 fails on the paper's own example, the deep linear model, beta = 0.

    Along e_l, s = S^{-1/2} m theta phi and h = S^{-1/2} |m| sqrt(theta^2 + phi^2), so m and S cancel:
    alpha* = E[|theta phi| sqrt(theta^2 + phi^2)] / (sigma_theta sigma_phi sqrt(sigma_theta^2 + sigma_phi^2)).

    Args:
        sigma_theta: standard deviation of the read-out.
        sigma_phi: standard deviation of the convolutions' response.

    Returns:
        alpha*; 3 / (2 sqrt(pi)) = 0.846 for equal deviations.
    """
    if not (sigma_theta > 0 and sigma_phi > 0):
        raise ValueError(f"expected positive standard deviations, got {sigma_theta} and {sigma_phi}")

    def angular(turn: float) -> float:
        a, b = sigma_theta * math.cos(turn), sigma_phi * math.sin(turn)
        return abs(a * b) * math.hypot(a, b)

    # polar coordinates: E r^3 = 3 sqrt(pi / 2), and a mean over the angle
    mean = integrate.quad(angular, 0, math.pi / 2)[0] / (math.pi / 2)
    expected = 3 * math.sqrt(math.pi / 2) * mean
    return expected / (sigma_theta * sigma_phi * math.hypot(sigma_theta, sigma_phi))


def deep_linear_samples(
    response: Tensor,
    stride: int,
    frequency: int,
    *,
    networks: int,
    generator: torch.Generator,
    sigma_theta: float = 1.0,
    sigma_phi: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Slopes and mixed derivatives of random deep linear models along e_l.

    Args:
        response: m, (D,); a complex response is replaced by its magnitude.
        stride: S.
        frequency: l.
        networks: N.
        generator: source of randomness.
        sigma_theta: standard deviation of the read-out.
        sigma_phi: standard deviation of the convolutions' response.

    Returns:
        s (N,), h (N,).
    """
    m = torch.as_tensor(response)
    m = (m.abs() if m.is_complex() else m).to(torch.float64)
    strides_of(m.shape, stride)
    scale = m[frequency_of(m.shape, frequency)[0]] / math.sqrt(stride)
    theta = sigma_theta * torch.randn(networks, generator=generator, dtype=torch.float64)
    phi = sigma_phi * torch.randn(networks, generator=generator, dtype=torch.float64)
    return scale * theta * phi, scale.abs() * torch.hypot(theta, phi)


def dipole_samples(
    make: Callable[[int], nn.Module], directions: Tensor, x: Tensor, *, networks: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes, mixed derivatives and finite dipoles of random networks, by automatic differentiation twice.

    Args:
        make: index -> a fresh network with one output, e.g. `lambda i: architectures.build(factory, i)`.
        directions: (K, C, H, W), unit norm.
        x: the point (C, H, W) at which the derivatives are taken.
        networks: N.

    Returns:
        s = v^T grad_x f (N, K), h = |d2f/dtheta dx v| over all parameters (N, K), and f(x + v) - f(x) (N, K), float64.
    """
    slopes, mixed, finite = (torch.zeros(networks, len(directions), dtype=torch.float64) for _ in range(3))
    nothing = torch.zeros((), dtype=torch.float64)
    for i in range(networks):
        network = make(i).eval()
        parameters = list(network.parameters())
        point = x.clone()[None].requires_grad_()
        value = network(point)
        if value.numel() != 1:
            raise ValueError(f"expected a network with one output per image, got shape {tuple(value.shape)}")
        (slope,) = torch.autograd.grad(value.sum(), point, create_graph=True)
        for k, v in enumerate(directions.to(x)):
            s = (slope[0] * v).sum()
            # the bias of the last layer does not occur in the slope: its derivative is zero, not an error
            rows = torch.autograd.grad(s, parameters, retain_graph=True, allow_unused=True)
            slopes[i, k] = s.detach()
            mixed[i, k] = sum((r.detach().double().square().sum() for r in rows if r is not None), nothing).sqrt()
        with torch.no_grad():
            finite[i] = (network(x + directions.to(x)) - value).flatten()
    return slopes, mixed, finite


def markov(slopes: Tensor, eta: float) -> tuple[float, float]:
    """Eq. (6): measured P(s^2 >= eta) and Markov's bound E[s^2] / eta on it.

    Args:
        slopes: s over random networks, (N,).
        eta: level of the dipole metric, positive.

    Returns:
        Measured probability, bound (it may exceed 1, where it says nothing).
    """
    if not eta > 0:
        raise ValueError(f"expected eta > 0, got {eta!r}")
    energy = slopes.to(torch.float64) ** 2
    return float((energy >= eta).to(torch.float64).mean()), float(energy.mean()) / eta


def product_normal_tail(level: float) -> float:
    """P(theta^2 phi^2 >= level) for independent standard normals: the exact left side of Eq. (6) in the example.

    The product has density K_0(|z|) / pi.

    Args:
        level: eta / E[s^2], at least 0.

    Returns:
        Probability.
    """
    if level < 0:
        raise ValueError(f"expected a level of at least 0, got {level!r}")
    tail = integrate.quad(lambda z: special.k0(z), math.sqrt(level), math.inf)[0]
    return 2 / math.pi * tail
