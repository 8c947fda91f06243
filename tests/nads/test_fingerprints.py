"""Kinds of frequencies cover the basis once; known covariances have known marks."""

import numpy as np
import pytest
import torch
from anisotropy.directions import fourier
from anisotropy.nads import fingerprints

BASIS = fourier(16, 16)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_every_direction_is_of_one_kind(period):
    masks = fingerprints.kinds(BASIS, period)
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    assert masks["constant"].sum() == 1
    assert masks["lattice"].sum() == period**2 - 1


def test_a_subsampler_answers_on_its_lattice():
    """f reads the sum of every fourth pixel: one direction, whose energy lies on the lattice and at 0 alone."""
    comb = torch.zeros(16, 16, dtype=torch.float64)
    comb[::4, ::4] = 1
    energies = (BASIS.vectors.flatten(1) @ comb.flatten()) ** 2
    found = fingerprints.fingerprint(energies, BASIS, 4)
    # cosines of conjugate pairs carry twice what a self-conjugate frequency does, and their sines nothing
    assert found.constant == pytest.approx(16)
    assert found.lattice == pytest.approx(16)
    assert found.axes + found.low + found.elsewhere == pytest.approx(0, abs=1e-20)
    wrong = fingerprints.fingerprint(energies, BASIS, 2)
    assert wrong.elsewhere > 0.5  # with another period part of the lattice counts as elsewhere


def test_stripes_along_a_border_lie_on_the_axes():
    stripe = torch.zeros(16, 16, dtype=torch.float64)
    stripe[:, 0] = 1
    energies = (BASIS.vectors.flatten(1) @ stripe.flatten()) ** 2
    found = fingerprints.fingerprint(energies, BASIS, 2)
    assert found.axes > 5
    assert found.low + found.elsewhere == pytest.approx(0, abs=1e-20)


def test_without_preference_all_are_one():
    energies = np.ones(256)
    energies[5] = np.nan  # not known
    assert set(vars(fingerprints.fingerprint(energies, BASIS, 4)).values()) == {1.0}
    assert fingerprints.half(torch.ones(10)) == 5
    assert fingerprints.edge(torch.eye(64), (8, 8)) == 1


def test_edge_and_half_of_known_spectra():
    heard = torch.ones(4, 4)
    heard[1:-1, 1:-1] = 3  # 4 of 16 pixels: mean 1.5
    assert fingerprints.edge(torch.diag(heard.flatten()), (4, 4)) == pytest.approx(1 / 1.5)
    assert fingerprints.half(torch.tensor([5.0, 3.0, 1.0, 1.0])) == 1
    assert fingerprints.half(torch.tensor([4.0, 3.0, 2.0, 1.0])) == 2


def test_a_period_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="side 3 divides"):
        fingerprints.kinds(BASIS, 3)
