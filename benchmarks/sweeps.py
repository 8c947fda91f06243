"""What training on D(v) costs: samples per second of `training.train` against a plain DataLoader loop, in one run.

    python benchmarks/sweeps.py [--networks logreg lenet ...] [--repeats 3] [--device cpu]

Both take the released code's steps (SGD, batch 128, clipping at 0.5, rate falling at each step) on the same data, in
turn. Of each, two runs that differ only in their number of epochs are timed, and the difference counts, so that setting
up and the final measurement of accuracy cancel. On a CPU the time is that of the process on one thread, as a worker has
it, so that other programs on the machine disturb little; on a GPU it is wall time after synchronising. The peak is that
of a float32 matrix product, measured in the same run; floating-point operations are counted by torch for forward and
backward passes of one batch (convolutions and products only). A share above one means that the library did with fewer
operations than are counted, or that something disturbed the measurement of the peak.
"""

import argparse
import statistics
import time

import torch
from anisotropy import architectures, directions, files, paths, provenance, separable
from anisotropy.training import Recipe, train
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

STEPS = {"logreg": 80, "lenet": 20, "vgg11": 1, "resnet18": 1, "densenet121": 1}
"""Steps of an epoch: what a processor does in about a second, and at least one."""


def clock(device: str) -> float:
    """Seconds of this process on a CPU, of the wall clock on a GPU."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak(device: str, size: int = 2048) -> float:
    """Floating-point operations per second of the best of some float32 matrix products."""
    a, b = torch.randn(2, size, size, device=device)
    best = float("inf")
    for _ in range(6):
        begin = clock(device)
        a @ b
        best = min(best, clock(device) - begin)
    return 2 * size**3 / best


def operations(factory, recipe: Recipe, device: str) -> float:
    """Floating-point operations of one sample, forward and backward."""
    network = factory().to(device).train()
    x = torch.randn(recipe.batch_size, 1, 32, 32, device=device)
    y = torch.arange(recipe.batch_size, device=device) % 2
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(network(x), y).backward()
    return counter.get_total_flops() / recipe.batch_size


def with_loader(factory, inputs: torch.Tensor, labels: torch.Tensor, recipe: Recipe, device: str) -> float:
    """Seconds of the usual loop: a DataLoader, a copy to the device and a printed loss in every step."""
    network = architectures.build(factory, 0).to(device).train()
    loader = DataLoader(TensorDataset(inputs.cpu(), labels.cpu()), batch_size=recipe.batch_size, shuffle=True)
    optimiser = torch.optim.SGD(network.parameters(), lr=recipe.learning_rate)
    steps, step, last = recipe.epochs * len(loader), 0, 0.0
    begin = clock(device)
    for _ in range(recipe.epochs):
        for x, y in loader:
            optimiser.param_groups[0]["lr"] = recipe.rate(step, steps)
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(x.to(device)), y.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimiser.step()
            last = loss.item()
            step += 1
    assert last == last, "training diverged"
    return clock(device) - begin


def with_ours(factory, inputs: torch.Tensor, labels: torch.Tensor, recipe: Recipe, device: str) -> float:
    """Seconds of `training.train`, final measurement included (it cancels, see above)."""
    network = architectures.build(factory, 0)
    begin = clock(device)
    train(network, inputs, labels, recipe, generator=torch.Generator().manual_seed(0))
    return clock(device) - begin


def measure(name: str, repeats: int, device: str) -> dict:
    """Time both loops in turn and return samples per second: medians, and all repetitions."""
    factory = architectures.factory(name, num_outputs=2)
    v = directions.fourier(32, 32).vectors[1][None]
    count = STEPS[name] * Recipe().batch_size
    inputs, labels = separable.sample(v, count, generator=torch.Generator().manual_seed(0), device=device)
    rates = {"loader": [], "ours": []}
    for repeat in range(repeats + (STEPS[name] > 1)):  # the first of a cheap network only warms up
        for label, run in (("loader", with_loader), ("ours", with_ours)):
            short, long = (run(factory, inputs, labels, Recipe(epochs=e), device) for e in (1, 3))
            if repeat or STEPS[name] == 1:
                rates[label].append(2 * count / (long - short))
    medians = {label: statistics.median(values) for label, values in rates.items()}
    return {
        "samples_per_second": medians,
        "repetitions": rates,
        "flops_per_sample": operations(factory, Recipe(), device),
    }


def main() -> None:
    """Measure, print a table and write `results/sweeps-<device>.json` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    best = peak(arguments.device)
    print(f"float32 matrix product: {best / 1e9:.0f} GFLOP/s")
    results = {}
    for name in arguments.networks:
        found = measure(name, arguments.repeats, arguments.device)
        found["share_of_peak"] = found["samples_per_second"]["ours"] * found["flops_per_sample"] / best
        results[name] = found
        ours, loader = found["samples_per_second"]["ours"], found["samples_per_second"]["loader"]
        print(
            f"{name:12s} {ours:10.0f} samples/s, DataLoader {loader:10.0f}, ratio {ours / loader:5.2f}, "
            f"{100 * found['share_of_peak']:5.1f} % of the peak",
            flush=True,
        )
    target = paths.root() / "benchmarks" / "results" / f"sweeps-{arguments.device.partition(':')[0]}.json"
    record = {
        "what": "samples per second of training on D(v), batch 128, 32 x 32, one CPU thread or one GPU",
        "clock": "process time" if arguments.device == "cpu" else "wall time",
        "matmul_flops_per_second": best,
        "networks": results,
        "repeats": arguments.repeats,
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    files.write_json(target, record)


if __name__ == "__main__":
    main()
