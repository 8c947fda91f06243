"""06_flipping: what its measures compute, which claims they decide, and that its figures show what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from anisotropy.images.class_energy import Alignment
from anisotropy.nads import Nads
from anisotropy.paper import claims, flip_figures, flipping, image_studies, plotting


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def table(accuracies, train=0.99, seeds=3):
    """Accuracies of conditions, the same for every seed but for a shift of a hundredth of a point each."""
    shift = 1e-4 * np.arange(seeds)
    test = np.array(list(accuracies.values()))[:, None] + shift
    columns = {"test_accuracy": (("arm", "seed"), test), "train_accuracy": (("arm", "seed"), 0 * test + train)}
    return xr.Dataset(columns, coords={"arm": list(accuracies), "seed": range(seeds)})


FEW = {"original": 0.7, flipping.FLIPPED: 0.4, flipping.SIGNS: 0.55, flipping.ROTATED: 0.45}
FOUND = table(FEW)
ROWS = torch.eye(1024).view(-1, 1, 32, 32)


def plan(name, images):
    return image_studies.plans(images, [name], [1.0], [100], [1], [0.1])[name]


def test_conditions_keep_lengths_and_the_few_are_those_of_the_claims():
    found = flipping.conditions(ROWS, 1, every=True)
    assert list(found) == list(flip_figures.SHADES)
    assert list(flipping.conditions(ROWS, 1, every=False)) == list(FEW)
    scene = flip_figures.scene()
    for name, arm in found.items():
        if arm.normalised:
            assert float(arm.normalised(scene).norm()) == pytest.approx(float(scene.norm()), rel=1e-4), name
    assert torch.equal(found[flipping.FLIPPED].normalised(scene), scene.flip(2, 3))  # pixels in reverse
    assert torch.equal(found[flipping.SIGNS].normalised(scene).abs(), scene.abs())


def test_draws_differ_in_signs_and_rotation_but_not_in_the_flip():
    one, other = (flipping.conditions(ROWS, draw, every=False) for draw in (0, 1))
    scene = flip_figures.scene()
    same = {name: torch.equal(one[name].normalised(scene), other[name].normalised(scene)) for name in list(FEW)[1:]}
    assert same == {flipping.FLIPPED: True, flipping.SIGNS: False, flipping.ROTATED: False}


def test_losses_are_paired_by_seed():
    found = flipping.lost(FOUND)
    assert list(found) == list(FEW)[1:]
    assert found[flipping.FLIPPED] == pytest.approx([0.3] * 3)


@pytest.fixture
def data():
    """Classes that differ in the first pixel alone, with noise everywhere."""
    labels = torch.arange(400) % 10
    images = 0.1 * torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[:, 0, 0, 0] += labels
    return images, labels


def test_flipping_moves_the_energy_from_the_first_to_the_last(data):
    rows = torch.eye(64).view(-1, 1, 8, 8)
    before, after = flipping.alignment(*data, rows)
    assert before.leading(1) > 0.99
    assert after.leading(63) < 0.01
    assert flipping.told(before, (1, 64)) == ["1.0", "1.0"]
    cumulated = flipping.cumulated(after)
    assert cumulated[-1] == pytest.approx(1)
    assert abs(cumulated[62]) < 0.01


def test_signs_keep_the_score_and_flipping_does_not():
    labels = torch.arange(200) % 10
    images = 0.1 * torch.randn(200, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    images[:, 0, 0, 0] += labels
    basis = Nads(torch.linspace(2, 0, 1024).double(), ROWS, 10)
    found = flipping.scores(flipping.conditions(ROWS, 0, every=True), images, labels, basis)
    assert flipping.PIXELS not in found
    assert found["original"] == pytest.approx(2, abs=0.05)
    assert found[flipping.SIGNS] == pytest.approx(found["original"], rel=1e-6)
    assert found[flipping.FLIPPED] == pytest.approx(0, abs=0.05)
    assert found[flipping.ROTATED] == pytest.approx(1, abs=0.2)


def test_a_loss_beyond_that_of_the_controls_holds():
    found = list(flipping.verdicts(plan("lenet", "cifar10"), FOUND, "cifar10"))
    assert [claim.verdict for claim in found] == [claims.HOLDS] * 5
    assert [claim.measured for claim in found] == pytest.approx([0.3, 0.01, 0.01, 0.05, 0.15])


def test_no_loss_contradicts_the_paper():
    flat = table(dict.fromkeys(FEW, 0.7) | {flipping.SIGNS: 0.6, flipping.ROTATED: 0.6}, train=0.8)
    found = list(flipping.verdicts(plan("lenet", "cifar10"), flat, "cifar10"))
    assert [claim.verdict for claim in found] == [claims.FAILS] * 5


@pytest.mark.parametrize(("images", "digits"), [("digits", 1), ("cifar10", 3)])
def test_logistic_regression_must_not_care(images, digits):
    (same,) = flipping.verdicts(plan("logreg", images), table(dict.fromkeys(FEW, 0.4)), images)
    (cares,) = flipping.verdicts(plan("logreg", images), FOUND, images)
    assert (same.verdict, cares.verdict, same.digits) == (claims.HOLDS, claims.FAILS, digits)


def test_digits_decide_nothing_about_other_networks():
    (claim,) = flipping.verdicts(plan("lenet", "digits"), FOUND, "digits")
    assert claim.verdict == claims.UNDECIDED


def energies(first):
    """Alignment with this share of the energy in the first of two directions, in two parts of the data."""
    energy = np.array([first, 1 - first])
    return Alignment(energy, energy, np.array([energy, energy + np.array([0.001, -0.001])]))


def test_energy_must_lie_in_the_leading_nads():
    measured = {"logreg": (energies(0.5), energies(0.5)), "lenet": (energies(0.9), energies(0.1))}
    (claim,) = flipping.aligned(measured, "cifar10", 100, k=1)
    assert (claim.verdict, claim.n) == (claims.HOLDS, 100)
    assert claim.measured == pytest.approx(0.8)
    assert claim.spread == pytest.approx(np.hypot(0.0005, 0.0005))
    (other,) = flipping.aligned({"lenet": measured["lenet"][::-1]}, "cifar10", 100, k=1)
    assert other.verdict == claims.FAILS
    (left,) = flipping.aligned(measured, "digits", 100, k=1)
    assert left.verdict == claims.UNDECIDED


def test_panels_are_the_scene_moved():
    found = flip_figures.moved({"logreg": flipping.conditions(ROWS, 0, every=False),
                                "lenet": flipping.conditions(ROWS, 0, every=False)})  # fmt: skip
    assert list(found) == ["a picture", "flipped,\nLeNet", "signs,\nLeNet", "flipped,\nFourier", "rotated"]
    assert torch.equal(found["flipped,\nLeNet"], found["a picture"].flip(2, 3))
    figure = flip_figures.pictures(found)
    assert len(figure.axes) == 5
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert shown == pytest.approx(np.asarray(figure.axes[0].images[0].get_array())[::-1, ::-1])


def test_bars_have_their_heights_and_no_bar_stands_for_what_was_not_trained():
    more = table(FEW | {"NADs permuted": 0.3})
    left, right = flip_figures.accuracy({"lenet": more, "resnet18": FOUND}).axes
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in left.containers if len(bars)
               and hasattr(bars[0], "get_height")}  # fmt: skip
    assert heights[flipping.FLIPPED] == pytest.approx([40.01, 40.01])
    assert heights["NADs permuted"] == pytest.approx([30.01])
    assert "Fourier flipped" not in heights
    assert right.get_ylabel() == "train accuracy in %"
    assert flipping.numbers({"lenet": FOUND})["lenet, random signs, train"] == pytest.approx([0.99] * 3)


def test_lines_and_marks_are_the_measures():
    (ax,) = flip_figures.alignment({"lenet": (energies(0.9), energies(0.1))}).axes
    assert ax.lines[0].get_ydata() == pytest.approx([90, 100])
    assert ax.lines[1].get_ydata() == pytest.approx([10, 100])
    (ax,) = flip_figures.scores({"lenet": {"original": 5.0, flipping.SIGNS: 5.0}}, {"lenet": FOUND}).axes
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[:2]]
    assert np.array(marks) == pytest.approx(np.array([[5, 70.01], [5, 55.01]]))
    assert ax.lines[0].get_color() == plotting.COLOURS["lenet"]
