"""06_flipping: what its measures compute, which claims they decide, and that its figures show what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from anisotropy.experiments import image_measures
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
PIXELS = Nads(torch.ones(1024).double(), torch.eye(1024).view(-1, 1, 32, 32), 1)


def plan(name, images):
    return image_studies.plans(images, [name], [1.0], [100], [1], [0.1])[name]


def test_losses_are_paired_by_seed():
    found = flipping.lost(FOUND)
    assert list(found) == list(FEW)[1:]
    assert found[flipping.FLIPPED] == pytest.approx([0.3] * 3)


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
    """What `image_measures.aligned` finds where the first of two directions has this share of the energy."""
    error = 4 * [0.0005]
    leading = [3 * [0.0] + [first], 3 * [0.0] + [round(1 - first, 6)]]
    return {"k": [1, 2], "original": [first, 1], "flipped": [1 - first, 1], "leading": leading,
            "leading_error": [error, error]}  # fmt: skip


def test_energy_must_lie_in_the_leading_nads():
    measured = {"logreg": energies(0.5), "lenet": energies(0.9)}
    (claim,) = flipping.aligned(measured, "cifar10", 100)
    assert (claim.verdict, claim.n) == (claims.HOLDS, 100)
    assert claim.measured == pytest.approx(0.8)
    assert claim.spread == pytest.approx(np.hypot(0.0005, 0.0005))
    (other,) = flipping.aligned({"lenet": energies(0.1)}, "cifar10", 100)
    assert other.verdict == claims.FAILS
    (left,) = flipping.aligned(measured, "digits", 100)
    assert left.verdict == claims.UNDECIDED


def test_panels_are_the_scene_moved():
    found = flip_figures.moved({"logreg": image_measures.conditions(PIXELS, 0, every=False),
                                "lenet": image_measures.conditions(PIXELS, 0, every=False)})  # fmt: skip
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
    (ax,) = flip_figures.alignment({"lenet": energies(0.9)}).axes
    assert ax.lines[0].get_ydata() == pytest.approx([90, 100])
    assert ax.lines[1].get_ydata() == pytest.approx([10, 100])
    (ax,) = flip_figures.scores({"lenet": {"original": 5.0, flipping.SIGNS: 5.0}}, {"lenet": FOUND}).axes
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[:2]]
    assert np.array(marks) == pytest.approx(np.array([[5, 70.01], [5, 55.01]]))
    assert ax.lines[0].get_color() == plotting.COLOURS["lenet"]
