"""Training many small networks at once: their parameters stacked, one kernel for all. Pays on a GPU."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from anisotropy._util import checks
from anisotropy.models.output_checks import check_scores
from anisotropy.training.loop import MEASURED_AT_ONCE, LossWatch, Normalisation, Outcome, check_sets, train
from anisotropy.training.recipes import Recipe

_NEEDS_OWN_STATE = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
METHODS = ("auto", "single", "stacked")
_LOG = logging.getLogger(__name__)


def can_stack(networks: list[nn.Module], recipe: Recipe) -> bool:
    """Return whether networks look as if they could be trained as one stack; `refusal` tries it.

    They must have the same parameters' shapes, and neither batch norm (running statistics) nor dropout (random
    numbers), whose state a stack does not carry; the recipe must work in float32 or float64.

    Args:
        networks: N networks.
        recipe: how they will be trained.

    Returns:
        Whether nothing is known to be in the way.
    """
    shapes = [[(name, p.shape, p.requires_grad) for name, p in net.named_parameters()] for net in networks]
    plain = not any(isinstance(m, _NEEDS_OWN_STATE) for net in networks for m in net.modules())
    trainable = all(p.requires_grad for net in networks for p in net.parameters())
    return plain and trainable and all(s == shapes[0] for s in shapes) and recipe.dtype != "bfloat16"


def refusal(networks: list[nn.Module], inputs: torch.Tensor, recipe: Recipe) -> str | None:
    """Return why torch's `vmap` cannot run networks as one, tried on one sample of each; None where it can.

    It refuses functional dropout, `.item()`, branches that depend on numbers, and operations that it does not know.

    Args:
        networks: N networks; they are moved to the device and type of the training, and put into training mode.
        inputs: (N, n, *shape), on the device that does the work.
        recipe: how they will be trained.
    """
    stack, few = _Stack(networks, inputs.device, recipe.stored), Normalisation(recipe, inputs)(inputs[:, :1])
    for mode in (False, True):
        stack.skeleton.train(mode)
        try:
            stack(stack.parameters.requires_grad_(), few).sum().backward()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # networks that are wrong say so again when they are trained one by one
            return checks.blamed(error)
    return None


def _pays(device: torch.device) -> bool:
    """Whether a stack is faster there than one network after the other."""
    return device.type == "cuda"


def train_many(
    networks: list[nn.Module],
    inputs: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe | None = None,
    *,
    generators: list[torch.Generator],
    test_inputs: torch.Tensor | None = None,
    test_labels: torch.Tensor | None = None,
    method: str = "auto",
    checkpoints: Sequence[Path | None] | None = None,
) -> list[Outcome]:
    """Train N networks in place, each on its own data, one by one or all at once.

    Both methods take the same steps on the same batches, with the gradient of each network clipped by its own norm;
    they differ by rounding. On one CPU core stacking is slower (twice for LeNet); on a GPU small networks leave the
    chip idle one by one, and a stack sends it no more operations than one of them.

    Args:
        networks: N networks of one architecture.
        inputs: (N, n, *shape), on the device that does the work.
        labels: (N, n) int64.
        recipe: as for `training.train`.
        generators: N CPU generators of the order of the samples.
        test_inputs: (N, n', *shape), optional.
        test_labels: (N, n').
        method: "single", "stacked", or "auto": stacked on a GPU where possible, else one by one.
        checkpoints: N files, see `training.train`; a stack keeps none.

    Returns:
        One outcome per network, as from `training.train`.

    Raises:
        ValueError: if the numbers of networks, data and generators differ, or the networks cannot be stacked and must
            be.
    """
    recipe = recipe or Recipe()
    if not len(networks) == len(inputs) == len(labels) == len(generators) > 0:
        raise ValueError(
            "expected as many networks as data sets and generators, at least one, got "
            f"{len(networks)}, {len(inputs)}, {len(labels)}, {len(generators)}"
        )
    if method not in METHODS:
        raise ValueError(f"expected a method out of {METHODS}, got {method!r}")
    for generator in generators:
        checks.generator(generator)
    tests = [None] * len(networks) if test_inputs is None else test_inputs
    test_marks = [None] * len(networks) if test_labels is None else test_labels
    sets = zip(inputs, labels, tests, test_marks, strict=True)
    classes = max(check_sets(*each, recipe) for each in sets)
    stacks = method == "stacked" or (method == "auto" and _pays(inputs.device))
    why = None
    if stacks:
        plain = can_stack(networks, recipe)
        why = refusal(networks, inputs, recipe) if plain else "batch norm, dropout, bfloat16, or unequal shapes"
    if method == "stacked" and why:
        raise ValueError(f"these networks cannot be stacked ({why}); use 'single', or 'auto', which tries it")
    if stacks and why:
        _LOG.info("networks are trained one by one, since they cannot be stacked: %s", why)
    elif stacks:
        return _train_stack(networks, inputs, labels, recipe, generators, test_inputs, test_labels, classes)
    files = [None] * len(networks) if checkpoints is None else checkpoints
    each = zip(networks, inputs, labels, generators, tests, test_marks, files, strict=True)
    return [
        train(net, x, y, recipe, generator=g, test_inputs=tx, test_labels=ty, checkpoint=file)
        for net, x, y, g, tx, ty, file in each
    ]


class _Stack:
    """N networks of one architecture as one function of a matrix that holds all their parameters.

    One matrix, because each step then takes a few operations for all of it: on a GPU, which small operations leave
    idle, it is their number that counts.

    Attributes:
        parameters: (N, P), a row for each network.
    """

    def __init__(self, networks: list[nn.Module], device: torch.device, dtype: torch.dtype):
        for net in networks:
            net.to(device, dtype).train()
        self.networks, self.skeleton = networks, networks[0]
        named, self.buffers = stack_module_state(networks)
        self.shapes = {name: p.shape[1:] for name, p in named.items()}
        self.parameters = torch.cat([p.detach().flatten(1) for p in named.values()], 1)

    def __call__(self, parameters: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Scores (N, n, classes) of inputs (N, n, *shape), of each network for its own."""

        def scores(own, buffers, x):
            return functional_call(self.skeleton, (own, buffers), (x,))

        return vmap(scores)(self._named(parameters), self.buffers, inputs)

    def unstack(self) -> None:
        """Give each network its parameters."""
        with torch.no_grad():
            for name, values in self._named(self.parameters).items():
                for net, value in zip(self.networks, values, strict=True):
                    net.get_parameter(name).copy_(value)

    def _named(self, parameters: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = parameters.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        return {name: part.view(-1, *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


def _train_stack(networks, inputs, labels, recipe, generators, test_inputs, test_labels, classes):
    count, size = labels.shape
    normalise = Normalisation(recipe, inputs)
    stack = _Stack(networks, inputs.device, recipe.stored)
    stack.skeleton.train()
    momentum = torch.zeros_like(stack.parameters) if recipe.momentum else None
    steps, step = recipe.epochs * math.ceil(size / recipe.batch_size), 0
    watches = [LossWatch(recipe) for _ in networks]
    running = [True] * count  # networks that have not stopped yet
    moving = None
    rows = torch.arange(count, device=inputs.device).unsqueeze(1)
    for generator in generators:  # `train` draws the seed of dropout first; these networks have none
        torch.randint(2**62, (), generator=generator)
    for _ in range(recipe.epochs):
        order = torch.stack([torch.randperm(size, generator=g) for g in generators]).to(inputs.device)  # (N, n)
        batches = order.split(recipe.batch_size, dim=1)
        losses = torch.empty(count, len(batches), device=inputs.device, dtype=torch.float64)
        for number, batch in enumerate(batches):
            parameters = stack.parameters.requires_grad_()
            scores = stack(parameters, normalise(inputs[rows, batch]))  # (N, batch, classes)
            check_scores(scores.flatten(0, 1), classes)
            value = _losses(scores, labels[rows, batch]).mean(1)
            (gradient,) = torch.autograd.grad(value.sum(), parameters)  # of each network by its own loss
            losses[:, number] = value.detach()
            _descend(stack.parameters.detach_(), gradient, momentum, recipe, recipe.rate(step, steps), moving)
            step += 1
        sizes = [batch.shape[1] for batch in batches]
        for i, values in enumerate(losses.tolist()):
            running[i] = running[i] and not watches[i].end_of_epoch(values, sizes)
        if not any(running):
            break
        if not all(running):
            moving = torch.tensor(running, device=inputs.device).unsqueeze(1)
    stack.unstack()
    for net in networks:
        net.eval()
    train_results = _measure(stack, inputs, labels, normalise)
    test_results = [(math.nan, math.nan)] * count
    if test_inputs is not None:
        test_results = _measure(stack, test_inputs, test_labels, normalise)
    return [w.outcome(*a, *b) for w, a, b in zip(watches, train_results, test_results, strict=True)]


def _losses(scores, labels):
    """Cross entropy (N, n) of each sample."""
    return functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)


def _descend(parameters, gradient, momentum, recipe, rate, moving):
    """One SGD step in place, the gradient of each network clipped by its own norm; `moving` (N, 1) selects networks."""
    change = gradient
    if recipe.clip_norm is not None:
        norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        change = change * (recipe.clip_norm / (norms + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
    if recipe.weight_decay:
        change = change.add(parameters, alpha=recipe.weight_decay)
    if momentum is not None:
        change = momentum.mul_(recipe.momentum).add_(change)
    if moving is not None:
        change = torch.where(moving, change, 0.0)
    parameters.sub_(change, alpha=rate)


@torch.no_grad()
def _measure(stack, inputs, labels, normalise, batch_size=MEASURED_AT_ONCE):
    correct, loss = torch.zeros(2, len(labels), device=inputs.device, dtype=torch.float64)
    for x, y in zip(inputs.split(batch_size, dim=1), labels.split(batch_size, dim=1), strict=True):
        scores = stack(stack.parameters, normalise(x)).double()
        correct += (scores.argmax(2) == y).sum(1)
        loss += _losses(scores, y).sum(1)
    size = labels.shape[1]
    return [(c / size, value / size) for c, value in zip(correct.tolist(), loss.tolist(), strict=True)]
