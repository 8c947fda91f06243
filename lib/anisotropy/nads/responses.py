"""Responses of one random network to dipoles along every pixel, and to infinitesimal ones.

A discriminative dipole is the pair (x - v, x + v) (Sec. 3). How a network f tells it apart is its response along v.
Three responses are used in the paper and its code:

* secant: s_i = (f(x + h e_i) - f(x - h e_i)) / 2h for every pixel i, a dipole of finite size h. What the released
  NADs were made from, with h = 100.
* gradient: grad_x f(x), the limit h -> 0. What Section 3 defines NADs by (Eq. 4, 6).
* mixed: M^T g for probes g ~ N(0, I) of the parameters, M = d2f / dtheta dx. E_g[M^T g g^T M] = M^T M, whose
  eigenvectors are the right singular vectors of M (Lemma 2, Eq. 3 and 5).

Every function returns *rows* (R, D) such that rows^T rows is, in expectation, the covariance E[s s^T] over random
networks. With a read-out that is averaged over, there is one row per feature; otherwise one row per network or probe.
"""

import functools
import logging
import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from anisotropy._util import checks
from anisotropy.models import memory
from anisotropy.models.output_checks import scalar
from anisotropy.nads import _windows, readouts
from anisotropy.nads.readouts import Readout

PLAIN_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""Batch norms that are nothing else: a subclass may do more, as timm's, which applies the activation too."""


def prepare(
    network: nn.Module,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    *,
    copy: bool = True,
) -> nn.Module:
    """A copy of a fresh network made ready for many forward passes: eval mode, no fresh batch norm, channels last.

    Batch norm of a fresh network in eval mode divides by sqrt(1 + 1e-5): it is dropped where running mean, running
    variance, weight and bias are still 0, 1, 1, 0, which changes the response by a factor of 1 - 5e-6 per layer.

    Args:
        network: a fresh network; not modified if it is copied.
        dtype: of weights and activations.
        device: where it runs.
        copy: False changes the network itself, which nobody else must use; a copy can take as long as its gradients.
    """
    network = (deepcopy(network) if copy else network).eval().requires_grad_(False)
    for name, module in list(network.named_modules()):
        if type(module) in PLAIN_NORMS and _is_fresh(module) and not _watched(module):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, nn.Identity())
    return network.to(device=device, dtype=dtype, memory_format=torch.channels_last)


def _watched(module: nn.Module) -> bool:
    """Whether somebody's hook sees what passes through a module."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _is_fresh(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    if norm.running_mean is None or norm.running_var is None:
        return False
    ones = [norm.running_var] + ([norm.weight] if norm.weight is not None else [])
    zeros = [norm.running_mean] + ([norm.bias] if norm.bias is not None else [])
    return all(bool((t == 1).all()) for t in ones) and all(bool((t == 0).all()) for t in zeros)


class Features:
    """Calls a network and returns what its read-out reads (n, F), or its scalar output (n, 1) where there is none.

    Args:
        network: from `prepare`.
        readout: of the network, or None.
    """

    def __init__(self, network: nn.Module, readout: Readout | None):
        self.network, self.readout = network, readout

    def __call__(self, x: Tensor) -> Tensor:
        """Features (n, F) of images (n, *shape)."""
        if self.readout is None:
            return scalar(self.network(x))[:, None]
        seen = []
        hook = self.network.get_submodule(self.readout.name).register_forward_pre_hook(
            lambda _, inputs, named: seen.append(readouts.read(inputs, named)), with_kwargs=True
        )
        try:
            self.network(x)
        finally:
            hook.remove()
        return seen.pop()


def finite(rows: Tensor) -> Tensor:
    """Return responses as they are.

    Raises:
        FloatingPointError: one of them is NaN or infinite.
    """
    if not bool(torch.isfinite(rows).all()):
        raise FloatingPointError(
            "a network's response is not finite: its activations overflow. Try a smaller step, dtype float32, or check "
            "the initialisation"
        )
    return rows


SMALL = 2**20
"""Parameters below which a network is so cheap that more pixels share what a pass costs besides arithmetic."""

ON_GPU = 512
"""Pixels of one pass on a GPU, of images of 32 x 32: launches cost little there once a thousand images share them."""


def at_once(given: int | None, network: nn.Module, x: Tensor, *, small: int) -> int:
    """Images per pass: of 32 x 32 pixels 64, `small` for a small network or `ON_GPU`; fewer where they are larger."""
    if given is not None:
        return given
    size = x.shape[-2:].numel()
    if x.is_cuda:  # what its memory does not hold is computed in halves
        return max(1, min(ON_GPU, ON_GPU * 32 * 32 // size))
    most = small if sum(p.numel() for p in network.parameters()) < SMALL else 64
    return max(1, min(most, 2**18 // size))


def secant_rows(
    network: nn.Module,
    x: Tensor,
    *,
    step: float,
    readout: Readout | None = None,
    chunk: int | None = None,
    pixels: range | None = None,
) -> Tensor:
    """Central differences of size `step` along every pixel: rows (F, D) of the features, or (1, D) of the output.

    The inputs differ from x in one number each, so the first layers of images (C, H, W) are computed only where that
    reaches (`windows`).

    Args:
        network: from `prepare`; its dtype and device are used.
        x: evaluation point (*shape).
        step: half the size h of the dipole, in units of the input.
        readout: average over this read-out; None takes the network's output.
        chunk: pixels per forward pass, 2 * chunk images; None chooses by the sizes of network and image.
        pixels: some of the D pixels only, one column each; None takes all.

    Returns:
        Float32 rows, scaled so that rows^T rows has the mean E[s s^T].
    """
    if not step > 0:
        raise ValueError(f"the step of a secant must be positive, got {step}")
    features = Features(network, readout)
    dtype = next((p.dtype for p in network.parameters()), x.dtype)
    x = x.to(dtype)
    wanted = torch.tensor(pixels if pixels is not None else range(x.numel()), device=x.device)
    make = _windows.impulses if x.dim() == 3 else _impulses

    def along(block: Tensor) -> list[Tensor]:
        nonlocal make
        steps = torch.full((len(block),), step, dtype=dtype, device=x.device)
        both = torch.cat([block, block]), torch.cat([steps, -steps])
        try:
            seen = features(make(x, *both))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a network that takes plain tensors only gets these, or fails on them too
            if make is _impulses:
                raise
            _log_once(f"images that are the same but for one pixel are computed as a whole: {checks.blamed(error)}")
            make = _impulses
            seen = features(make(x, *both))
        plus, minus = seen.float().chunk(2)
        return [(plus - minus) / (2 * step)]

    columns = []
    with torch.no_grad():
        for block in wanted.split(at_once(chunk, network, x, small=256)):
            columns += memory.in_halves(along, block)
    return finite(torch.cat(columns).T.contiguous() * _scale(readout))


def _impulses(x: Tensor, pixels: Tensor, values: Tensor) -> Tensor:
    """As `_windows.impulses`, as plain images."""
    images = x.flatten().repeat(len(pixels), 1)
    images[torch.arange(len(pixels), device=x.device), pixels] += values
    return channels_last(images.view(-1, *x.shape))


def channels_last(images: Tensor) -> Tensor:
    """Images (n, C, H, W) with their channels last in memory, as convolutions like them; other shapes as they are."""
    return images.contiguous(memory_format=torch.channels_last) if images.dim() == 4 else images


@functools.cache
def _log_once(what: str) -> None:
    """Log what makes networks slower than they need be: once in a process, and not for each network."""
    logging.getLogger(__name__).info(what)


def _scale(readout: Readout | None) -> float:
    return 1.0 if readout is None else math.sqrt(readout.variance)


def gradient_rows(
    network: nn.Module,
    x: Tensor,
    *,
    readout: Readout | None = None,
    draws: int | None = None,
    generator: torch.Generator | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Gradients at x: rows (F, D) of all features, (draws, D) of random read-outs, or (1, D) of the output.

    All features is exact and costs F backward passes. With `draws` = R the rows are those of R random read-outs with
    orthogonal weights, W (R, F) with E[W^T W] = s2 I: R backward passes, the same mean, a little more variance.

    Args:
        network: from `prepare`.
        x: evaluation point (*shape).
        readout: average over this read-out; None takes the network's output.
        draws: random read-outs instead of all features.
        generator: draws them (CPU).
        chunk: gradients per backward pass; None chooses by the size of the image.

    Returns:
        Float32 rows, scaled so that rows^T rows has the mean E[s s^T].
    """
    features = Features(network, readout)
    x = x.to(next((p.dtype for p in network.parameters()), x.dtype))
    count = 1 if readout is None else readout.features
    weights = torch.eye(count)
    if readout is not None and draws is not None and draws < count:
        basis, _ = torch.linalg.qr(torch.randn(count, draws, generator=generator))
        weights = basis.T * math.sqrt(count / draws)
    blocks = weights.split(at_once(chunk, network, x, small=64))
    try:
        rows = _from_one_pass(features, x, blocks)
    except RuntimeError as error:  # an operation of the reader's own that torch cannot batch
        _log_once(f"gradients are not taken from one pass for all of them: {checks.blamed(error)}")
        rows = []
        for block in blocks:
            rows += memory.in_halves(lambda part: [_from_copies(features, x, part)], block)
    return finite(torch.cat(rows) * _scale(readout))


def _from_one_pass(features: Features, x: Tensor, blocks: Sequence[Tensor]) -> list[Tensor]:
    """Rows of each block of weights: the read-outs share the image, so one forward pass serves all of them."""
    image = x[None].clone().requires_grad_()
    with torch.enable_grad():
        seen = features(image)
    if not seen.requires_grad:
        raise ValueError(
            "the network's output does not depend differentiably on the image (torch.no_grad inside it?): take Secant()"
        )

    def back(block: Tensor) -> list[Tensor]:
        single = len(block) == 1  # one alone is faster without a batch around it
        weights = (block if single else block[:, None]).to(seen)
        found = torch.autograd.grad(seen, image, weights, retain_graph=True, is_grads_batched=not single)[0]
        return [found.float().reshape(len(block), -1)]

    rows = []
    for block in blocks:
        rows += memory.in_halves(back, block)
    return rows


def _from_copies(features: Features, x: Tensor, block: Tensor) -> Tensor:
    """Rows of a block of weights from as many copies of the image."""
    images = x.expand(len(block), *x.shape).clone().requires_grad_()
    with torch.enable_grad():
        score = (features(images) * block.to(images)).sum()
    return torch.autograd.grad(score, images)[0].flatten(1).float()


def mixed_rows(network: nn.Module, x: Tensor, *, probes: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Rows (probes, D): M^T g / sqrt(probes) for g ~ N(0, I), with M = d2f / dtheta dx over all parameters (Lemma 2).

    The mean of rows^T rows is E[M^T M]; its eigenvectors are what the paper calls the expected right singular vectors
    of M (Eq. 5). Kinks (ReLU, max-pooling) count as flat, as everywhere in automatic differentiation.

    Args:
        network: from `prepare`.
        x: evaluation point (*shape).
        probes: random directions in parameter space per network.
        generator: draws them (CPU).
    """
    parameters = [p.requires_grad_() for p in network.parameters()]
    image = x[None].to(parameters[0].dtype).requires_grad_()
    with torch.enable_grad():
        gradients = torch.autograd.grad(scalar(network(image)).sum(), parameters, create_graph=True, allow_unused=True)
        gradients, parameters = zip(
            *((g, p) for g, p in zip(gradients, parameters, strict=True) if g is not None), strict=True
        )
        rows = []
        for probe in range(probes):
            directions = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
            pairs = ((g, d) for g, d in zip(gradients, directions, strict=True) if g.requires_grad)  # a bias's is 1
            along, weights = zip(*pairs, strict=True)
            keep = probe + 1 < probes
            rows.append(torch.autograd.grad(along, image, weights, retain_graph=keep)[0].flatten())
    return finite(torch.stack(rows).float().detach() / math.sqrt(probes))
