"""Anti-aliased pooling in a network (Zhang, ICML 2019, the paper's reference 24), and LeNet with it.

Pooling layers that subsample by 2 and differ in their prefilter only, so that trained networks can be compared
with what `pooling.gamma` predicts for each prefilter.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anisotropy.models.networks import LeNet
from anisotropy.theory import pooling, prefilters

KINDS = ("max", "average", "blur", "max_blur")


class BlurPool2d(nn.Module):
    """Binomial blur in both dimensions, then subsampling; any number of channels.

    The border is padded by reflection, so a side of n pixels becomes ceil(n / stride). The taps are those of
    `prefilters.binomial(order, ...)`; inside the picture the layer is the linear pooling of Eq. (1).

    Args:
        order: number of taps minus one, even and at least 2, so that the blur is centred on a pixel.
        stride: subsampling factor.
    """

    def __init__(self, order: int = 2, stride: int = 2):
        super().__init__()
        if order < 2 or order % 2:
            raise ValueError(f"expected an even order of at least 2 (a blur centred on a pixel), got {order}")
        if stride < 1:
            raise ValueError(f"expected a positive stride, got {stride}")
        self.order, self.stride = order, stride
        row = prefilters.binomial(order, order + 1).roll(order // 2).to(torch.get_default_dtype())
        self.register_buffer("taps", prefilters.outer(row)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blurred and subsampled maps (n, C, ceil(H / stride), ceil(W / stride)) of maps (n, C, H, W)."""
        padded = F.pad(x, [self.order // 2] * 4, mode="reflect")
        return F.conv2d(padded, self.taps.expand(x.shape[1], 1, -1, -1), stride=self.stride, groups=x.shape[1])


def layer(kind: str, *, order: int = 2) -> nn.Module:
    """A pooling layer that halves each side.

    Args:
        kind: "max" (LeNet's own), "average", "blur" (binomial instead of average), or "max_blur" (Zhang: the maximum of
            2 x 2 neighbours at every pixel, blurred before it is subsampled).
        order: of the binomial blur.

    Returns:
        The layer; even sides are halved.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind == "max":
        return nn.MaxPool2d(2)
    if kind == "average":
        return nn.AvgPool2d(2)
    if kind == "blur":
        return BlurPool2d(order)
    if kind == "max_blur":
        # one more row and column at the far border keep the side even, as nn.MaxPool2d(2) would leave it
        return nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, stride=1), BlurPool2d(order))
    raise ValueError(f"expected a kind of pooling out of {KINDS}, got {kind!r}")


def lenet(
    in_channels: int, num_outputs: int, image_size: tuple[int, int], *, kind: str = "blur", order: int = 2
) -> LeNet:
    """LeNet with another kind of pooling and the same parameters; `architectures.factory("anisotropy.blurpool:lenet")`.

    Args:
        in_channels: channels C of the input.
        num_outputs: outputs of the read-out.
        image_size: (H, W); sides that LeNet halves twice without rest (32, 28, 24, 20, 16).
        kind: as for `layer`.
        order: of the binomial blur.

    Returns:
        A fresh network: with one state of torch's generator, the same weights for every kind.

    Raises:
        ValueError: for a size that does not halve twice, or an unknown kind.
    """
    if any((s - 4) % 2 or ((s - 4) // 2 - 4) % 2 for s in image_size):
        raise ValueError(f"expected sides that halve twice in LeNet (16, 20, 24, 28, 32, ...), got {image_size}")
    network = LeNet(in_channels, num_outputs, image_size)
    network.pool = layer(kind, order=order)
    return network


class LinearPooling(nn.Module):
    """The pooling of Eq. (1) exactly as the theory has it, circular at the borders, with any prefilter; no parameters.

    Args:
        prefilter: impulse response (H, W).
        stride: S, must divide both sides.
    """

    def __init__(self, prefilter: Tensor, stride: int):
        super().__init__()
        matrix = pooling.pooling_matrix(prefilter, stride).to(torch.get_default_dtype())
        self.register_buffer("matrix", matrix, persistent=False)
        self.shape = tuple(side // stride for side in prefilter.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled maps (n, C, H / S, W / S) of maps (n, C, H, W)."""
        return (x.flatten(2) @ self.matrix.T).unflatten(2, self.shape)


def prefilter(kind: str, length: int, *, order: int = 2, stages: int = 1) -> Tensor:
    """The one linear prefilter that `stages` pooling layers of a kind amount to, each halving the signal.

    Args:
        kind: "average", "blur" (binomial), or "none" (plain subsampling).
        length: D, a multiple of 2^stages.
        order: of the binomial blur.
        stages: number of layers; the stride of the whole is 2^stages.

    Returns:
        Impulse response (D,).

    Raises:
        ValueError: for an unknown kind or a length that does not halve.
    """
    makers = {
        "average": lambda size: pooling.average(2, size),
        "blur": lambda size: pooling.binomial(order, size),
        "none": pooling.subsampling,
    }
    if kind not in makers:
        raise ValueError(f"expected a linear kind of pooling out of {tuple(makers)}, got {kind!r}")
    if stages < 1 or length % 2**stages:
        raise ValueError(f"expected a length that is a multiple of 2^stages, got {length} and {stages} stages")
    whole = makers[kind](length)
    for stage in range(1, stages):
        whole = pooling.compose(whole, 2**stage, makers[kind](length // 2**stage))
    return whole


def pooled_logistic_regression(
    in_channels: int,
    num_outputs: int,
    image_size: tuple[int, int],
    *,
    kind: str = "blur",
    order: int = 2,
    stages: int = 2,
) -> nn.Sequential:
    """Logistic regression on pooled images: the simplest network whose accuracy Theorem 1 bounds.

    Args:
        in_channels: channels C of the input.
        num_outputs: outputs of the read-out.
        image_size: (H, W), multiples of 2^stages.
        kind: as for `prefilter`.
        order: of the binomial blur.
        stages: pooling layers in a row, each halving the image.

    Returns:
        A fresh network.

    Raises:
        ValueError: as `prefilter`.
    """
    taps = pooling.outer(*(prefilter(kind, side, order=order, stages=stages) for side in image_size))
    pool = LinearPooling(taps, 2**stages)
    return nn.Sequential(pool, nn.Flatten(), nn.Linear(in_channels * pool.shape[0] * pool.shape[1], num_outputs))
