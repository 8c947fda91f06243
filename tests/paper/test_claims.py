"""Verdicts: what the noise cannot carry is not claimed."""

import math

import numpy as np
import pytest
from anisotropy.paper import claims
from anisotropy.paper.claims import FAILS, HOLDS, UNDECIDED


@pytest.mark.parametrize(
    ("measured", "spread", "verdict"),
    [
        (0.95, 0.0, HOLDS),
        (0.93, 0.0, HOLDS),
        (0.92, 0.0, FAILS),
        (0.95, 0.009, HOLDS),
        (0.95, 0.011, UNDECIDED),
        (0.91, 0.011, UNDECIDED),
        (0.90, 0.014, FAILS),
        (math.nan, 0.0, FAILS),
    ],
)
def test_at_least_and_its_mirror_image(measured, spread, verdict):
    assert claims.at_least("s", "r", measured, 0.93, spread=spread).verdict == verdict
    assert claims.at_most("s", "r", -measured, -0.93, spread=spread).verdict == verdict


@pytest.mark.parametrize(
    ("measured", "spread", "verdict"),
    [
        (1.05, 0, HOLDS),
        (0.95, 0, HOLDS),
        (1.2, 0, FAILS),
        (1.05, 0.03, UNDECIDED),
        (1.2, 0.04, FAILS),
        (1.2, 0.06, UNDECIDED),
    ],
)
def test_within(measured, spread, verdict):
    assert claims.within("s", "r", measured, 1.0, 0.1, spread=spread).verdict == verdict


@pytest.mark.parametrize("n", [2, 3, 25])
def test_a_mean_that_equals_the_bound_is_decided_in_one_of_twenty_repetitions(n):
    """For two seeds as for many: with 2 standard errors instead of Student's t, it would be 30 % for two."""
    draws = np.random.default_rng(0).normal(size=(6000, n))
    found = [claims.at_least("s", "r", row.mean(), 0.0, **claims.over(row)).verdict for row in draws]
    assert 1 - found.count(UNDECIDED) / len(found) == pytest.approx(0.05, abs=0.01)
    within = [claims.within("s", "r", row.mean(), 1.0, 1.0, **claims.over(row)).verdict for row in draws]
    assert 1 - within.count(UNDECIDED) / len(within) == pytest.approx(0.05, abs=0.01)


def test_a_false_claim_is_found():
    draws = np.random.default_rng(0).normal(size=(4000, 25))
    found = [claims.at_least("s", "r", row.mean(), 1.0, **claims.over(row)).verdict for row in draws]
    assert found.count(HOLDS) == 0
    assert found.count(FAILS) > 0.97 * len(found)


def test_the_spread_of_one_measurement_is_not_known():
    assert claims.over([0.3]) == {"spread": 0.0, "n": 1}
    assert claims.at_least("s", "r", 0.3, 0.1, **claims.over([0.3])).verdict == UNDECIDED
    assert claims.at_least("s", "r", 0.3, 0.1, n=1).why == "one measurement does not tell its spread"
    with pytest.raises(ValueError, match="expected measurements"):
        claims.over([])
    with pytest.raises(ValueError, match="expected measurements"):
        claims.over(np.ones((2, 2)))


def test_a_mean_carries_its_spread_into_a_claim():
    values = np.array([0.2, 0.3, 0.7])
    by_hand = claims.at_least("s", "r", values.mean(), 0.1, **claims.over(values))
    assert claims.at_least("s", "r", bound=0.1, **claims.mean(values)) == by_hand
    assert claims.at_most("s", "r", bound=0.1, **claims.mean([0.3])).verdict == UNDECIDED
    with pytest.raises(ValueError, match="expected measurements"):
        claims.mean([])


def test_what_rounds_to_many_zeros_is_said_to_be_smaller_than_the_last_of_them():
    assert claims.at_most("a", "b", 3e-16, 1e-12, digits=12).value == "<1e-12"
    assert claims.at_most("a", "b", 0.0003, 1, digits=3).value == "0.000"


def test_numbers_are_rounded_and_never_minus_zero():
    claim = claims.at_least("s", "Fig. 5", -0.001, -1, spread=0.004, n=3)
    assert str(claim) == "holds: s [Fig. 5]: 0.00 ± <0.01 (n = 3), needed ≥ -1.00"


def test_bounds_are_printed_as_they_are():
    assert claims.at_most("s", "r", 0.1, 0.05, digits=1).needed == "≤ 0.05"
    assert claims.at_most("s", "r", 0.1, 1e-12, digits=12).needed == "≤ 1e-12"
    assert claims.at_least("s", "r", 3.0, 92.3345, digits=0).needed == "≥ 92"
    assert claims.within("s", "r", 0.0, 0, 0.05, digits=1).needed == "0.0 ± 0.05"


def test_numpy_numbers_are_accepted_and_bad_ones_refused():
    assert claims.at_least("s", "r", np.float32(0.5), 0).verdict == HOLDS
    with pytest.raises(ValueError, match="expected a finite bound"):
        claims.at_least("s", "r", 0.5, math.nan)
    with pytest.raises(ValueError, match="expected spread >= 0"):
        claims.at_most("s", "r", 0.5, 1, spread=-1)
    with pytest.raises(ValueError, match="expected tolerance >= 0"):
        claims.within("s", "r", 0.5, 1, -1)


def test_table_prints_in_terminal_and_notebook():
    table = claims.Table(
        [
            claims.at_least("overlap of <a> & b", "Fig. 5", 0.97, 0.93, n=50),
            claims.undecided("published map", "Fig. 1", "no folder given"),
        ]
    )
    lines = str(table).splitlines()
    assert lines[0].split() == ["claim", "reference", "measured", "needed", "verdict"]
    assert lines[2].endswith("holds")
    assert "not decided at this size: no folder given" in str(table)
    assert "overlap of &lt;a&gt; &amp; b" in table._repr_html_()
    assert "<a>" not in table._repr_html_()
    assert table.verdicts().splitlines() == [
        "holds: overlap of <a> & b [Fig. 5]: 0.97 (n = 50), needed ≥ 0.93",
        "not decided at this size: published map [Fig. 1]: no folder given",
    ]
    assert [r["verdict"] for r in table.records()] == [HOLDS, UNDECIDED]


def test_table_refuses_nothing_and_the_same_statement_twice():
    with pytest.raises(ValueError, match="at least one claim"):
        claims.Table([])
    with pytest.raises(ValueError, match="got twice: 's'"):
        claims.Table([claims.at_least("s", "r", 1, 0), claims.at_most("s", "r", 1, 0)])


def test_what_a_terminal_would_obey_is_spelt_out():
    claim = claims.undecided("red \x1b[31m", "\x07 Fig. 1", "why \x9b2J")
    for text in (str(claim), str(claims.Table([claim])), claims.Table([claim]).verdicts()):
        assert r"\x1b[31m" in text
        assert r"\x9b2J" in text
        assert not any(c in text for c in "\x1b\x07\x9b")
    assert "±" in str(claims.at_least("kept as it is", "Fig. 1", 1.0, 0.5, spread=0.2, n=2, digits=1))
