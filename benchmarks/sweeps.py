"""What training on D(v) costs: samples per second of `training.train` against a plain DataLoader loop, in one run.

    python benchmarks/sweeps.py [--networks logreg lenet ...] [--repeats 3] [--device cpu]

The plain loop works in float32; ours in float32 and, on processors that have it, in bfloat16 (autocast). All take the
released code's steps (SGD, batch 128, clipping at 0.5, rate falling at each step) on the same data, in
turn; what counts is the ratio of the two in one repetition, its median and range. Of each, two runs that differ only in
their number of epochs are timed, and the difference counts, so that setting up and the final measurement of accuracy
cancel. On a CPU the time is that of the process on one thread, as a worker has it, so that other programs on the
machine disturb little; on a GPU it is wall time after synchronising. The peak is that of a float32 matrix product,
measured in the same run; floating-point operations are counted by torch for forward and backward passes of one batch
(convolutions and products only). A share above one means that the library did with fewer operations than are counted,
or that something disturbed the measurement of the peak.
"""

import argparse
import statistics
from pathlib import Path

import torch
from anisotropy import directions
from anisotropy._util.provenance import has_bfloat16
from anisotropy.directions import separable
from anisotropy.models import architectures
from anisotropy.training import Recipe, train
from measuring import ORDER, RESULTS, clock, load, origin, peak, read, write
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

STEPS = {"logreg": 80, "lenet": 20, "vgg11": 1, "resnet18": 1, "densenet121": 1}
"""Steps of an epoch: what a processor does in about a second, and at least one."""

BATCH = {"resnet18": 64, "densenet121": 32}
"""Samples a step where 128 would take long: both loops take the same, and a repetition then lasts half a minute."""


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
    """Time both loops in turn and return samples per second: medians, all repetitions, and the ratios of pairs."""
    factory = architectures.factory(name, num_outputs=2)
    v = directions.fourier(32, 32).vectors[1][None]
    recipe = {"batch_size": BATCH.get(name, 128)}
    count = STEPS[name] * recipe["batch_size"]
    inputs, labels = separable.sample(v, count, generator=torch.Generator().manual_seed(0), device=device)
    loops = [("loader", with_loader, "float32"), ("ours", with_ours, "float32")]
    if device == "cpu" and has_bfloat16():
        loops.append(("bfloat16", with_ours, "bfloat16"))
    rates = {label: [] for label, *_ in loops}
    for _, run, dtype in loops:
        run(factory, inputs[:4], labels[:4], Recipe(epochs=1, dtype=dtype), device)  # warms up
    for repeat in range(repeats):
        for label, run, dtype in loops[:: 1 if repeat % 2 else -1]:  # none is always the last
            fixed = {"dtype": dtype, **recipe}
            short, long = (run(factory, inputs, labels, Recipe(epochs=e, **fixed), device) for e in (1, 3))
            rates[label].append(2 * count / max(long - short, 1e-9))
    ratios = {
        label: [ours / loader for loader, ours in zip(rates["loader"], rates[label], strict=True)]
        for label in rates
        if label != "loader"
    }
    return {
        "samples_per_second": {label: statistics.median(values) for label, values in rates.items()},
        "repetitions": rates,
        "ratio": statistics.median(ratios["ours"]),
        "ratio_range": [min(ratios["ours"]), max(ratios["ours"])],
        "ratio_bfloat16": statistics.median(ratios["bfloat16"]) if "bfloat16" in ratios else None,
        "ratio_bfloat16_range": [min(ratios["bfloat16"]), max(ratios["bfloat16"])] if "bfloat16" in ratios else None,
        "repeats": repeats,
        **recipe,
        "steps": 2 * STEPS[name],
        "flops_per_sample": operations(factory, Recipe(**recipe), device),
    }


def main() -> None:
    """Measure, and write `sweeps-<device>.json` after each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=ORDER, choices=ORDER, metavar="NAME")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="default: sweeps-<device>.json among the results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = arguments.device
    target = arguments.output or RESULTS / f"sweeps-{device.partition(':')[0]}.json"
    best, results = peak(torch.float32, device), read(target).get("networks", {})
    print(f"float32 matrix product: {best / 1e9:.0f} GFLOP/s")
    content = {
        "what": "samples per second of training on D(v), 32 x 32, one CPU thread or one GPU",
        "clock": "process time" if device == "cpu" else "wall time",
        "matmul_flops_per_second": best,
        **origin(),
    }
    for name in arguments.networks:
        before = load()
        found = measure(name, arguments.repeats, device)
        ours, loader = found["samples_per_second"]["ours"], found["samples_per_second"]["loader"]
        found |= {"share_of_peak": ours * found["flops_per_sample"] / best, "load_before": before}
        results[name] = found
        write(target, {**content, "networks": {n: results[n] for n in ORDER if n in results}})
        low, high = found["ratio_range"]
        print(
            f"{name:12s} {ours:10.0f} samples/s, DataLoader {loader:10.0f}, ratio {found['ratio']:5.2f} "
            f"({low:.2f} to {high:.2f}), {100 * found['share_of_peak']:5.1f} % of the peak; "
            f"bfloat16 ratio {found['ratio_bfloat16']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
