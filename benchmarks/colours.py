"""What knowing that channels are alike (`anisotropy.nads.symmetry.channels`) saves for images of three channels.

    python benchmarks/colours.py [--cases "lenet 32 float32 64" "torchvision:resnet18 32 bfloat16 16"]

The same secants of the same networks are summed as a whole, with the grid's symmetries alone, and as one block for all
channels. The expected squared error (Frobenius) of either covariance is what its groups of networks scatter; their
ratio is how many times the networks a whole estimate needs to be as precise.
"""

import argparse
from pathlib import Path

import torch
from anisotropy.models import architectures
from anisotropy.nads import compare, readouts, responses
from anisotropy.nads.covariances import DenseCovariance
from anisotropy.nads.symmetry import channels, spatial
from measuring import RESULTS, clock, load, origin, write

WAYS = ("whole", "block")


@torch.no_grad()
def measure(name: str, size: int, dtype: str, networks: int) -> dict:
    """One case: precision, time and memory of both ways, from the same networks."""
    before = load()
    factory = architectures.factory(name, in_channels=3, num_outputs=1, image_size=size)
    x = torch.randn(factory.input_shape, generator=torch.Generator().manual_seed(0))
    readout = readouts.examine(factory, factory.input_shape)
    begin = clock()
    group = spatial.verified(factory, factory.input_shape)
    alike = channels.verified(factory, factory.input_shape)
    verified = clock() - begin
    if not alike:
        raise ValueError(f"expected a network whose channels are alike, got {name}")
    sums = {"whole": DenseCovariance(x.shape, group), "block": DenseCovariance(x.shape, (*group, channels.ALIKE))}
    made, spent = 0.0, dict.fromkeys(WAYS, 0.0)
    for index in range(networks):
        begin = clock()
        network = responses.prepare(architectures.build(factory, 0, index), getattr(torch, dtype))
        rows = responses.secant_rows(network, x, step=100.0, readout=readout)
        made += clock() - begin
        for way in WAYS:
            begin = clock()
            sums[way].add(rows)
            spent[way] += clock() - begin
    errors, overlaps = {}, {}
    for way in WAYS:
        begin = clock()
        halves = [sums[way].eigen(slice(half, None, 2)).directions for half in (0, 1)]
        directions = sums[way].eigen().directions
        errors[way] = float(sums[way].spread(directions).sum())
        spent[way] += clock() - begin
        # Whole triplets: single colours are a convention of the block.
        overlaps[way] = {k: compare.overlap(*halves, k) for k in (30, 60)}
    row = {
        "network": name, "shape": list(x.shape), "dtype": dtype, "networks": networks, "symmetry": list(group),
        "seconds_verifying": verified, "seconds_secants": made, "seconds_rest": spent, "squared_error": errors,
        "gain": errors["whole"] / errors["block"], "halves": overlaps, "load_before": before,
        "bytes_of_sums": {way: sums[way].sums.numel() * 8 for way in WAYS},
    }  # fmt: skip
    rest = ", ".join(f"{spent[way]:.1f} s as a {way}" for way in WAYS)
    print(f"{name}: the block is worth {row['gain']:.1f} times the networks; sums and eigenvectors {rest}", flush=True)
    return row


def main() -> None:
    """Measure, print, write `results/colours.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = ["lenet 32 float32 64", "torchvision:resnet18 32 bfloat16 16"]
    parser.add_argument("--cases", nargs="+", default=cases, metavar="'NAME SIDE DTYPE NETWORKS'")
    parser.add_argument("--output", type=Path, default=RESULTS / "colours.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for case in arguments.cases:
        name, size, dtype, networks = case.split()
        rows.append(measure(name, int(size), dtype, int(networks)))
        write(arguments.output, {"what": "channels alike: whole and block", "rows": rows, **origin()})


if __name__ == "__main__":
    main()
