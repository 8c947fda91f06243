"""How much fits on a GPU: what is free there, what images take in a network, how many may go at once."""

from collections.abc import Callable

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anisotropy.architectures import without_arithmetic

SHARE = 0.5
"""Of what is free, the share that is planned with: libraries work in memory of their own, and others may come."""


def free(device: torch.device | str) -> int | None:
    """Bytes that can be had on a GPU now, those included that torch holds without using them.

    None for a CPU, and for the GPU of a cluster's worker that this machine does not have.
    """
    device = torch.device(device)
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def fitting(available: int | None, each: int, most: int) -> int:
    """How many things of `each` bytes to take at once: at most `most`, at least 1, within `SHARE` of what is available.

    Args:
        available: bytes, from `free`; None where nothing bounds them.
        each: bytes that one takes.
        most: what pays on the device, however much fits.
    """
    return most if available is None else max(1, min(most, int(SHARE * available) // max(1, each)))


class _Made(TorchDispatchMode):
    """Adds up the bytes of the tensors that operations return."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.bytes += sum(t.numel() * t.element_size() for t in tree_leaves(result) if isinstance(t, torch.Tensor))
        return result


def made_by(network: nn.Module, image: torch.Tensor) -> int:
    """Bytes of everything that an image (1, C, H, W) makes on its way through a network.

    A pass without gradients frees most of it as it goes, a training keeps about all of it.

    Example:
        >>> made_by(nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.ReLU()), torch.zeros(1, 1, 4, 4))  # 2 + 2 numbers
        16
    """
    with torch.no_grad(), _Made() as made:
        network(image)
    return made.bytes


def activations(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> int:
    """`made_by` of a factory's network in float32: without arithmetic where it can live on torch's meta device.

    Args:
        make: factory of the network.
        shape: (C, H, W).
    """
    return without_arithmetic(lambda: made_by(make().eval(), torch.zeros(1, *shape)))
