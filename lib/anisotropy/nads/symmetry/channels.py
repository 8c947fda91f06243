"""Channels that an architecture's random networks treat alike: its NADs then have no preferred colour.

Where exchanging the channels of an image, or the sign of one, maps the distribution of random networks onto itself, it
maps their response covariance onto itself, P C P^T = C for every such P. So channels do not mix, and share one block:

    C = I_C (x) B,    B = (1 / C) sum_c E[ s_c s_c^T ],    s_c the response (H W,) to dipoles in channel c

Every direction of B comes C times, once in each of C orthogonal colours. That is why Section 4.2 can use the NADs of
grey images on each channel of CIFAR-10, and it leaves C times the data for a matrix C^2 times smaller. Like the grid's
symmetries it is *verified* on networks here, never assumed. It holds at x ~ N(0, I), as the average over the
exchanges, and at x = 0; no other image has it.
"""

import copy
from collections.abc import Callable, Iterator

import torch
from scipy.linalg import helmert
from torch import Tensor, nn

from anisotropy.models.architectures import build
from anisotropy.nads import readouts
from anisotropy.nads.symmetry import probing

ALIKE = "c"
"""Name of this symmetry beside those of the grid (`symmetries`)."""

FILTERS, MOST = 512, 64
"""Filters of a first layer that are compared, and networks at most that are drawn to have them."""

SEVERAL = 4
"""Networks whose weights are moved."""

PROJECTIONS = 16
"""Numbers that stand for a filter's weights in one channel, where it has more, when weights are multiplied by pairs."""


def colours(count: int) -> Tensor:
    """Orthonormal colours (C, C) of `count` channels: grey first, then differences (Helmert's matrix).

    Example:
        >>> (colours(3) * torch.tensor([[3.0], [2.0], [6.0]]).sqrt()).round().int().tolist()
        [[1, 1, 1], [1, -1, 0], [1, 1, -2]]
    """
    return torch.from_numpy(helmert(count, full=True))


def verified(
    make: Callable[[], nn.Module], input_shape: tuple[int, int, int], *, seed: int = 0, step: float = 100.0
) -> bool:
    """Whether random networks of this architecture treat the channels of an image alike, by test.

    Three things are tested. (1) That a network whose first layers have their weights moved from channel to channel, or
    changed in sign, answers to an image changed likewise as the network itself does to the image, in every layer. (2)
    That the initialisation does not tell these weights apart: mean and third moment are 0, second and fourth moments
    and the products of weights are the same in each channel, products between channels have mean 0. (3) That responses
    to dipoles in one channel are as strong as in another, and uncorrelated between channels, whatever the reason. All
    within the sampling error of 16 to 64 networks, so that small differences, of some 5 % in the weights' size, pass.
    First layers are convolutions without groups and linear layers that read the image itself. A network that is not
    understood fails the test.

    Args:
        make: the factory.
        input_shape: (C, H, W).
        seed: stream of the networks that are tested.
        step: of the dipoles; also how bright the brightest images of the first test are.

    Returns:
        Whether they do; False where there is one channel only.
    """
    if input_shape[0] == 1:
        return False
    try:
        return _alike(make, input_shape, seed, step)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return False  # layers that come and go, take no dense images, or return something else: not understood


def _alike(make: Callable[[], nn.Module], shape: tuple[int, int, int], seed: int, step: float) -> bool:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, *shape, generator=generator)
    network = build(make, seed)
    readers, readout = _readers(network, images), readouts.find(network, images[0])
    exchanges = list(_exchanges(shape[0]))
    if not readers or not _commutes(network, readers, step * images, exchanges):
        return False
    drawn: dict[str, list[Tensor]] = {name: [] for name in readers}
    products = []
    for index in range(MOST):
        network = network if index == 0 else build(make, seed, index)
        if index < SEVERAL and not _commutes(network, readers, (step if index % 2 else 1) * images, exchanges[-1:]):
            return False
        for name, some in drawn.items():
            filters = _filters(network.get_submodule(name), shape[0])
            some.append(filters[:: -(-len(filters) // FILTERS)].double())
        products.append(_products(network, readout, shape, step, generator))
        if index + 1 >= probing.NETWORKS and min(sum(map(len, some)) for some in drawn.values()) >= FILTERS:
            break
    return _balanced([found for found in products if found is not None]) and all(
        _exchangeable(torch.cat(some)) for some in drawn.values()
    )


def _exchanges(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Order and signs of the channels: two exchanged, the sign of one changed, each in the place of the next."""
    same, plus = torch.arange(count), torch.ones(count)
    minus = plus.index_fill(0, torch.tensor([0]), -1.0)
    yield torch.cat([same[:2].flip(0), same[2:]]), plus
    yield same, minus
    yield same.roll(1), minus


def _products(network: nn.Module, readout: str | None, shape, step: float, generator) -> Tensor | None:
    """Products (C, C) of responses to dipoles in each channel, summed over pixels, of trace 1; None where all are 0."""
    count, pixels = shape[0], shape[1] * shape[2]
    places = max(1, min(4, 4 * 1024 // pixels))
    dipoles = torch.zeros(places, count, *shape)
    chosen = torch.randint(pixels, (places,), generator=generator)
    for c in range(count):
        dipoles[:, c, c].flatten(1)[torch.arange(places), chosen] = step
    point = torch.randn(shape, generator=generator)
    products = probing.response_products(network, readout, dipoles.flatten(0, 1), point)
    if products is None:
        return None
    return torch.einsum("pcpd->cd", products.view(places, count, places, count))


def _balanced(products: list[Tensor]) -> bool:
    """Whether products of responses (C, C) have equal means on the diagonal, and 0 beside it."""
    if len(products) < probing.NETWORKS // 2:
        return False  # most answer nothing, or NaN
    found = torch.stack(products)
    count = found.shape[1]
    beside = torch.triu_indices(count, count, 1)
    return all(
        probing.zero_mean(numbers, 1e-5)
        for numbers in (found.diagonal(dim1=1, dim2=2) - 1 / count, found[:, beside[0], beside[1]])
    )


def _readers(network: nn.Module, x: Tensor) -> list[str]:
    """Names of the layers whose input is the image, as it is or flattened, and that mix all its channels."""
    found: list[str] = []

    def note(name: str, module: nn.Module, inputs, output) -> None:
        seen = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        same = seen is not None and seen.data_ptr() == x.data_ptr() and seen.numel() == x.numel()
        if same and _mixes(module, x.shape[1:]):
            found.append(name)

    probing.observed(network, x, note)
    return found


def _mixes(module: nn.Module, shape) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.in_channels == shape[0]
    return isinstance(module, nn.Linear) and module.in_features == shape.numel()


def _filters(module: nn.Module, count: int) -> Tensor:
    """Weights of a first layer, (filters, C, positions)."""
    return module.weight.detach().flatten(1).unflatten(1, (count, -1))


def _commutes(network: nn.Module, readers: list[str], x: Tensor, exchanges: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether weights moved with the channels undo what is done to the image, in each of some exchanges.

    What every layer gets and makes of the image must agree: some networks begin with a read-out of zeros.
    """
    before = _seen(network, readers, x)
    for order, signs in exchanges:
        moved = copy.deepcopy(network)
        for module in map(moved.get_submodule, readers):
            filters = _filters(module, len(order))[:, order] * signs[:, None]
            with torch.no_grad():
                module.weight.copy_(filters.view_as(module.weight))
        after = _seen(moved, readers, x[:, order] * signs[:, None, None])
        if len(before) != len(after) or not probing.agree(before, after):
            return False
    return True


def _seen(network: nn.Module, readers: list[str], x: Tensor) -> list[Tensor]:
    """What the layers get and make of two images, after the first that reads them, and what the network answers."""
    found: list[Tensor] = []

    def note(name: str, module: nn.Module, inputs, output) -> None:
        if not found and name not in readers:
            return
        some = [output] if name in readers else [*inputs, output]
        dense = (t for t in some if isinstance(t, Tensor) and t.layout == torch.strided and t.is_floating_point())
        found.extend(t.float() for t in dense if t.dim() and len(t) == len(x) and t.numel())

    last = probing.observed(network, x, note)
    return [*found, last.float()]


def _exchangeable(weights: Tensor) -> bool:
    """Whether filters (n, C, positions) look as if channels could be exchanged and signs changed."""
    return all(map(probing.zero_mean, _contrasts(weights)))


def _contrasts(weights: Tensor) -> Iterator[Tensor]:
    """What has mean 0 where channels are alike: odd moments, differences between channels, products of any two."""
    yield weights.flatten(1)
    yield weights.flatten(1) ** 3
    few, (count, positions) = weights, weights.shape[1:]
    if positions > PROJECTIONS:
        generator = torch.Generator().manual_seed(0)
        few = weights @ torch.randn(positions, PROJECTIONS, generator=generator, dtype=weights.dtype)

    def products(a: int, b: int) -> Tensor:
        return (few[:, a, :, None] * few[:, b, None, :]).flatten(1)

    for c in range(count - 1):
        one, other = weights[:, c], weights[:, c + 1]
        yield one**2 - other**2
        yield one**4 - other**4
        yield products(c, c) - products(c + 1, c + 1)
    for a in range(count):
        for b in range(a):
            yield (weights[:, a] * weights[:, b]).sum(1, keepdim=True)
            yield products(a, b)
