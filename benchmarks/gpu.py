"""Everything that wants a GPU, in steps that a short lease can hold: each leaves its result, a rerun goes on behind it.

    python benchmarks/gpu.py OUTPUT [--seconds 540] [--steps tests nads map scaling sweeps] [--device cuda]

`tests`: the same seeds give the same science on CPU and GPU. `nads`: seconds per network of the five networks in three
precisions, from windows and from whole images, with the error of each against float32, and the total for NADs of
published precision, in one process and in four. `map`: LeNet's 1,024 directions, stacked against one network at a time
on some of them. `scaling` and `sweeps`: the benchmarks of these names on the GPU. A step begins only while less than
half of `--seconds` is gone, or if it is the first. `--device cpu` runs tiny versions, to see that it works
where there is no GPU.
"""

import argparse
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import torch
from anisotropy import directions, nads
from anisotropy._util import files, paths, provenance
from anisotropy.experiments import sweeps, units
from anisotropy.models import architectures
from anisotropy.nads import _windows, readouts, responses
from anisotropy.training import Recipe

PLAIN = 10_000
IMAGES = {"windows": _windows.impulses, "whole": responses._impulses}
"""Cutting windows out costs launches and index tables, which a GPU may spend better on whole images."""

NETWORKS = ("logreg", "lenet", "vgg11", "resnet18", "densenet121")


def synchronise(device: str) -> float:
    """The time, after everything that was asked of the device is done."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def precisions(device: str) -> dict[str, tuple[torch.dtype, bool]]:
    """Label -> (dtype, whether float32 may be computed as TF32)."""
    return {"float32": (torch.float32, False), "tf32": (torch.float32, True), "bfloat16": (torch.bfloat16, False)}


def step_nads(output: Path, device: str) -> None:
    """Seconds per network, error of the arithmetic, total for the precision of 10,000 plain samples (top 50)."""
    rows, totals = [], {}
    small = device == "cpu"
    for name in NETWORKS[:2] if small else NETWORKS:
        factory = architectures.factory(name)
        x = torch.randn(factory.input_shape, generator=torch.Generator().manual_seed(0)).to(device)
        readout = readouts.examine(factory, factory.input_shape)
        measured = nads.load(name)
        worth = measured.plain_networks.get(50, math.inf)
        worth = worth if math.isfinite(worth) else PLAIN * measured.networks  # logistic regression: exact at once
        needed = max(1, math.ceil(PLAIN / (worth / measured.networks)))
        reference = None
        for label, (dtype, tf32) in precisions(device).items():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            for chunk, made in itertools.product((64,) if small else (64, 256, 1024), IMAGES):
                times = []
                for index in range(3):  # the first warms up
                    begin = synchronise(device)
                    network = responses.prepare(architectures.build(factory, 0, index % 2), dtype, device)
                    drawn = synchronise(device)
                    with mock.patch.object(_windows, "impulses", IMAGES[made]):
                        found = responses.secant_rows(network, x, step=100.0, readout=readout, chunk=chunk)
                    times.append((drawn - begin, synchronise(device) - drawn))
                rows_of = found.double().cpu()  # of network 0
                reference = rows_of if reference is None else reference
                weights, passes = times[-1]
                rows.append(
                    {
                        "network": name,
                        "precision": label,
                        "chunk": chunk,
                        "images": made,
                        "seconds_weights": weights,
                        "seconds_passes": passes,
                        "error_of_rows": float((rows_of - reference).norm() / reference.norm()),
                        "networks": needed,
                        "total_multiplied_out": needed * (weights + passes),
                    }
                )
                files.write_json(output / "gpu-nads.json", {**known(device), "rows": rows})
        print(json.dumps(rows[-1]), flush=True)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, True  # torch's defaults
    if small:
        return
    for workers in (1, 4):  # the real thing, in one go; several processes draw weights while others compute
        begin, until = synchronise(device), {}
        for name in NETWORKS:
            count = max(row["networks"] for row in rows if row["network"] == name)
            nads.estimate(
                architectures.factory(name), None, nads.Secant(dtype="bfloat16"),
                networks=count, device=device, workers=workers,
            )  # fmt: skip
            until[name] = synchronise(device) - begin
            totals = {**totals, f"workers {workers}": until}
            record = {**known(device), "rows": rows, "seconds_until": totals, "dtype": "bfloat16"}
            files.write_json(output / "gpu-nads.json", record)
        print(f"NADs of published precision, {workers} processes: {until[NETWORKS[-1]]:.1f} s", flush=True)


def step_map(output: Path, device: str) -> None:
    """LeNet on Fourier directions with the paper's recipe: networks stacked, against one at a time."""
    factory = architectures.factory("lenet", num_outputs=2)
    basis = directions.fourier(32, 32).vectors[:, None]
    single, stack, count = (1, 2, 200) if device == "cpu" else (2, 64, 10_000)
    recipe = Recipe(epochs=1 if device == "cpu" else 20)
    amounts = {"recipe": recipe, "train_samples": count, "test_samples": count, "progress": False, "device": device}
    found = known(device)
    with tempfile.TemporaryDirectory() as store:
        sweeps.run(factory, basis[:1], store=f"{store}/warm", **amounts)
        for label, rows, block in (("one at a time", single, 1), ("stacked", stack, units.STACK)):
            begin = synchronise(device)
            sweeps.run(factory, basis[:rows], block=block, store=f"{store}/{block}", **amounts)
            found[label] = (synchronise(device) - begin) / rows
            files.write_json(output / "gpu-map.json", found)
    found["faster"] = found["one at a time"] / found["stacked"]
    found["seconds_for_1024"] = 1024 * found["stacked"]
    files.write_json(output / "gpu-map.json", found)
    print(f"LeNet: {found['stacked']:.3f} s a direction stacked, {found['faster']:.0f} times faster", flush=True)


def known(device: str) -> dict:
    """Where the numbers come from."""
    return {"device": device, "hardware": provenance.hardware(), "versions": provenance.versions()}


def step_command(*command: str):
    """A step that is another program; its output is kept."""

    def run(output: Path, device: str) -> None:
        full = [sys.executable, *command] + (["--device", device] if command[0].startswith("benchmarks") else [])
        done = subprocess.run(full, cwd=paths.root(), capture_output=True, text=True)
        files.write(output / f"gpu-{Path(command[-1]).stem}.log", done.stdout[-20_000:] + done.stderr[-5_000:])
        print(done.stdout[-1500:], flush=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}")
        name = f"{Path(command[-1]).stem}-{device.partition(':')[0]}.json"
        made = paths.root() / "benchmarks" / "results" / name
        if made.is_file() and command[0].startswith("benchmarks"):
            files.write(output / name, made.read_bytes())

    return run


STEPS = {
    "tests": step_command("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_cuda.py"),
    "nads": step_nads,
    "map": step_map,
    "scaling": step_command("benchmarks/scaling.py"),
    "sweeps": step_command("benchmarks/sweeps.py"),
}


def main() -> int:
    """Run the steps that are not done; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=540.0)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    if arguments.device != "cpu" and not torch.cuda.is_available():
        parser.error("no GPU that torch can use: expected one, or --device cpu for tiny versions")
    begin, failed = time.monotonic(), []
    for number, name in enumerate(arguments.steps):
        mark = arguments.output / f"{name}.done"
        if mark.exists():
            continue
        if number and time.monotonic() - begin > arguments.seconds / 2:
            print(f"no time left for {name}; the same command goes on with it")
            break
        start = time.monotonic()
        try:
            STEPS[name](arguments.output, arguments.device)
        except Exception as error:  # the other steps are worth having all the same
            failed.append(name)
            print(f"{name} failed: {error}", file=sys.stderr)
            continue
        files.write(mark, f"{time.monotonic() - start:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
