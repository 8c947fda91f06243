"""The measures of 04_accuracy_along_nads: does accuracy fall along NADs, what foretells it best; and the verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from anisotropy.experiments.prediction_measures import FAMILIES, STEP
from anisotropy.paper import claims, plotting

SIGMA = 1.0
"""Noise of the trainings: lower than in Fig. 1, and that of the setting that fits the published curve."""

SETTINGS = ((1.0, "text"), (1.0, "code"), (3.0, "text"))
"""Noises and conventions that are tried against the published curve; Fig. 6's are not in the paper."""

FIT_AT = [22, 50, 102, 202]
"""Indices at which they are compared: the authors trained along these NADs, and interpolated between."""

TABLE = "2c568563e206a56a1d301395f575de7f4a6fef7c63563856972cf25f6054d295"
"""SHA-256 of the authors' table of Fig. 6, `docs/data/nads.csv`."""


@dataclass(frozen=True)
class Question:
    """A network that is asked which definition of NADs foretells its accuracies best, and how it is trained."""

    name: str
    width: float
    samples: int
    epochs: int

    @property
    def label(self) -> str:
        """Name in print, with its width where it is not the paper's."""
        return plotting.LABELS.get(self.name, self.name) + (f" x {self.width:g}" if self.width != 1 else "")


def questions(lines: Sequence[str]) -> list[Question]:
    """Questions from lines of a network, its width, samples and epochs.

    Example:
        >>> questions(["lenet 1 4000 10"])[0].epochs
        10

    Raises:
        ValueError: a line of another form, numbers out of range, or a network that is asked twice.
    """
    found = []
    for line in lines:
        try:
            name, width, samples, epochs = line.split()
            found.append(Question(name, float(width), int(samples), int(epochs)))
        except ValueError:
            found.append(None)
        if found[-1] is None or not 0 < found[-1].width <= 1 or min(found[-1].samples, found[-1].epochs) < 1:
            raise ValueError(
                'expected questions such as ["lenet 1 4000 10"]: a network, the share of its channels up to 1, samples '
                f"to train on, and epochs; got {line!r}"
            )
    if len({question.name for question in found}) < len(found):
        raise ValueError(f"expected each network once, got questions {list(lines)}")
    return found


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 where all of one are equal, so that nothing is ranked."""
    return float(spearmanr(a, b)[0]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def fall(accuracy: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Rank correlation of index and accuracy (indices, seeds), for each seed: -1 is a perfect fall."""
    return np.array([rank_correlation(indices, column) for column in accuracy.T])


def largest_rise(accuracy: np.ndarray) -> np.ndarray:
    """Largest gain from one index to the next, for each seed; accuracy is (indices, seeds)."""
    return np.diff(accuracy, axis=0).max(0)


@dataclass(frozen=True)
class Answer:
    """How well each definition of NADs foretells the accuracies of one network.

    Attributes:
        energies: definition -> (groups, K) v^T C v of the directions, by measurement of C.
        accuracy: (K, seeds) after training.
        family: (K,) names of the families of the directions.
    """

    energies: Mapping[str, np.ndarray]
    accuracy: np.ndarray
    family: np.ndarray

    @property
    def sets(self) -> dict[str, np.ndarray]:
        """Sets of directions over which is ranked, in words -> which."""
        return {"all directions": self.family != "", "Fourier vectors alone": self.family == FAMILIES[-1]}

    def score(self, definition: str, words: str = "all directions") -> np.ndarray:
        """Rank correlations of response and accuracy, (groups, seeds)."""
        chosen = self.sets[words]
        rows, columns = self.energies[definition][:, chosen], self.accuracy[chosen].T
        return np.array([[rank_correlation(r, c) for c in columns] for r in rows])

    def gain(self, definition: str, words: str = "all directions") -> np.ndarray:
        """By how much a definition ranks better than the gradient, (groups, seeds)."""
        return self.score(definition, words) - self.score(GRADIENT, words)

    def ceiling(self, words: str = "all directions") -> float:
        """Mean rank correlation between two seeds of the training; NaN where there is one."""
        seen = self.accuracy[self.sets[words]].T
        pairs = [rank_correlation(a, b) for k, a in enumerate(seen) for b in seen[:k]]
        return float(np.mean(pairs)) if pairs else float("nan")


GRADIENT = "gradient"


def definitions(steps: Sequence[float]) -> dict[str, float]:
    """Definitions in words -> step; 0 for the gradient."""
    return {GRADIENT: 0.0} | {f"secant, h = {step:g}": float(step) for step in steps}


RELEASED = f"secant, h = {STEP:g}"
"""The definition of the released bases."""


def both(values: np.ndarray) -> dict[str, float | int]:
    """Spread and n of correlations (groups, seeds) as arguments of a claim: both sources are drawn at random."""
    errors = [claims.over(values.mean(axis))["spread"] for axis in (0, 1)]
    return {"spread": float(np.hypot(*errors)), "n": min(values.shape)}


def falls(accuracy: Mapping[str, np.ndarray], indices: Sequence[int], count: int = 1024) -> Iterator[claims.Claim]:
    """The claims of Fig. 6.

    Args:
        accuracy: network -> (indices, seeds).
        indices: of the NADs.
        count: how many NADs there are.
    """
    if "lenet" in accuracy:
        lenet = accuracy["lenet"]
        rho, drop, rise = fall(lenet, indices), lenet[0] - lenet[-1], largest_rise(lenet)
        text = "LeNet, rank corr. of accuracy and index"
        yield claims.at_most(text, "Fig. 6", bound=-0.7, digits=1, **claims.mean(rho))
        text = "LeNet, accuracy, first minus last NAD"
        yield claims.at_least(text, "Fig. 6", bound=0.2, digits=1, **claims.mean(drop))
        text = "LeNet, largest rise of accuracy from one index to the next"
        steady = claims.at_most(text, "Fig. 6", bound=0.05, digits=1, **claims.mean(rise))
        if steady.verdict == claims.HOLDS and len(indices) < count:
            why = f"none among {len(indices)} indices of {count}; a finer search may find one"
            steady = claims.undecided(text, "Fig. 6", why)
        yield steady
    else:
        yield claims.undecided("LeNet, accuracy along its NADs", "Fig. 6", "LeNet is not among the networks")
    text = "logistic regression, range along its NADs"
    if "logreg" in accuracy:
        yield claims.at_most(text, "Fig. 6", np.ptp(accuracy["logreg"].mean(1)), 0.05, digits=1)
    else:
        yield claims.undecided(text, "Fig. 6", "not among the networks")


def foretells(asked: Mapping[Question, Answer]) -> Iterator[claims.Claim]:
    """The claims on secants against gradients, for the paper's networks and those that were asked."""
    answers = {question.name: answer for question, answer in asked.items()}
    for name in dict.fromkeys(["lenet", "vgg11", "resnet18", *answers]):
        label = plotting.LABELS.get(name, name)
        if name not in answers:
            yield claims.undecided(f"{label}, secants or gradients", "Sec. 3", "not among the networks asked")
            continue
        answer = answers[name]
        last = list(answer.energies)[-1]
        good = answer.score(last)
        text = f"{label}, rank correlation of accuracy and the secants' prediction, {last[8:]}"
        yield claims.at_least(text, "Fig. 6", good.mean(), 0.7, digits=1, **both(good))
        for words, chosen in answer.sets.items():
            win, count = answer.gain(last, words), chosen.sum()
            text = f"{label}, the secants' rank correlation minus the gradient's, {words}"
            if count > 4:  # one order out of count! and its reverse: 5 % from 5 on
                yield claims.at_least(text, "Sec. 3", win.mean(), 0, digits=1, **both(win))
            else:
                yield claims.undecided(text, "Sec. 3", f"chance puts {count} directions into order too often")


def setting(errors: Mapping[str, float]) -> claims.Claim:
    """The claim that one of the settings tried is that of the published curve; `errors` are mean differences."""
    if not errors:
        return claims.undecided("the setting of the published curve", "Fig. 6", "no published data were given")
    nearest = min(errors, key=errors.get)
    return claims.at_most(f"LeNet's published curve: {nearest}", "Fig. 6", errors[nearest], 0.03, digits=3)
