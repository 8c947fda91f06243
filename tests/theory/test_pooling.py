"""Pooling in closed form against pixel-space algebra, torch's own pooling, simulation, and its stated limits."""

import itertools
import math

import numpy as np
import pytest
import torch
from anisotropy.theory import pooling
from scipy import stats

D = 128
STRIDES = (2, 4, 8)
PREFILTERS = {
    "average": lambda stride: pooling.average(stride, D),
    "average of another width": lambda stride: pooling.average(5, D),
    "binomial 2": lambda stride: pooling.binomial(2, D),
    "binomial 4": lambda stride: pooling.binomial(4, D),
    "binomial 3, half a sample off": lambda stride: pooling.binomial(3, D),
    "gaussian": lambda stride: pooling.gaussian(1.3, D),
    "ideal low-pass": lambda stride: pooling.ideal_low_pass(stride, D),
    "subsampling": lambda stride: pooling.subsampling(D),
}
SETTING = {"epsilon": 1.0, "sigma": 3.0}


def phases(frequency, length=D):
    return ("cos",) if 2 * frequency % length == 0 else ("cos", "sin")


def random_prefilter(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", PREFILTERS)
def test_closed_form_equals_gaussian_algebra_in_pixel_space(name, stride):
    taps = PREFILTERS[name](stride)
    for frequency in range(D):
        for phase in phases(frequency):
            closed, pixels = (
                pooling.bayes_accuracy(taps, stride, frequency, phase=phase, method=method, **SETTING)
                for method in ("closed_form", "pixel_space")
            )
            assert closed == pytest.approx(pixels, abs=1e-9), (frequency, phase)


@pytest.mark.parametrize("noise_to_margin", [0.2, 1.0, 30.0])
def test_closed_form_equals_pixel_space_for_arbitrary_prefilters(noise_to_margin):
    for seed, (length, stride) in enumerate([(12, 3), (15, 5), (16, 16), (18, 2), (7, 1)]):
        taps = random_prefilter(length, seed=seed)
        for frequency in range(length):
            for phase in phases(frequency, length):
                a, b = (
                    pooling.bayes_accuracy(
                        taps, stride, frequency, epsilon=1.0, sigma=noise_to_margin, phase=phase, method=method
                    )
                    for method in ("closed_form", "pixel_space")
                )
                assert a == pytest.approx(b, abs=1e-9), (length, stride, frequency, phase)


def test_two_dimensions_closed_form_equals_pixel_space():
    for taps, stride in [
        (random_prefilter(8, 6), (2, 3)),
        (pooling.outer(pooling.average(2, 8)), 2),
        (pooling.outer(pooling.binomial(2, 8), pooling.average(4, 8)), (2, 4)),
    ]:
        height, width = taps.shape
        for y, x in itertools.product(range(height), range(width)):
            single = 2 * y % height == 0 and 2 * x % width == 0
            for phase in ("cos",) if single else ("cos", "sin"):
                a, b = (
                    pooling.bayes_accuracy(taps, stride, (y, x), phase=phase, method=method, **SETTING)
                    for method in ("closed_form", "pixel_space")
                )
                assert a == pytest.approx(b, abs=1e-9), (y, x, phase)


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", ["average", "binomial 2"])
def test_monte_carlo_of_the_bayes_classifier_covers_the_closed_form(name, stride):
    """All l and both phases at once, each interval at a level that makes one false alarm in 1000 such tests."""
    taps = PREFILTERS[name](stride)
    cases = [(k, phase) for k in range(D // 2 + 1) for phase in phases(k)]  # -k repeats k
    generator = torch.Generator().manual_seed(stride)
    setting = {"epsilon": 1.0, "sigma": 1.5}
    for frequency, phase in cases:
        correct, n = pooling.monte_carlo(
            taps, stride, frequency, phase=phase, samples=1000, generator=generator, **setting
        )
        interval = stats.binomtest(correct, n).proportion_ci(1 - 0.001 / len(cases), method="exact")
        closed = pooling.bayes_accuracy(taps, stride, frequency, phase=phase, **setting)
        assert interval.low <= closed <= interval.high, (frequency, phase, correct / n, closed)


def test_monte_carlo_rejects_the_printed_formula_where_it_is_wrong():
    correct, n = pooling.monte_carlo(
        pooling.average(8, D), 8, 10, samples=20_000, generator=torch.Generator().manual_seed(0), **SETTING
    )
    interval = stats.binomtest(correct, n).proportion_ci(0.9999, method="exact")
    printed = pooling.bayes_accuracy(pooling.average(8, D), 8, 10, method="printed", **SETTING)
    assert printed > interval.high + 0.02


def test_no_linear_classifier_beats_the_matched_filter():
    """The Bayes classifier is sign <Pv, z>: its exact accuracy equals the optimum over all linear directions."""
    taps, stride, frequency = random_prefilter(24, seed=3), 4, 5
    v = pooling.fourier_direction(24, frequency, "sin")
    matrix = pooling.pooling_matrix(taps, stride)
    mean = matrix @ v
    covariance = 9.0 * (matrix @ matrix.T - torch.outer(mean, mean))
    matched = stats.norm.cdf(float(mean @ mean / torch.sqrt(mean @ covariance @ mean)))
    best = pooling.bayes_accuracy(taps, stride, frequency, phase="sin", **SETTING)
    assert matched == pytest.approx(best, abs=1e-12)
    for direction in random_prefilter(200, len(mean)):
        assert stats.norm.cdf(abs(float(direction @ mean)) / math.sqrt(direction @ covariance @ direction)) <= best


# where the printed Theorem 1 agrees


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", PREFILTERS)
def test_the_printed_formula_is_exact_only_for_stride_two_or_at_the_extremes(name, stride):
    taps = PREFILTERS[name](stride)
    special = set(pooling.self_aliased(D, stride))
    for frequency in range(D):
        exact = pooling.bayes_accuracy(taps, stride, frequency, **SETTING)
        printed = pooling.bayes_accuracy(taps, stride, frequency, method="printed", **SETTING)
        real = pooling.bayes_accuracy(taps, stride, frequency, method="printed", convention="real", **SETTING)
        if frequency not in special:
            assert real == pytest.approx(exact, abs=1e-12)
            extreme = min(exact - 0.5, 1 - exact) < 1e-12
            assert (abs(printed - exact) < 1e-12) == (stride == 2 or extreme), (frequency, printed, exact)
            if stride > 2 and not extreme:
                assert printed > exact  # too optimistic by sqrt(S / 2) in the argument


def test_the_printed_formula_is_the_circular_reading_at_stride_four():
    taps = pooling.average(4, D)
    literal, circular = (
        [pooling.bayes_accuracy(taps, 4, k, method="printed", convention=convention, **SETTING) for k in range(D)]
        for convention in ("literal", "circular")
    )
    np.testing.assert_allclose(literal, circular, atol=1e-12)


@pytest.mark.parametrize("stride", STRIDES)
def test_the_circular_reading_is_what_complex_signals_give(stride):
    taps = pooling.average(stride, D)
    generator = torch.Generator().manual_seed(1)
    for frequency in (3, 10, D // stride // 2, 50):
        correct, n = pooling.monte_carlo(
            taps, stride, frequency, samples=10_000, generator=generator, noise="circular", **SETTING
        )
        interval = stats.binomtest(correct, n).proportion_ci(0.9999, method="exact")
        expected = pooling.bayes_accuracy(taps, stride, frequency, method="printed", convention="circular", **SETTING)
        assert interval.low <= expected <= interval.high


def test_sine_and_cosine_differ_at_self_aliased_frequencies_only():
    taps = pooling.average(4, D)
    special = pooling.self_aliased(D, 4)
    assert special == [0, 16, 32, 48, 64, 80, 96, 112]
    values = {phase: pooling.bayes_accuracy(taps, 4, 16, phase=phase, **SETTING) for phase in ("cos", "sin")}
    assert values["cos"] == pytest.approx(0.550, abs=5e-4)
    assert values["sin"] == pytest.approx(0.7075, abs=5e-5)
    for frequency in set(range(D)) - set(special):
        cos, sin = (pooling.bayes_accuracy(taps, 4, frequency, phase=phase, **SETTING) for phase in ("cos", "sin"))
        assert cos == sin


def test_the_order_of_directions_survives_every_convention():
    taps = pooling.binomial(2, D)
    generic = [k for k in range(D // 2) if k not in pooling.self_aliased(D, 4)]
    exact = [pooling.bayes_accuracy(taps, 4, k, **SETTING) for k in generic]
    for convention in pooling.CONVENTIONS:
        printed = [
            pooling.bayes_accuracy(taps, 4, k, method="printed", convention=convention, **SETTING) for k in generic
        ]
        assert stats.spearmanr(exact, printed).statistic == pytest.approx(1.0)


# aliasing and prefilters


def test_equation_1_in_one_and_two_dimensions():
    x = random_prefilter(3, 24)
    taps = random_prefilter(24, seed=1)
    spectrum = pooling.response(taps) * torch.fft.fft(x, norm="ortho")
    expected = torch.fft.fft(pooling.pool(x, taps, 4), norm="ortho")
    torch.testing.assert_close(pooling.alias(spectrum, 4), expected)
    torch.testing.assert_close(spectrum @ pooling.aliasing_matrix(24, 4).to(spectrum).T, expected)
    image, taps = random_prefilter(3, 8, 12), random_prefilter(8, 12, seed=1)
    spectrum = pooling.response(taps) * torch.fft.fft2(image, norm="ortho")
    expected = torch.fft.fft2(pooling.pool(image, taps, (2, 3)), norm="ortho")
    torch.testing.assert_close(pooling.alias(spectrum, (2, 3), dims=2), expected)


def test_average_prefilter_is_torch_average_pooling():
    x = random_prefilter(2, 1, 12)
    torch.testing.assert_close(pooling.pool(x, pooling.average(4, 12), 4), torch.nn.functional.avg_pool1d(x, 4))
    image = random_prefilter(2, 1, 8, 8)
    torch.testing.assert_close(
        pooling.pool(image, pooling.outer(pooling.average(2, 8)), 2), torch.nn.functional.avg_pool2d(image, 2)
    )


def test_rows_of_the_aliasing_matrix_are_orthonormal():
    a = pooling.aliasing_matrix(12, 3)
    torch.testing.assert_close(a @ a.T, torch.eye(4, dtype=torch.float64))


def test_responses_of_the_named_prefilters():
    k = torch.arange(D, dtype=torch.float64)
    for order in (0, 1, 2, 4, 7):
        expected = torch.cos(math.pi * k / D).abs() ** order
        torch.testing.assert_close(pooling.response(pooling.binomial(order, D)).abs(), expected, atol=1e-12, rtol=0)
    dirichlet = torch.sin(math.pi * k[1:] * 4 / D) / (4 * torch.sin(math.pi * k[1:] / D))
    m = pooling.response(pooling.average(4, D)).abs()
    torch.testing.assert_close(m[1:], dirichlet.abs(), atol=1e-12, rtol=0)
    assert (m[[32, 64, 96]] == 0).all(), "zeros of a prefilter are exactly zero"
    signed = torch.fft.fftfreq(D, d=1 / D, dtype=torch.float64)
    narrow = torch.exp(-0.5 * (2 * math.pi * 2.5 * signed / D) ** 2)
    torch.testing.assert_close(pooling.response(pooling.gaussian(2.5, D)).real, narrow, atol=1e-7, rtol=0)
    ideal = pooling.response(pooling.ideal_low_pass(4, D))
    torch.testing.assert_close(ideal.real, (signed.abs() < 16).double(), atol=1e-12, rtol=0)
    for taps in (PREFILTERS[name](4) for name in PREFILTERS):
        assert float(taps.sum()) == pytest.approx(1.0)


def test_two_poolings_in_a_row_are_one():
    x = random_prefilter(24)
    first, second = pooling.binomial(2, 24), pooling.average(2, 12)
    twice = pooling.pool(pooling.pool(x, first, 2), second, 2)
    torch.testing.assert_close(pooling.pool(x, pooling.compose(first, 2, second), 4), twice)
    with pytest.raises(ValueError, match="12 after stride 2"):
        pooling.compose(first, 2, pooling.average(2, 6))


def test_gamma_as_printed_and_its_extremes():
    taps = pooling.average(4, D)
    g = pooling.gamma(taps, 4)
    m = pooling.response(taps).abs() ** 2
    expected = math.sqrt(4 * m[7] / (m[39] + m[71] + m[103]))
    assert float(g[7]) == pytest.approx(expected)
    assert math.isinf(g[0])
    assert g[32] == 0
    torch.testing.assert_close(pooling.gamma(taps, 4, with_stride=False)[1:], g[1:] / 2)


# limits and wrong inputs


def test_zeros_of_the_prefilter_give_exactly_one_half_and_one():
    for method in ("closed_form", "pixel_space", "printed"):
        for stride in STRIDES:
            taps = pooling.average(stride, D)
            assert pooling.bayes_accuracy(taps, stride, 0, method=method, **SETTING) == 1.0
            assert pooling.bayes_accuracy(taps, stride, D // stride, method=method, **SETTING) == 0.5
        ideal = pooling.ideal_low_pass(4, D)
        assert pooling.bayes_accuracy(ideal, 4, 15, method=method, **SETTING) == 1.0
        assert pooling.bayes_accuracy(ideal, 4, 16, method=method, **SETTING) == 0.5
        assert pooling.bayes_accuracy(torch.zeros(D), 4, 3, method=method, **SETTING) == 0.5


@pytest.mark.parametrize("method", ["closed_form", "pixel_space", "printed"])
def test_limits_without_noise_and_without_margin(method):
    taps = pooling.average(4, D)
    assert pooling.bayes_accuracy(taps, 4, 10, epsilon=1.0, sigma=0.0, method=method) == 1.0
    assert pooling.bayes_accuracy(taps, 4, 32, epsilon=1.0, sigma=0.0, method=method) == 0.5
    assert pooling.bayes_accuracy(taps, 4, 10, epsilon=0.0, sigma=3.0, method=method) == 0.5
    assert pooling.bayes_accuracy(taps, 4, 10, epsilon=0.0, sigma=0.0, method=method) == 0.5


def test_negative_frequencies_and_numpy_integers_mean_what_they_say():
    taps = pooling.binomial(2, D)
    a = pooling.bayes_accuracy(taps, 4, -5, **SETTING)
    assert a == pooling.bayes_accuracy(taps, 4, D - 5, **SETTING)
    assert a == pooling.bayes_accuracy(taps, 4, np.int64(5), **SETTING)


def accuracy(taps=None, stride=4, frequency=3, **changed):
    taps = pooling.average(4, D) if taps is None else taps
    return pooling.bayes_accuracy(taps, stride, frequency, **{**SETTING, **changed})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy(stride=3), "stride 3 does not divide the signal's length 128"),
        (lambda: accuracy(stride=0), "expected one positive stride"),
        (lambda: accuracy(stride=(2, 2)), "expected one positive stride"),
        (lambda: accuracy(frequency=128), "frequency 128 is out of range: expected -64..127"),
        (lambda: accuracy(frequency=-65), "out of range"),
        (lambda: accuracy(frequency=(1, 2)), "expected one frequency for each of 1 dimensions"),
        (lambda: accuracy(frequency=0, phase="sin"), "its own conjugate and has no sine"),
        (lambda: accuracy(phase="tan"), 'expected phase "cos" or "sin"'),
        (lambda: accuracy(sigma=-1.0), "expected sigma as a finite number"),
        (lambda: accuracy(epsilon=math.nan), "expected epsilon as a finite number"),
        (lambda: accuracy(method="guess"), "expected method out of"),
        (lambda: accuracy(method="printed", convention="mine"), "expected convention out of"),
        (lambda: accuracy(taps=torch.ones(2, 2, 2)), "expected a prefilter of shape"),
        (lambda: accuracy(taps=pooling.response(pooling.average(4, D))), "got complex numbers"),
        (lambda: accuracy(taps=torch.full((D,), math.nan)), "finite numbers"),
        (lambda: pooling.average(129, D), "has 129 taps and the signal only 128"),
        (lambda: pooling.binomial(8, 8), "has 9 taps and the signal only 8"),
        (lambda: pooling.average(0, D), "expected a positive whole number as width"),
        (lambda: pooling.binomial(-1, D), "as order of the binomial blur"),
        (lambda: pooling.gaussian(0.0, D), "expected a positive, finite standard deviation"),
        (lambda: pooling.ideal_low_pass(200, D), "expected a stride from 1 to"),
        (
            lambda: pooling.pool(torch.zeros(64), pooling.average(4, D), 4),
            "expected an impulse response of the signals",
        ),
    ],
)
def test_wrong_inputs_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_why_the_stride_must_divide_the_length():
    """With M = ceil(D / S), [I_M ... I_M] has S M > D columns: Eq. (1) has no meaning there, and no repair agrees."""
    size, stride = 10, 4
    kept = math.ceil(size / stride)
    assert kept * stride != size
    x = random_prefilter(size)
    spectrum = torch.fft.fft(x, norm="ortho")
    entries = [sum(spectrum[(k * kept + t) % size] for k in range(stride)) / stride**0.5 for t in range(kept)]
    actual = torch.fft.fft(x[::stride], norm="ortho")
    assert not torch.allclose(torch.stack(entries), actual, atol=0.05)
