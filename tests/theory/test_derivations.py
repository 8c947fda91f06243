"""The algebra behind the closed forms of Sec. 2 and 3, carried by sympy with symbols instead of numbers."""

from functools import reduce

import pytest
import sympy as sp
from anisotropy.theory import dipole_bounds


def expectation(expression, variances):
    """E of a polynomial in independent zero-mean Gaussians; variances: symbol -> variance."""
    symbols = list(variances)
    total = 0
    for powers, coefficient in sp.Poly(sp.expand(expression), *symbols).terms():
        moments = [
            0 if k % 2 else sp.factorial2(k - 1) * variances[s] ** (k // 2) if k else 1
            for s, k in zip(symbols, powers, strict=True)
        ]
        total += coefficient * reduce(sp.Mul, moments, 1)
    return sp.simplify(total)


D, S = 6, 3
M = D // S
M_SYMBOLS = sp.symbols(f"m:{D}", real=True)
THETA, PHI, W = (sp.symbols(f"{name}:{size}", real=True) for name, size in (("theta", M), ("phi", D), ("w", D)))
EPS, SIGMA, ST, SP = sp.symbols("epsilon sigma sigma_theta sigma_phi", positive=True)
ELL = 4
A = sp.Matrix(M, D, lambda t, d: sp.sqrt(sp.Rational(1, S)) if d % M == t else 0)


@pytest.fixture(scope="module")
def model():
    """Symbols of the deep linear model at l = 4 of D = 6, S = 3: output, loss at y = +1 and -1, variances."""
    x = {y: [y * EPS * int(d == ELL) + W[d] for d in range(D)] for y in (1, -1)}

    def f(x):
        return (sp.Matrix([THETA]) * A * sp.Matrix([M_SYMBOLS[d] * PHI[d] * x[d] for d in range(D)]))[0]

    loss = {y: (y - f(x[y])) ** 2 for y in x}
    variances = {**dict.fromkeys(THETA, ST**2), **dict.fromkeys(PHI, SP**2), **dict.fromkeys(W, SIGMA**2)}
    return f, loss, variances


def average_second_derivative(model, a, b):
    _, loss, variances = model
    return sum(expectation(sp.diff(loss[y], a, b), variances) for y in loss) / 2


def test_lemma_1_has_one_over_s_in_both_terms(model):
    for d in range(D):
        derived = 2 * ST**2 / S * M_SYMBOLS[d] ** 2 * (SIGMA**2 + EPS**2 * int(d == ELL))
        assert sp.simplify(average_second_derivative(model, PHI[d], PHI[d]) - derived) == 0
    printed = 2 * ST**2 * M_SYMBOLS[0] ** 2 * SIGMA**2
    assert sp.simplify(average_second_derivative(model, PHI[0], PHI[0]) / printed) == sp.Rational(1, S)
    assert average_second_derivative(model, PHI[0], PHI[M]) == 0  # an alias of 0
    assert average_second_derivative(model, PHI[ELL], PHI[0]) == 0


def test_hessian_in_theta_collects_the_aliases(model):
    for t in range(M):
        noise = SIGMA**2 * sum(M_SYMBOLS[d] ** 2 for d in range(D) if d % M == t)
        derived = 2 * SP**2 / S * (noise + EPS**2 * M_SYMBOLS[ELL] ** 2 * int(t == ELL % M))
        assert sp.simplify(average_second_derivative(model, THETA[t], THETA[t]) - derived) == 0
    assert average_second_derivative(model, THETA[0], THETA[1]) == 0


def test_the_mixed_hessian_has_one_entry(model):
    for t in range(M):
        for d in range(D):
            expected = -2 * EPS * M_SYMBOLS[ELL] / sp.sqrt(S) if (t, d) == (ELL % M, ELL) else 0
            assert sp.simplify(average_second_derivative(model, THETA[t], PHI[d]) - expected) == 0


def test_equation_4_has_one_over_s(model):
    f, _, variances = model
    x = sp.symbols(f"x:{D}", real=True)
    slope = [sp.diff(f(x), x[d]) for d in range(D)]
    for a in range(D):
        for b in range(D):
            expected = ST**2 * SP**2 / S * M_SYMBOLS[a] ** 2 if a == b else 0
            assert sp.simplify(expectation(slope[a] * slope[b], variances) - expected) == 0


def test_equation_5_has_one_over_s_in_both_terms(model):
    f, _, variances = model
    x = sp.symbols(f"x:{D}", real=True)
    h = sp.Matrix([[sp.diff(f(x), p, x[d]) for d in range(D)] for p in (*THETA, *PHI)])
    gram = h.T * h
    for a in range(D):
        for b in range(D):
            expected = (ST**2 + SP**2) / S * M_SYMBOLS[a] ** 2 if a == b else 0
            assert sp.simplify(expectation(gram[a, b], variances) - expected) == 0


def test_equation_1_folds_the_spectrum_with_unitary_transforms():
    size, stride = 6, 2
    signal, taps = sp.symbols(f"x:{size}"), sp.symbols(f"h:{size}")

    def dft(values, unitary):
        n = len(values)
        root = sp.exp(-2 * sp.pi * sp.I / n)
        scale = sp.sqrt(n) if unitary else 1
        return [sum(v * root ** (k * i) for i, v in enumerate(values)) / scale for k in range(n)]

    pooled = [sum(taps[(stride * t - n) % size] * signal[n] for n in range(size)) for t in range(size // stride)]
    product = [a * b for a, b in zip(dft(taps, False), dft(signal, True), strict=True)]
    for t, value in enumerate(dft(pooled, True)):
        folded = sum(product[k * (size // stride) + t] for k in range(stride)) / sp.sqrt(stride)
        assert sp.expand(sp.expand_complex(value - folded)) == 0


@pytest.mark.parametrize("phase", ["cos", "sin"])
def test_theorem_1_generic_frequency_of_a_real_signal(phase):
    """D = 6, S = 2, M = 3, l = 1: |P v|^2 / (eigenvalue - |P v|^2) = |m_1|^2 / |m_4|^2, for every real prefilter."""
    size, stride, frequency = 6, 2, 1
    taps = sp.symbols(f"h:{size}", real=True)
    wave = {"cos": sp.cos, "sin": sp.sin}[phase]
    v = sp.Matrix([wave(2 * sp.pi * frequency * n / size) for n in range(size)]) / sp.sqrt(sp.Integer(size) / 2)
    pooling = sp.Matrix(size // stride, size, lambda t, n: taps[(stride * t - n) % size])
    energy = [
        sum(h * sp.cos(2 * sp.pi * k * n / size) for n, h in enumerate(taps)) ** 2
        + sum(h * sp.sin(2 * sp.pi * k * n / size) for n, h in enumerate(taps)) ** 2
        for k in range(size)
    ]
    mean = (pooling * v).expand()
    eigenvalue = (energy[1] + energy[4]) / stride
    assert (pooling * pooling.T * mean - eigenvalue * mean).expand() == sp.zeros(size // stride, 1)
    assert sp.expand((mean.T * mean)[0] - energy[1] / stride) == 0


@pytest.mark.parametrize("phase", ["cos", "sin"])
def test_theorem_1_self_aliased_frequency(phase):
    """D = 8, S = 4, M = 2, l = 1: l and -l fold onto one bin; Re or Im of the response survives, twice."""
    size, stride, frequency = 8, 4, 1
    taps = sp.symbols(f"h:{size}", real=True)
    wave = {"cos": sp.cos, "sin": sp.sin}[phase]
    v = sp.Matrix([wave(2 * sp.pi * frequency * n / size) for n in range(size)]) / sp.sqrt(sp.Integer(size) / 2)
    pooling = sp.Matrix(size // stride, size, lambda t, n: taps[(stride * t - n) % size])
    part = sum(h * wave(2 * sp.pi * n / size) for n, h in enumerate(taps))  # Re m_1 or -Im m_1
    mean = (pooling * v).expand()
    assert sp.expand((mean.T * mean)[0] - 2 * part**2 / stride) == 0


def test_lemma_2_threshold_is_three_over_two_root_pi():
    r, u = sp.symbols("r u", positive=True)
    density = r * sp.exp(-(r**2) / 2) / (2 * sp.pi)  # two standard normals in polar coordinates
    angle = 4 * sp.integrate(sp.cos(u) * sp.sin(u), (u, 0, sp.pi / 2))  # |cos sin| over the four quadrants
    left = sp.integrate(r**3 * density, (r, 0, sp.oo)) * angle  # E |theta phi| sqrt(theta^2 + phi^2)
    threshold = sp.simplify(left / sp.sqrt(2))
    assert sp.simplify(threshold - 3 / (2 * sp.sqrt(sp.pi))) == 0
    assert dipole_bounds.smallest_valid_alpha() == pytest.approx(float(threshold), abs=1e-12)
