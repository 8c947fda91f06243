"""Linear layers that read or write a grid: a flattened feature map, or the tokens of a mixer."""

from dataclasses import dataclass

from torch import Tensor, nn

from anisotropy.nads.symmetry import probing


@dataclass(frozen=True)
class Grid:
    """Numbers in a row that are those of a feature map, or of a grid of tokens.

    Attributes:
        shape: (C, H, W) of the map; tokens have one channel.
        last: whether the channels of a pixel stand together in the row, (H, W, C), and not the pixels of a channel.
    """

    shape: tuple[int, int, int]
    last: bool = False

    def pictures(self, rows: Tensor) -> Tensor:
        """Rows (n, C H W) as maps (n, C, H, W)."""
        channels, height, width = self.shape
        if self.last:
            return rows.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        return rows.reshape(-1, *self.shape)

    def rows(self, pictures: Tensor) -> Tensor:
        """Maps (n, C, H, W) as rows (n, C H W)."""
        return (pictures.permute(0, 2, 3, 1) if self.last else pictures).flatten(1)


@dataclass(frozen=True)
class Grids:
    """What a linear layer reads and writes, where these are grids."""

    read: Grid | None = None
    written: Grid | None = None


def of_linear_layers(network: nn.Module, x: Tensor, last: bool) -> dict[str, Grids]:
    """Linear layers that read a flattened feature map, or read or write the tokens of a mixer, by name.

    The map is the last 4-D tensor that a layer made, or what a function made of it that kept its channels and the
    ratio of its sides, as pooling does. A layer that gets (n, C, P), P the pixels of the map and C another number,
    mixes tokens. A wrong guess fails the test of the transformed network.

    Args:
        network: one random network.
        x: images.
        last: whether maps are flattened with the channels of a pixel together, where both would do.
    """
    found: dict[str, Grids] = {}
    latest: tuple[int, ...] | None = tuple(x.shape[1:])

    def note(name: str, module: nn.Module, inputs, output) -> None:
        nonlocal latest
        seen = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        if isinstance(module, nn.Linear) and seen is not None:
            if latest is not None:
                grids = _of(module, seen, latest, last)
                if grids != Grids():
                    found.setdefault(name, grids)
            latest = None if seen.dim() == 2 else latest  # what comes out is no map
        elif isinstance(output, Tensor) and output.dim() == 4:
            turned = latest is not None and tuple(output.shape[1:]) == (*latest[1:], latest[0])  # channels moved last
            same = seen is not None and seen.shape == output.shape  # an activation, in either order
            if isinstance(module, nn.Conv2d) or not (turned or same):
                latest = tuple(output.shape[1:])

    probing.observed(network, x, note)
    return found


def _of(module: nn.Linear, seen: Tensor, latest: tuple[int, ...], last: bool) -> Grids:
    channels, height, width = latest
    tokens = height * width
    if seen.dim() == 3 and tokens > 1 and seen.shape[1] != tokens:
        grid = Grid((1, height, width))
        return Grids(*(grid if size == tokens else None for size in (module.in_features, module.out_features)))
    if seen.dim() != 2:
        return Grids()
    if last and tokens > 1 and module.in_features % tokens == 0:
        return Grids(Grid((module.in_features // tokens, height, width), last=True))
    shrunk = (module.in_features / (channels * tokens)) ** 0.5
    height, width = round(height * shrunk), round(width * shrunk)
    if height * width > 1 and channels * height * width == module.in_features:
        return Grids(Grid((channels, height, width)))
    return Grids()
