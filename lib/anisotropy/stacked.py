"""Training many small networks at once: their parameters stacked, one kernel for all. Pays on a GPU."""

import math

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from anisotropy.training import MEASURED_AT_ONCE, LossWatch, Outcome, Recipe, check_data, train

_NEEDS_OWN_STATE = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)
METHODS = ("auto", "single", "stacked")


def can_stack(networks: list[nn.Module], recipe: Recipe) -> bool:
    """Return whether networks can be trained as one stack.

    They must have the same parameters' shapes, and neither batch norm (running statistics) nor dropout (random
    numbers), whose state a stack does not carry; the recipe must work in float32 or float64.

    Args:
        networks: N networks.
        recipe: how they will be trained.

    Returns:
        True if `train_many(..., method="stacked")` accepts them.
    """
    shapes = [[(name, p.shape, p.requires_grad) for name, p in net.named_parameters()] for net in networks]
    plain = not any(isinstance(m, _NEEDS_OWN_STATE) for net in networks for m in net.modules())
    trainable = all(p.requires_grad for net in networks for p in net.parameters())
    return plain and trainable and all(s == shapes[0] for s in shapes) and recipe.dtype != "bfloat16"


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
) -> list[Outcome]:
    """Train N networks in place, each on its own data, one by one or all at once.

    Both methods take the same steps on the same batches, with the gradient of each network clipped by its own norm;
    they differ by rounding. On one CPU core stacking is slower (1.3 times for LeNet), on a GPU small networks leave
    the chip idle one by one.

    Args:
        networks: N networks of one architecture.
        inputs: (N, n, C, H, W), on the device that does the work.
        labels: (N, n) int64.
        recipe: as for `training.train`.
        generators: N CPU generators of the order of the samples.
        test_inputs: (N, n', C, H, W), optional.
        test_labels: (N, n').
        method: "single", "stacked", or "auto": stacked on a GPU where possible.

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
    check_data(inputs[0], labels[0], recipe)
    stackable = can_stack(networks, recipe)
    if method == "stacked" and not stackable:
        raise ValueError(
            "these networks cannot be stacked (batch norm, dropout, bfloat16, or unequal shapes); use 'single'"
        )
    if method == "stacked" or (method == "auto" and stackable and inputs.is_cuda):
        return _train_stack(networks, inputs, labels, recipe, generators, test_inputs, test_labels)
    tests = [None] * len(networks) if test_inputs is None else test_inputs
    test_marks = [None] * len(networks) if test_labels is None else test_labels
    return [
        train(net, x, y, recipe, generator=g, test_inputs=tx, test_labels=ty)
        for net, x, y, g, tx, ty in zip(networks, inputs, labels, generators, tests, test_marks, strict=True)
    ]


def _train_stack(networks, inputs, labels, recipe, generators, test_inputs, test_labels):
    count, size = labels.shape
    dtype = recipe.stored
    for net in networks:
        net.to(inputs.device, dtype).train()
    parameters, buffers = stack_module_state(networks)
    parameters = {name: p.detach() for name, p in parameters.items()}
    momenta = {name: torch.zeros_like(p) for name, p in parameters.items()} if recipe.momentum else {}
    skeleton = networks[0]

    def loss_of(p, b, x, y):
        return functional.cross_entropy(functional_call(skeleton, (p, b), (x,)), y)

    gradient = vmap(grad_and_value(loss_of))
    steps, step = recipe.epochs * math.ceil(size / recipe.batch_size), 0
    watches = [LossWatch(recipe) for _ in networks]
    running = torch.ones(count, dtype=torch.bool, device=inputs.device)  # networks that have not stopped yet
    rows = torch.arange(count, device=inputs.device).unsqueeze(1)
    for generator in generators:  # `train` draws the seed of dropout first; these networks have none
        torch.randint(2**62, (), generator=generator)
    for _ in range(recipe.epochs):
        order = torch.stack([torch.randperm(size, generator=g) for g in generators]).to(inputs.device)  # (N, n)
        batches = order.split(recipe.batch_size, dim=1)
        losses = torch.empty(count, len(batches), device=inputs.device, dtype=torch.float64)
        for number, batch in enumerate(batches):
            x = _normalise(inputs[rows, batch].to(dtype), recipe)  # (N, batch, C, H, W)
            gradients, value = gradient(parameters, buffers, x, labels[rows, batch])
            losses[:, number] = value
            _descend(parameters, gradients, momenta, recipe, recipe.rate(step, steps), running)
            step += 1
        sizes = [batch.shape[1] for batch in batches]
        for i, values in enumerate(losses.tolist()):
            if running[i] and watches[i].end_of_epoch(values, sizes):
                running[i] = False
        if not running.any():
            break
    for i, net in enumerate(networks):
        net.load_state_dict({name: p[i] for name, p in parameters.items()}, strict=False)
    measure = _measure(skeleton, parameters, buffers, recipe)
    train_results = measure(inputs, labels)
    test_results = [(math.nan, math.nan)] * count if test_inputs is None else measure(test_inputs, test_labels)
    return [w.outcome(*a, *b) for w, a, b in zip(watches, train_results, test_results, strict=True)]


def _descend(parameters, gradients, momenta, recipe, rate, running):
    """One SGD step in place of every network that is still running, the gradient of each clipped by its own norm."""
    squares = sum(g.flatten(1).square().sum(1) for g in gradients.values())
    scale = torch.ones_like(squares)
    if recipe.clip_norm is not None:
        scale = (recipe.clip_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
    for name, p in parameters.items():
        shape = (-1, *[1] * (p.ndim - 1))
        change = gradients[name] * scale.view(shape) + recipe.weight_decay * p
        if recipe.momentum:
            change = momenta[name].mul_(recipe.momentum).add_(change)
        p.copy_(torch.where(running.view(shape), p - rate * change, p))


def _measure(skeleton, parameters, buffers, recipe, batch_size=MEASURED_AT_ONCE):
    skeleton.eval()
    dtype = recipe.stored

    def scores_of(p, b, x):
        return functional_call(skeleton, (p, b), (x,))

    @torch.no_grad()
    def measure(inputs, labels):
        correct, loss = torch.zeros(2, len(labels), device=inputs.device, dtype=torch.float64)
        for x, y in zip(inputs.split(batch_size, dim=1), labels.split(batch_size, dim=1), strict=True):
            scores = vmap(scores_of)(
                parameters, buffers, _normalise(x.to(dtype), recipe)
            ).double()  # (N, batch, classes)
            correct += (scores.argmax(2) == y).sum(1)
            loss += functional.cross_entropy(scores.flatten(0, 1), y.flatten(), reduction="none").view_as(y).sum(1)
        size = labels.shape[1]
        return [(c / size, value / size) for c, value in zip(correct.tolist(), loss.tolist(), strict=True)]

    return measure


def _normalise(batch, recipe):
    if not recipe.mean:
        return batch
    mean, std = (
        torch.tensor(m, dtype=batch.dtype, device=batch.device).view(1, 1, -1, 1, 1) for m in (recipe.mean, recipe.std)
    )
    return (batch - mean) / std
