"""The deep linear model: closed forms against differentiation, training against autograd, Lemma 2, Eq. (6)."""

import math

import pytest
import torch
from anisotropy.theory import deep_linear, dipole_bounds, pooling
from anisotropy.theory import deep_linear_training as training
from scipy import stats
from torch import nn

D, S, L = 32, 4, 5
M_AVERAGE = pooling.response(pooling.average(S, D))
SCALES = {"sigma_theta": 0.8, "sigma_phi": 1.3}
DATA = {"frequency": L, "epsilon": 2.0, "sigma": 0.7}


def formula(quantity, **printed):
    if quantity == "hessian_phi":
        return sum(deep_linear.hessian_phi(M_AVERAGE, S, L, epsilon=2.0, sigma=0.7, sigma_theta=0.8, **printed))
    if quantity == "hessian_theta":
        return sum(deep_linear.hessian_theta(M_AVERAGE, S, L, epsilon=2.0, sigma=0.7, sigma_phi=1.3))
    return getattr(deep_linear, quantity)(M_AVERAGE, S, **SCALES, **printed)


@pytest.fixture(scope="module")
def draws():
    generator = torch.Generator().manual_seed(0)
    return {
        quantity: deep_linear.simulate(quantity, M_AVERAGE, S, draws=4000, generator=generator, **DATA, **SCALES)
        for quantity in ("hessian_phi", "hessian_theta", "gradient_covariance", "mixed_derivatives")
    }


@pytest.mark.parametrize("quantity", ["hessian_phi", "hessian_theta", "gradient_covariance", "mixed_derivatives"])
def test_simulation_agrees_with_our_constants(draws, quantity):
    value, error = deep_linear.ratio(draws[quantity], formula(quantity))
    assert error < 0.02
    assert abs(value - 1) < 4 * error


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("hessian_phi", 1 / S),
        ("gradient_covariance", 1 / S),
        ("mixed_derivatives", (0.8**2 + 1.3**2) / S / (0.8**2 + 1.3**2 / S)),
    ],
)
def test_simulation_rejects_the_printed_constants(draws, quantity, expected):
    value, error = deep_linear.ratio(draws[quantity], formula(quantity, printed=True))
    assert abs(value - expected) < 4 * error
    assert abs(value - 1) > 20 * error


def test_signal_and_noise_of_lemma_1_separately(draws):
    signal, noise = deep_linear.hessian_phi(M_AVERAGE, S, L, epsilon=2.0, sigma=0.7, sigma_theta=0.8)
    at = draws["hessian_phi"][:, L]
    standard_error = float(at.std()) / math.sqrt(len(at))
    assert abs(float(at.mean() - noise[L]) - float(signal[L])) < 4 * standard_error
    assert torch.count_nonzero(signal) == 1


def test_average_mixed_hessian_by_brute_force():
    """Full Hessian in (theta, phi), averaged over draws: its off-diagonal block has the one entry."""
    size, stride, ell, n = 8, 2, 3, 4000
    m = pooling.response(pooling.binomial(2, size)).abs()
    generator = torch.Generator().manual_seed(1)
    theta, phi, x = (torch.randn(n, k, generator=generator, dtype=torch.float64) for k in (size // stride, size, size))
    y = torch.randint(2, (n,), generator=generator) * 2.0 - 1
    x[:, ell] += 1.5 * y

    def loss(theta, phi, x, y):
        return (y - deep_linear.output(theta, phi, x, m, stride)) ** 2

    blocks = torch.func.vmap(torch.func.hessian(loss, argnums=(0, 1)))(theta, phi, x, y)[0][1]
    expected = deep_linear.hessian_cross(m, stride, ell, epsilon=1.5)
    error = blocks.std(0) / math.sqrt(n)
    assert ((blocks.mean(0) - expected).abs() <= 4.5 * error).all()
    assert float(expected[ell % (size // stride), ell]) == pytest.approx(-3 * float(m[ell]) / math.sqrt(2))


def test_zeta_is_the_ratio_of_lemma_1_printed_or_not():
    for printed in (False, True):
        for ell in (0, 3, 8):
            signal, noise = deep_linear.hessian_phi(M_AVERAGE, S, ell, epsilon=0.5, sigma=2.0, printed=printed)
            expected = float(deep_linear.zeta(M_AVERAGE, epsilon=0.5, sigma=2.0)[ell])
            assert float(signal[ell] / noise.max()) == pytest.approx(expected)


# training


def test_one_step_of_training_equals_autograd():
    size, stride, ells = 12, 3, [1, 5]
    m = pooling.response(pooling.average(3, size)).abs()
    setting = {"epsilon": 1.0, "sigma": 0.5, "learning_rate": 0.1, "batch": 6}
    run = training.train(m, stride, ells, steps=3, record=1, seed=4, **setting)
    generator = torch.Generator().manual_seed(4)
    theta0 = torch.randn(size // stride, generator=generator, dtype=torch.float64)
    phi0 = torch.randn(size, generator=generator, dtype=torch.float64)
    parameters = {ell: [theta0.clone().requires_grad_(), phi0.clone().requires_grad_()] for ell in ells}
    for step in range(4):
        for k, ell in enumerate(ells):
            theta, phi = parameters[ell]
            c = pooling.aliasing_matrix(size, stride).T @ theta.detach() * m * phi.detach()
            risk = (1 - c[ell]) ** 2 + 0.25 * (c**2).sum()
            best = 0.25 / 1.25
            assert float(run.risk[step, k]) == pytest.approx(float((risk - best) / (1 - best)))
        y = torch.randint(2, (6,), generator=generator).to(torch.float64) * 2 - 1
        w = 0.5 * torch.randn(6, size, generator=generator, dtype=torch.float64)
        for ell in ells:
            x = w.clone()
            x[:, ell] += y
            theta, phi = parameters[ell]
            loss = ((y - deep_linear.output(theta, phi, x, m, stride)) ** 2).mean()
            for p, g in zip((theta, phi), torch.autograd.grad(loss, (theta, phi)), strict=True):
                p.data -= 0.1 * g


def test_excess_risk_is_one_for_zero_and_zero_at_the_optimum():
    best = torch.zeros(1, 8, dtype=torch.float64)
    best[0, 3] = 2.0 / (4 + 0.25)  # epsilon / (epsilon^2 + sigma^2)
    at = torch.tensor([3])
    assert float(training.excess_risk(best, at, epsilon=2.0, sigma=0.5)) == pytest.approx(0.0, abs=1e-12)
    assert float(training.excess_risk(torch.zeros(1, 8), at, epsilon=2.0, sigma=0.5)) == pytest.approx(1.0)


def test_convergence_follows_zeta_and_zeros_never_learn():
    m = pooling.response(pooling.average(4, 64))
    run = training.train(
        m, 4, range(64), epsilon=1.0, sigma=0.5, sigma_theta=0.3, sigma_phi=0.3, learning_rate=0.02, batch=32,
        steps=1500, record=10,
    )  # fmt: skip
    assert torch.isinf(run.steps[[16, 32, 48]]).all()
    assert torch.isfinite(run.steps[[0, 1, 5, 10, 22, 40]]).all()
    assert stats.spearmanr(run.steps, deep_linear.zeta(m, epsilon=1.0, sigma=0.5)).statistic < -0.85


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        training.train(M_AVERAGE, S, [1], epsilon=1.0, sigma=2.0, learning_rate=2.0, batch=4, steps=200, record=10)


# Lemma 2 and Eq. (6)


def test_lemma_2_printed_fails_and_corrected_holds_on_the_papers_example():
    generator = torch.Generator().manual_seed(0)
    slopes, mixed = dipole_bounds.deep_linear_samples(M_AVERAGE, S, 2, networks=100_000, generator=generator)
    for alpha in (0.1, 0.25, 0.8):
        bound = dipole_bounds.lemma2(slopes, mixed, alpha=alpha)
        assert bound.excess > 10, "violated beyond doubt"
        assert bound.left < bound.corrected
    for alpha in (0.9, 1.0, 3.0):
        assert dipole_bounds.lemma2(slopes, mixed, alpha=alpha).excess < -10
    ratio = dipole_bounds.lemma2(slopes, mixed, alpha=1.0)
    assert ratio.left / ratio.corrected == pytest.approx(dipole_bounds.smallest_valid_alpha(), abs=0.01)


def test_threshold_for_unequal_scales_by_monte_carlo():
    generator = torch.Generator().manual_seed(2)
    slopes, mixed = dipole_bounds.deep_linear_samples(
        M_AVERAGE, S, 2, networks=200_000, generator=generator, sigma_theta=0.3, sigma_phi=1.0
    )
    bound = dipole_bounds.lemma2(slopes, mixed, alpha=1.0)
    assert bound.left / bound.corrected == pytest.approx(dipole_bounds.smallest_valid_alpha(0.3, 1.0), abs=0.01)


def test_lemma_2_checks_its_own_condition():
    t = torch.tensor([0.5, 1.0, 2.0])
    with pytest.raises(ValueError, match="exceeds alpha t"):
        dipole_bounds.lemma2(t, t, alpha=1.0, derivative=lambda t: 2 * t)
    linear = dipole_bounds.lemma2(t, t, alpha=0.0, beta=2.0)
    assert linear.left == linear.printed == linear.corrected == pytest.approx(2 * float(t.mean()))
    with pytest.raises(ValueError, match="alpha, beta >= 0"):
        dipole_bounds.lemma2(t, t, alpha=-1.0)
    with pytest.raises(ValueError, match="one shape"):
        dipole_bounds.lemma2(t, t[:2], alpha=1.0)


class DeepLinear(nn.Module):
    """The deep linear model as a network on (1, 1, D) images."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.theta = nn.Parameter(torch.randn(D // S, generator=generator, dtype=torch.float64))
        self.phi = nn.Parameter(torch.randn(D, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return deep_linear.output(self.theta, self.phi, x.flatten(1), M_AVERAGE, S)[:, None]


def test_samples_of_a_network_equal_its_closed_form():
    eye = torch.eye(D, dtype=torch.float64)[[0, 5, 8]].reshape(3, 1, 1, D)
    x = torch.randn(1, 1, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes, mixed, finite = dipole_bounds.dipole_samples(DeepLinear, eye, x, networks=4)
    for seed in range(4):
        network = DeepLinear(seed)
        for k, ell in enumerate((0, 5, 8)):
            m = float(M_AVERAGE.abs()[ell]) / math.sqrt(S)
            theta, phi = network.theta[ell % (D // S)].item(), network.phi[ell].item()
            assert float(slopes[seed, k]) == pytest.approx(m * theta * phi, abs=1e-12)
            assert float(mixed[seed, k]) == pytest.approx(m * math.hypot(theta, phi), abs=1e-12)
    torch.testing.assert_close(finite, slopes)  # a linear network has no Taylor remainder


def test_dipole_samples_refuse_several_outputs():
    with pytest.raises(ValueError, match="one output per image"):
        dipole_bounds.dipole_samples(
            lambda i: nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
            torch.ones(1, 1, 2, 2),
            torch.ones(1, 2, 2),
            networks=1,
        )


def test_markov_bound_and_the_exact_tail():
    generator = torch.Generator().manual_seed(0)
    slopes, _ = dipole_bounds.deep_linear_samples(M_AVERAGE, S, 3, networks=100_000, generator=generator)
    mean = float((slopes**2).mean())
    for level in (0.5, 2.0, 10.0):
        probability, bound = dipole_bounds.markov(slopes, level * mean)
        assert probability <= bound == pytest.approx(1 / level)
        exact = dipole_bounds.product_normal_tail(level)
        assert abs(probability - exact) < 5 * math.sqrt(exact * (1 - exact) / len(slopes)) + 0.003
    assert dipole_bounds.product_normal_tail(0.0) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="eta > 0"):
        dipole_bounds.markov(slopes, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deep_linear.hessian_phi(M_AVERAGE, 5, 0, epsilon=1.0, sigma=1.0), "does not divide"),
        (lambda: deep_linear.hessian_phi(M_AVERAGE, S, 40, epsilon=1.0, sigma=1.0), "out of range"),
        (lambda: deep_linear.hessian_theta(M_AVERAGE, S, 0, epsilon=1.0, sigma=-1.0), "expected sigma"),
        (lambda: deep_linear.zeta(M_AVERAGE, epsilon=1.0, sigma=0.0), "zeta divides by sigma"),
        (lambda: deep_linear.gradient_covariance(torch.ones(2, 4), 2), "shape \\(D,\\)"),
        (
            lambda: deep_linear.simulate("volume", M_AVERAGE, S, draws=2, generator=torch.Generator()),
            "expected a quantity out of",
        ),
        (lambda: deep_linear.ratio(torch.ones(3, 2), torch.zeros(2)), "non-zero entry"),
        (lambda: deep_linear.ratio(torch.ones(3, 2), torch.ones(3)), "expected draws"),
        (
            lambda: training.train(M_AVERAGE, S, [0], epsilon=1.0, sigma=0.0, learning_rate=0.1, batch=1, steps=1),
            "expected positive",
        ),
        (lambda: dipole_bounds.smallest_valid_alpha(0.0), "positive standard deviations"),
        (lambda: dipole_bounds.product_normal_tail(-1.0), "at least 0"),
    ],
)
def test_wrong_inputs_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
