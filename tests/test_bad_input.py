"""What a user may get wrong: answered before it costs time, by what was expected, what came, and what to do.

Cases that belong to one function's own rules are in that module's tests; these are the mistakes that Python or torch
would answer with a message about their own insides, or would let pass.
"""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from anisotropy import directions, nads, training
from anisotropy._util import checks
from anisotropy.cli import reproduce
from anisotropy.experiments import image_sweeps, sweeps
from anisotropy.images import arms, cifar, class_energy, interventions
from anisotropy.models import architectures
from anisotropy.paper import claims, passports, plotting, published
from anisotropy.training import Recipe
from torch import nn

NAN, INF = math.nan, math.inf
NET = architectures.factory("logreg", image_size=8)
TWO = architectures.factory("logreg", image_size=8, num_outputs=2)
TEN = architectures.factory("logreg", in_channels=3, num_outputs=10)
FOURIER = directions.fourier(8, 8)
BASIS = FOURIER.vectors[:, None]
MINE = nads.Nads(torch.arange(64, 0, -1).double(), BASIS.float(), 2)
IMAGES = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 2
SMALL = {"recipe": Recipe(epochs=1, batch_size=32), "train_samples": 64, "test_samples": 32, "progress": False}
GENERATOR = torch.Generator().manual_seed(0)


class Pair(nn.Module):
    """Returns two things."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(64, 1)

    def forward(self, x):
        return self.inner(x.flatten(1)), x


def own(*layers):
    return lambda: nn.Sequential(*(layer() for layer in layers))


def linear(inputs=64, outputs=1):
    return own(nn.Flatten, lambda: nn.Linear(inputs, outputs))


def estimate(factory=NET, *shape, **changes):
    return lambda place: nads.estimate(factory, *shape, **{"networks": 2, **changes})


def sweep(factory=TWO, rows=BASIS[:3], **changes):
    return lambda place: sweeps.run(factory, rows, **{**SMALL, "store": place / "store", **changes})


def images(factory=TEN, source=None, some=None, **changes):
    source = cifar.Source("digits", train=60, test=40) if source is None else source
    given = {"recipe": Recipe(epochs=1), "progress": False, **changes}
    return lambda place: image_sweeps.run(
        factory, source, [arms.clean()] if some is None else some, **{"store": place, **given}
    )


def save(figure=None, name="x", numbers=None):
    def call(place):
        run = passports.Run("01_one", {"preset": "quick"})
        run.save(plt.figure() if figure is None else figure(), name, {"x": [1]} if numbers is None else numbers)

    return call


def table(text):
    def call(place):
        (place / "docs" / "data").mkdir(parents=True)
        (place / "docs" / "data" / "dft_accuracies.csv").write_text(text)
        published.fourier_accuracies(place)

    return call


CASES = {
    # factories
    "a name for a factory": (estimate("lenet"), "got the text 'lenet'; architectures.factory"),
    "one network for a factory": (estimate(NET(), (1, 8, 8)), "got one network; pass a function that makes a new one"),
    "a class that wants arguments": (estimate(nn.Linear, (1, 8, 8)), "Linear, which wants arguments .*lambda: Linear"),
    "nothing for a factory": (estimate(None, (1, 8, 8)), "expected a factory, .*got None"),
    "sweep of a name": (sweep("lenet", name="x"), "got the text 'lenet'; architectures.factory"),
    "sweep of one network": (sweep(TWO(), name="x"), "got one network; pass a function"),
    "images and a name": (images("lenet", name="x"), "got the text 'lenet'; architectures.factory"),
    "architecture 3": (lambda _: architectures.factory(3), "name of an architecture, such as 'lenet', got 3"),
    "size as text": (
        lambda _: architectures.factory("lenet", image_size="32"),
        "image_size, or each of its two sides, .*'32'",
    ),
    "1.5 outputs": (lambda _: architectures.factory("lenet", num_outputs=1.5), "num_outputs as a whole number .*1.5"),
    # estimates
    "shape of four": (
        estimate(linear(), (1, 1, 8, 8)),
        r"one to three positive whole numbers, \(C, H, W\) of images, .*, got \(1, 1, 8,",
    ),
    "shape 8": (estimate(linear(), 8), "one to three positive whole numbers, .*, got 8"),
    "a shape with 0": (estimate(linear(), (8, 0)), r"positive whole numbers, .*, got \(8, 0"),
    "no shape": (estimate(linear(), ()), r"positive whole numbers, .*, got \(\)"),
    "a flip of a graph": (
        lambda _: nads.estimate(linear(), (16, 4), symmetry=("h",), networks=2),
        r"\"auto\" or \"none\" for inputs of shape \(16, 4\), got \('h',\): .* pixels of images",
    ),
    "mps": (lambda _: nads.estimate(NET, networks=2, device="mps"), "no float64"),
    "a seed beyond torch's": (lambda _: nads.estimate(NET, networks=2, seed=2**70), r"seed below 2\*\*63"),
    "seeds beyond torch's": (lambda place: sweeps.run(TWO, BASIS[:1], seeds=(2**70,), store=place), r"below 2\*\*63"),
    "images too large": (estimate(linear(), (1, 9, 9)), r"refuses an input of shape \(1, 9, 9\): .*shape="),
    "images too small": (estimate(own(lambda: nn.Conv2d(1, 2, 9)), (1, 4, 4)), r"refuses .*\(1, 4, 4\).*shape="),
    "wrong channels": (estimate(own(lambda: nn.Conv2d(3, 2, 3)), (1, 8, 8)), "refuses .*3 channels.*shape="),
    "two things returned": (estimate(Pair, (1, 8, 8)), "one output per image, got an object of type tuple"),
    "nothing random": (estimate(nn.Flatten, (1, 1, 1)), "random parameters, got one without any"),
    "True networks": (estimate(networks=True), "networks .* at least 1, got True"),
    "an argument that there is not": (estimate(colour="red"), r"estimate\(\) has no argument 'colour'$"),
    "an argument of before": (estimate(method="gradient"), r"it is response=Secant\(\), Gradient\(\) or Mixed\(\)"),
    "a response by name": (estimate(response="secant"), r"expected a response, Secant\(\) or .*, got 'secant'"),
    "a class for a response": (estimate(response=nads.Secant), r"expected a response, Secant\(\) or"),
    "a dipole for a covariance": (estimate(response=nads.Dipole()), r"Mixed\(\), got an object of type Dipole"),
    "step as text": (lambda _: nads.Secant("big"), "step as a finite number, got 'big'"),
    "a step of 0": (lambda _: nads.Secant(0), "a step of at least 3.1e-05 in torch.float32, got 0"),
    "a step back": (lambda _: nads.Dipole(-1.0), "a step of at least 3.1e-05 in torch.float32, got -1"),
    "a step lost in rounding": (lambda _: nads.Secant(1.0, dtype="bfloat16"), "at least 2 in torch.bfloat16, got 1"),
    "infinite step": (estimate(response=nads.Secant(INF)), "step as a finite number, got inf"),
    "unknown dtype": (lambda _: nads.Mixed(dtype="float12"), 'expected dtype "float32"'),
    "integers": (lambda _: nads.Secant(dtype="int8"), 'expected dtype "float32"'),
    "no such point": (lambda _: nads.Secant(at="one"), "expected at=.*, got 'one'"),
    "no probes": (lambda _: nads.Mixed(probes=0), "probes as .*at least 1, got 0"),
    "seed -1": (estimate(seed=-1), "seed as a whole number of at least 0, got -1"),
    "seed 1.5": (estimate(seed=1.5), "seed as a whole number of at least 0, got 1.5"),
    "unknown device": (estimate(device="gpu"), "a device that torch can use, 'cpu', 'cuda' .*got 'gpu'"),
    "chunk 0": (lambda _: nads.Gradient(chunk=0), "chunk as a whole number of at least 1, got 0"),
    "NaN as the point": (lambda _: nads.Secant(at=torch.full((1, 8, 8), NAN)), "64 of 64 numbers that are NaN"),
    "an array as the point": (
        lambda _: nads.Secant(at=np.zeros((1, 8, 8))),
        "evaluation point as a torch.Tensor, got ndarray",
    ),
    "rank 2.5": (estimate(rank=2.5), "rank as a whole number of at least 1, got 2.5"),
    "until no networks": (lambda _: nads.Until(most=0), "most as .*at least 2, got 0"),
    "until k of 2.5": (lambda _: nads.Until(k=2.5), "k as .*at least 1, got 2.5"),
    "until more than all": (lambda _: nads.Until(overlap=1.5), "0 < overlap <= 1, got 1.5"),
    "no draws": (lambda _: nads.Gradient(draws=0), "draws as .*at least 1, got 0"),
    "unknown symmetry": (estimate(symmetry="all"), "expected symmetry .*got 'all'"),
    "1.5 workers": (estimate(workers=1.5), "workers as a whole number of at least 1, got 1.5"),
    "a folder as the state": (lambda place: nads.estimate(NET, networks=2, state=place), "a file .*found a folder"),
    # NADs
    "NADs of None": (lambda _: nads.load(None), "expected a name out of .*'lenet'.*got None"),
    "no NADs": (lambda _: nads.Nads(torch.zeros(0), torch.zeros(0, 1, 8, 8), 2), "1 <= k"),
    "settings that are no values": (
        lambda place: nads.Nads(MINE.eigenvalues, MINE.directions, 2, settings={"a": object()}).save(place / "x"),
        "settings of numbers, text",
    ),
    "energy of another size": (lambda _: MINE.energy(torch.zeros(4, 1, 4, 4)), r"shape \(K, 1, 8, 8\), got \(4, 1, 4"),
    # sweeps
    "directions as a list": (sweep(rows=BASIS[:3].tolist()), "as a torch.Tensor, got .*list; torch.as_tensor"),
    "an array of words": (sweep(rows=np.array(["a"])), "as a torch.Tensor, got ndarray"),
    "NaN in a direction": (sweep(rows=torch.cat([BASIS[:1], BASIS[:1] * NAN])), "number 1 has norm nan"),
    "one output": (sweep(NET), "at least 2 outputs, one per class, got 1: .*num_outputs=2"),
    "one output of one's own": (sweep(linear(), name="one"), "expected a network that returns .*2 outputs"),
    "another size": (sweep(architectures.factory("logreg", num_outputs=2)), r"inputs of shape \(1, 32, 32\), got"),
    "one seed": (sweep(seeds=5), r"seeds as a sequence such as \(0, 1, 2\) or range\(3\), got 5"),
    "negative seeds": (sweep(seeds=(-1,)), "each seed as a whole number of at least 0, got -1"),
    "a mapping for a recipe": (sweep(recipe={"epochs": 1}), r"training.Recipe\(...\) or None, got .*dict"),
    "10.5 samples": (sweep(train_samples=10.5), "train_samples as a whole number of at least 1, got 10.5"),
    "samples as text": (sweep(test_samples="10"), "test_samples as a whole number of at least 1, got '10'"),
    "block -1": (sweep(block=-1), "block as a whole number of at least 1, got -1"),
    "no store": (sweep(store=None), "store as the path of a folder, got None"),
    "an empty store": (sweep(store=""), "store as the path of a folder, got ''"),
    "no engine": (sweep(engine=None), "expected the engine 'serial'.*got None"),
    "infinite epsilon": (sweep(epsilon=INF), "epsilon as a finite number, got inf"),
    "sigma as text": (sweep(sigma="3"), "sigma as a finite number, got '3'"),
    "a coordinate twice": (sweep(coordinates={"sigma": [1, 2, 3]}), "'sigma' is one of the table's own"),
    "a GPU that is not there": (sweep(device="cuda:99"), "a device that torch can use, .*got 'cuda:99'"),
    # images
    "a name for images": (images(source="digits"), r"images as a cifar.Source\(...\), or .* got 'digits'"),
    "one arm": (images(some=arms.clean()), r"a list of arms, such as \[arms.clean\(\)\]"),
    "names of arms": (images(some=["clean"]), r"a list of arms, such as \[arms.clean\(\)\]"),
    "grey networks": (
        images(architectures.factory("logreg", num_outputs=10)),
        r"\(1, 32, 32\), got inputs \(3,",
    ),
    "too few classes": (images(architectures.factory("logreg", in_channels=3)), "at least 10 outputs.*num_outputs=10"),
    "a mapping as recipe": (images(recipe={}), r"training.Recipe\(...\) or None"),
    "CIFAR-10 of None": (lambda _: cifar.load(None, "train"), "root as the path of a folder, got None"),
    "100.5 images": (lambda _: cifar.Source("digits", train=100.5), "number of train images as a whole .*100.5"),
    # interventions
    "flip by nothing": (lambda _: interventions.flip(IMAGES, None), "a basis as a torch.Tensor, got None"),
    "flip an array": (lambda _: interventions.flip(IMAGES.numpy(), BASIS), "images as a torch.Tensor, got ndarray"),
    "flip by NaN": (lambda _: interventions.flip(IMAGES, BASIS * NAN), "orthonormal rows"),
    "poison by half": (lambda _: interventions.poison(IMAGES, LABELS, BASIS, 0.5, 0.1, classes=2), "index as a whole"),
    "poison infinitely": (lambda _: interventions.poison(IMAGES, LABELS, BASIS, 0, INF, classes=2), "epsilon as a fin"),
    "labels as a list": (lambda _: interventions.poison(IMAGES, [0, 1], BASIS, 0, 0.1, classes=2), "labels as a torch"),
    "long carriers": (lambda _: interventions.poison(IMAGES, LABELS, 3 * BASIS, 0, 0.1, classes=2), r"norms \[3.0"),
    "pictures of another size": (lambda _: interventions.project(IMAGES, torch.rand(2, 3, 8, 8)), r"\(T, 1, 8, 8\)"),
    "order as a list": (lambda _: interventions.permute(IMAGES, BASIS, list(range(64))), "order as a torch.Tensor"),
    "rotation by NaN": (lambda _: interventions.rotate(IMAGES, torch.eye(64) * NAN), "orthonormal rows"),
    # alignment
    "NaN aligned": (lambda _: class_energy.measure(IMAGES * NAN, LABELS, BASIS, groups=2), "2,560 of 2,560 numbers"),
    "classes alike": (
        lambda _: class_energy.Alignment(np.array([0.1, -0.3]), np.ones(2), np.ones((2, 2))).leading(1),
        "classes do not differ beyond sampling noise .*take more images",
    ),
    # directions
    "sides as text": (lambda _: directions.fourier("8", 8), "two positive integer sides, got '8' and 8"),
    "-1 directions": (lambda _: directions.random(-1, (1, 8, 8), generator=GENERATOR), "count as a whole .*-1"),
    "a seed for a generator": (lambda _: directions.random(1, (1, 8, 8), generator=0), "torch.Generator.*got 0"),
    "NADs completed": (lambda _: directions.complete(MINE), "torch.Tensor, got an object of type Nads"),
    # training
    "epochs as text": (lambda _: Recipe(epochs="3"), "epochs as a whole number of at least 1, got '3'"),
    "an infinite rate": (lambda _: Recipe(learning_rate=INF), "learning_rate as a finite number, got inf"),
    "no generator": (lambda _: training.train(TWO(), IMAGES, LABELS, generator=None), "torch.Generator.*got None"),
    "labels too large": (lambda _: training.train(TWO(), IMAGES, LABELS + 5, generator=GENERATOR), r"\(n, 7\) scores"),
    "labels below 0": (lambda _: training.train(TWO(), IMAGES, LABELS - 1, generator=GENERATOR), "labels 0, 1, 2"),
    # figures, claims, published tables
    "NaN drawn": (lambda _: plotting.direction(plt.gca(), torch.full((8, 8), NAN)), "direction of finite numbers"),
    "a map in percent": (
        lambda _: plotting.accuracy_map(plt.gca(), np.full((8, 8), 93.0)),
        "fractions .*divide by 100",
    ),
    "an index too large": (lambda _: plotting.gallery({"a": BASIS}, [100]), r"indices \[100\], got Tensor"),
    "many directions drawn": (
        lambda _: plotting.direction(plt.gca(), BASIS),
        r"one direction of shape .*\(64, 1, 8, 8",
    ),
    "a map of three": (
        lambda _: plotting.accuracy_map(plt.gca(), np.ones((3, 8, 8))),
        r"\(H, W\), got shape \(3, 8, 8",
    ),
    "no colour": (lambda _: FOURIER.pictures((0, 0, 0)), "one finite number per channel, not all of them 0"),
    "a colour of NaN": (lambda _: FOURIER.pictures((1, NAN)), "one finite number per channel"),
    "carriers of two channels": (
        lambda _: interventions.carriers(FOURIER.pictures((1, 1)), 0, classes=2, channels=3),
        r"\(K, 1, H, W\) or \(K, 3, H, W\) .*got \(64, 2, 8, 8",
    ),
    "an empty gallery": (lambda _: plotting.gallery({}, [1]), "at least one network"),
    "a gallery of NADs": (lambda _: plotting.gallery({"a": MINE}, [1]), "'a' as an array"),
    "axes saved": (save(plt.gca), "matplotlib Figure, got .*Axes; an Axes has its .figure"),
    "numbers without names": (save(numbers=[1, 2]), "numbers behind figure 'x' by name"),
    "claims as a list": (
        lambda _: passports.Run("01_one", {"preset": "quick"}).save_claims([claims.undecided("a", "b", "c")]),
        r"claims.Table\(\[...\]\)",
    ),
    "nothing measured": (lambda _: claims.at_least("a", "b", None, 1), "one number each, got None .*claims.undecided"),
    "many measured": (lambda _: claims.at_most("a", "b", torch.rand(3), 1), r"Tensor of shape \(3,\)"),
    "text in a table": (table("x,y,acc_ln\n0,0,ab\n"), "a number in column 'acc_ln', got 'ab'; .*fetch it again"),
    "a table cut short": (table("x,y,acc_ln\n0,0\n"), "a number in column 'acc_ln', got None"),
    "an empty table": (table(""), "a file without rows; fetch it again"),
}


@pytest.mark.parametrize("case", CASES)
def test_mistakes_are_named(case, tmp_path):
    call, message = CASES[case]
    with pytest.raises((TypeError, ValueError, FileNotFoundError, sweeps.SweepFailed), match=f"(?s){message}"):
        call(tmp_path)
    plt.close("all")
    assert not [path for path in tmp_path.rglob("*.json") if path.parent.name != "figures"]  # nothing was kept of it


def test_what_is_right_passes_the_checks():
    assert checks.whole(np.int64(3), "n") == 3
    assert checks.number(torch.tensor(0.5), "x") == 0.5
    assert checks.seeds(np.array([2, 0])) == [2, 0]
    assert checks.seeds(range(2)) == [0, 1]
    assert checks.device("cpu") == "cpu"
    assert checks.factory(torch.nn.Flatten) is torch.nn.Flatten
    assert checks.tensor(LABELS, "labels") is LABELS
    assert checks.described(SimpleNamespace(shape=(1, 2))) == "SimpleNamespace of shape (1, 2)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell-timeout", "0"], "--cell-timeout 0: expected at least 1 second"),
        (["--jobs", "-1"], "--jobs -1: expected at least 1"),
        (["--set", "preset=paper"], "a preset is chosen with --preset"),
        (["--set", "=1"], "expected name=value"),
        (["--only", "/etc/passwd"], "unknown notebook"),
        (["--preset", "quick\n"], "unknown preset"),
        (["--jobs", "two"], "invalid int value: 'two'"),
        (["--outputt", "x"], "did you mean '--output'"),
    ],
)
def test_the_command_line_names_mistakes(arguments, message, capsys, tmp_path):
    try:
        code = reproduce.main(["--list", "--output", str(tmp_path / "out"), *arguments])
    except SystemExit as error:  # argparse
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
