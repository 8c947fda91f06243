"""What notebook 04 measures beside its trainings: responses that a covariance expects, and the published setting."""

import hashlib
import tempfile

import numpy as np
import torch

from anisotropy import directions, nads
from anisotropy._util import checks, paths
from anisotropy.experiments import sweeps, units
from anisotropy.models import architectures, networks
from anisotropy.nads import naming
from anisotropy.results import measures
from anisotropy.training.recipes import Recipe

VERSIONS = (1, networks.NUMERICS, naming.NUMERICS, naming.MEASURED)
"""Of the numbers of this module, of the paper's networks, of the NADs of the package, and of those measured here."""

NAMED = {"architecture": architectures.BUILTIN}
"""Networks whose names say what they are."""

STEP = 100.0
"""Step of the secants of the released code, and of the NADs that the package carries."""

FAMILIES = ("secant", "gradient", "Fourier")
"""Kinds of directions: NADs by secants, NADs by gradients, and horizontal waves."""


def read_probes(lines: list[str]) -> dict[str, list[int]]:
    """Indices by family from lines of a word and indices.

    Example:
        >>> read_probes(["secant 0 5", "gradient 0", "Fourier 0 2"])
        {'secant': [0, 5], 'gradient': [0], 'Fourier': [0, 2]}

    Raises:
        ValueError: another word, one twice or missing, or what is no index.
    """
    found = {}
    for line in lines:
        word, *indices = line.split() or [""]
        if word not in FAMILIES or word in found or not indices or not all(i.isdecimal() for i in indices):
            raise ValueError(
                f'expected directions such as ["secant 0 5 20", "gradient 0 30", "Fourier 0 2 6"], each of the three '
                f"words once, with indices, got {line!r}"
            )
        found[word] = [int(i) for i in indices]
    if set(found) != set(FAMILIES):
        raise ValueError(f"expected directions of all three families, {', '.join(FAMILIES)}, got {', '.join(found)}")
    return {family: found[family] for family in FAMILIES}


def _response(step: float) -> nads.Secant | nads.Gradient:
    """A secant of this step; 0 stands for the gradient, the limit of short steps."""
    return nads.Secant(step) if step else nads.Gradient()


@measures.kept("nads.rows", version=VERSIONS, bound=0.1, digits=7, known=NAMED)
def rows(
    architecture: str, *, step: float, indices: list[int], random_networks: int, width: float = 1.0, seed: int = 0
) -> dict[str, list]:
    """Some NADs of a network, kept digit by digit: what is trained along them can be looked up on another processor.

    Args:
        architecture: as `architectures.factory` takes it.
        step: of the secants; 0 for gradients.
        indices: which NADs.
        random_networks: that are averaged over.
        width: share of the network's channels.
        seed: of the random networks.

    Returns:
        `rows`: a list of D numbers for each index.
    """
    make = architectures.factory(architecture, width=width)
    found = nads.estimate(make, response=_response(step), networks=random_networks, seed=seed)
    return {"rows": found.rows[indices].tolist()}


def probes(
    architecture: str,
    families: list[str],
    *,
    random_networks: int,
    width: float = 1.0,
    seed: int = 0,
    store: str = measures.STORE,
) -> torch.Tensor:
    """Directions on which definitions of NADs are compared, in the order of `FAMILIES`, (K, 1, 32, 32).

    Args:
        architecture: as `architectures.factory` takes it.
        families: lines as for `read_probes`.
        random_networks: that NADs are measured from where the package has none.
        width: share of its channels.
        seed: of these networks.
        store: folder of the local store.
    """
    chosen = read_probes(families)
    how = {"random_networks": random_networks, "width": width, "seed": seed, "store": store}
    parts = []
    for family, step in (("secant", STEP), ("gradient", 0.0)):
        if family == "secant" and width == 1.0 and architecture in nads.available():
            parts.append(nads.load(architecture).directions[chosen[family]].double())
        else:
            found = rows(architecture, step=step, indices=chosen[family], **how)["rows"]
            parts.append(torch.tensor(found, dtype=torch.float64).view(-1, 1, 32, 32))
    basis = directions.fourier(32, 32)
    parts.append(basis.vectors[[basis.index(0, kx) for kx in chosen["Fourier"]]][:, None])
    return torch.cat([part / part.flatten(1).norm(dim=1)[:, None, None, None] for part in parts])


@measures.kept("nads.expected", version=VERSIONS, bound=0.05, digits=5, known=NAMED)
def expected(
    architecture: str,
    *,
    step: float,
    families: list[str],
    group: int,
    random_networks: int,
    width: float = 1.0,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Responses v^T C v that a covariance from random networks expects of `probes`: `energies`.

    Args:
        architecture: as `architectures.factory` takes it.
        step: of the secants; 0 for gradients.
        families: as for `probes`.
        group: which measurement of C, from 1: each has other networks and another point than the one before, and than
            those in which the directions were found.
        random_networks: that are averaged over.
        width: share of the network's channels.
        seed: of the directions; the networks have `seed + group`.
    """
    checks.whole(group, "group", 1)
    along = probes(architecture, families, random_networks=random_networks, width=width, seed=seed)
    make = architectures.factory(architecture, width=width)
    found = nads.estimate(make, response=_response(step), networks=random_networks, seed=seed + group)
    return {"energies": found.energy(along).tolist()}


@measures.kept("trainings.published_setting", version=(*VERSIONS, *units.NUMERICS), bound=0.1, apart=("folder",))
def published_setting(
    architecture: str,
    *,
    indices: list[int],
    sigma: float,
    convention: str,
    sha256: str,
    samples: int = 10_000,
    epochs: int = 20,
    seed: int = 0,
    folder: str = "",
) -> dict[str, float | list[float]]:
    """Accuracy along the authors' own NADs at a setting: `accuracy`, and `error`, its mean distance from their table.

    Args:
        architecture: of the paper.
        indices: of their NADs; of those that they trained along.
        sigma: noise.
        convention: of the class means, see `separable`.
        sha256: of their table, `docs/data/nads.csv`.
        samples: to train on, and as many to test on.
        epochs: of training.
        seed: of the trainings.
        folder: checkout of the authors' repository; needed only where the record does not hold the numbers.

    Raises:
        ValueError: no folder was given, or it holds another table.
    """
    place = paths.resolve(checks.folder(folder, "folder")) if folder else None
    if place is None:
        raise ValueError("it needs the authors' repository, whose folder was not given")
    table = place / "docs" / "data" / "nads.csv"
    if hashlib.sha256(table.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"expected the authors' table of accuracies, got a file of another checksum: {table}")
    along = nads.load_published(place, architecture).directions[indices]
    column = {"lenet": "acc_ln", "vgg11": "acc_vgg", "resnet18": "acc_rn", "densenet121": "acc_dn"}[architecture]
    theirs = np.genfromtxt(table, delimiter=",", names=True)[column][indices] / 100
    factory = architectures.factory(architecture, num_outputs=2)
    amount = {"sigma": sigma, "convention": convention, "train_samples": samples, "test_samples": samples}
    with tempfile.TemporaryDirectory() as store:
        found = sweeps.run(factory, along, recipe=Recipe(epochs=epochs), seeds=(seed,), store=store, **amount)
    ours = found.test_accuracy.values[:, 0]
    return {"accuracy": ours.tolist(), "error": float(np.abs(ours - theirs).mean())}
