"""A training that is cut off goes on where it was: its whole state in one file, written after an epoch."""

import hashlib
import io
import pickle
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anisotropy._util import files

SECONDS = 60
"""Least time between two checkpoints: what a kill can cost, and how little writing them costs."""


MAGIC = b"anisotropy checkpoint, SHA-256 of the rest: "

KEYS = {"identity", "epochs", "network", "optimiser", "generator", "watch", "dropout", "dropout_device"}
"""What a file holds."""


class Checkpoint:
    """State of one training run: weights, optimiser, random generators, losses so far.

    A run that goes on from it gives the numbers of a run that was never interrupted, to the last digit on a CPU.

    Args:
        path: where; None keeps nothing.
        identity: plain values that name the run, such as its recipe; a file of another run is refused.
        network: being trained.
        optimiser: of the network.
        generator: of the order of the samples.
        watch: of the losses, `training.LossWatch`: its attributes are saved, except `recipe`.
        seconds: least time between two files.
    """

    def __init__(
        self,
        path: Path | None,
        identity: dict,
        *,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator,
        watch: Any,
        seconds: float = SECONDS,
    ):
        self.path, self.identity, self.seconds = path and Path(path), identity, seconds
        self.network, self.optimiser, self.generator, self.watch = network, optimiser, generator, watch
        self._written = time.monotonic()

    def restore(self) -> int:
        """Put the run into the state of the file, if there is one that is intact; return the epochs that are done.

        A file that differs in the data alone is left with a warning, and the run begins anew: a machine that rounds
        differently draws other last digits of the same samples, and the unit that found such a file could never end.

        Raises:
            ValueError: if the file belongs to a run of another recipe, shape or network.
        """
        if self.path is None or not self.path.is_file():
            return 0
        state = read(self.path)
        if state is None:  # begin anew
            return 0
        theirs, ours = ({k: v for k, v in one.items() if k != "data"} for one in (state["identity"], self.identity))
        if theirs != ours or not self._fits(state["network"]):
            raise ValueError(
                f"expected a checkpoint of this training run in {self.path}, got one of another recipe, shape of data, "
                "or network; delete it or name another file"
            )
        if state["identity"] != self.identity:
            warnings.warn(
                f"the checkpoint {self.path.name} was made from other data, or from the same on a machine that rounds "
                "differently: training starts again from the first epoch",
                stacklevel=3,
            )
            return 0
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        vars(self.watch).update(state["watch"])
        torch.set_rng_state(state["dropout"])
        if state["dropout_device"] is not None:
            torch.cuda.set_rng_state(state["dropout_device"], self._device)
        return state["epochs"]

    def _fits(self, weights: dict) -> bool:
        """Whether weights are those of a network like this one."""
        own = {name: tuple(value.shape) for name, value in self.network.state_dict().items()}
        return own == {name: tuple(getattr(value, "shape", ())) for name, value in weights.items()}

    def save(self, epochs: int) -> None:
        """Write the state after so many epochs, unless the last file is younger than `seconds`."""
        if self.path is None or time.monotonic() - self._written < self.seconds:
            return
        stream = io.BytesIO()
        state = {
            "identity": self.identity,
            "epochs": epochs,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "watch": {name: value for name, value in vars(self.watch).items() if name != "recipe"},
            "dropout": torch.get_rng_state(),
            "dropout_device": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }
        torch.save(state, stream)
        self._written = time.monotonic()
        try:
            files.write(self.path, _sealed(stream.getvalue()))
        except OSError as error:  # a full disk must not stop the training itself; it can only no longer be resumed
            warnings.warn(f"no checkpoint: {error.strerror}; the training goes on", stacklevel=3)

    def remove(self) -> None:
        """Delete the file: the run is over and its result stored."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device


def read(path: Path) -> dict | None:
    """Return the state in a file, None where it is cut short, damaged, or holds code, which is never executed."""
    try:
        head, _, content = Path(path).read_bytes().partition(b"\n")
        if head != MAGIC + hashlib.sha256(content).hexdigest().encode():
            return None
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, pickle.UnpicklingError):
        return None
    return state if isinstance(state, dict) and set(state) >= KEYS else None


def _sealed(content: bytes) -> bytes:
    """Content behind a line with its checksum: torch's own would let an altered weight pass."""
    return MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content
