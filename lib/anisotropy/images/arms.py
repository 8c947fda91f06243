"""Arms of an experiment on images: what is done to the training and to the test set, and a name to file it under."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from anisotropy._util import checks
from anisotropy.directions import bases
from anisotropy.images import cifar, interventions
from anisotropy.nads import naming

Images = torch.Tensor
"""(n, C, H, W) float32."""


@dataclass(frozen=True)
class Arm:
    """One arm. The functions below make the arms of the paper and their controls.

    The order of things is: images in [0, 1]; `train` and `test`; mean and standard deviation of each channel of the
    training set taken away; `normalised`. An orthogonal map comes last, so that what the network sees is the original
    problem in other coordinates, to the last digit. (Were it applied before, the mean of all pictures would move from
    the constant direction into others, where subtracting a mean per channel leaves it.)

    Attributes:
        label: for tables and figures.
        identity: plain values on which the numbers depend.
        train: of (images, labels), for the training set; None for nothing.
        test: likewise for the test set.
        normalised: of images, for both sets after normalisation; None for nothing.
        probe: of (test images, labels) in [0, 1] -> (images, labels) on which the trained network is measured as well.
    """

    label: str
    identity: dict
    train: Callable[[Images, torch.Tensor], Images] | None = field(default=None, repr=False)
    test: Callable[[Images, torch.Tensor], Images] | None = field(default=None, repr=False)
    normalised: Callable[[Images], Images] | None = field(default=None, repr=False)
    probe: Callable[[Images, torch.Tensor], tuple[Images, torch.Tensor]] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Prepared:
    """What a network is trained and tested on; `probe` is None where the arm has none."""

    train: tuple[Images, torch.Tensor]
    test: tuple[Images, torch.Tensor]
    probe: tuple[Images, torch.Tensor] | None


def prepare(arm: Arm, source: cifar.Source) -> Prepared:
    """Load the images and do to them what the arm says.

    Args:
        arm: see `Arm`.
        source: which images.

    Returns:
        Float32 images, normalised, and labels.
    """
    images, labels = source.load("train")
    test_images, test_labels = source.load("test")
    train, test = cifar.to_unit(images), cifar.to_unit(test_images)
    probe = arm.probe(test, test_labels) if arm.probe else None
    train = arm.train(train, labels) if arm.train else train
    test = arm.test(test, test_labels) if arm.test else test
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in cifar.statistics(train))

    def finish(pictures: Images) -> Images:
        pictures = (pictures - mean) / std
        return arm.normalised(pictures) if arm.normalised else pictures

    return Prepared(
        (finish(train), labels), (finish(test), test_labels), None if probe is None else (finish(probe[0]), probe[1])
    )


def clean() -> Arm:
    """Return the arm without an intervention."""
    return Arm("clean", {"kind": "clean"})


def poisoned(basis: Any, index: int, epsilon: float, *, label: str, classes: int = 10, erase: str = "own") -> Arm:
    """Return the arm whose training set is poisoned (Fig. 7), see `interventions.poison`; the test set is clean.

    Its probe asks whether the trained network follows the carrier or the picture: each test image gets the carrier of
    another class, drawn once, and counts as right where the network answers the carrier's class.
    """

    def train(images, labels):
        return interventions.poison(images, labels, basis, index, epsilon, classes=classes, erase=erase)[0]

    def probe(images, labels):
        shift = torch.randint(1, classes, labels.shape, generator=torch.Generator().manual_seed(0))
        others = (labels + shift) % classes
        return train(images, others), others

    return Arm(label, _carried("poisoned", basis, index, epsilon, classes, erase), train=train, probe=probe)


def scrambled(basis: Any, index: int, epsilon: float, *, label: str, classes: int = 10, erase: str = "own") -> Arm:
    """Return the arm whose training images carry the carrier of a class drawn at random: no information.

    Poisoning also takes content of the image away, which along early NADs is much of the picture. This arm takes
    as much away, so what it costs is not the network's preference for the carrier.
    """

    def train(images, labels):
        drawn = torch.randint(0, classes, labels.shape, generator=torch.Generator().manual_seed(1))
        return interventions.poison(images, drawn, basis, index, epsilon, classes=classes, erase=erase)[0]

    return Arm(label, _carried("scrambled", basis, index, epsilon, classes, erase), train=train)


def carriers_alone(basis: Any, index: int, epsilon: float, *, label: str, classes: int = 10) -> Arm:
    """Return the arm that is trained on poisoned images projected onto the carriers: all else is gone.

    Its training accuracy says whether the network can use the carriers at all. Its test set is the clean one,
    projected as well.
    """

    def train(images, labels):
        changed, pictures = interventions.poison(images, labels, basis, index, epsilon, classes=classes)
        return interventions.project(changed, pictures)

    def test(images, labels):
        pictures = interventions.carriers(basis, index, classes=classes, channels=images.shape[1])
        return interventions.project(images, pictures.to(images))

    return Arm(label, _carried("carriers alone", basis, index, epsilon, classes), train=train, test=test)


def _carried(kind: str, basis: Any, index: int, epsilon: float, classes: int, erase: str = "own") -> dict:
    """Identity of an arm with carriers, in plain numbers: those of numpy are no JSON. "own" is what it always was."""
    numbers = {
        "index": checks.whole(index, "index", 0),
        "epsilon": checks.number(epsilon, "epsilon"),
        "classes": checks.whole(classes, "classes"),
    }
    numbers |= {} if erase == "own" else {"erase": erase}
    return {"kind": kind, "basis": _named(basis)} | numbers | _version()


def flipped(basis: Any, *, label: str = "flipped") -> Arm:
    """Return the arm whose coefficients are reversed in training and test set (Fig. 8), see `interventions.flip`."""
    return Arm(
        label,
        {"kind": "flipped", "basis": _named(basis)} | _version(),
        normalised=lambda images: interventions.flip(images, basis),
    )


def flipped_pixels(basis: Any, *, label: str = "flipped before normalisation") -> Arm:
    """Return the arm that is flipped in [0, 1], before mean and standard deviation are taken away.

    The picture of the mean, nearly constant, then becomes a strong pattern along the last directions.
    """

    def change(images, labels):
        return interventions.flip(images, basis)

    return Arm(label, {"kind": "flipped pixels", "basis": _named(basis)} | _version(), train=change, test=change)


def permuted(basis: Any, *, seed: int, label: str = "permuted") -> Arm:
    """Return the arm whose coefficients are permuted at random: the same basis, no order."""
    seed = checks.seed(seed)
    order = torch.randperm(len(checks.directions(basis, "a basis")), generator=torch.Generator().manual_seed(seed))
    return Arm(
        label,
        {"kind": "permuted", "basis": _named(basis), "seed": seed} | _version(),
        normalised=lambda images: interventions.permute(images, basis, order),
    )


def signed(basis: Any, *, seed: int, label: str = "signs") -> Arm:
    """Return the arm of `interventions.random_signs`: each direction holds as much of the classes as before."""
    seed = checks.seed(seed)
    return Arm(
        label,
        {"kind": "signed", "basis": _named(basis), "seed": seed} | _version(),
        normalised=lambda images: interventions.random_signs(images, basis, seed=seed),
    )


def rotated(size: int, *, seed: int, label: str = "rotated") -> Arm:
    """Return the arm that is rotated at random: `size` is H W (each channel by itself) or C H W."""
    size, seed = checks.whole(size, "size"), checks.seed(seed)
    return Arm(
        label,
        {"kind": "rotated", "size": size, "seed": seed} | _version(),
        normalised=lambda images: interventions.rotate(images, _rotation(size, seed)),
    )


@lru_cache(maxsize=2)
def _rotation(size: int, seed: int) -> torch.Tensor:
    """Drawn where it is used: a worker gets the seed, not the matrix."""
    return bases.random_rotation(size, generator=torch.Generator().manual_seed(seed))


def _version() -> dict:
    return {"interventions": interventions.NUMERICS}


def _named(basis: Any) -> dict:
    """Name a basis by how it was made, where that is known, else by its content."""
    return naming.basis(basis)
