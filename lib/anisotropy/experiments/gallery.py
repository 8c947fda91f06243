"""The gallery: which waves fresh networks of today answer to, at 3 x 224 x 224, in grey and in opposite colours.

For every wave v of a fixed set and every network phi of an architecture, up to its read-out, the energy

    q(v) = s2 |phi(x + h v) - phi(x - h v)|^2 / (2 h)^2,      |v| = 1,  x ~ N(0, I),  h = sqrt(D) = 388,

which is `energies.Dipole`: two forward passes, nothing of size D x D. At this step the wave is as strong as the noise
that it lies in. At x = 0 (`RESPONSES["zero"]`) networks that end in a layer norm are blind to how strong an answer is,
since nothing else is in the picture: ConvNeXt then answers to all waves alike.

Frequencies lie on a ladder (`AXIS`), odd rungs between the multiples of 7 and 14, which strides of 32 and 16 pixels
make equal to the constant. `python -m anisotropy gallery` adds lines to `results/gallery.jsonl`.
"""

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from anisotropy import directions
from anisotropy._util import provenance
from anisotropy.models import architectures
from anisotropy.nads import Dipole, Gradient, energies
from anisotropy.results import record, stores

SIZE = 224

AXIS = (0, 3, 7, 10, 14, 21, 24, 28, 38, 56, 66, 84, 112)
"""Frequencies along an axis, in cycles per picture: every direction of the gallery has two of them."""

COLOURS = {"grey": (1, 1, 1), "red-green": (1, -1, 0), "blue-yellow": (1, 1, -2)}
"""Shares of the channels, orthogonal to each other, normalised by `directions.Waves`."""

NETWORKS = {
    "torchvision:resnet50": "ResNet-50",
    "torchvision:convnext_tiny": "ConvNeXt-T",
    "torchvision:efficientnet_b0": "EfficientNet-B0",
    "torchvision:mobilenet_v3_large": "MobileNetV3",
    "torchvision:vgg16": "VGG-16",
    "torchvision:vit_b_16": "ViT-B/16",
    "torchvision:swin_t": "Swin-T",
    "timm:mixer_s16_224": "MLP-Mixer",
}
"""The architectures and what they are called; none comes with weights."""

RESPONSES = {
    "dipole": Dipole(388.0, at="normal", dtype="bfloat16"),
    "zero": Dipole(388.0, at="zero", dtype="bfloat16"),
    "gradient": Gradient(at="normal"),
}


def octant(axis: Sequence[int] = AXIS) -> list[tuple[int, int]]:
    """Frequencies (ky, kx) with ky <= kx: those that flips and transposition of the grid do not exchange."""
    return list(itertools.combinations_with_replacement(sorted(axis), 2))


def rim(axis: Sequence[int] = AXIS) -> list[tuple[int, int]]:
    """Frequencies of the octant's two straight edges, (0, k) and (k, k): those that are measured in every colour."""
    return [k for k in octant(axis) if k[0] in (0, k[1])]


class Waves(Sequence):
    """All directions of the gallery: the octant in grey, then its rim in each of the other colours; cosines."""

    def __init__(self, size: int = SIZE, axis: Sequence[int] = AXIS, colours: Sequence[str] = tuple(COLOURS)):
        self.names = [(c, *k) for c in colours for k in (octant(axis) if c == "grey" else rim(axis))]
        self._parts = [directions.Waves(size, size, [(ky, kx, "cos")], COLOURS[c]) for c, ky, kx in self.names]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        """Direction (3, size, size) of this number, float64, unit norm."""
        return self._parts[index][0]


def line(
    name: str,
    response: str = "dipole",
    *,
    networks: int = 8,
    seed: int = 0,
    size: int = SIZE,
    axis: Sequence[int] = AXIS,
    colours: Sequence[str] = tuple(COLOURS),
) -> dict[str, Any]:
    """Measure an architecture; return its line of the record.

    Args:
        name: as `architectures.factory` takes it.
        response: out of `RESPONSES`.
        networks: random networks.
        seed: of networks and noise.
        size: pixels a side.
        axis: frequencies along an axis.
        colours: out of `COLOURS`, "grey" first.

    Returns:
        Identity; `energies`, (networks, directions) numbers of three digits in the order of `Waves`; `seconds` of the
        processor, with one thread.
    """
    make = architectures.factory(name, in_channels=3, image_size=size)
    torch.set_num_threads(1)
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="the read-out .* is initialised to zero"
        )  # ViT, Mixer: settings say it
        found = energies.energies(
            make, Waves(size, axis, colours), response=RESPONSES[response], networks=networks, seed=seed
        )
    seconds = time.process_time() - begin
    measured = {"name": response} | {k: found.settings[k] for k in ("step", "at", "sigma", "dtype")}
    identity = {
        "architecture": found.settings["architecture"],
        "response": measured,
        "axis": list(axis),
        "colours": list(colours),
        "networks": networks,
        "seed": seed,
    }
    digits = [[float(f"{value:.2e}") for value in row] for row in found.samples.tolist()]
    source = name.partition(":")[0]
    made = provenance.made("cpu")
    if source in ("torchvision", "timm"):
        made = made | {source: metadata.version(source)}
    return record.line(identity, {"energies": digits, "seconds": round(seconds, 1)}, made)


def again(row: dict[str, Any], *, networks: int | None = None) -> dict[str, Any]:
    """Measure a line once more, from its identity alone; with `networks`, only as many of them, the first ones.

    Raises:
        ValueError: it cannot be computed here, or its network is not the same any more.
    """
    fields = record.fields_of(row)
    architecture, response = fields["architecture"], fields["response"]
    if response["dtype"] == "bfloat16" and not provenance.has_bfloat16():
        raise ValueError("this processor has no bfloat16 arithmetic, in which the line was made")
    try:
        new = line(
            architecture["name"],
            response["name"],
            networks=networks or fields["networks"],
            seed=fields["seed"],
            size=architecture["input_shape"][-1],
            axis=fields["axis"],
            colours=fields["colours"],
        )
    except ImportError as error:
        raise ValueError(str(error)) from error
    if stores.digest(record.fields_of(new) | {"networks": fields["networks"]}) != row["key"]:
        raise ValueError("its network, or what is measured of it, is not what it was: another version of its library?")
    return new


def samples(row: dict[str, Any], colour: str) -> tuple[list[tuple[int, int]], Tensor]:
    """Frequencies (K, 2) and energies (N, K) of a line in one colour."""
    size, axis = row["architecture.input_shape"][-1], row["axis"]
    names = Waves(size, axis, row["colours"]).names
    chosen = [i for i, name in enumerate(names) if name[0] == colour]
    return [names[i][1:] for i in chosen], torch.tensor(row["energies"], dtype=torch.float64)[:, chosen]


def radial(row: dict[str, Any], frequencies: Sequence[tuple[int, int]], colours: Sequence[str]) -> energies.Energies:
    """Radial spectrum: for each colour and each rung k of the ladder, the mean over directions with max(ky, kx) = k.

    Args:
        row: a line of the gallery.
        frequencies: `octant`, which grey alone has, or `rim`.
        colours: out of the line's.

    Returns:
        Energies (N, colours * rungs), colour by colour. Their `relative()` is in units of the mean over all of these.
    """
    columns = []
    for colour in colours:
        where, found = samples(row, colour)
        for k in row["axis"]:
            columns.append(found[:, [where.index(f) for f in frequencies if max(f) == k]].mean(1))
    return energies.Energies(torch.stack(columns, 1))


def needed(found: energies.Energies, error: float = 0.05) -> int:
    """How many networks bring the root mean square of the relative errors down to `error`, from the errors of these.

    Example:
        >>> needed(energies.Energies(torch.tensor([[1.0, 1.2], [1.0, 0.8]])), 0.05) > 2
        True
    """
    values, errors = found.relative()
    return max(2, round(len(found.samples) * float((errors / values).square().mean()) / error**2))


def main(arguments: list[str] | None = None) -> int:
    """Measure architectures at 224 x 224 and add their lines to the record, one by one."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy gallery", description=main.__doc__)
    parser.add_argument("--network", action="append", help="one of them, any name; all of the gallery if not given")
    parser.add_argument("--response", default="dipole", choices=list(RESPONSES))
    parser.add_argument("--networks", type=int, default=8, help="random networks of each (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="of networks and noise")
    parser.add_argument("--grey", action="store_true", help="leave the opposite colours out")
    parser.add_argument("--dry-run", action="store_true", help="print what is measured, and add nothing")
    chosen = parser.parse_args(arguments)
    provenance.made("cpu")  # of the code as it is now
    for name in chosen.network or NETWORKS:
        colours = ("grey",) if chosen.grey else tuple(COLOURS)
        row = line(name, chosen.response, networks=chosen.networks, seed=chosen.seed, colours=colours)
        found = radial(row, octant(), ("grey",))
        values, errors = found.relative()
        shown = ", ".join(f"{k}: {v:.2g} ± {e:.1g}" for k, v, e in zip(AXIS, values, errors, strict=True))
        more = f"; errors of 5 % take {needed(found)} networks" if chosen.networks > 1 else ""
        print(f"{NETWORKS.get(name, name)}, {row['seconds']} s: {shown}{more}", flush=True)
        try:
            chosen.dry_run or record.add("gallery", [row])
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
