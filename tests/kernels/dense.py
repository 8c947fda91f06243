"""The recursion once more, as plainly as it can be written: every pair of images, every pair of positions."""

import math

import torch
from torch import Tensor


def start(images: Tensor) -> Tensor:
    """Covariance (n, n, H, W, H, W) of images (n, C, H, W)."""
    return torch.einsum("ncyx,mcvu->nmyxvu", images, images) / images.shape[1]


def conv(k: Tensor, gain: float, *, stride: int = 1, size: int = 3) -> Tensor:
    """A convolution with zero padding (size - 1) / 2 and weight variance gain / (size^2 channels)."""
    pad, height, width = (size - 1) // 2, k.shape[2], k.shape[3]
    padded = torch.nn.functional.pad(k, (pad, pad) * 4)
    total = 0
    for dy in range(size):
        for dx in range(size):
            taps = slice(dy, dy + height, stride), slice(dx, dx + width, stride)
            total = total + padded[(..., *taps, *taps)]
    return gain * total / size**2


def relu(k: Tensor) -> Tensor:
    """Cho and Saul's arc-cosine kernel of degree 1, at every entry."""
    variance = torch.einsum("nnyxyx->nyx", k)
    scale = (variance[:, None, :, :, None, None] * variance[None, :, None, None]).sqrt()
    cosine = torch.where(scale > 0, k / scale.clamp(min=1e-300), 0.0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    return scale * (torch.sin(angle) + (math.pi - angle) * cosine) / (2 * math.pi)


def pool(k: Tensor, size: int) -> Tensor:
    """Average over windows of both images."""
    n, m, height, width = k.shape[:4]
    shape = (height // size, size, width // size, size)
    return k.view(n, m, *shape, *shape).mean((3, 5, 7, 9))


def average(k: Tensor, gain: float) -> Tensor:
    """Global average and a read-out: (n, n)."""
    return gain * k.mean((2, 3, 4, 5))


def dense(k: Tensor, gain: float) -> Tensor:
    """Flatten and a read-out: (n, n)."""
    return gain * torch.einsum("nmyxyx->nm", k) / (k.shape[2] * k.shape[3])


def resnet18(images: Tensor, gain: float = 1 / 3) -> Tensor:
    """K of ResNet-18 in its CIFAR form."""
    k = relu(conv(start(images), gain))
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            branch = conv(relu(conv(k, gain, stride=stride)), gain)
            skip = conv(k, gain, stride=stride, size=1) if stride == 2 else k
            k = relu(branch + skip)
    return average(k, gain)


def secants(kernel, shape: tuple[int, int, int], pixels: list[int], x: Tensor, step: float) -> Tensor:
    """C_ij for some pixels, from K on all images x +- h e_i."""
    impulses = torch.eye(math.prod(shape), dtype=torch.float64)[pixels].view(-1, *shape)
    k = kernel(torch.cat([x + step * impulses, x - step * impulses]))
    n = len(pixels)
    return (k[:n, :n] - k[:n, n:] - k[n:, :n] + k[n:, n:]) / (4 * step**2)
