"""What 01_fourier_bias trains, how it lays its map beside the authors', and what its figures and claims are made of."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anisotropy import directions
from anisotropy.notebooks import presets
from anisotropy.paper import agreement, claims, fourier_bias, fourier_claims, fourier_figures
from anisotropy.paper.fourier_bias import Amount

BASIS = directions.fourier(32, 32)
AMOUNT = Amount(samples=4000, epochs=10, sigma=1.0)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_sizes_have_one_number_for_each_figure():
    found = fourier_bias.amounts([1, 2, 3, 4], [5, 6, 7, 8], [0.1, 0.2, 0.3, 0.4])
    assert found["Fig. 3"] == Amount(3, 7, 0.3)
    assert list(found) == ["Fig. 1", "Fig. 2", "Fig. 3", "A.3"]
    with pytest.raises(ValueError, match=r"expected 4 numbers, one for each of Fig. 1, .*, got epochs=\[1\]"):
        fourier_bias.amounts([1, 2, 3, 4], [1], [0.1, 0.2, 0.3, 0.4])


def test_steps_count_the_last_batch_though_it_is_not_full():
    assert Amount(samples=10_000, epochs=20, sigma=3.0).steps == 20 * 79  # batches of 128, 78.1 of them
    assert Amount(samples=256, epochs=3, sigma=3.0).steps == 6


def test_arms_take_out_pooling_and_of_resnet_strides_as_well():
    found = fourier_bias.arms(["lenet", "small_resnet18"], [2, 8], AMOUNT)
    without = {"pooling": False}
    narrow = {"width": 0.125}
    assert {arm.label: arm.options for arm in found} == {
        "LeNet": {},
        "LeNet, no pooling": without,
        "ResNet-18": narrow,
        "ResNet-18, no pooling": narrow | without,
        "ResNet-18, no pooling, no strides": narrow | without | {"strides": False},
    }
    lenet, *_, resnet = found
    assert (lenet.axis, lenet.size, lenet.amount) == ((2, 8), 32, AMOUNT)
    assert (resnet.network, resnet.axis, resnet.size, resnet.amount) == (
        "resnet18",
        (1, 2, 3, 4),
        16,
        Amount(2000, 8, AMOUNT.sigma),
    )
    assert fourier_bias.arms(["resnet18"], [2, 8], AMOUNT)[0].amount == AMOUNT


def test_an_arms_networks_take_its_waves():
    arm = fourier_bias.arms(["lenet", "small_resnet18"], [2, 8], AMOUNT)[-1]
    waves = arm.waves()
    assert waves.shape == (4, 1, 16, 16)
    spectrum = np.abs(np.fft.fft2(waves[2, 0].numpy()))
    assert sorted(map(tuple, np.argwhere(spectrum > 1e-9))) == [(0, 3), (0, 13)]  # three periods across, none down
    assert arm.factory()()(waves.float()).shape == (4, 2)


@pytest.mark.parametrize("networks", [[], ["logreg"], ["lenet", "lenet"], ["resnet18", "small_resnet18"], ["mine:net"]])
def test_other_networks_have_no_pooling_to_take_out(networks):
    with pytest.raises(ValueError, match=r"expected networks with pooling layers out of lenet, vgg11, .* got"):
        fourier_bias.arms(networks, [2], AMOUNT)


def test_sizes_are_named_as_statements_name_them():
    """Every name in braces that a statement about the notebook uses, for its runs of before and of now."""
    found = fourier_bias.named(presets.load("01_fourier_bias", "laptop"))
    expected = {"samples": 10_000, "epochs": 20, "sigma": 3.0, "time_epochs": 10, "time_sigma": 0.5}
    expected |= {
        "pool_samples": 4000,
        "pool_epochs": 10,
        "pool_sigma": 1.0,
        "random_samples": 10_000,
        "random_sigma": 0.5,
    }
    expected |= {"resnet_samples": 2000, "resnet_epochs": 8, "resnet_size": 16, "resnet_width": 0.125}
    assert {name: found[name] for name in expected} == expected
    assert found["loss_threshold"] == fourier_bias.SMALL_LOSS
    old = {"samples": 1000, "epochs": 2, "sigma": 3.0, "pool_samples": 7}
    assert fourier_bias.named(old) == old | {"random_samples": 1000, "random_epochs": 2}  # A.3 took those of Fig. 1


def test_a_map_shows_a_value_at_its_frequency_and_its_conjugate():
    rows = BASIS.subgrid(4)
    values = np.zeros(len(rows))
    values[list(rows).index(BASIS.index(4, 8))] = 1
    found = fourier_bias.on_grid(BASIS, rows, values, 4)
    assert found.shape == (8, 8)
    assert np.argwhere(found == 1).tolist() == [[4 - 1, 4 - 2], [4 + 1, 4 + 2]]
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("step", "shared"), [(1, 2), (2, 2), (4, 4)])
def test_published_maps_at_the_frequencies_that_both_have(folder, step, shared):
    found = fourier_bias.published(str(folder), ["lenet", "mine:net"], np.arange(-16, 16, step))
    assert list(found) == ["lenet"]
    assert found["lenet"].ky.values.tolist() == list(range(-16, 16, shared))
    assert float(found["lenet"].sel(ky=4, kx=4)) == 0.9
    assert float(found["lenet"].sel(ky=8, kx=0)) == 0.5
    assert fourier_bias.published("", ["lenet"], np.arange(-16, 16, step)) == {}


@pytest.mark.parametrize("step", [1, 2, 4])
def test_the_authors_map_laid_beside_itself(folder, step):
    frequencies = np.arange(-16, 16, step)
    theirs = fourier_bias.published(str(folder), ["lenet"], frequencies)["lenet"]
    ky, kx = np.meshgrid(frequencies, frequencies, indexing="ij")
    ours = np.where(ky**2 + kx**2 < 50, 0.9, 0.5)
    rows = BASIS.subgrid(step)
    behind = fourier_bias.on_grid(BASIS, rows, np.arange(len(rows)), step)
    found = fourier_bias.beside(ours, behind, theirs, test_samples=10_000)
    assert found.found.difference == found.itself.difference == 0
    assert found.found.raw == found.found.tied == found.found.predicted == found.alone == pytest.approx(1)
    n = 16 if step < 4 else 8
    assert found.found.cells == n * (n // 2 + 1)  # kx < 0 are copies, but for -n/2
    assert found.level == (0.5, 0.5)
    assert found.blind == pytest.approx(((ours < 0.6).mean(), (theirs.values < 0.6).mean()))
    assert "rank correlation, raw" in str(found)


def test_a_difference_counts_once_and_not_in_copies(folder):
    frequencies = np.arange(-16, 16, 2)
    theirs = fourier_bias.published(str(folder), ["lenet"], frequencies)["lenet"]
    ours, rows = theirs.values.copy(), BASIS.subgrid(2)
    behind = fourier_bias.on_grid(BASIS, rows, np.arange(len(rows)), 2)
    ours[8, 8 - 1] -= 0.1  # kx = -2, a copy
    assert fourier_bias.beside(ours, behind, theirs, test_samples=10_000).found.difference == 0
    ours[8, 8 + 1] -= 0.1
    found = fourier_bias.beside(ours, behind, theirs, test_samples=10_000)
    assert found.found.difference == pytest.approx(0.1 / 144)


def test_share_of_blind_frequencies():
    assert fourier_bias.blind([[0.5, 0.599], [0.6, 0.9]]) == 0.5


def test_bars_are_means_whiskers_extremes_and_what_was_cut_off_is_hatched():
    steps = {"lenet": np.array([[10.0, 20.0, 60.0], [50.0, np.nan, np.nan]])}
    ax = fourier_figures.training_time(steps, [2, 8], limit=200).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [30, 150]
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [False, True]
    (whiskers,) = (c for c in ax.collections if len(c.get_segments()) == 2)
    assert [segment[:, 1].tolist() for segment in whiskers.get_segments()] == [[10, 60], [50, 200]]


def test_maps_are_drawn_in_percent_with_the_authors_below(folder):
    frequencies = np.arange(-16, 16, 4)
    known = fourier_bias.published(str(folder), ["lenet"], frequencies)
    ours = {"mine:net": np.full((8, 8), 0.7), "lenet": np.full((8, 8), 0.8)}
    drawn = [ax for ax in fourier_figures.accuracy_maps(ours, frequencies, known).axes if ax.images]
    assert [float(ax.images[0].get_array()[4, 4]) for ax in drawn] == pytest.approx([70, 80, 90])
    assert [ax.get_title() for ax in drawn] == ["mine:net", "LeNet", "LeNet, published"]


def test_curves_without_pooling_have_a_panel_for_each_network():
    arms = fourier_bias.arms(["lenet", "small_resnet18"], [2, 8], AMOUNT)
    values = {arm.label: np.tile([0.6, 0.7, 0.9], (len(arm.axis), 1)) for arm in arms}
    panels = fourier_figures.without_pooling(arms, values).axes
    assert [len(ax.containers) for ax in panels] == [2, 3]
    curve, _, (bars,) = panels[0].containers[0]
    assert curve.get_ydata() == pytest.approx([220 / 3] * 2)
    assert [segment[:, 1] for segment in bars.get_segments()] == [pytest.approx([60, 90])] * 2


def verdicts(found):
    return {claim.statement: claim.verdict for claim in found}


def test_claims_of_maps_and_times_are_of_the_papers_networks():
    flat, steep = np.full((4, 4), 0.95), np.array([[0.5, 0.9]])
    maps = {"logreg": flat, "lenet": steep, "mine:net": steep}
    steps = {name: np.array([[10.0, 11.0, 10.0], [np.nan, 90.0, 80.0]]) for name in maps}
    found = verdicts(fourier_claims.networks(maps, steps, 100))
    assert found == {
        "logistic regression, worst frequency": "holds",
        "LeNet, best minus worst frequency": "holds",
        "LeNet, steps, slowest over fastest frequency": "holds",
    }
    swapped = {"logreg": steep, "lenet": flat}
    assert set(verdicts(fourier_claims.networks(swapped, {"lenet": np.ones((3, 3))}, 100)).values()) == {"fails"}


def test_what_is_left_without_pooling():
    arms = fourier_bias.arms(["lenet"], [2, 8], AMOUNT)
    pooled = {"LeNet": np.array([[0.9, 0.9], [0.5, 0.7]]), "LeNet, no pooling": np.array([[0.9, 0.9], [0.8, 0.9]])}
    assert fourier_claims.kept("lenet", pooled) == pytest.approx([0.25, 0])
    assert fourier_claims.kept("lenet", {"LeNet": pooled["LeNet"], "LeNet, no pooling": pooled["LeNet"]}).tolist() == [
        1,
        1,
    ]
    found = list(fourier_claims.pooling(arms, pooled))
    assert found[0].measured == pytest.approx(0.125)
    assert found[1].verdict == claims.UNDECIDED  # ResNet-18 was not trained


def test_strides_that_fold_show_at_odd_frequencies():
    arms = fourier_bias.arms(["small_resnet18"], [2], AMOUNT)
    noise = 0.01 * np.arange(3)
    odd, even = 0.7 + noise, 0.99 - noise / 2
    folded, flat = np.array([odd, even, odd, even]), np.array([even] * 4)
    pooled = {"ResNet-18": flat, "ResNet-18, no pooling": folded, "ResNet-18, no pooling, no strides": flat}
    found = verdicts(fourier_claims.pooling(arms, pooled))
    assert found == {
        "ResNet-18 without pooling, range": "fails",
        "ResNet-18 without pooling, even minus odd frequencies": "holds",
        "ResNet-18 without pooling and strides, even minus odd frequencies": "holds",
    }
    assert (
        verdicts(fourier_claims.pooling(arms, {**pooled, "ResNet-18, no pooling": flat}))[
            "ResNet-18 without pooling, even minus odd frequencies"
        ]
        == "fails"
    )


def test_random_directions_say_nothing_at_chance():
    random = np.random.default_rng(0)
    assert fourier_claims.random(0.5 + 0.001 * random.standard_normal(30), digits=2).verdict == claims.UNDECIDED
    assert fourier_claims.random(0.8 + 0.01 * random.standard_normal(30), digits=2).verdict == "holds"
    assert fourier_claims.random(0.8 + 0.1 * random.standard_normal(30), digits=2).verdict == "fails"


def test_the_published_map_is_judged_at_the_papers_size_alone(folder):
    theirs = fourier_bias.published(str(folder), ["lenet"], np.arange(-16, 16, 2))["lenet"]
    rows = BASIS.subgrid(2)
    behind = fourier_bias.on_grid(BASIS, rows, np.arange(len(rows)), 2)
    same = fourier_bias.beside(theirs.values, behind, theirs, test_samples=10_000)
    assert set(verdicts(fourier_claims.published(same, fourier_bias.PAPER, asked=True)).values()) == {"holds"}
    turned = np.random.default_rng(0).permutation(theirs.values.ravel()).reshape(16, 16)
    other = fourier_bias.beside(turned, behind, theirs, test_samples=10_000)
    found = verdicts(fourier_claims.published(other, fourier_bias.PAPER, asked=True))
    assert [verdict for words, verdict in found.items() if "share under" not in words] == ["fails"] * 4
    assert isinstance(same.found, agreement.Agreement)
    for beside, amount, asked, why in (
        (same, AMOUNT, True, "theirs has sigma = 3"),
        (None, fourier_bias.PAPER, True, "no folder of published tables"),
        (None, fourier_bias.PAPER, False, "was not asked for"),
    ):
        (claim,) = fourier_claims.published(beside, amount, asked=asked)
        assert claim.verdict == claims.UNDECIDED
        assert claim.why.startswith(why) or why in claim.why
