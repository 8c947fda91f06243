"""The claims of 01_fourier_bias: what each figure must show for the paper's sentence to hold."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from anisotropy.paper import claims, plotting
from anisotropy.paper.fourier_bias import BLIND, PAPER, Amount, Arm, Beside


def networks(maps: Mapping[str, np.ndarray], steps: Mapping[str, np.ndarray], limit: int) -> Iterator[claims.Claim]:
    """Fig. 1 and 2: networks tell frequencies apart, logistic regression does not. Of the paper's networks alone.

    Args:
        maps: network -> accuracies, fractions.
        steps: network -> (frequencies, seeds) to a small training loss; NaN where it did not get small.
        limit: steps after which training was cut off, as which NaN counts: the ratio is then a lower bound.
    """
    for name, picture in maps.items():
        if name == "logreg":
            yield claims.at_least("logistic regression, worst frequency", "Fig. 1", picture.min(), 0.9, digits=1)
        elif name in plotting.LABELS:
            words = f"{plotting.LABELS[name]}, best minus worst frequency"
            yield claims.at_least(words, "Fig. 1", np.ptp(picture), 0.2, digits=1)
    for name, values in steps.items():
        if name in plotting.LABELS and name != "logreg":
            slow = np.where(np.isnan(values), limit, values)
            words = f"{plotting.LABELS[name]}, steps, slowest over fastest frequency"
            yield claims.at_least(words, "Fig. 2", bound=2, digits=0, **claims.mean(slow.max(0) / slow.min(0)))


def kept(network: str, accuracies: Mapping[str, np.ndarray]) -> np.ndarray:
    """Range over frequencies that a network keeps without pooling, as a share of that with it, for each seed.

    Args:
        network: as the paper names it.
        accuracies: label of an arm of Fig. 3 -> (frequencies, seeds).
    """
    label = plotting.LABELS[network]
    return np.ptp(accuracies[f"{label}, no pooling"], axis=0) / np.ptp(accuracies[label], axis=0)


def pooling(arms: Sequence[Arm], accuracies: Mapping[str, np.ndarray]) -> Iterator[claims.Claim]:
    """Fig. 3: without pooling frequencies are alike; in ResNet-18, once strides are gone too.

    Args:
        arms: from `fourier_bias.arms`.
        accuracies: label of an arm -> (frequencies, seeds), fractions.
    """
    axes = {arm.network: np.array(arm.axis) for arm in arms}
    for network in axes:
        if network == "lenet":
            words, left = "LeNet, share of its range left without pooling", kept(network, accuracies)
            yield claims.at_most(words, "Fig. 3", bound=0.5, digits=1, **claims.mean(left))
        else:
            label = f"{plotting.LABELS[network]}, no pooling"
            words, after = f"{plotting.LABELS[network]} without pooling, range", np.ptp(accuracies[label], axis=0)
            yield claims.at_most(words, "Fig. 3", bound=0.05, **claims.mean(after))
    if "resnet18" not in axes:
        yield claims.undecided("ResNet-18, pooling and strides", "Fig. 3", "needs the preset laptop")
        return
    even = axes["resnet18"] % 2 == 0
    gaps = {
        label: values[even].mean(0) - values[~even].mean(0) for label, values in accuracies.items() if "Res" in label
    }
    words = "ResNet-18 without pooling, even minus odd frequencies"
    yield claims.at_least(words, "ours", bound=0.05, **claims.mean(gaps["ResNet-18, no pooling"]))
    words = "ResNet-18 without pooling and strides, even minus odd frequencies"
    yield claims.at_most(words, "ours", bound=0.05, **claims.mean(gaps["ResNet-18, no pooling, no strides"]))


def random(accuracies: np.ndarray, *, digits: int) -> claims.Claim:
    """A.3: along random directions LeNet's accuracy is about the same.

    Args:
        accuracies: (K,) fractions; their standard deviation s has a spread of s / sqrt(2 (K - 1)), as of normal values.
        digits: to print.
    """
    words = "LeNet, standard deviation of its accuracy over random directions"
    if accuracies.mean() < BLIND:
        return claims.undecided(words, "A.3", "it learns none of them, and at chance all are alike")
    deviation, n = accuracies.std(ddof=1), len(accuracies)
    about = {"spread": deviation / np.sqrt(2 * (n - 1)), "n": n, "digits": digits}
    return claims.at_most(words, "A.3", deviation, 0.05, **about)


def published(beside: Beside | None, amount: Amount, *, asked: bool) -> Iterator[claims.Claim]:
    """Fig. 1: LeNet's map is the authors'; judged where noise, samples and epochs are the paper's.

    Args:
        beside: the two maps; None where there is only one, or none.
        amount: of training behind ours.
        asked: whether a map of LeNet was made here.
    """
    if beside is None or amount != PAPER:
        why = "no folder of published tables was given" if asked else "its map was not asked for"
        why = "theirs has sigma = 3, 10,000 samples and 20 epochs" if beside else why
        yield claims.undecided("LeNet's map agrees with the published one", "Fig. 1", why)
        return
    found, errors = beside.found, beside.errors
    raw = f"raw ({found.raw:.2f}), as a share of what two perfect repetitions reach ({found.ceiling:.2f})"
    for way, words in {"predicted": "chance tied in ours", "tied": "chance tied in both", "attained": raw}.items():
        statement = f"LeNet's map, rank correlation with the published one, {words}"
        yield claims.at_least(statement, "Fig. 1", getattr(found, way), 0.85, spread=errors[way])
    words = "LeNet's map, mean difference from the published"
    yield claims.at_most(words, "Fig. 1", found.difference, 0.04, spread=errors["difference"], digits=3)
    ours, theirs = beside.blind
    yield claims.within("LeNet, share under 60 %, ours and published", "Fig. 1", ours, theirs, 0.1)
