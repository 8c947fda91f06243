"""What a unit of a sweep consists of, as far as it takes time: a training, its data, its measurement."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from anisotropy.architectures import without_arithmetic
from anisotropy.training import Recipe

BATCH = 8
"""Samples on which operations are counted: batch norm in training needs more than one."""


@dataclass(frozen=True)
class Workload:
    """What one unit of a sweep consists of.

    Attributes:
        architecture: plain values that name the network.
        factory: makes it.
        recipe: how it is trained.
        shape: (C, H, W) of a sample.
        classes: of the labels.
        train: samples it is trained on.
        measured: samples that it is measured on afterwards, those of the training included.
        device: where.
        stacked: whether several networks are trained as one stack where they can be, see `stacked.train_many`.
        draw: makes about so many samples of the data, as the job does, and returns how many: timed by a trial.
    """

    architecture: dict
    factory: Callable[[], nn.Module] = field(repr=False)
    recipe: Recipe
    shape: tuple[int, int, int]
    classes: int
    train: int
    measured: int
    device: str
    stacked: bool
    draw: Callable[[int], int] = field(repr=False, compare=False)

    @property
    def steps(self) -> int:
        """Training steps, if the training does not stop earlier."""
        return self.recipe.epochs * math.ceil(self.train / self.recipe.batch_size)

    @property
    def data_bytes(self) -> int:
        """Bytes of its samples on the device."""
        return self.measured * math.prod(self.shape) * self.recipe.stored.itemsize

    def alike(self) -> dict[str, Any]:
        """Return what the time of one training step and of one sample depends on, as plain values."""
        kept = ("momentum", "weight_decay", "batch_size", "clip_norm", "mean", "std", "dtype")
        recipe = {name: value for name, value in self.recipe.as_dict().items() if name in kept}
        size = min(self.train, self.recipe.batch_size)
        return {"architecture": self.architecture, "recipe": recipe, "shape": list(self.shape), "batch": size,
                "classes": self.classes, "device": self.device, "stacked": self.stacked}  # fmt: skip


class Counter(TorchDispatchMode):
    """Adds up the floating-point operations of what is computed within it, as torch counts them.

    torch's own `FlopCounterMode` also follows modules, by hooks that gradients of an input do not bear.

    Attributes:
        total: of matrix products and convolutions, a multiply-add counted as two.
    """

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func.overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def operations(workload: Workload) -> int:
    """Return the floating-point operations of a unit: matrix products and convolutions, a multiply-add counted as two.

    Counted on torch's meta device, without arithmetic, where the network can live there. Activations, pooling,
    normalisation and the data are not counted.

    Args:
        workload: of the unit.

    Returns:
        The number; an upper bound where the recipe may stop early.
    """

    def count() -> tuple[int, int]:
        network, images = workload.factory(), torch.zeros(BATCH, *workload.shape)
        return _count(network.train(), images, backward=True), _count(network.eval(), images, backward=False)

    trained, measured = without_arithmetic(count)
    return (workload.recipe.epochs * workload.train * trained + workload.measured * measured) // BATCH


def _count(network: nn.Module, images: torch.Tensor, *, backward: bool) -> int:
    with Counter() as counter, torch.set_grad_enabled(backward):
        scores = network(images)
        if backward:
            scores.sum().backward()
    return counter.total
