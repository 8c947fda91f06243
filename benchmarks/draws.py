"""Do paired draws of weights save networks? Tried for LeNet, and not used, since they do not, or hardly.

    python benchmarks/draws.py [--pairs 64]

The variance of an estimate falls with the number of networks as if they were independent. A pair whose two covariances
are negatively correlated would count as more than two networks, a pair with correlation rho as 2 / (1 + rho). The
correlation is measured between the deviations of each network's covariance (read-out integrated out, averaged over the
grid's symmetries) from the mean over all networks, in Frobenius' product. Pairs: independent networks, for control;
antithetic weights, -W for W, in the first layer or in all; and the same convolutions with new dense layers, which costs
less than a second network.
"""

import argparse
import copy
from pathlib import Path

import torch
from anisotropy.models import architectures
from anisotropy.nads import readouts, responses
from anisotropy.nads.covariances import DenseCovariance
from anisotropy.nads.symmetry import spatial
from measuring import RESULTS, load, origin, write
from torch import Tensor, nn


def independent(network: nn.Module, other: nn.Module) -> nn.Module:
    """Another network."""
    return other


def first_negated(network: nn.Module, other: nn.Module) -> nn.Module:
    """The network with the first convolution's weights and biases negated."""
    made = copy.deepcopy(network)
    for p in made.conv1.parameters():
        p.neg_()
    return made


def all_negated(network: nn.Module, other: nn.Module) -> nn.Module:
    """The network with all its weights and biases negated."""
    made = copy.deepcopy(network)
    for p in made.parameters():
        p.neg_()
    return made


def dense_anew(network: nn.Module, other: nn.Module) -> nn.Module:
    """The network's convolutions with the dense layers of another."""
    made = copy.deepcopy(network)
    made.fc1, made.fc2 = other.fc1, other.fc2
    return made


PAIRS = {
    "independent": independent,
    "first layer negated": first_negated,
    "all layers negated": all_negated,
    "dense layers anew": dense_anew,
}


def correlation(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Correlation of the deviations of the members of pairs, rows (n, D * D), and its standard error."""
    a, b = first - first.mean(0), second - second.mean(0)
    products = (a * b).sum(1) / (a.square().sum(1).mean() * b.square().sum(1).mean()).sqrt()
    return float(products.mean()), float(products.std() / len(products) ** 0.5)


@torch.no_grad()
def measure(pairs: int) -> dict[str, dict[str, float]]:
    """Correlation of each kind of pair, and what a pair counts for in independent networks."""
    factory = architectures.factory("lenet")
    x = torch.randn(factory.input_shape, generator=torch.Generator().manual_seed(0))
    readout = readouts.examine(factory, factory.input_shape)
    group = spatial.verified(factory, factory.input_shape)

    def covariance(network: nn.Module) -> Tensor:
        one = DenseCovariance(factory.input_shape, group, parts=1)
        one.add(responses.secant_rows(responses.prepare(network), x, step=100.0, readout=readout))
        return one.covariance().float().flatten()

    base = [architectures.build(factory, 0, i) for i in range(pairs)]
    others = [architectures.build(factory, 1, i) for i in range(pairs)]
    first = torch.stack([covariance(network) for network in base])
    found = {}
    for label, make in PAIRS.items():
        second = torch.stack([covariance(make(network, other)) for network, other in zip(base, others, strict=True)])
        rho, error = correlation(first, second)
        found[label] = {"correlation": rho, "error": error, "counts_for": 2 / (1 + rho)}
        print(f"{label:20s} correlation {rho:5.2f} +- {error:.2f}: a pair counts for {2 / (1 + rho):.2f} networks")
    return found


def main() -> None:
    """Measure, print, write `results/draws.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--output", type=Path, default=RESULTS / "draws.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    before = load()
    record = {
        "what": "correlation of the covariances of paired LeNets, secant, read-out integrated out",
        "pairs": arguments.pairs,
        "kinds": measure(arguments.pairs),
        "load_before": before,
        **origin(),
    }
    write(arguments.output, record)


if __name__ == "__main__":
    main()
