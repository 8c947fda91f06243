"""Measured numbers, their intervals, and bounds."""

import numpy as np
import pytest
from anisotropy.paper import evidence
from anisotropy.paper.evidence import Bound, Missing
from scipy import stats


def test_students_interval_and_its_p_value_are_scipys():
    values = np.array([1.0, 2.5, 2.0, 3.1])
    found = evidence.student(values)
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2), rel=1e-12
    )
    assert found.tail(1.5) == pytest.approx(stats.ttest_1samp(values, 1.5).pvalue)
    with pytest.raises(Missing):
        evidence.student([1.0])


def test_three_equal_seeds_have_an_interval():
    found = evidence.student([0.5, 0.5, 0.5])
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("true", [0.7, 0.9])
def test_the_interval_of_an_area_covers_the_true_one(true):
    """Drawn from the binormal model, 40 cases each, in at least 90 of 100 samples; perfect ones keep a width."""
    generator = np.random.default_rng(1)
    shift = np.sqrt(2) * stats.norm.ppf(true)
    inside = 0
    for _ in range(100):
        positive = np.arange(40) < 15
        scores = generator.standard_normal(40) + shift * positive
        found = evidence.roc(scores, positive, draws=200)
        inside += found.low <= true <= found.high
    assert inside >= 90
    perfect = evidence.roc(np.arange(20.0), np.arange(20) >= 12)
    assert perfect.value == perfect.high == 1
    assert 0.8 < perfect.low < 1
    assert perfect.tail(0.5) < 0.01


def test_area_counts_pairs():
    scores, positive = [1.0, 2.0, 2.0, 3.0], [False, True, False, True]
    assert evidence.roc_area(scores, positive) == (1 + 0.5 + 1 + 1) / 4
    with pytest.raises(Missing):
        evidence.roc_area([1, 2], [True, True])


def test_bounds_hold_for_whole_intervals():
    assert Bound.read("<= 5").holds_all(1, 5)
    assert not Bound.read("<= 5").holds_all(1, 5.1)
    assert Bound.read(">= -0.5").holds_all(-0.5, 9)
    assert Bound.read("outside 1 to 2").holds_all(2.1, 3)
    assert not Bound.read("outside 1 to 2").holds_all(0.5, 3)  # both sides, and what lies between
    assert Bound.read("-2 to 2").edges == [-2, 2]
    with pytest.raises(ValueError, match="expected a bound"):
        Bound.read("at least 5")
