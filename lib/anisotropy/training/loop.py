"""Training one network from tensors: no data loader, one recipe object, everything that is random under a generator."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from anisotropy._util import checks, provenance
from anisotropy.models.output_checks import check_scores
from anisotropy.training.checkpoints import Checkpoint
from anisotropy.training.recipes import Recipe

NUMERICS = 1
"""Version of the numbers that `train` makes from given inputs; sweeps do not reuse results of another version."""

EARLY = (1, 10, 30)
"""Steps whose loss a result keeps: a few seconds of a training that take hours can be compared with them."""

MEASURED_AT_ONCE = 1000
"""Samples per pass when a network is measured."""


@dataclass(frozen=True)
class Outcome:
    """What a training run gave. Accuracies are fractions, losses are means of the cross entropy in nats.

    Attributes:
        train_accuracy: of the trained network in eval mode.
        train_loss: likewise.
        test_accuracy: NaN without test samples.
        test_loss: likewise.
        steps_to_threshold: steps taken when the training loss, averaged over the last `loss_window` of them, first
            fell to `loss_threshold`; None if it never did.
        diverged: whether the training loss became infinite or NaN; training stops at the end of that epoch.
        history: mean training loss of each epoch, as met during training.
        early: training loss of the steps `EARLY`, None for those that were not taken.
    """

    train_accuracy: float
    train_loss: float
    test_accuracy: float = math.nan
    test_loss: float = math.nan
    steps_to_threshold: int | None = None
    diverged: bool = False
    history: list[float] = field(default_factory=list)
    early: list[float | None] = field(default_factory=list)


def train(
    network: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe | None = None,
    *,
    generator: torch.Generator,
    test_inputs: torch.Tensor | None = None,
    test_labels: torch.Tensor | None = None,
    checkpoint: Path | None = None,
    at_most: int | None = None,
) -> Outcome:
    """Train a network in place with stochastic gradient descent on the cross entropy, and measure it.

    Args:
        network: maps (n, *shape) to (n, number of classes); moved to the device of the inputs, and left in eval mode.
        inputs: (n, *shape), such as (n, C, H, W), resident on the device that does the work.
        labels: (n,) int64, on the same device.
        recipe: how; the default is that of the released code for D(v).
        generator: CPU generator of the order of the samples, and of dropout where the network has it.
        test_inputs: (n', *shape), optional.
        test_labels: (n',).
        checkpoint: file from which a run that was cut off goes on, and to which its state is written after an epoch,
            at most once a minute; it stays until the caller deletes it. None for neither.
        at_most: steps of the recipe that are taken; then nothing is measured, and accuracies and losses are NaN.

    Returns:
        Accuracy and loss on both sets, history, steps until the loss was small, and whether training diverged.

    Raises:
        TypeError: if the generator is none.
        ValueError: if the shapes do not fit each other or the recipe, the network has too few outputs, or the
            checkpoint is that of another run.
    """
    recipe = recipe or Recipe()
    checks.generator(generator)
    classes = check_sets(inputs, labels, test_inputs, test_labels, recipe)
    network.to(inputs.device, recipe.stored)
    layout = _layout(network)
    if inputs.device.type == "cpu":
        network.to(memory_format=layout)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(
        parameters, lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    steps_per_epoch = math.ceil(len(labels) / recipe.batch_size)
    steps, watch = recipe.epochs * steps_per_epoch, LossWatch(recipe)
    identity = {"recipe": recipe.as_dict(), "inputs": list(inputs.shape), "numerics": NUMERICS}
    if checkpoint is not None:
        identity["data"] = provenance.fingerprint(*map(_content, (inputs, labels, generator.get_state())))
    state = Checkpoint(checkpoint, identity, network=network, optimiser=optimiser, generator=generator, watch=watch)
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    normalise = Normalisation(recipe, inputs, layout)
    with torch.random.fork_rng(devices=devices):
        _seed_globals(int(torch.randint(2**62, (), generator=generator)), devices)  # dropout draws from these
        network.train()
        begin = state.restore()
        step = begin * steps_per_epoch
        for epoch in range(begin, recipe.epochs):
            order = torch.randperm(len(labels), generator=generator).to(inputs.device)
            batches = order.split(recipe.batch_size)
            losses = torch.empty(len(batches), device=inputs.device, dtype=torch.float64)
            for number, batch in enumerate(batches):
                optimiser.param_groups[0]["lr"] = recipe.rate(step, steps)
                optimiser.zero_grad()
                with _precision(recipe, inputs.device):
                    scores = network(normalise(inputs[batch]))
                    check_scores(scores, classes)
                    loss = functional.cross_entropy(scores, labels[batch])
                loss.backward()
                if recipe.clip_norm is not None:
                    nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
                optimiser.step()
                losses[number] = loss.detach()
                step += 1
                if step == at_most:
                    taken = number + 1
                    watch.end_of_epoch(losses[:taken].tolist(), [len(batch) for batch in batches[:taken]])
                    return watch.outcome(math.nan, math.nan, math.nan, math.nan)
            if watch.end_of_epoch(losses.tolist(), [len(batch) for batch in batches]):
                break
            state.save(epoch + 1)
    network.eval()
    train_accuracy, train_loss = evaluate(network, inputs, labels, recipe)
    test = (math.nan, math.nan) if test_inputs is None else evaluate(network, test_inputs, test_labels, recipe)
    return watch.outcome(train_accuracy, train_loss, *test)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe | None = None,
    *,
    batch_size: int = MEASURED_AT_ONCE,
) -> tuple[float, float]:
    """Return accuracy and mean cross entropy of a network in eval mode; its mode is restored.

    Args:
        network: maps (n, *shape) to (n, number of classes).
        inputs: (n, *shape).
        labels: (n,) int64.
        recipe: for its normalisation and precision.
        batch_size: samples at a time.

    Returns:
        Accuracy as a fraction, and loss.
    """
    recipe = recipe or Recipe()
    was_training = network.training
    network.eval()
    normalise = Normalisation(recipe, inputs)
    correct, loss = torch.zeros(2, device=inputs.device, dtype=torch.float64)
    for x, y in zip(inputs.split(batch_size), labels.split(batch_size), strict=True):
        with _precision(recipe, inputs.device):
            scores = network(normalise(x)).double()
        correct += (scores.argmax(1) == y).sum()
        loss += functional.cross_entropy(scores, y, reduction="sum")
    network.train(was_training)
    return float(correct) / len(labels), float(loss) / len(labels)


class LossWatch:
    """Follows the training loss: history, first time it is small, divergence. Shared by all implementations."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.history: list[float] = []
        self.reached: int | None = None
        self.diverged = False
        self.early: list[float | None] = [None] * len(EARLY)
        self._steps = 0
        self._recent: list[float] = []

    def end_of_epoch(self, losses: list[float], sizes: list[int]) -> bool:
        """Take in the losses of an epoch's steps and their batch sizes; return whether training should stop."""
        self.history.append(sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes))
        self.diverged = self.diverged or not math.isfinite(self.history[-1])
        for loss in losses:
            self._steps += 1
            if self._steps in EARLY:
                self.early[EARLY.index(self._steps)] = loss
            self._recent = [*self._recent, loss][-self.recipe.loss_window :]
            full = len(self._recent) == self.recipe.loss_window
            if self.reached is None and full and sum(self._recent) / len(self._recent) <= self.recipe.loss_threshold:
                self.reached = self._steps
        return self.diverged or (self.recipe.stop_at_threshold and self.reached is not None)

    def outcome(self, train_accuracy: float, train_loss: float, test_accuracy: float, test_loss: float) -> Outcome:
        """Return the outcome of the run, given the final measurements."""
        diverged = self.diverged or not math.isfinite(train_loss)
        measured = (train_accuracy, train_loss, test_accuracy, test_loss)
        return Outcome(*measured, self.reached, diverged, self.history, self.early)


def check_data(inputs: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> None:
    """Raise ValueError unless inputs (n, *shape), labels (n,) int64 and the recipe fit each other."""
    suits = 2 <= inputs.ndim <= 4 and labels.shape == inputs.shape[:1] and len(labels) > 0
    if not suits or labels.dtype != torch.int64:
        raise ValueError(
            f"expected inputs (n, *shape), with the shape {checks.SHAPES}, and int64 labels (n,) with n > 0, got "
            f"{tuple(inputs.shape)} and {labels.dtype} {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0:  # torch would leave some of them out without a word
        raise ValueError(f"expected labels 0, 1, 2, ..., got {int(labels.min())} among them")
    if recipe.mean and inputs.ndim != 4:
        raise ValueError(
            f"the recipe normalises the channels of images (n, C, H, W), got inputs {tuple(inputs.shape)}: take a "
            "recipe without mean and std, and normalise them before"
        )
    if recipe.mean and len(recipe.mean) != inputs.shape[1]:
        raise ValueError(f"the recipe normalises {len(recipe.mean)} channels, the inputs have {inputs.shape[1]}")


def check_sets(inputs, labels, test_inputs, test_labels, recipe: Recipe) -> int:
    """Return the number of classes of a training and a test set that fit each other; the latter may be None.

    Raises:
        ValueError: as from `check_data`, for either; or they differ in shape or device, or there is half a test set.
    """
    check_data(inputs, labels, recipe)
    classes = int(labels.max()) + 1
    if (test_inputs is None) != (test_labels is None):
        raise ValueError("expected test_inputs and test_labels together, got one of them")
    if test_inputs is None:
        return classes
    check_data(test_inputs, test_labels, recipe)
    if test_inputs.shape[1:] != inputs.shape[1:] or test_inputs.device != inputs.device:
        raise ValueError(
            f"expected test inputs like those of training, {tuple(inputs.shape[1:])} on {inputs.device}, got "
            f"{tuple(test_inputs.shape[1:])} on {test_inputs.device}"
        )
    return max(classes, int(test_labels.max()) + 1)


class Normalisation:
    """Takes a recipe's mean off batches (n, *shape) or (N, n, *shape) and divides by its std, in its type.

    Both are on the device of the inputs from the beginning: sending them there with each batch would make it wait.
    """

    def __init__(self, recipe: Recipe, inputs: torch.Tensor, layout: torch.memory_format = torch.channels_last):
        self.dtype, self.scale, self.layout = recipe.stored, None, layout
        if recipe.mean:
            numbers = torch.tensor([recipe.mean, recipe.std], dtype=recipe.stored, device=inputs.device)
            self.scale = numbers.view(2, -1, 1, 1)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch as the network takes it, in its memory layout."""
        batch = batch.to(self.dtype)
        if self.scale is not None:
            batch = (batch - self.scale[0]) / self.scale[1]
        single = batch.device.type == "cpu" and batch.ndim == 4
        return batch.contiguous(memory_format=self.layout) if single else batch


def _layout(network: nn.Module) -> torch.memory_format:
    """Layout for a network's convolutions on the CPU: that in which oneDNN is faster, where its gradients are sound.

    On a processor with AVX2 alone, oneDNN of torch 2.11 writes outside of the memory of the gradient of the weights of
    strided 1 x 1 convolutions of 2 or 4 channels in that layout, and the process crashes or hangs.
    """
    for module in network.modules():
        strided = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and max(module.stride) > 1
        if strided and module.in_channels // module.groups < 8:
            return torch.contiguous_format
    return torch.channels_last


def _seed_globals(seed: int, devices: list[torch.device]) -> None:
    """Seed torch's global generators of the CPU and of these GPUs, and of no others, whose state nobody saved."""
    torch.default_generator.manual_seed(seed)
    for device in devices:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _content(values: torch.Tensor) -> memoryview:
    """Bytes of a tensor, not copied where it lies on the CPU."""
    return memoryview(values.detach().cpu().contiguous().numpy()).cast("B")


def _precision(recipe: Recipe, device: torch.device):
    return torch.autocast(device.type, torch.bfloat16) if recipe.dtype == "bfloat16" else nullcontext()
