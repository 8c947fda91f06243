"""What the benchmarks share: clocks, the peak of the machine, operations that are done, where a number comes from."""

import functools
import json
import os
import time
from pathlib import Path

import torch
from anisotropy._util import files, provenance
from anisotropy.nads import _windows
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

RESULTS = Path(__file__).parent / "results"

ORDER = ["logreg", "lenet", "vgg11", "resnet18", "densenet121"]
"""The paper's networks, as every table lists them."""

PLAIN = 10_000
"""Networks that the released NADs were made from: the precision to be equalled."""


def clock(device: str = "cpu") -> float:
    """Seconds of this process on a CPU, which other programs stretch little; of the wall clock on a GPU."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


@functools.cache
def peak(dtype: torch.dtype = torch.float32, device: str = "cpu", size: int = 2048) -> float:
    """Floating-point operations a second of the best of some square matrix products, measured once in a run."""
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(6):
        begin = clock(device)
        a @ b
        best = min(best, clock(device) - begin)
    return 2 * size**3 / best


class Operations(TorchDispatchMode):
    """Counts what is computed: of `_windows.Windows` the windows and the background, not the images they stand for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count a plain operation; look into one on windows."""
        kwargs = kwargs or {}
        if any(issubclass(t, _windows.Windows) for t in types):
            with self:
                return _windows.Windows.__torch_dispatch__(func, types, args, kwargs)
        result = func(*args, **kwargs)
        if func.overloadpacket in flop_registry:
            self.count += flop_registry[func.overloadpacket](*args, **kwargs, out_val=result)
        return result


def origin() -> dict:
    """Where and with what the numbers of a file were measured."""
    return {"hardware": provenance.hardware(), "versions": provenance.versions(), "commit": provenance.commit()}


def load() -> list[float]:
    """The machine's load average: how busy it was with other work."""
    return [round(value, 1) for value in os.getloadavg()]


def read(path: Path) -> dict:
    """Content of a file of results; empty where there is none, or none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write(path: Path, content: dict) -> None:
    """Write results, after each part of them: a run that is killed leaves what it has."""
    files.write_json(path, content)
