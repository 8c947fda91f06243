"""Verdicts: what the noise cannot carry is not claimed."""

import math

import numpy as np
import pytest
from anisotropy import claims
from anisotropy.claims import FAILS, HOLDS, UNDECIDED


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


def test_a_true_claim_rarely_fails_and_a_false_one_rarely_holds():
    """Two standard errors: a mean that equals the bound is called decided in about 5 % of repetitions."""
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(4000, 25))
    means, errors = draws.mean(1), draws.std(1, ddof=1) / 5
    found = [claims.at_least("s", "r", m, 0.0, spread=e).verdict for m, e in zip(means, errors, strict=True)]
    assert 0.03 < 1 - found.count(UNDECIDED) / len(found) < 0.09
    far = [claims.at_least("s", "r", m, 1.0, spread=e).verdict for m, e in zip(means, errors, strict=True)]
    assert far.count(HOLDS) == 0
    assert far.count(FAILS) > 0.98 * len(far)


def test_numbers_are_rounded_and_never_minus_zero():
    claim = claims.at_least("s", "Fig. 5", -0.001, -1, spread=0.004, n=3)
    assert str(claim) == "holds: s [Fig. 5]: 0.00 ± 0.00 (n = 3), needed ≥ -1.00"


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
