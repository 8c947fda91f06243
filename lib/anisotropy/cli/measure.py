"""`python -m anisotropy measure NAME --out FILE`: the NADs of one architecture, without a notebook."""

import argparse
import sys

from anisotropy.models import architectures
from anisotropy.nads import Gradient, Mixed, Secant, estimate

RESPONSES = {"secant": Secant, "gradient": Gradient, "mixed": Mixed}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print what was found, and write it.

    Returns:
        0, or 2 where the network or the output cannot be had.
    """
    parser = argparse.ArgumentParser(prog="python -m anisotropy measure", description=__doc__)
    parser.add_argument("network", help='"lenet", "torchvision:NAME", "timm:NAME", or "mine:net" for net of mine.py')
    parser.add_argument("--out", required=True, metavar="FILE", help="where the NADs go; `an.load` opens them")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images (default 32)")
    parser.add_argument("--channels", type=int, default=1, help="of the images (default 1)")
    parser.add_argument("--networks", type=int, default=50, help="random networks to average over (default 50)")
    parser.add_argument("--response", choices=RESPONSES, default="secant", help="definition of the NADs")
    parser.add_argument("--rank", type=int, help="leading directions to keep; default all, 50 of large images")
    parser.add_argument("--state", metavar="FILE", help="running sums: a run that is killed goes on from it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with one thread")
    given = parser.parse_args(arguments)
    try:
        make = architectures.factory(given.network, in_channels=given.channels, image_size=given.size)
        found = estimate(
            make,
            response=RESPONSES[given.response](),
            networks=given.networks,
            rank=given.rank,
            state=given.state,
            seed=given.seed,
            device=given.device,
            workers=given.workers,
        )
    except (ValueError, TypeError, ImportError, AttributeError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(found)
    for k in found.split_half:
        low, high = found.overlap_range(k)
        print(f"the leading {k}: overlap with the truth between {low:.2f} and {high:.2f}")
    print(f"written: {found.save(given.out)}")
    return 0
