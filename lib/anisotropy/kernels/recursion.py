"""The recursion over layers: covariances of feature maps, for many pairs of images at once.

A covariance is an array (Y, X, S, K): entries of the list along y, of the list along x (`lists`), S pairs of images of
one kind (such as x + v with x + v, and x + v with x - v), K directions.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from anisotropy.kernels.activations import Activation
from anisotropy.kernels.graph import Add, Graph, Linear, Pointwise, Source
from anisotropy.kernels.lists import AxisPlan

BLOCK = 2**18
"""Entries whose activation is computed at a time: some megabytes, which stay in the cache."""

Plans = tuple[AxisPlan, AxisPlan]


def run(
    graph: Graph,
    plans: Plans,
    source: Tensor,
    signs: tuple[Sequence[int], Sequence[int]],
    watch: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """The covariance of the output.

    Args:
        graph: the architecture.
        plans: along y and along x.
        source: covariance of the images (Y, X, S, K).
        signs: for each of the S pairs of images, which of the S holds the variances of the first image, and which those
            of the second.
        watch: called with the number of each activation and the covariance that it reads.

    Returns:
        (Y, X, S, K) of the last node.
    """
    values: dict[int, Tensor] = {}
    remaining = [0] * len(graph.nodes)
    for node in graph.nodes:
        for i in node.inputs:
            remaining[i] += 1
    for number, node in enumerate(graph.nodes):
        operation = node.operation
        if isinstance(operation, Source):
            values[number] = source
        elif isinstance(operation, Linear):
            k = linear(plans, number, values[node.inputs[0]])
            values[number] = k.add_(operation.bias) if operation.bias else k
        elif isinstance(operation, Add):
            values[number] = added(plans, number, operation, {i: values[i] for i in node.inputs})
        else:
            if watch is not None:
                watch(number, values[node.inputs[0]])
            values[number] = _activated(operation, plans, number, node.inputs[0], values[node.inputs[0]], signs)
        for i in node.inputs:
            remaining[i] -= 1
            if not remaining[i]:
                values.pop(i, None)
    return values[len(graph.nodes) - 1]


def linear(plans: Plans, number: int, k: Tensor, *, transposed: bool = False) -> Tensor:
    """gain * A k B^T of a linear node, or gain * A^T k B; a new array."""
    gain = plans[0].graph.nodes[number].operation.gain
    if all(p.identical(number) for p in plans):
        return k * gain
    k = two_sided(*(p.matrix(number, transposed=transposed) for p in plans), k)
    return k if gain == 1 else k.mul_(gain)


def two_sided(left: Tensor, right: Tensor, k: Tensor) -> Tensor:
    """A k B^T on the first two axes of k (Y, X, ...), for sparse A (Y', Y) and B (X', X).

    The axis that is outermost in memory is done first, so that one transposition a layer is enough.
    """
    if k.stride(0) < k.stride(1):
        return two_sided(right, left, k.transpose(0, 1)).transpose(0, 1)
    rest = k.shape[2:]
    k = (left @ k.reshape(k.shape[0], -1)).view(left.shape[0], k.shape[1], *rest)
    k = k.transpose(0, 1).contiguous()
    return (right @ k.view(k.shape[0], -1)).view(right.shape[0], left.shape[0], *rest).transpose(0, 1)


def added(plans: Plans, number: int, operation: Add, inputs: dict[int, Tensor]) -> Tensor:
    """Weighted sum of covariances with lists of their own."""
    order, total = plans[0].graph.nodes[number].inputs, None
    for source, weight in zip(order, operation.weights, strict=True):
        term = picked([p.positions(number, source) for p in plans], inputs[source])
        total = term * weight if total is None else total.add_(term, alpha=weight)
    return total


def picked(positions: Sequence[Tensor], k: Tensor) -> Tensor:
    """Rows and columns of k at some positions, 0 where a position is -1; k itself where they are all of it in order."""
    for dim, index in enumerate(positions):
        if len(index) == k.shape[dim] and bool((index == torch.arange(len(index))).all()):
            continue
        k = k.index_select(dim, index.clamp(min=0))
        if bool((index < 0).any()):
            k[(slice(None),) * dim + (index < 0,)] = 0
    return k


def moments(activation: Activation, k: Tensor, plans: Plans, number: int, source: int, signs) -> list[tuple]:
    """For each of the S kinds the small tables of m and n at the variances of both images, and where to look them up.

    Returns:
        Pairs (left, right), each of (m, n, rows, columns): m[rows][:, columns] belongs to the activation's entries.
    """
    places = list(zip(*(p.variances(number, source) for p in plans), strict=True))  # (left y, left x), (right y, ...)
    found = []
    for sides in zip(*signs, strict=True):
        pair = []
        for which, (rows, columns) in zip(sides, places, strict=True):
            (distinct_rows, at_rows), (distinct, at) = (torch.unique(v, return_inverse=True) for v in (rows, columns))
            variance = k[:, :, which].index_select(0, distinct_rows).index_select(1, distinct)
            pair.append((*activation.scales(variance), at_rows, at))
        found.append(tuple(pair))
    return found


def _activated(operation: Pointwise, plans: Plans, number: int, source: int, k: Tensor, signs) -> Tensor:
    activation = operation.activation
    scales = moments(activation, k, plans, number, source, signs)
    rows, columns = (p.positions(number, source) for p in plans)
    whole = len(columns) == k.shape[1] and bool((columns == torch.arange(len(columns))).all())
    out = torch.empty(len(rows), len(columns), *k.shape[2:], dtype=k.dtype)
    step = max(1, BLOCK // max(1, len(columns) * k.shape[3]))
    tiny = torch.finfo(k.dtype).tiny ** 0.5
    for begin in range(0, len(rows), step):
        block = slice(begin, begin + step)
        read = k.index_select(0, rows[block])
        read = read if whole else read.index_select(1, columns)
        scale, signs_before = None, None
        for s, ((m1, n1, r1, c1), (m2, n2, r2, c2)) in enumerate(scales):
            if scale is None or signs_before != (signs[0][s], signs[1][s]):
                scale = n1.index_select(0, r1[block]).index_select(1, c1)
                scale.mul_(n2.index_select(0, r2[block]).index_select(1, c2)).clamp_(min=tiny)
                signs_before = signs[0][s], signs[1][s]
            f = activation.moment(read[:, :, s] / scale)
            if activation.homogeneous:
                f *= scale
            else:
                f *= m1.index_select(0, r1[block]).index_select(1, c1)
                f *= m2.index_select(0, r2[block]).index_select(1, c2)
            out[block, :, s] = f
    return out
