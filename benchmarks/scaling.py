"""How the cost of NADs grows with the image, the networks and the directions asked for, up to 3 x 224 x 224.

    python benchmarks/scaling.py [--cases image networks directions large] [--device cpu]

Each case runs in a process of its own on one thread, so that its peak memory is its own: what is given is above that of
the process with its libraries loaded, before the architecture is made. Seconds are processor time on a CPU, wall time
on a GPU (memory is then the GPU's). A case that fails says why; results are written after each.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

SMALL = {"name": "resnet18", "width": 0.25, "in_channels": 3, "method": "gradient", "draws": 16, "chunk": 8}
CASES = {
    "image": [{**SMALL, "image_size": s, "networks": 4, "rank": 50} for s in (16, 32, 64, 128, 224)],
    "networks": [{**SMALL, "image_size": 32, "networks": n, "rank": 50} for n in (2, 4, 8, 16, 32)],
    "directions": [{**SMALL, "image_size": 64, "networks": 8, "rank": k} for k in (10, 50, 100, 200)],
    "large": [
        {"name": "torchvision:resnet18", "in_channels": 3, "image_size": 224, "method": "gradient", "draws": 32,
         "chunk": 4, "networks": 16, "rank": 50},
        {"name": "torchvision:vit_b_16", "in_channels": 3, "image_size": 224, "method": "gradient", "draws": 16,
         "chunk": 4, "networks": 8, "rank": 50},
    ],
    "tiny": [{**SMALL, "width": 0.125, "image_size": 8, "networks": 2, "rank": 5}],
}  # fmt: skip
"""Tables of settings; `draws` random read-outs of each network give `networks * draws` rows."""


def measure(case: dict, device: str) -> dict:
    """Run one case in this process."""
    import resource
    import warnings

    import torch
    from anisotropy import nads
    from anisotropy.models import architectures
    from anisotropy.nads import estimation

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.nn.Conv2d(1, 1, 3).to(device)(torch.zeros(1, 1, 8, 8, device=device)).sum().backward()  # loads libraries
    if case["name"].startswith("torchvision"):
        import torchvision  # noqa: F401
    gpu = device.startswith("cuda")

    def peak() -> float:
        if gpu:
            return torch.cuda.max_memory_allocated() / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def clock() -> float:
        if not gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    before, finish, end, wall = peak(), estimation._finish, [], time.perf_counter()

    def timed(*arguments):
        begin = clock()
        found = finish(*arguments)
        end.append(clock() - begin)
        return found

    estimation._finish = timed
    options = {k: v for k, v in case.items() if k in ("name", "width", "in_channels", "image_size")}
    begin = clock()
    found = nads.estimate(
        architectures.factory(options.pop("name"), **options),
        response=nads.Gradient(draws=case["draws"], chunk=case["chunk"]),
        networks=case["networks"],
        rank=case["rank"],
        device=device,
    )
    return {
        **case,
        "device": device,
        "seconds": clock() - begin,
        "seconds_end": end[0],
        "wall": time.perf_counter() - wall,
        "memory_gib": peak() - before,
        "libraries_gib": before,
        "overlap": found.split_half.get(30),  # ten directions in three colours
        "symmetry": found.settings["symmetry"],
    }


def main() -> None:
    """Measure, and write `scaling-<device>.json` after each case."""
    from measuring import RESULTS, load, origin, read, write

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=[c for c in CASES if c != "tiny"], choices=list(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="default: scaling-<device>.json among the results")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print("RESULT " + json.dumps(measure(json.loads(arguments.one), arguments.device)))
        return
    target = arguments.output or RESULTS / f"scaling-{arguments.device.partition(':')[0]}.json"
    tables = read(target).get("tables", {})
    known = {
        "what": "cost of NADs from gradients, low-rank route, one CPU thread or one GPU",
        "clock": "processor time" if arguments.device == "cpu" else "wall time",
        **origin(),
    }
    failed = 0
    for label in arguments.cases:
        rows = []
        for case in CASES[label]:
            before = load()
            command = [sys.executable, __file__, "--one", json.dumps(case), "--device", arguments.device]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            if not lines:
                print(f"{label}: {case['name']} failed:\n{done.stderr[-1500:]}", file=sys.stderr)
                failed += 1
                continue
            rows.append({**json.loads(lines[-1].removeprefix("RESULT ")), "load_before": before})
            tables[label] = rows
            write(target, {**known, "tables": tables})
            size, last = case["in_channels"] * case["image_size"] ** 2, rows[-1]
            print(
                f"{label}: {case['name']}, D = {size:,}, {case['networks']} networks, {case['rank']} directions: "
                f"{last['seconds']:.1f} s, {last['memory_gib']:.2f} GiB",
                flush=True,
            )
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
