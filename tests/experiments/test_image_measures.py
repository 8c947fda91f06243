"""What is done to images, and what is measured of them before training: against what must come out, and kept."""

import json

import numpy as np
import pytest
import torch
from anisotropy import directions, nads
from anisotropy.experiments import audit, image_measures, image_sweeps
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.nads import Nads, naming
from anisotropy.results import record

BASIS = Nads(torch.ones(1024).double(), torch.eye(1024).view(-1, 1, 32, 32), 1)
SCENE = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
EVERY = ["original", image_measures.FLIPPED, image_measures.SIGNS, image_measures.ROTATED, "NADs permuted",
         "Fourier flipped", image_measures.PIXELS]  # fmt: skip


def test_conditions_keep_lengths_and_the_few_are_those_of_the_claims():
    found = image_measures.conditions(BASIS, 1, every=True)
    assert list(found) == EVERY
    assert list(image_measures.conditions(BASIS, 1, every=False)) == EVERY[:4]
    for name, arm in found.items():
        if arm.normalised:
            assert float(arm.normalised(SCENE).norm()) == pytest.approx(float(SCENE.norm()), rel=1e-4), name
    assert torch.equal(found[image_measures.FLIPPED].normalised(SCENE), SCENE.flip(2, 3))  # pixels in reverse
    assert torch.equal(found[image_measures.SIGNS].normalised(SCENE).abs(), SCENE.abs())


def test_draws_differ_in_signs_and_rotation_but_not_in_the_flip():
    one, other = (image_measures.conditions(BASIS, draw, every=False) for draw in (0, 1))
    same = {name: torch.equal(one[name].normalised(SCENE), other[name].normalised(SCENE)) for name in EVERY[1:4]}
    assert same == {image_measures.FLIPPED: True, image_measures.SIGNS: False, image_measures.ROTATED: False}


@pytest.fixture
def data():
    """Classes that differ in the first pixel alone, with noise everywhere."""
    labels = torch.arange(400) % 10
    images = 0.1 * torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[:, 0, 0, 0] += labels
    return images, labels


def test_flipping_moves_the_energy_from_the_first_to_the_last(data):
    rows = torch.eye(64).view(-1, 1, 8, 8)
    before, after = image_measures.alignment(*data, rows)
    assert before.leading(1) > 0.99
    assert after.leading(63) < 0.01
    assert before.leading(64) == pytest.approx(1)
    cumulated = image_measures.cumulated(after)
    assert cumulated[-1] == pytest.approx(1)
    assert abs(cumulated[62]) < 0.01


def test_signs_keep_the_score_and_flipping_does_not():
    labels = torch.arange(200) % 10
    images = 0.1 * torch.randn(200, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    images[:, 0, 0, 0] += labels
    basis = Nads(torch.linspace(2, 0, 1024).double(), BASIS.directions, 10)
    found = image_measures.scores(image_measures.conditions(BASIS, 0, every=True), images, labels, basis)
    assert image_measures.PIXELS not in found
    assert found["original"] == pytest.approx(2, abs=0.05)
    assert found[image_measures.SIGNS] == pytest.approx(found["original"], rel=1e-6)
    assert found[image_measures.FLIPPED] == pytest.approx(0, abs=0.05)
    assert found[image_measures.ROTATED] == pytest.approx(1, abs=0.2)


def test_pictures_that_carry_nothing_else_are_separable_and_noise_is_not():
    generator = torch.Generator().manual_seed(0)
    rows, labels = torch.eye(64).view(-1, 1, 8, 8), torch.arange(200) % 10
    black = torch.zeros(200, 3, 8, 8)
    noise = black + torch.randn(black.shape, generator=generator)
    assert image_measures.separable(black, labels, rows, [0, 7], 0.05) == [0, 7]
    assert image_measures.separable(noise, labels, rows, [0, 7], 0.05) == []


def test_what_is_measured_is_what_the_functions_say(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "folder", lambda: tmp_path)
    found = image_measures.aligned("lenet", images="digits", count=400, store=tmp_path / "store")
    pictures, labels = arms.prepare(arms.clean(), cifar.Source("digits", train=400)).train
    before, after = image_measures.alignment(pictures, labels, nads.load("lenet").directions)
    at = np.array(found["k"]) - 1
    np.testing.assert_allclose(found["original"], image_measures.cumulated(before)[at], rtol=1e-3, atol=1e-4)
    assert found["leading"][1][-1] == pytest.approx(after.leading(200), abs=1e-4)
    assert found["scores"][1] == pytest.approx(after.score(nads.load("lenet").eigenvalues), rel=1e-3)
    assert len(found["scores"]) == len(EVERY) - 1
    assert image_measures.aligned("lenet", images="digits", count=400, store=tmp_path / "store") == found
    split = image_measures.separated("lenet", images="digits", indices=[0, 1000], epsilon=5.0, count=100,
                                     store=tmp_path / "store")  # fmt: skip
    assert split == {"separable": [1, 1]}  # so strong a carrier drowns what the images have


def test_a_basis_is_named_by_what_it_is_and_made_again_from_its_name():
    measured = nads.estimate(architectures.factory("lenet"), response=nads.Gradient(), networks=2, seed=3)
    for basis in (nads.load("lenet"), measured, directions.fourier(8, 8), directions.RandomBasis(4, 6, seed=2)):
        name = naming.basis(basis)
        assert "hash" not in name
        again = naming.basis_from(json.dumps(name))
        assert naming.basis(again) == name
        rows, others = ((b.pictures() if hasattr(b, "pictures") else b.directions) for b in (basis, again))
        assert torch.equal(rows[:30], others[:30])
    assert "hash" in naming.basis(torch.eye(16).view(16, 1, 4, 4))
    with pytest.raises(ValueError, match="expected the name of NADs"):
        naming.basis_from('{"hash": "0123"}')
    mine = measured.settings | {"architecture": {"name": "mine:net"}}
    assert "hash" in naming.basis(Nads(measured.eigenvalues, measured.directions, 2, settings=mine))


@pytest.mark.parametrize(
    "arm",
    [
        arms.clean(),
        arms.rotated(1024, seed=3),
        arms.permuted(directions.fourier(32, 32), seed=1),
        arms.signed(nads.load("lenet"), seed=1),
        arms.flipped(directions.fourier(32, 32)),
        arms.flipped_pixels(nads.load("lenet")),
        arms.poisoned(directions.RandomBasis(32, 32, seed=1), 4, 0.05, label="random 4", erase="all"),
        arms.scrambled(nads.load("lenet"), 4, 0.05, label="scrambled 4"),
        arms.carriers_alone(directions.fourier(32, 32), 4, 0.05, label="alone 4"),
    ],
    ids=lambda arm: arm.label,
)
def test_the_audit_makes_each_condition_again_from_its_identity(arm):
    """Also through a line of the record, which is flat."""
    line = record.line({"arm": arm.identity}, {}, {"clean": True})
    again = audit._arm(record.fields_of(line)["arm"])
    assert again.identity == arm.identity
    source = cifar.Source("digits", train=20, test=10)
    ours, theirs = (arms.prepare(each, source) for each in (arm, again))
    assert torch.equal(ours.train[0], theirs.train[0])
    assert torch.equal(ours.test[0], theirs.test[0])


def test_results_on_official_images_are_found_where_the_images_are_not(tmp_path):
    away = cifar.Source("cifar10", str(tmp_path / "nowhere"), download=False)
    assert away.spec["sha256"][0] == cifar.KNOWN["train", 50_000]
    assert cifar.describe(away) == "cifar10: 50,000 training and 10,000 test images"
    with pytest.raises(FileNotFoundError):
        _ = cifar.Source("cifar10", str(tmp_path / "nowhere"), train=30, download=False).spec
    make = architectures.factory("lenet", in_channels=3, num_outputs=10)
    known = image_sweeps.run(make, away, [arms.clean()], store=tmp_path / "store", progress=False)  # of the record
    assert float(known.test_accuracy.mean()) > 0.6
    with pytest.raises(FileNotFoundError, match="no CIFAR-10"):  # before a worker is started
        image_sweeps.run(make, away, [arms.clean()], seeds=[77], store=tmp_path / "store", progress=False)


def test_what_is_known_of_the_official_images_is_true():
    try:
        found = {(split, n): cifar.Source("cifar10", train=n, download=False).load(split) for split, n in cifar.KNOWN
                 if split == "train"}  # fmt: skip
    except FileNotFoundError:
        pytest.skip("CIFAR-10 is not in data/cifar10")
    assert {key: cifar.fingerprint(*part) for key, part in found.items()}.items() <= cifar.KNOWN.items()
