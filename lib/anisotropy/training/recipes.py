"""How a network is trained: one object, whose fields are what the numbers depend on."""

from dataclasses import asdict, dataclass

import torch

from anisotropy._util import checks

SCHEDULES = ("linear", "constant")
DTYPES = ("float32", "bfloat16", "float64")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are those of the released code for D(v).

    Attributes:
        learning_rate: of stochastic gradient descent, before the schedule.
        schedule: "linear": step t = 0 ... T-1 of T uses learning_rate * (1 - (t + 1) / T), so the last step has rate
            0, as in the released code; "constant".
        momentum: of SGD, in torch's convention (no dampening, no Nesterov).
        weight_decay: L2 coefficient added to the gradient after clipping.
        epochs: passes over the training samples, reshuffled in each.
        batch_size: samples per step; the last step of an epoch takes what is left.
        clip_norm: largest norm of the gradient over all parameters of a network, None for no clipping.
        mean: per channel, subtracted from the inputs; empty for none.
        std: per channel, the inputs are divided by it; empty for none.
        dtype: "float32"; "float64"; "bfloat16" (autocast, parameters stay in float32).
        loss_threshold: the training loss that counts as small (Fig. 2).
        loss_window: number of steps over which the loss is averaged before it is compared with the threshold.
        stop_at_threshold: end after the epoch in which the loss got small. Accuracies are then those at that time.
    """

    learning_rate: float = 0.5
    schedule: str = "linear"
    momentum: float = 0.0
    weight_decay: float = 0.0
    epochs: int = 20
    batch_size: int = 128
    clip_norm: float | None = 0.5
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    dtype: str = "float32"
    loss_threshold: float = 0.01
    loss_window: int = 10
    stop_at_threshold: bool = False

    def __post_init__(self):
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(checks.number(v, f"each {name}") for v in getattr(self, name)))
        for name in ("learning_rate", "momentum", "weight_decay", "loss_threshold", "clip_norm"):
            value = getattr(self, name)  # as floats, so that equal recipes are filed alike
            if not (name == "clip_norm" and value is None):
                object.__setattr__(self, name, checks.number(value, name))
        for name in ("epochs", "batch_size", "loss_window"):
            object.__setattr__(self, name, checks.whole(getattr(self, name), name))
        if self.schedule not in SCHEDULES or self.dtype not in DTYPES:
            raise ValueError(
                f"expected a schedule out of {SCHEDULES} and a dtype out of {DTYPES}, got {self.schedule!r} and "
                f"{self.dtype!r}"
            )
        for name in ("learning_rate", "loss_threshold"):
            if not getattr(self, name) > 0:
                raise ValueError(f"expected a positive {name}, got {getattr(self, name)}")
        if self.momentum < 0 or self.weight_decay < 0 or (self.clip_norm is not None and not self.clip_norm > 0):
            raise ValueError(
                "expected momentum and weight_decay of at least 0 and clip_norm positive or None, got "
                f"{self.momentum}, {self.weight_decay}, {self.clip_norm}"
            )
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ValueError(f"expected as many positive std as mean, one per channel, got {self.mean} and {self.std}")

    @classmethod
    def cifar(cls, **changes) -> "Recipe":
        """Return the released code's recipe for CIFAR-10: 50 epochs, rate 0.21, momentum 0.9, weight decay 5e-4.

        Args:
            **changes: fields to set otherwise; `mean` and `std` of the training set belong here.

        Returns:
            The recipe.
        """
        return cls(**{"learning_rate": 0.21, "momentum": 0.9, "weight_decay": 5e-4, "epochs": 50, **changes})

    def as_dict(self) -> dict:
        """Return the fields as plain values, for keys and passports."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def stored(self) -> torch.dtype:
        """Type of parameters and inputs: bfloat16 is what they are computed in, not what they are kept in."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of step 0 <= step < steps."""
        return self.learning_rate * (1 - (step + 1) / steps if self.schedule == "linear" else 1.0)
