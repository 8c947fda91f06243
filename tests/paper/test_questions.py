"""What 07_your_architecture asks: the measure of "training follows", and what is refused at once."""

import numpy as np
import pytest
import torch
from anisotropy import directions
from anisotropy.paper import claims, questions


def test_order_is_that_of_pairs_whose_accuracies_differ():
    energy, accuracy = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.9, 0.95, 0.5, 0.52])
    assert questions.in_order(energy, accuracy) == 1  # two pairs are too close to count
    assert questions.in_order(-energy, accuracy) == 0
    assert questions.in_order(energy, accuracy, gap=0.01) == pytest.approx(4 / 6)
    assert np.isnan(questions.in_order(energy, np.full(4, 0.5)))


def test_by_chance_half_of_the_pairs_are_in_order():
    random = np.random.default_rng(0)
    found = [questions.in_order(random.random(12), random.random(12)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)


def test_a_map_of_some_frequencies():
    basis = directions.fourier(8, 8)
    rows = basis.subgrid(1)
    values = np.ones(len(rows))
    values[list(rows).index(basis.index(2, 3))] = 5
    found = questions.over_frequencies(basis, rows, values)
    assert np.isclose(found, found.max()).sum() == 2
    assert found[4 + 2, 4 + 3] == found[4 - 2, 4 - 3] == pytest.approx(5 / values.mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": []}, "at least one network"),
        ({"networks": ["lenet", "lenet"]}, "none twice"),
        ({"axis": [0, 9]}, "from 0 to 8 for images of size=16, got axis"),
        ({"indices": [256]}, "from 0 to 255"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        questions.fitting(**({"networks": ["lenet"], "size": 16, "axis": [0, 8], "indices": [0, 255]} | change))


def test_images_of_another_size_are_refused():
    images, labels = torch.randn(60, 1, 8, 8), torch.arange(60) % 3
    questions.pictures_fit(images, labels, 8)
    with pytest.raises(ValueError, match="expected images of 16 x 16"):
        questions.pictures_fit(images, labels, 16)


@pytest.mark.parametrize(
    ("common", "anisotropy", "follows", "expected"),
    [
        (0.9, 5.0, [0.9, 0.95, 1.0], ["holds", "holds", "holds"]),
        (0.9, 5.0, [0.1, 0.2, 0.1], ["holds", "fails", "holds"]),
        (0.1, 5.0, [0.9, 0.9, 0.9], [claims.UNDECIDED] * 3),
        (0.1, 1.0, [0.9, 0.9, 0.9], ["fails", claims.UNDECIDED, claims.UNDECIDED]),
        (0.9, 5.0, [0.9, np.nan, 0.9], ["holds", claims.UNDECIDED, "holds"]),
    ],
)
def test_verdicts_of_one_network(common, anisotropy, follows, expected):
    found = questions.verdicts("mine", common, anisotropy, np.array(follows), [10.0, 11.0], "digits")
    assert [claim.verdict for claim in found] == expected
