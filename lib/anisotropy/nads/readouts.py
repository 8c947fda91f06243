"""The read-out of a network: its last linear layer, over whose random weights responses can be averaged exactly.

Where f(x) = w^T phi(x) + b with weights w that are drawn with zero mean and covariance s2 I, independently of phi,

    E_w[ s s^T | phi ] = s2 S^T S,        S (F, D): the responses of the F features phi,

for any response s that is linear in f. Averaging s2 S^T S over networks instead of s s^T is the Rao-Blackwell
estimator of the same covariance: equal mean, smaller variance, and the forward passes compute phi anyway.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anisotropy.models.architectures import build


@dataclass(frozen=True)
class Readout:
    """A linear read-out: where it sits in the network, and how its weights are distributed.

    Attributes:
        name: of the module, as in ``network.named_modules()``; "" where the network is the layer itself.
        features: number F of features that it reads.
        variance: s2, the variance of one weight.
    """

    name: str
    features: int
    variance: float


def read(inputs: tuple, named: dict[str, Tensor]) -> Tensor:
    """What a layer was called with, whether as `layer(x)` or as `layer(input=x)`."""
    return inputs[0] if inputs else named["input"]


def find(network: nn.Module, x: Tensor) -> str | None:
    """Name of the linear layer whose output is the network's output, or None where there is none.

    Found by running the network, not by its text: the layer must be called once and last, its output must be the
    network's output entry by entry, and no other module may share its weights.

    Args:
        network: in eval mode.
        x: one input (*shape).
    """
    calls: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_hook(
            lambda _, inputs, named, output, name=name: calls.append((name, read(inputs, named).dim(), output)),
            with_kwargs=True,
        )
        for name, module in network.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            output = network(x[None])
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        return None
    name, dims, last = calls[-1]
    weight = network.get_submodule(name).weight
    shared = sum(p is weight for _, p in network.named_parameters(remove_duplicate=False)) > 1
    once = sum(called == name for called, _, _ in calls) == 1
    same = last.numel() == output.numel() and torch.equal(last.reshape(-1), output.reshape(-1))
    return name if same and once and not shared and dims == 2 else None


def examine(make: Callable[[], nn.Module], input_shape: tuple[int, ...], *, seed: int = 0, draws: int = 16):
    """Read-out of an architecture with the variance of its weights, or None where averaging over it is not exact.

    The weights of `draws` networks must have zero mean, and all features one variance, within sampling error. Weights
    drawn as torch's default does, uniform in +-1/sqrt(F), get their exact variance 1/(3F); any others the mean square
    of more of them. A read-out that is initialised to zero (some vision transformers) makes every response zero; it is
    replaced by torch's default, and a warning says so.

    Args:
        make: the factory.
        input_shape: of one input.
        seed: stream of the networks that are looked at; the same stream that the estimate uses is fine.
        draws: networks whose read-out weights are looked at.
    """
    name = find(build(make, seed), torch.zeros(input_shape))
    if name is None:
        warnings.warn(
            "the network does not end in one linear layer of its own: responses are sampled instead of averaged over "
            "the read-out, which takes many more networks. End it in nn.Linear, or take "
            "Secant(integrate_readout=False)",
            stacklevel=3,
        )
        return None

    def weights_of(networks: range) -> Tensor:
        return torch.stack([build(make, seed, i).get_submodule(name).weight.detach().double() for i in networks])

    weights = weights_of(range(draws))
    features, count = weights.shape[-1], weights.numel()
    square = float(weights.square().mean())
    default = 1 / (3 * features)
    if square == 0:
        warnings.warn(
            f"the read-out {name!r} is initialised to zero, so every response of a fresh network is zero; its weights "
            f"are taken as uniform in +-1/sqrt({features}) instead, torch's default",
            stacklevel=3,
        )
        return Readout(name, features, default)
    if abs(float(weights.mean())) > 5 * (square / count) ** 0.5:
        warnings.warn(
            f"the weights of the read-out {name!r} do not have zero mean ({float(weights.mean()):.2g}): responses are "
            "sampled instead of averaged over it",
            stacklevel=3,
        )
        return None
    if _unequal(weights):
        warnings.warn(
            f"the weights of the read-out {name!r} have one variance for some features and another for others: "
            "responses are sampled instead of averaged over it",
            stacklevel=3,
        )
        return None
    uniform = float(weights.abs().max()) <= features**-0.5 * (1 + 1e-6)
    # A uniform variable's square has relative standard deviation sqrt(4/5).
    if uniform and abs(square / default - 1) < 5 * (0.8 / count) ** 0.5:
        return Readout(name, features, default)
    # The variance is measured, so it needs many weights: 20,000 give it to about 1 %.
    more = range(draws, min(256, -(-20_000 // weights[0].numel())))
    weights = torch.cat([weights, weights_of(more)]) if len(more) else weights
    return Readout(name, features, float(weights.square().mean()))


def _unequal(weights: Tensor) -> bool:
    """Whether features differ in the variance of their weights (draws, outputs, F), as both halves of the draws say.

    Where all variances are equal, what the halves say of each feature is independent, with a correlation of 0 +-
    1 / sqrt(F).
    """
    squares = weights.square().mean(1)
    one, other = (half.mean(0) - half.mean() for half in (squares[::2], squares[1::2]))
    size = float((one.square().mean() * other.square().mean()).sqrt())
    return size > 0 and float((one * other).mean()) / size > 5 / len(one) ** 0.5
