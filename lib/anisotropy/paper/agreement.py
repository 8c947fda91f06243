"""How well two maps of accuracies agree, where many of their cells are at chance.

Accuracies at chance are coin tosses: their order says nothing, and a rank correlation counts it as disagreement. So a
rank correlation of two maps has a ceiling that no pair of repetitions passes. Who measures one of the maps may test
which of its cells are at chance, and tie them: that predicts another map as well as can be. With the cells at chance
tied in both maps, the correlation says what the first was asked for.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, false_discovery_control, spearmanr


@dataclass(frozen=True)
class Agreement:
    """Agreement of two maps; made by `compare`.

    Attributes:
        raw: Spearman's rank correlation of all cells.
        ceiling: what `raw` is expected to be at most, see `ceiling`.
        predicted: rank correlation of the first map, its cells at chance tied (`tied_at_chance`), with the second as
            it is.
        predicted_ceiling: what `predicted` is expected to be at most: the root of the ceiling for the tied cells.
        tied: rank correlation with all cells at chance tied, in each map.
        learnt: rank correlation of the cells above chance in either map alone; NaN if there are fewer than three.
        at_chance: share of the cells that are at chance in both maps.
        threshold: accuracy under which a cell counts as at chance, see `chance_threshold`.
        difference: mean absolute difference of all cells, as a fraction.
        cells: number of cells.
    """

    raw: float
    ceiling: float
    predicted: float
    predicted_ceiling: float
    tied: float
    learnt: float
    at_chance: float
    threshold: float
    difference: float
    cells: int

    @property
    def attained(self) -> float:
        """`raw` as a share of its ceiling; NaN where that is 0, since every cell is at chance."""
        return self.raw / self.ceiling if self.ceiling else float("nan")


def compare(first, second, *, test_samples: int, significance: float = 0.01, repeated=None) -> Agreement:
    """Compare two maps of test accuracies of two balanced classes, cell by cell.

    Args:
        first: accuracies, fractions, of any shape. Leave out cells that are copies of others.
        second: of the same shape.
        test_samples: size of the test set behind each accuracy.
        significance: see `chance_threshold`.
        repeated: (mean, networks) where the experiment behind the first map was repeated: mean accuracies, and the
            number of networks behind each, of the same shape, as from `over_symmetries`. `predicted` is made from them;
            None: from `first`.

    Returns:
        The agreement. A correlation is NaN where a map has one value only.

    Raises:
        ValueError: if the shapes differ, there are fewer than three cells, or values are not fractions.

    Example:
        >>> found = compare([0.501, 0.498, 0.9, 0.7, 0.6], [0.497, 0.502, 0.8, 0.75, 0.6], test_samples=10_000)
        >>> round(found.raw, 2), round(found.ceiling, 2), round(found.tied, 2)
        (0.9, 0.95, 1.0)
    """
    return _compare(_prepare(first, second, test_samples, significance, repeated))


def errors(
    first, second, *, test_samples: int, significance: float = 0.01, repeated=None, draws: int = 400, seed: int = 0
) -> dict[str, float]:
    """Standard errors of what `compare` returns over the choice of cells, by bootstrap.

    Cells are drawn with replacement, as if the maps were a sample of many more frequencies; which of them are at chance
    is not decided anew. A cell that is drawn twice ties with itself, which makes errors of ranks up to a third too
    large. Cells that share a network, as those of `over_symmetries`, count as independent, which makes them smaller.

    Args:
        first: as for `compare`, and so are all arguments but the last two.
        second: likewise.
        test_samples: likewise.
        significance: likewise.
        repeated: likewise.
        draws: samples of cells.
        seed: of the draws.

    Returns:
        Attribute of `Agreement` -> standard error: `raw`, `attained`, `predicted`, `tied` and `difference`.
    """
    whole = _prepare(first, second, test_samples, significance, repeated)
    chosen = np.random.default_rng(seed).integers(len(whole.a), size=(draws, len(whole.a)))
    found = [_compare(whole.take(cells)) for cells in chosen]
    names = ("raw", "attained", "predicted", "tied", "difference")
    return {name: float(np.nanstd([getattr(one, name) for one in found], ddof=1)) for name in names}


@dataclass(frozen=True)
class _Maps:
    """Two maps as vectors, the first with its cells at chance tied, and the threshold of chance."""

    a: np.ndarray
    b: np.ndarray
    known: np.ndarray
    threshold: float

    def take(self, cells: np.ndarray) -> "_Maps":
        return _Maps(self.a[cells], self.b[cells], self.known[cells], self.threshold)


def _prepare(first, second, test_samples, significance, repeated) -> _Maps:
    a, b = (np.asarray(values, dtype=float) for values in (first, second))
    if a.shape != b.shape or a.size < 3:
        raise ValueError(f"expected two maps of one shape with at least 3 cells, got shapes {a.shape} and {b.shape}")
    a, b = a.ravel(), b.ravel()
    if not all(((values >= 0) & (values <= 1)).all() for values in (a, b)):
        raise ValueError("expected accuracies as fractions in [0, 1], none missing")
    threshold = chance_threshold(test_samples, 2 * a.size, significance=significance)
    mean, networks = (a, 1) if repeated is None else (np.ravel(repeated[0]), np.ravel(repeated[1]))
    known = tied_at_chance(mean, test_samples * networks)
    if known.shape != a.shape:
        raise ValueError(f"expected as many repeated cells as there are in the maps, {a.size}, got {known.size}")
    return _Maps(a, b, known, threshold)


def _compare(maps: _Maps) -> Agreement:
    a, b, known, threshold = maps.a, maps.b, maps.known, maps.threshold
    chance = (a < threshold) & (b < threshold)
    return Agreement(
        raw=_spearman(a, b),
        ceiling=ceiling(a.size, int(chance.sum())),
        predicted=_spearman(known, b),
        predicted_ceiling=ceiling(a.size, int((known == 0.5).sum())) ** 0.5,
        tied=_spearman(*(np.where(values < threshold, 0.5, values) for values in (a, b))),
        learnt=_spearman(a[~chance], b[~chance]),
        at_chance=float(chance.mean()),
        threshold=threshold,
        difference=float(np.abs(a - b).mean()),
        cells=a.size,
    )


def over_symmetries(picture, network) -> tuple[np.ndarray, np.ndarray]:
    """Average a map over mirror images and transposition of its frequencies, and count the networks behind each cell.

    Where an architecture maps onto itself when the pixel grid is mirrored or transposed (`spatial.verified`), so
    does what it learns: transposed, the cosine of (ky, kx) is that of (kx, ky), and the cells are repetitions of each
    other; mirrored, it is that of (-ky, kx) but for its phase, of which accuracies hardly depend away from multiples
    of a pooling layer's Nyquist frequency.

    Args:
        picture: (n, n) accuracies, frequency 0 in the centre, as from `directions.FourierBasis.picture`.
        network: (n, n), which network is behind each cell: cells that share one are counted once.

    Returns:
        Mean accuracies (n, n), and the number of different networks behind each.

    Example:
        >>> mean, networks = over_symmetries([[0.5, 0.6], [0.8, 0.9]], [[0, 1], [2, 3]])
        >>> mean.round(2).tolist(), networks.tolist()
        ([[0.5, 0.7], [0.7, 0.9]], [[1, 2], [2, 1]])
    """
    picture, network = np.asarray(picture, dtype=float), np.asarray(network)
    if picture.ndim != 2 or picture.shape[0] != picture.shape[1] or picture.shape != network.shape:
        raise ValueError(f"expected two square maps of one shape, got shapes {picture.shape} and {network.shape}")
    mirror = -np.arange(len(picture)) % len(picture)
    if len(picture) % 2:  # frequency 0 is the middle one
        mirror = np.arange(len(picture))[::-1]

    def images(values):
        return np.stack([values, values.T, values[mirror], values[mirror].T])

    ordered = np.sort(images(network), axis=0)
    return images(picture).mean(0), 1 + (np.diff(ordered, axis=0) != 0).sum(0)


def tied_at_chance(accuracies, test_samples, *, rate: float = 0.05) -> np.ndarray:
    """Set to 1/2 every accuracy of a map that a test cannot tell from chance, so that these cells are tied.

    Each cell is tested against k hits ~ Binomial(n, 1/2), one-sided, and the cells that pass are chosen by Benjamini
    and Hochberg (1995): of the cells declared to be above chance, a share of at most `rate` is expected not to be.
    `chance_threshold` guards against a single such cell and leaves weakly learnt ones among the ties; here, where the
    order of all cells counts, both mistakes cost alike.

    Args:
        accuracies: fractions, of any shape.
        test_samples: test samples behind each of them, over all its networks; a number, or one for each cell.
        rate: the false discovery rate.

    Returns:
        The accuracies, 1/2 where they are at chance.

    Raises:
        ValueError: if values are not fractions, a count is not positive, or the rate is not in (0, 1).

    Example:
        >>> tied_at_chance([0.48, 0.503, 0.52, 0.7], 10_000).tolist()
        [0.5, 0.5, 0.52, 0.7]
    """
    values = np.asarray(accuracies, dtype=float)
    counts = np.broadcast_to(np.asarray(test_samples), values.shape)
    if not ((values >= 0) & (values <= 1)).all() or not (counts >= 1).all() or not 0 < rate < 1:
        raise ValueError(
            "expected accuracies as fractions in [0, 1], none missing, at least one test sample for each, and a rate "
            f"in (0, 1), got accuracies from {values.min()} to {values.max()}, counts from {counts.min()}, rate {rate}"
        )
    by_luck = binom.sf(np.round(values * counts) - 1, counts, 0.5)  # P(at least as many hits)
    return np.where(false_discovery_control(by_luck, axis=None) <= rate, values, 0.5)


def chance_threshold(test_samples: int, cells: int, *, significance: float = 0.01) -> float:
    """Return the accuracy that no cell at chance passes, but for a probability of `significance` over all cells.

    A classifier that has learnt nothing is right on each of n balanced test samples with probability 1/2, so that its
    number of hits is binomial. The threshold is the least at which each of the cells passes with a probability of at
    most significance / cells (Bonferroni): about 1/2 + 4 / (2 sqrt(n)) for some hundred cells, 52 % for n = 10,000.

    Args:
        test_samples: n.
        cells: number of accuracies that are looked at, over all maps.
        significance: probability that any cell at chance passes.

    Returns:
        A fraction, half a sample above the largest number of hits that counts as chance. It exceeds 1 where the test
        set is too small to tell anything from chance.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> round(chance_threshold(10_000, 288), 3)
        0.52
    """
    if test_samples < 1 or cells < 1 or not 0 < significance < 1:
        raise ValueError(
            f"expected test_samples >= 1, cells >= 1 and 0 < significance < 1, got {test_samples}, {cells} and "
            f"{significance}"
        )
    hits = binom.isf(significance / cells, test_samples, 0.5)  # the least k with P(more than k hits) <= the bound
    return float((hits + 0.5) / test_samples)


def ceiling(cells: int, at_chance: int) -> float:
    """Return the expected Spearman correlation of two repetitions that agree wherever there is something to agree on.

    Of n cells, m are at chance in both maps and n - m above. Suppose that the latter have the same ranks in both maps:
    they add nothing to the sum of squared rank differences d^2. The ranks 1 ... m of the former are two independent
    random orders, for which E sum d^2 = m (m^2 - 1) / 6. With Spearman's rho = 1 - 6 sum d^2 / (n (n^2 - 1)),

        E rho = 1 - m (m^2 - 1) / (n (n^2 - 1)),        about 1 - p^3 for a share p = m / n at chance.

    Noise on the cells above chance lowers it further. It is an estimate as far as m is: where cells counted as at
    chance have been learnt a little, two maps may agree on their order too and exceed it.

    Args:
        cells: n, at least 2, without copies: mirrored cells that share one network are one cell.
        at_chance: m.

    Returns:
        The expected correlation.

    Raises:
        ValueError: if m is not in 0 ... n, or n < 2.

    Example:
        >>> round(ceiling(144, 87), 2)
        0.78
    """
    if cells < 2 or not 0 <= at_chance <= cells:
        raise ValueError(f"expected cells >= 2 and 0 <= at_chance <= cells, got {cells} and {at_chance}")
    return 1 - at_chance * (at_chance**2 - 1) / (cells * (cells**2 - 1)) if at_chance else 1.0


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation, NaN instead of a warning where it is not defined."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b)[0])
