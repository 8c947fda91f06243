"""Small networks that the paper did not ask about, by name: `architectures.factory("anisotropy.variants:mlp")`.

They stand for kinds of architectures, at a size that a laptop measures in seconds.
"""

import torch
from torch import Tensor, nn


class PatchTransformer(nn.Module):
    """A vision transformer (Dosovitskiy et al., ICLR 2021): patches, position embeddings, encoder, mean over patches.

    Args:
        in_channels: channels C of the images.
        num_outputs: outputs of the read-out.
        image_size: height and width, multiples of `patch`.
        patch: side of a patch in pixels.
        embedding: numbers that stand for a patch.
        depth: encoder layers.
        heads: of each attention; they divide `embedding`.

    Raises:
        ValueError: the patches do not tile the image.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_outputs: int = 1,
        image_size: tuple[int, int] = (32, 32),
        patch: int = 4,
        embedding: int = 32,
        depth: int = 2,
        heads: int = 2,
    ):
        super().__init__()
        height, columns = image_size
        if height % patch or columns % patch:
            raise ValueError(f"expected sides that are multiples of the patch, {patch}, got {tuple(image_size)}")
        self.patches = nn.Conv2d(in_channels, embedding, patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, height * columns // patch**2, embedding))
        nn.init.trunc_normal_(self.positions, std=0.02)
        layer = nn.TransformerEncoderLayer(
            embedding, heads, 2 * embedding, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(embedding), enable_nested_tensor=False)
        self.readout = nn.Linear(embedding, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, num_outputs) of images (n, C, H, W)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.readout(self.encoder(tokens).mean(1))


def mlp(
    in_channels: int = 1, num_outputs: int = 1, image_size: tuple[int, int] = (32, 32), hidden: int = 256
) -> nn.Module:
    """Two hidden layers that know nothing of a grid: the control among networks that are not linear."""
    pixels = in_channels * image_size[0] * image_size[1]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, num_outputs),
    )
