import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from anisotropy import directions, nads
from anisotropy.experiments import image_sweeps, sweeps
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.results import stores
from anisotropy.training import Recipe, checkpoints, loop
from torch import nn

DIGITS = cifar.Source("digits", train=200, test=100)
BASIS = nads.load("lenet").directions
RECIPE = Recipe.cifar(epochs=2, learning_rate=0.1)


@pytest.fixture
def logreg():
    return architectures.factory("logreg", in_channels=3, num_outputs=10)


def run(factory, some_arms, store, **changes):
    return image_sweeps.run(
        factory, DIGITS, some_arms, **{"recipe": RECIPE, "store": store, "progress": False} | changes
    )


def test_the_numbers_are_those_of_a_plain_loop(logreg, tmp_path):
    found = run(logreg, [arms.clean(), arms.flipped(BASIS)], tmp_path, seeds=(0, 5))
    images, labels = DIGITS.load("train")
    tests = DIGITS.load("test")
    mean, std = cifar.statistics(images / 255)
    recipe = Recipe.cifar(epochs=2, learning_rate=0.1, mean=mean, std=std)
    network = architectures.build(logreg, 5)
    outcome = loop.train(
        network,
        images / 255,
        labels,
        recipe,
        generator=torch.Generator().manual_seed(5),
        test_inputs=tests[0] / 255,
        test_labels=tests[1],
    )
    assert float(found.test_accuracy.sel(arm="clean", seed=5)) == pytest.approx(outcome.test_accuracy, abs=0.011)
    assert float(found.train_loss.sel(arm="clean", seed=5)) == pytest.approx(outcome.train_loss, rel=1e-3)
    with xr.open_dataset(tmp_path / found.attrs["file"], engine="scipy") as stored:
        xr.testing.assert_equal(stored, found)


def test_finished_units_are_not_trained_again_and_keys_follow_what_matters(logreg, tmp_path):
    first = run(logreg, [arms.clean(), arms.flipped(BASIS)], tmp_path)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*.json")}
    again = run(logreg, [arms.flipped(BASIS), arms.clean()], tmp_path, engine="local:1")  # other order, other engine
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/*.json")} == files
    xr.testing.assert_equal(first, again.sel(arm=first.arm.values))
    for change in ({"seeds": (1,)}, {"recipe": Recipe.cifar(epochs=1)}):
        before = len(list(tmp_path.glob("*/*.json")))
        run(logreg, [arms.clean()], tmp_path, **change)
        assert len(list(tmp_path.glob("*/*.json"))) == before + 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (arms.poisoned(BASIS, 0, 0.05, label="x"), arms.poisoned(BASIS, 1, 0.05, label="x")),
        (arms.poisoned(BASIS, 0, 0.05, label="x"), arms.poisoned(BASIS, 0, 0.1, label="x")),
        (arms.poisoned(BASIS, 0, 0.05, label="x"), arms.carriers_alone(BASIS, 0, 0.05, label="x")),
        (arms.flipped(BASIS), arms.flipped(nads.load("vgg11").directions)),
        (arms.flipped(BASIS), arms.flipped_pixels(BASIS)),
        (arms.permuted(BASIS, seed=0), arms.permuted(BASIS, seed=1)),
        (arms.rotated(1024, seed=0), arms.rotated(1024, seed=1)),
        (arms.signed(BASIS, seed=0), arms.signed(BASIS, seed=1)),
        (arms.signed(BASIS, seed=0), arms.permuted(BASIS, seed=0)),
    ],
)
def test_arms_that_differ_are_filed_apart(one, other):
    assert stores.digest(one.identity) != stores.digest(other.identity)
    assert stores.digest(one.identity) == stores.digest(dict(one.identity))


def test_only_the_training_set_is_poisoned_and_the_probe_carries_other_classes():
    ready, plain = (arms.prepare(arm, DIGITS) for arm in (arms.poisoned(BASIS, 3, 0.05, label="x"), arms.clean()))
    assert (ready.train[0] - plain.train[0]).abs().max() > 0.1
    assert (ready.test[0] - plain.test[0]).abs().max() < 0.05  # only the normalisation moves a little
    assert not (ready.probe[1] == ready.test[1]).any()
    assert plain.probe is None


def test_scrambled_carriers_take_the_content_away_and_tell_nothing():
    spread = {}
    for kind in (arms.poisoned, arms.scrambled):
        images, labels = arms.prepare(kind(BASIS, 0, 0.05, label="x"), DIGITS).train
        # the red channel carries classes 0 (-) and 3 (+) along NAD 0
        seen = images[:, 0].flatten(1) @ BASIS[0].flatten()
        spread[kind.__name__] = [float(seen[labels == t].std()) for t in (0, 3)], float(seen.std())
    own, whole = spread["poisoned"]
    assert max(own) < 1e-3 * whole  # the class is written there
    own, whole = spread["scrambled"]
    assert min(own) > 0.2 * whole


def test_an_orthogonal_arm_is_the_same_problem_in_other_coordinates():
    plain = arms.prepare(arms.clean(), DIGITS)
    maps = {"basis": BASIS, "seed": 0}
    for arm in (arms.flipped(BASIS), arms.rotated(1024, seed=0), arms.permuted(**maps), arms.signed(**maps)):
        changed = arms.prepare(arm, DIGITS)
        for a, b in ((plain.train, changed.train), (plain.test, changed.test)):
            rows, others = a[0].flatten(1), b[0].flatten(1)
            assert torch.allclose(rows @ rows.T, others @ others.T, rtol=1e-4, atol=0.05)
            assert (rows - others).abs().max() > 0.5


def test_rotating_first_and_normalising_then_is_another_problem():
    """Why `flipped` is the default: flipped in [0, 1], the mean picture stays in the data."""
    means = {}
    for name, arm in (("after", arms.flipped(BASIS)), ("before", arms.flipped_pixels(BASIS))):
        means[name] = float(arms.prepare(arm, DIGITS).train[0].mean(0).norm())
    plain = float(arms.prepare(arms.clean(), DIGITS).train[0].mean(0).norm())
    assert means["after"] == pytest.approx(plain, rel=1e-3)
    assert means["before"] > 1.1 * plain


def test_carriers_along_the_first_nad_fool_lenet_and_along_a_late_one_do_not(tmp_path):
    """The effect of Fig. 7, at the smallest size that shows it."""
    lenet = architectures.factory("lenet", in_channels=3, num_outputs=10)
    some = [
        arms.clean(),
        *(arms.poisoned(BASIS, i, 0.05, label=str(i)) for i in (0, 600)),
        arms.carriers_alone(BASIS, 0, 0.05, label="alone"),
    ]
    found = image_sweeps.run(
        lenet,
        cifar.Source("digits"),
        some,
        recipe=Recipe.cifar(epochs=12, learning_rate=0.1),
        store=tmp_path,
        progress=False,
    )
    accuracy = dict(zip(found.arm.values, found.test_accuracy.values[:, 0], strict=True))
    assert accuracy["clean"] > 0.9
    assert accuracy["0"] < accuracy["clean"] - 0.2
    assert abs(accuracy["600"] - accuracy["clean"]) < 0.05
    assert float(found.probe_accuracy.sel(arm="0", seed=0)) > 0.15 > float(found.probe_accuracy.sel(arm="600", seed=0))
    assert float(found.train_accuracy.sel(arm="alone", seed=0)) > 0.5
    assert np.isnan(found.probe_accuracy.sel(arm="clean", seed=0))


def test_a_unit_that_fails_is_named_and_the_others_are_there(logreg, tmp_path):
    def broken(images):
        raise RuntimeError("no memory for this picture")

    some = [arms.clean(), arms.Arm("broken", {"kind": "broken"}, normalised=broken)]
    with pytest.raises(sweeps.SweepFailed, match=r"(?s)1 of 2 units failed.*arm 1, seed 0.*no memory") as caught:
        run(logreg, some, tmp_path)
    assert caught.value.dataset.test_accuracy.sel(arm="clean").notnull().all()
    assert caught.value.dataset.test_accuracy.sel(arm="broken").isnull().all()


def test_wrong_arguments_are_refused(logreg, tmp_path):
    with pytest.raises(ValueError, match="none twice"):
        run(logreg, [arms.clean(), arms.clean()], tmp_path)
    with pytest.raises(ValueError, match="without mean and std"):
        run(logreg, [arms.clean()], tmp_path, recipe=Recipe.cifar(mean=(0.5,), std=(0.2,)))
    with pytest.raises(ValueError, match="give name="):
        run(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), [arms.clean()], tmp_path)


class Net(nn.Sequential):
    """Batch norm and dropout: all the state that a checkpoint must carry."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 36, 2)
        )


def cut_off(monkeypatch, after):
    """Make training die at the end of an epoch, as a kill would, after its checkpoint was written."""
    plain = checkpoints.Checkpoint.save

    def save(self, epochs):
        self.seconds = 0
        plain(self, epochs)
        if epochs == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.Checkpoint, "save", save)


def trained(path=None, epochs=6):
    v = directions.fourier(8, 8).vectors[3][None]
    x = torch.randn(300, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + v.float()
    y = (torch.arange(300) % 2).long()
    network = architectures.build(Net, 0)
    recipe = Recipe(epochs=epochs, momentum=0.9, learning_rate=0.05)
    outcome = loop.train(network, x, y, recipe, generator=torch.Generator().manual_seed(1), checkpoint=path)
    return outcome, network


def test_a_training_that_was_cut_off_ends_with_the_numbers_of_one_that_was_not(tmp_path, monkeypatch):
    whole, network = trained()
    path = tmp_path / "unit.checkpoint"
    with monkeypatch.context() as patched:
        cut_off(patched, after=4)
        with pytest.raises(KeyboardInterrupt):
            trained(path)
    steps = []
    plain = loop.LossWatch.end_of_epoch
    monkeypatch.setattr(loop.LossWatch, "end_of_epoch", lambda self, *a: steps.append(1) or plain(self, *a))
    resumed, other = trained(path)
    assert len(steps) == 2  # epochs 5 and 6
    assert resumed == whole
    for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_damaged_checkpoint_is_ignored_and_another_runs_is_refused(tmp_path, monkeypatch):
    whole, _ = trained()
    path = tmp_path / "unit.checkpoint"
    with monkeypatch.context() as patched:
        cut_off(patched, after=2)
        with pytest.raises(KeyboardInterrupt):
            trained(path)
    with pytest.raises(ValueError, match="checkpoint of this training run"):
        trained(path, epochs=7)
    path.write_bytes(path.read_bytes()[:-100])
    assert trained(path)[0] == whole


SCRIPT = """
import sys
from anisotropy.experiments import image_sweeps
from anisotropy.images import arms, cifar
from anisotropy.models import architectures
from anisotropy.training import checkpoints
from anisotropy.training import Recipe
checkpoints.SECONDS = 0
checkpoints.Checkpoint.__init__.__kwdefaults__["seconds"] = 0
image_sweeps.run(
    architectures.factory("lenet", in_channels=3, num_outputs=10), cifar.Source("digits", train=400, test=100),
    [arms.clean()], recipe=Recipe.cifar(epochs=int(sys.argv[2])), store=sys.argv[1], progress=False)
"""


def test_a_killed_driver_leaves_a_checkpoint_that_the_next_one_uses(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "2000"], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 300  # a busy machine needs more than the second that this takes
    while not list(tmp_path.glob("*/*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = tmp_path.glob("*/*.checkpoint")
    assert checkpoints.read(left)["epochs"] >= 1
    assert not list(Path(tmp_path).glob("*/*.json"))


def test_a_finished_unit_leaves_no_checkpoint(tmp_path):
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), "3"], check=True)
    assert not list(tmp_path.glob("*/*.checkpoint"))
    assert len(list(tmp_path.glob("*/*.json"))) == 1


def test_images_of_the_reader_s_own(logreg, tmp_path):
    """The same pictures as tensors give the same numbers, and others are filed apart."""
    own = cifar.Tensors("mine", train=DIGITS.load("train"), test=DIGITS.load("test"))
    some = [arms.clean(), arms.poisoned(BASIS, 0, 0.05, label="first")]
    expected = run(logreg, some, tmp_path / "source")
    arguments = {"recipe": RECIPE, "store": tmp_path / "own", "progress": False}
    found = image_sweeps.run(logreg, own, some, **arguments)
    assert (found.test_accuracy.values == expected.test_accuracy.values).all()
    changed = cifar.Tensors("mine", train=(own.train[0].flip(3), own.train[1]), test=own.test)
    image_sweeps.run(logreg, changed, some, **arguments)
    assert len(list((tmp_path / "own").glob("*/*.json"))) == 4


def test_images_of_the_reader_s_own_that_do_not_fit_are_refused():
    images, labels = DIGITS.load("test")
    for part, message in (
        ((images / 255, labels), "as uint8"),
        ((images, labels.int()), r"labels\.long\(\)"),
        ((images, labels[:-1]), "int64"),
        (images, r"train=\(images, labels\)"),
    ):
        with pytest.raises(ValueError, match=message):
            cifar.Tensors("mine", train=part, test=(images, labels))
    with pytest.raises(TypeError, match="images as a torch"):
        cifar.Tensors("mine", train=(np.zeros((2, 3, 8, 8)), labels), test=(images, labels))
