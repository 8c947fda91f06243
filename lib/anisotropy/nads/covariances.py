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

from anisotropy.nads.symmetry import channels, spatial

BLOCK = 4096
"""Rows of a sketch that are in float64 at a time."""


@dataclass
class Eigen:
    """Leading eigenvalues (k,) in decreasing order and eigenvectors as rows (k, D), float64."""

    eigenvalues: Tensor
    directions: Tensor


class _Sums:
    """Sums over networks dealt to groups in turn, and their state.

    Where `channels.ALIKE` is in the group, C = I_C (x) B, and it is B (H W, H W) that is summed.

    Attributes:
        shape: of one input, (C, H, W) or fewer axes.
        group: grid symmetries to average over.
        alike: channels that have the block B; 1 where C itself is summed.
        grid: (C / alike, H, W), pictures of the rows that are summed.
        sums: (groups, ...), what each group adds up.
        counts: networks in each group.
        energy: tr sum rows^T rows over all networks, float64; NaN where a state of version 0.1.0 did not keep it.
    """

    sums: Tensor
    counts: list[int]
    energy: float = 0.0

    def __init__(self, shape: tuple[int, ...], group: tuple[str, ...]):
        self.shape = shape
        self.group = tuple(g for g in group if g != channels.ALIKE)
        self.alike = shape[0] if channels.ALIKE in group else 1
        self.grid = (shape[0] // self.alike, *shape[1:])

    def _summed(self, rows: Tensor) -> Tensor:
        """Rows (R, D) of a network as those that are summed; the mean over channels is taken by their length."""
        return rows.reshape(len(rows) * self.alike, -1) / math.sqrt(self.alike) if self.alike > 1 else rows

    def _coloured(self, eigen: "Eigen") -> "Eigen":
        """Eigenvectors of C from those of what is summed: each in every colour, grey first."""
        if self.alike == 1:
            return eigen
        directions = torch.einsum("ac,kp->kacp", channels.colours(self.alike).to(eigen.directions), eigen.directions)
        return Eigen(eigen.eigenvalues.repeat_interleave(self.alike), directions.flatten(2).flatten(0, 1))

    @property
    def trace(self) -> float:
        """Trace of the mean covariance, tr(C): what all D eigenvalues add up to, also those that are not kept."""
        return self.energy / max(1, sum(self.counts))

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
        energy = torch.tensor(self.energy, dtype=torch.float64)
        return {"sums": self.sums, "counts": torch.tensor(self.counts), "energy": energy}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        self.sums.copy_(state["sums"])  # into aligned memory: sums in a mapped file round differently
        self.counts = state["counts"].tolist()
        self.energy = float(state.get("energy", math.nan))


class DenseCovariance(_Sums):
    """Sum of rows^T rows (D, D) by groups of networks; symmetries of the grid are averaged over at the end.

    Args:
        shape: of one input, (C, H, W) or fewer axes.
        group: grid symmetries to average over, and `channels.ALIKE` where it holds.
        parts: groups of networks; more give better error bars and take D x D numbers each.
    """

    def __init__(self, shape: tuple[int, ...], group: tuple[str, ...] = ("",), parts: int = 8):
        super().__init__(shape, group)
        size = math.prod(self.grid)
        self.sums = torch.zeros(parts, size, size, dtype=torch.float64)
        self.counts = [0] * parts

    def add(self, rows: Tensor) -> None:
        """Add the rows (R, D) of the next network."""
        part = self._next()
        rows = rows.to(self.sums.device, torch.float64)
        self.energy += float(rows.square().sum())
        rows = self._summed(rows)
        self.sums[part].addmm_(rows.T, rows)
        self.counts[part] += 1

    def _mean(self, parts: slice = slice(None)) -> Tensor:
        total = self.sums[parts].sum(0) / max(1, sum(self.counts[parts]))
        return spatial.average(total, self.grid, self.group)

    def covariance(self, parts: slice = slice(None)) -> Tensor:
        """Mean (D, D) over the networks of some groups: all, or a half by slice(0, None, 2) and slice(1, None, 2)."""
        mean = self._mean(parts)
        return torch.kron(torch.eye(self.alike).to(mean), mean) if self.alike > 1 else mean

    def eigen(self, parts: slice = slice(None)) -> Eigen:
        """Eigendecomposition of the mean over some groups."""
        self._check()
        values, rows = _decomposed(self._mean(parts), self.grid, self.group)
        return self._coloured(Eigen(values.clamp(min=0), rows))

    def spread(self, directions: Tensor) -> Tensor:
        """Variance (D, D) of each entry u_i^T C u_j of the mean, from the spread of the groups about it.

        Args:
            directions: orthonormal rows (D, D), the eigenvectors of the mean.
        """
        filled = [g for g, count in enumerate(self.counts) if count]
        u, mean = directions.to(torch.float64), self._mean()
        if self.alike > 1:  # the grey ones, each of which stands for the others
            u = u[:: self.alike].unflatten(1, (self.alike, -1)).sum(1) / math.sqrt(self.alike)
        total = torch.zeros_like(mean)
        for g in filled:
            share = self.counts[g] / sum(self.counts)
            total += (share * (u @ (self._mean(slice(g, g + 1)) - mean) @ u.T)).square()
        total *= len(filled) / (len(filled) - 1)
        return torch.kron(total, torch.eye(self.alike).to(total)) if self.alike > 1 else total


def _decomposed(mean: Tensor, grid: tuple[int, ...], group: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Eigenvalues, largest first, and eigenvectors as rows, the same on every processor but for rounding.

    Flips and transposition together make eigenvalues equal in pairs, and rounding would turn such a pair freely in its
    plane. One of the two is even under transposition and one is odd, so that the halves are decomposed apart. The
    largest entry of each vector, the first of those that rounding alone tells apart, is positive.
    """
    if {"t", "h"} <= set(group):
        mirror = spatial.permutation(grid, "t")
        spans = [_span(mirror, sign).to(mean) for sign in (1, -1)]
        halves = [torch.linalg.eigh(span @ mean @ span.T) for span in spans]
        values = torch.cat([values for values, _ in halves])
        rows = torch.cat([vectors.T @ span for (_, vectors), span in zip(halves, spans, strict=True)])
        values, order = values.sort(descending=True, stable=True)
        odd = (order >= len(spans[0])).tolist()
        for i in (values[:-1] - values[1:] <= 1e-9 * values[:-1].abs()).nonzero().flatten().tolist():
            if odd[i] and not odd[i + 1]:  # of a pair, which rounding may have exchanged, the even one comes first
                order[[i, i + 1]], odd[i], odd[i + 1] = order[[i + 1, i]], False, True
        rows = rows[order]
    else:
        values, vectors = torch.linalg.eigh(mean)
        values, rows = values.flip(0), vectors.T.flip(0)
    large = rows.abs() >= (1 - 1e-6) * rows.abs().amax(1, keepdim=True)
    sign = rows.gather(1, large.int().argmax(1, keepdim=True)).sign()
    return values, (rows * sign).contiguous()


def _span(mirror: Tensor, sign: int) -> Tensor:
    """Orthonormal rows that span the vectors v with v[mirror] = sign v, for an exchange of entries."""
    here = torch.arange(len(mirror))
    first, alone = here[here < mirror], here[here == mirror] if sign > 0 else here[:0]
    rows = torch.zeros(len(first) + len(alone), len(mirror), dtype=torch.float64)
    count = torch.arange(len(rows))
    rows[count[: len(first)], first] = 0.5**0.5
    rows[count[: len(first)], mirror[first]] = sign * 0.5**0.5
    rows[count[len(first) :], alone] = 1
    return rows


class LowRankCovariance(_Sums):
    """Nystroem sketch of the sum of rows^T rows: Y = C Omega with a random Omega (D, p), never C itself.

    The covariance is positive semi-definite, so C ~ Y (Omega^T Y)^+ Y^T (Halko, Martinsson and Tropp, 2011, Sec. 5.5;
    Tropp et al., 2017), exact while the rows span at most p dimensions. The sketch is linear in C: one pass, any
    number of networks. How good it is depends on how fast the eigenvalues decay; once more networks have been added
    than it has room for, it loses a little of a flat spectrum (the tests show how little).

    Args:
        shape: of one input, (C, H, W) or fewer axes.
        group: grid symmetries to average over, row by row, and `channels.ALIKE` where it holds.
        rank: leading directions wanted.
        seed: draws Omega.
        oversample: columns p of Omega per direction wanted.
    """

    parts = 2

    def __init__(
        self,
        shape: tuple[int, ...],
        group: tuple[str, ...] = ("",),
        *,
        rank: int = 50,
        seed: int = 0,
        oversample: int = 6,
    ):
        super().__init__(shape, group)
        size, self.rank = math.prod(self.grid), rank
        self.width = min(size, oversample * rank)
        generator = torch.Generator().manual_seed(seed)
        self.omega = torch.randn(size, self.width, generator=generator)
        self.sums = torch.zeros(self.parts, size, self.width)  # float32: six digits, and half the memory
        self.counts = [0] * self.parts

    def add(self, rows: Tensor) -> None:
        """Add the rows (R, D) of the next network, and their mirror images."""
        part = self._next()
        self.energy += float(rows.square().sum(dtype=torch.float64))
        rows = self._summed(rows.to(self.omega.device))
        for symmetry in self.group:
            moved = spatial.act(rows.view(-1, *self.grid), symmetry).reshape(len(rows), -1)
            self.sums[part].addmm_(moved.T, moved @ self.omega, alpha=1 / len(self.group))
        self.counts[part] += 1

    def factor(self, parts: slice = slice(None)) -> Callable[[], Iterator[tuple[slice, Tensor]]]:
        """F (D, p) with C ~ F F^T, by the stabilised Nystroem formula; of B where channels are alike.

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
        wanted = math.ceil(self.rank / self.alike)
        order = torch.arange(len(values) - 1, max(-1, len(values) - 1 - wanted), -1)
        values = values[order]
        turn = vectors[:, order] / values.clamp(min=1e-300).sqrt()
        # The Gram route squares the condition number: one QR restores orthonormal rows.
        q, r = torch.linalg.qr(torch.cat([f @ turn for _, f in factor()]))
        found = self._coloured(Eigen(values, (q * r.diagonal().sign()).T.contiguous()))
        return Eigen(found.eigenvalues[: self.rank], found.directions[: self.rank])

    def spread(self, directions: Tensor) -> Tensor:
        """Variance (k,) of the Rayleigh quotients u^T C u of the mean along unit rows (k, D), from its two halves."""
        u = directions.double().unflatten(1, (self.alike, -1))
        halves = (self.factor(slice(g, g + 1)) for g in (0, 1))
        first, second = (sum(u[..., b] @ f for b, f in factor()).square().sum((1, 2)) for factor in halves)
        return (first - second).square() / 4
