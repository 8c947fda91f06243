"""Measure the NADs that come with the package.

    python -m anisotropy.nads.shipped [NAME ...] [--workers N] [--states DIR]

They are what `nads.load("lenet")` opens: 32 x 32 grey images, the secant of the released code (h = 100), read-out
averaged over, verified grid symmetries. Number of networks and precision of the arithmetic are those below.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from anisotropy._util import paths
from anisotropy.models import architectures
from anisotropy.nads import estimation, loading, result
from anisotropy.nads.definitions import Secant

SETTINGS: dict[str, dict[str, Any]] = {
    "logreg": {"networks": 8},
    "lenet": {"networks": 400},
    "vgg11": {"networks": 64, "response": Secant(dtype="bfloat16")},
    "resnet18": {"networks": 48, "response": Secant(dtype="bfloat16")},
    "densenet121": {"networks": 16, "response": Secant(dtype="bfloat16")},
}
"""Arguments of `nads.estimate` for each network of the paper; the rest are its defaults."""


def measure(name: str, *, states: str | Path | None = None, workers: int = 1, **changes: Any) -> result.Nads:
    """NADs of one network of the paper with its `SETTINGS`, or some of them changed.

    Args:
        name: one of `SETTINGS`.
        states: folder of resumable states, one file per network; None keeps none.
        workers: processes.
        **changes: arguments of `nads.estimate`.
    """
    state = Path(states) / f"{name}.safetensors" if states else None
    arguments = {**SETTINGS[name], **changes}
    return estimation.estimate(architectures.factory(name), workers=workers, state=state, **arguments)


def or_measured(name: str, *, width: float = 1.0, stand_in: bool = False, **options: Any) -> result.Nads:
    """NADs of a network: those that come with the package where they are its own, others are measured here.

    Args:
        name: as `architectures.factory` takes it: of the paper, or yours.
        width: share of its channels; the package has those of full networks.
        stand_in: take the NADs of the full network for those of a narrow one.
        **options: arguments of `nads.estimate`, for what is measured.
    """
    if name in loading.available() and (width == 1.0 or stand_in):
        return loading.load(name)
    return estimation.estimate(architectures.factory(name, width=width), **options)


def main() -> None:
    """Measure, print what was found, and write the files that the package ships."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SETTINGS)}; all of them if none")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--states", default=str(paths.data() / "states"), help="folder of resumable states")
    parser.add_argument("--output", default=str(loading.DATA), help="folder of the measured NADs")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SETTINGS):
        parser.error(f"unknown network {sorted(unknown)}: expected some of {', '.join(SETTINGS)}")
    torch.set_num_threads(1)
    for name in arguments.names or SETTINGS:
        found = measure(name, states=arguments.states, workers=arguments.workers)
        found.save(Path(arguments.output) / f"{name}.safetensors")
        half = {k: round(v, 3) for k, v in found.split_half.items()}
        print(f"{found}: {found.settings['seconds']:.0f} s, overlap of the halves at k: {half}", flush=True)


if __name__ == "__main__":
    main()
