"""What notebook 08 samples to compare with exact covariances: random networks of several widths, looked up or drawn."""

import math
from functools import partial

import torch

from anisotropy import kernels, nads
from anisotropy.kernels import layers, widths
from anisotropy.kernels.layers import AvgPool, Conv, Dense, GlobalAverage, Identity, Readout, ReLU, Sequential, Sum
from anisotropy.models import architectures, networks
from anisotropy.nads import naming
from anisotropy.results import measures

VERSIONS = (1, networks.NUMERICS, naming.MEASURED)
"""Of the numbers of this module, of the paper's networks, and of sampled covariances."""


def _block(**how) -> Sequential:
    return Sequential(Conv(3, **how), ReLU())


_SKIP = Sequential(Sum(Identity(), Sequential(Conv(3), ReLU(), Conv(3))), ReLU())

NETS = {
    "plain, strides": Sequential(_block(), _block(stride=2), _block(stride=2), Readout()),
    "LeNet, average": Sequential(
        *(Conv(5, padding=0), ReLU(), AvgPool(2)) * 2, Dense(), ReLU(), Dense(), ReLU(), Readout()
    ),
    "rectified skips": Sequential(_block(), _SKIP, _SKIP, _block(stride=2), _SKIP, GlobalAverage(), Readout()),
}
"""Networks that are described layer by layer, by name."""


@measures.kept("kernels.sampled", version=VERSIONS, bound=0.1)
def sampled(
    network: str, *, response: str, width: float, size: int, random_networks: int, seed: int = 0
) -> dict[str, float]:
    """Distance of covariances of random networks from the exact one of infinite width, see `widths.Distance`.

    Args:
        network: one of `NETS`, or of the paper's.
        response: "secant" at 0, or "gradient" at one x ~ N(0, I).
        width: channels of one of `NETS`; of the paper's the share of their channels.
        size: pixels a side.
        random_networks: in eight groups together.
        seed: of the networks and of x.

    Raises:
        ValueError: no such network or response.
    """
    shape = (1, size, size)
    responses = {
        "secant": nads.Secant(at="zero"),
        "gradient": nads.Gradient(at=torch.randn(shape, generator=torch.Generator().manual_seed(seed))),
    }
    if response not in responses or network not in {**NETS, **architectures.BUILTIN}:
        known = ", ".join([*NETS, *architectures.BUILTIN])
        raise ValueError(
            f"expected a network out of {known}, and a response out of {', '.join(responses)}, got {network!r} and "
            f"{response!r}"
        )
    if network in NETS:
        net, make = NETS[network], partial(layers.network, NETS[network], shape, round(width))
    else:
        named = partial(architectures.factory, network, image_size=size)
        net, make = named(), named(width=width)
    exact = kernels.infinite_width(net, shape, response=responses[response]).covariance()
    groups = widths.sampled(make, shape, responses[response], networks=random_networks, seed=seed)
    return vars(widths.distance(groups, exact))


def curve(network: str, at: list[float], **how) -> dict[int, widths.Distance]:
    """Distances of `sampled` by the number of channels, of the first stage of the paper's networks.

    Args:
        network: as for `sampled`.
        at: widths, likewise.
        **how: its other arguments.
    """
    channels = {"densenet121": 32, "resnet18": 64}.get(network, 1)
    return {math.ceil(channels * width): widths.Distance(**sampled(network, width=width, **how)) for width in at}
