"""The audit as a command: `experiments.audit`, with the lines of the record that need the authors' tables."""

import functools
from collections.abc import Mapping

from anisotropy.experiments import audit
from anisotropy.experiments.measured import Again, measure_again
from anisotropy.paper import discrimination


def measured(folder: str, images: str) -> Mapping[str, Again]:
    """How lines are measured again for which the authors' repository or CIFAR-10 is needed.

    Args:
        folder: a checkout of it; "" where there is none, and then each such line says so.
        images: folder of CIFAR-10, likewise.
    """
    return {
        "discrimination": functools.partial(discrimination.again, folder),
        "measures": functools.partial(measure_again, folder, images),
    }


def main(arguments: list[str] | None = None) -> int:
    """Draw lines of the record, compute them again, and say whether the record stands."""
    return audit.main(arguments, more=measured)
