"""What notebook 02 simulates of the theory of pooling: numbers that are looked up, else computed."""

from typing import Any

import torch

from anisotropy._util import checks
from anisotropy.results import measures
from anisotropy.theory import deep_linear, deep_linear_training, pooling

VERSIONS = (1,)
"""Of the numbers of this module and of `theory`."""

PREFILTERS = {
    "average": lambda stride, length: pooling.average(stride, length),
    "binomial": lambda stride, length: pooling.binomial(2, length),
}
"""Prefilters of the simulations: the average of S pixels, and a binomial blur of three taps."""

NEVER = -1
"""Steps of a training that did not get there, or diverged: JSON has no infinity."""


def cases(length: int) -> list[tuple[int, str]]:
    """Frequencies and phases of a real signal of even length: 0 and half of it have one phase, the others two."""
    half = checks.whole(length, "length", 2) // 2
    return [(k, phase) for k in range(half + 1) for phase in (("cos", "sin") if 0 < k < half else ("cos",))]


@measures.kept("pooling.hits", version=VERSIONS, bound=0.02)
def hits(
    prefilter: str, *, length: int, stride: int, samples: int, epsilon: float, sigma: float, seed: int = 0
) -> dict[str, list[int]]:
    """Samples that the matched filter classifies right after pooling, of so many drawn, for each of `cases`: `hits`.

    Args:
        prefilter: one of `PREFILTERS`.
        length: D of the signals.
        stride: S.
        samples: drawn for each case.
        epsilon: margin.
        sigma: noise.
        seed: of the draws.
    """
    if prefilter not in PREFILTERS:
        raise ValueError(f"expected a prefilter out of {', '.join(PREFILTERS)}, got {prefilter!r}")
    taps, generator = PREFILTERS[prefilter](stride, length), torch.Generator().manual_seed(seed)
    drawn = {"samples": samples, "generator": generator, "epsilon": epsilon, "sigma": sigma}
    return {"hits": [pooling.monte_carlo(taps, stride, k, phase=phase, **drawn)[0] for k, phase in cases(length)]}


@measures.kept("pooling.curvature", version=VERSIONS, bound=0.01)
def curvature(
    block: str,
    *,
    length: int,
    stride: int,
    draws: int,
    frequency: int,
    epsilon: float = 2.0,
    sigma: float = 1.0,
    sigma_theta: float = 0.8,
    sigma_phi: float = 1.2,
    seed: int = 0,
) -> dict[str, list]:
    """Diagonal of the mean Hessian of the deep linear model, simulated, over our formula for it (Lemma 1).

    Args:
        block: "hessian_phi" or "hessian_theta".
        length: D; whole Hessians are formed.
        stride: S of an average pooling.
        draws: of parameters and data.
        frequency: that carries the class.
        epsilon: margin.
        sigma: noise.
        sigma_theta: standard deviation of the read-out.
        sigma_phi: standard deviation of the convolutions' response.
        seed: of the draws.

    Returns:
        `entry`: those where the formula is not 0; `simulated` over formula and `error`, its standard error, for each;
        `ratio`: over all of them, with its standard error.
    """
    m = pooling.response(pooling.average(stride, length)).abs()
    common = {"epsilon": epsilon, "sigma": sigma}
    formulas = {
        "hessian_phi": lambda: sum(deep_linear.hessian_phi(m, stride, frequency, sigma_theta=sigma_theta, **common)),
        "hessian_theta": lambda: sum(deep_linear.hessian_theta(m, stride, frequency, sigma_phi=sigma_phi, **common)),
    }
    if block not in formulas:
        raise ValueError(f"expected a block out of {', '.join(formulas)}, got {block!r}")
    spread = {"sigma_theta": sigma_theta, "sigma_phi": sigma_phi, "frequency": frequency, **common}
    generator, formula = torch.Generator().manual_seed(seed), formulas[block]()
    found = deep_linear.simulate(block, m, stride, draws=draws, generator=generator, **spread)
    entry = (formula > 1e-12).nonzero()[:, 0]
    each = found[:, entry] / formula[entry]
    return {
        "entry": entry.tolist(),
        "simulated": each.mean(0).tolist(),
        "error": (each.std(0) / draws**0.5).tolist(),
        "ratio": list(deep_linear.ratio(found, formula)),
    }


@measures.kept("pooling.learnt", version=VERSIONS, bound=0.02)
def learnt(
    *,
    length: int,
    stride: int,
    sigma: float,
    learning_rate: float,
    epsilon: float = 1.0,
    steps: int = 1500,
    shown: list[int] = (),
    seed: int = 0,
) -> dict[str, list]:
    """Train the deep linear model with average pooling by SGD for every frequency at once (Fig. 4b).

    Args:
        length: D, as many frequencies.
        stride: S.
        sigma: noise.
        learning_rate: of SGD, batches of 32.
        epsilon: margin.
        steps: of SGD.
        shown: frequencies whose curves are wanted.
        seed: of initialisation and data; parameters start at a standard deviation of 0.3.

    Returns:
        `steps` until half of the excess risk was gone for good, `NEVER` where it was not; with `shown` also `at` and
        `risk`, a list for each of them; `diverged`, 1, where the training did.
    """
    m = pooling.response(pooling.average(stride, length)).abs()
    settings = {"epsilon": epsilon, "sigma": sigma, "sigma_theta": 0.3, "sigma_phi": 0.3, "batch": 32, "record": 10}
    try:
        run = deep_linear_training.train(
            m, stride, range(length), learning_rate=learning_rate, steps=steps, seed=seed, **settings
        )
    except FloatingPointError:  # too large a learning rate for some frequency: all are trained at once
        if len(shown):
            raise
        return {"steps": [NEVER] * length, "diverged": 1}
    answer: dict[str, Any] = {"steps": [int(s) if s < float("inf") else NEVER for s in run.steps.tolist()]}
    if len(shown):
        answer |= {"at": run.at.tolist(), "risk": run.risk[:, list(shown)].T.tolist()}
    return answer
