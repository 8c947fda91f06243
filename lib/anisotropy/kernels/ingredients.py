"""One ingredient of an architecture at a time: its exact NADs, and the marks of its Fourier map in numbers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from anisotropy.directions import bases
from anisotropy.kernels import exact
from anisotropy.kernels.activations import Rectifier, SingleTap
from anisotropy.kernels.graph import Graph, Pointwise
from anisotropy.nads import fingerprints
from anisotropy.nads.definitions import Secant
from anisotropy.nads.result import Nads


@dataclass(frozen=True)
class Measured:
    """What the exact covariance of one architecture looks like.

    Attributes:
        nads: all of them.
        energies: (D,) v'Cv along the real Fourier basis, as multiples of their mean.
        picture: (n, n) the same as a map, frequency 0 in the centre.
        mark: mean energies of kinds of frequencies.
        half: how many directions hold half of the energy.
        edge: how strongly pixels of the outermost ring are heard, as a multiple of all pixels'.
        seconds: of the processor, for the NADs.
    """

    nads: Nads
    energies: np.ndarray
    picture: np.ndarray
    mark: fingerprints.Fingerprint
    half: int
    edge: float
    seconds: float


def measure(networks: Mapping[str, Any], size: int, *, period: int) -> dict[str, Measured]:
    """Exact secant NADs of architectures at x = 0, and their marks.

    Steps are 1: without biases and with ReLU their length cancels, and a smooth activation is asked where it bends.

    Args:
        networks: name -> a description, a graph, a torch network or a factory, for images (1, size, size).
        size: pixels a side.
        period: of the lattice to look for, pixels from one sample to the next.
    """
    basis, found = bases.fourier(size, size), {}
    for name, network in networks.items():
        begin = time.process_time()
        nads = exact.infinite_width(network, (1, size, size), response=Secant(1.0, "zero"))
        seconds = time.process_time() - begin
        covariance, rows = nads.covariance(), basis.vectors.flatten(1)
        energies = ((rows @ covariance) * rows).sum(1).clamp(min=0).numpy()  # rounding may leave -1e-16
        energies = energies / energies.mean()
        found[name] = Measured(
            nads=nads,
            energies=energies,
            picture=basis.picture(energies),
            mark=fingerprints.fingerprint(energies, basis, period),
            half=fingerprints.half(nads.eigenvalues),
            edge=fingerprints.edge(covariance, (size, size)),
            seconds=seconds,
        )
    return found


def circular(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A factory of the same networks with circular padding in every convolution: pictures without a border."""

    def fresh() -> nn.Module:
        network = make()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.padding_mode = "circular"
        return network

    return fresh


def uniform_first_layer(graph: Graph) -> Graph:
    """The same architecture with the moments of a first layer of uniform weights, where each pixel is lit alone.

    The first layer reads few numbers, so that its outputs are Gaussian only if its weights are. Secants at x = 0 light
    one pixel at a time, and the moments are then known (`activations.SingleTap`); other images need other moments.

    Raises:
        ValueError: no ReLU reads the first layer.
    """
    first = [n for n, node in enumerate(graph.nodes) if node.inputs == (0,)]
    nodes = list(graph.nodes)
    found = [n for n, node in enumerate(nodes) if node.operation == Pointwise(Rectifier()) and node.inputs[0] in first]
    for number in found:
        nodes[number] = replace(nodes[number], operation=Pointwise(SingleTap()))
    if not found:
        raise ValueError("expected a network whose first layer is read by a ReLU")
    return replace(graph, nodes=tuple(nodes))
