"""Streaming sums of rows^T rows over networks: memory does not grow with their number.

`DenseCovariance` keeps the D x D matrix in float64; `LowRankCovariance` keeps a sketch of it where D is large. Both
add networks in order, so that a run cut in two, or spread over processes, gives the same bits. Networks are dealt to
groups in turn; how much the groups differ is the uncertainty, and the odd and the even groups are the two halves of
every split-half comparison.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from anisotropy import symmetries

BLOCK = 4096
"""Rows of a sketch that are in float64 at a time."""


@dataclass
class Eigen:
    """Leading eigenvalues (k,) in decreasing order and eigenvectors as rows (k, D), float64."""

    eigenvalues: Tensor
    directions: Tensor


class _Sums:
    """Sums over networks dealt to groups in turn, and their state.

    Attributes:
        sums: (groups, ...), what each group adds up.
        counts: networks in each group.
    """

    sums: Tensor
    counts: list[int]

    def _next(self) -> int:
        """Group of the next network."""
        return sum(self.counts) % len(self.counts)

    def _check(self) -> None:
        """Raise ValueError where nothing was ever answered: such a covariance has no directions."""
        if not bool(self.sums.any()):
            raise ValueError(
                "every response is zero: expected networks whose output depends on the image. Does one end in a "
                "softmax over one output, or are its activations saturated at this step?"
            )

    def state(self) -> dict[str, Tensor]:
        """Everything to go on from, as tensors."""
        return {"sums": self.sums, "counts": torch.tensor(self.counts)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        self.sums.copy_(state["sums"])  # into aligned memory: sums in a mapped file round differently
        self.counts = state["counts"].tolist()


class DenseCovariance(_Sums):
    """Sum of rows^T rows (D, D) by groups of networks; symmetries of the grid are averaged over at the end.

    Args:
        shape: (C, H, W).
        group: grid symmetries to average over.
        parts: groups of networks; more give better error bars and take D x D numbers each.
    """

    def __init__(self, shape: tuple[int, int, int], group: tuple[str, ...] = ("",), parts: int = 8):
        size = shape[0] * shape[1] * shape[2]
        self.shape, self.group = shape, group
        self.sums = torch.zeros(parts, size, size, dtype=torch.float64)
        self.counts = [0] * parts

    def add(self, rows: Tensor) -> None:
        """Add the rows (R, D) of the next network."""
        part = self._next()
        rows = rows.to(self.sums.device, torch.float64)
        self.sums[part].addmm_(rows.T, rows)
        self.counts[part] += 1

    def covariance(self, parts: slice = slice(None)) -> Tensor:
        """Mean over the networks of some groups: all, or a half by slice(0, None, 2) and slice(1, None, 2)."""
        total = self.sums[parts].sum(0) / max(1, sum(self.counts[parts]))
        return symmetries.average(total, self.shape, self.group)

    def eigen(self, parts: slice = slice(None)) -> Eigen:
        """Eigendecomposition of the mean over some groups."""
        self._check()
        values, vectors = torch.linalg.eigh(self.covariance(parts))
        return Eigen(values.flip(0).clamp(min=0), vectors.T.flip(0).contiguous())

    def spread(self, directions: Tensor) -> Tensor:
        """Variance (D, D) of each entry u_i^T C u_j of the mean, from the spread of the groups about it.

        Args:
            directions: orthonormal rows (D, D), the eigenvectors of the mean.
        """
        filled = [g for g, count in enumerate(self.counts) if count]
        u, mean = directions.to(torch.float64), self.covariance()
        total = torch.zeros_like(mean)
        for g in filled:
            share = self.counts[g] / sum(self.counts)
            total += (share * (u @ (self.covariance(slice(g, g + 1)) - mean) @ u.T)).square()
        return total * len(filled) / (len(filled) - 1)


class LowRankCovariance(_Sums):
    """Nystroem sketch of the sum of rows^T rows: Y = C Omega with a random Omega (D, p), never C itself.

    The covariance is positive semi-definite, so C ~ Y (Omega^T Y)^+ Y^T (Halko, Martinsson and Tropp, 2011, Sec. 5.5;
    Tropp et al., 2017), exact while the rows span at most p dimensions. The sketch is linear in C: one pass, any
    number of networks. How good it is depends on how fast the eigenvalues decay; once more networks have been added
    than it has room for, it loses a little of a flat spectrum (the tests show how little).

    Args:
        shape: (C, H, W).
        group: grid symmetries to average over, row by row.
        rank: leading directions wanted.
        seed: draws Omega.
        oversample: columns p of Omega per direction wanted.
    """

    parts = 2

    def __init__(
        self,
        shape: tuple[int, int, int],
        group: tuple[str, ...] = ("",),
        *,
        rank: int = 50,
        seed: int = 0,
        oversample: int = 6,
    ):
        size = shape[0] * shape[1] * shape[2]
        self.shape, self.group, self.rank = shape, group, rank
        self.width = min(size, oversample * rank)
        generator = torch.Generator().manual_seed(seed)
        self.omega = torch.randn(size, self.width, generator=generator)
        self.sums = torch.zeros(self.parts, size, self.width)  # float32: six digits, and half the memory
        self.counts = [0] * self.parts

    def add(self, rows: Tensor) -> None:
        """Add the rows (R, D) of the next network, and their mirror images."""
        part = self._next()
        rows = rows.to(self.omega.device)
        for symmetry in self.group:
            moved = symmetries.act(rows.view(-1, *self.shape), symmetry).reshape(len(rows), -1)
            self.sums[part].addmm_(moved.T, moved @ self.omega, alpha=1 / len(self.group))
        self.counts[part] += 1

    def factor(self, parts: slice = slice(None)) -> Callable[[], Iterator[tuple[slice, Tensor]]]:
        """F (D, p) with C ~ F F^T, by the stabilised Nystroem formula.

        Returns:
            A function that gives slices of D and the rows of F there, one block after the other: the whole of F, in
            float64, would be the largest matrix of the estimate.
        """
        scale = 1 / max(1, sum(self.counts[parts]))
        blocks = [slice(i, i + BLOCK) for i in range(0, len(self.omega), BLOCK)]

        def mean(block: slice) -> Tensor:
            first, *others = self.sums[parts, block]
            return sum(others, first.double()) * scale

        norm = math.sqrt(sum(float(mean(block).square().sum()) for block in blocks))
        shift = torch.finfo(torch.float32).eps * norm * 1e-2

        def shifted(block: slice) -> Tensor:  # C + shift I is positive definite: noise near 0 cannot turn negative
            return mean(block).add_(self.omega[block], alpha=shift)

        core = sum(self.omega[block].T.double() @ shifted(block) for block in blocks)
        values, vectors = torch.linalg.eigh((core + core.T) / 2)
        keep = values > 1e-10 * values[-1]
        root = vectors[:, keep] / values[keep].sqrt()
        return lambda: ((block, shifted(block) @ root) for block in blocks)

    def eigen(self, parts: slice = slice(None)) -> Eigen:
        """Leading `rank` eigenvalues and eigenvectors of the sketched mean over some groups."""
        self._check()
        factor = self.factor(parts)
        values, vectors = torch.linalg.eigh(sum(f.T @ f for _, f in factor()))
        order = torch.arange(len(values) - 1, max(-1, len(values) - 1 - self.rank), -1)
        values = values[order]
        turn = vectors[:, order] / values.clamp(min=1e-300).sqrt()
        # The Gram route squares the condition number: one QR restores orthonormal rows.
        q, r = torch.linalg.qr(torch.cat([f @ turn for _, f in factor()]))
        return Eigen(values, (q * r.diagonal().sign()).T.contiguous())

    def spread(self, directions: Tensor) -> Tensor:
        """Variance (k,) of the Rayleigh quotients u^T C u of the mean along unit rows (k, D), from its two halves."""
        u = directions.double()
        halves = (self.factor(slice(g, g + 1)) for g in (0, 1))
        first, second = (sum(u[:, block] @ f for block, f in factor()).square().sum(1) for factor in halves)
        return (first - second).square() / 4
