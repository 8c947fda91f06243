"""Networks of the reader's own, tried before they are measured or trained: what would give wrong numbers is refused."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.models import output_checks
from anisotropy.models.architectures import build


def measured(factory: Callable[[], nn.Module], point: Tensor, seed: int) -> bool:
    """Try what is to be measured: one output per image that depends on image and weights, other weights each time.

    Args:
        factory: makes the networks.
        point: evaluation point (*shape).
        seed: names their stream.

    Returns:
        Whether two networks share nothing, so that the first may be changed without harm to the second.

    Raises:
        ValueError: networks that refuse the image, have other outputs, or depend on more than seed and image.
    """
    networks = [build(factory, seed, index) for index in (0, 1)]
    other = torch.randn(point.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = [network(point[None]) for network in networks]
            again = networks[0](point[None]), networks[0](torch.stack([point, other]))
    except Exception as error:
        types = {p.dtype for p in networks[0].parameters()} - {torch.float32}
        advice = (
            f"its weights are {', '.join(map(str, types))}: let the factory make float32; dtype=... converts them"
            if types
            else "give the shape=... that it was written for"
        )
        instead = f". Or rather: {advice}" if isinstance(error, (RuntimeError, IndexError, TypeError)) else ""
        raise ValueError(
            f"the network refuses an input of shape {tuple(point.shape)}: {checks.blamed(error)}{instead}"
        ) from error
    first, second = map(output_checks.scalar, outputs)
    _check_repeatable(factory, seed, networks[0], first, *map(output_checks.scalar, again))
    parameters = [list(network.parameters()) for network in networks]
    if not any(p.numel() for p in parameters[0]):
        raise ValueError("expected a network with random parameters, got one without any")
    same = len(parameters[0]) == len(parameters[1]) and all(map(torch.equal, *parameters))
    if torch.equal(first, second) and same:
        raise ValueError(
            "the factory returned the same weights twice: expected a callable that makes a freshly initialised network "
            "each time, such as lambda: MyNetwork(), drawn by torch's generator"
        )
    return not _shared(*networks)


def _check_repeatable(factory, seed: int, network: nn.Module, once: Tensor, twice: Tensor, beside: Tensor) -> None:
    """Raise ValueError where weights, or the answer to an image, depend on more than the seed and the image."""
    twin = build(factory, seed, 0)
    if not all(torch.equal(p, q) for p, q in zip(network.parameters(), twin.parameters(), strict=True)):
        raise ValueError(
            "the factory makes other weights from the same seed: draw them from torch's default generator (as "
            "torch.randn and nn.init do) and not from numpy, random, or a generator of your own"
        )
    tolerance = 1e-3 * float(torch.stack([once, twice]).abs().max()) + 1e-6
    if float((once - twice).abs().max()) > tolerance:
        raise ValueError(
            "the network answers differently to the same image: expected no randomness in eval mode, such as dropout "
            "that is always on"
        )
    if float((once - beside[:1]).abs().max()) > tolerance:
        raise ValueError(
            "the network's answer to an image depends on the others in its batch: expected each image to be answered "
            "by itself, as batch norm with running statistics does in eval mode"
        )


def trained(factory: Callable[[], nn.Module], shape: tuple[int, ...], classes: int) -> None:
    """Try what is to be trained, before many of them are.

    Args:
        factory: makes the networks.
        shape: of an input.
        classes: that they must have outputs for.

    Raises:
        ValueError: the networks share parts, refuse the images, or have too few outputs.
    """
    one, other = (build(factory, seed) for seed in (0, 1))
    if _shared(one, other):
        raise ValueError(
            "the factory returns the same network, or parts of it, twice, and a unit would go on with the weights that "
            "another has trained: expected a callable that makes a fresh one each time, such as lambda: MyNetwork()"
        )
    x = torch.zeros(2, *shape)
    try:
        with torch.no_grad():
            scores = one(x)
    except Exception as error:
        raise ValueError(f"the network refuses inputs of shape {shape}: {checks.blamed(error)}") from error
    output_checks.check_scores(scores, classes)


def _shared(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have a module, parameter or buffer in common."""
    parts = [{id(p) for p in (*n.modules(), *n.parameters(), *n.buffers())} for n in (one, other)]
    return bool(parts[0] & parts[1])
