"""All benchmarks in order, then one page: `make benchmark`.

    python benchmarks/run.py [--parts nads total ...] [--output benchmarks/results] [--tiny]

Each part is a script of its own that writes its file as it goes: a run that is killed keeps what it has, and a part can
be run alone. `--tiny` takes a minute, to see that everything works; its numbers mean nothing.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

import page
from measuring import RESULTS

PARTS = {
    "nads": "nads.json",
    "total": "total.json",
    "sweeps": "sweeps-cpu.json",
    "scaling": "scaling-cpu.json",
    "colours": "colours.json",
    "draws": "draws.json",
    "kernels": "kernels.json",
}
"""Script -> file of results."""

TINY = {
    "nads": "--networks lenet --side 16 --pilot 4 --few 2 --most 0.1 --repeats 1 --samples 256",
    "total": "--networks logreg --workers 1",
    "sweeps": "--networks logreg --repeats 2",
    "scaling": "--cases tiny",
    "colours": "--cases 'lenet 16 float32 16'",
    "draws": "--pairs 2",
    "kernels": "--cases 'plain secant' 'densenet121 gradient' --side 8 --networks 3",
}


def main() -> int:
    """Run the parts; 1 if one failed, after the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--tiny", action="store_true", help="as small as can be; never into the committed results")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    if arguments.tiny and output == RESULTS.resolve():
        parser.error("expected --output with --tiny: its numbers must not replace those that were measured")
    here, failed = Path(__file__).parent, []
    for part in arguments.parts:
        begin = time.monotonic()
        print(f"== {part}", flush=True)
        options = shlex.split(TINY[part]) if arguments.tiny else []
        command = [sys.executable, str(here / f"{part}.py"), *options, "--output", str(output / PARTS[part])]
        if subprocess.run(command).returncode:
            failed.append(part)
        print(f"== {part}: {time.monotonic() - begin:.0f} s", flush=True)
    page.make(output)
    print(f"the page is in {arguments.output}; for the README:\n\n{page.quote(output)}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
