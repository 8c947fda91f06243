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
from collections.abc import Callable

import torch
from scipy.linalg import helmert
from scipy.stats import chi2
from torch import Tensor, nn

from anisotropy.architectures import build
from anisotropy.symmetries import observed, same_mean

ALIKE = "c"
"""Name of this symmetry beside those of the grid (`symmetries`)."""


def colours(count: int) -> Tensor:
    """Orthonormal colours (C, C) of `count` channels: grey first, then differences (Helmert's matrix).

    Example:
        >>> (colours(3) * torch.tensor([[3.0], [2.0], [6.0]]).sqrt()).round().int().tolist()
        [[1, 1, 1], [1, -1, 0], [1, 1, -2]]
    """
    return torch.from_numpy(helmert(count, full=True))


ENOUGH, MOST = 512, 64
"""Filters of a first layer that are compared, if no more than so many networks have them."""


def verified(make: Callable[[], nn.Module], input_shape: tuple[int, int, int], *, seed: int = 0) -> bool:
    """Whether random networks of this architecture treat the channels of an image alike, by test.

    Two things are tested. That a network whose first layers have their weights moved from channel to channel, some with
    their signs changed, answers to an image changed likewise as the network itself does to the image. And that the
    initialisation does not tell these weights apart: mean and third moment are 0, the mean square is the same in each
    channel, weights of different channels are not correlated, within the sampling error of some 500 filters. First
    layers are convolutions without groups and linear layers that read the image itself; a network that does something
    else to it first fails the test.

    Args:
        make: the factory.
        input_shape: (C, H, W).
        seed: stream of the networks that are tested.

    Returns:
        Whether they do; False where there is one channel only.
    """
    count = input_shape[0]
    if count == 1:
        return False
    x = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(seed))
    network = build(make, seed)
    readers = _readers(network, x)
    if not readers or not _commutes(network, readers, x):
        return False
    drawn: dict[str, list[Tensor]] = {name: [] for name in readers}
    for index in range(MOST):
        fresh = build(make, seed, index)
        for name, filters in drawn.items():
            filters.append(_filters(fresh.get_submodule(name), count)[:ENOUGH].double())
        if min(sum(map(len, filters)) for filters in drawn.values()) >= ENOUGH:
            break
    return all(_exchangeable(torch.cat(filters)) for filters in drawn.values())


def _readers(network: nn.Module, x: Tensor) -> list[str]:
    """Names of the layers whose input is the image, as it is or flattened, and that mix all its channels."""
    found: list[str] = []

    def note(name: str, module: nn.Module, inputs, output) -> None:
        seen = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        same = seen is not None and seen.data_ptr() == x.data_ptr() and seen.numel() == x.numel()
        if same and _mixes(module, x.shape[1:]):
            found.append(name)

    observed(network, x, note)
    return found


def _mixes(module: nn.Module, shape) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.in_channels == shape[0]
    return isinstance(module, nn.Linear) and module.in_features == shape.numel()


def _filters(module: nn.Module, count: int) -> Tensor:
    """Weights of a first layer, (filters, C, positions)."""
    return module.weight.detach().flatten(1).unflatten(1, (count, -1))


def _commutes(network: nn.Module, readers: list[str], x: Tensor) -> bool:
    """Whether weights moved with the channels undo what is done to the image: each becomes the next, one changes sign.

    What every layer makes of the image must agree: some networks begin with a read-out of zeros.
    """
    order = torch.arange(x.shape[1]).roll(1)
    signs = torch.ones(len(order)).index_fill(0, torch.tensor([0]), -1.0)
    moved = copy.deepcopy(network)
    for module in map(moved.get_submodule, readers):
        filters = _filters(module, len(order))[:, order] * signs[:, None]
        with torch.no_grad():
            module.weight.copy_(filters.view_as(module.weight))
    before, after = _outputs(network, readers, x), _outputs(moved, readers, x[:, order] * signs[:, None, None])
    sizes = [float((one[:1] - one[1:]).abs().max()) for one in before]  # the part that depends on the image
    differences = [float((one - other).abs().max()) for one, other in zip(before, after, strict=True)]
    return max(sizes) > 0 and all(d <= 1e-3 * s for d, s in zip(differences, sizes, strict=True))


def _outputs(network: nn.Module, readers: list[str], x: Tensor) -> list[Tensor]:
    """What the layers make of two images, from the first that reads them on, and the network."""
    found: list[Tensor] = []

    def note(name: str, module: nn.Module, inputs, output) -> None:
        if (found or name in readers) and isinstance(output, Tensor) and output.dim() and len(output) == len(x):
            found.append(output)

    last = observed(network, x, note)
    return [*found, last]


def _exchangeable(weights: Tensor) -> bool:
    """Whether filters (n, C, positions) look as if channels could be exchanged and signs changed."""
    count, positions = weights.shape[1:]
    flat = weights.flatten(1)
    if not _zero_mean(flat) or not _zero_mean(flat**3):
        return False
    places = torch.arange(flat.shape[1]).view(count, positions)
    for c in range(count - 1):
        exchanged = places[[*range(c), c + 1, c, *range(c + 2, count)]].flatten()
        if not same_mean(flat.square(), flat[:, exchanged].square()):
            return False
    pairs = [(weights[:, a], weights[:, b]) for a in range(count) for b in range(a)]
    products = [torch.stack([(one * other).sum(1) for one, other in pairs], 1)]
    if positions <= 49:  # every position of one channel with every one of the other; of more there would be too many
        products += [(one[:, :, None] * other[:, None, :]).flatten(1) for one, other in pairs]
    return all(_zero_mean(some) for some in products)


def _zero_mean(values: Tensor) -> bool:
    """Whether draws (n, k) have mean 0: squares of the means, in units of their variance, add up to chi-square."""
    variance = float(values.var(0).mean())
    if variance < 1e-24:  # no randomness: zeros, or not
        return float(values.abs().max()) < 1e-12
    score = float(values.mean(0).square().sum()) / (variance / len(values))
    return score < chi2.isf(1e-7, values.shape[1])
