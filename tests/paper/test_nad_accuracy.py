"""04_accuracy_along_nads: what its measures compute, which claims they decide, and that its figures show them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr
from anisotropy import nads
from anisotropy.experiments import prediction_measures
from anisotropy.paper import claims, nad_accuracy, nad_accuracy_figures
from anisotropy.paper.nad_accuracy import Answer, Question
from anisotropy.results import record

PROBES = ["secant 0 5", "gradient 3", "Fourier 0 2 6 8 12"]
FAMILY = np.array(["secant", "secant", "gradient", *5 * ["Fourier"]])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def answer():
    """Secants rank as accuracy does, gradients the other way round; two measurements, three seeds."""
    accuracy = np.linspace(0.9, 0.5, 8)[:, None] + 0.001 * np.arange(3)
    right = np.geomspace(10, 1, 8)
    energies = {"gradient": np.array([1 / right, 2 / right]), "secant, h = 100": np.array([right, 2 * right])}
    return Answer(energies, accuracy, FAMILY)


def test_questions_and_directions_are_read_from_words_and_numbers():
    assert nad_accuracy.questions(["lenet 1 4000 10", "vgg11 0.125 400 8"])[1] == Question("vgg11", 0.125, 400, 8)
    assert Question("vgg11", 0.125, 400, 8).label == "VGG-11 x 0.125"
    assert prediction_measures.read_probes(PROBES)["Fourier"] == [0, 2, 6, 8, 12]
    assert list(prediction_measures.read_probes(PROBES[::-1])) == ["secant", "gradient", "Fourier"]


@pytest.mark.parametrize("lines", [["lenet"], ["lenet 1 many 10"], ["lenet 2 400 10"], ["lenet 1 0 10"], [""]])
def test_questions_of_another_form_are_refused(lines):
    with pytest.raises(ValueError, match="expected questions such as"):
        nad_accuracy.questions(lines)


def test_a_network_is_asked_once():
    with pytest.raises(ValueError, match="each network once"):
        nad_accuracy.questions(["lenet 1 40 1", "lenet 0.5 40 1"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [(["secant 0"], "all three families"), (["secant 0", "wave 1"], "got 'wave 1'"), (["secant -1"], "got 'secant -1'"),
     ([""], "got ''"), (["secant 0", "secant 1"], "each of the three words once")],
)  # fmt: skip
def test_directions_of_another_form_are_refused(lines, said):
    with pytest.raises(ValueError, match=said):
        prediction_measures.read_probes(lines)


def test_a_fall_is_ranked_and_a_rise_is_found():
    falling = np.array([[0.9, 0.9], [0.7, 0.6], [0.5, 0.7]])
    assert nad_accuracy.fall(falling, [0, 1, 2]) == pytest.approx([-1, -0.5])
    assert nad_accuracy.largest_rise(falling) == pytest.approx([-0.2, 0.1])
    assert nad_accuracy.rank_correlation([1, 1, 1], [1, 2, 3]) == 0


def test_what_ranks_alike_scores_one_and_what_ranks_the_other_way_minus_one(answer):
    assert answer.score("secant, h = 100") == pytest.approx(np.ones((2, 3)))
    assert answer.score("gradient", "Fourier vectors alone") == pytest.approx(-np.ones((2, 3)))
    assert answer.gain("secant, h = 100") == pytest.approx(2 * np.ones((2, 3)))
    assert answer.ceiling() == pytest.approx(1)
    assert np.isnan(Answer(answer.energies, answer.accuracy[:, :1], FAMILY).ceiling())


def verdicts(found):
    return {claim.statement: claim.verdict for claim in found}


def test_a_steady_fall_holds_only_where_all_indices_were_tried():
    falling = {"lenet": np.linspace(1, 0.5, 4)[:, None] + np.array([0, 0.001]), "logreg": np.ones((4, 2))}
    found = verdicts(nad_accuracy.falls(falling, [0, 1, 2, 3], count=4))
    assert set(found.values()) == {claims.HOLDS}
    steady = "LeNet, largest rise of accuracy from one index to the next"
    assert verdicts(nad_accuracy.falls(falling, [0, 1, 2, 3]))[steady] == claims.UNDECIDED
    rising = {"lenet": falling["lenet"][[0, 2, 1, 3]]}
    found = verdicts(nad_accuracy.falls(rising, [0, 1, 2, 3]))
    assert found[steady] == claims.FAILS
    assert found["logistic regression, range along its NADs"] == claims.UNDECIDED


def test_secants_that_foretell_better_hold_and_gradients_that_do_fail(answer):
    found = verdicts(nad_accuracy.foretells({Question("lenet", 1.0, 40, 1): answer}))
    beats = "LeNet, the secants' rank correlation minus the gradient's, all directions"
    assert found[beats] == claims.HOLDS
    assert found["VGG-11, secants or gradients"] == claims.UNDECIDED
    other = {"gradient": answer.energies["secant, h = 100"], "secant, h = 100": answer.energies["gradient"]}
    swapped = Answer(other, answer.accuracy, FAMILY)
    assert verdicts(nad_accuracy.foretells({Question("lenet", 1.0, 40, 1): swapped}))[beats] == claims.FAILS


def test_the_nearest_setting_is_judged():
    assert nad_accuracy.setting({"a": 0.1, "b": 0.01}).statement == "LeNet's published curve: b"
    assert nad_accuracy.setting({"a": 0.1}).verdict == claims.FAILS
    assert nad_accuracy.setting({}).verdict == claims.UNDECIDED


def test_figures_show_what_they_are_given(answer):
    asked = {Question("lenet", 0.5, 40, 1): answer}
    figure = nad_accuracy_figures.responses(asked)
    assert [ax.get_title().splitlines()[1] for ax in figure.axes] == ["rank corr. -1.00", "rank corr. 1.00"]
    assert figure.axes[0].get_ylabel() == "accuracy of\nLeNet x 0.5 in %"
    left, right = nad_accuracy_figures.which_step(asked).axes
    assert left.containers[0].lines[0].get_ydata() == pytest.approx([-1, 1])
    assert [text.get_text() for text in left.get_xticklabels()] == ["gradient", "h = 100"]
    coords = {"network": ["lenet"], "index": [0, 1, 2], "measured": ("index", [True, False, True])}
    authors = xr.Dataset({"accuracy": (("network", "index"), [[0.9, 0.8, 0.7]])}, coords)
    bases = {"lenet": nads.load("lenet")}
    _, right = nad_accuracy_figures.along(bases, {"lenet": np.array([[0.9], [0.6]])}, [0, 9], authors).axes
    assert right.containers[0].lines[0].get_ydata() == pytest.approx([90, 60])
    assert right.lines[-1].get_ydata() == pytest.approx([90, 70])  # what they measured
    (ax,) = nad_accuracy_figures.settings({"a": [0.9, 0.5]}, [0, 2], authors).axes
    assert [list(np.round(line.get_ydata())) for line in ax.lines] == [[90, 50], [90, 70]]


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A store and a record that hold nothing."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(record, "folder", lambda: tmp_path / "results")
    return str(tmp_path / "store")


def test_directions_come_in_the_order_of_the_families_and_with_the_kept_digits(nowhere):
    found = prediction_measures.probes("lenet", PROBES, random_networks=2, store=nowhere)
    again = prediction_measures.probes("lenet", PROBES, random_networks=2, store=nowhere)
    assert torch.equal(found, again)
    assert found.shape == (8, 1, 32, 32)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), torch.ones(8).double())
    assert float((found[1] - nads.load("lenet").directions[5].double()).norm()) < 1e-6
    gradient = nads.estimate(prediction_measures.architectures.factory("lenet"), response=nads.Gradient(), networks=2)
    assert abs(float((found[2] * gradient.directions[3].double()).sum())) == pytest.approx(1, abs=1e-5)


def test_a_covariance_expects_what_its_networks_answer(nowhere, monkeypatch):
    monkeypatch.setattr(prediction_measures.measures, "STORE", nowhere)
    how = {"families": PROBES, "random_networks": 2}
    found = prediction_measures.expected.__wrapped__("lenet", step=0.0, group=1, **how)["energies"]
    gradient = nads.estimate(
        prediction_measures.architectures.factory("lenet"), response=nads.Gradient(), networks=2, seed=1
    )
    along = prediction_measures.probes("lenet", PROBES, random_networks=2, store=nowhere)
    assert found == pytest.approx(gradient.energy(along).tolist(), rel=1e-5)
    with pytest.raises(ValueError, match="group"):
        prediction_measures.expected("lenet", step=0.0, group=0, store=nowhere, **how)


def test_the_published_setting_needs_the_authors_table_and_no_other(nowhere, tmp_path):
    ask = {"indices": [0], "sigma": 1.0, "convention": "text", "sha256": nad_accuracy.TABLE, "store": nowhere}
    with pytest.raises(ValueError, match="whose folder was not given"):
        prediction_measures.published_setting("lenet", **ask)
    (tmp_path / "docs" / "data").mkdir(parents=True)
    (tmp_path / "docs" / "data" / "nads.csv").write_text("index,acc_ln\n0,100\n")
    with pytest.raises(ValueError, match="another checksum"):
        prediction_measures.published_setting("lenet", folder=str(tmp_path), **ask)
