"""What NADs cost: the released method against ours, side by side in one run, at equal precision.

    python benchmarks/nads.py [--networks lenet resnet18 ...] [--pixels 64] [--repeats 3]

The naive way draws 10,000 networks, makes a new module for each, takes 2D float32 forward passes of its output with
automatic differentiation on, and ends in a PCA. Ours integrates the read-out out, averages over verified grid
symmetries, folds batch norm, keeps channels last, and needs no gradients. Both are timed on the same `--pixels` pixels
of the same networks, in turn, and scaled to all D of them, since every pixel costs the same; the networks needed come
from the uncertainty of the shipped NADs (`Nads.plain_networks`). One thread, as one worker has. What is not measured
here but multiplied out is named so in the table.
"""

import argparse
import math
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from anisotropy import architectures, dipoles, files, nads, provenance, readouts, shipped
from sklearn.decomposition import PCA

PLAIN = 10_000
"""Networks that the released NADs were made from: the precision to be equalled."""


def naive_seconds(factory, x: torch.Tensor, pixels: int, index: int) -> float:
    """One network of the released method on some pixels: new module, two passes each, gradients tracked."""
    begin = time.perf_counter()
    network = architectures.build(factory, 0, index)
    step = 100.0 * torch.eye(x.numel())[:pixels].view(pixels, *x.shape)
    ((network(x + step) - network(x - step)) / 200.0).detach()
    return time.perf_counter() - begin


def ours_seconds(factory, x: torch.Tensor, pixels: int, index: int, readout, dtype: torch.dtype) -> dict[str, float]:
    """One network of ours on the same pixels, split into drawing weights and passes."""
    begin = time.perf_counter()
    network = dipoles.prepare(architectures.build(factory, 0, index), dtype)
    drawn = time.perf_counter()
    dipoles.secant_rows(network, x, step=100.0, readout=readout, pixels=range(pixels))
    return {"weights": drawn - begin, "passes": time.perf_counter() - drawn}


def sums_seconds(features: int, size: int, group: int) -> tuple[float, float]:
    """Adding one network's rows to the covariance, and the eigendecompositions at the end."""
    from anisotropy.covariances import DenseCovariance
    from anisotropy.symmetries import SQUARE

    side = math.isqrt(size)
    covariance = DenseCovariance((1, side, side), SQUARE[:group])
    rows = torch.randn(features, size)
    begin = time.perf_counter()
    for _ in range(3):
        covariance.add(rows)
    added = (time.perf_counter() - begin) / 3
    begin = time.perf_counter()
    eigen = covariance.eigen()
    covariance.eigen(slice(0, None, 2)), covariance.eigen(slice(1, None, 2)), covariance.spread(eigen.directions)
    return added, time.perf_counter() - begin


def pca_seconds(size: int, samples: int = PLAIN) -> float:
    """The PCA at the end of the released method."""
    rows = np.random.default_rng(0).normal(size=(samples, size)).astype(np.float32)
    begin = time.perf_counter()
    PCA(n_components=size).fit(rows)
    return time.perf_counter() - begin


def peak_flops(dtype: torch.dtype, size: int = 2048) -> float:
    """Measured multiply-adds a second of a square matrix product, times two."""
    a = torch.randn(size, size).to(dtype)
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - begin)
    return 2 * size**3 / min(times)


def forward_flops(factory, shape) -> int:
    """Floating-point operations of one image's forward pass, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        factory().eval()(torch.zeros(1, *shape))
    return counter.get_total_flops()


def benchmark(name: str, pixels: int, repeats: int, k: int) -> dict:
    """Both ways for one network; seconds are medians over `repeats` networks."""
    factory = architectures.factory(name)
    x = torch.randn(factory.input_shape, generator=torch.Generator().manual_seed(0))
    size = x.numel()
    dtype = getattr(torch, shipped.SETTINGS[name].get("dtype", "float32"))
    readout = readouts.examine(factory, factory.input_shape)
    naive, ours = [], []
    naive_seconds(factory, x, 8, 0), ours_seconds(factory, x, 8, 0, readout, dtype)  # warm up
    for index in range(repeats):  # in turn, so that a change of the machine's speed meets both
        naive.append(naive_seconds(factory, x, pixels, index))
        ours.append(ours_seconds(factory, x, pixels, index, readout, dtype))
    scale = size / pixels
    weights = statistics.median(o["weights"] for o in ours)
    passes = statistics.median(o["passes"] for o in ours) * scale
    naive_one = (statistics.median(naive) - weights) * scale + weights
    measured = nads.load(name)
    added, decomposed = sums_seconds(readout.features, size, len(measured.settings["symmetry"]))
    worth = measured.plain_networks[k] / measured.networks
    needed = max(1, math.ceil(PLAIN / worth))
    total_naive = PLAIN * naive_one + pca_seconds(size)
    total_ours = needed * (weights + passes + added) + decomposed
    flops = 2 * size * forward_flops(factory, factory.input_shape)
    return {
        "network": name,
        "dtype": str(dtype).removeprefix("torch."),
        "k": k,
        "seconds_per_network_naive": naive_one,
        "seconds_per_network": weights + passes + added,
        "seconds_weights": weights,
        "seconds_passes": passes,
        "seconds_covariance": added,
        "seconds_eigen_once": decomposed,
        "networks_naive": PLAIN,
        "networks": needed,
        "factor_fewer_networks": PLAIN / needed,
        "factor_cheaper_network": naive_one / (weights + passes + added),
        "factor": total_naive / total_ours,
        "core_hours_naive": total_naive / 3600,
        "core_minutes": total_ours / 60,
        "share_of_peak": flops / passes / peak_flops(dtype),
        "range_naive": [min(naive) / statistics.median(naive), max(naive) / statistics.median(naive)],
    }


def main() -> None:
    """Time, print the table, write it with the hardware to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["lenet", "vgg11", "resnet18", "densenet121"], metavar="NAME")
    parser.add_argument("--pixels", type=int, default=64, help="pixels that are timed, of 1,024")
    parser.add_argument("--repeats", type=int, default=3, help="networks that are timed")
    parser.add_argument("--k", type=int, default=50, help="dimension of the subspace whose precision is equalled")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "nads.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print("network      networks needed    s a network   share of  total, one core")
    print(
        "             naive     ours     naive    ours      peak  naive h  ours min   faster = fewer x cheaper networks"
    )
    for name in arguments.networks:
        r = benchmark(name, arguments.pixels, arguments.repeats, arguments.k)
        rows.append(r)
        print(
            f"{name:12s} {PLAIN:5d} {r['networks']:8d} {r['seconds_per_network_naive']:9.3f} "
            f"{r['seconds_per_network']:7.3f} {r['share_of_peak']:9.0%} {r['core_hours_naive']:8.1f} "
            f"{r['core_minutes']:9.2f} {r['factor']:8.0f} = {r['factor_fewer_networks']:.0f} x "
            f"{r['factor_cheaper_network']:.1f}",
            flush=True,
        )
    known = {"pixels": arguments.pixels, "repeats": arguments.repeats, "threads": 1, "rows": rows}
    files.write_json(arguments.output, {**known, "hardware": provenance.hardware(), "versions": provenance.versions()})
    print(
        f"written to {arguments.output.name}; seconds per network are medians of {arguments.repeats} networks on "
        f"{arguments.pixels} of 1,024 pixels, scaled; totals are multiplied out"
    )


if __name__ == "__main__":
    main()
