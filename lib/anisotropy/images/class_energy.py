"""Alignment of a data set with a network: how much of what tells the classes apart lies in the leading NADs."""

from dataclasses import dataclass

import numpy as np
import torch

from anisotropy._util import checks
from anisotropy.images import interventions

GROUPS = 10
"""Parts of the data whose scatter gives the standard errors."""


@dataclass(frozen=True)
class Alignment:
    """Class-discriminating energy of a data set along each direction of a basis.

    Attributes:
        energy: (D,) between-class variance along u_i, summed over channels, freed of sampling noise (so it may be
            slightly negative where there is none).
        within: (D,) within-class variance along u_i, summed over channels.
        parts: (groups, D) `energy` of disjoint parts of the data.
    """

    energy: np.ndarray
    within: np.ndarray
    parts: np.ndarray

    def leading(self, k: int) -> float:
        """Share of the energy in the first k directions.

        Raises:
            ValueError: k is out of range, or the classes do not differ beyond sampling noise.
        """
        self._check()
        return float(self._leading(self.energy, k))

    def leading_error(self, k: int) -> float:
        """Standard error of `leading(k)`, from the scatter between parts of the data."""
        shares = [self._leading(part, k) for part in self.parts]
        return float(np.std(shares, ddof=1) / np.sqrt(len(shares)))

    def median_index(self) -> int:
        """Index of the direction up to which half of the energy lies; 0: all in the first."""
        self._check()
        # Energies may be a little below 0 by noise: the sum need not rise everywhere.
        return int(np.argmax(np.cumsum(self.energy) >= 0.5 * self.energy.sum()))

    def score(self, eigenvalues) -> float:
        """Energy-weighted mean of the eigenvalues over their plain mean, tr(C B) D / (tr C tr B).

        1 where network or data have no preferred direction, more where the classes differ along directions to which
        fresh networks answer strongly, less where they differ along those to which they hardly do.
        """
        self._check()
        values = np.asarray(getattr(eigenvalues, "eigenvalues", eigenvalues), dtype=float)
        if values.shape != self.energy.shape:
            raise ValueError(f"expected one eigenvalue per direction, {len(self.energy)}, got {values.shape}")
        return float((values * self.energy).sum() / (values.mean() * self.energy.sum()))

    def _check(self) -> None:
        if not self.energy.sum() > 0:
            raise ValueError(
                f"the means of the classes do not differ beyond sampling noise (energy {self.energy.sum():.3g}): there "
                "is nothing to align; take more images"
            )

    def _leading(self, energy: np.ndarray, k: int) -> float:
        if not 1 <= k <= len(energy):
            raise ValueError(f"expected k from 1 to {len(energy)}, got {k}")
        return energy[:k].sum() / energy.sum()


def check(images: torch.Tensor, labels: torch.Tensor, groups: int = GROUPS) -> None:
    """Refuse at once what `measure` would refuse, whatever the basis.

    Args:
        images: (n, C, H, W) floats.
        labels: (n,) int64.
        groups: parts of the data, each with two samples of every class.

    Raises:
        TypeError: one of them is no tensor.
        ValueError: their shapes, types or numbers do not fit, or a class is too small.
    """
    interventions.check_images(images)
    checks.finite(images, "images")
    checks.tensor(labels, "labels")
    checks.whole(groups, "groups", 2)
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(f"expected int64 labels ({len(images)},), got {labels.dtype} {tuple(labels.shape)}")
    classes, counts = labels.unique(return_counts=True)
    if len(classes) < 2 or groups < 2 or int(counts.min()) < 2 * groups:
        raise ValueError(
            f"expected at least 2 classes with {2 * groups} images or more each, for {groups} groups, got "
            f"{len(classes)} classes, the smallest of {int(counts.min())}"
        )


def measure(images: torch.Tensor, labels: torch.Tensor, basis: torch.Tensor, *, groups: int = GROUPS) -> Alignment:
    """Measure how the difference between classes is spread over the directions of a basis, such as NADs.

    The energy along u_i is sum_t p_t (u_i^T (mu_t - mu))^2, the between-class variance: with B the between-class
    scatter, u_i^T B u_i. Means of finite samples add (sum_t v_t - sum_t p_t v_t) / n to it, where v_t is the variance
    within class t along u_i; that is taken off, so small data sets are not taken for spread-out ones.

    Args:
        images: (n, C, H, W) floats; centred or not makes no difference.
        labels: (n,) int64.
        basis: (D, 1, H, W), each channel by itself, or (D, C, H, W); orthonormal and complete.
        groups: parts of the data for the standard errors; each must hold two samples of every class.

    Returns:
        Energies by direction. `flip` reverses them, and a rotation spreads them out.

    Raises:
        ValueError: if shapes do not fit, the basis is incomplete, or a class is too small.
    """
    rows = interventions.complete_rows(images, basis)
    check(images, labels, groups)
    classes = labels.unique()
    sums = [_moments(images, labels, classes, rows, part) for part in _parts(labels, classes, groups)]
    energy, within = _energy(*(sum(column) for column in zip(*sums, strict=True)))
    return Alignment(energy, within, np.array([_energy(*part)[0] for part in sums]))


def _parts(labels, classes, groups):
    """Split the samples so that each part has its share of each class."""
    group = torch.empty_like(labels)
    for label in classes:
        members = (labels == label).nonzero().squeeze(1)
        group[members] = torch.arange(len(members), device=labels.device) % groups
    return [(group == g).nonzero().squeeze(1) for g in range(groups)]


def _moments(images, labels, classes, rows, chosen):
    """Counts (T,), sums and sums of squares (T, D, channels) of the coefficients of some images."""
    count = torch.zeros(len(classes), dtype=torch.float64)
    first, second = [], []
    for t, label in enumerate(classes):
        members = chosen[labels[chosen] == label]
        pictures = images[members].double().cpu()
        coefficients = pictures.reshape(len(members), -1, rows.shape[1]) @ rows.T  # (n, channels or 1, D)
        count[t] = len(members)
        first.append(coefficients.sum(0).T)
        second.append(coefficients.square().sum(0).T)
    return count, torch.stack(first), torch.stack(second)


def _energy(count, first, second):
    n = count.view(-1, 1, 1)
    mean = first / n
    variance = (second - n * mean.square()) / (n - 1)  # within each class (T, D, channels)
    share = n / n.sum()
    overall = (share * mean).sum(0)
    between = (share * (mean - overall).square()).sum(0)
    noise = (variance.sum(0) - (share * variance).sum(0)) / n.sum()
    return (between - noise).sum(1).numpy(), (share * variance).sum(0).sum(1).numpy()
