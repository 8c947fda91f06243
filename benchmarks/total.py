"""NADs of published precision of all five networks, end to end, as a reader runs them: wall clock, nothing scaled.

    python benchmarks/total.py [--networks lenet resnet18 ...] [--workers 2]

Each network is measured by `nads.estimate` with the settings of the shipped NADs, another seed, and as many networks as
those say are worth 10,000 plain samples for the top-50 subspace; what each estimate then says of itself is recorded.
"""

import argparse
import math
import time
from pathlib import Path

from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import shipped
from measuring import ORDER, PLAIN, RESULTS, load, origin, read, write

K = 50


def needed(name: str) -> int:
    """Networks worth `PLAIN` plain ones; two of logistic regression, of which one is exact, for the uncertainty."""
    known = nads.load(name)
    worth = known.plain_networks.get(K, math.inf) / known.networks
    return max(2, math.ceil(PLAIN / worth)) if math.isfinite(worth) else 2


def main() -> None:
    """Measure each network, and write `total.json` after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=ORDER, choices=ORDER, metavar="NAME")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--seed", type=int, default=1, help="0 would measure the shipped networks again")
    parser.add_argument("--output", type=Path, default=RESULTS / "total.json")
    arguments = parser.parse_args()
    rows = {row["network"]: row for row in read(arguments.output).get("rows", [])}
    content = {
        "what": "NADs (secant) of the precision of 10,000 plain samples, top 50, end to end",
        "clock": "wall clock",
        "workers": arguments.workers,
        **origin(),
    }
    for name in arguments.networks:
        before, count, begin = load(), needed(name), time.perf_counter()
        options = {k: v for k, v in shipped.SETTINGS[name].items() if k != "networks"}
        found = nads.estimate(
            architectures.factory(name),
            networks=count,
            workers=arguments.workers,
            seed=arguments.seed,
            **options,
        )
        rows[name] = {
            "network": name,
            "seconds": time.perf_counter() - begin,
            "networks": count,
            "dtype": found.settings["dtype"],
            "plain_networks": min(found.plain_networks[K], 1e9),  # where every network gives the same: no end
            "overlap_with_shipped": found.overlap(nads.load(name), K),
            "load_before": before,
        }
        ordered = [rows[n] for n in ORDER if n in rows]
        write(arguments.output, {**content, "rows": ordered, "seconds": sum(row["seconds"] for row in ordered)})
        print(f"{name}: {rows[name]['seconds']:.1f} s, worth {rows[name]['plain_networks']:,.0f} plain", flush=True)


if __name__ == "__main__":
    main()
