"""What the tests of symmetry share: a look into networks, products of their responses, and whether a mean is 0."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from scipy import stats
from torch import Tensor, nn

SMALL = 0.1
"""Step of the dipoles that stand for gradients."""

NETWORKS = 16
"""Networks whose responses are compared, at least."""


def observed(network: nn.Module, images: Tensor, note: Callable[[str, nn.Module, tuple, object], None]) -> Tensor:
    """Answer of a network, after `note(name, layer, inputs, output)` was called for each of its layers in turn."""

    def seen(name: str, module: nn.Module, inputs: tuple, named: dict, output: object) -> None:
        note(name, module, (*inputs, *named.values()), output)

    layers = [(name, module) for name, module in network.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(partial(seen, name), with_kwargs=True) for name, module in layers]
    try:
        with torch.no_grad():
            return network(images)
    finally:
        for handle in handles:
            handle.remove()


def features(network: nn.Module, readout: str | None, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the read-out of a network gets, and what the network answers; twice the answer where it has none."""
    found: list[Tensor] = []

    def note(name: str, module: nn.Module, inputs, output) -> None:
        if name == readout:
            found.append(inputs[0])

    output = observed(network, images, note)
    return (found[0] if found else output), output


def response_products(network: nn.Module, readout: str | None, dipoles: Tensor, point: Tensor) -> Tensor | None:
    """Products (n, n) of a network's responses to dipoles, divided by their trace.

    Responses are those of the features before the read-out, where there is one: its weights average over them.

    Args:
        network: one random network.
        readout: name of its read-out (`readouts.find`), or None.
        dipoles: half of each dipole, (n, C, H, W).
        point: where they are, (C, H, W).

    Returns:
        s_i . s_j / sum_k s_k . s_k, or None where no response is finite and larger than 0.
    """
    answers = features(network, readout, torch.cat([point + dipoles, point - dipoles]))[0].double().flatten(1)
    response = answers[: len(dipoles)] - answers[len(dipoles) :]
    products = response @ response.T
    total = float(products.trace())
    return products / total if 0 < total < float("inf") else None


def agree(before: Iterable[Tensor], after: Iterable[Tensor]) -> bool:
    """Whether what layers make of two images is the same in two networks, up to rounding, and depends on the image.

    Args:
        before: tensors (2, ...) of one network, one row for each image.
        after: those of the other.
    """
    depends = False
    for one, other in zip(before, after, strict=True):
        if one.shape != other.shape:
            return False
        size = float((one[:1] - one[1:]).abs().max())  # of the part that depends on the image
        depends = depends or size > 0
        if not float((one - other).abs().max()) <= max(1e-3 * size, 1e-5 * float(one.abs().max())):
            return False
    return depends


def zero_mean(values: Tensor, level: float = 1e-7) -> bool:
    """Whether draws (n, k) may have mean 0, k independent numbers of about one variance: an F test.

    Args:
        values: the draws.
        level: probability that it is denied although it is so.

    Example:
        >>> draws = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> zero_mean(draws), zero_mean(draws + 1)
        (True, False)
    """
    count, width = values.shape
    variance = float(values.var(0).mean()) if width else 0.0
    if variance < 1e-24:  # no randomness: zeros, or not
        return width == 0 or float(values.abs().max()) < 1e-12
    score = float(values.mean(0).square().mean()) / (variance / count)
    return score < float(stats.f.isf(level, width, (count - 1) * width))
