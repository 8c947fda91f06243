"""NADs of infinitely wide networks, exactly: no random network is drawn, no response is sampled."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.kernels import gradients, images, layers, translate
from anisotropy.kernels.graph import Graph
from anisotropy.nads import definitions
from anisotropy.nads.definitions import Dipole, Gradient, Secant
from anisotropy.nads.result import Nads

Network = layers.Layer | Graph | nn.Module | Callable[[], nn.Module]


def infinite_width(
    network: Network,
    input_shape: tuple[int, int, int] | None = None,
    *,
    response: Secant | Gradient = Secant(math.inf, "zero"),
    seed: int = 0,
) -> Nads:
    """NADs of an architecture in the limit of many channels, from its Gaussian-process kernel.

        secant     C_ij = second difference of K(x, x') at x +- h e_i, x +- h e_j, over 4 h^2
        gradient   C = d/dx d/dx' K(x, x') at x' = x,                            K(x, x') = E f(x) f(x')

    K follows from a recursion over the layers (Cho and Saul, 2009; Novak et al. and Garriga-Alonso et al., 2019), so
    this is the covariance that `estimate` samples, but for the width of the networks.

    At 32 x 32 pixels, processor time of one thread: secants of ResNet-18 from black 1.4 s and 0.3 GiB, of LeNet with
    average pooling 0.9 s; gradients of ResNet-18 1.6 s, of DenseNet-121 48 s and 2.5 GiB, since pools connect all pairs
    of positions. Secants of DenseNet-121 take too much, and secants at an x other than black are far slower (ResNet-18
    follows 4 times 8e9 numbers); `energies` along directions are not.

    Args:
        network: a description (`layers`), a graph, a fresh torch network or a factory of them.
        input_shape: (C, H, W); may be left out for an `architectures.factory` or a graph, which know it.
        response: `Secant(step, at)`, by default in the limit of long steps, or `Gradient(at=...)`; what of it says how
            networks are sampled (`draws`, `integrate_readout`, `dtype`, `chunk`) has no meaning here.
        seed: draws the evaluation point, as `estimate` does.

    Returns:
        All D NADs; `networks` is 0, `settings` say what was asked, and under `approximations` what is not the limit.

    Raises:
        NoClosedForm: a layer has no closed form, such as max-pooling.
        TypeError: another response: mixed derivatives have no recursion here.
        ValueError: sizes do not fit; the secants would take too many numbers; a gradient at a black image.

    Example:
        >>> net = layers.Sequential(layers.AvgPool(2), layers.Readout())
        >>> found = infinite_width(net, (1, 4, 4))
        >>> [round(float(v), 4) for v in found.eigenvalues[:5]]  # four windows of four pixels: 1/4 * 1/(3 * 4)
        [0.0208, 0.0208, 0.0208, 0.0208, 0.0]
    """
    begin = time.monotonic()
    name = definitions.named(response, Secant, Gradient)
    graph = graph_of(network, input_shape)
    point, where = _point(response, graph, seed)
    step = response.step if name == "secant" else None
    if name == "secant":
        covariance = images.secants(graph, point, step)
    else:
        if point is None and not all(a.homogeneous is False for a in graph.activations):
            raise ValueError('expected an image that is not black, or at="normal": at x = 0 ReLU has no gradient')
        covariance = gradients.gradients(graph, torch.zeros(graph.input_shape) if point is None else point)
    values, vectors = torch.linalg.eigh(covariance)
    directions = vectors.T.flip(0)
    largest = directions.abs().argmax(1, keepdim=True)
    directions = directions * directions.gather(1, largest).sign()
    return Nads(
        eigenvalues=values.flip(0),
        directions=directions.float().view(-1, *graph.input_shape),
        networks=0,
        settings={
            "architecture": getattr(network, "spec", {"name": _name(network)}),
            "input_shape": list(graph.input_shape),
            "method": f"exact {name}",
            "step": str(step) if step == math.inf else step,
            "at": where,
            "seed": seed if where == "normal" else None,
            "approximations": list(graph.notes),
            "seconds": round(time.monotonic() - begin, 3),
        },
    )


def energies(
    network: Network,
    directions: Tensor,
    *,
    response: Dipole = Dipole(math.inf),
    seed: int = 0,
) -> Tensor:
    """How strongly infinitely wide networks answer to dipoles along given directions.

        q(v) = E[(f(x + h v) - f(x - h v))^2] / 4 h^2,   at x = 0 without biases [K(v, v) - K(v, -v)] / 2.

    For v = e_i this is the diagonal of the secants' covariance; for other directions it is the dipole itself, which no
    covariance knows: f is not linear. One pass of the recursion a direction, in blocks.

    Args:
        network: as for `infinite_width`.
        directions: (K, C, H, W).
        response: step and evaluation point; by default the limit of long steps.
        seed: draws the evaluation point.

    Returns:
        (K,) float64.

    Raises:
        NoClosedForm: a layer has no closed form.
        ValueError: sizes do not fit.
    """
    directions = checks.directions(directions)
    if directions.dim() != 4:
        raise ValueError(f"expected directions of shape (K, C, H, W), got {tuple(directions.shape)}")
    definitions.named(response, Dipole)
    graph = graph_of(network, tuple(directions.shape[1:]))
    return images.energies(graph, directions, _point(response, graph, seed)[0], response.step)


def graph_of(network: Network, input_shape: tuple[int, int, int] | None = None) -> Graph:
    """The recursion of an architecture; `infinite_width` takes it too, which spares the translation.

    Raises:
        NoClosedForm: a layer has no closed form.
        ValueError: the input shape is not known, or another one.
    """
    known = getattr(network, "input_shape", None)
    if input_shape is None and known is None:
        raise ValueError("expected input_shape=(C, H, W): this network does not know it")
    if input_shape is not None and known is not None and tuple(known) != tuple(input_shape):
        raise ValueError(f"the network takes images of shape {tuple(known)}, got {tuple(input_shape)}")
    shape = tuple(input_shape if input_shape is not None else known)
    if len(shape) != 3:
        raise ValueError(f"infinitely wide networks are known for images (C, H, W), got the shape {shape}: sample them")
    if isinstance(network, Graph):
        return network
    if isinstance(network, layers.Layer):
        return layers.graph(network, shape)
    return translate.graph_of(network, shape)


def _name(network: Network) -> str:
    return getattr(network, "__qualname__", type(network).__name__)


def _point(response: Secant | Gradient | Dipole, graph: Graph, seed: int) -> tuple[Tensor | None, str]:
    """Evaluation point, None where it is black, and what it is called."""
    point = definitions.point(response, graph.input_shape, checks.seed(seed)).double()
    where = response.at if isinstance(response.at, str) else "image"
    return (point if bool(point.any()) else None), where
