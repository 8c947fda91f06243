"""What exact NADs of infinitely wide networks cost, beside sampling the same covariance to the same error.

    python benchmarks/kernels.py [--cases 'lenet secant' ...] [--networks 24]

Networks of finite width differ from the limit, so sampling them to more precision than that difference says nothing
more than the exact matrix does. With C_1, ..., C_n the covariances of n random networks (read-out integrated out,
averaged over the grid's symmetries), each divided by the trace of their mean, and C the exact one over its trace, let
G_ij = <C_i - C, C_j - C> in Frobenius' product:

    bias^2   = mean of G_ij over i != j           what the width leaves, with the jackknife's standard error
    spread^2 = mean of G_ii - bias^2              what one network's noise is

`worth` networks, (spread / bias)^2, leave sampling noise as large as the bias: so many networks are as far from the
truth of their width as the exact matrix is. Where bias^2 is less than two standard errors, only a bound is given: with
bias^2 two standard errors larger. Seconds are processor time of one thread. Each exact computation is a process of its
own, whose peak of memory above that of the libraries is recorded.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import torch
from anisotropy import kernels
from anisotropy.kernels import layers
from anisotropy.models import architectures
from anisotropy.nads import Gradient, Secant, definitions, readouts, responses
from anisotropy.nads.covariances import DenseCovariance
from anisotropy.nads.symmetry import spatial
from measuring import RESULTS, load, origin, write
from torch import Tensor

PLAIN = layers.Sequential(
    *(layer for stride in (1, 2, 2) for layer in (layers.Conv(3, stride), layers.ReLU())), layers.Readout()
)
"""Three convolutions, two of them with strides."""


class Wide:
    """A factory of `PLAIN` networks of some width."""

    def __init__(self, side: int, width: int):
        self.input_shape, self.width = (1, side, side), width

    def __call__(self) -> torch.nn.Module:
        """A random network."""
        return layers.network(PLAIN, self.input_shape, self.width)


CASES = {
    "plain secant": (lambda side: Wide(side, 128), "secant", 32, 24),
    "lenet secant": (
        lambda side: architectures.factory("anisotropy.models.blurpool:lenet", kind="average", image_size=side),
        "secant",
        32,
        96,
    ),
    "resnet18 secant": (lambda side: architectures.factory("resnet18", image_size=side), "secant", 32, 10),
    "resnet18 gradient": (lambda side: architectures.factory("resnet18", image_size=side), "gradient", 32, 96),
    "densenet121 gradient": (lambda side: architectures.factory("densenet121", image_size=side), "gradient", 32, 24),
}
"""Name -> factory by side of the image, response, side, random networks."""

RESPONSES = {"secant": Secant(math.inf, "zero"), "gradient": Gradient()}

READOUTS = 16
"""Random read-outs of each network whose gradients are taken."""


def exact(name: str, side: int) -> dict:
    """Seconds and peak of memory of one exact covariance, and the covariance, in this process."""
    make, response, *_ = CASES[name]
    graph = kernels.graph_of(make(side))
    kernels.infinite_width(layers.Sequential(layers.Conv(3), layers.ReLU(), layers.Readout()), (1, 4, 4))  # libraries
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, begin = _kib("VmRSS"), time.process_time()
    found = kernels.infinite_width(graph, response=RESPONSES[response])
    seconds = time.process_time() - begin
    return {"seconds": seconds, "gib": (_kib("VmHWM") - before) / 2**20, "covariance": found.covariance()}


def _kib(name: str) -> int:
    """A line of this process's memory, in KiB; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def sampled(name: str, side: int, networks: int) -> tuple[list[Tensor], float]:
    """Covariances of random networks, and processor time of one of them."""
    make, response, *_ = CASES[name]
    factory = make(side)
    shape = factory.input_shape
    x = definitions.point(RESPONSES[response], shape, 0)
    group = spatial.verified(factory, shape) if response == "secant" else ("",)
    readout, found, generator = readouts.examine(factory, shape), [], torch.Generator().manual_seed(0)
    begin = time.process_time()
    for index in range(networks):
        network = responses.prepare(architectures.build(factory, 0, index), copy=False)
        if response == "secant":
            rows = responses.secant_rows(network, x, step=1e3, readout=readout)
        else:
            rows = responses.gradient_rows(network, x, readout=readout, draws=READOUTS, generator=generator)
        one = DenseCovariance(shape, group, parts=1)
        one.add(rows)
        found.append(one.covariance().float())
    return found, (time.process_time() - begin) / networks


def compare(covariance: Tensor, samples: list[Tensor]) -> dict:
    """Spread of one network and bias of the width, relative, and how many networks the exact matrix is worth."""
    n, trace = len(samples), float(sum(c.trace() for c in samples)) / len(samples)
    limit = covariance / covariance.trace()
    apart = torch.stack([(c / trace - limit).float().flatten() for c in samples])
    gram = (apart @ apart.T).double() / limit.square().sum()
    own, rows = gram.diagonal(), gram.sum(1) - gram.diagonal()
    bias = float(rows.sum()) / (n * (n - 1))
    without = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    error = float(((n - 1) / n * (without - without.mean()).square().sum()).sqrt())
    spread, decided = float(own.mean()) - bias, bias > 2 * error
    return {
        "spread": math.sqrt(spread),
        "bias_squared": bias,
        "bias_squared_error": error,
        "decided": decided,
        "worth": spread / (bias if decided else max(bias, 0.0) + 2 * error),
        "trace_ratio": trace / float(covariance.trace()),
    }


def measure(name: str, side: int, networks: int) -> dict:
    """One row: the exact way in a process of its own, then sampling."""
    before, file = load(), Path(f"{name}-{side}.pt".replace(" ", "-"))
    command = [sys.executable, __file__, "--child", name, "--side", str(side), "--output", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row = {"case": name, "side": side, "networks": networks, "load_before": before, "exact": json.loads(done.stdout)}
    covariance = torch.load(file)
    file.unlink()
    samples, seconds = sampled(name, side, networks)
    row |= {"network_seconds": seconds, **compare(covariance, samples)}
    return row | {"sampling_seconds": row["worth"] * seconds}


def main() -> None:
    """Measure, print, write `results/kernels.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--side", type=int, help="of the image, instead of each case's own")
    parser.add_argument("--networks", type=int, help="random networks, at least 3, instead of each case's own")
    parser.add_argument("--child", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=RESULTS / "kernels.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.child:
        row = exact(arguments.child, arguments.side)
        torch.save(row.pop("covariance"), arguments.output)
        print(json.dumps(row))
        return
    rows = []
    for name in arguments.cases:
        *_, side, networks = CASES[name]
        rows.append(measure(name, arguments.side or side, arguments.networks or networks))
        row = rows[-1]
        worth = f"{'' if row['decided'] else 'at least '}{row['worth']:.1f} networks"
        print(
            f"{name:22s} exact {row['exact']['seconds']:.2f} s, {row['exact']['gib']:.2f} GiB; a network "
            f"{row['network_seconds']:.2f} s; spread {row['spread']:.3f}, bias^2 {row['bias_squared']:.4f} "
            f"+- {row['bias_squared_error']:.4f}: worth {worth}",
            flush=True,
        )
        write(arguments.output, {"what": "exact covariances beside sampled ones", "rows": rows, **origin()})


if __name__ == "__main__":
    main()
