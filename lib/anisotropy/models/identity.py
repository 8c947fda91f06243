"""What a network of the user's own is: its layers, weights and answers, so that no result outlives a changed network.

A name says nothing about a network that its user edits. Two factories are the same if their networks have the same
layers with the same settings, the same first seeded initialisation, and the same answers to fixed images, in eval mode
and in seeded train mode, to `DIGITS` digits: another processor rounds the last digits otherwise and must agree.
"""

import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.models import architectures

DIGITS = 4
"""Decimal digits of the numbers that stand for weights and answers, which are computed in float64."""

IMAGES = 4
NUMBERS = 6
"""Projections of each kind of answer: a change must show in one of them."""

PIECE = 2**20
"""Numbers that are projected at once: a layer of VGG-16 has 10^8."""


def architecture(factory: Callable[[], nn.Module], name: str | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what an architecture's results are filed under.

    The paper's networks are known by name, arguments and `networks.NUMERICS`. Every other network, also of torchvision
    and timm, gets in addition the fingerprint of what its factory makes.

    Args:
        factory: makes the networks.
        name: that the user gave, needed where the factory has no `.spec`.
        shape: of an input.

    Raises:
        ValueError: if there is neither a name nor a spec.
    """
    spec = getattr(factory, "spec", None)
    if name is not None and not (isinstance(name, str) and name):
        raise ValueError(f"expected a name as text, got {checks.described(name)}")
    if spec is None and name is None:
        raise ValueError(
            "this factory has no .spec to file results under; give name='...', or make the factory with "
            "architectures.factory"
        )
    called = {"name": name} if name else {}
    if spec is not None and spec["name"] in architectures.BUILTIN:
        return dict(spec) | called
    return dict(spec or {}) | called | {"network": fingerprint(factory, shape)}


def by_code(factory: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return `architecture`, under the name of the factory's code where it has no `.spec` and the user gave no name."""
    name = None if hasattr(factory, "spec") else getattr(factory, "__qualname__", type(factory).__name__)
    return architecture(factory, name, shape)


def fingerprint(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> str:
    """Return 16 hexadecimal digits that change when the network does, and not when its code moves.

    Args:
        make: the factory.
        shape: of an input.

    Returns:
        A digest of the layers and their settings (as their `repr` shows them), names and shapes of parameters and
        buffers, their values in the first seeded initialisation, and the answers to `IMAGES` fixed images.

    Raises:
        ValueError: the network refuses the images.
    """
    network = architectures.build(make, 0)
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(network))
    state = [(name, list(value.shape)) for name, value in network.state_dict().items()]
    weights = _numbers(value.double() for value in network.state_dict().values() if value.numel())
    images = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answers = []
    for training in (False, True):
        answers += _numbers(_answers(make, images, training))
    text = json.dumps([layers, state, weights, answers])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _answers(make: Callable[[], nn.Module], images: Tensor, training: bool) -> list[Tensor]:
    """Outputs of a fresh network, in float64 where it works there, with all that it draws itself under one seed."""
    error: Exception | None = None
    for dtype in (torch.float64, torch.float32):
        # a copy: networks of one factory may share a part, which must stay as it is
        network = copy.deepcopy(architectures.build(make, 0)).to(dtype).train(training)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                found = network(images.to(dtype))
        except (RuntimeError, IndexError, TypeError, ValueError) as failure:  # makes float32 tensors itself, say
            error = error or failure
            continue
        parts = found if isinstance(found, (tuple, list)) else [found]
        return [part.double() for part in parts if isinstance(part, Tensor)]
    raise ValueError(f"the network refuses inputs of shape {tuple(images.shape[1:])}: {error}") from error


def _numbers(tensors: Iterable[Tensor]) -> list[str]:
    """Size and `NUMBERS` projections of some tensors together, as texts of `DIGITS` digits."""
    generator = torch.Generator().manual_seed(0)
    square, projections = 0.0, torch.zeros(NUMBERS, dtype=torch.float64)
    for values in tensors:
        flat = values.detach().flatten()
        for number in range(NUMBERS):
            for piece in flat.split(PIECE):
                signs = 1.0 - 2 * torch.randint(2, piece.shape, generator=generator, dtype=torch.float64)
                projections[number] += signs @ piece
        square += float(flat.square().sum())
    size = square**0.5
    shares = (projections / size if size > 0 else projections).tolist()
    return [f"{size:.{DIGITS - 1}e}", *(f"{share:.{DIGITS}f}" for share in shares)]
