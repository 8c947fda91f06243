"""05_poisoning: what its measures compute, which claims they decide, and that its figures show what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from anisotropy import nads
from anisotropy.images import interventions
from anisotropy.paper import claims, image_studies, poison_figures, poisoning
from anisotropy.paper.poisoning import Places, Prediction

WHERE = Places([0, 5, 100], [0], [0, 30])
ARMS = ["clean", "NAD 0", "NAD 5", "NAD 100", "scrambled 0"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def table(arms, test, train=None, seeds=3):
    """Accuracies of arms, the same for every seed but for a shift of a hundredth of a point each."""
    shift = 1e-4 * np.arange(seeds)
    values = {"test_accuracy": test, "train_accuracy": train or test, "probe_accuracy": [1 - v for v in test]}
    columns = {name: (("arm", "seed"), np.array(v)[:, None] + shift) for name, v in values.items()}
    return xr.Dataset(columns, coords={"arm": arms, "seed": range(seeds)})


FOUND = table(ARMS, [0.7, 0.2, 0.4, 0.69, 0.65], [0.99] * 5)


def test_carriers_are_read_from_words_and_indices():
    found = poisoning.places(["scrambled 0 5", "NAD 0 5 100", "control 3 30"])
    assert found == Places([0, 5, 100], [0, 5], [3, 30])
    assert found.families == {"NAD": [0, 5, 100], "gradient": [3, 30], "Fourier": [3, 30], "random": [3]}
    assert found.every[2:5] == [("NAD", 100), ("gradient", 3), ("gradient", 30)]


@pytest.mark.parametrize(
    ("carriers", "message"),
    [
        (["NAD 0 5", "scrambled 0"], "all three words"),
        (["NAD 0", "scrambled 0", "control 0"], "two NADs or more"),
        (["NAD 0 5", "scrambled 0", "control 0", "control 3"], "each of the three words once, got 'control 3'"),
        (["NAD 0 5", "shuffled 0", "control 0"], "got 'shuffled 0'"),
        (["NAD 0 1023", "scrambled 0", "control 0"], "from 0 to 1022, got 'NAD 0 1023'"),
        (["NAD 0 -5", "scrambled 0", "control 0"], "from 0 to 1022"),
        (["NAD 0 5.0", "scrambled 0", "control 0"], "from 0 to 1022"),
        (["NAD 5 0", "scrambled 0", "control 0"], "indices rising, got 'NAD 5 0'"),
        (["NAD", "scrambled 0", "control 0"], "got 'NAD'"),
        (["", "scrambled 0", "control 0"], "got ''"),
        (["NAD 0 5", "scrambled 5", "control 0"], "a scrambled carrier at NAD 0"),
    ],
)
def test_carriers_that_cannot_be_are_refused(carriers, message):
    with pytest.raises(ValueError, match=message):
        poisoning.places(carriers)


def test_the_largest_index_is_the_last_at_which_ten_classes_find_room():
    rows = torch.eye(1024).view(-1, 1, 32, 32)
    interventions.carriers(rows, poisoning.LAST, classes=10, channels=3)
    with pytest.raises(ValueError, match="expected an index from 0 to 1022"):
        interventions.carriers(rows, poisoning.LAST + 1, classes=10, channels=3)


def test_arms_have_the_labels_that_figures_ask_for():
    rows = torch.eye(16).view(-1, 1, 4, 4)
    assert [arm.label for arm in poisoning.along(rows, WHERE, 0.05)] == ARMS
    others = poisoning.elsewhere({"gradient": rows, "Fourier": rows, "random": rows}, WHERE, 0.05)
    assert [arm.label for arm in others] == ["gradient 0", "gradient 30", "Fourier 0", "Fourier 30", "random 0"]
    parts = [arm.label for arm in poisoning.apart(rows, WHERE, 0.05)]
    assert parts == [f"{name} {i}" for name in ("added", "written", "untold") for i in WHERE.along]
    more = [arm.label for arm in poisoning.further(rows, WHERE, 0.05)]
    assert more[:3] == ["alone 0", "alone 30", "epsilon 0.0125, NAD 0"]
    assert more[-1] == "epsilon 0.2, NAD 300"
    assert poisoning.strengths(0.05) == [0.0125, 0.05, 0.2]  # to the last digit: results are filed under them


def test_costs_are_differences_from_the_clean_network():
    found = poisoning.costs(FOUND, WHERE)
    assert found.first == pytest.approx([0.5] * 3)
    assert found.scrambled == pytest.approx([0.45] * 3)  # 0.05 of it is the missing content
    assert found.late == pytest.approx([0.01] * 3)
    assert found.order == pytest.approx([1.0] * 3)


@pytest.fixture
def lenet():
    return nads.load("lenet")


def test_the_response_to_a_nad_is_its_eigenvalue(lenet):
    expected = lenet.eigenvalues[[4, 5]].mean()
    assert poisoning.response(lenet, lenet.directions, 4) == pytest.approx(float(expected), rel=1e-3)
    pixels = torch.eye(1024).view(-1, 1, 32, 32)
    diagonal = torch.as_tensor(lenet.covariance()).double().view(1024, 1024).diagonal()
    assert poisoning.response(lenet, pixels, 500) == pytest.approx(float(diagonal[500:502].mean()), rel=1e-3)


def test_what_is_foretold_is_compared_seed_by_seed(lenet):
    others = table(["gradient 0", "gradient 30", "Fourier 0", "Fourier 30", "random 0"], [0.5] * 5, seeds=1)
    bases = dict.fromkeys(WHERE.families, lenet.directions)
    found = poisoning.foretold(FOUND, others, lenet, bases, WHERE)
    assert found.accuracy.shape == (8, 1)
    assert found.accuracy[:, 0] == pytest.approx([0.2, 0.4, 0.69] + 5 * [0.5])
    assert list(found.response[3:5]) == [poisoning.response(lenet, lenet.directions, i) for i in (0, 30)]
    exact = Prediction(np.array([3.0, 2.0, 1.0]), np.array([[0.1, 0.3], [0.2, 0.2], [0.3, 0.1]]))
    assert exact.correlation == pytest.approx([-1, 1])


def plan(images, width=1.0):
    return image_studies.plans(images, ["lenet"], [width], [100], [1], [0.1])["lenet"]


def test_on_photographs_everything_is_decided():
    better = np.array([0.5, 0.51, 0.49])
    found = list(poisoning.verdicts(plan("cifar10"), FOUND, better, WHERE, "cifar10"))
    assert [claim.verdict for claim in found] == [claims.HOLDS] * 6
    assert [claim.statement for claim in found[1:4]] == [
        "LeNet, accuracy lost to a carrier at NAD 0",
        "LeNet, of which beyond that of a carrier of random classes",
        "LeNet, accuracy lost to a carrier at NAD 100",
    ]


def test_a_network_that_ignores_early_carriers_contradicts_the_paper():
    flat = table(ARMS, [0.7, 0.7, 0.6, 0.5, 0.7], [0.7] * 5)
    found = list(poisoning.verdicts(plan("cifar10"), flat, -np.array([0.5, 0.51, 0.49]), WHERE, "cifar10"))
    assert [claim.verdict for claim in found] == [claims.FAILS] * 6


def test_what_digits_or_one_seed_cannot_decide_is_left_open():
    found = list(poisoning.verdicts(plan("digits"), FOUND, np.array([0.5]), WHERE, "digits"))
    undecided = [claim.verdict == claims.UNDECIDED for claim in found]
    assert undecided == [True, False, False, True, True, True]
    assert found[1].statement.endswith("(on digits)")
    (narrow,) = poisoning.verdicts(plan("digits", 0.5), FOUND, np.array([0.5]), WHERE, "digits")
    assert narrow.verdict == claims.UNDECIDED


def test_the_share_of_separable_places():
    claim = poisoning.separated({"lenet": [0], "resnet18": []}, WHERE, "cifar10")
    assert claim.measured == pytest.approx(1 / 6)
    assert claim.verdict == claims.FAILS
    assert poisoning.separated({"lenet": WHERE.along}, WHERE, "digits").verdict == claims.HOLDS


def lines(ax):
    """Label -> heights of what is drawn, of error bars without their bars."""
    drawn = [*ax.lines, *(bar.lines[0] for bar in ax.containers)]
    named = [(bar.get_label(), bar.lines[0]) for bar in ax.containers] + [(line.get_label(), line) for line in drawn]
    return {label: np.asarray(line.get_ydata()) for label, line in named if not label.startswith("_")}


def test_fig_7_shows_accuracy_and_what_follows_the_carrier():
    left, right = poison_figures.accuracy({"lenet": FOUND}, WHERE).axes
    assert lines(left)["LeNet"] == pytest.approx([20.01, 40.01, 69.01])
    assert lines(right)["LeNet"] == pytest.approx([80.01, 60.01, 31.01])
    numbers = poison_figures.numbers({"lenet": FOUND})
    assert numbers["arm"] == ARMS
    assert numbers["lenet_train_accuracy"].shape == (5, 3)


def test_what_is_taken_apart_stands_beside_what_was_released():
    arms = [f"{name} {i}" for name in ("added", "written", "untold") for i in WHERE.along]
    parts = table(arms, [0.7] * 3 + [0.2] * 3 + [0.1] * 3, seeds=1).test_accuracy
    (ax,) = poison_figures.apart(FOUND.test_accuracy, parts, WHERE, "LeNet").axes
    heights = lines(ax)
    assert heights["nothing erased, carrier added, 1 seed"] == pytest.approx([70] * 3)
    assert heights["all six erased, a random class's carrier written, 1 seed"] == pytest.approx([10] * 3)
    assert heights["released: own coefficient replaced, 3 seeds"] == pytest.approx([20.01, 40.01, 69.01])


def test_controls_of_one_seed_are_called_so():
    others = table(
        ["gradient 0", "gradient 30", "Fourier 0", "Fourier 30", "random 0"], [0.1, 0.2, 0.3, 0.4, 0.5], seeds=1
    )
    (ax,) = poison_figures.controls({"lenet": FOUND}, {"lenet": others}, WHERE).axes
    shown = lines(ax)
    assert shown["NADs from gradients, 1 seed"] == pytest.approx([10, 20])
    assert shown["a random direction, 1 seed"] == pytest.approx([50, 50])
    assert shown["NADs (secants), 3 seeds"] == pytest.approx([20.01, 40.01, 69.01])


def test_predictions_have_a_mark_for_each_carrier():
    found = Prediction(np.arange(1.0, 9), np.linspace(0.8, 0.1, 8)[:, None])
    axes = poison_figures.prediction({("lenet", "secant"): found, ("lenet", "gradient"): found}, WHERE).axes
    assert len(axes) == 2
    assert "rank corr. -1.00, 1 seed" in axes[0].get_title()
    assert lines(axes[0])["NADs (secants)"] == pytest.approx([80, 70, 60])


def test_strengths_are_curves_and_the_clean_network_a_line():
    curve = FOUND.test_accuracy.sel(arm=["NAD 0", "NAD 5", "NAD 100"])
    clean = FOUND.test_accuracy.sel(arm="clean", seed=[0])
    (ax,) = poison_figures.strengths({7: curve}, [0.01, 0.1, 1], clean, "LeNet").axes
    assert lines(ax)["NAD 7"] == pytest.approx([20.01, 40.01, 69.01])
    assert ax.get_title() == "LeNet, 1 seed"


def test_the_picture_its_carrier_and_what_is_left_add_up():
    picture, rows = poison_figures.scene(), torch.eye(1024).view(-1, 1, 32, 32)
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1
    poisoned = {i: interventions.poison(picture, torch.tensor([1]), rows, i, 0.05) for i in (0, 300)}
    axes = poison_figures.carriers(picture, poisoned, 1, "LeNet").axes
    shown = [np.asarray(ax.images[0].get_array()) for ax in axes]
    assert len(shown) == 8
    assert shown[2] - shown[0] == pytest.approx((poisoned[0][0] - picture)[0].permute(1, 2, 0).numpy(), abs=1e-6)
    assert axes[4].get_ylabel() == "LeNet, NAD 300"
