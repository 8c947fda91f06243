"""One network's responses, the naive way and ours, each split into drawing its weights and everything after it.

The naive ways do what the definition says, in float32, with a new module for each network and automatic
differentiation as a script would use it: for the secant 2D forward passes of the output, as in the released code; for
the gradient one backward pass of the output; for the mixed derivative a backward pass of the gradient times one probe.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from anisotropy.models import architectures
from anisotropy.nads import definitions, readouts, responses, shipped
from anisotropy.nads.covariances import DenseCovariance
from anisotropy.nads.symmetry import spatial
from measuring import PLAIN, clock
from sklearn.decomposition import PCA
from torch import Tensor, nn

STEP = 100.0

METHODS = ("secant", "gradient", "mixed")


@dataclass
class Subject:
    """An architecture at the evaluation point, with what an estimate of its NADs finds out once."""

    name: str
    method: str
    side: int = 32

    def __post_init__(self):
        self.factory = architectures.factory(self.name, image_size=self.side)
        self.shape = self.factory.input_shape
        self.x = torch.randn(self.shape, generator=torch.Generator().manual_seed(0))
        self.readout = readouts.examine(self.factory, self.shape) if self.method != "mixed" else None
        self.group = spatial.verified(self.factory, self.shape)
        self.small = sum(p.numel() for p in self.factory().parameters()) < responses.SMALL
        # In bfloat16 a gradient crosses kinks: its cosine with float32 is 0.97 to 0.99 only, a secant's 0.9995.
        settings = shipped.SETTINGS[self.name] if self.method == "secant" else {}
        self.dtype = definitions.precision(settings.get("response", definitions.Secant()))

    def generator(self, index: int) -> torch.Generator:
        """What draws read-outs or probes of a network."""
        return torch.Generator().manual_seed(index)


def naive(subject: Subject, index: int, pixels: int | None = None, batch: int | None = None) -> dict[str, float]:
    """Seconds of one network: `weights` and `passes`; the secant on some pixels only."""
    x, begin = subject.x, clock()
    network = architectures.build(subject.factory, 0, index)
    drawn = clock()
    if subject.method == "secant":
        pixels = pixels or x.numel()
        steps = STEP * torch.eye(x.numel())[:: x.numel() // pixels].view(-1, *x.shape)
        for step in steps.split(batch or pixels):
            ((network(x + step) - network(x - step)) / (2 * STEP)).detach()
    else:
        image = x[None].clone().requires_grad_()
        output = network(image).sum()
        if subject.method == "gradient":
            torch.autograd.grad(output, image)
        else:
            parameters = list(network.parameters())
            gradients = torch.autograd.grad(output, parameters, create_graph=True)
            along = sum((g * torch.randn_like(p)).sum() for g, p in zip(gradients, parameters, strict=True))
            torch.autograd.grad(along, image)
    return {"weights": drawn - begin, "passes": clock() - drawn}


def ours(
    subject: Subject, index: int, *, pixels: int | None = None, amount: int | None = None
) -> tuple[dict[str, float], Tensor]:
    """Seconds and rows of one network; `amount` read-outs (gradient, None: all features) or probes (mixed)."""
    begin = clock()
    network = responses.prepare(architectures.build(subject.factory, 0, index), subject.dtype, copy=False)
    drawn = clock()
    rows = rows_of(subject, network, index, pixels or subject.x.numel(), amount)
    return {"weights": drawn - begin, "passes": clock() - drawn}, rows


def rows_of(subject: Subject, network: nn.Module, index: int, pixels: int, amount: int | None) -> Tensor:
    """Rows of a prepared network; arguments as of `ours`."""
    x, generator = subject.x, subject.generator(index)
    if subject.method == "secant":
        some = range(0, x.numel(), x.numel() // pixels)
        return responses.secant_rows(network, x, step=STEP, readout=subject.readout, pixels=some)
    if subject.method == "gradient":
        return responses.gradient_rows(network, x, readout=subject.readout, draws=amount, generator=generator)
    return responses.mixed_rows(network, x, probes=amount or 1, generator=generator)


def sums_seconds(rows: int, shape: tuple[int, int, int], group: tuple[str, ...]) -> tuple[float, float]:
    """Adding one network's rows to the covariance, and the eigendecompositions at the end."""
    covariance = DenseCovariance(shape, group)
    values = torch.randn(rows, math.prod(shape))
    covariance.add(values)  # touches the memory of one group
    begin = clock()
    for _ in range(2 * len(covariance.counts)):
        covariance.add(values)
    added = (clock() - begin) / (2 * len(covariance.counts))
    begin = clock()
    eigen = covariance.eigen()
    covariance.eigen(slice(0, None, 2)), covariance.eigen(slice(1, None, 2)), covariance.spread(eigen.directions)
    return added, clock() - begin


def pca_seconds(size: int, samples: int = PLAIN) -> float:
    """The PCA at the end of the naive way."""
    rows = np.random.default_rng(0).normal(size=(samples, size)).astype(np.float32)
    begin = clock()
    PCA(n_components=min(rows.shape)).fit(rows)
    return clock() - begin
