"""Training the deep linear model of pooling by SGD, one copy for every direction at once (Fig. 4b)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anisotropy.theory.aliasing import frequency_of, strides_of


@dataclass(frozen=True)
class Run:
    """Result of `train`.

    Attributes:
        steps: (K,) SGD steps until the excess risk stayed under the threshold of its start; infinite where it did not.
        risk: (T, K) excess risk at the recorded steps, relative to that of the zero function.
        at: (T,) recorded steps.
    """

    steps: Tensor
    risk: Tensor
    at: Tensor


def excess_risk(coefficients: Tensor, frequencies: Tensor, *, epsilon: float, sigma: float) -> Tensor:
    """Expected squared loss above the best linear predictor's, as a fraction of what the zero function has above it.

    For f = sum_d c_d x_d the risk is (1 - epsilon c_l)^2 + sigma^2 |c|^2; its minimum sigma^2 / (epsilon^2 + sigma^2)
    is the same for every l, and the zero function has risk 1. So 1 is "nothing learnt", 0 "all".

    Args:
        coefficients: c, (K, D), row k for the problem with frequency frequencies[k].
        frequencies: (K,) indices l.
        epsilon: margin.
        sigma: standard deviation of the isotropic noise.

    Returns:
        (K,)
    """
    at = coefficients.gather(1, frequencies[:, None])[:, 0]
    risk = (1 - epsilon * at) ** 2 + sigma**2 * (coefficients**2).sum(1)
    best = sigma**2 / (epsilon**2 + sigma**2)
    return (risk - best) / (1 - best)


def train(
    response: Tensor,
    stride: int,
    frequencies,
    *,
    epsilon: float,
    sigma: float,
    sigma_theta: float = 1.0,
    sigma_phi: float = 1.0,
    learning_rate: float,
    batch: int,
    steps: int,
    threshold: float = 0.5,
    record: int = 50,
    seed: int = 0,
) -> Run:
    """Train f = theta^T A (m * phi * x) on x = epsilon y e_l + w with squared loss, for every l at once.

    All copies start at the same parameters and see the same labels and noise: only the place of the discriminative
    coefficient differs. Each step draws a fresh batch. The step count is the first recorded step after which the excess
    risk never rose above the threshold again.

    Args:
        response: m, (D,); a complex response is replaced by its magnitude.
        stride: S.
        frequencies: K frequencies l.
        epsilon: margin.
        sigma: standard deviation of the isotropic noise.
        sigma_theta: standard deviation of the initial read-out.
        sigma_phi: standard deviation of the initial response of the convolutions.
        learning_rate: of SGD.
        batch: samples per step.
        steps: number of SGD steps.
        threshold: excess risk, relative to the zero function's, that counts as learnt.
        record: evaluate every so many steps.
        seed: of initialisation and data.

    Returns:
        Steps until convergence, and the curves.

    Raises:
        FloatingPointError: if training diverges, with the step: lower the learning rate.
        ValueError: for a frequency out of range, a stride that does not divide D, or settings that are not positive.
    """
    m = torch.as_tensor(response)
    m = (m.abs() if m.is_complex() else m).to(torch.float64)
    strides_of(m.shape, stride)
    if min(epsilon, sigma, learning_rate, batch, steps, record) <= 0 or not 0 < threshold < 1:
        raise ValueError(
            "expected positive epsilon, sigma, learning_rate, batch, steps, record and threshold in (0, 1)"
        )
    index = torch.tensor([frequency_of(m.shape, frequency)[0] for frequency in frequencies])
    generator = torch.Generator().manual_seed(seed)
    size, count = len(m), len(index)
    theta = sigma_theta * torch.randn(size // stride, generator=generator, dtype=torch.float64).repeat(count, 1)
    phi = sigma_phi * torch.randn(size, generator=generator, dtype=torch.float64).repeat(count, 1)
    m = m / stride**0.5  # A^T theta = theta repeated S times, over sqrt(S)
    row, at, risks = torch.arange(count), [], []
    for step in range(steps + 1):
        spread = theta.repeat(1, stride)
        coefficients = spread * m * phi
        if step % record == 0 or step == steps:
            risks.append(excess_risk(coefficients, index, epsilon=epsilon, sigma=sigma))
            at.append(step)
            if not torch.isfinite(risks[-1]).all():
                raise FloatingPointError(f"training diverged before step {step}: expected a smaller learning_rate")
        y = torch.randint(2, (batch,), generator=generator).to(torch.float64) * 2 - 1
        w = sigma * torch.randn(batch, size, generator=generator, dtype=torch.float64)
        residual = y[:, None] - w @ coefficients.T - epsilon * y[:, None] * coefficients[row, index]  # (batch, K)
        slope = -2 / batch * residual.T @ w
        slope[row, index] += -2 / batch * epsilon * (y @ residual)
        theta = theta - learning_rate * (slope * m * phi).unflatten(1, (stride, -1)).sum(1)
        phi = phi - learning_rate * slope * m * spread
    risk, at = torch.stack(risks), torch.tensor(at)
    above = risk > threshold
    last = torch.where(above.any(0), len(at) - 1 - above.flip(0).to(torch.int8).argmax(0), -1)
    done = torch.full((count,), torch.inf, dtype=torch.float64)
    learnt = last < len(at) - 1
    done[learnt] = at[last[learnt] + 1].to(torch.float64)
    return Run(done, risk, at)
