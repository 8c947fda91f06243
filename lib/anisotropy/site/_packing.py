"""NADs packed for the report's page: pictures of some directions, their spectra, eigenvalues, response to frequencies.

Pictures are rounded to 8 bits, which the eye cannot tell from the whole; eigenvalues are not.
"""

import base64
import functools
import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from anisotropy import nads

SIDE = 64  # pixels of a side that are shown of a picture; larger ones are averaged over blocks
BUDGET = 50_000  # bytes of pictures for one network: some 50 directions of 32 x 32 pixels


def indices(total: int, most: int) -> list[int]:
    """Which directions are shown: all of the leading ones, and ever fewer towards the end, the last included.

    Example:
        >>> indices(6, 10), indices(1000, 8)
        ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 34, 179, 488, 999])
    """
    if total <= most:
        return list(range(total))
    leading = list(range(max(most // 2, 1)))
    steps = np.linspace(0, 1, most - len(leading) + 1)[1:]
    start = leading[-1]
    later = [round(start + (total - 1 - start) * step**2.5) for step in steps]
    return sorted({*leading, *later})


@functools.cache
def shipped(name: str) -> dict[str, Any]:
    """NADs that come with the package, by name."""
    return pack(nads.load(name))


def pack(found: nads.Nads) -> dict[str, Any]:
    """NADs as plain values: what the explorer needs to draw them, arrays as base64."""
    count, channels, height, width = found.directions.shape
    factor = max(math.ceil(height / SIDE), math.ceil(width / SIDE), 1)
    shape = (math.ceil(height / factor), math.ceil(width / factor))
    each = channels * shape[0] * shape[1] + (shape[0] * shape[1] if factor > 1 else 0)
    chosen = indices(count, max(BUDGET // each, 8))
    pictures = found.directions[chosen].float()
    spectra = None
    if factor > 1:  # of averaged pixels only the low frequencies would be left
        energy = torch.fft.fftshift(torch.fft.fft2(pictures).abs().square().sum(1), dim=(-2, -1))
        energy = functional.adaptive_avg_pool2d(energy[:, None], shape)[:, 0]
        spectra = encoded((255 * energy / energy.amax(dim=(1, 2), keepdim=True)).round().numpy().astype(np.uint8))
        pictures = functional.adaptive_avg_pool2d(pictures, shape)
    largest = pictures.flatten(1).abs().amax(1).clamp_min(1e-30)
    rounded = (127 * pictures / largest[:, None, None, None]).round().numpy().astype(np.int8)
    errors = found.eigenvalue_errors
    settings = found.settings
    step = settings.get("step")
    how = [f"{found.networks} untrained networks", str(settings.get("method", "method not recorded"))]
    if how[1] == "secant" and isinstance(step, (int, float)):
        how[1] += f" with h = {step:g}"
    return {
        "shape": [channels, *shape],
        "size": [channels, height, width],
        "block": factor,
        "total": count,
        "indices": chosen,
        "pixels": encoded(rounded),
        "spectra": spectra,
        "eigenvalues": _floats(found.eigenvalues),
        "errors": None if errors is None else _floats(errors),
        "response": _response(found),
        "how": ", ".join(how),
    }


def _response(found: nads.Nads) -> dict[str, Any]:
    """Response v^T C v of untrained networks to Fourier vectors, alike in all channels: mean over the two phases.

    With F_i the discrete Fourier transform of direction i, summed over channels, it is sum_i lambda_i |F_i|^2 / D.
    """
    count, channels, height, width = found.directions.shape
    total = torch.zeros(height, width, dtype=torch.float64)
    for start in range(0, count, 128):
        part = slice(start, start + 128)
        transformed = torch.fft.fft2(found.directions[part].double().sum(1)).abs().square()
        total += torch.einsum("k,khw->hw", found.eigenvalues[part].double(), transformed)
    energy = torch.fft.fftshift(total / (channels * height * width))
    top, left = max((height - SIDE) // 2, 0), max((width - SIDE) // 2, 0)
    energy = energy[top : top + SIDE, left : left + SIDE]
    rows, columns = energy.shape
    mean = float(found.eigenvalues.double().sum()) / (channels * height * width)
    return {
        "ky": [top - height // 2 + i for i in range(rows)],
        "kx": [left - width // 2 + i for i in range(columns)],
        "values": [float(f"{v:.4g}") for v in (energy / mean).flatten().tolist()],
        "partial": count < channels * height * width,
    }


def encoded(values: np.ndarray) -> str:
    """An array's bytes as base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _floats(values: torch.Tensor) -> str:
    return encoded(values.detach().double().numpy().astype("<f4"))
