"""Graph networks on one fixed graph, by name: layers of PyTorch Geometric, a read-out that pools the nodes.

    x (n, nodes, features) -> layers, each followed by a ReLU -> mean or sum over the nodes, or all of them -> linear

What they answer to is asked along the modes of the graph (`directions.modes`).
"""

import hashlib

import torch
from torch import Tensor, nn

from anisotropy._util import checks, extras
from anisotropy.directions import modes
from anisotropy.models.architectures import Factory

ORDER = 3
"""Polynomials of the Laplacian in a Chebyshev filter, degree 0 to 2."""

READOUTS = ("mean", "sum", "flat")


def _gin(layers, inputs: int, hidden: int) -> nn.Module:
    return layers.GINConv(nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden)))


KINDS = {
    "gcn": lambda layers, *size: layers.GCNConv(*size),
    "cheb": lambda layers, *size: layers.ChebConv(*size, K=ORDER),
    "gin": _gin,
    "gat": lambda layers, *size: layers.GATConv(*size),
}
"""Kipf and Welling, ICLR 2017; Defferrard et al., NeurIPS 2016; Xu et al., ICLR 2019; Velickovic et al., ICLR 2018."""


class GraphNetwork(nn.Module):
    """A network on one graph; see `factory` for the arguments.

    Attributes:
        edges: (2, E), both ways.
        convolutions: layers of PyTorch Geometric.
        activation: after each of them.
    """

    def __init__(
        self, kind: str, edges: Tensor, shape: tuple[int, int], hidden: int, layers: int, readout: str, outputs: int
    ):
        super().__init__()
        self.shape, self.pooling = shape, readout
        self.register_buffer("edges", edges, persistent=False)
        brought = extras.needed("torch_geometric.nn", "a graph network")
        sizes = [shape[1], *[hidden] * layers]
        self.convolutions = nn.ModuleList([KINDS[kind](brought, *sizes[i : i + 2]) for i in range(layers)])
        self.activation = nn.ReLU()
        self.readout = nn.Linear(hidden * (shape[0] if readout == "flat" else 1), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, outputs) of inputs (n, nodes, features): n copies of the graph, side by side."""
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"expected inputs (n, nodes, features) = (n, {self.shape[0]}, {self.shape[1]}), got {tuple(x.shape)}"
            )
        copies = torch.arange(len(x), device=x.device) * self.shape[0]
        edges = (self.edges[:, None] + copies[None, :, None]).flatten(1)
        features = x.flatten(0, 1)
        for convolution in self.convolutions:
            features = self.activation(convolution(features, edges))
        features = features.view(len(x), self.shape[0], -1)
        pooled = {"mean": lambda: features.mean(1), "sum": lambda: features.sum(1), "flat": lambda: features.flatten(1)}
        return self.readout(pooled[self.pooling]())

    def extra_repr(self) -> str:
        """What tells networks apart that have the same layers."""
        return f"pooling={self.pooling}"


def factory(
    kind: str,
    graph: Tensor,
    *,
    nodes: int | None = None,
    features: int = 1,
    hidden: int = 32,
    layers: int = 2,
    readout: str = "mean",
    num_outputs: int = 1,
) -> Factory:
    """Factory of graph networks, for `estimate`, `energies` and, with two outputs, `sweep`.

    Args:
        kind: "gcn", "cheb" (filters of degree 2), "gin" or "gat" (one head), as `KINDS` names them.
        graph: edges (2, E), both ways, as `ring`, `grid` and PyTorch Geometric have them; or adjacency matrix, whose
            weights must be 0 and 1.
        nodes: n, where the last nodes have no edge.
        features: numbers at each node.
        hidden: numbers at each node after a layer.
        layers: how many.
        readout: what the last linear layer reads: the "mean" or "sum" over the nodes, or all of them, "flat".
        num_outputs: 1 to measure, the number of classes to train.

    Returns:
        A factory with `input_shape` (nodes, features).

    Raises:
        ValueError: no such kind, graph or read-out, or a number out of range.
        ImportError: PyTorch Geometric is not installed; says how it is.

    Example:
        >>> made = factory("gcn", modes.ring(12), features=2)
        >>> made.input_shape, tuple(made()(torch.zeros(5, 12, 2)).shape)
        ((12, 2), (5, 1))
    """
    for value, known, what in ((kind, tuple(KINDS), "kind"), (readout, READOUTS, "read-out")):
        if value not in known:
            raise ValueError(f"expected a {what} out of {known}, got {value!r}")
    matrix = modes.adjacency(graph, nodes)
    if not bool(((matrix == 0) | (matrix == 1)).all()):
        raise ValueError("expected a graph whose edges all weigh 1")
    edges = matrix.nonzero().T.contiguous()
    sizes = {"features": features, "hidden": hidden, "layers": layers, "num_outputs": num_outputs}
    sizes = {name: checks.whole(value, name) for name, value in sizes.items()}
    extras.needed("torch_geometric.nn", "a graph network")
    shape, outputs = (len(matrix), sizes.pop("features")), sizes["num_outputs"]
    named = hashlib.sha256(repr(edges.tolist()).encode()).hexdigest()[:12]
    return Factory(
        f"graph:{kind}",
        shape,
        {**sizes, "readout": readout, "edges": named},
        lambda: GraphNetwork(kind, edges.clone(), shape, sizes["hidden"], sizes["layers"], readout, outputs),
    )
