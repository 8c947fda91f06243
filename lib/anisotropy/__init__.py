"""Directional inductive bias of neural networks: NADs measured, trained along, and compared with the paper.

    import anisotropy as an

    found = an.estimate(an.factory("lenet", image_size=16), networks=20)

Neural anisotropy directions
    estimate, Until     NADs of an architecture, from so many random networks, or until they are known well enough
    Secant, Gradient    which response of a network they are taken of: finite differences (released code), derivatives
    Mixed, Dipole       the same of Lemma 2; and the finite dipole itself, for `energies`
    Nads                what was measured: eigenvalues, directions, how sure they are
    load, available     NADs that come with the package, or from a file; which there are
    load_published      the authors' files
    overlap, compare    how close two estimates are; several side by side, as a table and a picture
    energies            how strongly fresh networks answer to given directions, without a covariance

Networks
    factory             a factory of random networks by name: "lenet", "torchvision:NAME", "timm:NAME", "mine:net"
    graph_network       the same of graph networks: GCN, ChebNet, GIN, GAT on one graph
    sequence_network    and of sequences: convolutions, GRU, transformer encoder

Directions and D(v)
    fourier             the Fourier basis
    harmonics           waves of a sequence, slow to fast
    graph_modes         eigenvectors of a graph's Laplacian, slow to fast
    ring_graph          edges of a ring of nodes, for these
    grid_graph          edges of a grid of pixels
    random_directions   orthonormal directions at random
    sample              samples of D(v), two classes that differ along one direction

Training
    Recipe, train       how to train, and one training
    sweep               fresh networks trained on D(v), one for each direction
    follow              energies of fresh networks, and trainings along strong, middle and weak directions
    image_sweep         fresh networks trained on images that were changed along NADs

Images
    flip, poison        coefficients along the NADs in reverse order; a shortcut written into one NAD (Fig. 7, 8)
    random_signs        coefficients with random signs
    rotate              images multiplied by an orthogonal matrix
    class_energy        how much of what tells classes apart lies along which NADs

Theory
    bayes_accuracy      the best accuracy behind linear pooling (Theorem 1)
    infinite_width      NADs of infinitely wide networks, exactly

    cite                BibTeX of the paper and of this software

The rooms behind these names are `directions`, `theory`, `models`, `nads`, `kernels`, `training`, `images`, `results`,
`experiments` and `paper`, in the order in which a reader of the paper enters them. A name is loaded when it is used.
"""

# ruff: noqa: F401  the imports are for type checkers
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anisotropy.directions.bases import fourier
    from anisotropy.directions.bases import random as random_directions
    from anisotropy.directions.modes import graph_modes, harmonics
    from anisotropy.directions.modes import grid as grid_graph
    from anisotropy.directions.modes import ring as ring_graph
    from anisotropy.directions.separable import sample
    from anisotropy.experiments.follows import follow
    from anisotropy.experiments.image_sweeps import run as image_sweep
    from anisotropy.experiments.sweeps import run as sweep
    from anisotropy.images.class_energy import measure as class_energy
    from anisotropy.images.interventions import flip, poison, random_signs, rotate
    from anisotropy.kernels.exact import infinite_width
    from anisotropy.models.architectures import factory
    from anisotropy.models.graphs import factory as graph_network
    from anisotropy.models.sequences import factory as sequence_network
    from anisotropy.nads.compare import overlap
    from anisotropy.nads.comparison import compare
    from anisotropy.nads.definitions import Dipole, Gradient, Mixed, Secant
    from anisotropy.nads.energies import energies
    from anisotropy.nads.estimation import Until, estimate
    from anisotropy.nads.loading import available, load, load_published
    from anisotropy.nads.result import Nads
    from anisotropy.paper.citation import cite
    from anisotropy.theory.pooling import bayes_accuracy
    from anisotropy.training.loop import train
    from anisotropy.training.recipes import Recipe

__version__ = "0.1.0"

_MAP = {
    "directions.bases": "fourier random:random_directions",
    "directions.modes": "graph_modes harmonics grid:grid_graph ring:ring_graph",
    "directions.separable": "sample",
    "experiments.follows": "follow",
    "experiments.image_sweeps": "run:image_sweep",
    "experiments.sweeps": "run:sweep",
    "images.class_energy": "measure:class_energy",
    "images.interventions": "flip poison random_signs rotate",
    "kernels.exact": "infinite_width",
    "models.architectures": "factory",
    "models.graphs": "factory:graph_network",
    "models.sequences": "factory:sequence_network",
    "nads.compare": "overlap",
    "nads.comparison": "compare",
    "nads.definitions": "Dipole Gradient Mixed Secant",
    "nads.energies": "energies",
    "nads.estimation": "Until estimate",
    "nads.loading": "available load load_published",
    "nads.result": "Nads",
    "paper.citation": "cite",
    "theory.pooling": "bayes_accuracy",
    "training.loop": "train",
    "training.recipes": "Recipe",
}
"""Module -> what it offers here, `its name:the name here` where the two differ; as imported above for type checkers."""

_WHERE = {
    word.rpartition(":")[2]: (module, word.partition(":")[0])
    for module, words in _MAP.items()
    for word in words.split()
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'anisotropy' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _WHERE[name]
    return getattr(importlib.import_module(f"anisotropy.{module}"), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
