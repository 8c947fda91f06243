"""Symmetries of the pixel grid that an architecture's random networks have.

Where transposing or flipping the grid maps the distribution of random networks onto itself, it maps their response
covariance onto itself too, and averaging the estimate over that group is free data. Whether it does is a property of
the architecture (a stride of 2 on an even size breaks flips, not transposition) and of its initialisation, so it is
*verified* on networks here, never assumed. The covariance at an evaluation point x has a symmetry only where x has it
too: for x ~ N(0, I) the average over the group is the covariance averaged over the images of x.

A symmetry is named by what it does to the grid (H, W): "" leaves it, "h" flips it left-right, "v" top-bottom, "t"
transposes it; combinations are applied left to right, the transposition first.
"""

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from anisotropy.models.architectures import build
from anisotropy.nads import readouts
from anisotropy.nads.symmetry import grids, probing

SQUARE = ("", "h", "v", "hv", "t", "th", "tv", "thv")
"""The eight symmetries of the square, a group under composition."""

SUBGROUPS = (SQUARE, ("", "h", "v", "hv"), ("", "hv", "t", "thv"), ("", "t"), ("", "h"), ("", "v"), ("", "hv"), ("",))
"""Subgroups that are looked for, the largest first."""


def act(images: Tensor, symmetry: str) -> Tensor:
    """Apply a symmetry to the last two axes of `images` (..., H, W).

    Raises:
        ValueError: the name is not one of `SQUARE`, or a transposition is asked for where H != W.
    """
    if symmetry not in SQUARE:
        raise ValueError(f"expected a symmetry among {SQUARE}, got {symmetry!r}")
    if "t" in symmetry:
        if images.shape[-1] != images.shape[-2]:
            raise ValueError(f"a transposition needs square images, got {tuple(images.shape[-2:])}")
        images = images.transpose(-1, -2)
    axes = [axis for letter, axis in (("h", -1), ("v", -2)) if letter in symmetry]
    return images.flip(axes) if axes else images


def shared(group: Iterable[str], image: Tensor) -> tuple[str, ...]:
    """The largest group among some symmetries that an image (C, H, W) has.

    Example:
        >>> shared(SQUARE, torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]))
        ('', 'h')
    """
    square = image.shape[-1] == image.shape[-2]
    kept = {g for g in group if ("t" not in g or square) and torch.equal(act(image, g), image)}
    return next(found for found in SUBGROUPS if set(found) <= kept)


def permutation(shape: tuple[int, int, int], symmetry: str) -> Tensor:
    """Index p (D,) with act(v, symmetry).flatten() == v.flatten()[p] for v of shape (C, H, W)."""
    size = shape[0] * shape[1] * shape[2]
    return act(torch.arange(size).view(shape), symmetry).flatten()


def average(covariance: Tensor, shape: tuple[int, int, int], group: Iterable[str]) -> Tensor:
    """Mean of P C P^T over a group of symmetries, for a covariance (D, D).

    The mean over a product of two subgroups is the mean over one of the mean over the other: three exchanges of rows
    and columns serve the eight symmetries of the square.

    Raises:
        ValueError: the symmetries are not one of `SUBGROUPS`.
    """
    group = tuple(group)
    if set(group) not in map(set, SUBGROUPS):
        raise ValueError(f"expected symmetries that form a group, one of {SUBGROUPS}, got {group}")
    flips = [g for g in ("h", "v", "hv") if g in group][:2]  # the third is the product of the others
    for symmetry in (["t"] if "t" in group else []) + flips:
        p = permutation(shape, symmetry).to(covariance.device)
        covariance = (covariance + covariance.index_select(0, p).index_select(1, p)) / 2
    return covariance


GENERATORS = ("t", "h", "v", "hv")
"""Symmetries that are tested, "hv" where "h" and "v" do not hold both; they generate every subgroup in `SUBGROUPS`."""

SEVERAL = 3
"""Networks whose filters are transformed."""

SMALL, MANY = 1_000_000, 64
"""Weights below which a network is so cheap that this many of them are drawn."""


def verified(
    make: Callable[[], nn.Module],
    input_shape: tuple[int, int, int],
    *,
    seed: int = 0,
    step: float = 100.0,
    draws: int | None = None,
) -> tuple[str, ...]:
    """The largest group of grid symmetries that random networks of this architecture have, by test.

    Three things are tested for every symmetry g. (1) That the network with its filters transformed by g answers to g(x)
    as the network itself answers to x, in the features before the read-out and in its output, for dark and for bright
    x: convolution kernels are transformed, and permuted are the inputs of a linear layer that reads a flattened feature
    map, and what reads or writes the tokens of a mixer (`grids`). (2) That the initialisation does not tell the weights
    apart that g exchanges, in kernels and in these linear layers: mean and mean square at each position, and in kernels
    the correlations between positions, agree over
    `draws` networks within sampling error. (3) That responses to dipoles at two neighbouring pixels are as strong, and
    as alike, as at the pixels that g takes them to, whatever the reason. A network that this test cannot understand
    fails it, and keeps the identity only.

    Args:
        make: the factory.
        input_shape: (C, H, W).
        seed: stream of the networks that are tested.
        step: of the dipoles; also how bright the bright images of the first test are.
        draws: networks whose initial weights and responses are compared; None takes 16, of small networks 64.

    Returns:
        Names of the symmetries, a group; ("",) where there is none but the identity.
    """
    try:
        good = _verified(make, input_shape, seed, step, draws)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        good = []  # layers that come and go, or return something else: not understood
    good = {*good, "hv"} if {"h", "v"} <= set(good) else good
    return next(group for group in SUBGROUPS if set(group) & set(GENERATORS) <= set(good))


def _verified(make: Callable[[], nn.Module], shape, seed: int, step: float, draws: int | None) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, *shape, generator=generator)
    network = build(make, seed)
    readout = readouts.find(network, x[0])
    ways = [grids.of_linear_layers(network, x, last) for last in (False, True)]
    for layers in ways if ways[0] != ways[1] else ways[:1]:
        good = list(GENERATORS if shape[1] == shape[2] else GENERATORS[1:])
        for index in range(SEVERAL):
            for bright in (1.0, step) if index == 0 else (step if index % 2 else 1.0,):
                if good:
                    good = _commuting(build(make, seed, index), readout, layers, bright * x, good)
            good = [g for g in good if g != "hv" or not {"h", "v"} <= set(good)]
        if good:
            break
    if not good:
        return good
    draws = draws or (MANY if sum(w.numel() for w in network.parameters()) < SMALL else probing.NETWORKS)
    weights: dict[str, list[Tensor]] = {}
    changes: list[Tensor] = []
    for index in range(draws):
        network = build(make, seed, index)
        for name, filters in _filters(network, layers):
            most = min(SAMPLES, SAMPLES * SMALL_FILTER // filters[0].numel()) // draws
            weights.setdefault(name, []).append(filters[: max(1, most)].double())
        changes.append(_changes(network, readout, shape, step, good, generator))
    found = torch.stack([some for some in changes if len(some)])  # (networks, symmetries, 2)
    if len(found) < draws / 2:
        return []  # most answer nothing, or NaN
    good = [g for i, g in enumerate(good) if all(probing.zero_mean(found[:, i, j, None], 1e-5) for j in (0, 1))]
    return _exchangeable({name: torch.cat(some) for name, some in weights.items()}, good)


def _commuting(
    network: nn.Module, readout: str | None, layers: dict[str, grids.Grids], x: Tensor, symmetries: list[str]
) -> list[str]:
    """Symmetries for which filters that are transformed undo what is done to two images."""
    before = probing.features(network, readout, x)
    found = []
    for symmetry in symmetries:
        moved = _moved(network, layers, symmetry)
        if moved is None:
            continue
        try:
            after = probing.features(moved, readout, act(x, symmetry).contiguous())
        except RuntimeError:  # an operation that the transformed network cannot do
            continue
        expected = list(before)
        if readout in layers and (grid := layers[readout].read):
            expected[0] = _turned(before[0], grid, symmetry)
        if probing.agree(expected, after):
            found.append(symmetry)
    return found


def _moved(network: nn.Module, found: dict[str, grids.Grids], symmetry: str) -> nn.Module | None:
    """The network with its filters transformed; None where a kernel or a stride that is not square cannot be."""
    moved = copy.deepcopy(network)
    for name, module in moved.named_modules():
        with torch.no_grad():
            if isinstance(module, nn.Conv2d):
                shapes = (module.kernel_size, module.stride, module.dilation)
                if "t" in symmetry and any(len(set(s)) > 1 for s in shapes):
                    return None
                module.weight.copy_(act(module.weight.clone(), symmetry))
            elif name in found:
                if grid := found[name].read:
                    module.weight.copy_(_turned(module.weight, grid, symmetry))
                if grid := found[name].written:
                    module.weight.copy_(_turned(module.weight.T, grid, symmetry).T)
                    if module.bias is not None:
                        module.bias.copy_(_turned(module.bias[None], grid, symmetry)[0])
    return moved


def _turned(rows: Tensor, grid: grids.Grid, symmetry: str) -> Tensor:
    """Rows (n, C H W) of numbers on a grid after a symmetry of it."""
    return grid.rows(act(grid.pictures(rows), symmetry)).clone()


def _changes(network, readout: str | None, shape, step: float, symmetries: list[str], generator) -> Tensor:
    """What symmetries change in the responses to dipoles at two neighbouring pixels: energy and product, (g, 2).

    The pixels are on one side of every axis, so that what a lopsided network does differently is of one sign.
    """
    height, width = shape[1:]
    row, column = (int(torch.randint(max(1, side // 2), (), generator=generator)) for side in (height, width))
    if height == width:
        row, column = sorted((row, column))
    channel = int(torch.randint(shape[0], (), generator=generator))
    pair = torch.zeros(2, *shape)
    for image, where in zip(pair, (column, min(column + 1, width - 1)), strict=True):
        image[channel, row, where] = step
    dipoles = torch.cat([act(pair, symmetry) for symmetry in ("", *symmetries)])
    products = probing.response_products(network, readout, dipoles, torch.randn(shape, generator=generator))
    if products is None:
        return torch.empty(0)
    blocks = torch.einsum("gigj->gij", products.view(1 + len(symmetries), 2, 1 + len(symmetries), 2))
    numbers = torch.stack([blocks[:, 0, 0] + blocks[:, 1, 1], blocks[:, 0, 1]], 1)
    return numbers[1:] - numbers[:1]


SAMPLES, PAIRS, SMALL_FILTER = 65_536, 1024, 49
"""Filters of a layer that are looked at, over all networks: one weight at a time, and pairs of weights. Of filters of
more weights than the third, as an MLP's first layer has, as many fewer are taken, and no pairs."""


def _filters(network: nn.Module, layers: dict[str, grids.Grids]):
    """Names and filters (n, h, w): kernels, and of linear layers on grids the weights of one output and channel."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
            yield name, module.weight.detach().flatten(0, 1)
        elif name in layers:
            if grid := layers[name].read:
                yield f"{name}, read", grid.pictures(module.weight.detach()).flatten(0, 1)
            if grid := layers[name].written:
                yield f"{name}, written", grid.pictures(module.weight.detach().T).flatten(0, 1)
                if module.bias is not None:
                    yield f"{name}, bias", grid.pictures(module.bias.detach()[None])[0]


def _exchangeable(weights: dict[str, Tensor], symmetries: list[str]) -> list[str]:
    """Symmetries that exchange no weights whose distributions a test tells apart.

    Of filters up to 7 x 7 the products of all pairs of weights are compared too: the correlations between positions.
    """
    good = list(symmetries)
    for filters in weights.values():
        flat = filters.flatten(1)
        few = flat[:: -(-len(flat) // PAIRS)] if flat.shape[1] <= SMALL_FILTER else flat[:0]
        products = (few[:, :, None] * few[:, None, :]).flatten(1)
        for symmetry in list(good):
            if "t" in symmetry and filters.shape[-1] != filters.shape[-2]:
                good.remove(symmetry)
                continue
            p = permutation((1, *filters.shape[1:]), symmetry)
            same = all(_one_mean(moment, p) for moment in (flat, flat.square()))
            if not same or (len(products) and not _one_mean(products, (p[:, None] * len(p) + p).flatten())):
                good.remove(symmetry)
    return good


def _one_mean(values: Tensor, p: Tensor) -> bool:
    """Whether draws (n, k) have the same mean as the same numbers in the places p, an involution."""
    once = torch.arange(len(p)) < p  # each pair that is exchanged gives one difference
    return probing.zero_mean(values[:, once] - values[:, p[once]])
