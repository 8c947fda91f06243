"""The measures of 05_poisoning: where carriers lie, what they cost, what foretells it, and the verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from anisotropy._util import checks
from anisotropy.images import arms
from anisotropy.nads import Nads
from anisotropy.paper import claims, image_studies

LAST = 1022
"""Largest index of a carrier: ten classes in three channels take two of the 1,024 directions, see `carriers`."""

STRENGTHS = (0.25, 1.0, 4.0)
"""Epsilons that are tried beside the others, as multiples of the one that is used: a factor of sixteen in all."""

STRENGTH_AT = (0, 30, 300)
"""NADs at which they are tried: one that misleads, one behind the edge of LeNet's curve, and a late one."""


@dataclass(frozen=True)
class Places:
    """Indices of carriers.

    Attributes:
        along: of carriers along the network's NADs, rising.
        scrambled: of those that are drawn at random for each image, the first of `along` among them.
        control: in other bases, and of carriers that are all there is.
    """

    along: list[int]
    scrambled: list[int]
    control: list[int]

    @property
    def families(self) -> dict[str, list[int]]:
        """Basis -> indices in it, of all carriers that tell the true class. One random direction is like another."""
        return {"NAD": self.along, "gradient": self.control, "Fourier": self.control, "random": self.control[:1]}

    @property
    def every(self) -> list[tuple[str, int]]:
        """Basis and index of each of them."""
        return [(family, i) for family, indices in self.families.items() for i in indices]


def places(carriers: Sequence[str]) -> Places:
    """Places from lines of a word and indices.

    Example:
        >>> places(["NAD 0 3 300", "scrambled 0", "control 0 30"]).along
        [0, 3, 300]

    Raises:
        ValueError: another word or one twice, what is no index from 0 to `LAST`, fewer than two NADs or indices that do
            not rise, or no scrambled carrier at the first NAD.
    """
    form = 'expected carriers such as ["NAD 0 30 300", "scrambled 0", "control 0 30"], indices rising'
    found = {}
    for line in carriers:
        word, *indices = line.split() or [""]
        if word not in ("NAD", "scrambled", "control") or word in found:
            raise ValueError(f"{form}, each of the three words once, got {line!r}")
        if not indices or not all(i.isdecimal() and int(i) <= LAST for i in indices):
            raise ValueError(f"{form} from 0 to {LAST}, got {line!r}")
        found[word] = [int(i) for i in indices]
        if found[word] != sorted(set(found[word])):
            raise ValueError(f"{form}, got {line!r}")
    if len(found) < 3 or len(found["NAD"]) < 2:
        raise ValueError(f"{form}, all three words and two NADs or more, got {list(carriers)}")
    if found["NAD"][0] not in found["scrambled"]:
        raise ValueError(
            f"expected a scrambled carrier at NAD {found['NAD'][0]}, the first of all, to compare with, got "
            f"scrambled {found['scrambled']}"
        )
    return Places(found["NAD"], found["scrambled"], found["control"])


def along(basis: Nads, where: Places, epsilon: float) -> list[arms.Arm]:
    """Arms of Fig. 7: no carrier, one along each NAD, and those of random classes.

    Args:
        basis: the NADs.
        where: see `places`.
        epsilon: strength of the carriers.
    """
    told = [arms.poisoned(basis, i, epsilon, label=f"NAD {i}") for i in where.along]
    return [arms.clean(), *told, *(arms.scrambled(basis, i, epsilon, label=f"scrambled {i}") for i in where.scrambled)]


def elsewhere(bases: Mapping[str, Any], where: Places, epsilon: float) -> list[arms.Arm]:
    """Arms with carriers in other bases than the NADs.

    Args:
        bases: family, as in `Places.families`, -> NADs, or another basis of grey pictures.
        where: see `places`.
        epsilon: strength of the carriers.
    """
    others = [(family, i) for family, i in where.every if family != "NAD"]
    return [arms.poisoned(bases[family], i, epsilon, label=f"{family} {i}") for family, i in others]


def further(basis: Nads, where: Places, epsilon: float) -> list[arms.Arm]:
    """Arms of two more questions: carriers of other strengths, and carriers alone; arguments as for `along`."""
    alone = [arms.carriers_alone(basis, i, epsilon, label=f"alone {i}") for i in where.control]
    other = [(e, i) for e in strengths(epsilon) for i in STRENGTH_AT]
    return [*alone, *(arms.poisoned(basis, i, e, label=strong(e, i)) for e, i in other)]


APART = {"added": ("none", "nothing erased, carrier added"), "written": ("all", "all six erased, own carrier written")}
"""Arms that tell reading a carrier from missing what it displaced: what is erased of an image, and words for it."""

UNTOLD, UNTOLD_WORDS = "untold", "all six erased, a random class's carrier written"
"""Arms as "written", with the carrier of a class drawn at random, which tells nothing."""

RELEASED = "released: own coefficient replaced"


def apart(basis: Nads, where: Places, epsilon: float) -> list[arms.Arm]:
    """Arms that take Fig. 7 apart, at each NAD: nothing erased; all carriers' coefficients erased first; and the same
    with carriers of random classes. Arguments as for `along`.
    """
    told = [
        arms.poisoned(basis, i, epsilon, label=f"{name} {i}", erase=erase)
        for name, (erase, _) in APART.items()
        for i in where.along
    ]
    return told + [arms.scrambled(basis, i, epsilon, label=f"{UNTOLD} {i}", erase="all") for i in where.along]


def strengths(epsilon: float) -> list[float]:
    """The epsilons that are tried."""
    return [factor * epsilon for factor in STRENGTHS]


def strong(epsilon: float, index: int) -> str:
    """Label of the arm with a carrier of this strength."""
    return f"epsilon {epsilon:g}, NAD {index}"


@dataclass(frozen=True)
class Costs:
    """What carriers cost a network, by seed; accuracies are fractions, differences are paired.

    Attributes:
        first: accuracy lost to the first carrier.
        scrambled: of that, what carriers of random classes at the same place do not cost.
        late: accuracy lost to the last carrier.
        order: rank correlation of index and accuracy.
    """

    first: np.ndarray
    scrambled: np.ndarray
    late: np.ndarray
    order: np.ndarray


def costs(found: xr.Dataset, where: Places) -> Costs:
    """Costs of a network from its table of `along`."""
    accuracy = found.test_accuracy
    clean, first, last, drawn = (
        accuracy.sel(arm=arm).values
        for arm in ("clean", f"NAD {where.along[0]}", f"NAD {where.along[-1]}", f"scrambled {where.along[0]}")
    )
    ours = accuracy.sel(arm=[f"NAD {i}" for i in where.along]).transpose("seed", "arm").values
    order = np.array([spearmanr(where.along, each)[0] for each in ours])
    return Costs(clean - first, clean - first - (clean - drawn), clean - last, order)


@dataclass(frozen=True)
class Prediction:
    """Carriers in several bases, before and after training.

    Attributes:
        response: (K,) v^T C v, averaged over a carrier's two directions.
        accuracy: (K, seeds) on clean test images, fractions.
    """

    response: np.ndarray
    accuracy: np.ndarray

    @property
    def correlation(self) -> np.ndarray:
        """Rank correlation of the two, by seed: -1 where the stronger response always does the greater damage."""
        return np.array([spearmanr(self.response, column)[0] for column in self.accuracy.T])


def response(measured: Nads, basis: Any, index: int) -> float:
    """Response v^T C v that a covariance expects of a carrier, averaged over its two directions.

    Args:
        measured: the NADs, whose covariance is C.
        basis: that of the carrier.
        index: its place there.
    """
    two = checks.directions(basis)[index : index + 2].flatten(1).double()
    return float(((two @ measured.directions.flatten(1).double().T) ** 2 @ measured.eigenvalues.double()).mean())


def foretold(
    found: xr.Dataset, controls: xr.Dataset, measured: Nads, bases: Mapping[str, Any], where: Places
) -> Prediction:
    """Responses to all carriers beside the accuracies after training.

    Args:
        found: table of `along`.
        controls: table of `elsewhere`; its seeds are compared.
        measured: NADs whose covariance predicts.
        bases: family -> basis.
        where: see `places`.
    """
    reached = [
        (found if family == "NAD" else controls).test_accuracy.sel(arm=f"{family} {i}", seed=controls.seed).values
        for family, i in where.every
    ]
    return Prediction(np.array([response(measured, bases[f], i) for f, i in where.every]), np.array(reached))


def verdicts(
    plan: image_studies.Plan, found: xr.Dataset, better: np.ndarray, where: Places, images: str
) -> Iterator[claims.Claim]:
    """The claims of Fig. 7 and its controls for one network.

    Args:
        plan: how it was trained.
        found: table of `along`.
        better: by seed, the rank correlation of gradients less that of secants: above 0 the secant foretells the damage
            better.
        where: see `places`.
        images: "digits" or "cifar10".
    """
    mark, digits = image_studies.rounding(images)
    easy = noisy = ""  # why a question cannot be decided here
    if images == image_studies.DIGITS:
        if plan.width != 1.0:
            yield claims.undecided(f"{plan.title}, the same questions", "Fig. 7", "a narrow network on few digits")
            return
        easy = "digits are fitted more easily than CIFAR-10"
        noisy = "small networks on digits do not tell it from noise; the figure shows them"
    single = "one seed of the controls; the figure shows it" if len(better) == 1 else ""
    cost, error = costs(found, where), 1 - found.train_accuracy.mean("arm").values
    first, late = (f"accuracy lost to a carrier at NAD {where.along[k]}" for k in (0, -1))
    beyond = "of which beyond that of a carrier of random classes"
    damage = "prediction of the damage, secants over gradients"
    for statement, reference, values, claim, bound, why in (
        ("training error, mean over arms", "Sec. 4.2", error, claims.at_most, 0.1, easy),
        (first, "Fig. 7", cost.first, claims.at_least, 0.2, ""),
        (beyond, "Sec. 4.2", cost.scrambled, claims.at_least, 0.1, ""),
        (late, "Fig. 7", cost.late, claims.at_most, 0.03, noisy),
        ("rank corr. of index and accuracy", "Fig. 7", cost.order, claims.at_least, 0.5, noisy),
        (damage, "Sec. 3", better, claims.at_least, 0, single),
    ):
        if why:
            yield claims.undecided(f"{plan.title}, {statement}", reference, why)
        else:
            numbers = {"bound": bound, "digits": digits, **claims.mean(values)}
            yield claim(f"{plan.title}, {statement}{mark}", reference, **numbers)


def separated(found: Mapping[str, Sequence[int]], where: Places, images: str) -> claims.Claim:
    """The claim that the carriers alone separate the poisoned set, from what `separable` found of each network."""
    mark, digits = image_studies.rounding(images)
    share = sum(map(len, found.values())) / (len(found) * len(where.along))
    text = f"share of positions separable by the carriers alone{mark}"
    return claims.at_least(text, "Sec. 4.2", share, 1.0, digits=digits)
