"""What NADs cost: the released method against ours, side by side in one run, at equal precision.

    python benchmarks/nads.py [--networks lenet resnet18 ...] [--pixels 64] [--repeats 3]

The naive way draws 10,000 networks, makes a new module for each, takes 2D float32 forward passes of its output with
automatic differentiation on, and ends in a PCA. Ours integrates the read-out out, averages over verified grid
symmetries, folds batch norm, keeps channels last, needs no gradients, and computes of the first layers only the window
that an impulse reaches. Both are timed on the same `--pixels` pixels of the same networks, in turn, and scaled to all D
of them, since every pixel costs the same; the networks needed come from the uncertainty of the shipped NADs
(`Nads.plain_networks`). One thread, as one worker has, in processor time, which other programs stretch little. What is
not measured here but multiplied out is named so in the table.
"""

import argparse
import json
import math
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from anisotropy import architectures, dipoles, files, nads, provenance, readouts, shipped, windows
from sklearn.decomposition import PCA
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

clock = time.process_time

ORDER = ["lenet", "vgg11", "resnet18", "densenet121"]

PLAIN = 10_000
"""Networks that the released NADs were made from: the precision to be equalled."""


def naive_seconds(factory, x: torch.Tensor, pixels: int, index: int, batch: int | None = None) -> float:
    """One network of the released method on some pixels: new module, two passes each, gradients tracked."""
    begin = clock()
    network = architectures.build(factory, 0, index)
    steps = 100.0 * torch.eye(x.numel())[:: x.numel() // pixels].view(-1, *x.shape)
    for step in steps.split(batch or pixels):
        ((network(x + step) - network(x - step)) / 200.0).detach()
    return clock() - begin


def ours_seconds(factory, x: torch.Tensor, pixels: int, index: int, readout, dtype: torch.dtype) -> dict[str, float]:
    """One network of ours on the same pixels, split into drawing weights and passes."""
    begin = clock()
    network = dipoles.prepare(architectures.build(factory, 0, index), dtype)
    drawn = clock()
    dipoles.secant_rows(network, x, step=100.0, readout=readout, pixels=range(0, x.numel(), x.numel() // pixels))
    return {"weights": drawn - begin, "passes": clock() - drawn}


def sums_seconds(features: int, size: int, group: int) -> tuple[float, float]:
    """Adding one network's rows to the covariance, and the eigendecompositions at the end."""
    from anisotropy.covariances import DenseCovariance
    from anisotropy.symmetries import SQUARE

    side = math.isqrt(size)
    covariance = DenseCovariance((1, side, side), SQUARE[:group])
    rows = torch.randn(features, size)
    begin = clock()
    for _ in range(3):
        covariance.add(rows)
    added = (clock() - begin) / 3
    begin = clock()
    eigen = covariance.eigen()
    covariance.eigen(slice(0, None, 2)), covariance.eigen(slice(1, None, 2)), covariance.spread(eigen.directions)
    return added, clock() - begin


def pca_seconds(size: int, samples: int = PLAIN) -> float:
    """The PCA at the end of the released method."""
    rows = np.random.default_rng(0).normal(size=(samples, size)).astype(np.float32)
    begin = clock()
    PCA(n_components=size).fit(rows)
    return clock() - begin


def peak_flops(dtype: torch.dtype, size: int = 2048) -> float:
    """Measured multiply-adds a second of a square matrix product, times two."""
    a = torch.randn(size, size).to(dtype)
    times = []
    for _ in range(4):
        begin = clock()
        a @ a
        times.append(clock() - begin)
    return 2 * size**3 / min(times)


class Operations(TorchDispatchMode):
    """Counts what is computed: of `windows.Windows` the windows and the background, not the images they stand for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count a plain operation; look into one on windows."""
        kwargs = kwargs or {}
        if any(issubclass(t, windows.Windows) for t in types):
            with self:
                return windows.Windows.__torch_dispatch__(func, types, args, kwargs)
        result = func(*args, **kwargs)
        if func.overloadpacket in flop_registry:
            self.count += flop_registry[func.overloadpacket](*args, **kwargs, out_val=result)
        return result


def operations(factory, x: torch.Tensor, pixels: int, readout) -> tuple[int, int]:
    """Floating-point operations for all pixels, the naive way and ours, counted by torch."""
    network = dipoles.prepare(architectures.build(factory, 0))
    with Operations() as one, torch.no_grad():
        network(x[None])
    with Operations() as ours:
        some = range(0, x.numel(), x.numel() // pixels)
        dipoles.secant_rows(network, x, step=100.0, readout=readout, pixels=some)
    return 2 * x.numel() * one.count, round(ours.count * x.numel() / pixels)


def benchmark(name: str, pixels: int, repeats: int, k: int) -> dict:
    """Both ways for one network; seconds are medians over `repeats` networks."""
    factory = architectures.factory(name)
    x = torch.randn(factory.input_shape, generator=torch.Generator().manual_seed(0))
    size = x.numel()
    dtype = getattr(torch, shipped.SETTINGS[name].get("dtype", "float32"))
    readout = readouts.examine(factory, factory.input_shape)
    if sum(p.numel() for p in factory().parameters()) < dipoles.SMALL:
        pixels, repeats = size, 3 * repeats  # all of them: what a pass costs besides arithmetic counts here
    naive, ours, batched = [], [], []
    naive_seconds(factory, x, 8, 0), ours_seconds(factory, x, 8, 0, readout, dtype)  # warm up
    for index in range(repeats):  # in turn, so that a change of the machine's speed meets both
        naive.append(naive_seconds(factory, x, pixels, index))
        ours.append(ours_seconds(factory, x, pixels, index, readout, dtype))
        if pixels > 128:
            batched.append(naive_seconds(factory, x, pixels, index, 128))
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
    all_operations, done = operations(factory, x, pixels, readout)
    return {
        "network": name,
        "pixels": pixels,
        "repeats": repeats,
        "dtype": str(dtype).removeprefix("torch."),
        "k": k,
        "seconds_per_network_naive": naive_one,
        "seconds_per_network_naive_in_batches": statistics.median(batched) * scale if batched else None,
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
        "share_of_operations": done / all_operations,
        "share_of_peak": done / passes / peak_flops(dtype),
        "peak_gflops": peak_flops(dtype) / 1e9,
        "range_naive": [min(naive) / statistics.median(naive), max(naive) / statistics.median(naive)],
    }


COLUMNS = {
    "network": lambda r: r["network"],
    "precision": lambda r: r["dtype"],
    "networks": lambda r: f"{r['networks_naive']:,} -> {r['networks']}",
    "s a network": lambda r: f"{r['seconds_per_network_naive']:.3g} -> {r['seconds_per_network']:.3g}",
    "weights": lambda r: f"{r['seconds_weights']:.3g}",
    "passes": lambda r: f"{r['seconds_passes']:.3g}",
    "covariance": lambda r: f"{r['seconds_covariance']:.2g}",
    "eigen, once": lambda r: f"{r['seconds_eigen_once']:.2g}",
    "operations": lambda r: f"{r['share_of_operations']:.0%}",
    "of peak": lambda r: f"{r['share_of_peak']:.0%}",
    "core h naive": lambda r: f"{r['core_hours_naive']:.3g}",
    "core min ours": lambda r: f"{r['core_minutes']:.2g}",
    "faster": lambda r: f"{r['factor']:.0f} = {r['factor_fewer_networks']:.0f} x {r['factor_cheaper_network']:.1f}",
}
"""Heading -> cell; `faster` splits into fewer networks and cheaper networks, the rest being what is done once."""


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *[[cell(r) for cell in COLUMNS.values()] for r in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Time, print the table, write it with the hardware to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=ORDER, choices=ORDER, metavar="NAME")
    parser.add_argument("--pixels", type=int, default=64, help="pixels that are timed, of 1,024; LeNet: all")
    parser.add_argument("--repeats", type=int, default=3, help="networks that are timed")
    parser.add_argument("--k", type=int, default=50, help="dimension of the subspace whose precision is equalled")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "nads.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()
    try:  # those of networks that are not measured now are kept
        rows = json.loads(arguments.output.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError):
        rows = []
    known = {
        "what": "NADs of 32 x 32 grey images: the released method against ours at equal precision, one thread",
        "clock": "processor time; medians over networks, of some of 1,024 pixels, scaled; totals are multiplied out",
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    for name in arguments.networks:
        found = {"load_before": [round(v, 1) for v in os.getloadavg()]}
        found = benchmark(name, arguments.pixels, arguments.repeats, arguments.k) | found
        rows = sorted([r for r in rows if r["network"] != name] + [found], key=lambda r: ORDER.index(r["network"]))
        files.write_json(arguments.output, {**known, "rows": rows})  # a killed benchmark leaves what it has
        print(f"{name}: {found['factor']:.0f} times", flush=True)
    print(table(rows))
    hardware = known["hardware"]
    small = "".join(
        f" {r['network']}'s naive way takes all pixels at once; in batches of 128, which is its best, "
        f"{r['seconds_per_network_naive_in_batches']:.3g} s a network."
        for r in rows
        if r.get("seconds_per_network_naive_in_batches")
    )
    files.write(
        arguments.output.with_suffix(".md"),
        f"# {known['what']}\n\n{table(rows)}\n\nSeconds are {known['clock']}. `networks` and `s a network`: naive -> "
        f"ours; `weights`, `passes`, `covariance`: seconds of one network of ours; `operations`: share of the naive "
        f"operations that ours does; `of peak`: of a matrix product of 2,048 x 2,048 in the same precision, in the "
        f"same run.{small} Measured on {hardware['cpu']}, {hardware['cores']} cores; load average {load[0]:.1f}.\n",
    )


if __name__ == "__main__":
    main()
