"""How the cost of NADs grows with the image, the networks and the directions asked for, up to 3 x 224 x 224.

    python benchmarks/scaling.py [--cases image networks directions large] [--device cpu]

Each case runs in a process of its own on one thread, so that its peak memory is its own: what is given is above that of
the process with its libraries loaded, before the architecture is made. Seconds are processor time on a CPU, wall time
on a GPU (memory is then the GPU's). A case that fails says why; results are written after each.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SMALL = {"name": "resnet18", "width": 0.25, "in_channels": 3, "method": "gradient", "draws": 16, "chunk": 8}
CASES = {
    "image": [{**SMALL, "image_size": s, "networks": 4, "rank": 50} for s in (16, 32, 64, 128)],
    "networks": [{**SMALL, "image_size": 32, "networks": n, "rank": 50} for n in (2, 4, 8, 16, 32)],
    "directions": [{**SMALL, "image_size": 64, "networks": 8, "rank": k} for k in (10, 50, 100, 200)],
    "large": [
        {"name": "torchvision:resnet18", "in_channels": 3, "image_size": 224, "method": "gradient", "draws": 32,
         "chunk": 4, "networks": 16, "rank": 50},
        {"name": "torchvision:vit_b_16", "in_channels": 3, "image_size": 224, "method": "gradient", "draws": 16,
         "chunk": 4, "networks": 8, "rank": 50},
    ],
}  # fmt: skip
"""Tables of settings; `draws` random read-outs of each network give `networks * draws` rows."""

COLUMNS = {
    "network": lambda r: r["name"] + (f", width {r['width']}" if "width" in r else ""),
    "image": lambda r: f"{r['in_channels']} x {r['image_size']} x {r['image_size']}",
    "D": lambda r: f"{r['in_channels'] * r['image_size'] ** 2:,}",
    "networks": lambda r: r["networks"],
    "rows": lambda r: r["networks"] * r["draws"],
    "directions": lambda r: r["rank"],
    "s": lambda r: f"{r['seconds']:.1f}",
    "of these at the end": lambda r: f"{r['seconds_end']:.1f}",
    "GiB above libraries": lambda r: f"{r['memory_gib']:.2f}",
    "halves agree, top 10": lambda r: "" if r["overlap_10"] is None else f"{r['overlap_10']:.2f}",
}


def measure(case: dict, device: str) -> dict:
    """Run one case in this process."""
    import resource
    import warnings

    import torch
    from anisotropy import architectures, estimation, nads

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

    before, finish, end = peak(), estimation._finish, []

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
        networks=case["networks"],
        method=case["method"],
        readout_draws=case["draws"],
        chunk=case["chunk"],
        rank=case["rank"],
        device=device,
        progress=False,
    )
    return {
        **case,
        "device": device,
        "seconds": clock() - begin,
        "seconds_end": end[0],
        "memory_gib": peak() - before,
        "libraries_gib": before,
        "overlap_10": found.split_half.get(10),
        "symmetry": found.settings["symmetry"],
    }


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *[[str(cell(r)) for cell in COLUMNS.values()] for r in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure, and write `results/scaling-<device>.json` and `.md` after each case."""
    from anisotropy import files, provenance

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print("RESULT " + json.dumps(measure(json.loads(arguments.one), arguments.device)))
        return
    target = Path(__file__).parent / "results" / f"scaling-{arguments.device.partition(':')[0]}.json"
    try:
        tables = json.loads(target.read_text(encoding="utf-8"))["tables"]
    except (OSError, ValueError, KeyError):
        tables = {}
    known = {
        "what": "cost of NADs from gradients, low-rank route, one CPU thread or one GPU",
        "load_before": [round(v, 1) for v in os.getloadavg()],
        "hardware": provenance.hardware(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    for label in arguments.cases:
        tables[label] = []
        for case in CASES[label]:
            command = [sys.executable, __file__, "--one", json.dumps(case), "--device", arguments.device]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            if not lines:
                print(f"{label}: {case['name']} failed:\n{done.stderr[-1500:]}", file=sys.stderr)
                continue
            tables[label].append(json.loads(lines[-1].removeprefix("RESULT ")))
            files.write_json(target, {**known, "tables": tables})
            print(table(tables[label][-1:]).splitlines()[-1], flush=True)
    text = "\n\n".join(f"## {label}\n\n{table(rows)}" for label, rows in tables.items() if rows)
    where = f"Measured on {known['hardware']['cpu']}, {known['hardware']['cores']} cores, GPU "
    where += f"{known['hardware']['gpu'] or 'none'}, load average {known['load_before'][0]:.1f} before."
    files.write(target.with_suffix(".md"), f"# {known['what'].capitalize()}\n\n{text}\n\n{where}\n")


if __name__ == "__main__":
    main()
