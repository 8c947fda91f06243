"""What a network returns, checked: one number per image to measure responses, scores of classes to train."""

import torch
from torch import Tensor

from anisotropy._util import checks


def scalar(output: Tensor) -> Tensor:
    """The network's output as (n,); an error where it has more than one number per image.

    Raises:
        ValueError: the output is neither (n,) nor (n, 1), or complex.
    """
    checks.real(output)
    if isinstance(output, Tensor) and (output.dim() == 1 or (output.dim() == 2 and output.shape[1] == 1)):
        return output.reshape(-1)
    got = f"output of shape {tuple(output.shape)}" if isinstance(output, Tensor) else checks.described(output)
    raise ValueError(
        f"expected a network with one output per image, got {got}: make it with num_outputs=1, or give it a last layer "
        "with one output in the factory, as network.fc = nn.Linear(network.fc.in_features, 1) does. Outputs that are "
        "drawn alike have the same NADs"
    )


def check_scores(scores: torch.Tensor, classes: int) -> None:
    """Raise ValueError unless a network returns one real score per sample and class."""
    checks.real(scores)
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2 or scores.shape[1] < classes:
        raise ValueError(
            f"expected a network that returns (n, {classes}) scores or more, one per class, got "
            f"{checks.described(scores)}: give its last layer {classes} outputs"
        )
