"""An architecture as the recursion sees it: a small graph of operations on covariances of feature maps.

A channel of a feature map is a random function of the image. In the limit of many channels all channels of a layer are
alike and independent, so one covariance k[p, q] per layer says everything, and a layer is an operation on it:

    convolution   k'[p, q] = gain * sum over taps d of k[p + d, q + d] + bias     (gain = weight variance * channels)
    fixed filter  k'[p, q] = sum over taps d, e of w_d w_e k[p + d, q + e]        (pooling, blur: each channel alone)
    activation    k'[p, q] = E[phi(u) phi(v)],  (u, v) Gaussian with variances k[p, p], k[q, q], covariance k[p, q]
    sum           k' = k_1 + k_2 where one of the branches has mean 0 given the other
    concatenation keeps its branches apart; the next convolution reads their mean, weighted by channels

`Builder` writes such graphs; `layers` and `translate` use it, the one from descriptions, the other from torch modules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from anisotropy.kernels.activations import Activation
from anisotropy.kernels.axes import Axis

SKIP = (
    "an activation reads a sum with rectified features, which are not Gaussian: their second moments are used as if "
    "they were (post-activation skip). The scale of the covariance is then far too small, its directions are close"
)
"""Note on residual networks of the first kind, such as ResNet-18. At 16 x 16 pixels, against random networks of full
width: secants (12 networks) have 65 times the exact trace, gradients (200) 25 times, since a ReLU halves the second
moment of what is Gaussian and hardly that of a sum with rectified features; of their energy the exact top 4, 20, 200
hold .492, .810, .996 where their own hold .497, .823, .996 (secants), .194, .617, .989 where .201, .629, .990
(gradients); the leading gradient directions have a cosine of .992. The joint law of a rectified skip and its branch has
no elementary closed form: it takes orthants of four Gaussians."""


class NoClosedForm(ValueError):
    """A layer whose infinitely wide limit has no closed form, or none that is known here."""


@dataclass(frozen=True)
class Source:
    """The images: k[p, q] = mean over channels of x[c, p] x'[c, q]."""


@dataclass(frozen=True)
class Linear:
    """A linear layer, one table of taps per axis (both shared, or both fixed)."""

    y: Axis
    x: Axis
    gain: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class Pointwise:
    """An activation."""

    activation: Activation


@dataclass(frozen=True)
class Add:
    """A weighted sum of covariances."""

    weights: tuple[float, ...]


Operation = Source | Linear | Pointwise | Add


@dataclass(frozen=True)
class Node:
    """An operation, the numbers of the nodes that it reads, and (height, width) of its map."""

    operation: Operation
    inputs: tuple[int, ...]
    sides: tuple[int, int]


@dataclass(frozen=True)
class Graph:
    """A whole architecture; the last node is the output, one position.

    Attributes:
        nodes: in an order in which each comes after what it reads.
        input_shape: (C, H, W).
        notes: what is approximated, in words; empty where the kernel is the limit itself.
    """

    nodes: tuple[Node, ...]
    input_shape: tuple[int, int, int]
    notes: tuple[str, ...] = ()

    @property
    def homogeneous(self) -> bool:
        """Whether f(h x) = h f(x) for h > 0: no biases, and ReLU only."""
        return not self.biased and all(a.homogeneous for a in self.activations)

    @property
    def biased(self) -> bool:
        """Whether a layer has biases."""
        return any(isinstance(n.operation, Linear) and n.operation.bias > 0 for n in self.nodes)

    @property
    def activations(self) -> list[Activation]:
        """All activations, in order."""
        return [n.operation.activation for n in self.nodes if isinstance(n.operation, Pointwise)]

    def without_biases(self) -> "Graph":
        """The same architecture without biases: what is left of it when the images are very bright."""
        nodes = tuple(
            Node(Linear(n.operation.y, n.operation.x, n.operation.gain), n.inputs, n.sides)
            if isinstance(n.operation, Linear)
            else n
            for n in self.nodes
        )
        return Graph(nodes, self.input_shape, self.notes)


@dataclass(frozen=True)
class Part:
    """Some channels of a value that are alike.

    Attributes:
        channels: how many.
        node: their covariance.
        roots: random layers that these channels depend on without a random layer in between.
        centred: whether their mean is 0, given all that came before.
        gaussian: whether they are Gaussian in the limit, as the input of an activation must be.
    """

    channels: int
    node: int
    roots: frozenset[int]
    centred: bool
    gaussian: bool


@dataclass(frozen=True)
class Value:
    """A feature map while a graph is written: its channels, in order, and the sides of the map."""

    parts: tuple[Part, ...]
    sides: tuple[int, int]

    @property
    def channels(self) -> int:
        """All channels."""
        return sum(part.channels for part in self.parts)


@dataclass
class Builder:
    """Writes a graph, layer by layer; what was written once is not written again."""

    input_shape: tuple[int, int, int]
    nodes: list[Node] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _known: dict[Node, int] = field(default_factory=dict)

    def source(self) -> Value:
        """The images."""
        channels, *sides = self.input_shape
        node = self._node(Source(), (), tuple(sides))
        return Value((Part(channels, node, frozenset({-1}), False, False),), tuple(sides))

    def random(self, value: Value, channels: int, y: Axis, x: Axis, variance: float, bias: float = 0.0) -> Value:
        """A convolution or dense layer: independent weights of mean 0 and this variance, biases likewise."""
        read = self._mean(value)
        sides = (y.length, x.length)
        node = self._node(Linear(y, x, variance * value.channels, bias), (read,), sides, again=True)
        return Value((Part(channels, node, frozenset({node}), True, True),), sides)

    def fixed(self, value: Value, y: Axis, x: Axis) -> Value:
        """A known filter on each channel: average pooling, blur."""
        sides = (y.length, x.length)
        parts = (
            Part(p.channels, self._node(Linear(y, x), (p.node,), sides), p.roots, p.centred, p.gaussian)
            for p in value.parts
        )
        return Value(tuple(parts), sides)

    def pointwise(self, value: Value, activation: Activation) -> Value:
        """An activation.

        Raises:
            NoClosedForm: it acts on the image itself.
        """
        parts = []
        for part in value.parts:
            if part.roots == {-1}:
                raise NoClosedForm("an activation on the image itself has no random weights to average over")
            if not part.gaussian:
                self._note(SKIP)
            node = self._node(Pointwise(activation), (part.node,), value.sides)
            parts.append(Part(part.channels, node, part.roots, False, False))
        return Value(tuple(parts), value.sides)

    def add(self, first: Value, second: Value) -> Value:
        """A sum of two branches.

        Raises:
            NoClosedForm: the branches depend on the same weights, or both have a mean (two rectified branches).
        """
        if first.sides != second.sides or first.channels != second.channels:
            raise ValueError(
                f"branches of a sum must have one shape, got {first.channels} channels of {first.sides} and "
                f"{second.channels} of {second.sides}"
            )
        parts = []
        for one, other in zip(*_aligned(first.parts, second.parts), strict=True):
            if one.roots & other.roots or not (one.centred or other.centred):
                raise NoClosedForm(
                    "the branches of a sum are correlated: they share weights, or both are rectified. Closed forms "
                    "exist where one branch ends in a layer with its own random weights"
                )
            nodes = tuple(sorted((one.node, other.node)))
            node = self._node(Add((1.0, 1.0)), nodes, first.sides)
            centred, gaussian = one.centred and other.centred, one.gaussian and other.gaussian
            parts.append(Part(one.channels, node, one.roots | other.roots, centred, gaussian))
        return Value(tuple(parts), first.sides)

    def concatenate(self, values: Sequence[Value]) -> Value:
        """Channels side by side."""
        if len({v.sides for v in values}) != 1:
            raise ValueError(f"branches of a concatenation must have one size, got {[v.sides for v in values]}")
        return Value(tuple(part for v in values for part in v.parts), values[0].sides)

    def graph(self, output: Value) -> Graph:
        """The finished graph.

        Raises:
            ValueError: the output is no single position, or no linear layer comes last.
        """
        node = self.nodes[output.parts[0].node]
        if output.sides != (1, 1) or len(output.parts) != 1 or not isinstance(node.operation, Linear):
            raise ValueError(
                f"expected a network that ends in a linear read-out with one value per image, got a map of "
                f"{output.channels} channels and {output.sides} positions"
            )
        reached, stack = set(), [output.parts[0].node]
        while stack:
            number = stack.pop()
            if number not in reached:
                reached.add(number)
                stack += self.nodes[number].inputs
        order = {old: new for new, old in enumerate(sorted(reached))}
        nodes = [self.nodes[old] for old in order]
        nodes = [Node(n.operation, tuple(order[i] for i in n.inputs), n.sides) for n in nodes]
        last = nodes[-1]  # its bias is the same for all images: it cancels in every response
        nodes[-1] = Node(Linear(last.operation.y, last.operation.x, last.operation.gain), last.inputs, last.sides)
        return Graph(tuple(nodes), self.input_shape, tuple(self.notes))

    def _mean(self, value: Value) -> int:
        """The mean over channels, as a chain in the order of creation: DenseNet's long sums share their beginnings."""
        total, shares = value.channels, {}
        for part in value.parts:
            shares[part.node] = shares.get(part.node, 0) + part.channels
        (node, weight), *others = sorted(shares.items())
        for other, share in others:  # unnormalised, so that the chain does not depend on what follows
            node, weight = self._node(Add((float(weight), float(share))), (node, other), value.sides), 1.0
        return node if len(shares) == 1 else self._node(Add((weight / total,)), (node,), value.sides)

    def _node(self, operation: Operation, inputs: tuple[int, ...], sides: tuple[int, int], *, again=False) -> int:
        node = Node(operation, inputs, sides)
        if again or node not in self._known:  # equal layers with weights of their own are different layers
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _aligned(first: Sequence[Part], second: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The same channels in both, split where either of them is."""
    ends = [set(), set()]
    for end, parts in zip(ends, (first, second), strict=True):
        total = 0
        for part in parts:
            total += part.channels
            end.add(total)
    cuts = sorted(ends[0] | ends[1])
    return tuple(_split(parts, cuts) for parts in (first, second))


def _split(parts: Sequence[Part], cuts: list[int]) -> list[Part]:
    found, begin, remaining = [], 0, list(parts)
    left = remaining[0].channels
    for cut in cuts:
        part = remaining[0]
        found.append(Part(cut - begin, part.node, part.roots, part.centred, part.gaussian))
        left -= cut - begin
        begin = cut
        if left == 0 and len(remaining) > 1:
            remaining.pop(0)
            left = remaining[0].channels
    return found
