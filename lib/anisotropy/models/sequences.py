"""Small networks on sequences (1, length), by name: convolutions, a recurrent network, a transformer encoder."""

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.models.architectures import Factory

PATCH = 4
"""Samples that one token of the transformer stands for."""


def conv1d(length: int, hidden: int, num_outputs: int) -> nn.Module:
    """LeNet in one dimension: twice a convolution of 5 samples, a ReLU, and the larger of two neighbours."""
    if length < 4:
        raise ValueError(f"expected at least 4 samples, two of which are pooled twice, got {length}")
    layers = []
    for channels in (1, hidden):
        layers += [nn.Conv1d(channels, hidden, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(hidden * (length // 4), num_outputs))


class GRU(nn.Module):
    """Gated recurrent units (Cho et al., EMNLP 2014), read at the end of the sequence."""

    def __init__(self, length: int, hidden: int, num_outputs: int):
        super().__init__()
        self.cells = nn.GRU(1, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, num_outputs) of sequences (n, 1, length)."""
        return self.readout(self.cells(x.transpose(1, 2))[0][:, -1])


class Transformer(nn.Module):
    """Tokens of `PATCH` samples, position embeddings, two encoder layers (Vaswani et al., NeurIPS 2017), their mean."""

    def __init__(self, length: int, hidden: int, num_outputs: int):
        super().__init__()
        if length % PATCH or hidden % 2:
            raise ValueError(f"expected a length that {PATCH} divides and an even hidden, got {length} and {hidden}")
        self.tokens = nn.Conv1d(1, hidden, PATCH, stride=PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(1, length // PATCH, hidden))
        layer = nn.TransformerEncoderLayer(hidden, 2, 2 * hidden, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(hidden), enable_nested_tensor=False)
        self.readout = nn.Linear(hidden, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, num_outputs) of sequences (n, 1, length)."""
        return self.readout(self.encoder(self.tokens(x).transpose(1, 2) + self.positions).mean(1))


KINDS = {"conv1d": conv1d, "gru": GRU, "transformer": Transformer}


def factory(kind: str, length: int, *, hidden: int = 32, num_outputs: int = 1) -> Factory:
    """Factory of networks on sequences, for `estimate`, `energies` and, with two outputs, `sweep`.

    Args:
        kind: "conv1d", "gru" or "transformer".
        length: samples of a sequence.
        hidden: channels, units, or numbers of a token.
        num_outputs: 1 to measure, the number of classes to train.

    Returns:
        A factory with `input_shape` (1, length).

    Raises:
        ValueError: no such kind, or a number out of range.

    Example:
        >>> tuple(factory("gru", 20)()(torch.zeros(5, 1, 20)).shape)
        (5, 1)
    """
    if kind not in KINDS:
        raise ValueError(f"expected a kind out of {tuple(KINDS)}, got {kind!r}")
    sizes = {"length": length, "hidden": hidden, "num_outputs": num_outputs}
    sizes = {name: checks.whole(value, name) for name, value in sizes.items()}
    KINDS[kind](**sizes)
    arguments = {name: sizes[name] for name in ("hidden", "num_outputs")}
    return Factory(f"sequence:{kind}", (1, length), arguments, lambda: KINDS[kind](**sizes))
