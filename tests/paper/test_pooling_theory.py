"""02_pooling_theory: what its checks compute, which claims they decide, and that its figures show what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from anisotropy.experiments import pooling_measures
from anisotropy.paper import claims, pooling_figures, pooling_theory
from anisotropy.paper.pooling_theory import NOISES, RATES, ThreeWays
from anisotropy.results import record
from anisotropy.theory import pooling


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A store and a record that hold nothing."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(record, "folder", lambda: tmp_path / "results")
    return str(tmp_path / "store")


def test_folding_equals_pixel_space():
    assert pooling_theory.folding_error(seed=3) < 1e-12


def test_cases_have_both_phases_but_for_0_and_half_of_the_length():
    assert pooling_measures.cases(6) == [(0, "cos"), (1, "cos"), (1, "sin"), (2, "cos"), (2, "sin"), (3, "cos")]


def test_simulated_samples_lie_on_the_closed_form_and_a_wrong_one_is_seen(nowhere):
    found = pooling_measures.hits("average", length=128, stride=4, samples=400, epsilon=1.0, sigma=3.0, store=nowhere)[
        "hits"
    ]
    way = pooling_theory.three_ways("average", 4, found, 400)
    assert way.apart < 1e-9
    assert way.off < pooling_theory.chance([way])
    other = pooling_theory.three_ways("binomial", 4, found, 400)  # the samples of another prefilter
    assert other.off > 2 * pooling_theory.chance([other])
    with pytest.raises(ValueError, match="a prefilter out of average, binomial"):
        pooling_measures.hits("mean", length=128, stride=4, samples=4, epsilon=1.0, sigma=3.0, store=nowhere)


def test_chance_grows_with_the_number_of_cases():
    few, many = (pooling_theory.chance([ThreeWays(0, 0, n)]) for n in (10, 1000))
    assert 3 < few < many < 5


def test_readings_of_the_printed_theorem():
    """For real signals it is exact at S = 2; the reading without its factors is exact at every stride."""
    assert pooling_theory.printed_gap(2, "literal") < 1e-12
    assert pooling_theory.printed_gap(4, "literal") > 0.05
    assert pooling_theory.printed_gap(8, "real") < 1e-12


def test_curvature_is_that_of_our_formula(nowhere):
    for block in ("hessian_phi", "hessian_theta"):
        found = pooling_measures.curvature(block, length=16, stride=4, draws=4000, frequency=3, store=nowhere)
        assert found["ratio"][0] == pytest.approx(1, abs=5 * found["ratio"][1])
        assert np.abs(np.array(found["simulated"]) - 1).max() < 6 * max(found["error"])
    assert len(found["entry"]) == 4
    with pytest.raises(ValueError, match="a block out of"):
        pooling_measures.curvature("hessian", length=16, stride=4, draws=4, frequency=3, store=nowhere)


@pytest.fixture
def learnt(nowhere):
    how = {"length": 128, "stride": 4, "steps": 600, "store": nowhere}
    return {
        (rate, noise): pooling_theory.steps(
            [pooling_measures.learnt(sigma=noise, learning_rate=rate, seed=s, **how) for s in range(2)]
        )
        for rate in RATES
        for noise in NOISES
    }


def test_steps_fall_with_zeta_as_one_over_m_whatever_the_noise(learnt, nowhere):
    first = learnt[RATES[0], NOISES[0]]
    assert first.shape == (2, 128)
    assert bool(np.isinf(first[:, 32]).all())  # a zero of the prefilter
    assert pooling_theory.with_zeta(first).max() < -0.85
    assert pooling_theory.power_of_m(first) == pytest.approx(-1, abs=0.4)
    for rate in RATES:
        alike = pooling_theory.of_both_noises(*(learnt[rate, noise] for noise in NOISES))
        assert alike == pytest.approx([1, 1], abs=0.15)
    assert pooling_theory.of_both_noises(first, 2 * first) == pytest.approx([2, 2])
    curve = pooling_measures.learnt(
        length=128, stride=4, sigma=0.5, learning_rate=0.02, steps=50, shown=[0, 12], store=nowhere
    )
    assert len(curve["risk"]) == 2
    assert curve["at"][-1] == 50
    assert curve["steps"][40] == pooling_measures.NEVER
    wild = {"length": 128, "stride": 4, "sigma": 0.5, "learning_rate": 0.8, "seed": 8, "store": nowhere}
    assert pooling_measures.learnt(**wild) == {"diverged": 1, "steps": [pooling_measures.NEVER] * 128}
    with pytest.raises(FloatingPointError, match="diverged"):
        pooling_measures.learnt(**wild, shown=[0])


def verdicts(found):
    return {claim.statement: claim.verdict for claim in found}


def test_claims_on_formulas_follow_the_numbers():
    ways = [ThreeWays(1e-12, 3.0, 128)]
    curves = {"hessian_phi": {"ratio": [1.0, 0.001]}, "hessian_theta": {"ratio": [1.2, 0.001]}}
    found = verdicts(pooling_theory.verdicts(1e-14, ways, {2: 0.0, 4: 0.08}, curves))
    fails = {text for text, verdict in found.items() if verdict == claims.FAILS}
    assert fails == {"printed formula exact at S = 4", "Hessian in phi, simulated / printed",
                     "Hessian in theta, simulated / ours"}  # fmt: skip
    found = verdicts(pooling_theory.verdicts(1e-3, [ThreeWays(1e-3, 9.0, 128)], {2: 0.1}, curves))
    assert [found[text] for text in list(found)[:4]] == [claims.FAILS] * 4


def test_claims_on_training_follow_the_numbers():
    steps = 10 / np.maximum(pooling_theory.response(), 1e-3)
    found = {(rate, noise): np.stack([steps, 1.001 * steps]) for rate in RATES for noise in NOISES}
    assert set(verdicts(pooling_theory.training_verdicts(found)).values()) == {claims.HOLDS}
    found[RATES[1], NOISES[1]] = 3 * found[RATES[1], NOISES[1]]
    found[RATES[0], NOISES[0]] = found[RATES[0], NOISES[0]][:, ::-1] ** -1
    assert list(verdicts(pooling_theory.training_verdicts(found)).values())[::2] == [claims.FAILS, claims.FAILS]


def test_claims_on_anti_aliasing_follow_the_numbers():
    bound = {"average": np.array([0.9, 0.8]), "blur": np.array([0.95, 0.7])}
    measured = {kind: values[:, None] - np.array([0.01, 0.02]) for kind, values in bound.items()}
    waits = {"average": np.array([[10.0, 12.0]]), "blur": np.array([[20.0, 25.0]])}
    accuracy = {"average": np.array([[0.8, 0.81]]), "blur": np.array([[0.7, 0.72]])}
    found = verdicts(pooling_theory.practice_verdicts(bound, measured, waits, accuracy))
    assert set(found.values()) == {claims.HOLDS}
    found = verdicts(pooling_theory.practice_verdicts(bound, measured, waits | {"blur": waits["average"] / 2}, {}))
    assert found["LeNet: log ratio of steps, blur to average"] == claims.FAILS
    assert found["LeNet: accuracy, blur minus average"] == claims.UNDECIDED
    assert pooling_theory.slower(waits) == pytest.approx(np.log([[2, 25 / 12]]))


def test_the_bound_is_that_of_two_poolings_in_a_row():
    at = pooling_theory.bounds([2, 7])
    (taps,) = [t for kind, t in pooling_theory.two_stages().items() if kind == "average"]
    assert at["average"][1] == pytest.approx(pooling.bayes_accuracy(taps, 4, (0, 7), epsilon=1.0, sigma=3.0))
    assert pooling_theory.gains()["average"][0] == pytest.approx(1)
    assert pooling_theory.until_small(1000).loss_threshold > pooling_theory.until_small(10_000).loss_threshold


def test_figures_show_what_they_are_given():
    closed = np.linspace(1, 0.5, 65)
    figure = pooling_figures.theorem1([50] * 65, 100, closed, closed + 0.01, {16: 0.7})
    (ax,) = figure.axes
    assert ax.lines[-2].get_ydata() == pytest.approx([0.7])
    assert ax.containers[0].lines[0].get_ydata() == pytest.approx([0.5] * 65)
    figure = pooling_figures.prefilters({2: {"average": closed, "none": closed / 2}})
    assert [line.get_label() for line in figure.axes[0].lines] == ["average", "none"]
    block = {"entry": [0, 1], "simulated": [1.0, 1.1], "error": [0.1, 0.1]}
    left, right = pooling_figures.lemma1({"hessian_phi": block, "hessian_theta": block}, 1).axes
    assert left.containers[0].lines[0].get_ydata() == pytest.approx([0.25, 0.275])  # over the printed formula
    assert right.containers[0].lines[0].get_ydata() == pytest.approx([1, 1.1])
    steps = {(rate, noise): np.full((2, 128), rate) for rate in RATES for noise in NOISES}
    left, right = pooling_figures.learning({"at": [0, 1], "risk": [[1, 0.5]]}, [0], steps).axes
    assert left.lines[0].get_ydata() == pytest.approx([1, 0.5])
    assert len(right.lines) == 5
    gammas = pooling_theory.gammas()
    left, right = pooling_figures.two_mechanisms(gammas, pooling_theory.gains()).axes
    assert right.lines[0].get_ydata()[0] == pytest.approx(1)
    bound = {kind: np.array([0.9]) for kind in pooling_theory.KINDS}
    (ax,) = pooling_figures.bound_and_trained(bound, {kind: np.array([[0.8, 0.7]]) for kind in bound}, [2]).axes
    assert ax.lines[0].get_ydata() == pytest.approx([0.8, 0.7])
    waits = {kind: np.array([[10.0, 30.0]]) for kind in bound}
    (ax,) = pooling_figures.waits(waits, [2], pooling_theory.gains(), 0.1).axes
    assert ax.lines[1].get_ydata() == pytest.approx([20])
    assert torch.is_tensor(pooling_theory.shapes(4)["ideal"])
